"""Saving of a result, in the Compare section."""

from __future__ import annotations

from datetime import datetime

from slicer.i18n import tr as _

from AXONReconstructionLib.console import saving


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
        ):
            self._ui.formatCombo.addItem(text, value)
        self._ui.saveButton.connect("clicked()", self.onSave)
        self._ui.folderEdit.connect("currentPathChanged(QString)", self.update)

    def onSave(self) -> None:
        """Save to a new folder, or cancel saving."""
        if self._job is not None:
            self._job.cancel()
            return
        ui = self._ui
        self._panel.hideMessage()
        name = datetime.now().strftime("AXON-%Y-%m-%d-%H%M%S")
        folder = saving.freeFolder(ui.folderEdit.currentPath, name)
        format = ui.formatCombo.itemData(ui.formatCombo.currentIndex)
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
                onFinished=lambda files: self._ended(
                    _("Saved {n} files to {folder}").format(n=len(files), folder=folder)
                ),
                onError=self._failed,
                onCancelled=lambda _partial: self._ended(
                    _("Saving was cancelled; nothing was kept.")
                ),
            )
        except Exception as error:
            self._failed(error)
            return
        ui.folderEdit.addCurrentPathToHistory()
        self.update()

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
        if self._job is None:
            if self._panel.isBusy:
                reason = _("Wait for the computation to finish.")
            elif not self._ui.folderEdit.currentPath.strip():
                reason = _("Choose a folder first.")
        button.enabled = not reason
        button.toolTip = reason or _(
            "Save all volumes, the metrics and the run record to a new folder."
        )

    def _progress(self, done: int, total: int) -> None:
        if self._job is not None:
            self.showStatus(_("Saving volume {k} of {n}").format(k=min(done + 1, total), n=total))

    def _failed(self, error) -> None:
        self._ended("")
        self._panel.reportError(error)

    def _ended(self, text: str) -> None:
        self._job = None
        self.showStatus(text)
        self.update()
