"""`overview.png`: one case on one page, in radiological convention.

Slices follow the radiological convention: the patient's right at the viewer's left, anterior up
in axial slices, superior up in the others, anterior at the viewer's left in the sagittal one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from axon_backend import DISCLAIMER
from axon_backend.evaluation.render3d import Rendering
from axon_backend.evaluation.report import steps_text
from axon_backend.imaging.matching import shrink_by
from axon_backend.imaging.write import write_png

#: Slices of a volume in its row; its 3-D image and the difference from the truth follow.
SLICES = 3
#: Differences are shown from blue (-500 HU or below) over white to red (500 HU or above).
DIFFERENCE_HU = 500.0
_PANEL_INCHES, _DPI = 3.3, 110
_TITLE_INCHES, _ROW_TITLE_INCHES, _FOOTER_INCHES = 0.26, 0.38, 0.34


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
    inches = [_PANEL_INCHES * min(h, 1.6) for h in heights]
    headings = _TITLE_INCHES + _ROW_TITLE_INCHES
    height = sum(inches) + headings * len(inches) + _FOOTER_INCHES
    width = _PANEL_INCHES * columns
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="black")
    canvas = FigureCanvasAgg(figure)

    top = height
    for number, panel_height in enumerate(inches):
        bottom = top - headings - panel_height
        panels = [
            _panel(figure, i, columns, bottom / height, panel_height / height)
            for i in range(columns)
        ]
        if number < len(flat_rows):
            heading = "Input"
            for panel, image in zip(panels, flat_rows[number], strict=False):
                _show_flat(panel, image)
        else:
            window, which, volume = volume_rows[number - len(flat_rows)]
            heading = f"{volume.title}: {window}"
            _show_volume(panels, volume, window, which)
        figure.text(
            0.008, (top - 0.12) / height, heading, color="#ffd479", fontsize=12, weight="bold",
            va="top", parse_math=False,
        )  # fmt: skip
        top = bottom
    text = footer if DISCLAIMER.lower() in footer.lower() else f"{DISCLAIMER}  |  {footer}"
    figure.text(
        0.5, 0.5 * _FOOTER_INCHES / height, text, color="white", fontsize=8.5, ha="center",
        va="center", parse_math=False,
    )  # fmt: skip
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


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


def _panel(figure: Figure, column: int, columns: int, bottom: float, height: float) -> Axes:
    gap = 0.05 / columns / 2
    axes = figure.add_axes((column / columns + gap, bottom, 1 / columns - 2 * gap, height))
    axes.set_axis_off()
    axes.set_anchor("N")  # titles of a row align
    return axes


def _draw(
    axes: Axes,
    title: str,
    pixels: np.ndarray,
    aspect: float,
    low: float | None = None,
    high: float | None = None,
    colours: str = "gray",
) -> None:
    pixels = _about_as_large_as_shown(pixels)
    axes.imshow(pixels, colours, aspect=aspect, interpolation="bilinear", vmin=low, vmax=high)
    axes.set_title(title, color="white", fontsize=10, pad=4, parse_math=False)


def _about_as_large_as_shown(pixels: np.ndarray) -> np.ndarray:
    """Means of blocks of whole pixels: drawing costs what the image has, not what the panel has."""
    factor = min(pixels.shape[:2]) // round(1.3 * _PANEL_INCHES * _DPI)
    if factor < 2:
        return pixels
    if pixels.ndim == 2:
        return shrink_by(pixels, factor)
    channels = [shrink_by(pixels[..., c], factor) for c in range(pixels.shape[2])]
    return np.stack(channels, -1).astype(pixels.dtype)


def _mark(axes: Axes, **letters: str) -> None:
    places = {"left": (0.03, 0.5), "right": (0.97, 0.5), "top": (0.5, 0.96), "bottom": (0.5, 0.04)}
    for edge, letter in letters.items():
        axes.text(
            *places[edge], letter, transform=axes.transAxes, color="white", fontsize=13,
            weight="bold", ha="center", va="center",
            path_effects=[withStroke(linewidth=2.5, foreground="black")],
        )  # fmt: skip


def _show_flat(axes: Axes, image: FlatImage) -> None:
    pixels = np.asarray(image.pixels)
    row_mm, col_mm = image.pixel_mm or (1.0, 1.0)
    low = high = None
    if pixels.ndim == 2:
        # Outliers (markers, borders) must not darken the chest.
        pixels = np.nan_to_num(pixels.astype(np.float32))
        low, high = (float(v) for v in np.percentile(pixels, (0.5, 99.8)))
    _draw(axes, image.title, pixels, row_mm / col_mm, low, high)
    if image.frontal:
        _mark(axes, left="R", right="L")
    else:
        _mark(axes, left="A", right="P")


def _show_volume(panels: Sequence[Axes], volume: VolumeRow, window: Window, which: int) -> None:
    for axes, plane in zip(panels, mid_slices(volume.hu, volume.spacing_mm), strict=False):
        row_mm, col_mm = plane.pixel_mm
        title = f"{plane.name}, middle of the chest"
        _draw(axes, title, plane.pixels, row_mm / col_mm, window.low, window.high)
        _mark(axes, left=plane.left, right=plane.right, top=plane.top, bottom=plane.bottom)
        _scale_bar(axes, plane)
    if which < len(volume.renderings):
        rendering, axes = volume.renderings[which], panels[SLICES]
        title = "3-D, from the front" + (" (shaded projection)" if rendering.note else "")
        _draw(axes, title, rendering.rgb, 1.0)
        _mark(axes, left="R", right="L")
    if volume.truth is not None:
        plane = mid_slices(volume.hu - volume.truth, volume.spacing_mm)[0]
        aspect = plane.pixel_mm[0] / plane.pixel_mm[1]
        title = f"Axial, minus the CT (±{DIFFERENCE_HU:g} HU)"
        _draw(panels[-1], title, plane.pixels, aspect, -DIFFERENCE_HU, DIFFERENCE_HU, "RdBu_r")
        _mark(panels[-1], left=plane.left, right=plane.right, top=plane.top, bottom=plane.bottom)


def _scale_bar(axes: Axes, plane: Slice) -> None:
    rows, cols = plane.pixels.shape
    length, thickness = 50 / plane.pixel_mm[1], 0.012 * rows
    x, y = 0.96 * cols - length, 0.95 * rows
    axes.add_patch(Rectangle((x, y), length, thickness, facecolor="white", edgecolor="black"))
    axes.text(
        x + length / 2, y - 0.005 * rows, "5 cm", color="white", fontsize=8, ha="center",
        va="bottom", path_effects=[withStroke(linewidth=2, foreground="black")],
    )  # fmt: skip
