"""What a volume's header declares, checked before a library allocates memory for it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from axon_backend.errors import AxonInputError
from axon_backend.util.limits import limit

# In millions; a CT of 512 x 512 x 2000 voxels has 524, as float32 2.1 GB.
MAX_VOXELS = ("AXON_MAX_MEGAVOXELS", 700.0)
MAX_AXES = 7  # NIfTI's; ITK's reader of MetaImage aborts the process far above
_DEFLATE = 1032  # the most bytes that one byte of a compressed file can stand for
_HEADER_BYTES = 1 << 16
_FIELD = re.compile(rb"^\s*([^=:#\r\n]+?)\s*[=:]=?\s*([^\r\n]*)", re.MULTILINE)


def check_volume(path: Path, size: Sequence[int], values: int = 1, whole: bool = True) -> None:
    """Refuse a volume that would not fit into memory, or that its file cannot hold.

    Args:
        path: the file.
        size: voxels along each axis, by the header.
        values: of a voxel.
        whole: whether the voxels are in the file itself.

    Raises:
        AxonInputError: the header cannot be right, or the volume is larger than
            AXON_MAX_MEGAVOXELS allows.
    """
    shown = " x ".join(map(str, size[:8])) + (" x ..." if len(size) > 8 else "")
    if not 1 <= len(size) <= MAX_AXES or min(size) < 1:
        raise AxonInputError(
            f"{path.name} declares {len(size)} axes ({shown} voxels), a volume has 3. The file is "
            "damaged; export it again."
        )
    count = math.prod(size) * max(1, values)
    most = limit(*MAX_VOXELS)
    if count > 1e6 * most:
        raise AxonInputError(
            f"{path.name} declares {shown} voxels, more than the limit of {most:g} million. Crop "
            f"or resample it to the chest, or set {MAX_VOXELS[0]} higher if there is memory for it."
        )
    if whole and count > _DEFLATE * path.stat().st_size:
        raise AxonInputError(
            f"{path.name} declares {shown} voxels, more than its {path.stat().st_size} bytes can "
            "hold. The file is damaged, cut short or changed; copy or export it again."
        )


def check_text_header(path: Path) -> None:
    """``check_volume`` for a header of text as NRRD and MetaImage have it. Fields that are there
    more than once are checked each, since readers differ in which one they take.

    Raises:
        AxonInputError: see ``check_volume``; or the header has no size or a negative spacing, or
            is no text.
    """
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    nrrd = start.startswith(b"NRRD")
    end = re.search(rb"\n\r?\n" if nrrd else rb"ElementDataFile[^\n]*(\n|$)", start)
    fields = _FIELD.findall(start[: end.end()] if end else start)
    axes, sizes = (b"dimension", b"sizes") if nrrd else (b"NDims", b"DimSize")
    stated = [value for name, value in fields if name.lower() == axes.lower()]
    declared = [value for name, value in fields if name.lower() == sizes.lower()]
    files = [value for name, value in fields if name in (b"data file", b"datafile")]
    if not nrrd:
        files = [v for n, v in fields if n == b"ElementDataFile" and v.strip() != b"LOCAL"]
    try:
        counts = [int(value) for value in stated]
        shapes = [[int(word) for word in value.split()] for value in declared]
        channels = [int(v) for n, v in fields if n == b"ElementNumberOfChannels"]
        packed = [int(v) for n, v in fields if n == b"CompressedDataSize"]
    except ValueError:
        counts, shapes, channels, packed = [], [], [], []
    if not counts or not shapes or any(len(shape) != n for shape in shapes for n in counts):
        raise AxonInputError(
            f"{path.name} could not be read: the file is damaged, cut short or not what its name "
            f"says; its header does not state {axes.decode()} and {sizes.decode()} as its format "
            "requires. Copy or export it again."
        )
    steps = b"spacings" if nrrd else b"ElementSpacing"
    for name, value in fields:
        # ITK would turn a negative step into an axis that runs the other way.
        if name == steps and re.search(rb"(^|\s)-", value):
            raise AxonInputError(
                f"{path.name} has the spacing {value.decode('latin1').strip()}; lengths are "
                "positive. Export it again with its true spacing."
            )
    for shape in shapes:
        check_volume(path, shape, max(channels, default=1), whole=not files)
    if not files and max(packed, default=0) > path.stat().st_size:
        raise AxonInputError(
            f"{path.name} is damaged, cut short or changed: its header declares {max(packed)} "
            "bytes of compressed voxels, more than the file has. Copy or export it again."
        )
