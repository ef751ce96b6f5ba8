"""What a file format is: a name, extensions, and readers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from axon_backend.imaging.raw_volume import RawVolume
    from axon_backend.imaging.raw_xray import RawXray


@dataclass(frozen=True)
class ImageFormat:
    """One file format.

    At least one of ``read_xray`` and ``read_volume`` is given. Where ``read_xray`` is missing, an
    X-ray is a flat volume. Readers raise ``AxonInputError`` for what a user can mend; any other
    exception is taken as a damaged file.

    Attributes:
        name: as people call it, for example "NIfTI".
        extensions: in lower case with the dot, for example ``(".nii", ".nii.gz")``; the first is
            the usual one.
        read_xray: from a file and whether the user states the view, to the X-ray as it is stored.
        read_volume: from a file to the volume as it is stored.
        recognise: whether a file is of this format by its content, whatever it is called. The
            file exists and is not empty.
        read_size: from a file to its voxels along each axis, by the header alone; only for formats
            that hold flat images and volumes.
    """

    name: str
    extensions: tuple[str, ...]
    read_xray: Callable[[Path, bool], RawXray] | None = None
    read_volume: Callable[[Path], RawVolume] | None = None
    recognise: Callable[[Path], bool] | None = None
    read_size: Callable[[Path], tuple[int, ...]] | None = None

    def __post_init__(self) -> None:
        if self.read_xray is None and self.read_volume is None:
            raise ValueError(f"the format {self.name} has no reader")


def starts_with(*marks: bytes, offset: int = 0) -> Callable[[Path], bool]:
    """Recognises a file by one of some marks at a place of its content."""

    def recognise(path: Path) -> bool:
        with path.open("rb") as file:
            start = file.read(offset + max(len(mark) for mark in marks))
        return start[offset:].startswith(marks)

    return recognise
