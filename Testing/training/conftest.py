"""A batch and a model small enough to train in a test, and a chest with unlike sides."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from axon_backend.imaging.ct import CTVolume
from axon_backend.methods.axon import Axon, AxonConfig, Sampling
from axon_backend.networks.encoder import EncoderConfig
from axon_backend.networks.srnet import SRConfig
from axon_backend.networks.unet import UNetConfig
from axon_backend.training.batch import Batch
from axon_backend.training.cases import Case

UNET = UNetConfig(channels=(8, 8), attention=(False, False), patch=2, groups=4, head_channels=8)


def make_batch(size: int = 16) -> Batch:
    generator = torch.Generator().manual_seed(3)
    coarse = torch.randn(1, 1, 6, 6, 6, generator=generator)
    fine = F.interpolate(coarse, size=(2 * size,) * 3, mode="trilinear").clamp(-1, 1)
    front, side = fine.mean(3), fine.mean(4)
    return Batch(F.avg_pool3d(fine, 2), fine, front, side, torch.tensor([[0.07, -0.09]]))


@pytest.fixture
def batch() -> Batch:
    return make_batch()


@pytest.fixture
def case(batch) -> Case:
    return Case("patient", batch)


@pytest.fixture
def model() -> Axon:
    torch.manual_seed(0)
    config = AxonConfig(
        encoder=EncoderConfig(size=16, view_size=32, channels=(8, 8, 8), features=1, trunk=(8, 8)),
        coarse=UNET,
        prior=UNET,
        sr=SRConfig(features=4, blocks=1, growth=2),
        sampling=Sampling(coarse_steps=1, fine_steps=1),
    )
    return Axon(config).eval()


@pytest.fixture(scope="session")
def chest() -> CTVolume:
    """Body, two lungs, a heart on the left, a spine and two nodules, (6, 5, 6) mm."""
    spacing, origin, shape = (6.0, 5.0, 6.0), (-200.0, -150.0, -180.0), (60, 60, 67)
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    x, y, z = (o + s * i for o, s, i in zip(origin, spacing, (x, y, z), strict=True))
    hu = np.full(shape, -1000.0, np.float32)

    def fill(value, centre, radii):
        r2 = sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), centre, radii, strict=True))
        hu[r2 < 1] = value

    fill(40.0, (0, 0, 0), (165, 110, 1e4))
    fill(-850.0, (-75, 0, 0), (55, 75, 120))
    fill(-850.0, (75, 0, 0), (55, 75, 115))
    fill(50.0, (35, -30, -50), (50, 40, 55))
    fill(500.0, (0, 75, 0), (18, 18, 1e4))
    fill(60.0, (-90, 20, 50), (16, 16, 16))
    fill(60.0, (85, 10, 60), (12, 12, 12))
    return CTVolume(hu, spacing, origin, "phantom")
