"""X-rays moved by hand over the DRR, without a browser."""

import json
import threading

import numpy as np
import pytest

from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.imaging.display import grey
from axon_backend.imaging.frame import find_thorax_frame
from axon_backend.imaging.view import View
from axon_backend.imaging.write import write_png, write_volume
from axon_backend.inference.case_files import read_case
from axon_backend.inference.session import InferenceSession
from axon_backend.physics.drr import render_drr
from axon_backend.physics.pose import Pose
from axon_backend.viewer.settings import Motion, RunSettings
from axon_backend.viewer.xray_case import XrayCase

FORCED = {
    "frontal": {"invert": False, "flip": False, "rotate": 0, "force": True},
    "ct": {"force": True},
}


def test_a_motion_in_closed_form():
    moved = Motion(10.0, 5.0, 90.0, 200.0).matrix((400.0, 200.0)) @ [0.75, 0.5, 1]
    # 100 mm to the right of the centre: turned clockwise it lies below it, 200 mm of 200 mm; then
    # 10 mm to the right and 5 mm up.
    np.testing.assert_allclose(moved, [0.5 + 10 / 400, 0.5 + 200 / 200 - 5 / 200, 1])
    np.testing.assert_allclose(Motion().matrix((400.0, 200.0)), np.eye(3), atol=1e-12)


@pytest.fixture(scope="module")
def files(phantom_ct, tmp_path_factory):
    """The phantom's DRR as a PNG, which lies on the field of view exactly, and the phantom."""
    folder = tmp_path_factory.mktemp("phantom")
    frame = find_thorax_frame(phantom_ct)
    drr = render_drr(phantom_ct, Pose().geometry(frame, View.pa), 256).numpy()
    return (
        write_png(folder / "pa.png", grey(drr), bits=16),
        write_volume(folder / "ct.nii.gz", phantom_ct.hu, phantom_ct),
    )


@pytest.fixture(scope="module")
def session(tiny_bundle):
    return InferenceSession(tiny_bundle, "cpu")


@pytest.fixture
def case(files, session):
    xray, ct = files
    return XrayCase(read_case(xray, None, ct, frontal_view=View.pa, stated=FORCED), session)


def disagreement(case) -> float:
    """Mean difference between the reference (red) and the X-ray (cyan), grey values on 0 to 255."""
    image = case.overlay("frontal", "red-cyan").astype(float)
    return float(np.abs(image[..., 0] - image[..., 1])[100:-100, 100:-100].mean())


def test_the_overlay_shows_where_the_xray_lies(case):
    in_place = disagreement(case)
    case.move("frontal", Motion(right_mm=15.0))
    assert disagreement(case) > 3 * in_place
    moved = case.matrix("frontal")
    width = Pose().geometry(case.frame, View.pa).extent_mm[0]
    rows, columns = case.xrays["frontal"].pixels.shape
    # What is seen at the centre now came from 15 mm to its left.
    centre = [(0.5 - 15 / width) * columns - 0.5, 0.5 * rows - 0.5, 1]
    np.testing.assert_allclose(moved @ [0.5, 0.5, 1], centre, atol=1e-6)
    case.reset("frontal")
    assert disagreement(case) == in_place


def test_moving_it_away_makes_the_quality_worse(case):
    case.move("frontal", Motion(right_mm=0.001))
    good = case.judge("frontal").registration.quality
    case.move("frontal", Motion(right_mm=60.0, rotation_deg=15.0))
    assert case.judge("frontal").registration.quality.ncc < good.ncc - 0.2


def test_registering_can_be_cancelled_and_changes_nothing(case):
    case.move("frontal", Motion(right_mm=15.0))
    with pytest.raises(Cancelled):
        case.register(cancelled=lambda: True)
    assert case.placed["frontal"].motion == Motion(right_mm=15.0)


def test_a_poor_placement_by_hand_is_refused_unless_allowed(case):
    case.move("frontal", Motion(right_mm=90.0, rotation_deg=20.0, scale_percent=160.0))
    with pytest.raises(AxonInputError, match="The registration of the frontal X-ray is poor"):
        case.reconstruct(RunSettings())
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        case.reconstruct(RunSettings(), allow_poor=True, cancelled=stop.is_set)


def test_the_run_takes_the_xray_as_it_lies_and_is_kept_and_saved(case, tmp_path, monkeypatch):
    from axon_backend.evaluation import render3d

    # VTK's own process takes seconds for each image.
    monkeypatch.setattr(render3d, "_render_in_subprocess", lambda *args: None)
    case.move("frontal", Motion(right_mm=2.0))
    heard = []
    result = case.reconstruct(
        RunSettings(stages=("coarse",), seed=3), progress=lambda *step: heard.append(step[0])
    )
    entry = result.record["registration"][0]
    assert entry["accepted_by_user"]
    np.testing.assert_allclose(entry["matrix"], case.matrix("frontal"))
    assert result.record["seed"] == 3
    assert "coarse" in heard
    kept = case.keep(result, tmp_path / "kept")
    assert {"reconstruction.nii.gz", "coarse.nii.gz", "ct.nii.gz", "result.json"} <= {
        file.name for file in kept.iterdir()
    }
    saved = case.save(result, tmp_path / "saved")
    assert (saved / "report.html").is_file()
    assert json.loads((saved / "result.json").read_text())["seed"] == 3
    with pytest.raises(AxonInputError, match="saved"):
        case.save(result, saved)
