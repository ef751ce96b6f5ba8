"""The generator of X2CT: a branch for each view, and a decoder for both.

A branch works in its own axes, (z, ray, column): for the frontal view these are the frame's
(z, y, x); for the lateral view they are (z, x, y). Rays are parallel, as in the paper.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from axon_backend.methods.batch import Draws
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.methods.x2ct.config import X2CTConfig
from axon_backend.networks.blocks import conv
from axon_backend.physics.geometry import FIELD_OF_VIEW


def box_view(view: torch.Tensor, view_size: int, size: int) -> torch.Tensor:
    """The part of a view (B, 1, S, S) that lies over the frame, averaged to ``view_size`` and
    resampled: (B, 1, size, size), rows along +z as in the volume."""
    image = F.adaptive_avg_pool2d(view.float(), view_size)
    zoom = torch.tensor([[1 / FIELD_OF_VIEW, 0, 0], [0, -1 / FIELD_OF_VIEW, 0]], device=view.device)
    grid = F.affine_grid(zoom.expand(len(view), 2, 3), [len(view), 1, 2 * size, 2 * size], False)
    return F.avg_pool2d(F.grid_sample(image, grid, align_corners=False), 2)


def turned(volume: torch.Tensor) -> torch.Tensor:
    """Convert between the frame's axes (z, y, x) and the lateral branch's (z, x, y)."""
    return volume.transpose(-1, -2)


def block(dims: int, cin: int, cout: int, stride: int = 1) -> nn.Sequential:
    """Convolution, normalisation, ReLU."""
    norm = nn.InstanceNorm2d if dims == 2 else nn.InstanceNorm3d
    return nn.Sequential(conv(dims, cin, cout, 3, stride), norm(cout), nn.ReLU())


def up(cin: int, cout: int) -> nn.Sequential:
    """Transposed convolution to twice the side; its kernel of 4 weights all voxels equally."""
    layer = nn.ConvTranspose3d(cin, cout, 4, 2, 1)
    return nn.Sequential(layer, nn.InstanceNorm3d(cout), nn.ReLU())


class DenseLayer(nn.Module):
    """Adds ``growth`` channels to its inputs (Huang et al. 2017)."""

    def __init__(self, cin: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.InstanceNorm2d(cin),
            nn.ReLU(),
            conv(2, cin, 4 * growth, 1),
            nn.InstanceNorm2d(4 * growth),
            nn.ReLU(),
            conv(2, 4 * growth, growth),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.body(x)], 1)


class Branch(nn.Module):
    """One view: encoder, connections A and B, decoder."""

    def __init__(self, config: X2CTConfig) -> None:
        super().__init__()
        self.config = config
        channels = [config.stem]
        self.stem = nn.Sequential(
            conv(2, 1, config.stem, 7), nn.InstanceNorm2d(config.stem), nn.ReLU()
        )
        self.stages = nn.ModuleList()
        for layers in config.layers:
            here = channels[-1]
            parts: list[nn.Module] = [block(2, here, here, 2)]
            for _ in range(layers):
                parts.append(DenseLayer(here, config.growth))
                here += config.growth
            parts += [nn.InstanceNorm2d(here), nn.ReLU(), conv(2, here, here // 2, 1)]
            self.stages.append(nn.Sequential(*parts))
            channels.append(here // 2)
        self.side = config.grid >> len(config.layers)
        wide = config.decoder
        self.bottom = nn.Linear(channels[-1], wide[0] * self.side**3)  # connection A
        self.up = nn.ModuleList()
        self.reduce, self.spread = nn.ModuleList(), nn.ModuleList()  # connection B
        self.blocks = nn.ModuleList()
        for i, count in enumerate(config.blocks, 1):
            self.up.append(up(wide[i - 1], wide[i]))
            self.reduce.append(block(2, channels[-1 - i], wide[i]))
            self.spread.append(block(3, wide[i], wide[i]))
            kinds = [2 * wide[i], *[wide[i]] * count]
            self.blocks.append(
                nn.Sequential(*(block(3, a, b) for a, b in zip(kinds[:-1], kinds[1:], strict=True)))
            )

    def start(
        self, image: torch.Tensor, kept: torch.Tensor | None
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Connection A.

        Args:
            image: (B, 1, h, h), see :func:`box_view`.
            kept: (B, units) dropout factors; None: no dropout.

        Returns:
            the first level's volume, and the image features of the other levels, coarse to fine.
        """
        features = [self.stem(image)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        units = self.bottom(features.pop().mean((2, 3)))
        if kept is not None:
            units = units * kept
        return F.relu(units).unflatten(1, (-1, self.side, self.side, self.side)), features[::-1]

    def level(self, i: int, volume: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Level ``i`` (from 1), from the volume of the previous level and the level's image
        features, which connection B copies along the ray."""
        volume = self.up[i - 1](volume)
        flat = self.reduce[i - 1](image)
        copied = self.spread[i - 1](flat[:, :, :, None].expand_as(volume))
        return self.blocks[i - 1](torch.cat([volume, copied], 1))


class Generator(nn.Module):
    """Views -> (B, 1, h, h, h).

    With one view, the frontal branch with its own head is used. With two, connection C averages the
    branches' volumes at each level in the frame's axes; the mean is added to both branches and to
    the common decoder, whose last volume gives the output.
    """

    def __init__(self, config: X2CTConfig) -> None:
        super().__init__()
        self.config = config
        self.frontal, self.lateral = Branch(config), Branch(config)
        wide = config.decoder
        self.up = nn.ModuleList(up(a, b) for a, b in zip(wide[:-1], wide[1:], strict=True))
        self.blocks = nn.ModuleList(
            nn.Sequential(*(block(3, width, width) for _ in range(count)))
            for width, count in zip(wide, config.fused_blocks, strict=True)
        )
        heads = (self._head(wide[-1], config.head) for _ in range(2))
        self.head_single, self.head_both = heads

    def forward(self, views: RegisteredViews, draws: Draws | None = None) -> torch.Tensor:
        kept = self._kept(draws, views.frontal.device)
        size = (self.config.view_size, self.config.grid)
        frontal = box_view(views.frontal, *size)
        if views.lateral is None:
            out = self.single(frontal, kept)
        else:
            lateral = box_view(views.lateral, *size)
            if views.has_lateral is None:
                out = self.both(frontal, lateral, kept)
            else:
                out = torch.empty(len(frontal), 1, *[self.config.grid] * 3, device=frontal.device)
                for present, which in ((True, views.has_lateral), (False, ~views.has_lateral)):
                    if not bool(which.any()):
                        continue
                    some = None if kept is None else kept[:, which]
                    out[which] = (
                        self.both(frontal[which], lateral[which], some)
                        if present
                        else self.single(frontal[which], some)
                    )
        if draws is not None:
            # Every weight must take part in every step, for the averaging over processes.
            out = out + 0.0 * sum(parameter.sum() for parameter in self.parameters())
        return out

    def single(self, frontal: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
        """The volume from the frontal image (B, 1, h, h) of :func:`box_view`."""
        volume, images = self.frontal.start(frontal, None if kept is None else kept[0])
        for i, image in enumerate(images, 1):
            volume = self.frontal.level(i, volume, image)
        return self._output(self.head_single, volume)

    def both(
        self, frontal: torch.Tensor, lateral: torch.Tensor, kept: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The volume from both images."""
        front, front_images = self.frontal.start(frontal, None if kept is None else kept[0])
        side, side_images = self.lateral.start(lateral, None if kept is None else kept[1])
        mean = (front + turned(side)) / 2
        fused = self.blocks[0](mean)
        for i, (seen, seen_side) in enumerate(zip(front_images, side_images, strict=True), 1):
            front = self.frontal.level(i, front + mean, seen)
            side = self.lateral.level(i, side + turned(mean), seen_side)
            mean = (front + turned(side)) / 2
            fused = self.blocks[i](self.up[i - 1](fused) + mean)
        return self._output(self.head_both, fused)

    @staticmethod
    def _head(channels: int, kernel: int) -> nn.Conv3d:
        """The output head, initialised near the middle of the window, where ReLU has a gradient."""
        head = nn.Conv3d(channels, 1, kernel, 1, kernel // 2)
        assert head.bias is not None
        head.bias.data.fill_(0.5)
        head.weight.data.mul_(0.1)
        return head

    @staticmethod
    def _output(head: nn.Module, volume: torch.Tensor) -> torch.Tensor:
        """ReLU output in [0, 1] as in the paper, mapped to [-1, 1]."""
        return 2 * F.relu(head(volume).float()) - 1

    def _kept(self, draws: Draws | None, device: torch.device) -> torch.Tensor | None:
        """(2, B, units) dropout factors for both branches, from each sample's own generator."""
        rate = self.config.dropout
        if draws is None or not rate:
            return None
        units = self.frontal.bottom.out_features
        drawn = [torch.rand(2, units, generator=generator) for generator in draws.generators()]
        return (torch.stack(drawn, 1) >= rate).to(device) / (1 - rate)
