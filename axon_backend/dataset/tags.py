"""Read the DICOM tags that planning needs, in a compact form."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct_series import HEADER_TAGS
from axon_backend.imaging.dicom_file import open_dicom, value_of
from axon_backend.imaging.dicom_mark import is_dicom
from axon_backend.imaging.dicom_tags import orientation_of, other_body_part, view_of

XRAY_MODALITIES = ("CR", "DX", "DR", "DC", "RG")
_KEPT = (*HEADER_TAGS, "PatientID", "StudyInstanceUID", "StudyDate", "PresentationIntentType")
_ONLY_READ = ("PatientSex", "PatientBirthDate", "ViewPosition", "ViewCodeSequence",
              "PatientOrientation", "ImageLaterality", "Laterality",
              "AnatomicRegionSequence")  # fmt: skip


class Tags(dict[str, Any]):
    """Header values (text or lists of text) by keyword, also readable as attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def read_tags(path: Path) -> dict[str, Any] | None:
    """The header of one file; None if it is not a DICOM image.

    Besides DICOM tags it has ``who`` (a short hash of sex and date of birth, which reveals that two
    people share a PatientID) and for X-rays ``view`` (its name or None), ``oriented`` (whether the
    file states its orientation) or ``refused`` (why it cannot be used). Of other modalities, only
    ``Modality`` is kept.

    Raises:
        AxonInputError: the file should be DICOM but is damaged.
    """
    try:
        if not is_dicom(path):
            if path.suffix.lower() == ".dcm":
                raise AxonInputError("the file is empty (0 bytes)")
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = open_dicom(path, stop_before_pixels=True, specific_tags=[*_KEPT, *_ONLY_READ])
            if "SOPInstanceUID" not in header or "Modality" not in header:
                if "DirectoryRecordSequence" in header or not header.get("Modality", ""):
                    return None
                raise AxonInputError("the header ends before it identifies the image")
            return _compact(header, path.name)
    except AxonInputError:
        raise
    except Exception as error:  # pydicom raises many types
        raise AxonInputError(f"the header cannot be read ({str(error)[:80]})") from error


def _compact(header: Dataset, name: str) -> dict[str, Any]:
    modality = str(header.Modality).upper()
    if modality != "CT" and modality not in XRAY_MODALITIES:
        return {"Modality": modality}
    tags = {k: v for k in _KEPT if (v := _plain(value_of(header, k))) not in (None, "")}
    tags["Modality"] = modality
    person = [str(header.get(k) or "") for k in ("PatientSex", "PatientBirthDate")]
    if all(person):
        tags["who"] = hashlib.sha256("|".join(person).encode()).hexdigest()[:8]
    if modality == "CT":
        return tags
    try:
        view, *_ = view_of(header, name)
        tags["view"] = None if view is None else view.value
        tags["oriented"] = orientation_of(header) is not None
    except AxonInputError as error:
        tags["refused"] = str(error)
    part = other_body_part(header)
    if part is not None:
        tags["refused"] = f"it shows another body part ({part}), not the chest"
    return tags


def _plain(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, MultiValue | list | tuple):
        return [str(v) for v in value]
    return str(value)
