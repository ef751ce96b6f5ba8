"""``axon view`` by clicks, in a headless Chromium.

Needs the extra ``view`` in an environment of its own (slicer-core 5.11, where development has
another), Playwright and a Chromium: `make test-view`. With AXON_SCREENSHOTS set to a folder, images
of the pages are left there.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from axon_backend.cli.main import main
from axon_backend.imaging.display import grey
from axon_backend.imaging.frame import find_thorax_frame
from axon_backend.imaging.view import View
from axon_backend.imaging.write import write_png, write_volume
from axon_backend.physics.drr import render_drr
from axon_backend.physics.pose import Pose

pytest.importorskip("trame_slicer")
sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]

PATIENCE_S = 900  # nothing is measured: a loaded machine may take its time
AS_IT_IS = ("--force", "--no-invert", "frontal", "--no-flip", "frontal", "--rotate", "frontal=0")


def until(condition, what: str):
    """The first true value of a condition."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.5)
    pytest.fail(f"waited in vain for {what}")


@pytest.fixture(scope="module")
def phantom(phantom_ct, tmp_path_factory):
    """The phantom's PA DRR and the phantom, as files."""
    folder = tmp_path_factory.mktemp("phantom")
    frame = find_thorax_frame(phantom_ct)
    drr = render_drr(phantom_ct, Pose().geometry(frame, View.pa), 256).numpy()
    xray = write_png(folder / "pa.png", grey(drr), bits=16)
    return str(xray), str(write_volume(folder / "ct.nii.gz", phantom_ct.hu, phantom_ct))


@pytest.fixture(scope="module")
def viewer(tmp_path_factory):
    """Starts ``axon view``; returns the address that it prints."""
    started = []

    def start(*words: str) -> str:
        log = tmp_path_factory.mktemp("viewer") / "log.txt"
        command = [sys.executable, "-m", "axon_backend", "view", *words, "--no-browser"]
        with log.open("w") as file:
            started.append(
                subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, text=True)
            )

        def address() -> str:
            assert started[-1].poll() is None, log.read_text()
            lines = log.read_text().splitlines()
            return next((line[5:] for line in lines if line.startswith("Open http")), "")

        return until(address, "the address")

    yield start
    for process in started:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield made
        made.close()


class Opened:
    """A page of the viewer."""

    def __init__(self, browser, url: str) -> None:
        self.page = browser.new_page(viewport={"width": 1200, "height": 720})
        self.page.set_default_timeout(1000 * PATIENCE_S)
        self.page.goto(url)

    def image(self, view: str) -> np.ndarray:
        """Grey values (H, W) of a view of the scene, without its title and slider."""
        place = self.page.locator(f"#title-{view}").locator("..")
        # While another layout is being made, it has none.
        box = until(place.bounding_box, f"the place of {view}")
        box["y"], box["height"] = box["y"] + 40, box["height"] - 90
        shot = Image.open(io.BytesIO(self.page.screenshot(clip=box)))
        return np.asarray(shot.convert("L"), float)

    def drawn(self, view: str) -> np.ndarray:
        """Its image, once there is one."""
        until(lambda: self.image(view).std() > 5, f"an image in {view}")
        return self.image(view)

    def changed(self, view: str, before: np.ndarray) -> None:
        until(lambda: np.abs(self.image(view) - before).mean() > 1, f"another image in {view}")

    def keep(self, name: str) -> None:
        if folder := os.environ.get("AXON_SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"view_{name}.png")


def test_a_result_beside_its_ct(phantom, tiny_bundle, viewer, browser, tmp_path):
    xray, ct = phantom
    folder = tmp_path / "result"
    words = ["reconstruct", "--frontal", xray, "--ct", ct, "--view", "pa", *AS_IT_IS]
    words += ["--bundle", str(tiny_bundle.path), "--stages", "coarse", "--allow-poor", "--quiet"]
    # With fewer steps, the noise that the small model gives is too weak to be seen in 3-D.
    words += ["--steps", "3", "--samples", "2", "--keep-samples"]
    assert main([*words, "--output", str(folder)]) == 0
    url = viewer(str(folder), "--ct", ct, "--force")

    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url.partition("?")[0])

    opened = Opened(browser, url)
    volume = opened.drawn("volume_axial")
    until(lambda: opened.page.locator("#title-ct_axial").count(), "the CT")  # follows later
    volume, truth = opened.drawn("volume_axial"), opened.drawn("ct_axial")
    three_d = opened.drawn("ct_3d")
    opened.keep("result")
    assert "MAE (HU)" in opened.page.inner_text("#measures")
    assert opened.page.locator("img.xray").count() == 1
    opened.page.click("img.xray")
    opened.page.locator("#image").wait_for(state="visible")
    opened.page.click("#image")
    opened.page.locator("#image").wait_for(state="hidden")

    # The slices of both rows move together.
    slider = opened.page.locator("#slice-ct_axial").bounding_box()
    opened.page.mouse.click(slider["x"] + 0.9 * slider["width"], slider["y"] + slider["height"] / 2)
    opened.changed("ct_axial", truth)
    opened.changed("volume_axial", volume)

    moved, thin = opened.image("ct_axial"), opened.image("volume_3d")
    opened.page.click("#window-soft")
    opened.changed("ct_axial", moved)
    opened.changed("ct_3d", three_d)
    opened.changed("volume_3d", thin)

    # So do the cameras, which are turned by dragging.
    three_d, partner = opened.image("ct_3d"), opened.image("volume_3d")
    box = opened.page.locator("#title-ct_3d").locator("..").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    opened.page.mouse.move(x, y)
    opened.page.mouse.down()
    opened.page.mouse.move(x + 60, y, steps=4)
    opened.page.mouse.up()
    opened.changed("ct_3d", three_d)
    opened.changed("volume_3d", partner)
    opened.keep("result_turned")

    # The reconstruction alone, and both again.
    opened.page.get_by_label("CT beside").uncheck()
    until(lambda: not opened.page.locator("#title-ct_3d").count(), "the views of the CT to go")
    opened.drawn("volume_sagittal")
    opened.keep("result_alone")
    # The samples one by one, and their standard deviation.
    shown = [opened.image("volume_axial")]
    for name in ("Sample 1 of 2", "Sample 2 of 2", "Standard deviation over the samples"):
        opened.page.evaluate("name => window.trame.state.set('volume', name)", name)
        opened.changed("volume_axial", shown[-1])
        assert name in opened.page.inner_text("#title-volume_axial")
        shown.append(opened.image("volume_axial"))
    opened.keep("result_deviation")
    opened.page.evaluate("window.trame.state.set('volume', 'Reconstruction')")
    opened.changed("volume_axial", shown[-1])
    opened.page.get_by_label("CT beside").check()
    opened.drawn("ct_3d")

    opened.page.click("#report")
    report = opened.page.frame_locator("iframe")
    assert "CT volume" in report.locator("h1").inner_text()
    opened.keep("report")


