"""The tri-plane decoupling generator: three axis-aligned feature planes from two X-rays."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from axon_backend.methods.diffux2ct.config import TriPlaneConfig
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.networks.blocks import UNet, average_down, conv, image_coordinates
from axon_backend.physics.geometry import FIELD_OF_VIEW


class Planes(NamedTuple):
    """Feature planes of a batch.

    Attributes:
        frontal: (B, C, S, S) on the frontal image's pixels (rows top to bottom, columns x).
        lateral: the same for the lateral image (columns y).
        axial: (B, C, S, S) in the frame, rows y, columns x.
    """

    frontal: torch.Tensor
    lateral: torch.Tensor
    axial: torch.Tensor


def central_plane(image: torch.Tensor) -> torch.Tensor:
    """The part of an image that shows the frame's central plane, rows along +z.

    Args:
        image: (B, C, S, S) on the view image's field (1.1 x the box), rows top to bottom.

    Returns:
        (B, C, S, S), rows z, columns x (frontal) or y (lateral), filling the box.
    """
    b, _, s, _ = image.shape
    place = ((torch.arange(s, device=image.device) + 0.5) / s * 2 - 1) / FIELD_OF_VIEW
    grid = torch.stack(torch.meshgrid(-place, place, indexing="ij")[::-1], -1)
    return F.grid_sample(image.float(), grid.expand(b, s, s, 2), align_corners=False)


def bilinear_plane(
    frontal: torch.Tensor, lateral: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """The plane that neither view sees, ``P[c, y, x] = sum_z w[z] A[c, z, x] B[c, z, y]``.

    Args:
        frontal: A, (B, C, Z, X).
        lateral: B, (B, C, Z, Y).
        weights: w, (B, Z), each sample's sum is 1.

    Returns:
        P, (B, C, Y, X).
    """
    return torch.einsum("bz,bczx,bczy->bcyx", weights, frontal, lateral)


class TriPlaneGenerator(nn.Module):
    """A 2-D U-Net with weights shared by the views; the axial plane is decoupled from both.

    The frontal and lateral planes are the U-Net's outputs for each view. The axial plane is the
    bilinear form of further outputs (:func:`bilinear_plane`), weighted over z by attention,
    followed by a small U-Net that also takes both views' means over z. If there is no lateral view,
    a learned constant replaces the U-Net's outputs for it.

    Forward: views -> :class:`Planes`.
    """

    def __init__(self, config: TriPlaneConfig) -> None:
        super().__init__()
        self.config = config
        first, out = config.channels[0], config.planes + config.rank
        # 3 channels: the image and two coordinates, since in the frame position implies anatomy.
        self.stem = conv(2, 3, first, 3, config.view_size // config.size)
        self.view_bias = nn.Parameter(torch.zeros(2, first, 1, 1))
        self.unet = UNet(2, first, out, config.channels, config.blocks)
        self.no_lateral = nn.Parameter(torch.zeros(1, out, 1, 1))
        self.attention = nn.Conv1d(2 * config.rank, 1, 1, bias=False)
        self.axial = UNet(2, 3 * config.rank, config.planes, config.axial, blocks=1)

    def view_features(self, view: torch.Tensor, which: int) -> torch.Tensor:
        """A view (B, 1, S, S), 0 frontal or 1 lateral -> (B, planes + rank, size, size)."""
        x = average_down(view, self.config.view_size)
        x = torch.cat([x, image_coordinates(x)], 1)
        return self.unet(self.stem(x) + self.view_bias[which]).float()

    def forward(self, views: RegisteredViews) -> Planes:
        frontal = self.view_features(views.frontal, 0)
        lateral = self.no_lateral.expand_as(frontal)
        if views.lateral is not None:
            seen = self.view_features(views.lateral, 1)
            present = views.lateral_present.reshape(-1, 1, 1, 1)
            # If all are present, the constant still gets a gradient, of zero, which averaging over
            # processes requires for every parameter.
            lateral = torch.where(present, seen, lateral)
        side, rank = self.config.planes, self.config.rank
        a, b = (central_plane(f[:, side:]) for f in (frontal, lateral))
        profiles = torch.cat([a.mean(3), b.mean(3)], 1)
        weights = self.attention(profiles).float().softmax(2)[:, 0]
        columns = a.mean(2)[:, :, None].expand(-1, rank, a.shape[-1], -1)
        rows = b.mean(2)[:, :, :, None].expand(-1, rank, -1, b.shape[-1])
        axial = self.axial(torch.cat([bilinear_plane(a, b, weights), columns, rows], 1))
        return Planes(frontal[:, :side], lateral[:, :side], axial.float())
