"""MONAI's diffusion U-Net and ControlNet, with space-to-depth operations around them.

``patch = 2`` folds each 2x2x2 block of voxels into channels before the network and unfolds it
afterwards, which leaves an eighth of the positions at the costly first level. ``patch = 1`` is
plain MONAI.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from axon_backend.networks.blocks import depth_to_space, space_to_depth
from axon_backend.networks.global_encoder import GlobalEncoder


@dataclass(frozen=True)
class UNetConfig:
    """Settings of the bridge's U-Net, or of the prior and its ControlNet.

    Attributes:
        channels: channels of each level, fine to coarse.
        attention: levels with self-attention (the middle always has it).
        patch: space-to-depth factor.
        groups: groups of the group normalisation.
        head_channels: channels of an attention head.
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

    def monai(self) -> dict:
        """The keyword arguments common to MONAI's two classes."""
        return {
            "spatial_dims": 3,
            "channels": self.channels,
            "attention_levels": self.attention,
            "num_res_blocks": 1,
            "norm_num_groups": self.groups,
            "num_head_channels": self.head_channels,
            "use_flash_attention": True,
        }


Residuals = tuple[list[torch.Tensor], torch.Tensor]


def _global_encoder(net: nn.Module, config: UNetConfig, side: int) -> GlobalEncoder | None:
    """Set up ``net`` to take the vector of a global encoder, and return the encoder for images of a
    side; None for side 0. The vector replaces the class embedding that MONAI's networks add to the
    time embedding."""
    if side == 0:
        return None
    width = 4 * config.channels[0]  # of MONAI's time embedding
    net.num_class_embeds, net.class_embedding = width, nn.Identity()  # type: ignore[assignment]
    return GlobalEncoder(side, width)


class DiffusionUNet(nn.Module):
    """(B, C, h, h, h) and times (B,) -> (B, 1, h, h, h); h / patch divisible by
    ``2 ** (levels - 1)``. C counts the noisy volume and its conditions.

    With ``view_side``, there is a ``global_encoder`` for images of that side, and each call needs
    its vector as ``global_embedding``.
    """

    def __init__(self, config: UNetConfig, in_channels: int = 1, view_side: int = 0) -> None:
        super().__init__()
        from monai.networks.nets import DiffusionModelUNet

        self.config = config
        cells = config.patch**3
        self.net = DiffusionModelUNet(
            in_channels=in_channels * cells, out_channels=cells, **config.monai()
        )
        self.global_encoder = _global_encoder(self.net, config, view_side)

    @property
    def second_half(self) -> list[nn.Module]:
        """The blocks that run while the features of the way down are kept: the most memory."""
        up = self.net.get_submodule("up_blocks")
        return [self.net.get_submodule("middle_block"), *up.children()]

    def forward(
        self,
        x: torch.Tensor,
        t: torch.Tensor,
        residuals: Residuals | None = None,
        global_embedding: torch.Tensor | None = None,
    ) -> torch.Tensor:
        p = self.config.patch
        down, middle = residuals if residuals is not None else (None, None)
        out = self.net(
            space_to_depth(x, p),
            t,
            class_labels=global_embedding,
            down_block_additional_residuals=None if down is None else tuple(down),
            mid_block_additional_residual=middle,
        )
        return depth_to_space(out, p).float()


class ConditionEmbedding(nn.Module):
    """MONAI's layers that embed the condition, called by :meth:`ControlBranch.embed` once for all
    times; MONAI's ControlNet, which calls its embedding at every time, gets back what it gives.

    Args:
        layers: MONAI's embedding.
    """

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.conv_in = layers.get_submodule("conv_in")
        self.conv_out = layers.get_submodule("conv_out")

    def embed(self, condition: torch.Tensor) -> torch.Tensor:
        """(B, c, *S) -> (B, channels of the first level, *S)."""
        embedded: torch.Tensor = self.conv_out(self.conv_in(condition))
        return embedded

    def forward(self, embedded: torch.Tensor) -> torch.Tensor:
        return embedded


class ControlBranch(nn.Module):
    """ControlNet (Zhang et al. 2023) for a condition of the same size as the prior's volume.

    Before training its residuals are zero, so the prior is unchanged at first. ``view_side`` and
    ``global_embedding`` as in :class:`DiffusionUNet`.
    """

    def __init__(self, config: UNetConfig, condition_channels: int = 1, view_side: int = 0) -> None:
        super().__init__()
        from monai.networks.nets import ControlNet

        self.config = config
        cells = config.patch**3
        self.net = ControlNet(
            in_channels=cells,
            conditioning_embedding_in_channels=condition_channels * cells,
            # One entry: the condition already has the size of the first level.
            conditioning_embedding_num_channels=(config.channels[0],),
            **config.monai(),
        )
        layers = self.net.get_submodule("controlnet_cond_embedding")
        self.net.register_module("controlnet_cond_embedding", ConditionEmbedding(layers))
        self.global_encoder = _global_encoder(self.net, config, view_side)

    def embed(self, condition: torch.Tensor) -> torch.Tensor:
        """The condition (B, c, h, h, h) as :meth:`forward` takes it, (B, channels of the first
        level, h / p, h / p, h / p)."""
        embedding = self.net.get_submodule("controlnet_cond_embedding")
        assert isinstance(embedding, ConditionEmbedding)
        return embedding.embed(space_to_depth(condition, self.config.patch))

    def copy_from(self, prior: DiffusionUNet) -> None:
        """Initialise the branch as a copy of the prior's encoder and middle."""
        own = self.net.state_dict()
        shared = {
            k: v for k, v in prior.net.state_dict().items() if k in own and own[k].shape == v.shape
        }
        if not shared:
            raise ValueError("the prior and the ControlNet branch have no layer in common")
        self.net.load_state_dict(own | shared)

    def forward(
        self,
        x: torch.Tensor,
        t: torch.Tensor,
        embedded: torch.Tensor,
        global_embedding: torch.Tensor | None = None,
    ) -> Residuals:
        return self.net(
            space_to_depth(x, self.config.patch),
            t,
            controlnet_cond=embedded,
            class_labels=global_embedding,
        )
