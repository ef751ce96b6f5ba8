"""Overlay of X-ray and DRR in one view: blend, checkerboard, flicker, difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.scene.image_geometry import imageFromField, sizeOf
from AXONReconstructionLib.scene.volumes import fill, ijkToWorld, setWindow
from AXONReconstructionLib.setup import backend
from AXONReconstructionLib.views import xray_views

FLICKER_MILLISECONDS = 500
TILES = 8
# Image size in pixels of checkerboard and difference; finer detail does not show misalignment.
COMPOSITE_PIXELS = 512
# Half the grey range of a difference, in units of local standard deviations.
DIFFERENCE_RANGE = 3.0


class Overlay:
    """Shows one role at a time; call `refresh` after a change.

    Args:
        composite: composite() returns the volume node that checkerboard and difference are drawn
            to, or None; composite(node) stores a new one.
    """

    def __init__(self, composite: Callable) -> None:
        self._composite = composite
        self._role = ""
        self._xray: Any = None
        self._drr: Any = None
        self._mode, self._opacity = "blend", 0.5
        self._downsampled: tuple = (None, None, 1)
        self._flicker = qt.QTimer()
        self._flicker.interval = FLICKER_MILLISECONDS
        self._flicker.connect("timeout()", self._toggleFlicker)
        self._drrUp = False

    def show(self, role: str, xray, drr, mode: str, opacity: float) -> None:
        """Show the images of a role; either may be None.

        Args:
            mode: ``blend``, ``checkerboard``, ``flicker`` or ``difference``.
            opacity: of the DRR in a blend, 0 to 1.
        """
        if self._role and role != self._role and self._mode in ("checkerboard", "difference"):
            xray_views.showLayers(self._role, self._xray or self._drr)
        self._role, self._xray, self._drr = role, xray, drr
        self._mode, self._opacity = mode, opacity
        both = xray is not None and drr is not None
        if both and mode in ("checkerboard", "difference"):
            self._draw()
        elif both:
            shown = opacity if mode == "blend" else float(self._drrUp)
            xray_views.showLayers(role, xray, drr, shown)
        else:
            xray_views.showLayers(role, xray if xray is not None else drr)
        if both and mode == "flicker":
            self._flicker.start()
        else:
            self._flicker.stop()

    def refresh(self) -> None:
        """Update after the X-ray was moved or the DRR changed."""
        if self._flicker.active or self._mode not in ("checkerboard", "difference"):
            return
        if self._xray is not None and self._drr is not None:
            self._draw()

    def stop(self) -> None:
        """Stop the flicker and release all nodes."""
        self._flicker.stop()
        self._role, self._xray, self._drr = "", None, None
        self._downsampled = (None, None, 1)

    def _toggleFlicker(self) -> None:
        self._drrUp = not self._drrUp
        xray_views.setOpacity(self._role, float(self._drrUp))

    def _draw(self) -> None:
        drr = slicer.util.arrayFromVolume(self._drr)[0]
        moved, valid = self._xrayOnField()
        if drr.shape != moved.shape:
            unit = np.array([[drr.shape[1], 0, -0.5], [0, drr.shape[0], -0.5], [0, 0, 1.0]])
            drr, _all = _resample(drr, unit)
        if self._mode == "checkerboard":
            image, window = checkerboard(moved, drr, valid), (0.0, 1.0)
        else:
            local = backend.load("imaging.matching").local_contrast
            image = np.where(valid, local(moved, valid) - local(drr, valid), 0.0)
            window = (-DIFFERENCE_RANGE, DIFFERENCE_RANGE)
        composite = self._composite()
        made = fill(composite, image[None].astype(np.float32), self._grid(), _("Overlay"), window)
        setWindow(made, *window)
        if composite is None:
            made.SetHideFromEditors(True)
            made.SetSaveWithScene(False)
            self._composite(made)
        xray_views.showLayers(self._role, made)

    def _grid(self) -> np.ndarray:
        """(4, 4) IJK to RAS of the composite: the DRR's field at another resolution."""
        columns, rows = sizeOf(self._drr)
        n = COMPOSITE_PIXELS
        scale = np.diag([columns / n, rows / n, 1.0, 1.0])
        scale[:2, 3] = 0.5 * columns / n - 0.5, 0.5 * rows / n - 0.5
        return ijkToWorld(self._drr) @ scale

    def _xrayOnField(self) -> tuple[np.ndarray, np.ndarray]:
        """The X-ray at its current placement on the composite's grid, and where it is defined."""
        image = self._xray.GetImageData()
        stamp = (self._xray.GetID(), image.GetMTime())
        if self._downsampled[0] != stamp:
            pixels = slicer.util.arrayFromVolume(self._xray)[0]
            factor = max(1, min(pixels.shape) // (2 * COMPOSITE_PIXELS))
            small = backend.load("imaging.matching").shrink_by(pixels, factor)
            self._downsampled = (stamp, small, factor)
        _stamp, small, factor = self._downsampled
        offset = (1 - factor) / (2 * factor)
        shrink = np.array([[1 / factor, 0, offset], [0, 1 / factor, offset], [0, 0, 1.0]])
        return _resample(small, shrink @ imageFromField(self._xray, self._drr))


def checkerboard(xray: np.ndarray, drr: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Alternating tiles of two (N, N) images, both normalised to [0, 1].

    The top left tile shows the X-ray. Outside the X-ray, the DRR is shown.
    """
    n = xray.shape[0]
    row, column = np.indices(xray.shape) * TILES // n
    return np.where(
        valid & ((row + column) % 2 == 0), _normalised(xray, valid), _normalised(drr, valid)
    )


def _normalised(image: np.ndarray, valid: np.ndarray) -> np.ndarray:
    inside = image[valid] if valid.any() else image
    low, high = np.percentile(inside, (1, 99))
    return np.clip((image - low) / max(high - low, 1e-6), 0, 1)


def _resample(image: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    resample = backend.load("registration.resample").resample_image
    return resample(image, matrix, COMPOSITE_PIXELS)
