"""NIfTI, by nibabel.

ITK's reader is not used: it turns NaN into 0 HU (soft tissue), accepts truncated files, and refuses
sheared axes.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from axon_backend.errors import AxonInputError
from axon_backend.imaging.formats.format import ImageFormat
from axon_backend.imaging.header_check import check_volume

if TYPE_CHECKING:
    import numpy as np

    from axon_backend.imaging.raw_volume import RawVolume

# Largest offset at which voxels may begin; everything before them is read or unpacked in vain.
_FURTHEST = 16 << 20
_GZIP = b"\x1f\x8b"
# The magic of a single file in NIfTI-1 and NIfTI-2: (offset, value).
_MAGIC_1, _MAGIC_2 = (344, b"n+1\0"), (4, b"n+2\0")


def recognise(path: Path) -> bool:
    """Whether the header, compressed or not, has the magic of NIfTI-1 or NIfTI-2."""
    try:
        with path.open("rb") as file:
            start = file.read(348)
        if start.startswith(_GZIP):
            with gzip.open(path) as file:
                start = file.read(348)
    except (OSError, EOFError, zlib.error):  # raised by gzip for a damaged file
        return False
    return any(start[offset : offset + 4] == magic for offset, magic in (_MAGIC_1, _MAGIC_2))


def read_volume(path: Path) -> RawVolume:
    """Read voxels as float32 (complex ones as complex64); several values per voxel (RGB) become
    channels."""
    import numpy as np

    from axon_backend.imaging.raw_volume import RawVolume

    image = _open(path)
    channels = len(image.dataobj.dtype.names or "x")
    if channels > 1:
        fields = np.asanyarray(image.dataobj)
        data = np.stack([fields[name] for name in fields.dtype.names])
    else:
        kind = np.float32 if image.dataobj.dtype.kind != "c" else np.complex64
        data = np.asarray(image.dataobj, dtype=kind)
    header = image.header
    notes: tuple[str, ...] = ()
    if int(header["qform_code"]) == 0 and int(header["sform_code"]) == 0:
        zooms = [float(z) for z in header.get_zooms()[:3]]
        affine = np.diag([*zooms, *[1.0] * (4 - len(zooms))])
        notes = ("the file states no orientation: its axes are taken as Left, Posterior, Superior",)
    else:
        affine, notes = _choose_form(header)
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine  # RAS to LPS
    return RawVolume(data.T, affine, channels, notes)


def _choose_form(header: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """The (4, 4) map of voxel indices to RAS mm, and a note if sform and qform disagree.

    The sform is used, as is usual, unless it also contradicts the voxel size: then it has the wrong
    scale. A sheared sform together with a qform, which cannot be sheared, is a tilted gantry.
    """
    import numpy as np

    sform, qform = (form(coded=True)[0] for form in (header.get_sform, header.get_qform))
    if sform is None or qform is None:
        return header.get_best_affine(), ()
    steps = [np.linalg.norm(form[:3, :3], axis=0) for form in (sform, qform)]
    if not np.isfinite(sform).all() or min(steps[0]) <= 0:
        return qform, ("the file's sform is unusable: its qform is used",)
    across, along = (
        form[:3, :2] / step[:2] for form, step in zip((sform, qform), steps, strict=True)
    )
    angles = np.degrees(np.arccos(np.clip((across * along).sum(0), -1, 1)))
    mirrored = np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0
    square = abs(sform[:3, 2] @ np.cross(*across.T)) > steps[0][2] * np.cos(np.radians(1.0))
    if square and (np.abs(steps[0] / steps[1] - 1) > 0.01).any():
        shown = (" x ".join(f"{s:.3g}" for s in step) for step in steps)
        return qform, (
            "the file's sform and qform disagree on the voxel size ({} and {} mm): the qform is "
            "used, as its header's voxel size agrees with it".format(*shown),
        )
    if mirrored or angles.max() > 1.0:
        how = "one mirrors the other" if mirrored else f"by up to {angles.max():.0f} degrees"
        return sform, (
            f"the file's sform and qform disagree on the orientation ({how}): the sform is used; "
            "check left and right, front and back",
        )
    return sform, ()


def read_size(path: Path) -> tuple[int, ...]:
    """Voxels along each axis, from the header."""
    return tuple(int(n) for n in _header(path).get_data_shape())


def _open(path: Path) -> Any:
    """Open by extension if it is one of NIfTI's, else by content, which nibabel ignores."""
    import nibabel

    header = _header(path)
    if path.name.lower().endswith(NIFTI.extensions):
        return nibabel.load(path)
    voxels = math.prod(header.get_data_shape()) * header.get_data_dtype().itemsize
    with _opened(path) as file:  # no more than stated: the file may unpack to any length
        data = file.read(int(header["vox_offset"]) + voxels)
    kind = nibabel.Nifti2Image if _is_second(data) else nibabel.Nifti1Image
    return kind.from_bytes(data)


def _header(path: Path) -> Any:
    """The header, after ``check_volume``."""
    import nibabel

    with _opened(path) as file:
        start = file.read(540)
    kind = nibabel.Nifti2Header if _is_second(start) else nibabel.Nifti1Header
    header = kind(start[: kind.template_dtype.itemsize], check=False)
    size = header.get_data_shape()
    steps = [float(step) for step in header["pixdim"][1:4]]
    if int(header["sform_code"]) == 0 and not all(step >= 0 for step in steps[: len(size)]):
        raise AxonInputError(
            f"{path.name} has the voxel size {' x '.join(f'{s:g}' for s in steps)} mm; a volume "
            "has positive lengths. Export it again with its true spacing."
        )
    check_volume(path, size, len(header.get_data_dtype().names or "x"))
    if not 0 <= float(header["vox_offset"]) <= _FURTHEST:
        raise AxonInputError(
            f"{path.name} is damaged: by its header the voxels begin at byte "
            f"{float(header['vox_offset']):g}. Copy or export it again."
        )
    return header


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP
    return cast("IO[bytes]", gzip.open(path) if compressed else path.open("rb"))


def _is_second(data: bytes) -> bool:
    """Whether the data are NIfTI-2."""
    return data[_MAGIC_2[0] :][:4] == _MAGIC_2[1]


NIFTI = ImageFormat(
    "NIfTI",
    (".nii", ".nii.gz"),
    read_volume=read_volume,
    recognise=recognise,
    read_size=read_size,
)
