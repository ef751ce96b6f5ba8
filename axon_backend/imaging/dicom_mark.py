"""Recognition of DICOM files by the marker of part 10, by their first elements, or by name."""

from __future__ import annotations

from pathlib import Path

# Files with these extensions are treated as DICOM whatever their content.
DICOM_EXTENSIONS = (".dcm", ".dicom", ".ima")
_START = 512  # bytes that are examined
_VALUES = (  # value representations used in groups 0002 and 0008
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OW PN SH SL SQ SS ST TM UI UL UN US UT".split()
)
_LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT")  # with a length field of four bytes
_MOST = 1024  # bytes of a value at the start of a header; an identifier has 64


def starts_as_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its content: it has the marker of part 10 (PS3.10 7.1), or is a
    bare data set (no preamble), which starts with elements of group 0002 or 0008 in ascending order
    (PS3.5 7.1)."""
    with path.open("rb") as file:
        start = file.read(_START)
    return start[128:132] == b"DICM" or any(_elements(start, big) >= 2 for big in (False, True))


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its content, or has a DICOM extension and is not empty."""
    if path.suffix.lower() in DICOM_EXTENSIONS:
        return path.stat().st_size > 0
    return starts_as_dicom(path)


def _elements(data: bytes, big: bool) -> int:
    """The number of elements of groups 0002 and 0008 that a data set starts with, up to two."""

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], "big" if big else "little")

    at, count, last = 0, 0, -1
    while count < 2 and at + 8 <= len(data):
        tag = number(at, 2) << 16 | number(at + 2, 2)
        kind = data[at + 4 : at + 6]
        if tag >> 16 not in (0x0002, 0x0008) or tag <= last:
            break
        if kind in _LONG:
            length, head = number(at + 8, 4), 12
        elif kind in _VALUES:
            length, head = number(at + 6, 2), 8
        else:
            length, head = number(at + 4, 4), 8
        if length > _MOST or length % 2:
            break
        at, last, count = at + head + length, tag, count + 1
    return count
