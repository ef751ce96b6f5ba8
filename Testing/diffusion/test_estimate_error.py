"""The measured error of a denoiser's estimates: its variance over time, and noise like it."""

import pytest
import torch

from axon_backend.diffusion.estimate_error import (
    EstimateError,
    local_deviation,
    local_fit,
    radial_frequency,
    spectrum,
)

POWER = (100.0, 40.0, 10.0, 2.0, 0.3, 0.05)


def error(**changes) -> EstimateError:
    values = {"alpha": (0.999, 0.99, 0.9), "mse": (0.04, 0.02, 0.01), "power": POWER}
    return EstimateError(**{**values, **changes})


def test_the_variance_is_interpolated_on_logarithmic_axes():
    at = torch.tensor([0.9999, 0.999, 1 - 0.01 / 10**0.5, 0.99, 0.9, 0.1], dtype=torch.float64)
    found = error().variance(at.reshape(-1, 1, 1, 1, 1))
    assert found.shape == (6, 1, 1, 1, 1)
    expected = [0.04, 0.04, (0.04 * 0.02) ** 0.5, 0.02, 0.01, 0.01]
    assert found.flatten().tolist() == pytest.approx(expected)
    inflated = error(inflation=1.5).variance(at)
    assert inflated.tolist() == pytest.approx([1.5 * v for v in expected])


def test_noise_has_variance_1_and_the_measured_spectrum():
    like = torch.rand(8, 1, 32, 32, 32, generator=torch.Generator().manual_seed(1))
    noise = error().draw(like, torch.Generator().manual_seed(0))
    assert noise.shape == like.shape and noise.dtype == like.dtype
    assert float(noise.square().mean()) == pytest.approx(1.0, rel=0.15)
    found = spectrum(noise[:, 0])
    assert len(found) == len(POWER)
    ratio = [f / found[2] / (p / POWER[2]) for f, p in zip(found, POWER, strict=True)]
    assert ratio[1:] == pytest.approx([1.0] * 5, rel=0.35), "bands are as wide as an octave"
    assert torch.equal(noise, error().draw(like, torch.Generator().manual_seed(0)))


def test_white_noise_has_a_flat_spectrum():
    noise = torch.randn(4, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    flat = spectrum(noise)
    assert flat[2:] == pytest.approx([32.0**3] * (len(flat) - 2), rel=0.1)
    assert int(radial_frequency(32)[0, 0, 31]) == 1


def test_noise_is_larger_where_the_estimate_varies():
    """One half is even, the other one not; the mean variance stays 1."""
    estimate = torch.zeros(16, 1, 16, 16, 16)
    varied = torch.randn(estimate[..., 8:].shape, generator=torch.Generator().manual_seed(2))
    estimate[..., 8:] = 0.1 * varied
    noise = error(power=(1.0,) * 5, local=(0.02, 0.6)).draw(
        estimate, torch.Generator().manual_seed(0)
    )
    even, uneven = (float(noise[..., s].var()) for s in (slice(0, 5), slice(11, 16)))
    assert uneven / even == pytest.approx((0.02 + 0.6 * 0.1) / 0.02, rel=0.1)
    assert float(noise.var()) == pytest.approx(1.0, rel=0.05)
    assert local_deviation(estimate)[..., :5].max() == 0


def test_where_errors_are_is_fitted():
    generator = torch.Generator().manual_seed(0)
    estimate = torch.randn(4, 1, 16, 16, 16, generator=generator)
    estimate *= torch.linspace(0.02, 0.4, 16)
    deviation = local_deviation(estimate)
    errors = (0.01 + 0.2 * deviation).sqrt() * torch.randn(estimate.shape, generator=generator)
    a, b = local_fit(estimate, errors)
    assert (a, b) == (pytest.approx(0.01, abs=0.005), pytest.approx(0.2, rel=0.1))
    falling = (0.1 - 0.2 * deviation).clamp_min(0).sqrt()
    assert local_fit(estimate, falling) == (1.0, 0.0)


def test_what_was_not_measured_is_false():
    assert not EstimateError() and error()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mse": (0.1,)}, "same length"),
        ({"alpha": (0.9, 0.99, 0.999)}, "decrease"),
        ({"alpha": (1.0, 0.99, 0.9)}, "decrease"),
        ({"mse": (0.1, 0.0, 0.1)}, "positive"),
        ({"power": (1.0,)}, "two values"),
        ({"inflation": -1.0}, "not negative"),
        ({"local": (0.0, 0.0)}, "local"),
        ({"local": (-0.1, 1.0)}, "local"),
    ],
)
def test_impossible_errors_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        error(**changes)
