"""From image axes to volume axes: placing 2-D features along their rays.

Four variants, selected by an argument:

* ``reshape``: a group of channels is one depth plane (the paper, section 3.1).
* ``repeat``: the same channels at every depth (Repeat-and-Concatenate).
* ``project``: ``reshape`` with the cone beam's magnification of each depth plane, so that a feature
  is placed in a voxel on its ray.
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
    """Lift image features into the canonical frame.

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
    # Volume rows run along +z, the image's along -z.
    u = zoom[:, :, None, None] * centre[None, None, None, :]
    v = -zoom[:, :, None, None] * centre[None, None, :, None]
    grid = torch.stack(torch.broadcast_tensors(u, v), -1).reshape(b * depth, depth, depth, 2)
    sampled = F.grid_sample(
        planes.reshape(b * depth, c, h, w).float(),
        grid,
        align_corners=False,
        padding_mode="border",
    )
    volume = sampled.reshape(b, depth, c, depth, depth)  # depth, C, z, (x or y)
    # frontal: depth = y -> (B, C, z, y, x); lateral: depth = x -> (B, C, z, y, x)
    return volume.permute(0, 2, 3, 1, 4) if frontal else volume.permute(0, 2, 3, 4, 1)


def back_project(
    views: list[torch.Tensor],
    size: int,
    beam: torch.Tensor,
    has_lateral: torch.Tensor | None = None,
    lifting: str = "backproject",
) -> torch.Tensor:
    """Spread X-rays along their rays.

    Args:
        views: the frontal (B, 1, S, S) and, if there is one, the lateral view.
        size: h.
        beam: (B, 2).
        has_lateral: (B,) bool, the samples that have a lateral view; None: all.
        lifting: "backproject", or "repeat" for parallel rays.

    Returns:
        (B, 2, h, h, h); zero for a missing lateral view.
    """
    spread = [
        lift(F.adaptive_avg_pool2d(v, size), size, i == 0, lifting, beam[:, i])
        for i, v in enumerate(views)
    ]
    if len(spread) == 1:
        spread.append(torch.zeros_like(spread[0]))
    elif has_lateral is not None:
        spread[1] = spread[1] * has_lateral.reshape(-1, 1, 1, 1, 1).to(spread[1])
    return torch.cat(spread, 1)


def forward_project(
    volume: torch.Tensor, frontal: bool, beam: torch.Tensor, size: int
) -> torch.Tensor:
    """Project a volume of the frame, with the geometry of :func:`lift`.

    Args:
        volume: (B, 1, D, D, D) in [-1, 1]; -1 is air, without attenuation.
        frontal: sum along y, else along x.
        beam: (B,).
        size: side of the image.

    Returns:
        (B, 1, size, size) mean attenuation along each ray, in arbitrary units.
    """
    b, depth = volume.shape[0], volume.shape[-1]
    planes = (volume.float() + 1).movedim(3 if frontal else 4, 1)  # (B, depth, 1, z, x or y)
    centre = (torch.arange(depth, device=volume.device) + 0.5) / depth * 2 - 1
    place = (torch.arange(size, device=volume.device) + 0.5) / size * 2 - 1
    reach = FIELD_OF_VIEW * (1.0 - beam.float()[:, None] * centre[None])
    u = reach[:, :, None, None] * place[None, None, None, :]
    v = -reach[:, :, None, None] * place[None, None, :, None]
    grid = torch.stack(torch.broadcast_tensors(u, v), -1).reshape(b * depth, size, size, 2)
    sampled = F.grid_sample(
        planes.reshape(b * depth, 1, *planes.shape[-2:]), grid, align_corners=False
    )
    return sampled.reshape(b, depth, 1, size, size).mean(1)


def back_project_residuals(
    volume: torch.Tensor,
    views: list[torch.Tensor],
    beam: torch.Tensor,
    has_lateral: torch.Tensor | None = None,
) -> torch.Tensor:
    """The residuals of X-rays against a volume's projections, spread along the rays.

    The volume is projected, the projection is fitted to the X-ray's unknown grey scale by a gain
    and an offset, and the difference is back-projected.

    Args:
        volume: (B, 1, h, h, h).
        views: frontal (B, 1, S, S), and lateral if there is one.
        beam: (B, 2).
        has_lateral: as in :func:`back_project`.

    Returns:
        (B, 2, h, h, h); zero for a missing lateral view.
    """
    size = volume.shape[-1]
    edge = round(size * (1 - 1 / FIELD_OF_VIEW) / 2)
    inside = slice(edge, size - edge)
    residuals = []
    for i, view in enumerate(views):
        seen = F.adaptive_avg_pool2d(view.float(), size)
        made = forward_project(volume, i == 0, beam[:, i], size)
        a, b = made[..., inside, inside], seen[..., inside, inside]
        mean_a, mean_b = a.mean((1, 2, 3), keepdim=True), b.mean((1, 2, 3), keepdim=True)
        gain = ((a - mean_a) * (b - mean_b)).mean((1, 2, 3), keepdim=True)
        gain = gain / (a - mean_a).square().mean((1, 2, 3), keepdim=True).clamp_min(1e-6)
        residuals.append(seen - (gain * (made - mean_a) + mean_b))
    return back_project(residuals, size, beam, has_lateral)
