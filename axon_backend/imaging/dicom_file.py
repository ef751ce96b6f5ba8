"""Opening DICOM files, also those without a file header, and reading values that may be broken."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from axon_backend.imaging.dicom_mark import is_dicom


def open_dicom(path: Path, **how: Any) -> FileDataset:
    """``pydicom.dcmread(path, **how)``, which also reads a bare data set (no preamble, no file
    meta information, as archives and networks keep them).

    Raises:
        InvalidDicomError: no DICOM image. pydicom raises many other kinds on damaged files.
    """
    try:
        return pydicom.dcmread(path, **how)
    except InvalidDicomError:
        if not is_dicom(path):
            raise
    dataset = pydicom.dcmread(path, force=True, **how)
    if "SOPClassUID" not in dataset or "Modality" not in dataset:
        raise InvalidDicomError(f"{path.name} is no DICOM image")
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def value_of(header: Any, keyword: str) -> Any:
    """``header.get(keyword)``, and None where the value cannot be decoded."""
    try:
        return header.get(keyword)
    except Exception:  # pydicom decodes a value when it is first used, and raises many kinds
        return None


def numbers_of(header: Any, keyword: str) -> tuple[float, ...] | None:
    """The numbers of a tag, or None where it is absent, empty or not of finite numbers."""
    value = value_of(header, keyword)
    if value is None or isinstance(value, bytes):
        return None
    items = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    try:
        found = tuple(float(item) for item in items)
    except (TypeError, ValueError):
        return None
    return found if found and all(map(math.isfinite, found)) else None


def number_of(header: Any, keyword: str) -> float | None:
    """The first number of a tag, or None; see ``numbers_of``."""
    found = numbers_of(header, keyword)
    return found[0] if found else None


def is_directory(path: Path) -> bool:
    """Whether a file is a DICOMDIR, the index of a disc (PS3.10 8)."""
    try:
        meta = pydicom.filereader.read_file_meta_info(path)
    except Exception:  # pydicom raises many kinds
        return False
    return meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage
