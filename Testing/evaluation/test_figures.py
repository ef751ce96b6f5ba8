"""The overview: which side is which, true proportions, and what is always written."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from axon_backend import DISCLAIMER
from axon_backend.evaluation import figures
from axon_backend.evaluation.render3d import Rendering, projection

N = 32


def with_marker(z: int, y: int, x: int) -> np.ndarray:
    hu = np.full((N, N, N), -1000.0, np.float32)
    hu[z - 2 : z + 3, y - 2 : y + 3, x - 2 : x + 3] = 400.0
    return hu


def brightest(pixels: np.ndarray) -> tuple[float, float]:
    rows, cols = np.nonzero(pixels > 0)
    return rows.mean() / pixels.shape[0], cols.mean() / pixels.shape[1]


def by_name(hu: np.ndarray) -> dict[str, figures.Slice]:
    return {plane.name: plane for plane in figures.mid_slices(hu, (1.0, 2.0, 3.0))}


def test_axial_has_right_at_the_left_and_anterior_up() -> None:
    plane = by_name(with_marker(N // 2, 6, 5))["Axial"]  # low y: anterior, low x: right
    row, col = brightest(plane.pixels)
    assert row < 0.3 and col < 0.3
    assert (plane.left, plane.right, plane.top, plane.bottom) == ("R", "L", "A", "P")


def test_coronal_has_right_at_the_left_and_superior_up() -> None:
    plane = by_name(with_marker(26, N // 2, 5))["Coronal"]
    row, col = brightest(plane.pixels)
    assert row < 0.3 and col < 0.3
    assert (plane.left, plane.top) == ("R", "S")


def test_sagittal_has_anterior_at_the_left_and_superior_up() -> None:
    plane = by_name(with_marker(26, 6, N // 2))["Sagittal"]
    row, col = brightest(plane.pixels)
    assert row < 0.3 and col < 0.3
    assert (plane.left, plane.right) == ("A", "P")


def test_pixel_sizes_follow_the_plane() -> None:
    sizes = {name: plane.pixel_mm for name, plane in by_name(with_marker(8, 8, 8)).items()}
    assert sizes == {"Axial": (2.0, 1.0), "Coronal": (3.0, 1.0), "Sagittal": (3.0, 2.0)}


def panel(page: np.ndarray, column: int, columns: int = figures.SLICES) -> np.ndarray:
    width = page.shape[1] // columns
    return page[:, column * width : (column + 1) * width]


def filled(part: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """First row, last row, first column, last column of a colour."""
    same = (np.abs(part.astype(int) - colour) < 40).all(-1)
    rows, cols = np.nonzero(same)
    return rows.min(), rows.max(), cols.min(), cols.max()


def test_the_page_shows_a_right_sided_marker_on_the_left_of_the_coronal_panel() -> None:
    hu = with_marker(26, N // 2, 6)
    page = figures.overview([], [figures.VolumeRow("Volume", hu, (1.0, 1.0, 1.0))])
    coronal = panel(page, 1)
    # Letters and the bar are white too; the marker is the largest white square.
    step = coronal.shape[1] / N
    white = coronal.min(-1) > 250
    kernel = int(3 * step)
    sums = white.cumsum(0).cumsum(1)
    blocks = (
        sums[kernel:, kernel:] - sums[:-kernel, kernel:] - sums[kernel:, :-kernel]
        + sums[:-kernel, :-kernel]
    )  # fmt: skip
    row, col = np.unravel_index(blocks.argmax(), blocks.shape)
    assert blocks.max() == kernel**2, "the marker was not found"
    assert (col + kernel / 2) / coronal.shape[1] < 0.3
    assert (row + kernel / 2) / coronal.shape[0] < 0.45


def test_slices_and_images_have_true_proportions() -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255
    flat = figures.FlatImage("A tall image", red, True, (1.5, 1.0))
    # As bright as can be, so that the axial plane is a white box: 32 x 1 mm by 32 x 0.5 mm.
    white = np.full((N, N, N), 400.0, np.float32)
    page = figures.overview([flat], [figures.VolumeRow("Volume", white, (1.0, 0.5, 1.0))])
    top, bottom, left, right = filled(panel(page, 0), (255, 0, 0))
    assert (bottom - top) / (right - left) == pytest.approx(1.5, rel=0.03)
    axial = panel(page, 0)[bottom + 10 :].min(-1) > 250
    heights = axial.sum(0)
    assert heights.max() / axial.any(0).sum() == pytest.approx(0.5, rel=0.05)


def test_rows_for_each_window_and_3d_image(tmp_path: Path) -> None:
    hu = with_marker(26, N // 2, 6)
    image = projection(np.where(hu > 0, hu, -1000), (1.0, 1.0, 1.0), "bone", (64, 64))
    volume = figures.VolumeRow("Volume", hu, (1.0, 1.0, 1.0), [Rendering(image, "no OpenGL")])
    one = figures.overview([], [volume])
    two = figures.overview([], [volume, volume], windows=(figures.LUNG, figures.SOFT))
    assert two.shape[1] == one.shape[1]
    assert two.shape[0] > 3 * one.shape[0]
    path = figures.write_overview(tmp_path / "overview.png", [], [volume])
    assert np.array_equal(np.asarray(Image.open(path)), one)
    assert panel(one, 3, 4)[100:].max() > 100


def test_there_are_columns_for_what_is_shown() -> None:
    hu = with_marker(N // 2, N // 2, N // 2)
    drawn = [Rendering(np.zeros((8, 8, 3), np.uint8), "")]
    width = {
        (rendered, compared): figures.overview(
            [],
            [
                figures.VolumeRow("Plain", hu, (1.0, 1.0, 1.0)),
                figures.VolumeRow(
                    "Volume",
                    hu,
                    (1.0, 1.0, 1.0),
                    drawn if rendered else [],
                    hu - 500 if compared else None,
                ),
            ],
        ).shape[1]
        for rendered in (False, True)
        for compared in (False, True)
    }
    unit = width[False, False] / 3
    assert [round(w / unit) for w in width.values()] == [3, 4, 4, 5]


def test_the_windows_are_those_radiologists_use() -> None:
    assert str(figures.LUNG) == "lung window (W 1500, L -600 HU)"
    assert str(figures.SOFT) == "soft-tissue window (W 400, L 40 HU)"
    assert (figures.WIDE.low, figures.WIDE.high) == (-1000, 400)


def test_footer_names_the_run_and_always_the_disclaimer() -> None:
    record = {
        "software": {"axon": "1.2"},
        "bundle": {"name": "axon-preview", "version": "0.3", "sha256": "0123456789abcdef"},
        "seed": 0,
        "samples": 4,
        "stages": [
            {"name": "coarse", "steps": 10},
            {"name": "fine", "steps": 2, "steps_run": 6},
            {"name": "sr"},
        ],
    }
    assert figures.footer_line(record) == (
        f"{DISCLAIMER}  |  AXON 1.2  |  bundle axon-preview 0.3 SHA-256 0123456789ab  |  "
        "seed 0, mean of 4 samples  |  steps: coarse 10, fine 2 (6 run)"
    )
    assert figures.footer_line({}) == DISCLAIMER
    volume = figures.VolumeRow("Volume", with_marker(8, 8, 8), (1.0, 1.0, 1.0))
    with_default, without = (figures.overview([], [volume], text) for text in (DISCLAIMER, ""))
    assert np.abs(with_default[-30:].astype(int) - without[-30:]).mean() < 7
    assert without[-30:].max() > 200, "the disclaimer is written even when the footer is empty"


def test_dollar_signs_in_titles_are_not_mathematics() -> None:
    grey = np.arange(64.0).reshape(8, 8)
    page = figures.overview([figures.FlatImage("$\\broken{$ _x_", grey, False)], [], "$\\frac$")
    assert page.dtype == np.uint8
