"""Pixel size, body part, view and orientation from an X-ray's DICOM header."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from axon_backend.errors import AxonInputError
from axon_backend.imaging.body_parts import is_chest, is_elsewhere, is_no_chest_xray
from axon_backend.imaging.dicom_file import number_of, numbers_of, spacing_of, text_of, value_of
from axon_backend.imaging.display import is_upright, orientation_of_cosines
from axon_backend.imaging.image_file import NO_PIXEL_SIZE
from axon_backend.imaging.raw_xray import is_chest_field
from axon_backend.imaging.view import View
from axon_backend.imaging.view_words import ViewWords, view_words

STANDARD_MAGNIFICATION = 1800.0 / 1600.0  # detector at 1800 mm, centre of the patient at 1600 mm
_MAGNIFICATIONS = (1.0, 2.0)  # plausible for a chest stand
_DISTANCES = (700.0, 4000.0)  # mm; devices write 0, 1 or 10000 for an unknown distance


def patient_pixel_mm(
    dataset: Dataset, shape: tuple[int, int]
) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Pixel size (row, col) in millimetres in the patient plane, and notes.

    ImagerPixelSpacing and NominalScannedPixelSpacing, and PixelSpacing that was not calibrated,
    are measured at the detector and are divided by the magnification SID / SOD. PixelSpacing
    calibrated by GEOMETRY or FIDUCIAL, or different from ImagerPixelSpacing, is already in the
    patient plane (PS3.3 10.7.1.3).
    """
    pixel, imager = spacing_of(dataset), spacing_of(dataset, "ImagerPixelSpacing")
    scanned = spacing_of(dataset, "NominalScannedPixelSpacing")
    calibration = text_of(dataset, "PixelSpacingCalibrationType").upper()
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


def pixel_aspect(dataset: Dataset) -> tuple[float, float] | None:
    """Height and width of a pixel in an arbitrary unit, from PixelAspectRatio or any spacing."""
    keywords = ("PixelAspectRatio", "ImagerPixelSpacing", "PixelSpacing",
                "NominalScannedPixelSpacing")  # fmt: skip
    return next((pair for k in keywords if (pair := spacing_of(dataset, k)) is not None), None)


def magnification(dataset: Dataset) -> tuple[float, str]:
    """Magnification (detector size / patient size), and a note on its origin.

    EstimatedRadiographicMagnificationFactor, else DistanceSourceToDetector /
    DistanceSourceToPatient, else 1800 / 1600.
    """
    stated = _length(dataset, "EstimatedRadiographicMagnificationFactor")
    if stated is not None and _MAGNIFICATIONS[0] <= stated <= _MAGNIFICATIONS[1]:
        return (
            stated,
            f"pixel size at the detector divided by the stated magnification {stated:.3f}",
        )
    detector = _length(dataset, "DistanceSourceToDetector")
    patient = _length(dataset, "DistanceSourceToPatient")
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
    stated = _length(dataset, "DistanceSourceToDetector")
    return stated if stated is not None and _DISTANCES[0] <= stated <= _DISTANCES[1] else None


def view_of(
    dataset: Dataset, name: str, given: bool = False
) -> tuple[View | None, tuple[str, ...], bool]:
    """The view from ViewPosition, the view code, the patient orientation or the description; notes;
    and whether it follows only from one of the last two.

    Raises `AxonInputError` for views that are neither frontal nor lateral (oblique, decubitus),
    unless the user has stated a view (`given`).
    """
    position = text_of(dataset, "ViewPosition")
    code = _coded(dataset, "ViewCodeSequence")
    stated, coded = view_words(position), view_words(code)
    if not given and "neither" in (stated.kinds or coded.kinds):
        raise AxonInputError(
            f"{name} was taken in view {(position or code).upper()}; a frontal (PA, AP) or lateral "
            "(LL, RL) X-ray is expected. Give such an X-ray, or state the view if the tag is wrong."
        )
    for words in (stated, coded):
        view, notes = _view(dataset, words, coded.side)
        if view is not None:
            return view, notes, False
    orientation = orientation_of(dataset)
    if orientation and {orientation[0][:1], orientation[1][:1]} & {"A", "P"}:
        view, notes = _lateral_side(dataset, coded.side)
        return view, ("the view is lateral by PatientOrientation", *notes), True
    text = " ".join(text_of(dataset, t) for t in ("SeriesDescription", "ProtocolName"))
    described = view_words(text, words_alone=True)
    view, notes = _view(dataset, described, None)
    if view is not None:
        said = f"the view is taken from the series description ({text.strip()})"
        return view, (said, *notes), True
    unknown = f"ViewPosition {position.upper()} is not one of PA, AP, LL and RL"
    return None, ((unknown,) if position else ()), False


