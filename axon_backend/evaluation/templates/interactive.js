// Shows the volumes of the page side by side, linked.
(async () => {
  const about = JSON.parse(document.getElementById("about").textContent);
  const { Niivue, NVImage, SHOW_RENDER } = globalThis.niivue;
  const views = [];
  const fail = (error) => {
    const box = document.getElementById("problem");
    box.textContent = `The volume cannot be shown: ${error.message || error}. ` +
      "The viewer needs a browser with WebGL 2.";
    box.hidden = false;
  };
  const press = (group, button) => {
    for (const other of group.querySelectorAll("button")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
  };
  const low = document.getElementById("low");
  const high = document.getElementById("high");
  const setWindow = (from, to) => {
    if (!(from < to)) return;
    low.value = from;
    high.value = to;
    for (const view of views) {
      view.volumes[0].cal_min = from;
      view.volumes[0].cal_max = to;
      view.updateGLVolume();
    }
  };
  const setLayout = (name) => {
    for (const view of views) {
      view.opts.multiplanarShowRender = name === "both" ? SHOW_RENDER.ALWAYS : SHOW_RENDER.NEVER;
      view.setSliceType(name === "render" ? view.sliceTypeRender : view.sliceTypeMultiplanar);
    }
  };
  try {
    for (const [number, volume] of about.volumes.entries()) {
      const view = new Niivue({
        backColor: [0, 0, 0, 1], show3Dcrosshair: true, isOrientCube: true, isRadiologicalConvention: true,
        sagittalNoseLeft: true,
        onLocationChange: (place) => {
          const value = place.values[0] ? place.values[0].value : NaN;
          document.getElementById(`place${number}`).textContent =
            Number.isFinite(value) ? `${Math.round(value)} HU` : "";
        },
      });
      await view.attachTo(`view${number}`);
      const image = await NVImage.loadFromBase64({ base64: volume.data, name: `${volume.title}.nii.gz` });
      view.addVolume(image);
      views.push(view);
    }
    for (const view of views) {
      view.broadcastTo(views.filter((other) => other !== view), { "2d": true, "3d": true });
    }
    const windows = document.getElementById("windows");
    for (const button of windows.querySelectorAll("button")) {
      button.addEventListener("click", () => {
        press(windows, button);
        setWindow(Number(button.dataset.low), Number(button.dataset.high));
      });
    }
    for (const field of [low, high]) {
      field.addEventListener("change", () => {
        press(windows, null);
        setWindow(Number(low.value), Number(high.value));
      });
    }
    const layouts = document.getElementById("layouts");
    for (const button of layouts.querySelectorAll("button")) {
      button.addEventListener("click", () => {
        press(layouts, button);
        setLayout(button.dataset.layout);
      });
    }
    setWindow(about.windows[0].low, about.windows[0].high);
    setLayout("both");
    document.body.dataset.ready = "yes";
  } catch (error) {
    fail(error);
  }
})();
