"""Small images of a case for the report, as JPEG."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from axon_backend.dataset.views import PlacedXray
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.display import grey
from axon_backend.imaging.frame import HuWindow, ThoraxFrame
from axon_backend.registration.overlay import contrast_grey, red_cyan

XRAY_SIZE, THUMB_SIZE = 384, 144


def registration_strip(found: PlacedXray, size_mm: tuple[float, float]) -> bytes:
    """X-ray, DRR, and both superimposed (X-ray cyan, DRR red), side by side."""
    placed = found.placed
    assert placed.reference is not None
    step = max(1, placed.pixels.shape[0] // 512)
    pixels, valid, drr = (
        a[::step, ::step] for a in (placed.pixels, placed.valid, placed.reference)
    )
    both = red_cyan(contrast_grey(pixels, valid), contrast_grey(drr))
    parts = [grey(np.where(valid, pixels, pixels[valid].min())), grey(drr), both]
    return jpeg(np.concatenate([_fitted(p, size_mm, XRAY_SIZE) for p in parts], axis=1))


def case_strip(frontal: np.ndarray, lateral: np.ndarray, ct: CTVolume, frame: ThoraxFrame) -> bytes:
    """Both DRRs and the coronal and axial planes through the middle of the frame."""
    x, y, z = frame.size_mm
    index = [
        int(np.clip(round((c - o) / s), 0, n - 1))
        for c, o, s, n in zip(
            frame.center_mm, ct.origin_mm, ct.spacing_mm, ct.hu.shape[::-1], strict=True
        )
    ]
    window = HuWindow(-1000.0, 400.0)
    coronal = 0.5 + 0.5 * window.normalise(np.asarray(ct.hu[::-1, index[1], :], np.float32))
    axial = 0.5 + 0.5 * window.normalise(np.asarray(ct.hu[index[2]], np.float32))
    depth, height, width = ct.hu.shape[1], ct.hu.shape[0], ct.hu.shape[2]
    parts = [
        _fitted(grey(frontal), (x, z), THUMB_SIZE),
        _fitted(grey(lateral), (y, z), THUMB_SIZE),
        _fitted(coronal, (width, height), THUMB_SIZE),
        _fitted(axial, (width, depth), THUMB_SIZE),
    ]
    return jpeg(np.concatenate(parts, axis=1))


def jpeg(image: np.ndarray) -> bytes:
    """Encode an image (H, W, 3) in [0, 1] as JPEG."""
    out = io.BytesIO()
    Image.fromarray(np.rint(255 * image).astype(np.uint8)).save(out, "JPEG", quality=80)
    return out.getvalue()


def _fitted(image: np.ndarray, size_mm: tuple[float, float], height: int) -> np.ndarray:
    """An RGB image of a given height with the true aspect ratio and a dark margin."""
    colour = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    rgb = Image.fromarray(np.rint(255 * colour).astype(np.uint8))
    width = max(8, round(height * size_mm[0] / size_mm[1]))
    shown = np.asarray(rgb.resize((width, height), Image.Resampling.LANCZOS), np.float32) / 255
    return np.pad(shown, ((0, 0), (0, 4), (0, 0)))
