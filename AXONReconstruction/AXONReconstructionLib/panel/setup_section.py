"""The Setup section: installation status, installation of packages, environment report."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.jobs import pip_process
from AXONReconstructionLib.jobs.background import Background
from AXONReconstructionLib.jobs.worker import Job
from AXONReconstructionLib.panel.bundle_box import BundleBox
from AXONReconstructionLib.panel.section import Section
from AXONReconstructionLib.setup import backend, environment, install, requirements


class SetupSection(Section):
    """Installation and environment check; models are managed by `BundleBox`."""

    uiFile = "Setup.ui"
    container = "setupSection"

    def __init__(self, panel) -> None:
        Section.__init__(self, panel)
        # Downloads and checks continue during a reconstruction and when the scene closes.
        self.background = Background("AXON setup")
        self._installing = False
        self._complete = True  # whether nothing was missing when the status was last shown
        self._checking: Job | None = None
        ui = self.ui
        ui.setupInstallButton.connect("clicked()", self.onInstall)
        ui.setupCheckButton.connect("clicked()", self.onCheck)
        ui.setupCopyButton.connect("clicked()", self.onCopyReport)
        self.bundles = BundleBox(self)
        self.showStatus()
        if backend.available() is not None:
            # Nothing works until the packages are installed.
            panel.container(self.container).collapsed = False

    def entered(self) -> None:
        """Update, as packages or models may have changed."""
        self.showStatus()
        self.bundles.refresh()

    def busyChanged(self, busy: bool) -> None:
        """Disable installation during computations."""
        self._enable()

    def cleanup(self) -> None:
        """Cancel running tasks."""
        self.background.shutdown()

    def showStatus(self) -> None:
        """Show which packages are installed and which are missing."""
        ui = self.ui
        torch, packages, todo = (
            requirements.torchPackage(),
            requirements.requiredPackages(),
            requirements.plan(),
        )
        self._complete = todo.empty
        if torch.installed is None:
            ui.setupTorchLabel.text = _("not installed")
        elif torch.satisfied:
            ui.setupTorchLabel.text = _("{version} installed").format(version=torch.installed)
        else:
            ui.setupTorchLabel.text = _(
                "{version} installed; AXON is tested with {required} only, other versions may be "
                "slow or fail"
            ).format(version=torch.installed, required=torch.required)
        if todo.packages:
            ui.setupPackagesLabel.text = _("missing or outdated: {names}").format(
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
        """Install missing packages after confirmation, and report the outcome."""
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
            with pip_process.following(install.importTorch if todo.torch else None):
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
            self.panel.showMessage(_("All required packages are installed."))

    def _offerRestart(self) -> None:
        if install.interrupted():
            text = _(
                "The PyTorch extension was installed. Restart Slicer to load it, then open AXON "
                "Reconstruction and click Continue installing."
            )
        else:
            text = _("The packages were installed. Restart Slicer to use the new versions.")
        self.panel.showMessage(text)
        if slicer.app.testingEnabled():
            return
        question = text + "\n\n" + _("Unsaved data will be lost. Restart Slicer now?")
        if slicer.util.confirmYesNoDisplay(question, windowTitle=_("AXON - Restart Slicer")):
            slicer.util.restart()

    def onCheck(self) -> None:
        """Create the environment report in the background and show it, or hide it."""
        if self.ui.setupReportFrame.visible:
            self.ui.setupReportFrame.visible = False
            self._enable()
            return
        head = f"{environment.title()}\n\n{environment.slicerReport()}\n"
        self.showProgress(_("Checking (up to a minute)"))

        def over() -> None:
            self._checking = None
            self.hideProgress()
            self._enable()

        def done(text) -> None:
            over()
            self.ui.setupReportEdit.plainText = head + text
            self.ui.setupReportFrame.visible = True
            self._enable()

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
        """Copy the report to the clipboard."""
        slicer.app.clipboard().setText(self.ui.setupReportEdit.plainText)
        self.panel.showMessage(_("The report was copied to the clipboard."))

    def showProgress(self, text: str, percent: int | None = None) -> None:
        """Show a task and its progress; the bar is indeterminate without a percentage."""
        ui = self.ui
        ui.setupProgressLabel.text = text
        ui.setupProgressLabel.visible = True
        ui.setupProgressBar.maximum = 0 if percent is None else 100
        ui.setupProgressBar.value = -1 if percent is None else percent
        ui.setupProgressBar.visible = True

    def hideProgress(self) -> None:
        """Hide the progress bar."""
        self.ui.setupProgressLabel.visible = False
        self.ui.setupProgressBar.visible = False

    def bundlesWereChanged(self) -> None:
        """Notify all sections that a model was imported or deleted."""
        for section in self.panel.sections.values():
            section.bundlesChanged()

    def _enable(self) -> None:
        free = not (self._installing or self.panel.isBusy)
        self.ui.setupInstallButton.enabled = free and not self._complete
        shown = self.ui.setupReportFrame.visible
        self.ui.setupCheckButton.text = _("Hide report") if shown else _("Check environment")
        self.ui.setupCheckButton.enabled = free and self._checking is None