def _view(
    dataset: Dataset, words: ViewWords, side: str | None
) -> tuple[View | None, tuple[str, ...]]:
    """The one view named by words, or None; `side`: of a lateral view if the words name none."""
    if len(words.kinds) != 1:
        return None, ()
    (kind,) = words.kinds
    if kind in ("pa", "ap"):
        return View(kind), ()
    if kind == "frontal":
        return View.pa, ("the frontal view states no direction of the beam: PA is assumed",)
    if kind == "lateral":
        return _lateral_side(dataset, words.side or side)
    return None, ()


def _coded(dataset: Dataset, keyword: str) -> str:
    """The meaning of the first code of a sequence; if it is missing, that of the code's value
    (SNOMED CT or RT)."""
    sequence = value_of(dataset, keyword)
    if not sequence:
        return ""
    tags = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
    value, scheme, meaning = (text_of(sequence[0], tag) for tag in tags)
    if meaning or not value:
        return meaning
    from pydicom.sr.codedict import codes  # large tables, rarely needed
    from pydicom.sr.coding import Code

    code = Code(value, scheme, "-")
    tables = [codes.cid4010, codes.cid4031]  # projections, anatomic regions
    found = (known for table in tables for known in table.concepts.values() if known == code)
    return next((known.meaning for known in found), "")


def other_body_part(dataset: Dataset, given: bool = False) -> str | None:
    """The body part named in the header of an X-ray, if it is certainly not the chest, else None.

    A header that names the chest anywhere counts as chest, unless its tags name a hand, a skull or
    the like: descriptions often refer to a whole study. Tags that name a neighbour of the chest (an
    abdomen, a shoulder) are trusted unless the user has stated a view of the chest (`given`).
    """
    parts = [text_of(dataset, "BodyPartExamined"), _coded(dataset, "AnatomicRegionSequence")]
    if is_chest(*parts):
        return None
    described = ("SeriesDescription", "StudyDescription", "ProtocolName")
    if any(map(is_elsewhere, parts)):
        return next(part for part in parts if is_elsewhere(part))
    if given or is_chest(*(text_of(dataset, tag) for tag in described)):
        return None
    return next((part for part in parts if is_no_chest_xray(part)), None)


def orientation_of(dataset: Dataset) -> tuple[str, str] | None:
    """PatientOrientation, or the letters of ImageOrientationPatient, or None.

    An orientation without head or feet is that of an axial slice, which converters write by
    default: it does not describe a projection.
    """
    stated = value_of(dataset, "PatientOrientation")
    if stated and len(stated) == 2 and is_upright((str(stated[0]), str(stated[1]))):
        return str(stated[0]), str(stated[1])
    cosines = numbers_of(dataset, "ImageOrientationPatient")
    if cosines and len(cosines) == 6:
        letters = orientation_of_cosines(np.array(cosines))
        return letters if is_upright(letters) else None
    return None


def _lateral_side(dataset: Dataset, side: str | None) -> tuple[View, tuple[str, ...]]:
    tags = ("ImageLaterality", "Laterality")
    letter = next((v for t in tags if (v := text_of(dataset, t).upper())), "")
    if letter == "R" or (letter != "L" and side == "right"):
        return View.lateral_right, ()
    if letter == "L" or side == "left":
        return View.lateral_left, ()
    return View.lateral_left, ("the lateral view states no side: left at the detector is assumed",)


def _length(dataset: Dataset, tag: str) -> float | None:
    number = number_of(dataset, tag)
    return number if number is not None and number > 0 else None
