"""The Reconstruct section: settings, one button, progress and what came out."""

from __future__ import annotations

from slicer.i18n import tr as _

from AXONReconstructionLib.panel import result_text, run_plan
from AXONReconstructionLib.panel.progress_rows import ProgressRows
from AXONReconstructionLib.panel.reconstruction_run import ReconstructionRun
from AXONReconstructionLib.panel.run_choices import RunChoices
from AXONReconstructionLib.panel.section import Section
from AXONReconstructionLib.setup import run_times
from AXONReconstructionLib.views import display

IDLE, RUNNING, STOPPING = "idle", "running", "stopping"


class ReconstructSection(Section):
    """Runs a reconstruction with the parameter node's settings.

    Attributes:
        state: ``idle``, ``running``, or ``stopping`` after Cancel until the present step ends.
    """

    uiFile = "Reconstruct.ui"
    container = "reconstructSection"

    def __init__(self, panel) -> None:
        Section.__init__(self, panel)
        self.state = IDLE
        self._run = None
        self._told: tuple = ()
        self.rows = ProgressRows(self.ui)
        self.choices = RunChoices(self, self._looked)
        ui = self.ui
        ui.bundleSetupButton.connect("clicked()", self.onSetup)
        ui.reconstructButton.connect("clicked()", self.onReconstruct)
        panel.container(self.container).connect("contentsCollapsed(bool)", self.onCollapsed)
        self.choices.refresh()

    # Following the panel

    def parameterNodeChanged(self, node) -> None:
        """Follow the settings; cheap when none of them concerns this section."""
        told = _concerns(node)
        if told != self._told:
            self._told = told
            self._looked()

    def busyChanged(self, busy: bool) -> None:
        """Another section started or ended a computation."""
        self.updateButton()

    def entered(self) -> None:
        """Packages or models may have come meanwhile."""
        self.bundlesChanged()

    def bundlesChanged(self) -> None:
        """Read the list of models anew."""
        self.choices.refresh()
        self._looked()
        self.onCollapsed(self.panel.container(self.container).collapsed)

    def onCollapsed(self, collapsed: bool) -> None:
        """Look at this computer when the section is first opened."""
        if not collapsed:
            self.choices.look()

    def sceneClosing(self) -> None:
        """The logic cancels what runs; its words go."""
        self._run = None
        self._setState(IDLE)
        self.rows.reset()
        self._showResult("", [])

    def cleanup(self) -> None:
        """Stop what runs."""
        if self._run is not None:
            self._run.cancel()
            self._run = None

    # What the user does

    def onSetup(self) -> None:
        """Open the Setup section."""
        self.panel.container("setupSection").collapsed = False

    def onReconstruct(self) -> None:
        """Start, or ask the running computation to stop."""
        if self.state == IDLE:
            self.start()
        elif self.state == RUNNING:
            self._setState(STOPPING)
            self._run.cancel()

    def start(self) -> None:
        """Start a reconstruction with the parameter node's settings."""
        node = self.parameterNode
        self.panel.hideMessage()
        self._showResult("", [])
        self.rows.start(run_plan.stagesOf(node))
        self._setState(RUNNING)

        def mine(callback):
            # A run whose scene was closed still ends, maybe while the next one is under way.
            return lambda *a, **k: callback(*a, **k) if self._run is run else None

        run = self._run = ReconstructionRun(
            self.logic,
            node,
            progress=mine(self._progress),
            stageDone=mine(self._stageDone),
            finished=mine(self._finished),
            cancelled=mine(self._cancelled),
            failed=mine(self._failed),
        )
        run.start()

    # While it runs

    def _progress(self, stage, step, total, secondsLeft=None, preview=None) -> None:
        if self.state == RUNNING:
            self.rows.report(stage, step, total, secondsLeft)

    def _stageDone(self, stage, volume) -> None:
        self.rows.stageDone(stage)
        node = self.parameterNode
        if self.state != RUNNING or node is None or not self.panel.isShown:
            return
        # The first stage is shown while the others still compute; later ones take its place.
        preview = display.ReconstructionResult({stage: volume})
        if stage == "coarse":
            display.showComparison(preview, stage, node.preset)
        else:
            display.showVolumes(preview, stage, node.preset)
            display.showSlices(preview, stage)

    def _finished(self, result) -> None:
        run_times.remember(result.record)
        self._ended(result)

    def _cancelled(self, result) -> None:
        self._ended(result)
        if result is None:
            self._showResult(_("Stopped before the first stage had ended; nothing was kept."), [])

    def _failed(self, error) -> None:
        self._ended(None, _("failed"))
        self.panel.reportError(error)

    def _ended(self, result, word: str = "") -> None:
        node = self.parameterNode
        self._run = None
        self._setState(IDLE)
        if result is None:
            self.rows.stop(word or _("stopped"))
            return
        self.rows.finish(result.record)
        self._showResult(
            result_text.resultLine(result.record, result.volume),
            result_text.warnings(result.record),
        )
        if node is not None and self.panel.isShown:  # another module's views are left alone
            display.showComparison(result, node.shownStage, node.preset, node.linkCameras)

    # What is shown

    def updateButton(self) -> None:
        """Text, tooltip and whether the button can be pressed; the plan above it."""
        ui, node = self.ui, self.parameterNode
        button = ui.reconstructButton
        button.text = {
            IDLE: _("Reconstruct"),
            RUNNING: _("Cancel"),
            STOPPING: _("Stopping..."),
        }[self.state]
        if self.state != IDLE:
            button.enabled = self.state == RUNNING
            button.toolTip = _("Stop after the present step; finished stages are kept.")
            return
        why = run_plan.obstacle(node) or self.choices.obstacle(node)
        if not why and self.panel.isBusy:
            why = _("Another step is still computing; wait for it or stop it.")
        button.enabled = not why
        button.toolTip = why or _("Compute the CT volume from the X-rays.")
        ui.planLabel.text = why or run_plan.sentence(
            node, self.choices.device(node), self.choices.bundleName(node)
        )

    def _setState(self, state: str) -> None:
        wasIdle, self.state = self.state == IDLE, state
        idle = state == IDLE
        if wasIdle != idle:
            for name in _LOCKED:
                getattr(self.ui, name).enabled = idle
            self.panel.busy(not idle)
        self.updateButton()

    def _looked(self) -> None:
        self.choices.show(self.parameterNode)
        self.updateButton()

    def _showResult(self, line: str, warnings: list[str]) -> None:
        ui = self.ui
        ui.resultLabel.text = line
        ui.resultLabel.visible = bool(line)
        ui.warningsLabel.text = "\n".join(warnings)
        ui.warningsLabel.visible = bool(warnings)


def _concerns(node) -> tuple:
    """What of the parameter node this section shows."""
    if node is None:
        return ()
    inputs = [getattr(node, name) for name in _INPUTS]
    settings = [getattr(node, name) for name in _SETTINGS]
    return (*(None if n is None else n.GetID() for n in inputs), *settings)


_LOCKED = (
    "bundleCombo",
    "deviceCombo",
    "runFine",
    "runSR",
    "registerAutomatically",
    "moreSettings",
)
_INPUTS = ("frontal", "lateral", "groundTruth")
_SETTINGS = (
    "frontalAccepted",
    "lateralAccepted",
    "bundle",
    "device",
    "runFine",
    "runSR",
    "registerAutomatically",
    "coarseSteps",
    "fineSteps",
    "samples",
)
