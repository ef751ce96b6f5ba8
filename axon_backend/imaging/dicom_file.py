"""Opening DICOM files, also those without a file header, and reading values that may be broken."""

from __future__ import annotations

import io
import math
import struct
import zlib
from pathlib import Path
from typing import IO, Any

import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from axon_backend.errors import AxonInputError
from axon_backend.imaging.dicom_mark import is_dicom
from axon_backend.imaging.header_check import MAX_PIXELS, check_image
from axon_backend.util.limits import limit

_PIECE, _DEFERRED = 1 << 20, 64 << 20


def open_dicom(path: Path, **how: Any) -> FileDataset:
    """``pydicom.dcmread(path, **how)`` after ``check_deflated``, which also reads a bare data set
    (no preamble, no file meta information, as archives and networks keep them).

    Raises:
        AxonInputError: see ``check_deflated``.
        InvalidDicomError: no DICOM image. pydicom raises many other kinds on damaged files.
    """
    check_deflated(path)
    # An element that states more bytes than there are would be given memory for all of them.
    how.setdefault("defer_size", _DEFERRED)
    try:
        return pydicom.dcmread(path, **how)
    except InvalidDicomError:
        if not is_dicom(path):
            raise
    try:
        dataset = pydicom.dcmread(path, force=True, **how)
    except MemoryError as error:  # what is no DICOM at all is read as lengths of any size
        raise InvalidDicomError(f"{path.name} is no DICOM image") from error
    if "SOPClassUID" not in dataset or "Modality" not in dataset:
        raise InvalidDicomError(f"{path.name} is no DICOM image")
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def write_dicom(dataset: pydicom.Dataset, path: Path) -> None:
    """Write a whole DICOM file, with its file meta information.

    Raises:
        OSError: of the system. pydicom would put a traceback into its message.
    """
    data = io.BytesIO()
    dataset.save_as(data, enforce_file_format=True)
    path.write_bytes(data.getbuffer())


def check_deflated(path: Path) -> None:
    """Refuse a deflated data set that unpacks to more than the largest image, which pydicom would
    unpack into memory whole.

    Raises:
        AxonInputError: it does.
    """
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return
        if DeflatedExplicitVRLittleEndian.encode() not in file.read(4096):
            return
        try:
            length = int(read_file_meta_info(path).FileMetaInformationGroupLength)
        except Exception:  # pydicom raises many kinds, and again where it is read
            return
        # The element that states the length of the others has 12 bytes itself.
        file.seek(132 + 12 + length)
        if _unpacks_to_more(file, int(2.5e6 * limit(*MAX_PIXELS))):
            raise AxonInputError(
                f"{path.name} is a compressed DICOM file that unpacks to more than an image of "
                f"{limit(*MAX_PIXELS):g} million pixels holds. Export it uncompressed, or set "
                f"{MAX_PIXELS[0]} higher if there is memory for it."
            )


def _unpacks_to_more(file: IO[bytes], most: int) -> bool:
    unpacker, done = zlib.decompressobj(-zlib.MAX_WBITS), 0
    data = b""
    while done <= most and not unpacker.eof:
        data = unpacker.unconsumed_tail or file.read(_PIECE)
        if not data:
            return False
        try:
            done += len(unpacker.decompress(data, _PIECE))
        except zlib.error:  # damaged: said where it is read
            return False
    return done > most


def check_pixels(dataset: pydicom.Dataset, path: Path) -> None:
    """``header_check.check_image`` for a data set of one frame, and for what the compressed frame
    declares itself: decoders allocate that, whatever the tags say.

    Raises:
        AxonInputError: there is too much of it, or the two do not agree.
    """
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    check_image(path, rows, columns, int(dataset.get("SamplesPerPixel") or 1))
    syntax = transfer_syntax(dataset)
    # A manufacturer's own encoding is found out by the decoder.
    if syntax is None or not syntax.is_transfer_syntax or not syntax.is_encapsulated:
        return
    declared = _codestream_size(dataset.PixelData)
    if declared is not None and declared != (rows, columns):
        raise AxonInputError(
            f"{path.name} is damaged: its tags state {rows} x {columns} pixels, its compressed "
            f"image {declared[0]} x {declared[1]}. Export it again."
        )


def _codestream_size(data: bytes) -> tuple[int, int] | None:
    """Rows and columns in the header of the first JPEG, JPEG-LS or JPEG 2000 image in
    encapsulated pixel data; None where there is none, as of RLE."""
    at = data.find(b"\xff\x4f\xff\x51")  # JPEG 2000: SOC and SIZ
    if at >= 0:
        if len(data) < at + 24:
            return None
        right, bottom, left, top = struct.unpack(">4I", data[at + 8 : at + 24])
        return bottom - top, right - left
    at = data.find(b"\xff\xd8\xff")
    if at < 0:
        return None
    at += 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        # SOF0 to SOF15 without DHT, JPG and DAC; SOF55 is JPEG-LS.
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            rows, columns = struct.unpack(">2H", data[at + 5 : at + 9])
            return rows, columns
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


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


def text_of(header: Any, keyword: str) -> str:
    """The text of a tag, without spaces around it; empty where it is absent or unreadable."""
    return str(value_of(header, keyword) or "").strip()


def spacing_of(header: Any, keyword: str = "PixelSpacing") -> tuple[float, float] | None:
    """Distance between rows and between columns in mm; None unless it is of two positive
    numbers."""
    found = numbers_of(header, keyword)
    return (found[0], found[1]) if found and len(found) == 2 and min(found) > 0 else None


def image_type(header: Any) -> list[str]:
    """The values of ImageType in capitals, such as LOCALIZER."""
    kinds = value_of(header, "ImageType") or []
    return [kinds.upper()] if isinstance(kinds, str) else [str(kind).upper() for kind in kinds]


def transfer_syntax(dataset: pydicom.Dataset) -> UID | None:
    """How the data set is encoded and its pixels are compressed, where that is stated."""
    syntax: UID | None = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    return syntax


def is_directory(path: Path) -> bool:
    """Whether a file is a DICOMDIR, the index of a disc (PS3.10 8)."""
    try:
        meta = read_file_meta_info(path)
    except Exception:  # pydicom raises many kinds
        return False
    return meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage
