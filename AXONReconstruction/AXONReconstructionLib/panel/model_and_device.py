"""Selection of model and device in the Reconstruct section."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from slicer.i18n import tr as _

from AXONReconstructionLib.setup import backend, hardware


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
            combo.addItem(_("{name} {version}").format(name=info.name, version=info.version))

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
        defaults: dict[str, int] = {}
        if self._hardware is not None and info is not None:
            defaults = self._hardware.steps.get(str(info.path), {})
        for stage, spin in (("coarse", ui.coarseSteps), ("fine", ui.fineSteps)):
            text = _("model default")
            if stage in defaults:
                text = _("model default ({n})").format(n=defaults[stage])
            spin.specialValueText = text
        ui.fineSteps.enabled = ui.fineStepsLabel.enabled = node.runFine

    def blockingReason(self, node) -> str:
        """Why a run is not possible with this selection; empty if it is."""
        if self.missing:
            return self.missing
        if self._chosen(node) is None:
            return _("The selected model is no longer on this computer. Select another one.")
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
            if info.shipped if not node.bundle else str(info.path) == node.bundle:
                return info
        if not node.bundle or not Path(node.bundle).is_dir():
            return None
        path = Path(node.bundle)
        self._bundles.append(
            SimpleNamespace(name=path.name, path=path, shipped=False, description=str(path))
        )
        self._ui.bundleCombo.addItem(path.name)
        return self._bundles[-1]

    def _detected(self, computer) -> None:
        self._hardware = computer
        self._onDetected()
