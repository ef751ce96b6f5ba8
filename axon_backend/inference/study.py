"""Which of some files are the frontal X-ray, the lateral X-ray and the CT of a patient.

Only headers and names are read. DICOM files say what they are; of other files the number of slices
tells a CT from an X-ray, and the name a lateral view from a frontal one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axon_backend.errors import AxonInputError
from axon_backend.imaging.body_parts import is_elsewhere
from axon_backend.imaging.dicom_file import is_dicom, open_dicom
from axon_backend.imaging.dicom_tags import view_of
from axon_backend.imaging.formats import find_format, without_extension

XRAY_MODALITIES = ("CR", "DX", "DR", "DC", "RG")
MIN_CT_SLICES = 8
_TAGS = (
    "Modality", "PatientID", "SeriesInstanceUID", "BodyPartExamined", "ViewPosition",
    "ViewCodeSequence", "PatientOrientation", "ImageLaterality", "Laterality", "SOPClassUID",
)  # fmt: skip
_WORD = r"(?:^|[\W_])(?:{})(?=$|[\W_]|\d)"
_LATERAL = re.compile(_WORD.format("lat|lateral|ll|rl|side"), re.IGNORECASE)
_ROLE = re.compile(_WORD.format("lat|lateral|ll|rl|side|pa|ap|frontal|front"), re.IGNORECASE)


@dataclass(frozen=True)
class Study:
    """The images of one patient.

    Attributes:
        name: of its folder or files.
        frontal, lateral: X-ray files, or None.
        ct: a file, or the folder of a DICOM series, or None.
        notes: sentences about files that were left out.
    """

    name: str
    frontal: Path | None = None
    lateral: Path | None = None
    ct: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def views(self) -> int:
        """Number of X-rays."""
        return (self.frontal is not None) + (self.lateral is not None)


@dataclass(frozen=True)
class _Image:
    """A file with its role: ``frontal``, ``lateral`` or ``ct``; patient of a DICOM header."""

    path: Path
    role: str
    patient: str = ""
    series: str = ""


def find_study(paths: Iterable[str | os.PathLike[str]], name: str = "") -> Study:
    """The study of some files and folders, which are looked through.

    Raises:
        AxonInputError: there is no chest X-ray and no CT among them.
    """
    given = [Path(path) for path in paths]
    images = [image for path in given for file in _files(path) if (image := _image(file))]
    if not images:
        listed = ", ".join(path.name for path in given[:3]) or "nothing"
        raise AxonInputError(
            f"There is no chest X-ray and no CT in {listed}. Give X-rays as DICOM, PNG, JPEG or "
            "TIFF, and a CT as a DICOM folder or a volume file."
        )
    return _study(name or _plain_name(images[0].path), images)


def find_studies(root: str | os.PathLike[str]) -> list[Study]:
    """The studies of a folder, by name: one for each folder in it that holds images, and one for
    each patient (DICOM) or name without its view (``p1_pa.png``, ``p1_lat.png``) of the files
    directly in it.

    Raises:
        AxonInputError: the folder does not exist, or there is no image in it.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise AxonInputError(f"{folder} is not a folder. Give a folder of studies.")
    groups: dict[str, list[_Image]] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        for file in _files(path):
            image = _image(file)
            if image is not None:
                loose = image.patient or _plain_name(file)
                groups.setdefault(path.name if path.is_dir() else loose, []).append(image)
    if not groups:
        raise AxonInputError(
            f"{folder} holds no X-ray and no CT. Give a folder with one folder for each study."
        )
    return [_study(name, images) for name, images in sorted(groups.items())]


def _study(name: str, images: list[_Image]) -> Study:
    chosen: dict[str, Path] = {}
    notes = []
    for role in ("frontal", "lateral", "ct"):
        found = [image for image in images if image.role == role]
        if role == "ct":
            found = _largest_series(found)
        if found:
            first = found[0]
            chosen[role] = first.path.parent if first.series else first.path
        left_out = found[1:] if role != "ct" else [image for image in found[1:] if not image.series]
        if left_out:
            words = ", ".join(image.path.name for image in left_out[:3])
            notes.append(f"Only the first {role} image is used; left out: {words}.")
    return Study(name, chosen.get("frontal"), chosen.get("lateral"), chosen.get("ct"), tuple(notes))


def _largest_series(images: list[_Image]) -> list[_Image]:
    """The slices of the largest DICOM series, or the volume files."""
    series: dict[str, list[_Image]] = {}
    for image in images:
        series.setdefault(image.series, []).append(image)
    dicom = [group for key, group in series.items() if key and len(group) >= MIN_CT_SLICES]
    return max(dicom, key=len) if dicom else series.get("", [])


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [
        Path(folder) / name
        for folder, folders, names in os.walk(path)
        if not folders.sort()  # type: ignore[func-returns-value] # in place: a fixed order
        for name in sorted(names)
        if not name.startswith(".")
    ]


def _image(path: Path) -> _Image | None:
    """What a file is; None for one that is no chest X-ray and no CT."""
    try:
        if is_dicom(path):
            return _dicom(path)
    except OSError:
        return None
    format = find_format(path)
    if format is None:
        return None
    if format.read_volume is not None and _slices(path) >= MIN_CT_SLICES:
        return _Image(path, "ct")
    return _Image(path, "lateral" if _LATERAL.search(_stem(path)) else "frontal")


def _dicom(path: Path) -> _Image | None:
    try:
        header: Any = open_dicom(path, stop_before_pixels=True, specific_tags=list(_TAGS))
        modality = str(header.get("Modality", "")).upper()
        patient = str(header.get("PatientID", "") or "")
        if modality == "CT":
            return _Image(path, "ct", patient, str(header.get("SeriesInstanceUID", "") or path))
        if modality not in XRAY_MODALITIES or is_elsewhere(str(header.get("BodyPartExamined", ""))):
            return None
        view, _ = view_of(header, path.name)
    except Exception:  # a damaged file, or a view that AXON does not take: not an image of a study
        return None
    if view is None:
        role = "lateral" if _LATERAL.search(_stem(path)) else "frontal"
    else:
        role = "frontal" if view.is_frontal else "lateral"
    return _Image(path, role, patient)


def _slices(path: Path) -> int:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return 0
    size = reader.GetSize()
    return min(size[:3]) if len(size) >= 3 else 1


def _stem(path: Path) -> str:
    return without_extension(path.name)


def _plain_name(path: Path) -> str:
    """The name of a file without its view and extension."""
    return _ROLE.sub("", _stem(path)).strip(" _-.") or _stem(path)
