"""The 3-D denoiser: a U-Net with shifted-window attention, conditioned at every level."""

from __future__ import annotations

import torch
from torch import nn

from axon_backend.methods.diffux2ct.config import DenoiserConfig
from axon_backend.networks.blocks import conv, depth_to_space, norm, space_to_depth, zero


def shifted_windows(channels: int, window: int, head_channels: int) -> nn.Module:
    """MONAI's pair of Swin transformer blocks (Liu et al. 2021): attention within windows, then
    within windows shifted by half their side; (B, C, D, D, D) -> (B, C, D, D, D). Identity for
    window 0.
    """
    if not window:
        return nn.Identity()
    from monai.networks.nets.swin_unetr import BasicLayer

    return BasicLayer(
        dim=channels,
        depth=2,
        num_heads=max(1, channels // head_channels),
        window_size=(window,) * 3,
        drop_path=[0.0, 0.0],
        qkv_bias=True,
    )


class Level(nn.Module):
    """A residual block with time embedding, followed by the attention of its level.

    Forward: (B, cin, D, D, D), (B, temb) -> (B, cout, D, D, D).
    """

    def __init__(
        self, config: DenoiserConfig, cin: int, cout: int, time_channels: int, window: int
    ) -> None:
        super().__init__()
        from monai.networks.nets.diffusion_model_unet import DiffusionUNetResnetBlock

        self.block = DiffusionUNetResnetBlock(
            spatial_dims=3,
            in_channels=cin,
            out_channels=cout,
            temb_channels=time_channels,
            norm_num_groups=config.groups,
        )
        self.attention = shifted_windows(cout, window, config.head_channels)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return self.attention(self.block(x, time))


class Denoiser(nn.Module):
    """(B, 1, h, h, h), times (B,) and a condition for each level -> (B, 1, h, h, h).

    Each condition enters through a zero-initialised 1x1x1 convolution. The last layer is also
    initialised to zero, as in MONAI's U-Net.

    Args:
        config: see :class:`DenoiserConfig`.
        features: channels of the conditions.
    """

    def __init__(self, config: DenoiserConfig, features: int) -> None:
        super().__init__()
        self.config = config
        channels, cells = config.channels, config.patch**3
        time_channels = 4 * channels[0]
        self.time = nn.Sequential(
            nn.Linear(channels[0], time_channels),
            nn.SiLU(),
            nn.Linear(time_channels, time_channels),
        )
        self.stem = conv(3, cells, channels[0])
        self.conditions = nn.ModuleList(zero(conv(3, features, c, 1)) for c in channels)
        steps = list(zip(channels[:-1], channels[1:], strict=True))

        def level(cin: int, i: int) -> Level:
            return Level(config, cin, channels[i], time_channels, config.windows[i])

        self.down = nn.ModuleList(level(c, i) for i, c in enumerate(channels))
        self.shrink = nn.ModuleList(conv(3, here, below, 3, 2) for here, below in steps)
        self.middle = level(channels[-1], len(channels) - 1)
        self.grow = nn.ModuleList(conv(3, below, here) for here, below in reversed(steps))
        self.up = nn.ModuleList(level(2 * channels[i], i) for i in reversed(range(len(steps))))
        self.enlarge = nn.Upsample(scale_factor=2, mode="nearest")
        self.head = nn.Sequential(norm(channels[0]), nn.SiLU(), zero(conv(3, channels[0], cells)))

    def forward(
        self, y_t: torch.Tensor, t: torch.Tensor, conditions: list[torch.Tensor]
    ) -> torch.Tensor:
        from monai.networks.nets.diffusion_model_unet import get_timestep_embedding

        p = self.config.patch
        time = self.time(get_timestep_embedding(t, self.config.channels[0]))
        x = self.stem(space_to_depth(y_t, p))
        kept: list[torch.Tensor] = []
        for i, level in enumerate(self.down):
            if i:
                x = self.shrink[i - 1](x)
            x = level(x + self.conditions[i](conditions[i]), time)
            kept.append(x)
        x = self.middle(kept.pop(), time)
        for grow, level in zip(self.grow, self.up, strict=True):
            x = level(torch.cat([self.enlarge(grow(x)), kept.pop()], 1), time)
        return depth_to_space(self.head(x), p).float()
