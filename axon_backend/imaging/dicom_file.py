"""Opening DICOM files, old ones without a file header too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from axon_backend.imaging.dicom_extensions import DICOM_EXTENSIONS


def is_dicom(path: Path) -> bool:
    """Whether a file starts as DICOM part 10 does, or is named as one and not empty."""
    with path.open("rb") as file:
        start = file.read(132)
    return start[128:] == b"DICM" or (path.suffix.lower() in DICOM_EXTENSIONS and len(start) > 0)


def open_dicom(path: Path, **how: Any) -> FileDataset:
    """``pydicom.dcmread(path, **how)``, which also reads a bare data set (no preamble, no file
    meta information, as archives and networks keep them) of a file named as DICOM.

    Raises:
        InvalidDicomError: no DICOM image. pydicom raises many other kinds on damaged files.
    """
    try:
        return pydicom.dcmread(path, **how)
    except InvalidDicomError:
        if path.suffix.lower() not in DICOM_EXTENSIONS:
            raise
    dataset = pydicom.dcmread(path, force=True, **how)
    if "SOPClassUID" not in dataset or "Modality" not in dataset:
        raise InvalidDicomError(f"{path.name} is no DICOM image")
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset
