"""The canonical thorax frame and the HU window, in which the networks work.

A volume in the frame is an ``N x N x N`` array ``[z, y, x]`` (z to Superior, y to Posterior, x to
Left, that is ITK's LPS with identity direction) whose voxels fill exactly an axis-aligned box
around the lungs. The box has a different size along each axis, so the voxels are not cubes; the
spacing is kept with the array, and results are in true millimetres.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from scipy import ndimage

from axon_backend.errors import AxonInputError

if TYPE_CHECKING:
    import torch

    from axon_backend.imaging.ct import CTVolume

# Margin around the lungs' bounding box, in mm, as (towards -axis, towards +axis) for x, y, z:
# the ribs, the sternum in front, the spine behind, the apices above, the diaphragm below.
LUNG_MARGIN_MM = ((15.0, 15.0), (20.0, 30.0), (10.0, 15.0))
AIR_HU = -1000.0

# Maximum number of samples along the frame when a volume is resampled by averaging.
SAMPLES_PER_SIDE = 256

Counts = tuple[int, int, int]
Array = TypeVar("Array", np.ndarray, "torch.Tensor")


@dataclass(frozen=True)
class HuWindow:
    """A linear map between HU in ``[low, high]`` and the networks' ``[-1, 1]``."""

    low: float = -1000.0
    high: float = 900.0

    def normalise(self, hu: Array) -> Array:
        """HU -> [-1, 1], clipped. Accepts numpy arrays and torch tensors."""
        return ((hu - self.low) * (2.0 / (self.high - self.low)) - 1.0).clip(-1.0, 1.0)

    def to_hu(self, x: Array) -> Array:
        """[-1, 1] -> HU, clipped to the window."""
        return (x.clip(-1.0, 1.0) + 1.0) * (0.5 * (self.high - self.low)) + self.low


@dataclass(frozen=True)
class ThoraxFrame:
    """An axis-aligned LPS box: ``center_mm`` and ``size_mm`` are (x, y, z) in millimetres."""

    center_mm: tuple[float, float, float]
    size_mm: tuple[float, float, float]

    def spacing_mm(self, n: int | Counts) -> tuple[float, float, float]:
        """Voxel size (x, y, z) of a volume with ``n`` voxels per side, or with (x, y, z) voxels."""
        x, y, z = n if isinstance(n, tuple) else (n, n, n)
        return self.size_mm[0] / x, self.size_mm[1] / y, self.size_mm[2] / z

    def origin_mm(self, n: int | Counts) -> tuple[float, float, float]:
        """LPS position of the centre of voxel (0, 0, 0), half a voxel inside the box."""
        return tuple(  # type: ignore[return-value]
            c - s / 2 + d / 2
            for c, s, d in zip(self.center_mm, self.size_mm, self.spacing_mm(n), strict=True)
        )

    def as_dict(self) -> dict:
        return asdict(self)


