"""Selection of model and device in the Reconstruct section."""

from __future__ import annotations

from pathlib import Path

from slicer.i18n import tr as _

from AXONReconstructionLib.panel import run_plan
from AXONReconstructionLib.setup import backend, hardware, methods


class ModelAndDevice:
    """Combo boxes whose entries depend on the installed models and the hardware.

    Args:
        section: the Reconstruct section, which provides `ui`, `logic` and `parameterNode`.
        detected: called when the hardware has been detected.

    Attributes:
        missing: message that names the missing packages, or empty.
    """

    def __init__(self, section, detected) -> None:
        self._section, self._ui, self._onDetected = section, section.ui, detected
        self._bundles: list = []
        self._hardware: hardware.Hardware | None = None
        self.missing = ""
        for text, device in (
            (_("Automatic"), "auto"),
            (_("GPU"), "cuda"),
            (_("CPU"), "cpu"),
        ):
            self._ui.deviceCombo.addItem(text, device)
        self._ui.deviceCombo.connect("activated(int)", self.onDeviceChosen)
        self._ui.bundleCombo.connect("activated(int)", self.onBundleChosen)

    def refresh(self) -> None:
        """Reload the list of models; the hardware is detected by the next `detectHardware`."""
        self.missing = backend.available() or ""
        self._bundles = hardware.bundles()
        self._hardware = None
        combo = self._ui.bundleCombo
        combo.clear()
        for info in self._bundles:
            combo.addItem(_entry(info))

    def detectHardware(self) -> None:
        """Detect the GPU on the worker, once, because that imports PyTorch."""
        if self._hardware is not None or self.missing:
            return
        self._hardware = hardware.Hardware()
        paths = [info.path for info in self._bundles]
        self._section.logic.tasks.run(
            lambda job: hardware.detect(paths),
            onFinished=self._detected,
            onError=lambda error: None,  # the run itself reports the error
            key="hardware",
        )

    def onDeviceChosen(self, index: int) -> None:
        """Store the device in the parameter node."""
        node = self._section.parameterNode
        if node is not None:
            node.device = self._ui.deviceCombo.itemData(index)

    def onBundleChosen(self, index: int) -> None:
        """Store the model's folder in the parameter node; it is empty for the shipped model."""
        node = self._section.parameterNode
        if node is not None and 0 <= index < len(self._bundles):
            info = self._bundles[index]
            node.bundle = "" if info.shipped else str(info.path)

    def show(self, node) -> None:
        """Show the values of a parameter node."""
        ui = self._ui
        if self._hardware is not None and self._hardware.detected:
            text = _("GPU (none available to PyTorch)")
            if self._hardware.gpu:
                text = _("GPU: {name}").format(name=self._hardware.gpu)
            ui.deviceCombo.setItemText(1, text)
        if node is None:
            return
        ui.deviceCombo.currentIndex = ui.deviceCombo.findData(node.device)
        info = self._chosen(node)
        ui.bundleCombo.currentIndex = -1 if info is None else self._bundles.index(info)
        ui.bundleAbout.text = "" if info is None else info.description
        ui.bundleAbout.visible = bool(ui.bundleAbout.text)

    def method(self, node):
        """`MethodInfo` of the selected model; None if there is no model, or not its method."""
        info = self._chosen(node)
        return None if info is None else methods.find(info.method)[0]

    def recommendedStages(self, node) -> tuple[str, ...]:
        """The stages that the selected model recommends to run; all of its method's if it
        recommends none."""
        info, method = self._chosen(node), self.method(node)
        if info is None or method is None:
            return ()
        found: tuple[str, ...] = method.stages_until(info.recommended_stage)
        return found

    def stages(self, node) -> tuple[str, ...]:
        """The stages that a run of the selected model has."""
        method = self.method(node)
        if method is None:
            return ()
        return run_plan.stagesOf(node, method, self.recommendedStages(node))

    def defaultSteps(self, node) -> dict[str, int]:
        """Denoising steps of the selected model by stage for the chosen number of samples, once the
        hardware has been detected."""
        info = self._chosen(node)
        if self._hardware is None or info is None:
            return {}
        path, found = str(info.path), self._hardware
        drawn = found.drawSteps.get(path, {}) if node.samples > 1 else {}
        return {**found.steps.get(path, {}), **drawn}

    def blockingReason(self, node) -> str:
        """Why a run is not possible with this selection; empty if it is."""
        if self.missing:
            return self.missing
        info = self._chosen(node)
        if info is None:
            return _("The selected model is no longer on this computer. Select another one.")
        problem = methods.find(info.method)[1]
        if problem:
            return problem
        found = self._hardware
        if node.device == "cuda" and found is not None and found.detected and not found.gpu:
            return _("No GPU is available to PyTorch. Select Automatic or CPU.")
        return ""

    def device(self, node) -> str:
        """The device of the run, ``cuda`` or ``cpu``, as far as is known."""
        if node.device != "auto":
            return node.device
        return "cuda" if self._hardware is not None and self._hardware.gpu else "cpu"

    def bundleName(self, node) -> str:
        """The name of the selected model."""
        info = self._chosen(node)
        return "" if info is None else info.name

    def _chosen(self, node):
        """Description of the selected model; a folder outside the library is added to the list."""
        for info in self._bundles:
            if info.shipped if not node.bundle else info.path == Path(node.bundle):
                return info
        info = hardware.bundleAt(node.bundle) if node.bundle else None
        if info is not None:
            self._bundles.append(info)
            self._ui.bundleCombo.addItem(_entry(info))
        return info

    def _detected(self, computer) -> None:
        self._hardware = computer
        self._onDetected()


def _entry(info) -> str:
    """Name, version and method of a model."""
    method, _problem = methods.find(info.method)
    label = _("{method}, not installed").format(method=info.method)
    return _("{name} {version} ({method})").format(
        name=info.name, version=info.version, method=label if method is None else method.label
    )
