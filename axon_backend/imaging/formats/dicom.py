"""DICOM: X-rays in single files, CTs as series."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from axon_backend.errors import AxonInputError
from axon_backend.imaging.dicom_mark import DICOM_EXTENSIONS, starts_as_dicom
from axon_backend.imaging.formats.format import ImageFormat

if TYPE_CHECKING:
    from axon_backend.imaging.raw_volume import RawVolume
    from axon_backend.imaging.raw_xray import RawXray


def read_xray(path: Path, view_given: bool) -> RawXray:
    """See :func:`axon_backend.imaging.dicom_xray.read_dicom_xray`."""
    from axon_backend.imaging.dicom_xray import read_dicom_xray

    return read_dicom_xray(path, view_given)


def read_volume(path: Path) -> RawVolume:
    """The chest CT series of a folder (with subfolders), or the series that a slice belongs to."""
    from axon_backend.imaging.ct_dicom import read_dicom_series

    try:
        return read_dicom_series(path)
    except (AxonInputError, MemoryError):
        raise
    except Exception as error:
        # pydicom finds broken tags only when they are used, and raises many types.
        raise AxonInputError(
            f"{path.name}: a DICOM header is unreadable ({str(error)[:100]}). Export the CT again."
        ) from error


DICOM = ImageFormat(
    "DICOM",
    DICOM_EXTENSIONS,
    read_xray=read_xray,
    read_volume=read_volume,
    recognise=starts_as_dicom,
)
