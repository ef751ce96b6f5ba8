"""A DiffuX2CT of a few thousand weights, and views for it."""

from dataclasses import replace

import pytest
import torch

from axon_backend.methods.diffux2ct.config import (
    DecoderConfig,
    DenoiserConfig,
    DiffuX2CTConfig,
    TriPlaneConfig,
)
from axon_backend.methods.diffux2ct.method import DIFFUX2CT
from axon_backend.methods.protocol import RegisteredViews

CONFIG = DiffuX2CTConfig(
    size=16,
    tri_plane=TriPlaneConfig(
        view_size=32, size=16, channels=(8, 8), planes=4, rank=4, axial=(8, 8)
    ),
    decoder=DecoderConfig(features=4, hidden=8, frequencies=2),
    denoiser=DenoiserConfig(channels=(8, 16), windows=(0, 2), patch=2, groups=4, head_channels=8),
)


def _nothing_is_zero(model: torch.nn.Module) -> None:
    """Layers that start at zero get weights, as if they had been trained."""
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.3)


@pytest.fixture
def tiny():
    """tiny(**changes of the configuration) -> a model in which every layer does something."""

    def build(**changes):
        torch.manual_seed(0)
        model = DIFFUX2CT.build(replace(CONFIG, **changes)).eval()
        _nothing_is_zero(model)
        return model

    return build


@pytest.fixture
def views():
    """Two patients' views."""
    drawn = torch.rand(2, 2, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    return RegisteredViews(drawn[0], drawn[1], torch.tensor([[0.1, 0.1], [-0.1, 0.1]]))
