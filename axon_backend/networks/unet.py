"""MONAI's diffusion U-Net and ControlNet, with a space-to-depth factor around them.

``patch = 2`` folds each 2x2x2 block of voxels into channels in front of the network and unfolds
it behind: an eighth of the positions at the costly first level. ``patch = 1`` is MONAI as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from axon_backend.networks.blocks import depth_to_space, space_to_depth


@dataclass(frozen=True)
class UNetConfig:
    """Settings shared by the bridge's U-Net, the prior and its ControlNet.

    Attributes:
        channels: of each level, fine to coarse.
        attention: levels with self-attention (the middle always has it).
        blocks: residual blocks a level.
        patch: space-to-depth factor.
        groups, head_channels: of group normalisation and attention.
    """

    channels: tuple[int, ...] = (32, 64, 96)
    attention: tuple[bool, ...] = (False, False, False)
    blocks: int = 1
    patch: int = 2
    groups: int = 16
    head_channels: int = 16

    def monai(self) -> dict:
        """The keyword arguments that MONAI's two classes have in common."""
        return {
            "spatial_dims": 3,
            "channels": self.channels,
            "attention_levels": self.attention,
            "num_res_blocks": self.blocks,
            "norm_num_groups": self.groups,
            "num_head_channels": self.head_channels,
            "use_flash_attention": True,
        }


Residuals = tuple[list[torch.Tensor], torch.Tensor]


class DiffusionUNet(nn.Module):
    """(B, C, h, h, h) and times (B,) -> (B, 1, h, h, h); h / patch divisible by
    ``2 ** (levels - 1)``. C counts the noisy volume and its conditions."""

    def __init__(self, config: UNetConfig, in_channels: int = 1) -> None:
        super().__init__()
        from monai.networks.nets import DiffusionModelUNet

        self.config = config
        cells = config.patch**3
        self.net = DiffusionModelUNet(
            in_channels=in_channels * cells, out_channels=cells, **config.monai()
        )

    def forward(
        self, x: torch.Tensor, t: torch.Tensor, residuals: Residuals | None = None
    ) -> torch.Tensor:
        p = self.config.patch
        down, middle = residuals if residuals is not None else (None, None)
        out = self.net(
            space_to_depth(x, p),
            t,
            down_block_additional_residuals=None if down is None else tuple(down),
            mid_block_additional_residual=middle,
        )
        return depth_to_space(out, p).float()


class ControlBranch(nn.Module):
    """ControlNet (Zhang et al. 2023) on a volume of the prior's own size.

    Its residuals are zero before training, so the prior starts undisturbed.
    """

    def __init__(self, config: UNetConfig, condition_channels: int = 1) -> None:
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

    def copy_from(self, prior: DiffusionUNet) -> None:
        """Start the branch as a copy of the prior's encoder and middle."""
        own = self.net.state_dict()
        shared = {
            k: v for k, v in prior.net.state_dict().items() if k in own and own[k].shape == v.shape
        }
        if not shared:
            raise ValueError("the prior and the ControlNet branch have no layer in common")
        self.net.load_state_dict(own | shared)

    def forward(self, x: torch.Tensor, t: torch.Tensor, condition: torch.Tensor) -> Residuals:
        p = self.config.patch
        return self.net(space_to_depth(x, p), t, controlnet_cond=space_to_depth(condition, p))
