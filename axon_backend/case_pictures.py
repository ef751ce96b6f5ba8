"""The pictures of one reconstruction: the X-rays before and after registration, and the volumes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from axon_backend.evaluation.figures import WIDE, FlatPicture, VolumeRow, footer_line, overview
from axon_backend.evaluation.render3d import render3d
from axon_backend.imaging.contrast import local_contrast
from axon_backend.imaging.write import write_png

if TYPE_CHECKING:
    from axon_backend.imaging.frame import ThoraxFrame
    from axon_backend.reconstruct import Reconstruction
    from axon_backend.registration.place import PlacedView

OVERLAY_SIZE = 512
VIEW_FILES = (
    "registered.png",
    "overlay.png",
    "registered_lateral.png",
    "overlay_lateral.png",
)


def grey(pixels: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """Log-linear pixels (H, W) as float 0 (black) to 1, few outliers clipped, black where the
    X-ray shows nothing."""
    inside = pixels if valid is None else pixels[valid]
    if inside.size == 0:
        return np.zeros(pixels.shape, np.float32)
    low, high = np.percentile(inside, (0.5, 99.8))
    shown = np.clip((pixels - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    return shown if valid is None else np.where(valid, shown, 0)


def write_view(folder: Path, role: str, placed: PlacedView) -> dict[str, Any]:
    """A registered X-ray (16 bit) and its overlay on the reference, as PNG; returns what
    ``result.json`` says of it. The first X-ray of a folder has the plain names."""
    from axon_backend.registration.picture import registration_picture

    end = f"_{role}" if (folder / "registered.png").exists() else ""
    write_png(folder / f"registered{end}.png", grey(placed.pixels, placed.valid), bits=16)
    write_png(folder / f"overlay{end}.png", registration_picture(placed))
    return placed.as_dict(role)


def overlay(placed: PlacedView) -> np.ndarray:
    """The registered X-ray (cyan) over its reference (red), uint8 RGB; grey where they agree.

    Both are shown by their local contrast, since their exposures have nothing in common.
    """
    if placed.reference is None:
        shown = grey(placed.pixels, placed.valid)
        return np.repeat(np.rint(255 * shown).astype(np.uint8)[..., None], 3, axis=2)
    step = max(1, placed.pixels.shape[0] // OVERLAY_SIZE)
    valid = placed.valid[::step, ::step]
    xray, reference = (
        np.clip(0.5 + local_contrast(p[::step, ::step], mask) / 5, 0, 1)
        for p, mask in ((placed.pixels, valid), (placed.reference, None))
    )
    rgb = np.stack([reference, *[np.where(valid, xray, 0)] * 2], axis=-1)
    return np.rint(255 * rgb).astype(np.uint8)


def view_pixel_mm(placed: PlacedView, frame: ThoraxFrame) -> tuple[float, float]:
    """Pixel size (row, col) of a registered view, up to the common field of view."""
    width = frame.size_mm[0] if placed.view.is_frontal else frame.size_mm[1]
    rows, columns = placed.pixels.shape
    return frame.size_mm[2] / rows, width / columns


def flat_pictures(result: Reconstruction) -> list[FlatPicture]:
    """Each X-ray as it was read, registered, beside its reference, and over it; or the DRR."""
    shown = []
    for role, placed in result.views.items():
        frontal, pixel = placed.view.is_frontal, view_pixel_mm(placed, result.frame)
        name = f"{role.capitalize()} {placed.view.value.upper()}"
        xray = result.xrays.get(role)
        if xray is None or placed.reference is None:
            shown.append(FlatPicture(f"{name}: DRR of the CT", placed.pixels, frontal, pixel))
            continue
        shown += [
            FlatPicture(f"{name} X-ray", xray.pixels, frontal, xray.pixel_mm),
            FlatPicture("Registered", grey(placed.pixels, placed.valid), frontal, pixel),
            FlatPicture("Reference (DRR)", placed.reference, frontal, pixel),
            FlatPicture("X-ray cyan, reference red", overlay(placed), frontal, pixel),
        ]  # fmt: skip
    return shown


def case_pictures(result: Reconstruction, record: dict) -> tuple[dict[str, np.ndarray], str]:
    """The overview page and the overlays by caption (``overview``, ``overlay_frontal``, ...), and
    a note where the 3-D picture is not a volume rendering.
    """
    stage = result.final_stage
    volumes = [("Reconstruction", result.volumes[stage])]
    if stage in result.truth:
        volumes.append(("Ground truth (CT)", result.truth[stage]))
    rows, note = [], ""
    for title, hu in volumes:
        spacing = result.frame.spacing_mm(hu.shape[0])
        drawn = render3d(hu, spacing, "lung")
        note = note or drawn.note
        rows.append(VolumeRow(title, hu, spacing, [drawn]))
    page = overview(flat_pictures(result), rows, footer_line(record), (WIDE,))
    overlays = {
        f"overlay_{role}": overlay(placed)
        for role, placed in result.views.items()
        if placed.reference is not None
    }
    return {"overview": page, **overlays}, note
