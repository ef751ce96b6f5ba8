"""Slicer's DICOM database."""

from __future__ import annotations

from pathlib import Path

import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.setup import backend


def missing() -> str:
    """Why nothing can be imported; empty if the database is open."""
    database = getattr(slicer, "dicomDatabase", None)  # None without the module DICOM
    if database is None or not database.isOpen:
        return _("Slicer's DICOM database is not open. Open the module DICOM once to create it.")
    return ""


def importFolder(folder) -> None:
    """Copy the series below a folder, each in a folder of its own, into the database; main thread
    only.

    Raises:
        AxonInputError: the database is not open, or refuses them.
    """
    reason = missing()
    if not reason:
        from DICOMLib import DICOMUtils

        # True whenever it did not raise: what cannot be stored, as on a full disk, is only logged.
        if DICOMUtils.importDicom(str(folder), copyFiles=True) and _isComplete(Path(folder)):
            return
        reason = _(
            "Slicer's DICOM database could not import the series. Check that its disk is not full "
            "(module DICOM, Database settings); the error log has the details."
        )
    raise backend.load("errors").AxonInputError(reason)


def _isComplete(folder: Path) -> bool:
    """Whether the database has as many files of each series as were written."""
    import pydicom

    for series in (path for path in folder.iterdir() if path.is_dir()):
        files = list(series.glob("*.dcm"))
        uid = pydicom.dcmread(files[0], specific_tags=["SeriesInstanceUID"]).SeriesInstanceUID
        if len(slicer.dicomDatabase.filesForSeries(str(uid))) < len(files):
            return False
    return True
