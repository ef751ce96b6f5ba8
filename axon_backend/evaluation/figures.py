"""`overview.png`: one case on one page, in radiological convention.

Slices follow the radiological convention: the patient's right at the viewer's left, anterior up
in axial slices, superior up in the others, anterior at the viewer's left in the sagittal one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from axon_backend import DISCLAIMER
from axon_backend.evaluation.render3d import Rendering
from axon_backend.evaluation.report import steps_text
from axon_backend.imaging.write import write_png

#: Slices of a volume in its row; its 3-D image and the difference from the truth follow.
SLICES = 3
#: Differences are shown from blue (-500 HU or below) over white to red (500 HU or above).
DIFFERENCE_HU = 500.0
_DIFFERENCE_COLOURS = ((5, 48, 97), (67, 147, 195), (255, 255, 255), (214, 96, 77), (103, 0, 31))
# Pixels.
_PANEL, _GAP, _MARGIN = 363, 18, 12
_TITLE, _HEADING, _FOOTER = 29, 42, 38
# Text: pixels of its height, and whether it is bold.
_TITLE_TEXT, _HEADING_TEXT, _FOOTER_TEXT = (15, False), (18, True), (13, False)
_LETTER_TEXT, _SCALE_TEXT = (20, True), (12, False)
_FONTS = Path(__file__).parent / "vendor"


@dataclass(frozen=True)
class Window:
    """A grey scale: HU `low` is black, `high` is white."""

    name: str
    low: float
    high: float

    def __str__(self) -> str:
        width, level = self.high - self.low, (self.high + self.low) / 2
        return f"{self.name} window (W {width:g}, L {level:g} HU)"


WIDE = Window("wide", -1000, 400)
LUNG = Window("lung", -1350, 150)
SOFT = Window("soft-tissue", -160, 240)


@dataclass(frozen=True)
class FlatImage:
    """An X-ray, a DRR or an overlay, in display orientation (row 0 superior).

    Attributes:
        title: shown above the image.
        pixels: `[row, col]` grey of any range, or `[row, col, 3]` RGB (uint8, or float 0 to 1).
        frontal: True: column 0 is the patient's right; False (lateral): column 0 is anterior.
        pixel_mm: size of a pixel (row, col); only its ratio is used.
    """

    title: str
    pixels: np.ndarray
    frontal: bool = True
    pixel_mm: tuple[float, float] | None = None


@dataclass(frozen=True)
class VolumeRow:
    """A CT volume to show.

    Attributes:
        title: shown above the row.
        hu: `[z, y, x]`, z to Superior, y to Posterior, x to Left.
        spacing_mm: voxel size (x, y, z).
        renderings: its 3-D images, one for each window of the overview.
        truth: volume on the same grid; the axial difference from it is shown in a further column.
    """

    title: str
    hu: np.ndarray
    spacing_mm: tuple[float, float, float]
    renderings: Sequence[Rendering] = ()
    truth: np.ndarray | None = None


@dataclass(frozen=True)
class Slice:
    """A plane in display orientation: `pixels` `[row, col]`, pixel size (row, col) in mm, and the
    orientation letters at its edges."""

    name: str
    pixels: np.ndarray
    pixel_mm: tuple[float, float]
    left: str
    right: str
    top: str
    bottom: str


def mid_slices(hu: np.ndarray, spacing_mm: tuple[float, float, float]) -> tuple[Slice, ...]:
    """The axial, coronal and sagittal planes through the middle of a volume, in radiological
    convention; arguments as in `VolumeRow`."""
    x_mm, y_mm, z_mm = spacing_mm
    z, y, x = (n // 2 for n in hu.shape)
    return (
        Slice("Axial", hu[z], (y_mm, x_mm), "R", "L", "A", "P"),
        Slice("Coronal", hu[::-1, y], (z_mm, x_mm), "R", "L", "S", "I"),
        Slice("Sagittal", hu[::-1, :, x], (z_mm, y_mm), "A", "P", "S", "I"),
    )


def footer_line(record: Mapping[str, Any]) -> str:
    """One line on how the image was made, from the content of `result.json`, as far as present."""
    parts = [DISCLAIMER]
    if version := (record.get("software") or {}).get("axon"):
        parts.append(f"AXON {version}")
    bundle = record.get("bundle") or {}
    if bundle:
        words = [str(bundle.get("name", "")), str(bundle.get("version", ""))]
        words.append(f"SHA-256 {str(bundle.get('sha256', ''))[:12]}")
        parts.append("bundle " + " ".join(word for word in words if word))
    if record.get("seed") is not None:
        samples = record.get("samples") or 1
        parts.append(
            f"seed {record['seed']}" + (f", mean of {samples} samples" if samples > 1 else "")
        )
    steps = [
        f"{stage.get('name')} {steps_text(stage)}"
        for stage in record.get("stages") or ()
        if stage.get("steps") is not None
    ]
    if steps:
        parts.append("steps: " + ", ".join(steps))
    return "  |  ".join(parts)


def overview(
    images: Sequence[FlatImage],
    volumes: Sequence[VolumeRow],
    footer: str = DISCLAIMER,
    windows: Sequence[Window] = (WIDE,),
) -> np.ndarray:
    """One page `[row, col, 3]` uint8: the X-rays and overlays, then for each window one row per
    volume (three mid-slices and, if any volume has them, the 3-D image and the difference), so
    that truth and result are adjacent.

    Slices have their true aspect ratio and a scale bar of 5 cm. The footer always contains the
    disclaimer.
    """
    columns = SLICES + (not volumes or any(volume.renderings for volume in volumes))
    columns += any(volume.truth is not None for volume in volumes)
    flat_rows = [images[i : i + columns] for i in range(0, len(images), columns)]
    volume_rows = [(window, i, row) for i, window in enumerate(windows) for row in volumes]
    heights = [max(_proportion(p.pixels, p.pixel_mm) for p in row) for row in flat_rows]
    heights += [
        max(_proportion(plane.pixels, plane.pixel_mm) for plane in mid_slices(v.hu, v.spacing_mm))
        for _, _, v in volume_rows
    ]
    panel_heights = [max(1, round(_PANEL * min(h, 1.6))) for h in heights]
    height = sum(panel_heights) + (_TITLE + _HEADING) * len(heights) + _FOOTER
    page = Image.new("RGB", (_PANEL * columns, height))
    top = 0
    for number, panel_height in enumerate(panel_heights):
        below = top + _HEADING + _TITLE
        panels = [_Panel(page, i * _PANEL, below, panel_height) for i in range(columns)]
        if number < len(flat_rows):
            heading = "Input"
            for panel, image in zip(panels, flat_rows[number], strict=False):
                _show_flat(panel, image)
        else:
            window, which, volume = volume_rows[number - len(flat_rows)]
            heading = f"{volume.title}: {window}"
            _show_volume(panels, volume, window, which)
        _text(page, (_MARGIN, top + _MARGIN), heading, _HEADING_TEXT, "la", colour="#ffd479")
        top = below + panel_height
    text = footer if DISCLAIMER.lower() in footer.lower() else f"{DISCLAIMER}  |  {footer}"
    _text(page, (page.width / 2, height - _FOOTER / 2), text, _FOOTER_TEXT, "mm")
    return np.array(page)


def write_overview(
    path: str | os.PathLike[str],
    images: Sequence[FlatImage],
    volumes: Sequence[VolumeRow],
    footer: str = DISCLAIMER,
    windows: Sequence[Window] = (WIDE,),
) -> Path:
    """Write `overview` as PNG, whole or not at all. Raises AxonInputError as `write_png`."""
    return write_png(path, overview(images, volumes, footer, windows))


def _proportion(pixels: np.ndarray, pixel_mm: tuple[float, float] | None) -> float:
    """Height / width in the patient."""
    row_mm, col_mm = pixel_mm or (1.0, 1.0)
    return pixels.shape[0] * row_mm / (pixels.shape[1] * col_mm)


@cache
def _font(pixels: int, bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    # Shaping by Raqm differs between systems.
    return ImageFont.truetype(_FONTS / name, pixels, layout_engine=ImageFont.Layout.BASIC)


def _text(
    page: Image.Image,
    at: tuple[float, float],
    text: str,
    font: tuple[int, bool],
    anchor: str,
    *,
    colour: str = "white",
    outline: int = 0,
) -> None:
    """Write one line. ``anchor`` is Pillow's: where in the line ``at`` lies; ``outline``: pixels of
    black around the letters."""
    line = text.replace("\n", " ").encode("utf-8", "replace").decode()
    ImageDraw.Draw(page).text(
        at, line, colour, _font(*font), anchor, stroke_width=outline, stroke_fill="black"
    )


class _Panel:
    """A place for an image on the page, with its title above it.

    Args:
        page: is drawn on.
        left, top: the place's corner in pixels; it is `_PANEL` wide, gaps included.
        height: of the place.
    """

    def __init__(self, page: Image.Image, left: int, top: int, height: int) -> None:
        self._page, self._left, self._top, self._height = page, left, top, height
        self._box = (left, top, left, top)

    def draw(
        self,
        title: str,
        pixels: np.ndarray,
        pixel_mm: tuple[float, float],
        window: tuple[float, float] | None = None,
        colours: Sequence[tuple[int, int, int]] = ((0, 0, 0), (255, 255, 255)),
    ) -> None:
        """Draw an image as large as the place permits, at its top.

        Args:
            title: the line above it.
            pixels: `[row, col]`, or `[row, col, 3]` RGB (uint8, or float 0 to 1).
            pixel_mm: (row, col), for the proportions.
            window: values of the first and the last colour; None: the range of the drawn image
                without outliers (markers, borders), which must not darken the chest.
            colours: equidistant colours of a `[row, col]` image, interpolated linearly.
        """
        rows, cols = pixels.shape[0] * pixel_mm[0], pixels.shape[1] * pixel_mm[1]
        scale = min((_PANEL - _GAP) / cols, self._height / rows)
        size = (max(1, round(cols * scale)), max(1, round(rows * scale)))
        if pixels.ndim == 2:
            grey = Image.fromarray(np.nan_to_num(pixels.astype(np.float32)))
            values = np.asarray(grey.resize(size, Image.Resampling.BILINEAR))
            low, high = window or (float(v) for v in np.percentile(values, (0.5, 99.8)))
            share = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
            knots = np.linspace(0, 1, len(colours))
            channels = [np.interp(share, knots, channel) for channel in zip(*colours, strict=True)]
            image = Image.fromarray(np.stack(channels, -1).round().astype(np.uint8))
        else:
            if pixels.dtype != np.uint8:
                pixels = (255 * np.clip(np.nan_to_num(pixels), 0, 1)).round().astype(np.uint8)
            whole = Image.fromarray(np.ascontiguousarray(pixels))
            image = whole.resize(size, Image.Resampling.BILINEAR)
        left = self._left + (_PANEL - size[0]) // 2
        self._page.paste(image, (left, self._top))
        self._box = (left, self._top, left + size[0], self._top + size[1])
        _text(self._page, (self._left + _PANEL / 2, self._top - 5), title, _TITLE_TEXT, "ms")

    def mark(self, **letters: str) -> None:
        """Write letters at the edges of the image: left, right, top, bottom."""
        left, top, right, bottom = self._box
        middle = ((left + right) / 2, (top + bottom) / 2)
        places = {
            "left": (left + 11, middle[1]),
            "right": (right - 11, middle[1]),
            "top": (middle[0], top + 13),
            "bottom": (middle[0], bottom - 13),
        }
        for edge, letter in letters.items():
            _text(self._page, places[edge], letter, _LETTER_TEXT, "mm", outline=2)

    def scale_bar(self, width_mm: float) -> None:
        """A bar of 5 cm in the corner of an image that is ``width_mm`` wide."""
        left, _, right, bottom = self._box
        length = 50 / width_mm * (right - left)
        end = (right - 14, bottom - 12)
        bar = (end[0] - length, end[1] - 4, *end)
        ImageDraw.Draw(self._page).rectangle(bar, fill="white", outline="black")
        middle = (end[0] - length / 2, bar[1] - 2)
        _text(self._page, middle, "5 cm", _SCALE_TEXT, "ms", outline=2)


def _show_flat(panel: _Panel, image: FlatImage) -> None:
    panel.draw(image.title, np.asarray(image.pixels), image.pixel_mm or (1.0, 1.0))
    if image.frontal:
        panel.mark(left="R", right="L")
    else:
        panel.mark(left="A", right="P")


def _show_volume(panels: Sequence[_Panel], volume: VolumeRow, window: Window, which: int) -> None:
    for panel, plane in zip(panels, mid_slices(volume.hu, volume.spacing_mm), strict=False):
        title = f"{plane.name}, middle of the chest"
        panel.draw(title, plane.pixels, plane.pixel_mm, (window.low, window.high))
        panel.mark(left=plane.left, right=plane.right, top=plane.top, bottom=plane.bottom)
        panel.scale_bar(plane.pixels.shape[1] * plane.pixel_mm[1])
    if which < len(volume.renderings):
        rendering = volume.renderings[which]
        title = "3-D, from the front" + (" (shaded projection)" if rendering.note else "")
        panels[SLICES].draw(title, rendering.rgb, (1.0, 1.0))
        panels[SLICES].mark(left="R", right="L")
    if volume.truth is not None:
        plane = mid_slices(volume.hu - volume.truth, volume.spacing_mm)[0]
        title = f"Axial, minus the CT (±{DIFFERENCE_HU:g} HU)"
        window_hu = (-DIFFERENCE_HU, DIFFERENCE_HU)
        panels[-1].draw(title, plane.pixels, plane.pixel_mm, window_hu, _DIFFERENCE_COLOURS)
        panels[-1].mark(left=plane.left, right=plane.right, top=plane.top, bottom=plane.bottom)
