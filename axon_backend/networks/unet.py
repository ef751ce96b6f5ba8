"""The diffusion U-Net and its ControlNet, with a space-to-depth factor around them.

``patch = 2`` folds each 2x2x2 block of voxels into channels in front of the network and unfolds
it behind: an eighth of the positions at the costly first level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from axon_backend.networks.blocks import depth_to_space, space_to_depth
from axon_backend.networks.diffusion_unet import ControlNet, Residuals, UNetWithTime
from axon_backend.networks.global_encoder import GlobalEncoder


@dataclass(frozen=True)
class UNetConfig:
    """Settings of the bridge's U-Net, or of the prior and its ControlNet.

    Attributes:
        channels: of each level, fine to coarse.
        attention: levels with self-attention (the middle always has it).
        patch: space-to-depth factor.
        groups, head_channels: of group normalisation and attention.
    """

    channels: tuple[int, ...] = (32, 64, 96)
    attention: tuple[bool, ...] = (False, False, False)
    patch: int = 2
    groups: int = 16
    head_channels: int = 16

    def __post_init__(self) -> None:
        counts = {"channels": self.channels, "patch": (self.patch,)}
        counts |= {"groups": (self.groups,), "head_channels": (self.head_channels,)}
        for name, values in counts.items():
            if not values or min(values) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)!r}")

    def shared(self) -> dict[str, Any]:
        """The keyword arguments that both networks have in common."""
        return {
            "channels": self.channels,
            "attention": self.attention,
            "groups": self.groups,
            "head_channels": self.head_channels,
        }


def _global_encoder(config: UNetConfig, side: int) -> GlobalEncoder | None:
    """A global encoder of images of that side, whose vector is added to the embedding of the time;
    none for side 0."""
    return GlobalEncoder(side, 4 * config.channels[0]) if side else None


class DiffusionUNet(nn.Module):
    """(B, C, h, h, h) and times (B,) -> (B, 1, h, h, h); h / patch divisible by
    ``2 ** (levels - 1)``. C counts the noisy volume and its conditions.

    With ``view_side`` there is a ``global_encoder`` of images of that side, and its vector is
    the ``global_embedding`` that each call needs.
    """

    def __init__(self, config: UNetConfig, in_channels: int = 1, view_side: int = 0) -> None:
        super().__init__()
        self.config = config
        cells = config.patch**3
        self.net = UNetWithTime(in_channels * cells, cells, **config.shared())
        self.global_encoder = _global_encoder(config, view_side)

    def forward(
        self,
        x: torch.Tensor,
        t: torch.Tensor,
        residuals: Residuals | None = None,
        global_embedding: torch.Tensor | None = None,
    ) -> torch.Tensor:
        _check_embedding(self.global_encoder, global_embedding)
        p = self.config.patch
        out = self.net(space_to_depth(x, p), t, residuals, global_embedding)
        return depth_to_space(out, p).float()


class ControlBranch(nn.Module):
    """ControlNet (Zhang et al. 2023) on a volume of the prior's own size.

    Its residuals are zero before training, so the prior starts undisturbed. ``view_side`` and
    ``global_embedding`` as in :class:`DiffusionUNet`.
    """

    def __init__(self, config: UNetConfig, condition_channels: int = 1, view_side: int = 0) -> None:
        super().__init__()
        self.config = config
        cells = config.patch**3
        self.net = ControlNet(cells, condition_channels * cells, **config.shared())
        self.global_encoder = _global_encoder(config, view_side)

    def copy_from(self, prior: DiffusionUNet) -> None:
        """Start the branch as a copy of the prior's encoder and middle."""
        own = self.net.state_dict()
        shared = {
            k: v for k, v in prior.net.state_dict().items() if k in own and own[k].shape == v.shape
        }
        if not shared:
            raise ValueError("the prior and the ControlNet branch have no layer in common")
        self.net.load_state_dict(own | shared)

    def embed(self, condition: torch.Tensor) -> torch.Tensor:
        """What the network makes of a condition; it is the same at every time."""
        return self.net.controlnet_cond_embedding(space_to_depth(condition, self.config.patch))

    def forward(
        self,
        x: torch.Tensor,
        t: torch.Tensor,
        condition: torch.Tensor,
        global_embedding: torch.Tensor | None = None,
        embedded: torch.Tensor | None = None,
    ) -> Residuals:
        """``embedded``: :meth:`embed` of the condition, where it is known already."""
        _check_embedding(self.global_encoder, global_embedding)
        embedded = self.embed(condition) if embedded is None else embedded
        return self.net(space_to_depth(x, self.config.patch), t, embedded, global_embedding)


def _check_embedding(encoder: GlobalEncoder | None, embedding: torch.Tensor | None) -> None:
    if (encoder is None) != (embedding is None):
        raise ValueError("a global embedding is needed exactly where there is a global encoder")
