"""The building blocks of the searches against independent implementations."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, signal

from axon_backend.imaging.matching import box_sum, correlate, shrink_to
from axon_backend.registration.adam import Adam


def test_adam_takes_the_steps_of_torch():
    def score_of(x: torch.Tensor) -> torch.Tensor:
        return -((x - torch.tensor([1.0, 2.0])) ** 2 * torch.tensor([1.0, 30.0])).sum()

    x = torch.zeros(2, requires_grad=True)
    theirs, ours, best = torch.optim.Adam([x], 0.3, betas=(0.8, 0.95)), None, -math.inf
    ours = Adam(torch.zeros(2), 0.3, 20, least=0.1)
    for i in range(20):
        theirs.param_groups[0]["lr"] = 0.3 * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * i / 20)))
        score = score_of(x)
        theirs.zero_grad()
        (-score).backward()
        assert ours.step(score_of) == score.item()
        if score.item() > best:
            best, at = score.item(), x.detach().clone()
        theirs.step()
    assert ours.best[0] == best and torch.equal(ours.best[1], at)


def test_adam_stops_where_there_is_no_slope():
    adam = Adam(torch.ones(3), 0.1, 5, least=0.1)
    assert adam.step(lambda x: (x * 0).sum() / 0.0) is None
    assert adam.step(lambda x: torch.tensor(0.5)) is None  # does not depend on x
    assert adam.best[0] == 0.5 and torch.equal(adam.best[1], torch.ones(3))


@pytest.mark.parametrize("size", [(60, 55), (103, 44), (384, 341), (400, 360)])
def test_shrinking_is_a_gaussian_filter_and_an_interpolation(size):
    image = np.random.default_rng(0).random((384, 341)).astype(np.float32)
    blur = [max(0.0, 0.5 * n / m - 0.5) for n, m in zip(image.shape, size, strict=True)]
    smooth = ndimage.gaussian_filter(image, blur)
    zoom = [m / n for n, m in zip(image.shape, size, strict=True)]
    expected = ndimage.zoom(smooth, zoom, order=1, grid_mode=True, mode="nearest")
    found = shrink_to(image, *size)
    assert found.shape == size and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_sums_over_windows_are_those_of_a_convolution():
    rng = np.random.default_rng(0)
    image, template = rng.normal(size=(90, 77)), rng.normal(size=(51, 51))
    expected = signal.fftconvolve(image, template[::-1, ::-1], mode="valid")
    np.testing.assert_allclose(correlate(image, [template])[0], expected, atol=1e-9)
    expected = signal.fftconvolve(image, np.ones((51, 51)), mode="valid")
    np.testing.assert_allclose(box_sum(image, 51), expected, atol=1e-9)
