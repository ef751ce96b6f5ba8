"""What a derived DICOM image takes over from the images that it was computed from."""

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
    """A DICOM image by its class and its instance (UIDs)."""

    sop_class: str
    sop_instance: str


def image_reference(path: str | Path) -> ImageReference | None:
    """Of a file; None where it is no DICOM file or its UIDs are not valid."""
    header = _header(path, ["SOPClassUID", "SOPInstanceUID"])
    found = [valid_uid(header.get(tag)) for tag in ("SOPClassUID", "SOPInstanceUID")]
    return ImageReference(found[0], found[1]) if found[0] and found[1] else None


def patient_and_study(path: str | Path) -> Dataset:
    """The patient's and the study's attributes of a DICOM file, where they are valid. Empty where
    it is none."""
    header, kept = _header(path, [*PATIENT, *STUDY]), Dataset()
    for tag in (*PATIENT, *STUDY):
        if value := valid(header, tag):
            setattr(kept, tag, value)
    return kept


def valid(dataset: Dataset, tag: str) -> str:
    """The text of an attribute if its value representation allows it, else nothing."""
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
    except Exception:  # missing, damaged or not allowed: pydicom raises many kinds
        return ""
    return text


def valid_uid(value: object) -> str:
    """A UID if it is one (PS3.5 9.1), else nothing."""
    text = str(value or "")
    return text if len(text) <= 64 and UID(text).is_valid else ""


def _header(path: str | Path, tags: list[str]) -> Dataset:
    file = Path(path)
    try:
        if file.is_file() and is_dicom(file):
            tags = [*tags, "SpecificCharacterSet"]
            return open_dicom(file, stop_before_pixels=True, specific_tags=tags)
    except Exception:  # pydicom raises many kinds; then there is nothing to take over
        pass
    return Dataset()
