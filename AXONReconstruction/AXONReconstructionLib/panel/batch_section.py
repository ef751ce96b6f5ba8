"""The Batch section: a folder of studies, reconstructed in the background."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.jobs import processes
from AXONReconstructionLib.panel import run_plan
from AXONReconstructionLib.panel.section import Section
from AXONReconstructionLib.setup import backend

POLL_MILLISECONDS = 1000


class BatchSection(Section):
    """Runs ``axon cohort reconstruct`` in a separate process, and lists what it has made.

    The user can work on other cases and scenes meanwhile.
    """

    uiFile = "Batch.ui"
    container = "batchSection"

    def __init__(self, panel) -> None:
        Section.__init__(self, panel)
        self._job = processes.Job()
        self._output = Path()
        self._records: dict[str, dict[str, Any]] = {}
        ui = self.ui
        header = ui.batchTable.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.stretchLastSection = True
        ui.batchState.openExternalLinks = True
        ui.batchButton.connect("clicked()", self.onStart)
        for edit in (ui.batchSourceEdit, ui.batchOutputEdit):
            edit.connect("currentPathChanged(QString)", self.update)
        ui.batchTable.connect("cellDoubleClicked(int,int)", self.onLoad)
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.connect("timeout()", self.poll)
        self.update()

    def parameterNodeChanged(self, node) -> None:
        """The settings of step 3 are read when the batch starts."""
        self.update()

    def cleanup(self) -> None:
        """Stop the batch; finished studies are kept."""
        self._timer.stop()
        self._job.terminate()

    def update(self, *_unused) -> None:
        """Update the button; its tooltip says why it is disabled."""
        ui, reason, busy = self.ui, "", self._job.busy
        if not busy:
            if not ui.batchSourceEdit.currentPath.strip():
                reason = _("Choose a folder of studies first.")
            elif not ui.batchOutputEdit.currentPath.strip():
                reason = _("Choose an output folder first.")
            elif self.parameterNode is None:
                reason = _("The scene is closing.")
        ui.batchButton.text = _("Stop batch") if busy else _("Start batch")
        ui.batchButton.enabled = not reason
        ui.batchButton.toolTip = reason or (
            _("Finished studies are kept; start again to continue.")
            if busy
            else _("Reconstruct all studies in the folder.")
        )

    def onStart(self) -> None:
        """Start the batch, or stop it."""
        if self._job.busy:
            self._job.terminate()
            return
        ui = self.ui
        self.panel.hideMessage()
        self._output = Path(ui.batchOutputEdit.currentPath)
        self._records = {}
        log = self._output.with_name(self._output.name + ".log")
        try:
            package = Path(str(backend.load().__file__)).parent.parent
            log.unlink(missing_ok=True)
            # A process group of its own, so that its worker ends with it.
            process = processes.launch(self._arguments(), str(package), log, survive=True)
            self._job.follow(process, log)
        except Exception as error:
            self.panel.reportError(error)
            return
        for edit in (ui.batchSourceEdit, ui.batchOutputEdit):
            edit.addCurrentPathToHistory()
        self._state(_("Looking for studies..."))
        self._show()
        self._timer.start()
        self.update()

    def poll(self) -> None:
        """Show the studies finished since the last call."""
        code = self._job.takeExitCode()
        for file in sorted((self._output / "cases").glob("[!.]*/case.json")):
            if file.parent.name not in self._records:
                record = _read(file)
                if record is not None:
                    self._records[file.parent.name] = record
        self._show()
        if code is None:
            text = _("{n} studies done.").format(n=len(self._records))
            self._state(text if self._records else _("Looking for studies..."))
            return
        self._timer.stop()
        self._ended(code)
        self.update()

    def onLoad(self, row: int, _column: int = 0) -> None:
        """Load the volume of a study into the scene."""
        name = sorted(self._records)[row]
        path = self._output / "cases" / name / "reconstruction.nii.gz"
        if not path.is_file():
            reason = self._records[name].get("reason")
            self.panel.showMessage(str(reason or _("This study has no volume.")))
            return
        with slicer.util.tryWithErrorDisplay(_("The volume could not be loaded."), waitCursor=True):
            volume = slicer.util.loadVolume(str(path), {"name": f"AXON {name}"})
            slicer.util.setSliceViewerLayers(background=volume, fit=True)

    def _arguments(self) -> list[str]:
        """Arguments of the command, from the settings of step 3."""
        node, ui = self.parameterNode, self.ui
        chosen = self.panel.sections["reconstructSection"].modelAndDevice
        method = chosen.method(node)
        arguments = ["cohort", "reconstruct", ui.batchSourceEdit.currentPath,
                     "--output", str(self._output), "--workers", "1", "--quiet",
                     "--device", node.device, "--seed", str(node.seed),
                     "--samples", str(node.samples)]  # fmt: skip
        if node.bundle:
            arguments += ["--bundle", node.bundle]
        if not node.registerAutomatically:
            arguments.append("--no-register")
        if method is None:
            return arguments
        arguments += ["--stages", ",".join(chosen.stages(node))]
        counts = {**chosen.defaultSteps(node), **run_plan.stepsOf(node, method)}
        taking = [stage.name for stage in method.stages if stage.takes_steps]
        if run_plan.stepsOf(node, method) and all(stage in counts for stage in taking):
            arguments += ["--steps", ",".join(str(counts[stage]) for stage in taking)]
        return arguments

    def _ended(self, code: int) -> None:
        output = self._job.lastLines()
        page = self._output / "index.html"
        if self._job.stopped or code < 0:
            self._state(_("Stopped; finished studies are kept. Start again to continue."))
        elif page.is_file():
            done = sum(record.get("status") == "done" for record in self._records.values())
            self._state(
                _('{done} of {n} studies reconstructed: <a href="{url}">summary</a>').format(
                    done=done,
                    n=max(len(self._records), _count(self._output / "summary.csv")),
                    url=qt.QUrl.fromLocalFile(str(page)).toString(),
                )
            )
        else:
            self._state("")
            self.panel.showError(processes.errorOf(output) or _("The batch failed."), output)

    def _state(self, text: str) -> None:
        self.ui.batchState.text = text
        self.ui.batchState.visible = bool(text)

    def _show(self) -> None:
        table = self.ui.batchTable
        titles = (_("Study"), _("State"), _("Views"), _("PSNR (dB)"), _("SSIM"), _("Agreement"))
        rows = sorted(self._records.items())
        table.rowCount, table.columnCount = len(rows), len(titles)
        table.setHorizontalHeaderLabels(list(titles))
        for r, (name, record) in enumerate(rows):
            metrics, status = record.get("metrics") or {}, str(record.get("status"))
            agreements = list((record.get("reprojection") or {}).values())
            texts = (
                name,
                _STATES.get(status, status),
                str(record.get("views", "")),
                _number(metrics.get("psnr"), 1),
                _number(metrics.get("ssim3d_gauss11"), 3),
                _number(min(agreements, default=None), 2),
            )
            for c, text in enumerate(texts):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(str(record.get("reason") or text))
                table.setItem(r, c, item)
        table.visible = bool(rows)


_STATES = {"done": _("done"), "refused": _("refused"), "failed": _("failed")}


def _read(file: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # being written
    return record if isinstance(record, dict) else None


def _count(table: Path) -> int:
    """Rows of a CSV file without its header and notes."""
    try:
        lines = table.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return max(0, len([line for line in lines if line and not line.startswith("#")]) - 1)


def _number(value, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
