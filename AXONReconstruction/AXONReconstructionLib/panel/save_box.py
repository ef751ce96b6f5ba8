"""Saving of a result, in the Compare section."""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime
from pathlib import Path

from slicer.i18n import tr as _

from AXONReconstructionLib.console import dicom_database, saving

DATABASE = "database"


class SaveBox:
    """Saves on the worker, so that the GUI stays responsive.

    Args:
        section: the Compare section, which provides `ui`, `panel`, `logic` and `result`.
    """

    def __init__(self, section) -> None:
        self._section = section
        self._ui, self._panel = section.ui, section.panel
        self._job = None
        for text, value in (
            (_("NIfTI (.nii.gz)"), "nii.gz"),
            (_("NRRD (.nrrd)"), "nrrd"),
            (_("DICOM series"), "dicom"),
            (_("DICOM, into Slicer's database"), DATABASE),
        ):
            self._ui.formatCombo.addItem(text, value)
        self._ui.formatCombo.connect("currentIndexChanged(int)", self.update)
        self._ui.saveButton.connect("clicked()", self.onSave)
        self._ui.folderEdit.connect("currentPathChanged(QString)", self.update)

    def onSave(self) -> None:
        """Save to a new folder, or cancel saving."""
        if self._job is not None:
            self._job.cancel()
            return
        ui = self._ui
        self._panel.hideMessage()
        if self._format == DATABASE:
            self._intoDatabase()
            return
        name = datetime.now().strftime("AXON-%Y-%m-%d-%H%M%S")
        folder = saving.freeFolder(ui.folderEdit.currentPath, name)

        def finished(files) -> None:
            self._ended(_("Saved {n} files to {folder}").format(n=len(files), folder=folder))

        if self._write(folder, self._format, finished):
            ui.folderEdit.addCurrentPathToHistory()

    def _intoDatabase(self) -> None:
        """Write DICOM series to a temporary folder, and copy them into Slicer's database."""
        folder = Path(tempfile.mkdtemp(prefix="axon-dicom-"))

        def over(text: str) -> None:
            shutil.rmtree(folder, ignore_errors=True)
            self._ended(text)

        def finished(_files) -> None:
            try:
                dicom_database.importFolder(folder / "series")
            except Exception as error:
                over("")
                self._panel.reportError(error)
            else:
                over(_("Added to Slicer's DICOM database: see the module DICOM."))

        self._write(folder / "series", "dicom", finished, over)

    def _write(self, folder, format: str, finished, ended=None) -> bool:
        """Write the result on the worker; returns whether it was started."""
        ended = ended or self._ended

        def failed(error) -> None:
            ended("")
            self._panel.reportError(error)

        try:
            copy = saving.copyOf(self._section.result)
            self._job = self._section.logic.tasks.run(
                lambda job: saving.write(
                    copy,
                    folder,
                    format,
                    progress=lambda done, total: job.report(done=done, total=total),
                    cancelled=job.cancelled,
                ),
                onProgress=self._progress,
                onFinished=finished,
                onError=failed,
                onCancelled=lambda _partial: ended(_("Saving was cancelled; nothing was kept.")),
            )
        except Exception as error:
            failed(error)
            return False
        self.update()
        return True

    def forget(self) -> None:
        """Reset when the scene closes; the logic cancels saving."""
        self._job = None
        self.showStatus("")

    def cleanup(self) -> None:
        """Cancel saving."""
        if self._job is not None:
            self._job.cancel()

    def showStatus(self, text: str) -> None:
        """Show a line of text below the button; empty text hides it."""
        self._ui.savedLabel.text = text
        self._ui.savedLabel.visible = bool(text)

    def update(self, *_unused) -> None:
        """Update the button; its tooltip explains why it is disabled."""
        button, reason = self._ui.saveButton, ""
        button.text = _("Save") if self._job is None else _("Cancel")
        toDatabase = self._format == DATABASE
        for widget in (self._ui.folderLabel, self._ui.folderEdit):
            widget.enabled = not toDatabase
        if self._job is None:
            if self._panel.isBusy:
                reason = _("Wait for the computation to finish.")
            elif toDatabase:
                reason = dicom_database.missing()
            elif not self._ui.folderEdit.currentPath.strip():
                reason = _("Choose a folder first.")
        button.enabled = not reason
        button.toolTip = reason or _(
            "Save all volumes, the metrics and the run record to a new folder."
        )

    @property
    def _format(self) -> str:
        return self._ui.formatCombo.itemData(self._ui.formatCombo.currentIndex)

    def _progress(self, done: int, total: int) -> None:
        if self._job is not None:
            self.showStatus(_("Saving volume {k} of {n}").format(k=min(done + 1, total), n=total))

    def _ended(self, text: str) -> None:
        self._job = None
        self.showStatus(text)
        self.update()
