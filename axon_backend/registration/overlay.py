"""Visual check of a registration: three overlays of an X-ray and its reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from axon_backend.imaging.display import grey
from axon_backend.imaging.matching import local_contrast
from axon_backend.imaging.write import write_png
from axon_backend.registration.place import PlacedView

SIZE = 512
SQUARES = 8
# Level of the reference's local contrast (unit standard deviation) at which outlines are drawn.
OUTLINE_LEVEL = 0.5
YELLOW = (1.0, 0.85, 0.1)
STYLES = ("red-cyan", "checkerboard", "outlines")
# Files that `write_view` may write.
VIEW_FILES = (
    "registered.png",
    "overlay.png",
    "registered_lateral.png",
    "overlay_lateral.png",
)


def write_view(folder: Path, role: str, placed: PlacedView) -> dict[str, Any]:
    """Write a registered X-ray (16 bit) and its overlays as PNG; returns its entry in
    ``result.json``. Only for the second X-ray in a folder do the file names contain its role."""
    end = f"_{role}" if (folder / "registered.png").exists() else ""
    write_png(folder / f"registered{end}.png", grey(placed.pixels, placed.valid), bits=16)
    write_png(folder / f"overlay{end}.png", overlay_image(placed))
    return placed.as_dict(role)


def overlay_image(placed: PlacedView, style: str | None = None) -> np.ndarray:
    """The registered X-ray with its reference, by local contrast, since their intensities differ.

    Args:
        placed: with a reference, as ``register`` returns it.
        style: ``red-cyan`` (reference red, X-ray cyan; grey where they agree), ``checkerboard``
            (alternating squares: edges must continue across the seams), ``outlines`` (the
            X-ray with the reference's outlines in yellow); None is all three side by side.

    Returns:
        (SIZE, SIZE, 3) uint8, or (SIZE, 3 SIZE, 3); black outside the X-ray.
    """
    if style is None:
        return np.concatenate([overlay_image(placed, s) for s in STYLES], axis=1)
    if style not in STYLES:
        raise ValueError(f"style must be one of {STYLES}, got {style!r}")
    valid = _sized(placed.valid.astype(np.float32)) > 0.99
    xray = contrast_grey(_sized(placed.pixels), valid)
    if placed.reference is None:
        return _bytes(np.repeat(xray[..., None], 3, axis=2))
    reference = contrast_grey(_sized(placed.reference))
    if style == "red-cyan":
        return _bytes(red_cyan(xray, reference))
    if style == "checkerboard":
        row, column = np.indices(xray.shape) * SQUARES // SIZE
        squares = np.where((row + column) % 2 == 0, xray, reference)
        return _bytes(np.repeat(squares[..., None], 3, axis=2))
    shape = ndimage.gaussian_filter(reference, SIZE / 128) > 0.5 + OUTLINE_LEVEL / 5
    line = shape ^ ndimage.binary_erosion(shape, iterations=2)
    rgb = np.repeat(xray[..., None], 3, axis=2)
    rgb[line] = YELLOW
    return _bytes(rgb)


def _sized(image: np.ndarray) -> np.ndarray:
    smooth = ndimage.gaussian_filter(image, max(0.0, 0.5 * image.shape[0] / SIZE - 0.5))
    zoom = [SIZE / n for n in image.shape]
    return ndimage.zoom(smooth, zoom, order=1, grid_mode=True, mode="nearest")


def contrast_grey(image: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """(H, W) local contrast as grey, 0 (black) to 1; 0 where not ``valid``."""
    shown = np.clip(0.5 + local_contrast(image, valid) / 5, 0, 1)
    return shown if valid is None else np.where(valid, shown, 0)


def red_cyan(xray: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(H, W, 3) of two grey images in [0, 1]: reference red, X-ray cyan, grey where they agree."""
    return np.stack([reference, xray, xray], axis=-1)


def _bytes(rgb: np.ndarray) -> np.ndarray:
    return np.rint(255 * rgb).astype(np.uint8)
