"""Attributes that a derived DICOM image inherits from its source images."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydicom.config import RAISE
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pydicom.valuerep import validate_value

from axon_backend.imaging.dicom_file import open_dicom
from axon_backend.imaging.dicom_mark import is_dicom

PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
STUDY = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
    "ReferringPhysicianName",
)  # fmt: skip
_OLD_DATE = re.compile(r"(\d{4})\.(\d{2})\.(\d{2})")  # before DICOM 3.0


@dataclass(frozen=True)
class ImageReference:
    """Reference to a DICOM image by its SOP class and instance UIDs."""

    sop_class: str
    sop_instance: str


def image_reference(path: str | Path) -> ImageReference | None:
    """The reference to a file; None if it is not a DICOM file or its UIDs are invalid."""
    header = _header(path, ["SOPClassUID", "SOPInstanceUID"])
    found = [valid_uid(header.get(tag)) for tag in ("SOPClassUID", "SOPInstanceUID")]
    return ImageReference(found[0], found[1]) if found[0] and found[1] else None


def patient_and_study(path: str | Path) -> Dataset:
    """The valid patient and study attributes of a DICOM file; empty for other files."""
    header, kept = _header(path, [*PATIENT, *STUDY]), Dataset()
    for tag in (*PATIENT, *STUDY):
        if value := valid(header, tag):
            setattr(kept, tag, value)
    return kept


def valid(dataset: Dataset, tag: str) -> str:
    """The text of an attribute if its value representation allows it, else an empty string."""
    try:
        element = dataset[tag]
        text = str(element.value or "")
        if element.VR == "UI":
            return valid_uid(text)
        if element.VR == "DA":
            text = _OLD_DATE.sub(r"\1\2\3", text)
        if tag == "PatientSex" and text not in ("M", "F", "O"):
            return ""
        validate_value(element.VR, text, RAISE)
    except Exception:  # missing, damaged or not allowed: pydicom raises many types
        return ""
    return text


def valid_uid(value: object) -> str:
    """The value as a string if it is a valid UID (PS3.5 9.1), else an empty string."""
    text = str(value or "")
    return text if len(text) <= 64 and UID(text).is_valid else ""


def _header(path: str | Path, tags: list[str]) -> Dataset:
    file = Path(path)
    try:
        if file.is_file() and is_dicom(file):
            tags = [*tags, "SpecificCharacterSet"]
            return open_dicom(file, stop_before_pixels=True, specific_tags=tags)
    except Exception:  # pydicom raises many types; there is then nothing to inherit
        pass
    return Dataset()
