"""The U-Net of 3-D diffusion models, and its ControlNet.

The architecture, and the names of the weights, are those of MONAI's ``DiffusionModelUNet`` and
``ControlNet`` (Rombach et al. 2022; Zhang et al. 2023) with one residual block a level. Importing
MONAI takes as long as importing torch, and a reconstruction needs nothing else of it. Other than
there, the embedding of a ControlNet's condition can be computed once for all steps.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from axon_backend.networks.blocks import conv, zero

EPSILON = 1e-6  # of group normalisation
LONGEST_PERIOD = 10_000  # of the sinusoids that embed the time, in steps

Residuals = tuple[list[torch.Tensor], torch.Tensor]


def _conv(cin: int, cout: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A 3-D convolution under MONAI's name, ``<name>.conv``."""
    return nn.Sequential(OrderedDict(conv=conv(3, cin, cout, kernel, stride)))


def time_embedding(t: torch.Tensor, width: int) -> torch.Tensor:
    """(B,) times -> (B, width) sinusoids (Ho et al. 2020)."""
    half = width // 2
    exponent = -math.log(LONGEST_PERIOD) * torch.arange(half, dtype=torch.float32, device=t.device)
    angle = t[:, None].float() * torch.exp(exponent / half)[None]
    return F.pad(torch.cat([angle.cos(), angle.sin()], -1), (0, width % 2))