def lung_mask(hu: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Boolean ``[z, y, x]`` mask of the lungs (air inside the body, without bowel gas), from
    thresholds and connected components.

    Raises:
        AxonInputError: no lungs are found.
    """
    air = hu < -400
    # Air that touches the border of an axial slice is outside the body. The rule is 2-D, because
    # the airway leaves a volume that is cut at the neck.
    inside = np.zeros_like(air)
    for k, plane in enumerate(air):
        labels, count = ndimage.label(plane)
        if count == 0:
            continue
        edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        keep = np.ones(count + 1, bool)
        keep[0] = False
        keep[edge] = False
        inside[k] = keep[labels]
    inside = ndimage.binary_opening(inside, iterations=2)
    labels, count = ndimage.label(inside)
    if count:
        voxel_ml = float(np.prod(spacing_mm)) / 1000.0
        volume_ml = np.bincount(labels.ravel())[1:] * voxel_ml
        large = [i + 1 for i in np.argsort(volume_ml)[::-1][:2] if volume_ml[i] > 250.0]
        if large:
            mask = np.isin(labels, large)
            # Two lungs of one chest overlap in height; a second component that does not is bowel.
            if len(large) == 2:
                a, b = (np.flatnonzero((labels == i).any((1, 2))) for i in large)
                overlap = min(a[-1], b[-1]) - max(a[0], b[0])
                if overlap < 0.25 * min(len(a), len(b)):
                    mask = labels == large[0]
            return mask
    raise AxonInputError(
        "No lungs were found in the CT (no large air space inside the body between -1000 and "
        "-400 HU). AXON needs a chest CT in Hounsfield units; check that the file is a chest CT "
        "and that its rescale intercept was applied."
    )


def find_thorax_frame(ct: CTVolume) -> ThoraxFrame:
    """The canonical frame of a CT: the bounding box of its lungs plus :data:`LUNG_MARGIN_MM`.

    The outermost 0.1 % of the lung voxels on each side are ignored, so that a single stray voxel
    does not move the box. If only one lung contains air, its side is mirrored about the middle of
    the body.
    """
    mask = lung_mask(np.asarray(ct.hu), ct.spacing_mm)
    body = np.asarray(ct.hu)[mask.any((1, 2))] > -300.0
    # One opacified or missing lung: the frame still spans both sides of the body's middle.
    middle = np.median(np.flatnonzero(body.any((0, 1))))
    low, high = [], []
    for axis, (array_axis, spacing, origin) in enumerate(
        zip((2, 1, 0), ct.spacing_mm, ct.origin_mm, strict=True)
    ):
        others = tuple(a for a in range(3) if a != array_axis)
        profile = np.cumsum(mask.sum(others)) / mask.sum()
        first = int(np.searchsorted(profile, 0.001))
        last = int(np.searchsorted(profile, 0.999))
        if axis == 0:
            reach = max(middle - first, last - middle)
            if min(middle - first, last - middle) < 0.4 * reach:
                first, last = int(middle - reach), int(middle + reach)
        margin = LUNG_MARGIN_MM[axis]
        low.append(origin + (first - 0.5) * spacing - margin[0])
        high.append(origin + (last + 0.5) * spacing + margin[1])
    center = tuple((a + b) / 2 for a, b in zip(low, high, strict=True))
    size = tuple(b - a for a, b in zip(low, high, strict=True))
    return ThoraxFrame(center, size)  # type: ignore[arg-type]


def resample_to_frame(
    ct: CTVolume, frame: ThoraxFrame, n: int, motion: np.ndarray | None = None
) -> np.ndarray:
    """Resample a CT to the frame: float32 HU ``[z, y, x]`` of ``n^3``, air outside the CT.

    ``motion`` (4, 4) moves the CT rigidly first: from LPS mm of the CT to LPS mm of the frame.

    Every voxel is the mean over its volume, of samples as dense as the CT's own voxels (at least
    two along each edge, and no more than :data:`SAMPLES_PER_SIDE` along the frame). Fewer samples
    would alias: at 64^3, two samples per edge reach 49 dB, this sampling 60 dB.
    """
    import SimpleITK as sitk

    ratio = max(f / (n * s) for f, s in zip(frame.size_mm, ct.spacing_mm, strict=True))
    each = max(2, min(math.ceil(ratio), SAMPLES_PER_SIDE // n))
    fine = each * n
    reference = sitk.Image(fine, fine, fine, sitk.sitkFloat32)
    reference.SetSpacing(frame.spacing_mm(fine))
    reference.SetOrigin(frame.origin_mm(fine))
    back = sitk.Transform()
    if motion is not None:
        # ITK takes the inverse: from points of the frame to points of the CT.
        inverse = np.linalg.inv(motion)
        back = sitk.AffineTransform(inverse[:3, :3].ravel().tolist(), inverse[:3, 3].tolist())
    resampled = sitk.Resample(
        ct.to_sitk(), reference, back, sitk.sitkLinear, AIR_HU, sitk.sitkFloat32
    )
    array = sitk.GetArrayFromImage(resampled)
    return array.reshape(n, each, n, each, n, each).mean((1, 3, 5), dtype=np.float32)
