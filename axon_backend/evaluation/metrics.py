"""How close a reconstructed volume is to the true CT.

Every metric works on volumes `[z, y, x]` in [0, 1] after the HU window, so the data range is 1.
The same pair of volumes can differ by 0.2 between SSIM conventions, so each one carries the
convention in its name; `ssim3d_gauss11` is the headline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from axon_backend.errors import AxonInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

#: Mean squared errors below this count as this, so that identical volumes score 100 dB, not inf.
MSE_FLOOR = 1e-10
#: Everything denser than this, with all it encloses, is the patient's body.
BODY_HU = -500.0
#: Stability constants of SSIM for data range 1 (Wang et al. 2004: K1 = 0.01, K2 = 0.03).
C1, C2 = 0.01**2, 0.03**2

#: Keys of `all_metrics`, in the order of its result.
METRIC_NAMES = (
    "mae",
    "mse",
    "psnr",
    "ssim3d_gauss11",
    "ssim3d_uniform7",
    "ssim2d_x2ct",
    "mae_body",
    "mse_body",
    "psnr_body",
    "ssim3d_gauss11_body",
    "gradient_ratio",
)

#: One plain sentence for each metric, for tables and reports.
METRIC_NOTES = {
    "mae": "mean absolute error over the whole volume (0 is perfect)",
    "mse": "mean squared error over the whole volume (0 is perfect)",
    "psnr": "peak signal-to-noise ratio in dB, 10 log10(1 / mse), mse floored at 1e-10 = 100 dB",
    "ssim3d_gauss11": "structural similarity in 3-D, Gaussian window of 11 voxels, sigma 1.5, "
    "C1 = 0.01^2, C2 = 0.03^2, as MONAI's SSIMMetric (1 is perfect; the headline)",
    "ssim3d_uniform7": "structural similarity in 3-D, uniform window of 7 voxels, sample "
    "covariance, as scikit-image's defaults",
    "ssim2d_x2ct": "structural similarity of 2-D slices, uniform window of 7 pixels, mean over "
    "the three axes, as X2CT-GAN",
    "mae_body": "mae inside the body only",
    "mse_body": "mse inside the body only",
    "psnr_body": "psnr inside the body only",
    "ssim3d_gauss11_body": "ssim3d_gauss11 averaged over windows centred inside the body",
    "gradient_ratio": "mean gradient magnitude inside the body, reconstruction / truth "
    "(1 = as sharp as the truth, below 1 = blurred, above 1 = noisier)",
}


def mae(prediction: Any, truth: Any) -> float:
    """Mean absolute error of two volumes `[z, y, x]` in [0, 1]."""
    p, t = _pair(prediction, truth)
    return _mae(p, t)


def mse(prediction: Any, truth: Any) -> float:
    """Mean squared error of two volumes `[z, y, x]` in [0, 1]."""
    p, t = _pair(prediction, truth)
    return _mse(p, t)


def psnr(prediction: Any, truth: Any) -> float:
    """Peak signal-to-noise ratio in dB, `10 log10(1 / max(mse, MSE_FLOOR))`: at most 100 dB."""
    p, t = _pair(prediction, truth)
    return _psnr(_mse(p, t))


def ssim3d_gauss11(prediction: Any, truth: Any) -> float:
    """3-D SSIM, Gaussian window 11, sigma 1.5: MONAI's `SSIMMetric(3, data_range=1)`.

    Windows that would leave the volume are not counted, so every side needs 11 voxels.
    """
    p, t = _pair(prediction, truth, smallest_side=11)
    return float(_gauss11_map(p, t).mean())


def ssim3d_uniform7(prediction: Any, truth: Any) -> float:
    """3-D SSIM, uniform window 7, sample covariance: scikit-image's `structural_similarity`."""
    p, t = _pair(prediction, truth, smallest_side=7)
    return _uniform7(p, t, (0, 1, 2))


def ssim2d_x2ct(prediction: Any, truth: Any) -> float:
    """SSIM of 2-D slices (uniform window 7), mean over the three slice directions.

    The convention of X2CT-GAN (Ying et al., CVPR 2019) and of those who compare with it.
    """
    p, t = _pair(prediction, truth, smallest_side=7)
    return _x2ct(p, t)


def body_mask(truth: Any, window_hu: tuple[float, float] = (-1000.0, 900.0)) -> NDArray[np.bool_]:
    """The patient's body in a true volume `[z, y, x]` in [0, 1]: the skin and all inside it.

    Threshold at `BODY_HU`, keep the largest connected piece (drops table and blankets), fill what
    is enclosed within each axial slice (lungs, airways, bowel gas). `window_hu` is the HU window
    that made the volume; where it starts above `BODY_HU`, the start of the window is the threshold.
    """
    return _body(_volume(truth, "truth"), window_hu)


def gradient_ratio(
    prediction: Any, truth: Any, window_hu: tuple[float, float] = (-1000.0, 900.0)
) -> float:
    """Mean gradient magnitude of the prediction / of the truth, inside the body.

    1: as sharp as the truth; below 1: blurred; above 1: noisier. Central differences in voxels.
    NaN where the truth holds no body or is flat.
    """
    p, t = _pair(prediction, truth)
    return _gradient_ratio(p, t, _body(t, window_hu))


