"""Checks of the size declared in a header, before a library allocates memory for it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path, PurePath, PureWindowsPath

from axon_backend.errors import AxonInputError
from axon_backend.util.input_file import check_input
from axon_backend.util.limits import limit

# In millions; a CT of 512 x 512 x 2000 voxels has 524, as float32 2.1 GB.
MAX_VOXELS = ("AXON_MAX_MEGAVOXELS", 700.0)
# In millions; the largest chest detectors have 20, and memory holds several copies of an X-ray.
MAX_PIXELS = ("AXON_MAX_MEGAPIXELS", 100.0)
MAX_AXES = 7  # as in NIfTI; with many more, ITK's MetaImage reader aborts the process
_DEFLATE = 1032  # maximum number of bytes that one byte of a compressed file expands to
_HEADER_BYTES = 1 << 19
_FIELD = re.compile(rb"^\s*([^=:#\r\n]+?)\s*[=:]=?\s*([^\r\n]*)", re.MULTILINE)


def check_volume(path: Path, size: Sequence[int], values: int = 1, whole: bool = True) -> None:
    """Refuse a volume that would not fit into memory, or that its file cannot hold.

    Args:
        path: the file.
        size: voxels along each axis, according to the header.
        values: values per voxel.
        whole: whether the voxels are in the file itself.

    Raises:
        AxonInputError: the header cannot be right, or the volume is larger than
            AXON_MAX_MEGAVOXELS allows.
    """
    shown = " x ".join(map(str, size[:8])) + (" x ..." if len(size) > 8 else "")
    if not 1 <= len(size) <= MAX_AXES or min(size) < 1:
        raise AxonInputError(
            f"{path.name} declares {len(size)} axes ({shown} voxels); a volume has 3. The file is "
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


def check_image(path: Path, rows: int, columns: int, samples: int = 1) -> None:
    """Refuse a flat image that would not fit into memory.

    Args:
        path: the file.
        rows, columns: size according to the header.
        samples: samples per pixel, such as 3 for colour.

    Raises:
        AxonInputError: the image has no pixels, or more than AXON_MAX_MEGAPIXELS allows.
    """
    most = limit(*MAX_PIXELS)
    if min(rows, columns, samples) < 1:
        raise AxonInputError(
            f"{path.name} declares {rows} x {columns} pixels. The file is damaged; export it again."
        )
    if rows * columns * samples > 1e6 * most:
        raise AxonInputError(
            f"{path.name} declares {rows} x {columns} pixels, more than the limit of {most:g} "
            f"million. Scale it down, or set {MAX_PIXELS[0]} higher if there is memory for it."
        )


def check_text_header(path: Path) -> None:
    """``check_volume`` for the text header of NRRD and MetaImage. Every occurrence of a repeated
    field is checked, since readers differ in which one they use.

    Raises:
        AxonInputError: see ``check_volume``; or the header has no size or a negative spacing, or
            is not text.
    """
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    nrrd = start.startswith(b"NRRD")
    end = re.search(rb"\n\r?\n" if nrrd else rb"(?i)ElementDataFile[^\n]*(\n|$)", start)
    fields = _FIELD.findall(start[: end.end()] if end else start)
    axes, sizes = (b"dimension", b"sizes") if nrrd else (b"NDims", b"DimSize")
    stated = [value for name, value in fields if name.lower() == axes.lower()]
    declared = [value for name, value in fields if name.lower() == sizes.lower()]
    places = (b"data file", b"datafile") if nrrd else (b"elementdatafile",)
    files = [value for name, value in fields if name.lower() in places]
    files = [value for value in files if nrrd or value.strip().upper() != b"LOCAL"]
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
    _check_data_files(path, files, start)
    steps = b"spacings" if nrrd else b"ElementSpacing"
    for name, value in fields:
        # ITK would interpret a negative step as a reversed axis.
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


def _check_data_files(path: Path, files: list[bytes], start: bytes) -> None:
    """Refuse voxel files outside the header's folder: a header must not make AXON read files that
    the user did not provide.

    Args:
        path: the header.
        files: values of its fields: a file, a pattern of files, or LIST.
        start: the start of the header, which contains the lines after a LIST.
    """
    named = [value.decode(errors="surrogateescape").strip() for value in files]
    if any(name.upper().startswith("LIST") for name in named):
        if path.stat().st_size > _HEADER_BYTES:
            raise AxonInputError(
                f"{path.name} lists more files than a volume has slices. Export it as one file."
            )
        listed = re.split(rb"(?i)(?:data ?file|ElementDataFile)\s*[=:]\s*LIST[^\n]*\n", start)[-1]
        named += [line.decode(errors="surrogateescape").strip() for line in listed.splitlines()]
    for name in named:
        # NRRD and MetaImage put numbers after a pattern.
        file = PurePath(name.split("%")[0])
        absolute = file.is_absolute() or PureWindowsPath(name).is_absolute() or "\0" in name
        if absolute or ".." in PureWindowsPath(name).parts:
            raise AxonInputError(
                f"{path.name} takes its voxels from {name[:80]!r}, outside its folder. Put the "
                "file beside the header and name it there, or export the volume as one file."
            )
        check_input(path.parent / name)
