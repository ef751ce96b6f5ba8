"""Cone-beam digitally reconstructed radiographs by Joseph's method, in torch.

Joseph (IEEE TMI 1(3), 1982): march the ray one voxel plane at a time along the axis it is most
parallel to, interpolate bilinearly in each plane, and weigh the sum with the path length between
planes. Each plane is one 2-D ``grid_sample`` for all rays at once, so memory stays O(pixels) and
autograd gives the gradients to the volume and to the rays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.view import View
from axon_backend.physics.attenuation import hu_to_mu
from axon_backend.physics.geometry import AcquisitionGeometry


def project_rays(
    volume: torch.Tensor,
    origin_mm: torch.Tensor,
    spacing_mm: torch.Tensor,
    source_mm: torch.Tensor,
    points_mm: torch.Tensor,
    axis: int | None = None,
) -> torch.Tensor:
    """Line integrals of a volume along the rays from a source through points.

    Args:
        volume: (Z, Y, X), for example attenuation in 1/mm; or (C, Z, Y, X), several volumes on one
            grid, which costs less than one after the other; zero outside.
        origin_mm: (3,) LPS position (x, y, z) of voxel (0, 0, 0).
        spacing_mm: (3,) voxel size (x, y, z).
        source_mm: (3,) LPS position of the focal spot, outside the volume.
        points_mm: (H, W, 3) LPS points that the rays pass; they run on to infinity.
        axis: 0, 1 or 2 (x, y, z), the axis to march along; by default the one that the mean ray
            is most parallel to. Parts of one picture must share it.

    Returns:
        (H, W) or (C, H, W) integrals (dimensionless when the volume is in 1/mm). Differentiable
        in ``volume``, ``source_mm`` and ``points_mm``.

    Rays more than about 70 degrees away from the marching axis are outside the method's use.
    """
    # Work in voxel units, x, y, z.
    start = (source_mm - origin_mm) / spacing_mm
    direction = (points_mm - source_mm) / spacing_mm
    if axis is None:
        axis = int((points_mm - source_mm).detach().mean((0, 1)).abs().argmax())
    others = [a for a in range(3) if a != axis]  # e.g. (x, z) when marching along y
    channels = volume.reshape(-1, *volume.shape[-3:])
    # (N, C, slow other, fast other) = (N, C, others[1], others[0])
    planes = channels.movedim(3 - axis, 0)
    size = torch.tensor(
        [planes.shape[3], planes.shape[2]], dtype=volume.dtype, device=volume.device
    )
    slope = direction[..., others] / direction[..., axis : axis + 1]
    length = (points_mm - source_mm).norm(dim=-1) / (
        (points_mm - source_mm)[..., axis].abs() / spacing_mm[axis]
    )
    # Affine in the plane's number n: position(n) = base + n * slope, then to grid_sample's [-1, 1]
    # with align_corners=False, where index i is (2 i + 1) / size - 1.
    base = start[others] - start[axis] * slope
    grid0 = (2 * base + 1) / size - 1
    step = 2 * slope / size
    total = torch.zeros(
        (len(channels), *points_mm.shape[:2]), dtype=volume.dtype, device=volume.device
    )
    for n in range(planes.shape[0]):
        grid = (grid0 + n * step)[None]
        plane = F.grid_sample(planes[n][None], grid, align_corners=False)  # zero outside
        total = total + plane[0]
    return (total * length).reshape(*volume.shape[:-3], *points_mm.shape[:2])


def render(
    volume: torch.Tensor,
    origin_mm: Sequence[float],
    spacing_mm: Sequence[float],
    geometries: Sequence[AcquisitionGeometry],
    size: int | tuple[int, int] = 1024,
    *,
    rows_per_chunk: int = 256,
) -> torch.Tensor:
    """Project a volume under several exposures.

    Args:
        volume: (Z, Y, X) attenuation in 1/mm, or (C, Z, Y, X) several; any device.
        origin_mm, spacing_mm: LPS geometry of the volume, (x, y, z).
        geometries: one exposure per picture.
        size: pixels, ``n`` or ``(height, width)``.
        rows_per_chunk: rows projected at a time; smaller needs less memory.

    Returns:
        (views, height, width) or (views, C, height, width) line integrals, in the display
        orientation of the geometry.
    """
    height, width = (size, size) if isinstance(size, int) else size

    def as_tensor(values: Sequence[float] | np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values), dtype=volume.dtype, device=volume.device)

    origin, spacing = as_tensor(origin_mm), as_tensor(spacing_mm)
    pictures = []
    for geometry in geometries:
        source = as_tensor(geometry.source_mm)
        points = as_tensor(geometry.picture_points(height, width))
        axis = int(np.argmax(np.abs(geometry.ray)))
        rows = [
            project_rays(volume, origin, spacing, source, points[r : r + rows_per_chunk], axis)
            for r in range(0, height, rows_per_chunk)
        ]
        pictures.append(torch.cat(rows, dim=-2))
    return torch.stack(pictures)


def render_view(
    ct: CTVolume,
    frame: ThoraxFrame,
    view: View,
    size: int = 1024,
    *,
    device: str | torch.device = "cpu",
    bone_gain: float = 1.0,
) -> np.ndarray:
    """The canonical DRR of a CT: (size, size) float32 line integrals, bright = more attenuation."""
    hu = torch.as_tensor(np.asarray(ct.hu, dtype=np.float32), device=device)
    mu = hu_to_mu(hu, bone_gain)
    geometry = AcquisitionGeometry.of_frame(frame, view)
    with torch.inference_mode():
        return render(mu, ct.origin_mm, ct.spacing_mm, [geometry], size)[0].cpu().numpy()
