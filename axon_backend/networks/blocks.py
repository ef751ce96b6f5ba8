"""Small building blocks shared by several networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn


def conv(dims: int, cin: int, cout: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    """A padded 2-D or 3-D convolution."""
    layer = nn.Conv2d if dims == 2 else nn.Conv3d
    return layer(cin, cout, kernel, stride, kernel // 2)


def norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with about 8 channels per group."""
    groups = max(1, channels // 8)
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels)


def zero(module: nn.Module) -> nn.Module:
    """Set a layer's parameters to zero, so that it contributes nothing at first."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


class ResBlock(nn.Module):
    """norm - SiLU - conv, twice, with a skip; (B, C, *S) -> (B, C', *S)."""

    def __init__(self, dims: int, cin: int, cout: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            norm(cin),
            nn.SiLU(),
            conv(dims, cin, cout),
            norm(cout),
            nn.SiLU(),
            conv(dims, cout, cout),
        )
        self.skip = conv(dims, cin, cout, 1) if cin != cout else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.skip(x) + self.body(x)


def average_down(view: torch.Tensor, side: int) -> torch.Tensor:
    """Average a view (B, 1, S, S) down to (B, 1, side, side).

    Raises:
        ValueError: the view is not square, or S is not a multiple of ``side``.
    """
    if view.shape[-1] % side or view.shape[-2] != view.shape[-1]:
        raise ValueError(f"a view must be square, its side a multiple of {side}")
    return F.avg_pool2d(view, view.shape[-1] // side) if view.shape[-1] > side else view


def image_coordinates(image: torch.Tensor) -> torch.Tensor:
    """Row and column of each pixel of a square image (B, C, S, S), from -1 to 1: (B, 2, S, S)."""
    ramp = torch.linspace(-1, 1, image.shape[-1], device=image.device, dtype=image.dtype)
    rows_columns = torch.stack(torch.meshgrid(ramp, ramp, indexing="ij"))
    return rows_columns.expand(len(image), -1, -1, -1)


class UNet(nn.Module):
    """A plain residual U-Net, 2-D or 3-D, with one block per level on each side.

    Args:
        dims: 2 or 3.
        cin, cout: input and output channels.
        channels: channels of each level, fine to coarse; each level halves the size.
        blocks: residual blocks at the coarsest level.

    Forward: (B, cin, *S) -> (B, cout, *S); S divisible by ``2 ** (len(channels) - 1)``.
    """

    def __init__(
        self, dims: int, cin: int, cout: int, channels: tuple[int, ...], blocks: int = 2
    ) -> None:
        super().__init__()
        self.stem = conv(dims, cin, channels[0])
        self.down = nn.ModuleList()
        self.shrink = nn.ModuleList()
        for here, below in zip(channels[:-1], channels[1:], strict=True):
            self.down.append(ResBlock(dims, here, here))
            self.shrink.append(conv(dims, here, below, 3, 2))
        self.middle = nn.Sequential(
            *[ResBlock(dims, channels[-1], channels[-1]) for _ in range(blocks)]
        )
        self.grow = nn.ModuleList()
        self.up = nn.ModuleList()
        for here, below in reversed(list(zip(channels[:-1], channels[1:], strict=True))):
            self.grow.append(conv(dims, below, here))
            self.up.append(ResBlock(dims, 2 * here, here))
        self.enlarge: nn.Module = nn.Upsample(scale_factor=2, mode="nearest")
        self.head = nn.Sequential(norm(channels[0]), nn.SiLU(), conv(dims, channels[0], cout))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        kept = []
        for block, shrink in zip(self.down, self.shrink, strict=True):
            x = block(x)
            kept.append(x)
            x = shrink(x)
        x = self.middle(x)
        for grow, block in zip(self.grow, self.up, strict=True):
            x = block(torch.cat([grow(self.enlarge(x)), kept.pop()], 1))
        return self.head(x)


def space_to_depth(x: torch.Tensor, p: int) -> torch.Tensor:
    """(B, C, pZ, pY, pX) -> (B, C p^3, Z, Y, X): each p^3 block becomes channels."""
    if p == 1:
        return x
    pattern = "b c (z i) (y j) (x k) -> b (c i j k) z y x"
    return rearrange(x, pattern, i=p, j=p, k=p)


def depth_to_space(x: torch.Tensor, p: int) -> torch.Tensor:
    """The inverse of :func:`space_to_depth`."""
    if p == 1:
        return x
    pattern = "b (c i j k) z y x -> b c (z i) (y j) (x k)"
    return rearrange(x, pattern, i=p, j=p, k=p)


def channels_last(module: nn.Module) -> nn.Module:
    """Store 2-D and 3-D convolution weights channels-last, which is two to three times faster on
    CPUs with bfloat16 and on GPUs. Returns the module."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in module.parameters():
        if parameter.ndim in formats:
            parameter.data = parameter.data.contiguous(memory_format=formats[parameter.ndim])
    return module
