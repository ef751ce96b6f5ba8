"""The 3-D image: the patient is the right way round, with and without OpenGL."""

import sys
from pathlib import Path

import numpy as np
import pytest

from axon_backend.errors import AxonInputError
from axon_backend.evaluation import render3d

SPACING = (3.0, 3.0, 4.0)


def marked_chest() -> np.ndarray:
    """A soft-tissue body with one block of bone: patient's right, superior, in front."""
    hu = np.full((32, 32, 40), -1000.0, np.float32)
    hu[:, 4:28, 4:36] = 40.0
    hu[22:28, 5:9, 7:15] = 1000.0
    return hu


def centre_of_light(rgb: np.ndarray) -> tuple[float, float]:
    """(row, col) as a share of the height and the width."""
    light = rgb.astype(float).sum(-1)
    assert light.max() > 100, "nothing was drawn"
    rows, cols = np.indices(light.shape)
    total = light.sum()
    return (rows * light).sum() / total / light.shape[0], (
        cols * light
    ).sum() / total / light.shape[1]


def assert_marker_on_the_viewers_left_and_up(rgb: np.ndarray) -> None:
    row, col = centre_of_light(rgb)
    # 40 x 3 mm by 32 x 4 mm in a square: the height fills it; the block's centre is at x = 11/40
    # of the width (which takes 120/128 of the image) and z = 25/32 from below.
    assert col == pytest.approx(0.5 + (11 / 40 - 0.5) * 120 / 128, abs=0.03)
    assert row == pytest.approx(1 - 25 / 32, abs=0.03)


@pytest.fixture(scope="module")
def drawn() -> render3d.Rendering:
    return render3d.render3d(marked_chest(), SPACING, "bone", (128, 128))


def test_projection_shows_right_at_the_left_and_superior_up() -> None:
    rgb = render3d.projection(marked_chest(), SPACING, "bone", (128, 128))
    assert rgb.shape == (128, 128, 3) and rgb.dtype == np.uint8
    assert_marker_on_the_viewers_left_and_up(rgb)


def test_drawing_shows_right_at_the_left_and_superior_up(drawn: render3d.Rendering) -> None:
    """By VTK where the machine can, else by the projection: the place is the same."""
    assert drawn.rgb.shape == (128, 128, 3) and drawn.rgb.dtype == np.uint8
    assert_marker_on_the_viewers_left_and_up(drawn.rgb)


def test_the_front_hides_the_back() -> None:
    hu = marked_chest()
    hu[4:30, 18:22, 4:36] = 180.0  # a dim plate behind the block
    rgb = render3d.projection(hu, SPACING, "bone", (128, 128)).astype(int)
    block, plate = rgb[28, 38], rgb[64, 90]
    assert block.sum() > plate.sum() > 0


@pytest.mark.parametrize("preset", ["bone", "lung", "soft"])
def test_air_and_table_outside_the_body_are_not_drawn(preset: str) -> None:
    hu = np.full((32, 40, 40), -1000.0, np.float32)
    hu[:, 8:28, 12:28] = 40.0
    hu[8:24, 12:24, 16:24] = -800.0
    hu[:, 36:38, :] = 300.0  # table, wider than the body
    rgb = render3d.projection(hu, (3.0, 3.0, 3.0), preset, (120, 96))
    assert rgb[:, :30].max() == 0 and rgb[:, 90:].max() == 0
    if preset != "bone":
        assert rgb[40:56, 52:68].max() > 30


def test_lung_preset_draws_the_lung_alone() -> None:
    hu = np.full((32, 32, 32), -1000.0, np.float32)
    hu[:, 3:29, 3:29] = 40.0
    hu[8:24, 10:22, 10:22] = -800.0
    rgb = render3d.projection(hu, (3.0, 3.0, 3.0), "lung", (96, 96))
    lit = rgb.sum(-1) > 60
    rows, cols = np.nonzero(lit)
    assert rows.min() >= 22 and rows.max() <= 73 and cols.min() >= 28 and cols.max() <= 67


@pytest.mark.parametrize(
    "interpreter",
    ["#!/bin/sh\nkill -SEGV $$\n", "#!/bin/sh\nexit 1\n", "#!/bin/sh\nexec sleep 30\n", None],
    ids=["crash", "failure", "hang", "no interpreter"],
)
@pytest.mark.skipif(sys.platform == "win32", reason="stands in for Python with a shell script")
def test_a_broken_opengl_falls_back_and_says_so(
    interpreter: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    if interpreter is not None:
        python.write_text(interpreter)
        python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    hu = marked_chest()
    found = render3d.render3d(hu, SPACING, "bone", (64, 64), timeout_s=1.0)
    assert found.note == render3d.NO_OPENGL
    assert np.array_equal(found.rgb, render3d.projection(hu, SPACING, "bone", (64, 64)))


def test_without_vtk_the_child_fails_and_the_projection_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package named vtkmodules that cannot be imported, found before the real one."""
    (tmp_path / "vtkmodules.py").write_text("raise ImportError('no vtk here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = render3d.render3d(marked_chest(), SPACING, "bone", (64, 64))
    assert found.note == render3d.NO_OPENGL
    assert_marker_on_the_viewers_left_and_up(found.rgb)


def test_importing_does_not_import_vtk() -> None:
    import subprocess

    code = (
        "import sys, axon_backend.evaluation.render3d; "
        "sys.exit(any(m.startswith('vtk') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_preset_and_flat_array_are_refused() -> None:
    with pytest.raises(AxonInputError, match="bone, lung, soft"):
        render3d.render3d(marked_chest(), SPACING, "skin")
    with pytest.raises(AxonInputError, match="z, y, x"):
        render3d.projection(np.zeros((8, 8)), SPACING)
