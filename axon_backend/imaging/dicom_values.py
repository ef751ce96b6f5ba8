"""Stored values of a DICOM image: decoding, removal of foreign bits, rescale and padding."""

from __future__ import annotations

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import JPEGExtended12Bit

from axon_backend.imaging.dicom_file import number_of, transfer_syntax, value_of

# Share of the pixels: more values than this above BitsStored mean a wrong BitsStored, not overlays.
_OVERLAY_SHARE = 0.05
_ROUGHER = 2.0  # factor on the differences between neighbours: a wrong sign causes large jumps


def stored_values(dataset: Dataset) -> tuple[np.ndarray, tuple[str, ...]]:
    """The pixels as stored, [row, col] or [row, col, channel], palettes as colours; and notes.

    Bits outside BitsStored and HighBit (PS3.5 8.1.1), in which old files keep overlays, are
    removed. If PixelRepresentation states the wrong signedness, the other one is used. Decoders
    raise many types of exceptions.
    """
    if _is_jpeg_12_bit(dataset):
        stored = _decode_jpeg_12_bit(dataset)
    else:
        dataset.pixel_array_options(correct_unused_bits=False)  # it would trust BitsStored
        stored = dataset.pixel_array
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return pydicom.pixels.apply_color_lut(stored, dataset), ()
    return (
        _with_true_sign(_without_foreign_bits(stored, dataset))
        if stored.ndim == 2
        else (stored, ())
    )


def _with_true_sign(stored: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Reinterpret integers as signed or unsigned if that gives a much smoother image: with the
    wrong signedness, values that pass the end of its range jump by the whole range."""
    kinds = {"u": "signed", "i": "unsigned"}
    if stored.dtype.kind not in kinds or stored.dtype.itemsize > 2:
        return stored, ()
    other = stored.view(stored.dtype.str.translate(str.maketrans("ui", "iu")))
    rows = max(1, stored.shape[0] // 64)
    if (np.sign(stored[::rows]) == np.sign(other[::rows])).all():
        return stored, ()  # no value is affected

    def roughness(values: np.ndarray) -> float:
        return float(np.abs(np.diff(values[::rows].astype(np.int32))).mean())

    if roughness(stored) <= _ROUGHER * roughness(other):  # also where both are constant
        return stored, ()
    kind = kinds[stored.dtype.kind]
    return other, (f"PixelRepresentation is wrong: the values are {kind} by the image",)


def _without_foreign_bits(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    bits = int(number_of(dataset, "BitsStored") or 0)
    room = 8 * stored.dtype.itemsize
    if stored.dtype.kind not in "ui" or not 0 < bits < room:
        return stored
    signed = stored.dtype.kind == "i"
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if stored.min() >= low and stored.max() <= high:
        return stored
    high_bit = int(number_of(dataset, "HighBit") or bits - 1)
    shift = high_bit - bits + 1
    if 0 < shift <= room - bits:
        return (stored << room - 1 - high_bit) >> (room - bits)
    if not signed:
        beyond = stored >> bits
        used = int(np.bitwise_or.reduce(beyond.ravel()))
        # Overlays use single bits; grey values longer than stated use the next higher bits.
        if used & (used + 1) == 0 and float((beyond > 0).mean()) > _OVERLAY_SHARE:
            return stored
        return stored & np.array(high, dtype=stored.dtype)
    if stored.min() < 0:
        return stored  # the sign extends to the last bit, so BitsStored is wrong
    return (stored << (room - bits)) >> (room - bits)


def _is_jpeg_12_bit(dataset: Dataset) -> bool:
    bits = int(number_of(dataset, "BitsStored") or 8)
    return transfer_syntax(dataset) == JPEGExtended12Bit and bits > 8


def _decode_jpeg_12_bit(dataset: Dataset) -> np.ndarray:
    """Decode lossy 12-bit JPEG (process 4). pydicom uses a decoder under the GPL; GDCM has a BSD
    licence."""
    import gdcm

    rows, columns = int(dataset.Rows), int(dataset.Columns)
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(next(generate_frames(dataset.PixelData, number_of_frames=1)))
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation.GetPIType(str(dataset.PhotometricInterpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    syntax = gdcm.TransferSyntax.GetTSType(str(JPEGExtended12Bit))
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    signed = int(dataset.get("PixelRepresentation") or 0)
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, 12, 11, signed))
    data = image.GetBuffer().encode("utf-8", "surrogateescape")
    if len(data) != 2 * rows * columns:
        raise ValueError("the compressed pixels do not fill the image")
    return np.frombuffer(data, "<i2" if signed else "<u2").reshape(rows, columns)


def rescale_of(dataset: Dataset) -> tuple[float, float, tuple[str, ...]]:
    """RescaleSlope and RescaleIntercept (1 and 0 if absent), and notes on broken ones.

    A slope of 0 would blank the image, so it counts as broken.
    """
    notes: tuple[str, ...] = ()
    found = []
    for tag, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0)):
        number = number_of(dataset, tag)
        if number is None or (tag == "RescaleSlope" and number == 0):
            if tag in dataset and (number == 0 or not has_no_value(dataset, tag)):
                said = "0" if number == 0 else "not a number"
                notes += (f"{tag} is {said}: {default:g} is used",)
            number = default
        found.append(number)
    return found[0], found[1], notes


def has_no_value(dataset: Dataset, tag: str) -> bool:
    """Whether a tag is absent or empty, as opposed to unreadable."""
    element = dataset.get_item(tag)
    value = None if element is None else element.value
    text = value.decode("latin1") if isinstance(value, bytes) else str(value or "")
    return not text.strip(" \0")


def padding_mask(dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    """Pixels outside the exposed field, by PixelPaddingValue and its range limit (PS3.3
    C.7.5.1.1.2)."""
    value, limit = (value_of(dataset, f"PixelPadding{t}") for t in ("Value", "RangeLimit"))
    if not isinstance(value, int):
        return np.zeros(stored.shape, dtype=bool)
    ends = [
        _as_stored(v, stored.dtype) for v in (value, limit if isinstance(limit, int) else value)
    ]
    return (stored >= min(ends)) & (stored <= max(ends))


def _as_stored(value: int, kind: np.dtype) -> int:
    """A padding value in the representation of the stored values, in case it was written in the
    other one (signed or unsigned)."""
    if kind.kind == "u" and value < 0:
        return value + (1 << 8 * kind.itemsize)
    if kind.kind == "i" and value > np.iinfo(kind).max:
        return value - (1 << 8 * kind.itemsize)
    return value
