"""Step 1: check a data set, or prepare one."""

from __future__ import annotations

import re
from pathlib import Path

from slicer.i18n import tr as _

from AXONReconstructionLib.jobs.processes import Job
from AXONTrainingLib.fields import Fields
from AXONTrainingLib.run_text import failureMessage

_BAR = re.compile(r"^cases:.* (\d+)/(\d+) \[")  # as tqdm draws it


class DataBox:
    """The widgets of the section Data."""

    def __init__(self, panel) -> None:
        self._panel, self._ui = panel, panel.ui
        self._fields = Fields(panel)
        self._fields.bind("path", "dataPathEdit", "dataPath")
        self._fields.bind("path", "sourcePathEdit", "sourcePath")
        self._fields.bind("path", "preparedPathEdit", "preparedPath")
        self._ui.checkButton.connect("clicked()", self.check)
        self._ui.prepareButton.connect("clicked()", self.prepare)
        self._job = Job()
        self._output = Path()
        self._described = ""

    def refresh(self) -> None:
        """Update the widgets from the parameter node."""
        self._fields.refresh()
        node = self._panel.parameterNode
        if node.dataPath != self._described:
            self._described, self._ui.dataLabel.text = node.dataPath, ""
        self._ui.checkButton.enabled = bool(node.dataPath)
        self._ui.prepareButton.enabled = self._job.busy or bool(
            node.sourcePath and node.preparedPath
        )
        self._ui.prepareButton.text = _("Stop") if self._job.busy else _("Prepare")

    def check(self) -> None:
        """Show a summary of the data set."""
        self._panel.hideMessage()
        try:
            description = self._panel.logic.checkDataset(self._panel.parameterNode.dataPath)
        except Exception as error:
            self._ui.dataLabel.text = ""
            self._panel.reportError(error)
            return
        self._ui.dataLabel.text = summaryText(description)
        if description.problems:
            self._panel.showError(
                description.problems[0], "\n".join([*description.problems, *description.missing])
            )

    def prepare(self) -> None:
        """Start the preparation, or stop it."""
        if self._job.busy:
            self._job.terminate()
            return
        self._panel.hideMessage()
        node, logic = self._panel.parameterNode, self._panel.logic
        output = Path(node.preparedPath)
        try:
            self._job.follow(logic.prepare(node.sourcePath, output), logic.prepareLog(output))
        except Exception as error:
            self._panel.reportError(error)
            return
        self._output = output
        self._ui.prepareLabel.text = _("Preparing...")
        self.refresh()

    def poll(self) -> None:
        """Update the progress of the preparation."""
        if not self._job.busy:
            return
        code = self._job.takeExitCode()
        if code is None:
            self._ui.prepareLabel.text = progressText(self._job.lastLines(1))
            return
        output = self._job.lastLines()
        if self._job.stopped or code < 0:
            self._ui.prepareLabel.text = _("Stopped. Click Prepare to resume.")
        elif (self._output / "dataset.json").is_file() and prepareSucceeded(code, output):
            self._panel.parameterNode.dataPath = str(self._output)
            self.check()
            self._ui.prepareLabel.text = _(
                "Done. Review {report}: it lists excluded cases with reasons, and shows each X-ray "
                "registered to its CT."
            ).format(report=self._output / "report.html")
        else:
            self._ui.prepareLabel.text = ""
            self._panel.showError(failureMessage(output), output)
        self.refresh()


def progressText(line: str) -> str:
    """What the last line of `axon prepare` says, of which progress bars are counts only."""
    bar = _BAR.search(line)
    if bar is None:
        return line or _("Preparing...")
    return _("{done} of {total} patients prepared").format(done=bar[1], total=bar[2])


def prepareSucceeded(code: int, output: str) -> bool:
    """Whether `axon prepare` completed, possibly without some cases (exit code 1). If it failed,
    its last line is the error message, and an existing dataset.json is from an earlier run."""
    return code == 0 or (code == 1 and not output.split("\n")[-1].startswith("axon:"))


def summaryText(description) -> str:
    """Text summary of a `DatasetDescription`."""
    names = {"train": _("Training"), "validation": _("Validation"), "test": _("Test")}
    lines = []
    for split, name in names.items():
        count = description.cases.get(split, 0)
        words = _("{name}: 1 patient") if count == 1 else _("{name}: {count} patients")
        line = words.format(name=name, count=count)
        real, both = description.real.get(split, 0), description.biplanar.get(split, 0)
        if real:
            line += _(", {real} with real X-rays ({both} biplanar)").format(real=real, both=both)
        if split == "train" and description.reconstructed:
            line += _(", {count} without a CT").format(count=description.reconstructed)
        lines.append(line)
    return "\n".join(lines)
