"""The metrics that AXON reports.

All metrics are computed on volumes `[z, y, x]` in [0, 1] after the HU window, so the data range is
1. SSIM of the same pair of volumes differs by up to 0.2 between conventions, so the convention is
part of its name; `ssim3d_gauss11` is the main one.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from axon_backend.metrics.anatomy import assd_of, dice_of, volume_error_of
from axon_backend.metrics.metric import Metric
from axon_backend.metrics.pair import Region, VolumePair

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

#: Lower limit of the mean squared error in PSNR: identical volumes have 100 dB, not infinity.
MSE_FLOOR = 1e-10
#: Stability constants of SSIM for data range 1 (Wang et al. 2004: K1 = 0.01, K2 = 0.03).
C1, C2 = 0.01**2, 0.03**2


def mae(pair: VolumePair, region: Region) -> float:
    """Mean absolute error."""
    p, t = pair.voxels(region)
    return float(np.abs(p - t).mean(dtype=np.float64))


def mse(pair: VolumePair, region: Region) -> float:
    """Mean squared error."""
    p, t = pair.voxels(region)
    return float(np.square(p - t).mean(dtype=np.float64))


def psnr(pair: VolumePair, region: Region) -> float:
    """Peak signal-to-noise ratio in dB, `-10 log10(max(mse, MSE_FLOOR))`: at most 100 dB."""
    # np.maximum, unlike max(), propagates NaN instead of returning a perfect 100 dB.
    return float(-10.0 * np.log10(np.maximum(mse(pair, region), MSE_FLOOR)))


def ssim3d_gauss11(pair: VolumePair, region: Region) -> float:
    """3-D SSIM, Gaussian window 11, sigma 1.5: MONAI's `SSIMMetric(3, data_range=1)`.

    The mean over the windows inside the volume; for the body, over those centred in it. NaN if
    there are none.
    """
    similarity = pair.ssim3d_gauss11_map
    if region == "body":
        # A window reaches five voxels beyond its centre: the map starts at voxel 5.
        similarity = similarity[pair.body[5:-5, 5:-5, 5:-5]]
    return float(similarity.mean()) if similarity.size else float("nan")


def ssim3d_uniform7(pair: VolumePair, region: Region) -> float:
    """3-D SSIM, uniform window 7, sample covariance: scikit-image's `structural_similarity`."""
    pair.require_side(7)
    return _uniform7(*pair.voxels(region), (0, 1, 2))


def ssim2d_x2ct(pair: VolumePair, region: Region) -> float:
    """SSIM of 2-D slices (uniform window 7), mean over the three slice directions.

    The convention of X2CT-GAN (Ying et al., CVPR 2019) and of the papers that compare with it.
    """
    pair.require_side(7)
    p, t = pair.voxels(region)
    return float(np.mean([_uniform7(p, t, axes) for axes in ((1, 2), (0, 2), (0, 1))]))


def gradient_ratio(pair: VolumePair, region: Region) -> float:
    """Mean gradient magnitude (central differences in voxels) of the prediction / of the truth.

    NaN if the truth is constant.
    """
    where = pair.body if region == "body" else ...

    def sharpness(volume: Array) -> float:
        gz, gy, gx = np.gradient(volume)
        return float(np.sqrt(gz * gz + gy * gy + gx * gx)[where].mean(dtype=np.float64))

    of_truth = sharpness(pair.truth)
    return sharpness(pair.prediction) / of_truth if of_truth > 0 else float("nan")


def bone_contrast(pair: VolumePair, region: Region) -> float:
    """Contrast of the prediction at the truth's bone, as a share of the truth's own
    (``metrics.bone_contrast``).

    NaN if the truth has no bone, or the HU window does not hold it.
    """
    # PyTorch is slow to import, and only this metric needs it.
    import torch

    from axon_backend.metrics import bone_contrast as contrast

    low, high = pair.window_hu

    def hu(volume: Array) -> torch.Tensor:
        return torch.from_numpy(low + (high - low) * volume)[None, None]

    truth = hu(pair.truth)
    of_truth = float(contrast.bone_contrast(truth, truth))
    if not of_truth > 0:
        return float("nan")
    return float(contrast.bone_contrast(hu(pair.prediction), truth)) / of_truth