def all_metrics(
    prediction: Any, truth: Any, window_hu: tuple[float, float] = (-1000.0, 900.0)
) -> dict[str, float]:
    """Every metric of `METRIC_NAMES`, in that order, for one pair of volumes.

    Args:
        prediction: reconstructed volume `[z, y, x]`, numpy or torch, in [0, 1] after the HU
            window; values outside are clipped, as the window would.
        truth: the true CT, same shape and window.
        window_hu: the HU window of both, needed only to find the body.

    Returns:
        name -> value. Body-masked values are NaN where the truth holds no body.

    Raises:
        AxonInputError: shapes differ, a side is under 11 voxels, or the truth leaves [0, 1].
    """
    p, t = _pair(prediction, truth, smallest_side=11)
    similarity = _gauss11_map(p, t)
    body = _body(t, window_hu)
    squared = _mse(p, t)
    # The map holds only windows that lie wholly inside: five voxels fewer at each end.
    in_map = similarity[body[5:-5, 5:-5, 5:-5]]
    nan = float("nan")
    squared_body = _mse(p[body], t[body]) if body.any() else nan
    values = (
        _mae(p, t),
        squared,
        _psnr(squared),
        float(similarity.mean()),
        _uniform7(p, t, (0, 1, 2)),
        _x2ct(p, t),
        _mae(p[body], t[body]) if body.any() else nan,
        squared_body,
        _psnr(squared_body) if body.any() else nan,
        float(in_map.mean()) if in_map.size else nan,
        _gradient_ratio(p, t, body),
    )
    return dict(zip(METRIC_NAMES, values, strict=True))


def _volume(value: Any, name: str) -> Array:
    """numpy or torch (any device and precision) -> float32 `[z, y, x]`."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().float().numpy()
    array = np.asarray(value, dtype=np.float32)
    if array.ndim != 3:
        raise AxonInputError(
            f"The {name} has shape {array.shape}; metrics need one volume [z, y, x]."
        )
    return array


def _pair(prediction: Any, truth: Any, smallest_side: int = 2) -> tuple[Array, Array]:
    p, t = _volume(prediction, "prediction"), _volume(truth, "truth")
    if p.shape != t.shape:
        raise AxonInputError(
            f"The prediction has shape {p.shape} and the truth {t.shape}; "
            "resample one to the other."
        )
    if min(t.shape) < smallest_side:
        raise AxonInputError(
            f"The volumes have shape {t.shape}; this metric needs {smallest_side} voxels a side."
        )
    low, high = float(t.min()), float(t.max())
    if not (low >= -1e-3 and high <= 1.001):
        raise AxonInputError(
            f"The truth spans {low:.3g} to {high:.3g}; metrics expect [0, 1] after the HU window."
        )
    return np.clip(p, 0.0, 1.0), np.clip(t, 0.0, 1.0)


def _mae(p: Array, t: Array) -> float:
    return float(np.abs(p - t).mean(dtype=np.float64))


def _mse(p: Array, t: Array) -> float:
    return float(np.square(p - t).mean(dtype=np.float64))


def _psnr(mean_squared_error: float) -> float:
    # np.maximum, unlike max(), passes a NaN on instead of turning it into a perfect 100 dB.
    return float(-10.0 * np.log10(np.maximum(mean_squared_error, MSE_FLOOR)))


def _gauss11_map(p: Array, t: Array) -> Array:
    """SSIM of each window, `[z-10, y-10, x-10]`, by MONAI's own function."""
    import torch
    from monai.metrics.regression import compute_ssim_and_cs

    with torch.no_grad():
        similarity, _ = compute_ssim_and_cs(
            torch.from_numpy(p)[None, None],
            torch.from_numpy(t)[None, None],
            spatial_dims=3,
            kernel_size=(11, 11, 11),
            kernel_sigma=(1.5, 1.5, 1.5),
        )
    return similarity[0, 0].numpy()


def _uniform7(p: Array, t: Array, axes: tuple[int, ...]) -> float:
    """Mean SSIM with a uniform window of 7 along `axes`, as scikit-image computes it."""
    inside = tuple(slice(3, -3) if axis in axes else slice(None) for axis in range(3))

    def local_mean(image: NDArray[np.float64]) -> NDArray[np.float64]:
        for axis in axes:
            image = ndimage.uniform_filter1d(image, 7, axis=axis)
        return image[inside]

    # float64: the running sums of the filter would drift in float32.
    x, y = p.astype(np.float64), t.astype(np.float64)
    n = 7 ** len(axes)
    to_sample = n / (n - 1)
    mx, my = local_mean(x), local_mean(y)
    vx = to_sample * (local_mean(x * x) - mx * mx)
    vy = to_sample * (local_mean(y * y) - my * my)
    vxy = to_sample * (local_mean(x * y) - mx * my)
    similarity = ((2 * mx * my + C1) * (2 * vxy + C2)) / ((mx * mx + my * my + C1) * (vx + vy + C2))
    return float(similarity.mean())


def _x2ct(p: Array, t: Array) -> float:
    return float(np.mean([_uniform7(p, t, axes) for axes in ((1, 2), (0, 2), (0, 1))]))


def _body(t: Array, window_hu: tuple[float, float]) -> NDArray[np.bool_]:
    low, high = window_hu
    threshold = max(0.0, (BODY_HU - low) / (high - low))
    dense = t > threshold
    pieces, count = ndimage.label(dense)
    if count == 0:
        return dense
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    body = pieces == sizes.argmax()
    return np.stack([ndimage.binary_fill_holes(axial) for axial in body])


def _gradient_ratio(p: Array, t: Array, body: NDArray[np.bool_]) -> float:
    def sharpness(volume: Array) -> float:
        gz, gy, gx = np.gradient(volume)
        return float(np.sqrt(gz * gz + gy * gy + gx * gx)[body].mean(dtype=np.float64))

    if not body.any():
        return float("nan")
    of_truth = sharpness(t)
    return sharpness(p) / of_truth if of_truth > 0 else float("nan")
