"""Metrics: known answers, and equality with published implementations."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from axon_backend.errors import AxonInputError
from axon_backend.metrics import body_mask, compute_metrics, metric_names, registered_metrics

WINDOW_HU = (-1000.0, 900.0)


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = ndimage.gaussian_filter(rng.random((20, 24, 28)), 1.5)
    truth = (truth - truth.min()) / np.ptp(truth)
    prediction = np.clip(truth + 0.08 * rng.standard_normal(truth.shape), 0, 1)
    return prediction.astype(np.float32), truth.astype(np.float32)


def value(name: str, prediction: np.ndarray, truth: np.ndarray) -> float:
    return compute_metrics(prediction, truth, names=(name,))[name]


def phantom(n: int = 32) -> np.ndarray:
    """A body (0.5) with a lung (0) that is closed in axial slices, in air, above a table."""
    _z, y, x = np.mgrid[:n, :n, :n]
    body = np.zeros((n, n, n), np.float32)
    radius = np.hypot(y - n / 2, x - n / 2)
    body[radius < 0.4 * n] = 0.5
    body[radius < 0.2 * n] = 0.0
    body[:, n - 1, :] = 0.6  # the table: touches nothing
    return body


def test_constant_offset_has_the_known_error() -> None:
    truth = np.full((12, 12, 12), 0.4, np.float32)
    moved = truth + np.float32(0.1)
    assert value("mae", moved, truth) == pytest.approx(0.1, abs=1e-6)
    assert value("mse", moved, truth) == pytest.approx(0.01, abs=1e-6)
    assert value("psnr", moved, truth) == pytest.approx(20.0, abs=1e-3)


def test_identity_is_perfect(pair: tuple[np.ndarray, np.ndarray]) -> None:
    values = compute_metrics(pair[1], pair[1])
    assert values["psnr"] == 100.0
    assert values["mae"] == values["mse_body"] == 0.0
    for name in ("ssim3d_gauss11", "ssim3d_uniform7", "ssim2d_x2ct", "ssim3d_gauss11_body"):
        assert values[name] == pytest.approx(1.0, abs=1e-5), name
    assert values["gradient_ratio"] == pytest.approx(1.0)


def test_gauss11_equals_monai_and_skimage(pair: tuple[np.ndarray, np.ndarray]) -> None:
    from monai.metrics import SSIMMetric
    from skimage.metrics import structural_similarity

    p, t = (torch.from_numpy(volume)[None, None] for volume in pair)
    metric = SSIMMetric(spatial_dims=3, data_range=1.0, win_size=11, kernel_sigma=1.5)
    ours = value("ssim3d_gauss11", *pair)
    assert 0.1 < ours < 0.99
    assert ours == pytest.approx(metric(p, t).item(), abs=1e-6)
    theirs = structural_similarity(
        *pair, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ours == pytest.approx(theirs, abs=1e-4)


def test_uniform7_conventions_equal_skimage(pair: tuple[np.ndarray, np.ndarray]) -> None:
    from skimage.metrics import structural_similarity

    wide = [volume.astype(np.float64) for volume in pair]
    assert value("ssim3d_uniform7", *pair) == pytest.approx(
        structural_similarity(*wide, data_range=1.0), abs=1e-6
    )
    by_axis = [structural_similarity(*wide, data_range=1.0, channel_axis=axis) for axis in range(3)]
    assert value("ssim2d_x2ct", *pair) == pytest.approx(np.mean(by_axis), abs=1e-6)


def test_body_is_filled_and_without_the_table() -> None:
    truth = phantom()
    body = body_mask(truth, WINDOW_HU)
    assert body[16, 16, 16], "the lung belongs to the body"
    assert body[16, 16, 5]
    assert not body[16, 31, 16], "the table does not"
    assert not body[16, 0, 0]


def test_body_values_ignore_errors_in_the_air() -> None:
    truth = phantom()
    prediction = truth.copy()
    prediction[:, 0, :] = 1.0  # in air, beyond the reach of windows centred in the body
    values = compute_metrics(prediction, truth)
    assert values["mae"] == pytest.approx(1 / 32)
    assert values["mae_body"] == 0.0
    assert values["psnr_body"] == 100.0
    prediction = truth.copy()
    body = body_mask(truth, WINDOW_HU)
    prediction[body] += 0.1
    assert compute_metrics(prediction, truth)["psnr_body"] == pytest.approx(20.0, abs=1e-3)


def test_gradient_ratio_of_a_scaled_and_a_blurred_volume() -> None:
    truth = phantom()
    assert value("gradient_ratio", truth / 2, truth) == pytest.approx(0.5)
    assert value("gradient_ratio", ndimage.gaussian_filter(truth, 2.0), truth) < 0.8


def test_torch_and_numpy_give_the_same_in_the_documented_order(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    of_numpy = compute_metrics(*pair)
    of_torch = compute_metrics(*(torch.from_numpy(volume) for volume in pair))
    assert of_numpy == of_torch
    assert tuple(of_numpy) == metric_names() == tuple(registered_metrics())
    assert all(type(value) is float for value in of_numpy.values())


def test_diverged_and_empty_volumes_are_nan_not_perfect() -> None:
    truth = phantom(16)
    diverged = compute_metrics(np.full_like(truth, np.nan), truth)
    assert math.isnan(diverged["psnr"])
    assert math.isnan(diverged["ssim3d_gauss11"])
    no_body = compute_metrics(truth, np.zeros_like(truth))
    assert math.isnan(no_body["mae_body"])
    assert math.isnan(no_body["gradient_ratio"])
    assert no_body["mae"] > 0


@pytest.mark.parametrize(
    ("prediction", "truth", "words"),
    [
        (np.zeros((12, 12, 12)), np.zeros((12, 12, 13)), "resample"),
        (np.zeros((1, 12, 12, 12)), np.zeros((12, 12, 12)), "one volume"),
        (np.zeros((12, 12, 12)), np.full((12, 12, 12), -1.0), r"\[0, 1\]"),
        (np.zeros((10, 12, 12)), np.zeros((10, 12, 12)), "11 voxels"),
    ],
)
def test_unusable_volumes_are_refused(
    prediction: np.ndarray, truth: np.ndarray, words: str
) -> None:
    with pytest.raises(AxonInputError, match=words):
        compute_metrics(prediction, truth)


@pytest.mark.parametrize("name", ["ssim3d_gauss11", "ssim3d_uniform7", "ssim2d_x2ct"])
def test_ssim_of_two_constants_is_its_first_factor(name: str) -> None:
    """(2 a b + C1) / (a^2 + b^2 + C1) with C1 = 0.01^2; small values make C1 count."""
    a, b = 0.01, 0.03
    volume = np.ones((16, 16, 16), np.float32)
    expected = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)
    assert value(name, a * volume, b * volume) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", ["ssim3d_gauss11", "ssim3d_uniform7"])
def test_ssim_of_faint_noise_is_its_second_factor(name: str) -> None:
    """Against a constant of the same mean: C2 / (variance + C2), C2 = 0.03^2, by Monte Carlo."""
    sigma = 0.03
    noise = np.random.default_rng(0).normal(0.5, sigma, (40, 40, 40)).astype(np.float32)
    flat = np.full_like(noise, 0.5)
    # The mean of the quotient over windows is a little above the quotient of the means.
    assert value(name, noise, flat) == pytest.approx(9e-4 / (sigma**2 + 9e-4), abs=0.02)
