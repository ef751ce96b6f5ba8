"""Description of a file format: a name, extensions, and readers."""

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

    At least one of ``read_xray`` and ``read_volume`` is given. Without ``read_xray``, an X-ray is
    read as a flat volume. Readers raise ``AxonInputError`` for problems that the user can fix; any
    other exception is treated as a damaged file.

    Attributes:
        name: display name, for example "NIfTI".
        extensions: in lower case with the dot, for example ``(".nii", ".nii.gz")``; the first is
            the usual one.
        read_xray: (file, whether the user states the view) -> the X-ray as stored.
        read_volume: file -> the volume as stored.
        recognise: whether the content of a file is of this format, whatever its name. The file
            exists and is not empty.
        read_size: file -> voxels along each axis, from the header only; for formats of both flat
            images and volumes.
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
    """A function that recognises a file by one of several markers at an offset."""

    def recognise(path: Path) -> bool:
        with path.open("rb") as file:
            start = file.read(offset + max(len(mark) for mark in marks))
        return start[offset:].startswith(marks)

    return recognise
