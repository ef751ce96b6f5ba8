"""The images of one reconstruction: the X-rays before and after registration, and the volumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from axon_backend.evaluation.figures import WIDE, FlatImage, VolumeRow, footer_line, overview
from axon_backend.evaluation.render3d import render3d
from axon_backend.imaging.display import grey
from axon_backend.registration.overlay import SIZE, overlay_image

if TYPE_CHECKING:
    from axon_backend.imaging.frame import ThoraxFrame
    from axon_backend.inference.reconstruct import Reconstruction
    from axon_backend.registration.place import PlacedView


def view_pixel_mm(placed: PlacedView, frame: ThoraxFrame) -> tuple[float, float]:
    """Pixel size (row, col) of a registered view, up to a constant factor (the field of view)."""
    width = frame.size_mm[0] if placed.view.is_frontal else frame.size_mm[1]
    rows, columns = placed.pixels.shape
    return frame.size_mm[2] / rows, width / columns


def flat_images(result: Reconstruction, overlays: dict[str, np.ndarray]) -> list[FlatImage]:
    """For each view: the X-ray as read, registered, its reference and their overlay (by role); or
    the DRR."""
    shown = []
    for role, placed in result.views.items():
        frontal, pixel = placed.view.is_frontal, view_pixel_mm(placed, result.frame)
        name = f"{role.capitalize()} {placed.view.value.upper()}"
        xray = result.xrays.get(role)
        if xray is None or placed.reference is None:
            shown.append(FlatImage(f"{name}: DRR of the CT", placed.pixels, frontal, pixel))
            continue
        shown += [
            FlatImage(f"{name} X-ray", xray.pixels, frontal, xray.pixel_mm),
            FlatImage("Registered", grey(placed.pixels, placed.valid), frontal, pixel),
            FlatImage("Reference (DRR)", placed.reference, frontal, pixel),
            FlatImage("X-ray cyan, reference red", overlays[role], frontal, pixel),
        ]  # fmt: skip
    return shown


def overlay_images(views: Mapping[str, PlacedView]) -> dict[str, np.ndarray]:
    """By role, the overlay of each registered X-ray (cyan) and its reference (red), `[row, col, 3]`
    uint8; DRRs, which were not registered, have none."""
    return {
        role: overlay_image(placed, "red-cyan")
        for role, placed in views.items()
        if placed.reference is not None
    }


def xray_and_overlay(
    placed: PlacedView, frame: ThoraxFrame, overlay: np.ndarray | None
) -> Image.Image:
    """A registered X-ray, 512 pixels high and in true proportions, and beside it its overlay; a
    DRR, which has none, is alone."""
    height, width = view_pixel_mm(placed, frame)
    size = (round(SIZE * width / height), SIZE)
    shown = np.rint(255 * grey(placed.pixels, placed.valid)).astype(np.uint8)
    images = [Image.fromarray(shown).convert("RGB").resize(size, Image.Resampling.BOX)]
    if overlay is not None:
        images.append(Image.fromarray(overlay).resize(size))
    page = Image.new("RGB", (len(images) * size[0], SIZE))
    for number, image in enumerate(images):
        page.paste(image, (number * size[0], 0))
    return page


def case_images(
    result: Reconstruction, record: dict, overlays: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], str]:
    """The overview page and the overlays by caption (``overview``, ``overlay_frontal``, ...), and
    a note if the 3-D image is not a volume rendering; ``overlays`` are those of `overlay_images`.
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
    page = overview(flat_images(result, overlays), rows, footer_line(record), (WIDE,))
    return {"overview": page} | {f"overlay_{k}": image for k, image in overlays.items()}, note
