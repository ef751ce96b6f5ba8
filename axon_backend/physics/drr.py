"""Cone-beam digitally reconstructed radiographs (DRRs) by Joseph's method, in torch.

:func:`render_drr` is the one entry point: for a CT, its attenuation (kept, downsampled) or several
volumes on one grid; for an acquisition geometry, or rays with a gradient to the pose.
Poly-energetic radiographs build on it (``simulate.XraySimulator``).

Joseph (IEEE TMI 1(3), 1982): step along the ray one voxel plane at a time, in the direction of the
axis it is most nearly parallel to, interpolate bilinearly in each plane, and multiply the sum by
the path length between planes. Each plane is one 2-D ``grid_sample`` for all rays at once, so
memory is O(pixels), and autograd provides the gradients with respect to the volume and the rays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.geometry import AcquisitionGeometry

# Pixels rendered at a time on a CPU. Torch splits work on more than 32768 numbers between threads,
# and a pixel has three coordinates. A DRR is hundreds of short steps, after each of which threads
# would wait for one another: on a busy machine that took ten times as long with two threads.
CPU_PIXELS = 10_000
CPU_NUMBERS = 32_768  # processed at a time in separable rendering, without coordinates per pixel
CPU_PLANES = 32  # whose voxels are rearranged at a time: two lines of a cache
MAX_PIXELS = 8192  # along a side


@dataclass(frozen=True)
class Rays:
    """Rays from a focal spot through points.

    Attributes:
        source_mm: (3,) LPS position of the focal spot, outside the volume.
        points_mm: (H, W, 3) LPS points on the rays, which extend to infinity.
        axis: 0, 1 or 2 (x, y, z), the axis to step along: the one that the central ray is most
            nearly parallel to.
    """

    source_mm: torch.Tensor
    points_mm: torch.Tensor
    axis: int


def render_drr(
    volume: CTVolume | AttenuationVolume,
    geometry: AcquisitionGeometry | Rays,
    size: int | tuple[int, int] = 1024,
    *,
    device: str | torch.device = "cpu",
) -> torch.Tensor:
    """Render a DRR: line integrals of the attenuation along each ray.

    Args:
        volume: a CT, or an :class:`AttenuationVolume`, which saves the conversion when several
            DRRs are rendered. Zero outside.
        geometry: the acquisition geometry, or rays.
        size: pixels of the image, ``n`` or ``(height, width)``; rays have their own size.
        device: device to render a CT on; an attenuation volume is rendered on its own device.

    Returns:
        (height, width), or (C, height, width) for a volume of C channels: dimensionless for an
        attenuation in 1/mm, bright = more attenuation, in the display orientation of the
        geometry. Differentiable with respect to the volume, ``source_mm`` and ``points_mm``.

    Raises:
        AxonInputError: the size is out of range.

    Rays more than about 70 degrees from the stepping axis are outside the method's range of use.
    """
    if isinstance(volume, CTVolume):
        volume = AttenuationVolume.from_ct(volume, device)
    mu = volume.mu
    wants_gradient = mu.requires_grad and torch.is_grad_enabled()

    def as_tensor(values: Sequence[float] | np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values), dtype=mu.dtype, device=mu.device)

    if isinstance(geometry, AcquisitionGeometry):
        height, width = (size, size) if isinstance(size, int) else size
        if not (1 <= height <= MAX_PIXELS and 1 <= width <= MAX_PIXELS):
            raise AxonInputError(
                f"A DRR of {height} x {width} pixels was requested; each side must have 1 to "
                f"{MAX_PIXELS}, usually 1024."
            )
        if mu.device.type == "cpu" and not wants_gradient and _lies_in_planes(geometry):
            plane = _Plane.of_image(geometry, height, width)
            return _separable_line_integrals(volume, geometry.source_mm, plane)
        geometry = Rays(
            as_tensor(geometry.source_mm),
            as_tensor(geometry.pixel_centres(height, width)),
            int(np.argmax(np.abs(geometry.ray))),
        )
    origin, spacing = as_tensor(volume.origin_mm), as_tensor(volume.spacing_mm)
    points = geometry.points_mm
    rows = max(1, CPU_PIXELS // points.shape[1]) if mu.device.type == "cpu" else len(points)
    strips = [
        _line_integrals(mu, origin, spacing, geometry.source_mm, some, geometry.axis)
        for some in points.split(rows)
    ]
    return torch.cat(strips, dim=-2)


def preview_drr(
    volume: AttenuationVolume, geometry: AcquisitionGeometry, size: int
) -> torch.Tensor:
    """A DRR for the moment, several times as fast as :func:`render_drr` on a CPU where the image is
    not parallel to the voxels, and a little smoother.

    The line integral belongs to the ray: a grid of as many rays is rendered that is regular on a
    plane parallel to the voxels, as such an image is, and interpolated bilinearly where the pixels'
    rays pass through that plane.

    Args:
        volume: of one channel, on a CPU.
        geometry: the acquisition geometry.
        size: pixels along each side.

    Returns:
        (size, size), as of :func:`render_drr`.
    """
    if volume.mu.device.type != "cpu" or _lies_in_planes(geometry):
        return render_drr(volume, geometry, size)
    axis, down, across = _nearest_axes(geometry)
    source = geometry.source_mm
    at_mm = float(np.asarray(geometry.isocentre_mm)[axis])
    centres = geometry.pixel_centres(size, size) - source
    points = source + centres * ((at_mm - source[axis]) / centres[..., axis, None])

    def line(a: int) -> np.ndarray:
        low, high = points[..., a].min(), points[..., a].max()
        return np.linspace(low, high, size)

    plane = _Plane(axis, down, across, at_mm, line(down), line(across))
    image = _separable_line_integrals(volume, source, plane)
    grid = [
        2 * (points[..., a] - at[0]) / (at[-1] - at[0]) - 1
        for a, at in ((across, plane.across_mm), (down, plane.down_mm))
    ]
    where = torch.from_numpy(np.stack(grid, -1)).to(image.dtype)
    seen = F.grid_sample(image[None, None], where[None], align_corners=True, padding_mode="border")
    return seen[0, 0]


def _lies_in_planes(geometry: AcquisitionGeometry) -> bool:
    """Whether the image's rows and columns and the central ray are parallel to the volume's
    axes."""
    axes = np.asarray([geometry.ray, geometry.row, geometry.column])
    return bool((np.count_nonzero(axes, axis=1) == 1).all())


@dataclass(frozen=True)
class _Plane:
    """Points on a plane parallel to the voxels, in a rectangular grid.

    Attributes:
        axis, down, across: 0, 1 or 2 (x, y, z): the plane's normal, and the axes of the grid.
        at_mm: the plane's position along its normal.
        down_mm, across_mm: (H,) and (W,) the positions of the grid's rows and columns.
    """

    axis: int
    down: int
    across: int
    at_mm: float
    down_mm: np.ndarray
    across_mm: np.ndarray

    @classmethod
    def of_image(cls, geometry: AcquisitionGeometry, height: int, width: int) -> _Plane:
        """The pixels of an image that is parallel to the voxels."""
        axis, down, across = _nearest_axes(geometry)
        centres = geometry.pixel_centres(height, width)
        return cls(
            axis, down, across, centres[0, 0, axis], centres[:, 0, down], centres[0, :, across]
        )


def _nearest_axes(geometry: AcquisitionGeometry) -> tuple[int, int, int]:
    """The axes (x, y, z) that the ray, the image's rows and its columns are most nearly parallel
    to, each another one."""
    axis = int(np.argmax(np.abs(geometry.ray)))
    rest = [a for a in range(3) if a != axis]
    across = max(rest, key=lambda a: abs(geometry.column[a]))
    return axis, next(a for a in rest if a != across), across


def _separable_line_integrals(
    volume: AttenuationVolume, source_mm: np.ndarray, plane: _Plane
) -> torch.Tensor:
    """Like :func:`_line_integrals`, for points on a plane parallel to the voxel planes. The
    position in a voxel plane then depends on the row along one axis and on the column along the
    other, so bilinear interpolation separates into one along each axis. The one along the array's
    slower axis comes first: it reads whole rows of memory."""
    mu = volume.mu.detach()
    channels = mu.reshape(-1, *mu.shape[-3:])
    spacing, source = np.asarray(volume.spacing_mm), np.asarray(source_mm)
    start = (source - volume.origin_mm) / spacing
    axis, depth_mm = plane.axis, plane.at_mm - source[plane.axis]
    # The position of row (column) i in plane n is base[i] + n slope[i], in voxels.
    lines = {plane.down: plane.down_mm, plane.across: plane.across_mm}
    per_plane = depth_mm / spacing[axis]
    slopes = {a: (at - source[a]) / spacing[a] / per_plane for a, at in lines.items()}
    slow, fast = max(lines), min(lines)  # z is the slowest axis of the array, x the fastest
    voxels = {a: mu.shape[-1 - a] for a in (slow, fast)}
    pixels = {a: len(lines[a]) for a in (slow, fast)}
    count = mu.shape[-1 - axis]

    def neighbours(a: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """For each plane and each position along an axis: the indices of the two adjacent voxels in
        a plane with a margin of zeros, (N, pixels), and the weight of the second (N, pixels, 1)."""
        depth = np.arange(count)[:, None] - start[axis]
        at = np.clip(start[a] + depth * slopes[a], -1, voxels[a])
        below = np.minimum(np.floor(at), voxels[a] - 1)
        first = torch.from_numpy(below.astype(np.int64) + 1)
        return first, first + 1, torch.from_numpy(at - below).to(mu.dtype)[..., None]

    along_slow, along_fast = neighbours(slow), neighbours(fast)
    # Memory that is used again for every plane: the voxels with their margin, and the image after
    # the first interpolation.
    framed = torch.zeros((voxels[slow] + 2, voxels[fast] + 2), dtype=mu.dtype)
    half = torch.empty((voxels[fast] + 2, pixels[slow]), dtype=mu.dtype)
    total = torch.zeros((len(channels), pixels[fast], pixels[slow]), dtype=mu.dtype)
    for image, channel in zip(total, channels, strict=True):
        for n, voxel_plane in enumerate(_planes(channel, axis)):
            framed[1:-1, 1:-1] = voxel_plane
            for part, rows in _interpolated(framed, along_slow, n):
                half[:, part] = rows.T
            for part, rows in _interpolated(half, along_fast, n):
                image[part] += rows
    if slow == plane.down:
        total = total.transpose(1, 2).contiguous()
    down_mm, across_mm = (lines[a] - source[a] for a in (plane.down, plane.across))
    oblique = np.hypot(np.hypot(down_mm, depth_mm)[:, None], across_mm[None])
    length_mm = oblique * (spacing[axis] / abs(depth_mm))
    total *= torch.from_numpy(length_mm).to(mu.dtype)
    return total.reshape(*mu.shape[:-3], *total.shape[1:])


def _planes(voxels: torch.Tensor, axis: int) -> Iterator[torch.Tensor]:
    """The planes (slower axis, faster axis) of a volume (Z, Y, X) along an axis, with contiguous
    rows."""
    if axis > 0:
        yield from voxels.unbind(2 - axis)
        return
    for some in voxels.split(CPU_PLANES, dim=2):
        # As a contiguous matrix: Torch transposes those in blocks, which is several times as fast.
        turned = some.contiguous().reshape(-1, some.shape[2]).T.contiguous()
        yield from turned.reshape(-1, *voxels.shape[:2])


def _interpolated(
    matrix: torch.Tensor, neighbours: tuple[torch.Tensor, torch.Tensor, torch.Tensor], n: int
) -> Iterator[tuple[slice, torch.Tensor]]:
    """The rows of a matrix interpolated at the positions of plane n, some at a time, and which."""
    first, second, weight = (values[n] for values in neighbours)
    some = max(1, CPU_NUMBERS // matrix.shape[1])
    for i in range(0, len(first), some):
        part = slice(i, i + some)
        ends = matrix.index_select(0, first[part]), matrix.index_select(0, second[part])
        yield part, torch.lerp(*ends, weight[part], out=ends[0])


def _line_integrals(
    volume: torch.Tensor,
    origin_mm: torch.Tensor,
    spacing_mm: torch.Tensor,
    source_mm: torch.Tensor,
    points_mm: torch.Tensor,
    axis: int,
) -> torch.Tensor:
    """(H, W) or (C, H, W) for ``volume`` (Z, Y, X) or (C, Z, Y, X) and ``points_mm`` (H, W, 3)."""
    # In voxel units, x, y, z.
    start = (source_mm - origin_mm) / spacing_mm
    direction = (points_mm - source_mm) / spacing_mm
    others = [a for a in range(3) if a != axis]  # e.g. (x, z) when stepping along y
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
    # The position in plane n is affine in n: position(n) = base + n * slope. It is converted to
    # grid_sample's [-1, 1] with align_corners=False, where index i is (2 i + 1) / size - 1.
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