class TimedResBlock(nn.Module):
    """norm - SiLU - conv, twice, with a skip; a projection of the embedded time is added between:
    (B, C, *S) and (B, width) -> (B, C', *S)."""

    def __init__(self, cin: int, cout: int, width: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, cin, EPSILON)
        self.conv1 = _conv(cin, cout)
        self.time_emb_proj = nn.Linear(width, cout)
        self.norm2 = nn.GroupNorm(groups, cout, EPSILON)
        self.conv2 = zero(_conv(cout, cout))
        self.skip_connection = nn.Identity() if cin == cout else _conv(cin, cout, 1)

    def forward(self, x: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time_emb_proj(F.silu(embedded))[:, :, None, None, None]
        return self.skip_connection(x) + self.conv2(F.silu(self.norm2(h)))


class SelfAttention(nn.Module):
    """Multi-head attention over positions: (B, N, C) -> (B, N, C)."""

    def __init__(self, channels: int, head_channels: int) -> None:
        super().__init__()
        if channels % head_channels:
            raise ValueError(f"{channels} channels cannot be split into heads of {head_channels}")
        self.heads = channels // head_channels
        self.out_proj = nn.Linear(channels, channels)
        self.to_q = nn.Linear(channels, channels, bias=True)
        self.to_k = nn.Linear(channels, channels, bias=True)
        self.to_v = nn.Linear(channels, channels, bias=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            project(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for project in (self.to_q, self.to_k, self.to_v)
        )
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class SpatialAttention(nn.Module):
    """Self-attention over voxels, with a skip: (B, C, *S) -> (B, C, *S)."""

    def __init__(self, channels: int, groups: int, head_channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, EPSILON)
        self.attn = SelfAttention(channels, head_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        return self.attn(tokens).transpose(1, 2).reshape(x.shape) + x


class _Level(nn.Module):
    """Residual blocks of one level, each followed by attention if the level has it."""

    def __init__(
        self, cins: Sequence[int], cout: int, width: int, groups: int, head_channels: int | None
    ) -> None:
        super().__init__()
        resnets, attentions = [], []
        for cin in cins:
            resnets.append(TimedResBlock(cin, cout, width, groups))
            if head_channels is not None:
                attentions.append(SpatialAttention(cout, groups, head_channels))
        if attentions:
            self.attentions = nn.ModuleList(attentions)
        self.resnets = nn.ModuleList(resnets)
        self._attends = bool(attentions)

    def block(self, i: int, x: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
        x = self.resnets[i](x, embedded)
        return self.attentions[i](x).contiguous() if self._attends else x


class _Down(_Level):
    def __init__(
        self, cin: int, cout: int, width: int, groups: int, heads: int | None, last: bool
    ) -> None:
        super().__init__([cin], cout, width, groups, heads)
        self.downsampler: nn.Module | None = None
        if not last:
            self.downsampler = nn.Sequential(OrderedDict(op=_conv(cout, cout, 3, 2)))

    def forward(self, x: torch.Tensor, embedded: torch.Tensor) -> list[torch.Tensor]:
        states = [self.block(0, x, embedded)]
        if self.downsampler is not None:
            states.append(self.downsampler(states[0]))
        return states


class _Middle(nn.Module):
    def __init__(self, channels: int, width: int, groups: int, heads: int) -> None:
        super().__init__()
        self.resnet_1 = TimedResBlock(channels, channels, width, groups)
        self.attention = SpatialAttention(channels, groups, heads)
        self.resnet_2 = TimedResBlock(channels, channels, width, groups)

    def forward(self, x: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
        x = self.attention(self.resnet_1(x, embedded)).contiguous()
        return self.resnet_2(x, embedded)


class _Up(_Level):
    def __init__(
        self,
        cins: Sequence[int],
        cout: int,
        width: int,
        groups: int,
        heads: int | None,
        last: bool,
    ) -> None:
        super().__init__(cins, cout, width, groups, heads)
        self.upsampler: nn.Module | None = None
        if not last:
            enlarge = {"enlarge": nn.Upsample(scale_factor=2.0), "postconv": _conv(cout, cout)}
            self.upsampler = nn.Sequential(OrderedDict(enlarge))

    def forward(
        self, x: torch.Tensor, skips: list[torch.Tensor], embedded: torch.Tensor
    ) -> torch.Tensor:
        for i in range(len(self.resnets)):
            x = self.block(i, torch.cat([x, skips.pop()], 1), embedded)
        return x if self.upsampler is None else self.upsampler(x)


class _Encoder(nn.Module):
    """The half that U-Net and ControlNet have in common: the embedding of the time, the levels
    downwards and the middle.

    Args:
        cin: channels of the input.
        channels: of each level, fine to coarse; multiples of ``groups``.
        attention: levels with self-attention (the middle always has it).
        groups, head_channels: of group normalisation and attention.
    """

    def __init__(
        self,
        cin: int,
        channels: Sequence[int],
        attention: Sequence[bool],
        groups: int,
        head_channels: int,
    ) -> None:
        super().__init__()
        if len(channels) != len(attention):
            raise ValueError(f"attention must say for each of {len(channels)} levels, {attention}")
        self.channels, self._groups = tuple(channels), groups
        self._heads = [head_channels if attends else None for attends in attention]
        self._middle_heads = head_channels
        self.width = 4 * channels[0]
        self.conv_in = _conv(cin, channels[0])
        self.time_embed = nn.Sequential(
            nn.Linear(channels[0], self.width), nn.SiLU(), nn.Linear(self.width, self.width)
        )

    def _make_levels(self) -> None:
        channels = self.channels
        self.down_blocks = nn.ModuleList(
            _Down(channels[max(i - 1, 0)], c, self.width, self._groups, self._heads[i], last)
            for i, c in enumerate(channels)
            for last in (i == len(channels) - 1,)
        )
        self.middle_block = _Middle(channels[-1], self.width, self._groups, self._middle_heads)

    def embed_time(
        self, x: torch.Tensor, t: torch.Tensor, also: torch.Tensor | None
    ) -> torch.Tensor:
        """(B, width); ``also`` is added to it."""
        embedded = self.time_embed(time_embedding(t, self.channels[0]).to(x.dtype))
        return embedded if also is None else embedded + also.to(x.dtype)

    def encode(
        self, h: torch.Tensor, embedded: torch.Tensor
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """The states of the levels, fine to coarse, and that of the middle."""
        states = [h]
        for level in self.down_blocks:
            states += level(states[-1], embedded)
        return states, self.middle_block(states[-1], embedded)


class UNetWithTime(_Encoder):
    """(B, cin, *S) at times (B,) -> (B, cout, *S); S divisible by ``2 ** (levels - 1)``.

    Arguments as in the shared half, and ``cout``, the channels of the output.
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        channels: Sequence[int],
        attention: Sequence[bool],
        groups: int,
        head_channels: int,
    ) -> None:
        super().__init__(cin, channels, attention, groups, head_channels)
        self._make_levels()
        ups = []
        for i in reversed(range(len(channels))):
            here = channels[i]
            below = channels[min(i + 1, len(channels) - 1)]
            above = channels[max(i - 1, 0)]
            cins = [below + here, here + above]
            ups.append(_Up(cins, here, self.width, groups, self._heads[i], last=i == 0))
        self.up_blocks = nn.ModuleList(ups)
        self.out = nn.Sequential(
            nn.GroupNorm(groups, channels[0], EPSILON), nn.SiLU(), zero(_conv(channels[0], cout))
        )

    def forward(
        self,
        x: torch.Tensor,
        t: torch.Tensor,
        residuals: Residuals | None = None,
        embedding: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The output for ``x`` at times ``t``, with a ControlNet's residuals, and a vector
        (B, width) beside the time."""
        embedded = self.embed_time(x, t, embedding)
        states, h = self.encode(self.conv_in(x), embedded)
        if residuals is not None:
            states = [a + b for a, b in zip(states, residuals[0], strict=True)]
            h = h + residuals[1]
        for level in self.up_blocks:
            h = level(h, states, embedded)
        return self.out(h)


class ConditionEmbedding(nn.Module):
    """Two convolutions, the last of which starts at zero: (B, cin, *S) -> (B, cout, *S)."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.conv_in = _conv(cin, cout)
        self.conv_out = zero(_conv(cout, cout))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.conv_in(x)
        return self.conv_out(h * torch.sigmoid(h))  # rounds in bfloat16 as MONAI's does


class ControlNet(_Encoder):
    """What to add to the states of a U-Net, given a condition; nothing before it is trained.

    Arguments as in the shared half, and ``condition_channels``.
    """

    def __init__(
        self,
        cin: int,
        condition_channels: int,
        channels: Sequence[int],
        attention: Sequence[bool],
        groups: int,
        head_channels: int,
    ) -> None:
        super().__init__(cin, channels, attention, groups, head_channels)
        self.controlnet_cond_embedding = ConditionEmbedding(condition_channels, channels[0])
        self._make_levels()
        counts = [c for i, c in enumerate(channels) for _ in range(1 + (i + 1 < len(channels)))]
        self.controlnet_down_blocks = nn.ModuleList(
            [zero(conv(3, channels[0], channels[0], 1)), *(zero(_conv(c, c, 1)) for c in counts)]
        )
        self.controlnet_mid_block = zero(_conv(channels[-1], channels[-1], 1))

    def forward(
        self,
        x: torch.Tensor,
        t: torch.Tensor,
        condition: torch.Tensor,
        embedding: torch.Tensor | None = None,
    ) -> Residuals:
        """The residuals for ``x`` at times ``t``.

        Args:
            x, t, embedding: as the U-Net's.
            condition: (B, channels[0], *S) what ``controlnet_cond_embedding`` makes of the
                condition.
        """
        embedded = self.embed_time(x, t, embedding)
        states, h = self.encode(self.conv_in(x) + condition, embedded)
        down = [f(s) for f, s in zip(self.controlnet_down_blocks, states, strict=True)]
        return down, self.controlnet_mid_block(h)