def test_from_an_xray_to_a_saved_result(phantom, tiny_bundle, viewer, browser, tmp_path):
    xray, _ = phantom
    words = ["--frontal", xray, "--view", "pa", *AS_IT_IS, "--stages", "coarse", "--steps", "400"]
    opened = Opened(browser, viewer(*words, "--bundle", str(tiny_bundle.path)))
    page = opened.page
    until(lambda: page.get_attribute("#overlay", "src"), "the X-ray as it was read")
    until(lambda: page.inner_text("#verdict").startswith("Registration: "), "the overlay")
    overlay = page.get_attribute("#overlay", "src")
    opened.keep("xrays")

    box = page.locator("#slider-right_mm").bounding_box()
    page.mouse.click(box["x"] + 0.7 * box["width"], box["y"] + box["height"] / 2)
    until(lambda: page.get_attribute("#overlay", "src") != overlay, "the moved X-ray")
    opened.keep("xrays_moved")
    page.click("#reset")
    until(lambda: page.get_attribute("#overlay", "src") == overlay, "the X-ray as it was")

    page.click("#register")
    until(lambda: page.get_attribute("#overlay", "src") != overlay, "the registered X-ray")
    opened.keep("xrays_registered")

    page.get_by_label("Use a poor registration").check()
    page.click("#reconstruct")
    until(lambda: page.locator("#cancel, #folder").count(), "the run")
    if page.locator("#cancel").count():  # not if the small model was faster than the browser
        page.click("#cancel")
        until(lambda: page.locator("#error, #folder").count(), "the end of the run")
    if page.locator("#error").count():
        assert page.inner_text("#error").startswith("Stopped as asked.")
        opened.keep("cancelled")
        page.click("#reconstruct")
    opened.drawn("volume_axial")
    page.click("#window-soft")  # the small model's volume is noise, too thin for the lung preset
    opened.drawn("volume_3d")
    opened.keep("reconstructed")

    page.fill("#folder", str(tmp_path / "saved"))
    page.click("#save")
    until(lambda: page.inner_text("#saved").startswith("Saved in"), "the saved result")
    record = json.loads((tmp_path / "saved" / "result.json").read_text())
    assert [stage["name"] for stage in record["stages"]] == ["coarse"]
    assert (tmp_path / "saved" / "reconstruction.nii.gz").is_file()


def test_the_page_is_made_without_pytorch():
    """The first image should not wait for it."""
    code = "import sys, axon_backend.viewer.page; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"
