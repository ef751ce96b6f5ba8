"""Model and device in the Reconstruct section, and what this computer has of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from slicer.i18n import tr as _

from AXONReconstructionLib.setup import backend, hardware


class ModelAndDevice:
    """The combo boxes that the parameter node's plain values cannot fill by themselves.

    Args:
        section: the Reconstruct section, whose `ui`, `logic` and `parameterNode` it uses.
        detected: called when the graphics card has been detected for.

    Attributes:
        missing: the sentence that says which packages are not installed, or empty.
    """

    def __init__(self, section, detected) -> None:
        self._section, self._ui, self._onDetected = section, section.ui, detected
        self._bundles: list = []
        self._hardware = None
        self.missing = ""
        for text, device in (
            (_("Automatic"), "auto"),
            (_("Graphics card (GPU)"), "cuda"),
            (_("Processor (CPU)"), "cpu"),
        ):
            self._ui.deviceCombo.addItem(text, device)
        self._ui.deviceCombo.connect("activated(int)", self.onDeviceChosen)
        self._ui.bundleCombo.connect("activated(int)", self.onBundleChosen)

    def refresh(self) -> None:
        """Read the list of models anew; the graphics card is detected for at the next `detectHardware`."""
        self.missing = backend.available() or ""
        self._bundles = hardware.bundles()
        self._hardware = None
        combo = self._ui.bundleCombo
        combo.clear()
        for info in self._bundles:
            combo.addItem(_("{name} {version}").format(name=info.name, version=info.version))

    def detectHardware(self) -> None:
        """Look for a graphics card on the worker, once: that imports PyTorch."""
        if self._hardware is not None or self.missing:
            return
        self._hardware = hardware.Hardware()
        paths = [info.path for info in self._bundles]
        self._section.logic.tasks.run(
            lambda job: hardware.detect(paths),
            onFinished=self._detected,
            onError=lambda error: None,  # the run itself will say what is wrong
            key="hardware",
        )

    def onDeviceChosen(self, index: int) -> None:
        """Keep the device in the parameter node."""
        node = self._section.parameterNode
        if node is not None:
            node.device = self._ui.deviceCombo.itemData(index)

    def onBundleChosen(self, index: int) -> None:
        """Keep the model's folder in the parameter node; the shipped model has none."""
        node = self._section.parameterNode
        if node is not None and 0 <= index < len(self._bundles):
            info = self._bundles[index]
            node.bundle = "" if info.shipped else str(info.path)

    def show(self, node) -> None:
        """Bring the controls to a parameter node's values."""
        ui = self._ui
        if self._hardware is not None and self._hardware.detected:
            text = _("Graphics card (none that PyTorch can use)")
            if self._hardware.gpu:
                text = _("Graphics card: {name}").format(name=self._hardware.gpu)
            ui.deviceCombo.setItemText(1, text)
        if node is None:
            return
        ui.deviceCombo.currentIndex = ui.deviceCombo.findData(node.device)
        info = self._chosen(node)
        ui.bundleCombo.currentIndex = -1 if info is None else self._bundles.index(info)
        ui.bundleAbout.text = "" if info is None else info.description
        ui.bundleAbout.visible = bool(ui.bundleAbout.text)
        own = {}
        if self._hardware is not None and info is not None:
            own = self._hardware.steps.get(str(info.path), {})
        for stage, spin in (("coarse", ui.coarseSteps), ("fine", ui.fineSteps)):
            words = _("the model's own")
            if stage in own:
                words = _("the model's own ({n})").format(n=own[stage])
            spin.specialValueText = words
        ui.fineSteps.enabled = ui.fineStepsLabel.enabled = node.runFine

    def blockingReason(self, node) -> str:
        """Why the choices cannot run here; empty when they can."""
        if self.missing:
            return self.missing
        if self._chosen(node) is None:
            return _("The chosen model is not on this computer any more. Choose another one.")
        detected = self._hardware is not None and self._hardware.detected
        if node.device == "cuda" and detected and not self._hardware.gpu:
            return _("PyTorch finds no graphics card here. Choose Automatic or the processor.")
        return ""

    def device(self, node) -> str:
        """``cuda`` or ``cpu``: where it will run, as far as is known."""
        if node.device != "auto":
            return node.device
        return "cuda" if self._hardware is not None and self._hardware.gpu else "cpu"

    def bundleName(self, node) -> str:
        """The chosen model's name."""
        info = self._chosen(node)
        return "" if info is None else info.name

    def _chosen(self, node):
        """What describes the chosen model; a folder outside the library joins the list."""
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
