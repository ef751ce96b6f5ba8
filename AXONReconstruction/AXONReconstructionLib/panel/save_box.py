"""The lower part of the Compare section: saving everything into a new folder."""

from __future__ import annotations

from datetime import datetime

from slicer.i18n import tr as _

from AXONReconstructionLib.console import saving


class SaveBox:
    """Writes on the worker, so that the window stays alive.

    Args:
        section: the Compare section, whose `ui`, `panel`, `logic` and `result` it uses.
    """

    def __init__(self, section) -> None:
        self._section = section
        self._ui, self._panel = section.ui, section.panel
        self._job = None
        for text, value in (
            (_("NIfTI files (.nii.gz)"), "nii.gz"),
            (_("NRRD files (.nrrd)"), "nrrd"),
            (_("DICOM series"), "dicom"),
        ):
            self._ui.formatCombo.addItem(text, value)
        self._ui.saveButton.connect("clicked()", self.onSave)
        self._ui.folderEdit.connect("currentPathChanged(QString)", self.update)

    def onSave(self) -> None:
        """Write everything into a new folder; a second click stops it."""
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
                    _("{n} files were written into {folder}").format(n=len(files), folder=folder)
                ),
                onError=self._failed,
                onCancelled=lambda rest: self._ended(_("Stopped; nothing was kept.")),
            )
        except Exception as error:
            self._failed(error)
            return
        ui.folderEdit.addCurrentPathToHistory()
        self.update()

    def forget(self) -> None:
        """The scene closes: what is being written is stopped by the logic."""
        self._job = None
        self.showStatus("")

    def cleanup(self) -> None:
        """Stop what is being written."""
        if self._job is not None:
            self._job.cancel()

    def showStatus(self, text: str) -> None:
        """A line below the button; empty hides it."""
        self._ui.savedLabel.text = text
        self._ui.savedLabel.visible = bool(text)

    def update(self, *_unused) -> None:
        """Enable the button, or say in its tooltip reason not."""
        button, reason = self._ui.saveButton, ""
        button.text = _("Save") if self._job is None else _("Stop saving")
        if self._job is None:
            if self._panel.isBusy:
                reason = _("Wait until the computation has ended.")
            elif not self._ui.folderEdit.currentPath.strip():
                reason = _("Choose a folder first.")
        button.enabled = not reason
        button.toolTip = reason or _(
            "Save all volumes, the measures and the record of the run into a new folder."
        )

    def _progress(self, done: int, total: int) -> None:
        if self._job is not None:
            self.showStatus(_("Writing volume {k} of {n}").format(k=min(done + 1, total), n=total))

    def _failed(self, error) -> None:
        self._ended("")
        self._panel.reportError(error)

    def _ended(self, text: str) -> None:
        self._job = None
        self.showStatus(text)
        self.update()
