"""The pair of volumes that metrics compare, checked once for all metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import ndimage

from axon_backend.errors import AxonInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

#: Where a metric applies: the whole volume, the patient's body only, or single structures.
Region = Literal["box", "body", "anatomy"]
#: Voxels above this value, and everything they enclose, are the patient's body.
BODY_HU = -500.0


def body_mask(volume: Array, window_hu: tuple[float, float]) -> NDArray[np.bool_]:
    """The patient's body in a volume ``[z, y, x]``: the skin and everything inside it.

    Threshold at :data:`BODY_HU` (or at the lower end of the window, if that is higher), largest
    connected component (excludes table and blankets), holes filled in each axial slice (lungs,
    airways, bowel gas).

    Args:
        volume: in [0, 1] after the HU window.
        window_hu: the HU values of 0 and 1.
    """
    low, high = window_hu
    dense = volume > max(0.0, (BODY_HU - low) / (high - low))
    components, count = ndimage.label(dense)
    if count == 0:
        return dense
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    body = components == sizes.argmax()
    return np.stack([ndimage.binary_fill_holes(axial) for axial in body])


@dataclass(frozen=True)
class VolumePair:
    """A reconstruction and the true CT on one grid.

    Attributes:
        prediction: float32 ``[z, y, x]`` in [0, 1] after the HU window.
        truth: the true CT, same shape and window.
        window_hu: the HU values of 0 and 1.
        spacing_mm: voxel size (x, y, z), or None if unknown.
        structures: masks of prediction and truth by structure, cached by ``metrics.anatomy``.
    """

    prediction: Array
    truth: Array
    window_hu: tuple[float, float]
    spacing_mm: tuple[float, float, float] | None = None
    structures: dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def of(
        cls,
        prediction: Any,
        truth: Any,
        window_hu: tuple[float, float],
        spacing_mm: tuple[float, float, float] | None = None,
    ) -> VolumePair:
        """Check two volumes (NumPy or torch, of any precision and device), and clip both to [0, 1],
        as the HU window does.

        Raises:
            AxonInputError: a volume is not ``[z, y, x]`` or too small, the shapes differ, or the
                truth is not in [0, 1].
        """
        p, t = _volume(prediction, "prediction"), _volume(truth, "truth")
        if p.shape != t.shape:
            raise AxonInputError(
                f"The prediction has shape {p.shape} and the truth {t.shape}; "
                "resample one to the other."
            )
        if min(t.shape) < 2:
            raise AxonInputError(
                f"The volumes have shape {t.shape}; metrics need at least 2 voxels per side."
            )
        low, high = float(t.min()), float(t.max())
        if not (low >= -1e-3 and high <= 1.001):
            raise AxonInputError(
                f"The truth spans {low:.3g} to {high:.3g}; metrics expect [0, 1] after the HU "
                "window."
            )
        return cls(np.clip(p, 0.0, 1.0), np.clip(t, 0.0, 1.0), window_hu, spacing_mm)

    @cached_property
    def body(self) -> NDArray[np.bool_]:
        """Mask ``[z, y, x]`` of the patient's body in the truth; see :func:`body_mask`."""
        return body_mask(self.truth, self.window_hu)

    def voxels(self, region: Region) -> tuple[Array, Array]:
        """Prediction and truth in a region: (n,) voxels of the body, else the whole volumes."""
        if region != "body":
            return self.prediction, self.truth
        return self.prediction[self.body], self.truth[self.body]

    @cached_property
    def ssim3d_gauss11_map(self) -> Array:
        """SSIM of every 11-voxel Gaussian window inside the volume, by MONAI.

        Shape ``[z-10, y-10, x-10]``; cached, because the metrics of box and body share the map.
        """
        import torch
        from monai.metrics.regression import compute_ssim_and_cs

        self.require_side(11)
        with torch.no_grad():
            similarity, _ = compute_ssim_and_cs(
                torch.from_numpy(self.prediction)[None, None],
                torch.from_numpy(self.truth)[None, None],
                spatial_dims=3,
                kernel_size=(11, 11, 11),
                kernel_sigma=(1.5, 1.5, 1.5),
            )
        return similarity[0, 0].numpy()

    def require_side(self, voxels: int) -> None:
        """Raise `AxonInputError` unless every side has this many voxels."""
        if min(self.truth.shape) < voxels:
            raise AxonInputError(
                f"The volumes have shape {self.truth.shape}; this metric needs {voxels} voxels per "
                "side."
            )


def _volume(value: Any, name: str) -> Array:
    """Convert NumPy or torch (any device and precision) to float32 ``[z, y, x]``."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().float().numpy()
    array = np.asarray(value, dtype=np.float32)
    if array.ndim != 3:
        raise AxonInputError(
            f"The {name} has shape {array.shape}; metrics need one volume [z, y, x]."
        )
    return array
