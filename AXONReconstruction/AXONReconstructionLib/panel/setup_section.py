"""The Setup section: what is installed, installing what is missing, the environment report."""

from __future__ import annotations

import qt
import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.jobs.background import Background
from AXONReconstructionLib.panel.bundle_box import BundleBox
from AXONReconstructionLib.panel.section import Section
from AXONReconstructionLib.setup import backend, environment, install, requirements


class SetupSection(Section):
    """Status in words, Install, Check environment; its models are the `BundleBox`."""

    uiFile = "Setup.ui"
    container = "setupSection"

    def __init__(self, panel) -> None:
        Section.__init__(self, panel)
        # Downloads and checks go on beside a reconstruction, and when the scene closes.
        self.background = Background("AXON setup")
        self._installing = False
        self._checking = None
        ui = self.ui
        ui.setupInstallButton.connect("clicked()", self.onInstall)
        ui.setupCheckButton.connect("clicked()", self.onCheck)
        ui.setupCopyButton.connect("clicked()", self.onCopyReport)
        ui.setupHideReportButton.connect("clicked()", self.onHideReport)
        self.bundles = BundleBox(self)
        self.showStatus()
        if backend.available() is not None:
            # Nothing can be computed before this is done.
            panel.container(self.container).collapsed = False

    def entered(self) -> None:
        """What is installed may have changed meanwhile."""
        self.showStatus()
        self.bundles.refresh()

    def busyChanged(self, busy: bool) -> None:
        """While something computes, packages are left alone."""
        self._enable()

    def cleanup(self) -> None:
        """End what still runs."""
        self.background.shutdown()

    def showStatus(self) -> None:
        """Say what is installed and what is missing."""
        ui = self.ui
        torch, packages, todo = (
            requirements.torchPackage(),
            requirements.requiredPackages(),
            requirements.plan(),
        )
        if torch.installed is None:
            ui.setupTorchLabel.text = _("not installed")
        elif torch.satisfied:
            ui.setupTorchLabel.text = _("{version}, installed").format(version=torch.installed)
        else:
            ui.setupTorchLabel.text = _(
                "{version}, installed; AXON was tried with {wanted} only, others may be slow or "
                "fail"
            ).format(version=torch.installed, wanted=torch.required)
        if todo.packages:
            ui.setupPackagesLabel.text = _("missing or too old: {names}").format(
                names=", ".join(todo.packages)
            )
        else:
            ui.setupPackagesLabel.text = _("all {count} installed").format(count=len(packages))
        if todo.empty:
            text = _("Everything is installed")
        elif install.interrupted():
            text = _("Continue installing...")
        else:
            text = _("Install...")
        ui.setupInstallButton.text = text
        self._enable()

    def onInstall(self) -> None:
        """Ask, install, and say how it went."""
        todo = requirements.plan()
        if todo.empty:
            self.showStatus()
            return
        if not install.confirmed(todo, bool(environment.nvidiaGpus())):
            return
        self.panel.hideMessage()
        self._installing = True
        self.panel.setBusy(True)
        self.showProgress(_("Installing"))
        try:
            restart = install.install(todo, self.showProgress)
        except install.InstallationError as error:
            self.panel.showError(str(error), error.details)
            return
        finally:
            self._installing = False
            self.hideProgress()
            self.panel.setBusy(False)
            self.showStatus()
            self.bundles.refresh()
        if restart:
            self._offerRestart()
        else:
            self.panel.showMessage(_("Everything that AXON needs is installed."))

    def _offerRestart(self) -> None:
        if install.interrupted():
            text = _(
                "The PyTorch extension is there. Slicer has to restart to load it; then open AXON "
                "Reconstruction again and press Continue installing."
            )
        else:
            text = _("The packages are installed. Slicer has to restart to use the new versions.")
        self.panel.showMessage(text)
        if slicer.app.testingEnabled():
            return
        question = text + "\n\n" + _("Unsaved data is lost. Restart Slicer now?")
        if slicer.util.confirmYesNoDisplay(question, windowTitle=_("AXON - Restart Slicer")):
            slicer.util.restart()

    def onCheck(self) -> None:
        """Write the report in the background and show it."""
        head = f"{environment.title()}\n\n{environment.slicerReport()}\n"
        self.showProgress(_("Checking; this takes up to a minute"))

        def over() -> None:
            self._checking = None
            self.hideProgress()
            self._enable()

        def done(text) -> None:
            over()
            self.ui.setupReportEdit.plainText = head + text
            self.ui.setupReportFrame.visible = True

        def failed(error) -> None:
            over()
            self.panel.reportError(error)

        self._checking = self.background.submit(
            lambda job: environment.systemReport(),
            onDone=done,
            onError=failed,
            onCancelled=lambda error: over(),
        )
        self._enable()

    def onCopyReport(self) -> None:
        """Put the report on the clipboard."""
        slicer.app.clipboard().setText(self.ui.setupReportEdit.plainText)
        self.panel.showMessage(_("The report is on the clipboard."))

    def onHideReport(self) -> None:
        """Fold the report away."""
        self.ui.setupReportFrame.visible = False

    def showProgress(self, text: str, percent: int | None = None) -> None:
        """A line and a bar; without a percentage the bar only moves."""
        ui = self.ui
        ui.setupProgressLabel.text = text
        ui.setupProgressLabel.visible = True
        ui.setupProgressBar.maximum = 0 if percent is None else 100
        ui.setupProgressBar.value = -1 if percent is None else percent
        ui.setupProgressBar.visible = True
        if self._installing:
            # pip runs on this thread: the line is painted only now.
            slicer.app.processEvents(qt.QEventLoop.ExcludeUserInputEvents)

    def hideProgress(self) -> None:
        """Nothing runs."""
        self.ui.setupProgressLabel.visible = False
        self.ui.setupProgressBar.visible = False

    def bundlesWereChanged(self) -> None:
        """A model was imported or deleted: tell every section."""
        for section in self.panel.sections.values():
            section.bundlesChanged()

    def _enable(self) -> None:
        free = not (self._installing or self.panel.isBusy)
        self.ui.setupInstallButton.enabled = free and not requirements.plan().empty
        self.ui.setupCheckButton.enabled = free and self._checking is None
