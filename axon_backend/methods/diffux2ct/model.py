"""The DiffuX2CT model: generator, decoder and denoiser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from axon_backend.methods.diffux2ct.config import DiffuX2CTConfig
from axon_backend.methods.diffux2ct.decoder import LevelDecoders
from axon_backend.methods.diffux2ct.denoiser import Denoiser
from axon_backend.methods.diffux2ct.tri_plane import TriPlaneGenerator
from axon_backend.methods.from_noise import FromNoiseModel
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.networks.blocks import channels_last
from axon_backend.networks.precision import normalise_in_float32

if TYPE_CHECKING:
    from axon_backend.methods.protocol import Method


class DiffuX2CTModel(FromNoiseModel):
    """A conditional diffusion of voxels.

    Args:
        method: the DiffuX2CT method.
        config: architecture, schedule and sampling defaults.
    """

    config: DiffuX2CTConfig

    def __init__(self, method: Method, config: DiffuX2CTConfig) -> None:
        super().__init__(method, config)
        planes = config.tri_plane.planes
        self.tri_plane = TriPlaneGenerator(config.tri_plane)
        self.decoder = LevelDecoders(planes, config.decoder, config.level_sizes)
        self.denoiser = Denoiser(config.denoiser, config.decoder.features)
        normalise_in_float32(channels_last(self))

    def conditions(self, views: RegisteredViews) -> list[torch.Tensor]:
        """The conditions from the X-rays, (B, features, n, n, n) for each level."""
        return self.decoder(self.tri_plane(views), views.beam)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return 1, *(self.config.size,) * 3

    def denoise(
        self, y_t: torch.Tensor, t: torch.Tensor, conditions: list[torch.Tensor]
    ) -> torch.Tensor:
        return self.denoiser(y_t, t, conditions)
