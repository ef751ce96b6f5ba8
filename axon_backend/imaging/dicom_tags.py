"""What an X-ray's DICOM header says on pixel size, view and orientation."""

from __future__ import annotations

import re

import numpy as np
from pydicom.dataset import Dataset

from axon_backend.errors import AxonInputError
from axon_backend.imaging.display import orientation_of_cosines
from axon_backend.imaging.image_file import NO_PIXEL_SIZE
from axon_backend.imaging.raw_xray import is_chest_field
from axon_backend.imaging.view import View

STANDARD_MAGNIFICATION = 1800.0 / 1600.0  # detector at 1800 mm, patient's middle at 1600 mm
_MAGNIFICATIONS = (1.0, 2.0)  # plausible for a chest stand
_DISTANCES = (700.0, 4000.0)  # mm; devices that do not know the distance write 0, 1 or 10000


def patient_pixel_mm(
    dataset: Dataset, shape: tuple[int, int]
) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Pixel size (row, col) in millimetres in the patient plane, and notes.

    ImagerPixelSpacing and NominalScannedPixelSpacing, and PixelSpacing that was not calibrated,
    are measured at the detector and are divided by the magnification SID / SOD. PixelSpacing
    calibrated by GEOMETRY or FIDUCIAL, or different from ImagerPixelSpacing, is already in the
    patient plane (PS3.3 10.7.1.3).
    """
    pixel, imager = _spacing(dataset, "PixelSpacing"), _spacing(dataset, "ImagerPixelSpacing")
    scanned = _spacing(dataset, "NominalScannedPixelSpacing")
    calibration = str(dataset.get("PixelSpacingCalibrationType") or "").upper()
    size: tuple[float, float] | None
    if pixel and (calibration or (imager and not np.allclose(pixel, imager, rtol=1e-3))):
        size, how = (
            pixel,
            f"PixelSpacing calibrated in the patient plane ({calibration or 'stated'})",
        )
    else:
        at_detector = imager or pixel or scanned
        if at_detector is None:
            broken = any(t in dataset for t in ("PixelSpacing", "ImagerPixelSpacing"))
            why = "the pixel size in the file is zero or unreadable: the atlas's size is used"
            return None, (why if broken else NO_PIXEL_SIZE,)
        factor, how = magnification(dataset)
        size = (at_detector[0] / factor, at_detector[1] / factor)
    if not is_chest_field(shape, size):
        size_text = f"{shape[0] * size[0]:.0f} x {shape[1] * size[1]:.0f} mm"
        return None, (
            f"by its pixel size the image measures {size_text}, which cannot be a chest: "
            "the atlas's size is used",
        )
    return size, (how,)


def magnification(dataset: Dataset) -> tuple[float, str]:
    """Magnification (detector size / patient size), and a note on where it comes from.

    EstimatedRadiographicMagnificationFactor, else DistanceSourceToDetector /
    DistanceSourceToPatient, else 1800 / 1600.
    """
    stated = _number(dataset.get("EstimatedRadiographicMagnificationFactor"))
    if stated is not None and _MAGNIFICATIONS[0] <= stated <= _MAGNIFICATIONS[1]:
        return (
            stated,
            f"pixel size at the detector divided by the stated magnification {stated:.3f}",
        )
    detector = _number(dataset.get("DistanceSourceToDetector"))
    patient = _number(dataset.get("DistanceSourceToPatient"))
    if detector and patient and _MAGNIFICATIONS[0] <= detector / patient <= _MAGNIFICATIONS[1]:
        factor = detector / patient
        return factor, (
            f"pixel size at the detector divided by the magnification {factor:.3f} "
            f"({detector:g} mm / {patient:g} mm)"
        )
    return STANDARD_MAGNIFICATION, (
        "pixel size at the detector divided by an assumed magnification of 1.125 (1800 / 1600 mm)"
    )


def tube_distance(dataset: Dataset) -> float | None:
    """DistanceSourceToDetector in mm if it is plausible for a chest X-ray, else None."""
    stated = _number(dataset.get("DistanceSourceToDetector"))
    return stated if stated is not None and _DISTANCES[0] <= stated <= _DISTANCES[1] else None


def view_of(
    dataset: Dataset, name: str, given: bool = False
) -> tuple[View | None, tuple[str, ...]]:
    """View by ViewPosition, the view code, the patient orientation or the description.

    Raises `AxonInputError` for views that are neither frontal nor lateral (oblique, decubitus),
    unless the caller was `given` a view.
    """
    position = str(dataset.get("ViewPosition") or "").strip().upper()
    codes = dataset.get("ViewCodeSequence") or []
    meaning = str(codes[0].get("CodeMeaning") or "").lower() if len(codes) else ""
    words = re.findall("[A-Z]+", position)  # "AP AXIAL", "PA LLD", "LEFT LATERAL"
    oblique = any(re.fullmatch(r"[LR][AP]O|[LR]LO|[LR]LD|.*OBL.*|.*DECUB.*", w) for w in words)
    if oblique and not given:
        raise AxonInputError(
            f"{name} was taken in view {position}; a frontal (PA, AP) or lateral (LL, RL) X-ray is "
            "expected. Give such an X-ray, or state the view if the tag is wrong."
        )
    stated = {word for word in words if word in ("PA", "AP", "LL", "RL")}
    if len(stated) == 1 and not oblique:
        return View(stated.pop().lower()), ()
    if not oblique and (
        {"LATERAL", "LAT", "ML", "LM"} & set(words) or (not position and "lateral" in meaning)
    ):
        return _lateral_side(dataset, f"{meaning} {position.lower()}")
    if not position and re.search(r"postero.?anterior", meaning):
        return View.pa, ()
    if not position and re.search(r"antero.?posterior", meaning):
        return View.ap, ()
    orientation = orientation_of(dataset)
    if orientation and {orientation[0][:1], orientation[1][:1]} & {"A", "P"}:
        view, notes = _lateral_side(dataset, meaning)
        return view, ("the view is lateral by PatientOrientation", *notes)
    text = f"{dataset.get('SeriesDescription', '')} {dataset.get('ProtocolName', '')}".upper()
    found = re.findall(r"\b(PA|AP|LAT|LATERAL)\b", text)
    if len(set(found)) == 1:
        note = f"the view is taken from the series description ({found[0]})"
        if found[0] in ("PA", "AP"):
            return View(found[0].lower()), (note,)
        view, notes = _lateral_side(dataset, meaning)
        return view, (note, *notes)
    return None, ((f"ViewPosition {position} is none of PA, AP, LL and RL",) if position else ())


def orientation_of(dataset: Dataset) -> tuple[str, str] | None:
    """PatientOrientation, or the letters of ImageOrientationPatient, or None."""
    stated = dataset.get("PatientOrientation")
    if stated and len(stated) == 2 and all(str(code).strip() for code in stated):
        return str(stated[0]), str(stated[1])
    cosines = dataset.get("ImageOrientationPatient")
    if cosines and len(cosines) == 6:
        return orientation_of_cosines(np.array(cosines, float))
    return None


def _lateral_side(dataset: Dataset, meaning: str) -> tuple[View, tuple[str, ...]]:
    side = str(dataset.get("ImageLaterality") or dataset.get("Laterality") or "").upper()
    if side == "R" or "right" in meaning:
        return View.lateral_right, ()
    if side == "L" or "left" in meaning:
        return View.lateral_left, ()
    return View.lateral_left, ("the lateral view states no side: left at the detector is assumed",)


def _spacing(dataset: Dataset, tag: str) -> tuple[float, float] | None:
    value = dataset.get(tag)
    if not value or len(value) != 2:
        return None
    row, col = float(value[0]), float(value[1])
    return (row, col) if row > 0 and col > 0 and np.isfinite([row, col]).all() else None


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and number > 0 else None
