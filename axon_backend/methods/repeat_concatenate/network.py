"""The 3-D networks of Repeat-and-Concatenate, and their inputs."""

from __future__ import annotations

import torch
from torch import nn

from axon_backend.methods.batch import Draws
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.methods.repeat_concatenate.config import RepeatConcatenateConfig
from axon_backend.networks.blocks import UNet, conv, depth_to_space, space_to_depth
from axon_backend.networks.lifting import back_project


class Generator(nn.Module):
    """Views -> (B, 1, h, h, h). If the lateral view is missing, the frontal channel replaces it
    (the paper duplicates a single view)."""

    def __init__(self, config: RepeatConcatenateConfig) -> None:
        super().__init__()
        self.config = config
        self.net = _swin_unetr(config) if config.network == "swin_unetr" else _unet(config)

    def inputs(self, views: RegisteredViews) -> torch.Tensor:
        """(B, 2, h, h, h): the views along their rays."""
        n, how = self.config.grid, self.config.lifting
        spread = back_project(views.both, n, views.beam, None, how)
        frontal, lateral = spread[:, :1], spread[:, 1:]
        if views.lateral is None:
            lateral = frontal
        elif views.has_lateral is not None:
            present = views.has_lateral.reshape(-1, 1, 1, 1, 1)
            lateral = torch.where(present, lateral, frontal)
        return torch.cat([frontal, lateral], 1)

    def forward(self, views: RegisteredViews, draws: Draws | None = None) -> torch.Tensor:
        seen = self.inputs(views)
        if self.config.network == "swin_unetr":
            return self.net(seen).float()
        p = self.config.patch
        return depth_to_space(self.net(space_to_depth(seen, p)), p).float()


def _unet(config: RepeatConcatenateConfig) -> nn.Module:
    cells = config.patch**3
    net = UNet(3, 2 * cells, cells, config.channels)
    if config.upsampling == "transposed":
        net.enlarge = nn.Identity()
        levels = list(zip(config.channels[:-1], config.channels[1:], strict=True))
        net.grow = nn.ModuleList(
            nn.ConvTranspose3d(below, here, 2, 2) for here, below in reversed(levels)
        )
    return net


def _swin_unetr(config: RepeatConcatenateConfig) -> nn.Module:
    from monai.networks.blocks.unetr_block import UnetrUpBlock
    from monai.networks.nets import SwinUNETR

    where = torch.empty(0).device
    # MONAI reads values of tensors during construction, which "meta" tensors do not have.
    with torch.device("cpu"):
        net = SwinUNETR(2, 1, feature_size=config.feature_size, spatial_dims=3)
        if config.upsampling == "resize":
            for block in net.modules():
                if isinstance(block, UnetrUpBlock):
                    cin, cout = block.transp_conv.conv.weight.shape[:2]
                    enlarge = nn.Upsample(scale_factor=2)
                    block.transp_conv = nn.Sequential(enlarge, conv(3, cin, cout))
    return net.to(where)
