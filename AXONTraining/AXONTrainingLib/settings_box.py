"""Step 2: training settings, and installation of missing packages."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.setup import methods
from AXONTrainingLib.fields import Fields
from AXONTrainingLib.logic import PACKAGES


def presetLabel(name: str) -> str:
    """Label of a preset."""
    known = {
        "preview": _("Preview (any computer)"),
        "full": _("Full size (GPU)"),
        "paper": _("Paper, one view (large GPU)"),
        "paper_biplanar": _("Paper, two views (large GPU)"),
    }
    return known.get(name, name)


class SettingsBox:
    """The widgets of the section Training.

    Attributes:
        missing: message that names the missing packages, or None.
    """

    def __init__(self, panel) -> None:
        self._panel, self._ui = panel, panel.ui
        fields = self._fields = Fields(panel)
        labels = {name: method.label for name, method in methods.available().items()}
        fields.bindChoice("methodCombo", "method", labels)
        fields.bindChoice("stageCombo", "stage", {})
        fields.bindChoice("presetCombo", "preset", {})
        self._method: Any = None  # whose trainings and presets the combo boxes list
        fields.bind("number", "amountSpin", "amount")
        fields.bindChoice("unitCombo", "unit", {"minutes": _("minutes"), "steps": _("steps")})
        fields.bindChoice(
            "deviceCombo",
            "device",
            {
                "auto": _("Automatic"),
                "cuda": _("GPU (CUDA)"),
                "cpu": _("CPU"),
            },
        )
        fields.bind("path", "startBundleEdit", "startBundle")
        fields.bind("number", "batchSpin", "batch")
        fields.bindChoice(
            "precisionCombo",
            "precision",
            {"auto": _("Automatic"), "32": _("32-bit"), "bf16-mixed": _("bf16 (mixed)")},
        )
        fields.bind("number", "seedSpin", "seed")
        fields.bind("number", "realSpin", "realShare")
        fields.bind("text", "extraEdit", "extra")
        self._ui.installButton.connect("clicked()", self.install)
        self.missing: str | None = None

    def refresh(self) -> None:
        """Update the widgets from the parameter node."""
        method = self._panel.logic.methodOf(self._panel.parameterNode)
        if method is not None and method is not self._method:
            self._method = method
            trainings = {training.name: training.label for training in method.trainings}
            self._fields.setChoices("stageCombo", trainings)
            self._fields.setChoices("presetCombo", {p: presetLabel(p) for p in method.presets})
        self._fields.refresh()
        training = None if method is None else method.trainings[self._ui.stageCombo.currentIndex]
        self._ui.stageNote.text = "" if training is None else training.description

    def chosen(self) -> dict[str, str]:
        """The method, training and preset shown, as arguments of the logic's `start`."""
        ui = self._ui
        combos = {"method": ui.methodCombo, "stage": ui.stageCombo, "preset": ui.presetCombo}
        return {name: combo.itemData(combo.currentIndex) for name, combo in combos.items()}

    def poll(self) -> None:
        """Nothing to poll."""

    def install(self) -> None:
        """Install the packages required for training, after confirmation."""
        from AXONReconstructionLib.jobs import pip_process
        from AXONReconstructionLib.setup import backend, install, requirements

        self._panel.hideMessage()
        if backend.available() is not None:
            # PyTorch and other packages are installed by the other module's Setup section.
            slicer.util.selectModule("AXONReconstruction")
            return
        packages = tuple(
            name for name in PACKAGES if requirements.installedVersion(name.split(">")[0]) is None
        )
        todo = requirements.Plan(extension=False, torch=False, packages=packages, replaced=())
        if not install.confirmed(todo, nvidiaGpu=False):
            return
        try:
            with pip_process.following():
                install.installPackages(list(packages), self._panel.showMessage)
        except install.InstallationError as error:
            self._panel.showError(str(error), error.details)
        self.checkPackages()

    def checkPackages(self) -> None:
        """Show which packages are missing; training cannot be started without them."""
        self.missing = self._panel.logic.missing()
        self._ui.missingLabel.text = self.missing or ""
        self._ui.missingLabel.visible = self._ui.installButton.visible = self.missing is not None
        self._panel.boxes["run"].showButtons()
