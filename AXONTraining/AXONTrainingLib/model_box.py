"""Step 4: export of a trained model."""

from __future__ import annotations

from pathlib import Path

import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.jobs.processes import Job
from AXONTrainingLib.fields import Fields
from AXONTrainingLib.run_text import failureMessage


class ModelBox:
    """The widgets of the section Model."""

    def __init__(self, panel) -> None:
        self._panel, self._ui = panel, panel.ui
        self._fields = Fields(panel)
        self._fields.bind("path", "exportPathEdit", "exportPath")
        self._ui.exportButton.connect("clicked()", self.export)
        self._ui.openButton.connect("clicked()", self.open)
        self._job = Job()
        self._output = Path()

    def refresh(self) -> None:
        """Update the widgets from the parameter node."""
        self._fields.refresh()
        self._showButtons()

    def _showButtons(self) -> None:
        """Update the buttons; a tooltip says why the export is not possible."""
        node, ui, reason = self._panel.parameterNode, self._ui, ""
        weights = self._panel.logic.weights(node.runPath) if node.runPath else ""
        if self._job.busy:
            reason = _("The model is being exported.")
        elif not node.runPath:
            reason = _("Choose a run folder in step 3 first.")
        elif not weights:
            reason = _("The run has no weights yet: it saves them when it stops.")
        elif not node.exportPath:
            reason = _("Choose an output folder first.")
        ui.exportButton.text = (
            _("Export model (not validated yet)") if weights == "last" else _("Export model")
        )
        ui.exportButton.enabled = not reason
        ui.exportButton.toolTip = reason or _(
            "Export the best weights of this run and its sibling runs, with a description of how "
            "they were trained."
        )
        ui.openButton.enabled = not self._job.busy and _isModel(node.exportPath)

    def export(self) -> None:
        """Start the export."""
        self._panel.hideMessage()
        node, logic = self._panel.parameterNode, self._panel.logic
        run, output = Path(node.runPath), Path(node.exportPath)
        try:
            # The runs of all stages are in one parent folder.
            self._job.follow(logic.exportBundle(run.parent, output), logic.exportLog(output))
        except Exception as error:
            self._panel.reportError(error)
            return
        self._output = output
        self._ui.exportLabel.text = _("Exporting the model...")
        self.refresh()

    def poll(self) -> None:
        """Update the state of the export."""
        code = self._job.takeExitCode()
        if code is None:
            self._showButtons()  # the run may have saved its first weights
            return
        output = self._job.lastLines()
        if code == 0:
            self._ui.exportLabel.text = _("The model was exported to {path}.\n{output}").format(
                path=self._output, output=output
            )
        else:
            self._ui.exportLabel.text = ""
            self._panel.showError(failureMessage(output), output)
        self.refresh()

    def open(self) -> None:
        """Select the model in AXON Reconstruction and open that module."""
        path = self._panel.parameterNode.exportPath
        slicer.util.selectModule("AXONReconstruction")
        slicer.util.getModuleWidget("AXONReconstruction").panel.useModel(path)


def _isModel(path: str) -> bool:
    return bool(path) and (Path(path) / "configs" / "metadata.json").is_file()
