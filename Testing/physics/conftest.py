"""Attenuation phantoms around the isocentre at the origin."""

import numpy as np
import pytest
import torch

from axon_backend.imaging.frame import ThoraxFrame

FRAME = ThoraxFrame((0.0, 0.0, 0.0), (300.0, 220.0, 280.0))


def centred_origin(shape_zyx: tuple[int, int, int], spacing: tuple[float, float, float]) -> tuple:
    """Origin that puts the middle of a volume at the LPS origin."""
    return tuple(-0.5 * (n - 1) * s for n, s in zip(shape_zyx[::-1], spacing, strict=True))


@pytest.fixture
def frame() -> ThoraxFrame:
    return FRAME


@pytest.fixture
def centred():
    return centred_origin


@pytest.fixture
def blobs():
    """A smooth phantom: (volume (Z, Y, X) float64, origin, spacing), no symmetry, zero borders."""
    shape, spacing = (28, 34, 40), (7.0, 6.0, 9.0)
    origin = centred_origin(shape, spacing)
    axes = [o + s * np.arange(n) for o, s, n in zip(origin, spacing, shape[::-1], strict=True)]
    z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    volume = np.zeros(shape)
    for centre, width, height in (
        ((0.0, 0.0, 0.0), 45.0, 0.02),
        ((50.0, -30.0, 40.0), 22.0, 0.03),
        ((-60.0, 20.0, -50.0), 25.0, 0.015),
    ):
        r2 = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2
        volume += height * np.exp(-0.5 * r2 / width**2)
    return torch.as_tensor(volume), origin, spacing
