"""Step 2: training settings, and installation of missing packages."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from AXONTrainingLib.fields import Fields
from AXONTrainingLib.logic import PACKAGES


def stageLabels() -> dict[str, str]:
    """Labels of the stages."""
    return {
        "coarse": _("Encoder and CoarseDiff"),
        "encoder": _("Encoder only"),
        "prior": _("CT prior (DDPM)"),
        "controlnet": _("FineDiff (ControlNet)"),
        "sr": _("SR-Net"),
    }


def stageNotes() -> dict[str, str]:
    """Description and prerequisites of each stage."""
    return {
        "coarse": _("Stage 1: predicts the coarse volume from the X-rays. No prerequisites."),
        "encoder": _(
            "Part of stage 1 that lifts the X-rays to 3D; useful pretraining with little data."
        ),
        "prior": _("Learns the distribution of chest CTs, without X-rays. No prerequisites."),
        "controlnet": _(
            "Stage 2: conditions the prior on the coarse volume. Requires the coarse and prior "
            "runs in the same parent folder, or a model to initialise from."
        ),
        "sr": _(
            "Stage 3: doubles the resolution. Requires the runs of the other stages in the same "
            "parent folder, or a model to initialise from."
        ),
    }


class SettingsBox:
    """The widgets of the section Training.

    Attributes:
        missing: message that names the missing packages, or None.
    """

    def __init__(self, panel) -> None:
        self._panel, self._ui = panel, panel.ui
        fields = self._fields = Fields(panel)
        fields.bindChoice("stageCombo", "stage", stageLabels())
        fields.bindChoice(
            "presetCombo",
            "preset",
            {
                "preview": _("Preview (64 voxels, any computer)"),
                "paper": _("Paper (128 voxels, large GPU)"),
            },
        )
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
        self._fields.refresh()
        self._ui.stageNote.text = stageNotes()[self._panel.parameterNode.stage]

    def poll(self) -> None:
        """Nothing to poll."""

    def install(self) -> None:
        """Install the packages required for training, after confirmation."""
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
