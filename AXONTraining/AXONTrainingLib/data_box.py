"""Step 1: check a data set, or prepare one."""

from __future__ import annotations

from pathlib import Path

from slicer.i18n import tr as _

from AXONTrainingLib import processes
from AXONTrainingLib.fields import Fields
from AXONTrainingLib.logic import ended
from AXONTrainingLib.run_words import lastSentence


class DataBox:
    """The controls of the section Data."""

    def __init__(self, panel) -> None:
        self._panel, self._ui = panel, panel.ui
        self._fields = Fields(panel)
        self._fields.tie("path", "dataPathEdit", "dataPath")
        self._fields.tie("path", "sourcePathEdit", "sourcePath")
        self._fields.tie("path", "preparedPathEdit", "preparedPath")
        self._ui.checkButton.connect("clicked()", self.check)
        self._ui.prepareButton.connect("clicked()", self.prepare)
        self._process = None
        self._output = Path()
        self._described = ""

    def refresh(self) -> None:
        """As the parameter node says."""
        self._fields.refresh()
        node = self._panel.parameterNode
        if node.dataPath != self._described:
            self._described, self._ui.dataLabel.text = node.dataPath, ""
        self._ui.checkButton.enabled = bool(node.dataPath)
        preparing = self._process is not None
        self._ui.prepareButton.enabled = preparing or bool(node.sourcePath and node.preparedPath)
        self._ui.prepareButton.text = _("Stop preparing") if preparing else _("Prepare")

    def check(self) -> None:
        """Say what is in the data set."""
        self._panel.hideMessage()
        try:
            told = self._panel.logic.checkDataset(self._panel.parameterNode.dataPath)
        except Exception as error:
            self._ui.dataLabel.text = ""
            self._panel.reportError(error)
            return
        self._ui.dataLabel.text = inWords(told)
        if told.problems:
            self._panel.showError(told.problems[0], "\n".join([*told.problems, *told.missing]))

    def prepare(self) -> None:
        """Start preparing, or stop it."""
        if self._process is not None:
            processes.terminate(self._process.pid)
            return
        self._panel.hideMessage()
        node = self._panel.parameterNode
        try:
            self._process = self._panel.logic.prepare(node.sourcePath, node.preparedPath)
        except Exception as error:
            self._panel.reportError(error)
            return
        self._output = Path(node.preparedPath)
        self._ui.prepareLabel.text = _("Preparing...")
        self.refresh()

    def poll(self) -> None:
        """How far the preparation is."""
        if self._process is None:
            return
        log = self._panel.logic.prepareLog(self._output)
        if not ended(self._process):
            self._ui.prepareLabel.text = processes.lastWords(log, 1) or _("Preparing...")
            return
        code, self._process = self._process.returncode, None
        if (self._output / "dataset.json").is_file() and code in (0, 1):
            self._panel.parameterNode.dataPath = str(self._output)
            self.check()
            self._ui.prepareLabel.text = _(
                "Done. Look at {report}: what was left out and why, and every X-ray on its CT."
            ).format(report=self._output / "report.html")
        elif code < 0:
            self._ui.prepareLabel.text = _("Stopped. Press Prepare to go on.")
        else:
            self._ui.prepareLabel.text = ""
            words = processes.lastWords(log)
            self._panel.showError(lastSentence(words), words)
        self.refresh()


def inWords(told) -> str:
    """A `DatasetDescription` in lines for the user."""
    names = {"train": _("Training"), "validation": _("Validation"), "test": _("Test")}
    lines = []
    for split, name in names.items():
        line = _("{name}: {count} patients").format(name=name, count=told.cases.get(split, 0))
        real, both = told.real.get(split, 0), told.biplanar.get(split, 0)
        if real:
            line += _(", {real} with real X-rays ({both} from two sides)").format(
                real=real, both=both
            )
        lines.append(line)
    return "\n".join(lines)
