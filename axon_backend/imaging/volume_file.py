"""Reading of volumes from files of any registered format."""

from __future__ import annotations

from pathlib import Path

from axon_backend.errors import AxonInputError
from axon_backend.imaging.formats import find_format, list_formats, volume_formats
from axon_backend.imaging.raw_volume import RawVolume


def load_volume(path: Path) -> RawVolume:
    """Read a volume.

    Raises:
        AxonInputError: the file is empty, damaged, truncated, or not in a volume format.
    """
    if path.is_file() and path.stat().st_size == 0:
        raise AxonInputError(f"{path.name} is empty (0 bytes). Copy or export the file again.")
    format = find_format(path)
    if format is None or format.read_volume is None:
        raise AxonInputError(
            f"{path.name} is not a volume in a known format. Give {list_formats(volume_formats())}."
        )
    try:
        file = format.read_volume(path)
    except (AxonInputError, MemoryError):
        raise
    except Exception as error:  # the libraries and zlib raise many types
        raise AxonInputError(
            f"{path.name} could not be read: the file is damaged, cut short or not what its "
            "name says. Copy or export it again."
        ) from error
    if file.voxels.dtype.kind == "c":
        raise AxonInputError(
            f"{path.name} has complex values, as of an MR scan in k-space; HU or greys are real "
            "numbers. Give the magnitude or the CT itself."
        )
    return file
