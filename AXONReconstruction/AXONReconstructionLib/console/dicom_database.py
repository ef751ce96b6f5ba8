"""Slicer's DICOM database."""

from __future__ import annotations

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
    """Copy the files of a folder into the database; main thread only.

    Raises:
        AxonInputError: the database is not open, or refuses them.
    """
    reason = missing()
    if not reason:
        from DICOMLib import DICOMUtils

        if DICOMUtils.importDicom(str(folder), copyFiles=True):
            return
        reason = _("Slicer's DICOM database could not import the series; see the error log.")
    raise backend.load("errors").AxonInputError(reason)
