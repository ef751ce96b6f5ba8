"""A 3-D image of a CT volume, seen from the front, for reports.

Drawn with NumPy: it takes a fraction of a second, is the same on every machine, and needs neither
OpenGL nor a process of its own.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from axon_backend.errors import AxonInputError
from axon_backend.metrics import body_mask

#: Preset -> (HU, opacity, red, green, blue) knots; linear between them, constant outside.
PRESETS: dict[str, tuple[tuple[float, float, float, float, float], ...]] = {
    "bone": (
        (110, 0.00, 0.45, 0.16, 0.10),
        (190, 0.10, 0.72, 0.42, 0.26),
        (300, 0.45, 0.91, 0.76, 0.56),
        (600, 0.80, 1.00, 0.95, 0.85),
        (1500, 0.95, 1.00, 1.00, 0.97),
    ),
    "lung": (
        (-1000, 0.00, 0.16, 0.26, 0.42),
        (-950, 0.03, 0.30, 0.48, 0.68),
        (-800, 0.14, 0.58, 0.76, 0.88),
        (-600, 0.30, 0.86, 0.88, 0.90),
        (-480, 0.20, 0.95, 0.78, 0.72),
        (-350, 0.00, 0.95, 0.70, 0.62),
    ),
    "soft": (
        (-120, 0.00, 0.80, 0.62, 0.40),
        (-20, 0.04, 0.70, 0.34, 0.24),
        (40, 0.28, 0.80, 0.36, 0.28),
        (120, 0.45, 0.92, 0.60, 0.46),
        (300, 0.80, 1.00, 0.92, 0.80),
    ),
}
BACKGROUND = (0.0, 0.0, 0.0)
AMBIENT = 0.25
#: The opacities of `PRESETS` hold for this much matter along the ray.
OPACITY_UNIT_MM = 2.5


def render3d(
    hu: np.ndarray,
    spacing_mm: tuple[float, float, float],
    preset: str = "bone",
    size: tuple[int, int] = (512, 512),
) -> np.ndarray:
    """Image of a volume from the front: patient facing the viewer, R at the viewer's left.

    Each column of voxels along y is a ray. From front to back, colour and opacity of the preset are
    added up (emission and absorption, Levoy 1988), lit from the viewer (Lambert) by the local
    gradient. A plain maximum projection was tried first: its depth jumps from voxel to voxel, so
    lungs and muscle came out as noise.

    Args:
        hu: `[z, y, x]` HU; z to Superior, y to Posterior, x to Left.
        spacing_mm: voxel size (x, y, z) in mm.
        preset: `bone`, `lung` or `soft` (transfer functions in `PRESETS`).
        size: width and height of the image in pixels.

    Returns:
        `[row, col, 3]` uint8, superior on top.

    Raises:
        AxonInputError: unknown preset, or `hu` is not a volume.
    """
    hu = _prepared(hu, preset)
    knots = np.asarray(PRESETS[preset])
    gradients = np.gradient(ndimage.gaussian_filter(hu, 0.7), *spacing_mm[::-1])
    colour = np.zeros((hu.shape[0], hu.shape[2], 3), np.float32)
    clear = np.ones((hu.shape[0], hu.shape[2]), np.float32)  # light that still comes through
    thickness = spacing_mm[1] / OPACITY_UNIT_MM
    for y in range(hu.shape[1]):  # from the viewer to the back
        layer = hu[:, y]
        alpha = 1.0 - (1.0 - np.interp(layer, knots[:, 0], knots[:, 1])) ** thickness
        gz, gy, gx = (gradient[:, y] for gradient in gradients)
        facing = np.abs(gy) / np.maximum(np.sqrt(gx * gx + gy * gy + gz * gz), 1e-3)
        weight = clear * alpha * (AMBIENT + (1.0 - AMBIENT) * facing)
        for channel in range(3):
            colour[..., channel] += weight * np.interp(layer, knots[:, 0], knots[:, 2 + channel])
        clear *= 1.0 - alpha
    front = colour[::-1]  # rows from superior to inferior

    extent = [n * s for n, s in zip(hu.shape[::-1], spacing_mm, strict=True)]
    scale = _mm_per_pixel(extent, size)
    rows, cols = max(1, round(extent[2] / scale)), max(1, round(extent[0] / scale))
    zoom = (rows / front.shape[0], cols / front.shape[1], 1)
    drawn = ndimage.zoom(front, zoom, order=1, mode="nearest", grid_mode=True)
    image = np.zeros((size[1], size[0], 3)) + BACKGROUND
    top, left = (size[1] - drawn.shape[0]) // 2, (size[0] - drawn.shape[1]) // 2
    image[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8)


def _prepared(hu: np.ndarray, preset: str) -> np.ndarray:
    """Check, and take everything outside the body (air, table, blankets) out of sight."""
    if preset not in PRESETS:
        raise AxonInputError(f"Unknown 3-D preset {preset!r}; choose one of {', '.join(PRESETS)}.")
    hu = np.asarray(hu, dtype=np.float32)
    if hu.ndim != 3:
        raise AxonInputError(f"A 3-D image needs a volume [z, y, x], not shape {hu.shape}.")
    body = body_mask(np.clip((hu + 1000.0) / 1900.0, 0.0, 1.0), (-1000.0, 900.0))
    # Air around the patient looks like lung, and the table like soft tissue.
    if preset != "lung":
        return np.where(body, hu, -1000.0).astype(np.float32)
    # The skin, half air and half tissue, has the HU of lung too: peel it off (not the box's faces).
    inner = ndimage.binary_erosion(body, iterations=2, border_value=1)
    return np.where(inner, hu, 50.0).astype(np.float32)


def _mm_per_pixel(extent_mm: list[float], size: tuple[int, int]) -> float:
    """The scale at which the front of the box just fills the image; extent is (x, y, z)."""
    return max(extent_mm[0] / size[0], extent_mm[2] / size[1])
