"""Reading an X-ray from DICOM: CR, DX, DC, single-frame secondary capture, CT scouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from axon_backend.errors import AxonInputError
from axon_backend.imaging.body_parts import is_chest, is_elsewhere
from axon_backend.imaging.colour import grey_of_colour
from axon_backend.imaging.dicom_file import (
    check_pixels,
    image_type,
    number_of,
    open_dicom,
    spacing_of,
    text_of,
    transfer_syntax,
    value_of,
)
from axon_backend.imaging.dicom_grey import log_linear_grey
from axon_backend.imaging.dicom_tags import (
    orientation_of,
    other_body_part,
    patient_pixel_mm,
    pixel_aspect,
    tube_distance,
    view_of,
)
from axon_backend.imaging.dicom_values import stored_values
from axon_backend.imaging.raw_xray import RawXray, in_proportion
from axon_backend.util.chatter import no_chatter

# OT, SC, XC and HC: secondary captures and digitised film.
_XRAY_MODALITIES = ("CR", "DX", "DR", "DC", "RG", "RF", "XA", "OT", "SC", "HC", "")
_MIN_SHUTTER_SHARE = 0.3  # shutter or collimator edges that leave less of the image are ignored


def read_dicom_xray(path: Path, view_given: bool = False) -> RawXray:
    """Read a single-frame X-ray from DICOM as `RawXray` (polarity known, not yet oriented).

    `view_given`: the user states the view, so an unusable view tag is ignored.
    Raises `AxonInputError` for other modalities or body parts, several frames, colour images and
    damaged files.
    """
    name = path.name
    try:
        dataset = open_dicom(path)
    except (AxonInputError, MemoryError):
        raise
    except Exception as error:  # pydicom raises many types for damaged headers
        raise AxonInputError(
            f"{name} is not a readable DICOM file (damaged or cut short). Copy or export it again."
        ) from error
    try:
        return _interpret(dataset, path, view_given)
    except (AxonInputError, MemoryError):
        raise
    except Exception as error:
        # pydicom finds broken tags only on use, and raises many types.
        raise AxonInputError(
            f"{name}: a tag of the header is unreadable ({str(error)[:100]}). Export it again."
        ) from error


def _interpret(dataset: Dataset, path: Path, view_given: bool) -> RawXray:
    name = path.name
    scout = _refuse_unless_xray(dataset, name, view_given)
    check_pixels(dataset, path)
    stored, notes = _decode(dataset, name)
    valid: np.ndarray | None = None
    warnings: tuple[str, ...] = ()
    if stored.ndim == 3 and stored.shape[-1] in (3, 4):
        top = float(np.iinfo(stored.dtype).max) if stored.dtype.kind in "ui" else 1.0
        colour = grey_of_colour(stored / np.float32(top), name)
        grey, valid, warnings = colour.pixels, colour.valid, colour.warnings
        notes += colour.notes
    elif stored.ndim != 2:
        raise AxonInputError(
            f"{name} decodes to {stored.ndim} axes {stored.shape}; an X-ray has 2. "
            "Export one frame."
        )
    else:
        grey, grey_notes = log_linear_grey(dataset if not scout else _scout(dataset), stored)
        notes += grey_notes
    pixel_mm, size_notes = patient_pixel_mm(dataset, grey.shape)
    if scout and (spacing := spacing_of(dataset)) is not None:
        pixel_mm = spacing
        size_notes = ("a CT scout: its pixel size is at the isocentre, its beam a moving fan",)
    box, cut = _shutter(dataset, grey.shape)
    grey, valid = grey[box], None if valid is None else valid[box]
    if pixel_mm is None:  # later steps assume square pixels
        square = in_proportion(grey, pixel_aspect(dataset))
        if square is not grey:
            size_notes += ("the pixels are not square: the image was resampled to square ones",)
            if valid is not None:
                valid = in_proportion(valid, pixel_aspect(dataset)) > 0.5
            grey = square
    view, view_notes, view_weak = view_of(dataset, name, view_given)
    other_part = _body_part(dataset)
    return RawXray(
        pixels=np.ascontiguousarray(grey, dtype=np.float32),
        polarity_known=True,
        pixel_mm=pixel_mm,
        view=view,
        orientation=orientation_of(dataset),
        notes=notes + size_notes + cut + view_notes + _axial_note(dataset) + other_part,
        # In a scout the table moves through the fan beam: there is no SID in this sense.
        sid_mm=None if scout else tube_distance(dataset),
        warnings=warnings + other_part,
        valid=valid,
        view_weak=view_weak,
    )


def _refuse_unless_xray(dataset: Dataset, name: str, view_given: bool) -> bool:
    """Raise AxonInputError unless it is a single chest X-ray; return whether it is a CT scout."""
    modality = str(dataset.get("Modality") or "").strip().upper()
    scout = modality == "CT" and "LOCALIZER" in image_type(dataset)
    if modality == "CT" and not scout:
        raise AxonInputError(
            f"{name} is a CT slice; an X-ray (CR, DX) is expected. Give its folder as the CT, "
            "and an X-ray as the X-ray."
        )
    if modality not in _XRAY_MODALITIES and not scout:
        raise AxonInputError(
            f"{name} has modality {modality}; an X-ray (CR, DX) of the chest is expected. "
            "Give a chest X-ray."
        )
    part = other_body_part(dataset, view_given)
    if part is not None:
        way_out = "" if is_elsewhere(part) else ", or state its view if the tag is wrong"
        raise AxonInputError(
            f"{name} shows another body part ({part}); a chest X-ray is expected. "
            f"Give a chest X-ray{way_out}."
        )
    frames = number_of(dataset, "NumberOfFrames") or 1
    if frames > 1:
        raise AxonInputError(
            f"{name} has {frames:.0f} frames; a single X-ray is expected. Export the one frame to "
            "use."
        )
    if "DirectoryRecordSequence" in dataset:
        raise AxonInputError(
            f"{name} is the index of a DICOM disc, not an image. Give the X-ray's own file from "
            "the folders beside it."
        )
    if not any(f"{kind}PixelData" in dataset for kind in ("", "Float", "DoubleFloat")):
        raise AxonInputError(
            f"{name} holds no image (a report, a directory or cut short); an X-ray is expected. "
            "Give the image file itself."
        )
    return scout


def _body_part(dataset: Dataset) -> tuple[str, ...]:
    """A note if the tags name a body part that may include the chest or is adjacent to it."""
    part = text_of(dataset, "BodyPartExamined")
    if not part or is_chest(part):
        return ()
    return (f"the file names the body part {part}: check that it is a chest X-ray",)


def _decode(dataset: Dataset, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    try:
        with no_chatter():
            return stored_values(dataset)
    except Exception as error:  # decoders raise many types
        syntax = transfer_syntax(dataset)
        kind = syntax.name if syntax is not None else "unknown"
        raise AxonInputError(
            f"{name}: the pixels ({kind}) could not be decoded. The file is cut short or its "
            "compression is not known; copy it again or export it uncompressed."
        ) from error


def _scout(dataset: Dataset) -> Dataset:
    """A scout's header without its window, which is meant for slices and would clip most of the
    scout."""
    bare = Dataset()
    for keyword in ("RescaleSlope", "RescaleIntercept", "PhotometricInterpretation",
                    "PixelPaddingValue", "BitsStored", "PixelRepresentation"):  # fmt: skip
        if value_of(dataset, keyword) is not None:
            setattr(bare, keyword, dataset[keyword].value)
    return bare


def _axial_note(dataset: Dataset) -> tuple[str, ...]:
    stated = value_of(dataset, "PatientOrientation")
    if not stated or len(stated) != 2 or orientation_of(dataset) is not None:
        return ()
    codes = "\\".join(str(code) for code in stated)
    return (f"PatientOrientation {codes} is that of an axial slice, not of an X-ray: ignored",)


def _shutter(
    dataset: Dataset, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[str, ...]]:
    """The part of an image inside the rectangular shutter or collimator stated in pixels, if it is
    plausible, and a note on it."""
    rows, cols = shape
    whole_image = slice(0, rows), slice(0, cols)
    for kind in ("Shutter", "Collimator"):
        if "RECTANGULAR" not in text_of(dataset, f"{kind}Shape").upper():
            continue
        names = ("UpperHorizontal", "LowerHorizontal", "LeftVertical", "RightVertical")
        edges = [number_of(dataset, f"{kind}{name}Edge") for name in names]
        if any(edge is None for edge in edges):
            continue
        # Edges are 1-based and belong to the blades; the image is between them.
        top, bottom, left, right = (int(edge or 0) for edge in edges)
        whole = 0 <= top < bottom <= rows + 1 and 0 <= left < right <= cols + 1
        area = max(bottom - top - 1, 0) * max(right - left - 1, 0)
        if not whole or area < _MIN_SHUTTER_SHARE * rows * cols:
            continue
        inner = slice(top, bottom - 1), slice(left, right - 1)
        if inner == whole_image:
            continue
        span = f"rows {top + 1}-{bottom - 1}, columns {left + 1}-{right - 1}"
        return inner, (f"cropped to the {kind.lower()} in the file: {span}",)
    return whole_image, ()
