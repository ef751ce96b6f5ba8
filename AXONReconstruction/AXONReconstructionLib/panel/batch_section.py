"""The Batch section: a folder of studies, reconstructed in the background."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.jobs.background import Background
from AXONReconstructionLib.jobs.worker import Job
from AXONReconstructionLib.panel import run_plan
from AXONReconstructionLib.panel.section import Section
from AXONReconstructionLib.setup import backend


class BatchSection(Section):
    """Runs the backend's `reconstruct_studies`, as ``axon batch`` does, and lists the results.

    It has a worker of its own: the user can go on with other cases and scenes meanwhile.
    """

    uiFile = "Batch.ui"
    container = "batchSection"

    def __init__(self, panel) -> None:
        Section.__init__(self, panel)
        self.background = Background("AXON batch")
        self._job: Job | None = None
        self._rows: list = []
        self._output = ""
        ui = self.ui
        header = ui.batchTable.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.stretchLastSection = True
        ui.batchButton.connect("clicked()", self.onStart)
        for edit in (ui.batchSourceEdit, ui.batchOutputEdit):
            edit.connect("currentPathChanged(QString)", self.update)
        ui.batchTable.connect("cellDoubleClicked(int,int)", self.onLoad)
        self.update()

    def parameterNodeChanged(self, node) -> None:
        """The settings of step 3 are read when the batch starts."""
        self.update()

    def cleanup(self) -> None:
        """Cancel the batch; finished studies are kept."""
        self.background.shutdown()

    def update(self, *_unused) -> None:
        """Update the button; its tooltip says why it is disabled."""
        ui, reason = self.ui, ""
        if self._job is None:
            if not ui.batchSourceEdit.currentPath.strip():
                reason = _("Choose a folder of studies first.")
            elif not ui.batchOutputEdit.currentPath.strip():
                reason = _("Choose an output folder first.")
            elif self.parameterNode is None:
                reason = _("The scene is closing.")
        ui.batchButton.text = _("Start batch") if self._job is None else _("Cancel batch")
        ui.batchButton.enabled = not reason
        ui.batchButton.toolTip = reason or (
            _("Reconstruct all studies of the folder.")
            if self._job is None
            else _("Cancels after the current step; finished studies are kept.")
        )

    def onStart(self) -> None:
        """Start the batch, or cancel it."""
        if self._job is not None:
            self._job.cancel()
            self.ui.batchButton.enabled = False
            return
        ui, node = self.ui, self.parameterNode
        self.panel.hideMessage()
        source, self._output = ui.batchSourceEdit.currentPath, ui.batchOutputEdit.currentPath
        method = self.panel.sections["reconstructSection"].modelAndDevice.method(node)
        settings = {}
        if method is not None:
            settings = {
                "stages": run_plan.stagesOf(node, method),
                "steps": run_plan.stepsOf(node, method) or None,
                "samples": node.samples,
            }
        bundle, device, seed = node.bundle or None, node.device, node.seed
        self._show([])
        self._state(_("Looking for studies"))

        def work(job):
            studies = backend.load("inference.study").find_studies(source)
            session = backend.load("inference.session").InferenceSession(bundle, device)
            context = backend.load("util.run_context").RunContext(
                seed,
                device,
                lambda stage, step, total, preview: job.report(stage=stage),
                job.cancelled,
            )
            return backend.load("evaluation.batch").reconstruct_studies(
                studies,
                Path(self._output),
                session,
                context=context,
                row_done=lambda row: job.report(row=row),
                **settings,
            )

        self._job = self.background.submit(
            work,
            onProgress=self._progress,
            onDone=self._finished,
            onError=self._failed,
            onCancelled=lambda _error: self._ended(
                _("Cancelled; {n} studies are kept.").format(n=len(self._rows))
            ),
        )
        for edit in (ui.batchSourceEdit, ui.batchOutputEdit):
            edit.addCurrentPathToHistory()
        self.update()

    def onLoad(self, row: int, _column: int = 0) -> None:
        """Load the volume of a study into the scene."""
        found = self._rows[row]
        path = Path(self._output) / found.study / "reconstruction.nii.gz"
        if found.status != "done" or not path.is_file():
            self.panel.showMessage(found.reason or _("This study has no volume."))
            return
        with slicer.util.tryWithErrorDisplay(_("The volume could not be loaded."), waitCursor=True):
            volume = slicer.util.loadVolume(str(path), {"name": f"AXON {found.study}"})
            slicer.util.setSliceViewerLayers(background=volume, fit=True)

    # Callbacks of the batch

    def _progress(self, stage: str = "", row=None) -> None:
        if row is not None:
            self._show([*self._rows, row])
        else:
            self._state(stage)

    def _finished(self, rows) -> None:
        done = sum(row.status == "done" for row in rows)
        self._ended(
            _("{done} of {n} studies reconstructed; the list is {file}").format(
                done=done, n=len(rows), file=Path(self._output) / "results.csv"
            )
        )

    def _failed(self, error) -> None:
        self._ended("")
        self.panel.reportError(error)

    def _ended(self, text: str) -> None:
        self._job = None
        self._state(text)
        self.update()

    # Display

    def _state(self, text: str) -> None:
        self.ui.batchState.text = text
        self.ui.batchState.visible = bool(text)

    def _show(self, rows: list) -> None:
        self._rows = rows
        table = self.ui.batchTable
        titles = (_("Study"), _("Views"), _("State"), _("PSNR (dB)"), _("SSIM"), _("Agreement"))
        table.rowCount, table.columnCount = len(rows), len(titles)
        table.setHorizontalHeaderLabels(list(titles))
        for r, row in enumerate(rows):
            texts = (
                row.study,
                str(row.views),
                _STATES.get(row.status, row.status),
                _number(row.psnr, 1),
                _number(row.ssim, 3),
                _number(row.agreement, 2),
            )
            for c, text in enumerate(texts):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(row.reason or text)
                table.setItem(r, c, item)
        table.visible = bool(rows)


_STATES = {"done": _("done"), "refused": _("poor registration"), "failed": _("failed")}


def _number(value, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