def _uniform7(p: Array, t: Array, axes: tuple[int, ...]) -> float:
    """Mean SSIM with a uniform window of 7 along `axes`, equal to that of scikit-image.

    scikit-image itself would add five packages to Slicer's Python; a test compares with it.
    """
    inside = tuple(slice(3, -3) if axis in axes else slice(None) for axis in range(3))

    def local_mean(image: NDArray[np.float64]) -> NDArray[np.float64]:
        for axis in axes:
            image = ndimage.uniform_filter1d(image, 7, axis=axis)
        return image[inside]

    # In float32, the running sums of the filter would drift.
    x, y = p.astype(np.float64), t.astype(np.float64)
    n = 7 ** len(axes)
    to_sample = n / (n - 1)
    mx, my = local_mean(x), local_mean(y)
    vx = to_sample * (local_mean(x * x) - mx * mx)
    vy = to_sample * (local_mean(y * y) - my * my)
    vxy = to_sample * (local_mean(x * y) - mx * my)
    similarity = ((2 * mx * my + C1) * (2 * vxy + C2)) / ((mx * mx + my * my + C1) * (vx + vy + C2))
    return float(similarity.mean())


_LUNGS = "enclosed air inside the body, at most -500 HU, components of at least 0.5 % of the volume"
_BONE = "above 200 HU inside the body, with dense contrast agent"


def _of_structure(structure: str, noun: str, definition: str) -> tuple[Metric, ...]:
    """Dice, surface distance and volume error of one structure."""
    return (
        Metric(
            f"dice_{structure}", f"Dice, {noun}",
            f"Dice coefficient of the {noun} ({definition}); 0 if the reconstruction has none",
            partial(dice_of, structure), "higher", region="anatomy",
        ),
        Metric(
            f"assd_{structure}", f"ASSD, {noun}",
            f"average symmetric surface distance of the {noun} in mm; no value if the "
            "reconstruction has none",
            partial(assd_of, structure), "lower", unit="mm", region="anatomy", digits=1,
        ),
        Metric(
            f"volume_error_{structure}", f"Volume error, {noun}",
            f"|V - V_truth| / V_truth of the {noun}",
            partial(volume_error_of, structure), "lower", region="anatomy",
        ),
    )  # fmt: skip


METRICS = (
    Metric(
        "mae", "MAE", "mean absolute error over the whole volume (0 is perfect)",
        mae, "lower", grey_difference=True,
    ),
    Metric(
        "mse", "MSE", "mean squared error over the whole volume (0 is perfect)",
        mse, "lower", digits=4,
    ),
    Metric(
        "psnr", "PSNR",
        "peak signal-to-noise ratio in dB, 10 log10(1 / mse), mse floored at 1e-10 = 100 dB",
        psnr, "higher", unit="dB", digits=1,
    ),
    Metric(
        "ssim3d_gauss11", "SSIM",
        "structural similarity in 3-D, Gaussian window of 11 voxels, sigma 1.5, C1 = 0.01^2, "
        "C2 = 0.03^2, as MONAI's SSIMMetric (1 is perfect; the main metric)",
        ssim3d_gauss11, "higher",
    ),
    Metric(
        "ssim3d_uniform7", "SSIM, uniform",
        "structural similarity in 3-D, uniform window of 7 voxels, sample covariance, as in "
        "scikit-image's defaults",
        ssim3d_uniform7, "higher",
    ),
    Metric(
        "ssim2d_x2ct", "SSIM, 2-D slices",
        "structural similarity of 2-D slices, uniform window of 7 pixels, mean over the three "
        "axes, as in X2CT-GAN",
        ssim2d_x2ct, "higher",
    ),
    Metric(
        "mae_body", "MAE, body", "mae inside the body only",
        mae, "lower", region="body", grey_difference=True,
    ),
    Metric(
        "mse_body", "MSE, body", "mse inside the body only",
        mse, "lower", region="body", digits=4,
    ),
    Metric(
        "psnr_body", "PSNR, body", "psnr inside the body only",
        psnr, "higher", unit="dB", region="body", digits=1,
    ),
    Metric(
        "ssim3d_gauss11_body", "SSIM, body",
        "ssim3d_gauss11 averaged over windows centred inside the body",
        ssim3d_gauss11, "higher", region="body",
    ),
    Metric(
        "gradient_ratio", "Gradient ratio",
        "mean gradient magnitude inside the body, reconstruction / truth (1 = as sharp as the "
        "truth, below 1 = blurred, above 1 = noisier)",
        gradient_ratio, "one", region="body", digits=2,
    ),
    *_of_structure("lungs", "lungs", _LUNGS),
    *_of_structure("bone", "bone", _BONE),
    Metric(
        "bone_contrast", "Contrast, bone",
        "contrast of the CT's bone (a ramp from 100 to 300 HU) against soft tissue (-150 to "
        "150 HU) within two voxels, both less the local mean of soft tissue, reconstruction / "
        "truth (1 = as in the truth, 0 = bone cannot be told from its surroundings)",
        bone_contrast, "one", region="anatomy", digits=2,
    ),
)  # fmt: skip
"""The metrics in the order of the tables; the first four are the main ones."""
