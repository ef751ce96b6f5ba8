"""The Reconstruct section: settings, start button, progress and result."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.panel import result_text, run_plan
from AXONReconstructionLib.panel.model_and_device import ModelAndDevice
from AXONReconstructionLib.panel.progress_rows import ProgressRows
from AXONReconstructionLib.panel.reconstruction_run import ReconstructionRun
from AXONReconstructionLib.panel.section import Section
from AXONReconstructionLib.panel.stage_widgets import StageWidgets
from AXONReconstructionLib.scene.results import ReconstructionResult
from AXONReconstructionLib.setup import run_times
from AXONReconstructionLib.views import display

IDLE, RUNNING, STOPPING = "idle", "running", "stopping"


class ReconstructSection(Section):
    """Runs a reconstruction with the parameter node's settings.

    Attributes:
        state: ``idle``, ``running``, or ``stopping`` after Cancel until the current step ends.
    """

    uiFile = "Reconstruct.ui"
    container = "reconstructSection"

    def __init__(self, panel) -> None:
        Section.__init__(self, panel)
        self.state = IDLE
        self._run: ReconstructionRun | None = None
        self._lastState: tuple = ()
        self._viewsArePrepared = False  # for the first volume of a run
        ui = self.ui
        self.stages = StageWidgets(ui, self.onStage, self.onSteps)
        self.rows = ProgressRows(ui.prepareState, self.stages)
        self.modelAndDevice = ModelAndDevice(self, self._showChoices)
        ui.reconstructButton.connect("clicked()", self.onReconstruct)
        ui.moreSettings.connect("toggled(bool)", lambda _on: self._detectHardware())
        self.modelAndDevice.refresh()

    # Updates from the panel

    def parameterNodeChanged(self, node) -> None:
        """Update if a relevant setting changed."""
        state = _relevantState(node)
        if state != self._lastState:
            self._lastState = state
            self._showChoices()
            self._detectHardware()

    def busyChanged(self, busy: bool) -> None:
        """Update the button when another computation starts or ends."""
        self.updateButton()

    def entered(self) -> None:
        """Reload, as packages or models may have been installed."""
        self.bundlesChanged()

    def bundlesChanged(self) -> None:
        """Reload the list of models."""
        self.modelAndDevice.refresh()
        self._showChoices()
        self._detectHardware()

    def _detectHardware(self) -> None:
        """Detect the hardware, which imports PyTorch, once it is needed: there is something to
        reconstruct, or the settings that depend on it are shown."""
        node = self.parameterNode
        needed = node is not None and not run_plan.blockingReason(node)
        if self.panel.isShown and (needed or not self.ui.moreSettings.collapsed):
            self.modelAndDevice.detectHardware()

    def sceneClosing(self) -> None:
        """Reset the section; the logic cancels the run."""
        self._run = None
        self._setState(IDLE)
        self.rows.reset()
        self._showResult("", [])

    def cleanup(self) -> None:
        """Cancel the run."""
        if self._run is not None:
            self._run.cancel()
            self._run = None

    # User actions

    def onStage(self, stage: str, run: bool) -> None:
        """Run or skip a stage, whatever the model recommends."""
        node = self.parameterNode
        if node is None:
            return
        skipped = [name for name in node.skippedStages if name != stage]
        added = [name for name in node.addedStages if name != stage]
        (added if run else skipped).append(stage)
        with slicer.util.NodeModify(node.parameterNode):
            node.skippedStages, node.addedStages = skipped, added

    def onSteps(self, stage: str, count: int) -> None:
        """Store the number of steps of a stage; 0 is the model default."""
        node = self.parameterNode
        if node is not None:
            others = {name: n for name, n in node.steps.items() if name != stage}
            node.steps = {**others, stage: count} if count else others

    def onReconstruct(self) -> None:
        """Start a run, or cancel the current one."""
        if self.state == IDLE:
            self.start()
        elif self.state == RUNNING and self._run is not None:
            self._setState(STOPPING)
            self._run.cancel()

    def start(self) -> None:
        """Start a reconstruction with the parameter node's settings."""
        node = self.parameterNode
        method = self.modelAndDevice.method(node)
        self.panel.hideMessage()
        self._showResult("", [])
        self._viewsArePrepared = False
        stages = self.modelAndDevice.stages(node)
        self.rows.start(stages)
        self._setState(RUNNING)

        def mine(callback):
            # A run whose scene was closed still ends, possibly during the next run.
            return lambda *a, **k: callback(*a, **k) if self._run is run else None

        run = self._run = ReconstructionRun(
            self.logic,
            node,
            stages,
            run_plan.stepsOf(node, method),
            progress=mine(self._progress),
            stageFinished=mine(self._stageFinished),
            finished=mine(self._finished),
            cancelled=mine(self._cancelled),
            failed=mine(self._failed),
        )
        run.start()

    # Callbacks of the run

    def _progress(self, stage, step, total, secondsLeft=None, preview=None) -> None:
        if self.state == RUNNING:
            self.rows.report(stage, step, total, secondsLeft)

    def _stageFinished(self, stage, volume) -> None:
        self.rows.stageFinished(stage)
        node = self.parameterNode
        if self.state != RUNNING or node is None or not self.panel.isShown:
            return
        # A stage's volume is shown while the others are still running, and then replaced.
        preview = ReconstructionResult({stage: volume})
        if not self._viewsArePrepared:
            self._viewsArePrepared = True
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
            self._showResult(_("Cancelled before the first stage finished; nothing was kept."), [])
        elif self.parameterNode is not None and not _isShown(result, self.parameterNode):
            self.ui.resultLabel.text += _(
                " The earlier result is still shown; the list of results in step 4 has this one."
            )

    def _failed(self, error) -> None:
        self._ended(None, _("failed"))
        self.panel.reportError(error)

    def _ended(self, result, word: str = "") -> None:
        self._run = None
        self._setState(IDLE)
        if result is None:
            self.rows.stop(word or _("cancelled"))
        else:
            self.rows.finish(result.record)
        self._showChoices()  # the model may have been changed or deleted during the run
        if result is None:
            if self._viewsArePrepared:  # they show a stage of this run
                self._showComparison()
            return
        node = self.parameterNode
        shown = result.recommendedStage if node is not None and _isShown(result, node) else ""
        self._showResult(
            result_text.resultLine(result.record, result.volume, shown),
            result_text.warnings(result.record),
        )
        self._showComparison()

    # Display

    def _showComparison(self) -> None:
        """Show the result of the parameter node; not in the views of another module."""
        node = self.parameterNode
        if node is not None and any(node.volumes.values()) and self.panel.isShown:
            self.panel.sections["compareSection"].onShow()

    def updateButton(self) -> None:
        """Update the button's text, tooltip and enabled state, and the plan above it."""
        ui, node = self.ui, self.parameterNode
        button = ui.reconstructButton
        button.text = {
            IDLE: _("Reconstruct"),
            RUNNING: _("Cancel"),
            STOPPING: _("Cancelling..."),
        }[self.state]
        if self.state != IDLE:
            button.enabled = self.state == RUNNING
            button.toolTip = _("Cancels after the current step; finished stages are kept.")
            return
        reason = run_plan.blockingReason(node) or self.modelAndDevice.blockingReason(node)
        if not reason and self.panel.isBusy:
            reason = _("Another computation is running. Wait for it to finish, or cancel it.")
        button.enabled = not reason
        button.toolTip = reason or _("Reconstruct the CT volume from the X-rays.")
        chosen = self.modelAndDevice
        ui.planLabel.text = reason or run_plan.planText(
            node,
            chosen.device(node),
            chosen.bundleName(node),
            chosen.method(node),
            chosen.recommendedStages(node),
            chosen.defaultSteps(node),
        )

    def _setState(self, state: str) -> None:
        wasIdle, self.state = self.state == IDLE, state
        idle = state == IDLE
        if wasIdle != idle:
            for name in _LOCKED:
                getattr(self.ui, name).enabled = idle
            self.panel.setBusy(not idle)
        self.updateButton()

    def _showChoices(self) -> None:
        node = self.parameterNode
        self.modelAndDevice.show(node)
        if node is not None and self.state == IDLE:  # a run keeps the rows that it began with
            method = self.modelAndDevice.method(node)
            self.stages.build(method)
            if method is not None:
                chosen = self.modelAndDevice
                self.stages.show(
                    chosen.stages(node),
                    chosen.recommendedStages(node),
                    dict(node.steps),
                    chosen.defaultSteps(node),
                )
        self.updateButton()

    def _showResult(self, line: str, warnings: list[str]) -> None:
        ui = self.ui
        ui.resultLabel.text = line
        ui.resultLabel.visible = bool(line)
        ui.warningsLabel.text = "\n".join(warnings)
        ui.warningsLabel.visible = bool(warnings)


def _isShown(result, node) -> bool:
    """Whether a result is the one of the parameter node."""
    shown = [volume for volume in node.volumes.values() if volume is not None]
    return any(volume in shown for volume in result.volumes.values())


def _relevantState(node) -> tuple:
    """The parameters that this section depends on."""
    if node is None:
        return ()
    inputs = [getattr(node, name) for name in _INPUTS]
    refused = run_plan.blockingReason(node)  # a correction changes it, not the node
    settings = [getattr(node, name) for name in _SETTINGS]
    stages = (tuple(node.skippedStages), tuple(node.addedStages), dict(node.steps))
    return (*(None if n is None else n.GetID() for n in inputs), refused, *settings, *stages)


_LOCKED = (
    "bundleCombo",
    "moreSettings",
)
_INPUTS = ("frontal", "lateral", "groundTruth")
_SETTINGS = (
    "frontalAccepted",
    "lateralAccepted",
    "bundle",
    "device",
    "registerAutomatically",
    "samples",
)
