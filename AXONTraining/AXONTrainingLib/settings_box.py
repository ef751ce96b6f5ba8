"""Step 2: what to train, and how long; and what has to be installed for it."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from AXONTrainingLib.fields import Fields
from AXONTrainingLib.logic import PACKAGES


def stageLabels() -> dict[str, str]:
    """The stages in the user's words."""
    return {
        "coarse": _("Coarse volume (encoder and CoarseDiff)"),
        "encoder": _("Encoder alone"),
        "prior": _("Chest prior (DDPM)"),
        "controlnet": _("Fine volume (ControlNet on the prior)"),
        "sr": _("High resolution (SR-Net)"),
    }


def stageNotes() -> dict[str, str]:
    """What each stage needs and gives."""
    return {
        "coarse": _("Stage 1: from the X-rays to the coarse volume. Needs nothing before it."),
        "encoder": _(
            "The part of stage 1 that lifts the X-rays to 3D; a first step with few data."
        ),
        "prior": _("Learns what chests look like, from the CTs alone. Needs nothing before it."),
        "controlnet": _(
            "Stage 2: steers the prior by the coarse volume. Needs the runs of coarse and prior "
            "beside this one, or a model to begin from."
        ),
        "sr": _(
            "Stage 3: twice the resolution. Needs the runs of the other stages beside this one, "
            "or a model to begin from."
        ),
    }


class SettingsBox:
    """The controls of the section Training.

    Attributes:
        missing: the sentence that says what is not installed, or None.
    """

    def __init__(self, panel) -> None:
        self._panel, self._ui = panel, panel.ui
        fields = self._fields = Fields(panel)
        fields.choice("stageCombo", "stage", stageLabels())
        fields.choice(
            "presetCombo",
            "preset",
            {
                "preview": _("Preview: 64, for any computer"),
                "paper": _("Paper: 128, for a big GPU"),
            },
        )
        fields.tie("number", "amountSpin", "amount")
        fields.choice("unitCombo", "unit", {"minutes": _("minutes"), "steps": _("steps")})
        fields.choice(
            "deviceCombo",
            "device",
            {
                "auto": _("graphics card if there is one"),
                "cuda": _("graphics card (CUDA)"),
                "cpu": _("processor (CPU)"),
            },
        )
        fields.tie("path", "startBundleEdit", "startBundle")
        fields.tie("number", "batchSpin", "batch")
        fields.choice(
            "precisionCombo",
            "precision",
            {"auto": _("automatic"), "32": _("32 bit"), "bf16-mixed": _("bf16")},
        )
        fields.tie("number", "seedSpin", "seed")
        fields.tie("number", "realSpin", "realShare")
        fields.tie("text", "extraEdit", "extra")
        self._ui.installButton.connect("clicked()", self.install)
        self.missing: str | None = None

    def refresh(self) -> None:
        """As the parameter node says."""
        self._fields.refresh()
        self._ui.stageNote.text = stageNotes()[self._panel.parameterNode.stage]

    def poll(self) -> None:
        """Nothing runs here."""

    def install(self) -> None:
        """Install the packages for training, once the user agrees."""
        from AXONReconstructionLib.setup import backend, install, requirements

        self._panel.hideMessage()
        if backend.available() is not None:
            # PyTorch and the rest: the other module's Setup section knows how.
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
        """Say what is not installed; without it no training can be started."""
        self.missing = self._panel.logic.missing()
        self._ui.missingLabel.text = self.missing or ""
        self._ui.missingLabel.visible = self._ui.installButton.visible = self.missing is not None
        self._panel.boxes["run"].showButtons()
