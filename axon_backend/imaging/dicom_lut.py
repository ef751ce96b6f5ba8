"""Lookup tables in DICOM headers, repaired if their meaning is clear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from axon_backend.imaging.dicom_file import transfer_syntax, value_of


@dataclass(frozen=True)
class LookupTable:
    """PS3.3 C.11.1.1 and C.11.2.1.1.

    `entries`: float64 (n,); `first`: the stored value of the first entry; `bits`: bits per entry,
    so that 2^bits - 1 is the brightest.
    """

    entries: np.ndarray
    first: int
    bits: int

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The entries of values; values outside the table get its first or last entry."""
        at = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1)
        return self.entries[at.astype(np.int64)]


def lookup_table(dataset: Dataset, keyword: str) -> tuple[LookupTable | None, str | None]:
    """The first table of a sequence (`ModalityLUTSequence`, `VOILUTSequence`), or None if there is
    none or it is broken beyond repair; and the reason, if it is left out.

    Repaired are: entries of 8 bits packed into bytes, entries with more bits than stated, a
    descriptor without its third value, and a first value with the wrong signedness.
    """
    sequence = value_of(dataset, keyword)
    if not sequence:
        return None, None
    item = sequence[0]
    words = _whole(value_of(item, "LUTDescriptor"))
    if words is None or len(words) not in (2, 3):
        return None, "its descriptor does not have three numbers"
    count = words[0] % (1 << 16) or 1 << 16  # 0 stands for 65536
    first = _first_value(words[1], int(dataset.get("PixelRepresentation") or 0) == 1)
    stated = words[2] if len(words) == 3 else 0
    little = _is_little_endian(dataset)
    entries = _entries(value_of(item, "LUTData"), count, little)
    if entries is None:
        return None, f"it states {count} entries but contains fewer"
    if entries.min() == entries.max():
        return None, "all its entries are equal"
    needed = int(entries.max()).bit_length()
    return LookupTable(entries.astype(np.float64), first, max(needed, min(stated, 16))), None


def _whole(value: object) -> list[int] | None:
    try:
        return [int(v) for v in value]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return None


def _first_value(value: int, signed: bool) -> int:
    """The first value; for a signed image, one above 32767 is negative but written unsigned."""
    return value - (1 << 16) if signed and value >= 1 << 15 else value


def _entries(data: object, count: int, little: bool) -> np.ndarray | None:
    """``count`` entries, of 16 bits or packed into bytes; None if there are fewer."""
    if isinstance(data, bytes):
        raw = data
    else:
        words = _whole([data] if isinstance(data, int) else data)
        if words is None:
            return None
        if len(words) >= count:
            return np.array(words[:count])
        raw = np.array(words, "<u2" if little else ">u2").tobytes()
    if len(raw) >= 2 * count:
        return np.frombuffer(raw, "<u2" if little else ">u2", count)
    if len(raw) in (count, count + 1):
        return np.frombuffer(raw, np.uint8, count)
    return None


def _is_little_endian(dataset: Dataset) -> bool:
    syntax = transfer_syntax(dataset)
    return syntax is None or bool(syntax.is_little_endian)
