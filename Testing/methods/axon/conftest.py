"""An AXON model small enough for a test."""

from dataclasses import replace

import pytest
import torch

from axon_backend.methods.axon.config import AxonConfig, Sampling
from axon_backend.methods.axon.method import AXON
from axon_backend.methods.axon.model import AxonModel
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.networks.encoder import EncoderConfig
from axon_backend.networks.srnet import SRConfig
from axon_backend.networks.unet import UNetConfig

UNET = UNetConfig(channels=(8, 16), attention=(False, True), patch=2, groups=4, head_channels=8)


def _tiny_config(**changes) -> AxonConfig:
    values = {
        "encoder": EncoderConfig(
            size=8, view_size=16, channels=(8, 16, 16), features=2, trunk=(8, 16)
        ),
        "coarse": UNET,
        "prior": UNET,
        "sr": SRConfig(features=4, blocks=1, growth=2),
        "sampling": Sampling(coarse_steps=3, fine_steps=4),
    }
    return AxonConfig(**(values | changes))


@pytest.fixture
def tiny_config():
    """make(**config changes) -> the configuration."""
    return _tiny_config


@pytest.fixture
def tiny():
    """make(**config changes) -> a model whose zero-initialised layers have been shaken."""

    def make(**changes) -> AxonModel:
        torch.manual_seed(0)
        model = AXON.build(_tiny_config(**changes)).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.02 * torch.randn(parameter.shape))
        return model

    return make


@pytest.fixture
def with_sampling():
    """with_sampling(model, **changes) -> the model with other sampling settings."""

    def change(model: AxonModel, **changes) -> AxonModel:
        model.config = replace(model.config, sampling=replace(model.config.sampling, **changes))
        for stage in (model.coarse_diff, model.fine_diff, model.super_resolution):
            stage.config = model.config
        return model

    return change


@pytest.fixture
def views() -> RegisteredViews:
    generator = torch.Generator().manual_seed(1)
    front, side = torch.rand(2, 1, 1, 32, 32, generator=generator) * 2 - 1
    return RegisteredViews(front, side, torch.tensor([[0.07, -0.09]]))
