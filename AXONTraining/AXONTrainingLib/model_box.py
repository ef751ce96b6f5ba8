"""Step 4: a model of what was trained."""

from __future__ import annotations

from pathlib import Path

import slicer
from slicer.i18n import tr as _

from AXONTrainingLib import processes
from AXONTrainingLib.fields import Fields
from AXONTrainingLib.logic import ended
from AXONTrainingLib.run_words import lastSentence


class ModelBox:
    """The controls of the section Model."""

    def __init__(self, panel) -> None:
        self._panel, self._ui = panel, panel.ui
        self._fields = Fields(panel)
        self._fields.tie("path", "exportPathEdit", "exportPath")
        self._ui.exportButton.connect("clicked()", self.export)
        self._ui.openButton.connect("clicked()", self.open)
        self._process = None
        self._output = Path()

    def refresh(self) -> None:
        """As the parameter node says."""
        self._fields.refresh()
        node, busy = self._panel.parameterNode, self._process is not None
        self._ui.exportButton.enabled = not busy and bool(node.exportPath and node.runPath)
        self._ui.openButton.enabled = not busy and _isModel(node.exportPath)

    def export(self) -> None:
        """Start making the model."""
        self._panel.hideMessage()
        node = self._panel.parameterNode
        run = Path(node.runPath)
        try:
            # The stages lie beside one another: their common folder holds what belongs together.
            self._process = self._panel.logic.exportBundle(run.parent, node.exportPath)
        except Exception as error:
            self._panel.reportError(error)
            return
        self._output = Path(node.exportPath)
        self._ui.exportLabel.text = _("Making the model...")
        self.refresh()

    def poll(self) -> None:
        """How far the export is."""
        if self._process is None or not ended(self._process):
            return
        code, self._process = self._process.returncode, None
        words = processes.lastWords(self._panel.logic.exportLog(self._output))
        if code == 0:
            self._ui.exportLabel.text = _("The model is in {path}.\n{words}").format(
                path=self._output, words=words
            )
        else:
            self._ui.exportLabel.text = ""
            self._panel.showError(lastSentence(words), words)
        self.refresh()

    def open(self) -> None:
        """Choose the model in AXON Reconstruction, and go there."""
        path = self._panel.parameterNode.exportPath
        slicer.util.selectModule("AXONReconstruction")
        widget = slicer.util.getModuleWidget("AXONReconstruction")
        widget.panel.parameterNode.bundle = path


def _isModel(path: str) -> bool:
    return bool(path) and (Path(path) / "configs" / "metadata.json").is_file()
