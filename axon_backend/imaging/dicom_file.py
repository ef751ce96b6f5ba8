"""Opening of DICOM files, including those without a file header, and reading of broken values."""

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
        InvalidDicomError: not a DICOM image. pydicom raises many other types for damaged files.
    """
    check_deflated(path)
    # Otherwise memory would be allocated for an element that states more bytes than there are.
    how.setdefault("defer_size", _DEFERRED)
    try:
        return pydicom.dcmread(path, **how)
    except InvalidDicomError:
        if not is_dicom(path):
            raise
    try:
        dataset = pydicom.dcmread(path, force=True, **how)
    except MemoryError as error:  # bytes that are not DICOM are read as arbitrary lengths
        raise InvalidDicomError(f"{path.name} is not a DICOM image") from error
    if "SOPClassUID" not in dataset or "Modality" not in dataset:
        raise InvalidDicomError(f"{path.name} is not a DICOM image")
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def write_dicom(dataset: pydicom.Dataset, path: Path) -> None:
    """Write a whole DICOM file, with its file meta information.

    Raises:
        OSError: raised by the system. pydicom would put a traceback into its message.
    """
    data = io.BytesIO()
    dataset.save_as(data, enforce_file_format=True)
    path.write_bytes(data.getbuffer())


def check_deflated(path: Path) -> None:
    """Refuse a deflated data set that unpacks to more than the largest image, since pydicom would
    unpack all of it into memory.

    Raises:
        AxonInputError: the data set is too large.
    """
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return
        if DeflatedExplicitVRLittleEndian.encode() not in file.read(4096):
            return
        try:
            length = int(read_file_meta_info(path).FileMetaInformationGroupLength)
        except Exception:  # pydicom raises many types, and again when the file is read
            return
        # The element that states the length of the others itself has 12 bytes.
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
        except zlib.error:  # damaged: reported when it is read
            return False
    return done > most


def check_pixels(dataset: pydicom.Dataset, path: Path) -> None:
    """``header_check.check_image`` for a data set of one frame, and for the size declared in the
    compressed frame itself, which decoders allocate whatever the tags state.

    Raises:
        AxonInputError: the image is too large, or the two sizes differ.
    """
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    check_image(path, rows, columns, int(dataset.get("SamplesPerPixel") or 1))
    syntax = transfer_syntax(dataset)
    # Private encodings of manufacturers are left to the decoder.
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
    encapsulated pixel data; None if there is none, as for RLE."""
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
    """``header.get(keyword)``, or None if the value cannot be decoded."""
    try:
        return header.get(keyword)
    except Exception:  # pydicom decodes a value on first use, and raises many types
        return None


def numbers_of(header: Any, keyword: str) -> tuple[float, ...] | None:
    """The numbers of a tag, or None if it is absent, empty, or does not contain finite numbers."""
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
    """The text of a tag, stripped; empty if the tag is absent or unreadable."""
    return str(value_of(header, keyword) or "").strip()


def spacing_of(header: Any, keyword: str = "PixelSpacing") -> tuple[float, float] | None:
    """Distance between rows and between columns in mm; None unless both are positive numbers."""
    found = numbers_of(header, keyword)
    return (found[0], found[1]) if found and len(found) == 2 and min(found) > 0 else None


def image_type(header: Any) -> list[str]:
    """The values of ImageType in capitals, such as LOCALIZER."""
    kinds = value_of(header, "ImageType") or []
    return [kinds.upper()] if isinstance(kinds, str) else [str(kind).upper() for kind in kinds]


def transfer_syntax(dataset: pydicom.Dataset) -> UID | None:
    """The data set's transfer syntax (encoding and compression), or None if it is not stated."""
    syntax: UID | None = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    return syntax


def is_directory(path: Path) -> bool:
    """Whether a file is a DICOMDIR, the index of a disc (PS3.10 8)."""
    try:
        meta = read_file_meta_info(path)
    except Exception:  # pydicom raises many types
        return False
    return meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage
