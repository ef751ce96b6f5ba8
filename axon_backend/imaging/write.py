"""Atomic writing of results.

A temporary file is written in the destination's folder and then renamed to the destination
(`axon_backend.util.atomic`), so that a crash, a full disk or a cancellation never leaves an
incomplete file under the final name.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from axon_backend.errors import AxonInputError, not_written
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.util.atomic import whole_file

if TYPE_CHECKING:  # 100 MB; imported where it is used
    import SimpleITK as sitk

RESEARCH_NOTE = "AXON: research use only, not for diagnosis"
PNG_LEVEL = 3  # a few per cent larger than at zlib's 6, in less than half the time
VOLUME_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")
_NIFTI_DESCRIP_CHARS = 79  # the header's field has 80 bytes, the last one a zero
_NIFTI_HEADER_BYTES = 352


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, else removed.

    The temporary file has the same suffix, by which image libraries choose the format.
    Raises `AxonInputError` if the folder is missing, `path` is a folder, or the system refuses to
    write.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise AxonInputError(
            f"Cannot write {target}: the folder {target.parent} does not exist. "
            "Create it first or choose another output path."
        )
    if target.is_dir():
        raise AxonInputError(
            f"Cannot write {target}: a folder has that name. Give the name of a file."
        )
    try:
        with whole_file(target) as temporary:
            yield temporary
    except OSError as error:
        raise not_written(
            f"Cannot write {target}: {error.strerror or error}. "
            "Check the free space and the permissions of the folder.",
            error,
        ) from error


def place_image(image: sitk.Image, ijk_to_lps: np.ndarray) -> None:
    """Set the spacing, origin and direction of an image from a (4, 4) matrix with orthogonal axes
    that maps voxels (i, j, k, 1) to LPS millimetres."""
    matrix = np.asarray(ijk_to_lps, float)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((matrix[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(matrix[:3, 3].tolist())


def write_volume(
    path: str | os.PathLike[str],
    array_hu: np.ndarray,
    geometry: Any,
    description: str = "",
) -> Path:
    """Write a HU volume as int16 NIfTI (.nii, .nii.gz), NRRD (.nrrd) or MetaImage (.mha).

    `array_hu` is [z, y, x] (z to Superior, y to Posterior, x to Left). `geometry` is a
    `ThoraxFrame`, which the array fills exactly; anything with `spacing_mm` and `origin_mm` (a
    `CTVolume`), both (x, y, z) in LPS millimetres; or a (4, 4) matrix from voxel (x, y, z, 1) to
    LPS millimetres with axes at right angles.
    Values are rounded and clipped to int16. The header's description says that the file is for
    research only, followed by `description` (NIfTI keeps 79 characters in all).

    Raises `AxonInputError` for an unknown suffix, a missing folder, NaN or a wrong rank.
    """
    import SimpleITK as sitk

    target = Path(path)
    suffix = volume_suffix(target)
    array = np.asarray(array_hu)
    if array.ndim != 3:
        raise AxonInputError(
            f"Cannot write {target.name}: the array has {array.ndim} axes; a volume has 3."
        )
    if not np.isfinite(array).all():
        raise AxonInputError(
            f"Cannot write {target.name}: the volume holds values that are not numbers (NaN or "
            "infinite). The reconstruction failed; run it again in 32-bit precision."
        )
    limits = np.iinfo(np.int16)
    voxels = np.clip(np.rint(array), limits.min, limits.max).astype(np.int16)
    image = sitk.GetImageFromArray(voxels)
    if isinstance(geometry, np.ndarray):
        place_image(image, geometry)
    else:
        spacing, origin = spacing_and_origin(
            geometry, (voxels.shape[2], voxels.shape[1], voxels.shape[0])
        )
        image.SetSpacing(spacing)
        image.SetOrigin(origin)

    note = f"{RESEARCH_NOTE}; {description}" if description else RESEARCH_NOTE
    if suffix.startswith(".nii"):
        # ITK copies this key to the NIfTI field `descrip`.
        ascii_note = note.encode("ascii", "replace").decode("ascii")
        image.SetMetaData("ITK_FileNotes", ascii_note[:_NIFTI_DESCRIP_CHARS])
    else:
        image.SetMetaData("Comment" if suffix == ".mha" else "description", note.replace("\n", " "))
    with atomic_path(target) as temporary:
        write_image(image, temporary)
    return target


def write_image(image: sitk.Image, path: Path) -> None:
    """Write an image, compressed if the format supports it, and verify that the file is complete.

    Raises:
        OSError: the file is incomplete. ITK's NIfTI writer does not notice a full disk, so a
            truncated volume would pass as a good one.
    """
    import SimpleITK as sitk

    name = path.name.lower()
    try:
        sitk.WriteImage(image, str(path), useCompression=not name.endswith(".nii"))
    except RuntimeError as error:
        raise OSError(str(error).strip().splitlines()[-1]) from error
    size = image.GetNumberOfPixels() * image.GetNumberOfComponentsPerPixel()
    size *= image.GetSizeOfPixelComponent()
    with open(path, "rb") as stream:
        held: int = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, held - 4))
        end = int.from_bytes(stream.read(4), "little")  # gzip: the uncompressed length
    if name.endswith((".nii", ".nii.gz")):
        size += _NIFTI_HEADER_BYTES
    if name.endswith((".nii.gz", ".nrrd")):
        held, size = end, size % 2**32
    if not name.endswith(".mha") and held != size:  # the writer of .mha reports it
        raise OSError(errno.ENOSPC, "the file was cut short, as on a full disk")


def volume_suffix(path: str | os.PathLike[str]) -> str:
    """The volume suffix of a path (`.nii.gz`, `.nii`, `.nrrd`, `.mha`); raises `AxonInputError` for
    another."""
    name = Path(path).name.lower()
    for suffix in VOLUME_SUFFIXES:
        if name.endswith(suffix) and len(name) > len(suffix):
            return suffix
    raise AxonInputError(
        f"Cannot write {Path(path).name}: a volume is written as {', '.join(VOLUME_SUFFIXES)}. "
        "Give the output one of these endings."
    )


def spacing_and_origin(
    geometry: Any, size_xyz: tuple[int, int, int]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Voxel size and the centre of voxel (0, 0, 0), both (x, y, z) in LPS millimetres.

    ``geometry`` is a frame or anything with a spacing and an origin, see `write_volume`;
    ``size_xyz`` counts voxels.
    """
    if isinstance(geometry, ThoraxFrame):
        return geometry.spacing_mm(size_xyz), geometry.origin_mm(size_xyz)
    return tuple(map(float, geometry.spacing_mm)), tuple(map(float, geometry.origin_mm))


def write_png(path: str | os.PathLike[str], array: np.ndarray, bits: int = 8) -> Path:
    """Write an image [row, col] (grey) or [row, col, 3 or 4] (colour, 8 bit only) as PNG.

    uint8 and uint16 are written unchanged; floats and booleans, from 0 (black) to 1 (white), are
    clipped and written with `bits` = 8 or 16.
    """
    target = Path(path)
    pixels = np.asarray(array)
    if pixels.dtype not in (np.uint8, np.uint16):
        if bits not in (8, 16):
            raise ValueError(f"bits must be 8 or 16, got {bits}")
        top = 2**bits - 1
        scaled = np.rint(np.clip(np.nan_to_num(pixels.astype(np.float64)), 0.0, 1.0) * top)
        pixels = scaled.astype(np.uint8 if bits == 8 else np.uint16)
    grey = pixels.ndim == 2
    colour = pixels.ndim == 3 and pixels.shape[2] in (3, 4) and pixels.dtype == np.uint8
    if not (grey or colour):
        raise ValueError(f"cannot write an array {pixels.shape} of {pixels.dtype} as PNG")
    with atomic_path(target) as temporary:
        image = Image.fromarray(np.ascontiguousarray(pixels))
        image.save(temporary, format="PNG", compress_level=PNG_LEVEL)
    return target


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write UTF-8 text with Unix line endings. Undecodable bytes of file names are escaped as in
    JSON (``\\udcfc``)."""
    target = Path(path)
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    return target


def write_json(path: str | os.PathLike[str], obj: Any) -> Path:
    """Write an object as indented JSON.

    Dataclasses, enums, paths, sets, NumPy numbers and arrays are accepted. NaN and infinity, which
    JSON lacks, become null.
    """
    text = json.dumps(_plain(obj), indent=2, ensure_ascii=False, allow_nan=False)
    return write_text(path, text + "\n")


def _plain(obj: Any) -> Any:
    """Convert `obj` to types that JSON supports."""
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return {f.name: _plain(getattr(obj, f.name)) for f in dataclasses.fields(obj)}
    if isinstance(obj, Enum):
        return _plain(obj.value)
    if isinstance(obj, dict):
        return {str(_plain(key)): _plain(value) for key, value in obj.items()}
    if isinstance(obj, (list, tuple)):
        return [_plain(item) for item in obj]
    if isinstance(obj, (set, frozenset)):
        return sorted((_plain(item) for item in obj), key=repr)
    if isinstance(obj, (np.ndarray, np.generic)):
        return _plain(obj.tolist())
    if isinstance(obj, float):
        return obj if math.isfinite(obj) else None
    if obj is None or isinstance(obj, (str, bool, int)):
        return obj
    if isinstance(obj, os.PathLike):
        return os.fspath(obj)
    raise TypeError(f"write_json: {type(obj).__name__} has no JSON form")
