"""From picture axes to volume axes: putting 2-D features along the rays they were made by.

Four ways behind one function:

* ``reshape``: a group of channels is one depth plane (the paper, section 3.1).
* ``repeat``: the same channels at every depth (Repeat-and-Concatenate).
* ``project``: ``reshape``, and each depth plane is magnified as the cone beam magnifies it, so a
  feature lands in the voxel whose ray made it.
* ``backproject``: ``repeat`` with the same magnification, that is an unfiltered back-projection.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from axon_backend.physics.geometry import FIELD_OF_VIEW

LIFTINGS = ("reshape", "repeat", "project", "backproject")


def lift(
    features: torch.Tensor, depth: int, frontal: bool, lifting: str, beam: torch.Tensor
) -> torch.Tensor:
    """Lift picture features into the canonical frame.

    Args:
        features: (B, C D, h, w) on the view image's field (1.1 x the box), or (B, C, h, w) for
            ``repeat`` and ``backproject``; rows top to bottom, columns viewer's left to right.
        depth: D, voxels along the ray; the volume is D^3.
        frontal: frontal (depth is y) or lateral (depth is x).
        lifting: one of :data:`LIFTINGS`.
        beam: (B,) signed half depth over SOD, see ``physics.geometry.beam_parameter``.

    Returns:
        (B, C, D, D, D), axes z, y, x of the frame.
    """
    if lifting not in LIFTINGS:
        raise ValueError(f"lifting must be one of {LIFTINGS}, got {lifting!r}")
    b, channels, h, w = features.shape
    if lifting in ("repeat", "backproject"):
        planes = features[:, None].expand(b, depth, channels, h, w)
    else:
        planes = features.reshape(b, channels // depth, depth, h, w).transpose(1, 2)
    c = planes.shape[2]
    centre = (torch.arange(depth, device=features.device, dtype=torch.float32) + 0.5) / depth
    centre = centre * 2 - 1  # voxel centres in half box sizes
    zoom = torch.ones(b, depth, device=features.device)
    if lifting in ("project", "backproject"):
        zoom = 1.0 / (1.0 - beam.float()[:, None] * centre[None])
    zoom = zoom / FIELD_OF_VIEW
    # Volume rows run along +z, the picture's along -z.
    u = zoom[:, :, None, None] * centre[None, None, None, :]
    v = -zoom[:, :, None, None] * centre[None, None, :, None]
    grid = torch.stack(torch.broadcast_tensors(u, v), -1).reshape(b * depth, depth, depth, 2)
    sampled = F.grid_sample(
        planes.reshape(b * depth, c, h, w).float(), grid, align_corners=False,
        padding_mode="border",
    )
    volume = sampled.reshape(b, depth, c, depth, depth)  # depth, C, z, (x or y)
    # frontal: depth = y -> (B, C, z, y, x); lateral: depth = x -> (B, C, z, y, x)
    return volume.permute(0, 2, 3, 1, 4) if frontal else volume.permute(0, 2, 3, 4, 1)


def back_project(views: list[torch.Tensor], size: int, beam: torch.Tensor) -> torch.Tensor:
    """X-rays spread along their rays.

    Args:
        views: the frontal (B, 1, S, S) and, if there is one, the lateral view.
        size: h.
        beam: (B, 2).

    Returns:
        (B, 2, h, h, h); an absent lateral is zero.
    """
    spread = [
        lift(F.adaptive_avg_pool2d(v, size), size, i == 0, "backproject", beam[:, i])
        for i, v in enumerate(views)
    ]
    if len(spread) == 1:
        spread.append(torch.zeros_like(spread[0]))
    return torch.cat(spread, 1)
