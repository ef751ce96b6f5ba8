"""From the grey scale of an X-ray to that of a DRR."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from axon_backend.networks.blocks import UNet, average_down, image_coordinates, zero

PATCH = 2


class Harmoniser(nn.Module):
    """Undoes what a detector and a workstation do to a radiograph: tone curve, local contrast,
    clipping, scatter, noise, lead letters, collimation. A residual 2-D U-Net, which starts as the
    identity.

    Args:
        channels: channels of the U-Net's levels, fine to coarse; the first has half the side of
            its input.
        side: side of its input; larger views are averaged down to it, and its correction is
            enlarged to theirs.
        limit: largest absolute value of a standardised view (``imaging.standardise.LIMIT``).
    """

    def __init__(self, channels: tuple[int, ...], side: int, limit: float) -> None:
        super().__init__()
        self.side, self.limit = side, limit
        # The view, its rows and columns, and which view it is.
        self.net = UNet(2, 4 * PATCH**2, PATCH**2, channels)
        zero(self.net.head[-1])

    def forward(self, view: torch.Tensor, frontal: bool) -> torch.Tensor:
        """A standardised view (B, 1, S, S), S a multiple of ``side``, with the grey scale of a
        DRR; the same shape."""
        seen = average_down(view, self.side)
        which = torch.full_like(seen, 1.0 if frontal else -1.0)
        cells = F.pixel_unshuffle(torch.cat([seen, image_coordinates(seen), which], 1), PATCH)
        change = F.pixel_shuffle(self.net(cells).float(), PATCH)
        # Within its range, so that an untrained network changes nothing.
        change = (seen + change).clamp(-self.limit, self.limit) - seen
        factor = view.shape[-1] // self.side
        if factor > 1:
            change = change.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        return view + change
