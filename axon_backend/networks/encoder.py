"""The lifting encoder F, from one or two X-rays to a volume (paper, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from axon_backend.networks.blocks import (
    ResBlock,
    UNet,
    average_down,
    conv,
    depth_to_space,
    image_coordinates,
    norm,
    space_to_depth,
    zero,
)
from axon_backend.networks.lifting import back_project, back_project_residuals, lift

TRUNK_PATCH = 2
"""Space-to-depth factor before the trunk."""


@dataclass(frozen=True)
class EncoderConfig:
    """Settings of :class:`LiftingEncoder`.

    Attributes:
        size: h, the volume's side.
        view_size: side of the first convolution's input; a larger image is averaged down to it
            (1024 for ``paper``: no averaging).
        channels: channels of the 2-D network's levels, from ``view_size`` down, halving the side
            at each.
        features: C, lifted channels per view (the paper: 1).
        lifting: see ``networks.lifting``.
        trunk: channels of a 3-D U-Net after the fusion; empty as in the paper. With few patients,
            it enables the bridge's end point to carry the information. It also takes the
            back-projected X-rays, the mean volume, and the residuals between the two.
        from_mean: add the population mean, so that an untrained network returns it. Training is
            then slower, and unseen patients fit less well (Testing/benchmarks/README.md).
    """

    size: int = 64
    view_size: int = 128
    channels: tuple[int, ...] = (32, 64, 96, 128, 128)
    features: int = 4
    lifting: str = "project"
    trunk: tuple[int, ...] = (32, 64, 128)
    from_mean: bool = False


class FusionBlock(nn.Module):
    """Fuse two views' volumes (paper, section 3.1): three 3x3x3 convolutions, each with group
    normalisation and ReLU, and a 1x1x1 skip connection from both views.

    Forward: (B, 2 C, D, D, D) -> (B, C, D, D, D).
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        wide = 2 * features
        self.body = nn.Sequential(
            conv(3, wide, wide),
            norm(wide),
            nn.ReLU(),
            conv(3, wide, wide),
            norm(wide),
            nn.ReLU(),
            conv(3, wide, features),
            norm(features),
            nn.ReLU(),
        )
        self.skip = conv(3, wide, features, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.skip(x) + self.body(x)


class LiftingEncoder(nn.Module):
    """2-D network with weights shared by the views, lifting, FusionBlock, optional trunk.

    Forward:
        frontal: (B, 1, S, S) standardised registered view, S a multiple of ``view_size``.
        lateral: the same, or None for a single view.
        beam: (B, 2) beam parameters of frontal and lateral (``physics.geometry.beam_parameter``).
        has_lateral: (B,) bool, the samples of a batch that have a lateral view; None: all, if
            ``lateral`` is given.

    Returns:
        (B, 1, h, h, h): F(x), in the normalised HU of the bundle's window (not clipped).
    """

    mean: torch.Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        c, f = config.channels, config.features
        # Strided convolutions down to h x h, followed by a U-Net at h x h.
        reductions = 0
        while config.view_size >> reductions > config.size:
            reductions += 1
        if config.size << reductions != config.view_size:
            raise ValueError("view_size must be size times a power of two")
        # 3 channels: the image and two coordinates, since in the frame position implies anatomy.
        layers: list[nn.Module] = [conv(2, 3, c[0])]
        for i in range(reductions):
            below = c[min(i + 1, len(c) - 1)]
            here = c[min(i, len(c) - 1)]
            layers += [ResBlock(2, here, here), conv(2, here, below, 3, 2)]
        self.stem = nn.Sequential(*layers)
        start = min(reductions, len(c) - 1)
        depth = 1 if config.lifting in ("repeat", "backproject") else config.size
        self.view_bias = nn.Parameter(torch.zeros(2, c[start], 1, 1))
        self.unet2d = UNet(2, c[start], f * depth, c[start:], blocks=2)
        self.fusion = FusionBlock(f)
        if config.trunk:
            cells = TRUNK_PATCH**3
            # Lifted features, two back-projected views, the mean, and both views' residuals against
            # the projection of the mean.
            self.trunk = UNet(3, (f + 5) * cells, cells, config.trunk, blocks=2)
            zero(self.trunk.head[-1])
        else:
            self.reduce = conv(3, f, 1, 1)
            if config.from_mean:
                zero(self.reduce)
        self.register_buffer("mean", torch.zeros(1, 1, *(config.size,) * 3))

    def view_features(self, views: list[torch.Tensor]) -> list[torch.Tensor]:
        """Views (B, 1, s, s), frontal first -> image features (B, C D, h, h) of each.

        All views pass through the network as one batch; a bias per view distinguishes them.
        """
        x, b = torch.cat(views), views[0].shape[0]
        bias = self.view_bias[: len(views)].repeat_interleave(b, 0)
        placed = torch.cat([x, image_coordinates(x)], 1)
        return list(self.unet2d(self.stem(placed) + bias).split(b))

    def forward(
        self,
        frontal: torch.Tensor,
        lateral: torch.Tensor | None,
        beam: torch.Tensor,
        has_lateral: torch.Tensor | None = None,
    ) -> torch.Tensor:
        n = self.config.size
        views = [
            average_down(v, self.config.view_size) for v in (frontal, lateral) if v is not None
        ]
        volume = self.lifted(views, beam, has_lateral)
        if self.config.trunk:
            seen = back_project(views, n, beam, has_lateral)
            mean = self.mean.expand(seen.shape[0], -1, -1, -1, -1)
            wrong = back_project_residuals(mean, views, beam, has_lateral)
            inputs = torch.cat([v.to(volume.dtype) for v in (volume, seen, mean, wrong)], 1)
            del volume, seen, mean, wrong  # the trunk needs the memory
            cells = space_to_depth(inputs, TRUNK_PATCH)
            del inputs
            out = depth_to_space(self.trunk(cells), TRUNK_PATCH)
        else:
            out = self.reduce(volume)
        return out.float() + (self.mean if self.config.from_mean else 0.0)

    def lifted(
        self, views: list[torch.Tensor], beam: torch.Tensor, has_lateral: torch.Tensor | None
    ) -> torch.Tensor:
        """The features of the views (B, 1, s, s), lifted and fused, (B, C, h, h, h)."""
        n, how = self.config.size, self.config.lifting
        features = self.view_features(views)
        volumes = [lift(f, n, i == 0, how, beam[:, i]) for i, f in enumerate(features)]
        del features
        if len(volumes) == 1:
            return volumes[0]
        alone = None if has_lateral is None else volumes[0]
        both = torch.cat(volumes, 1)
        del volumes  # the fusion needs the memory
        fused: torch.Tensor = self.fusion(both)
        if alone is None or has_lateral is None:
            return fused
        return torch.where(has_lateral.reshape(-1, 1, 1, 1, 1), fused, alone.to(fused))
