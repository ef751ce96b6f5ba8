"""Texts of the Reconstruct section: progress, expected duration, warnings. Without a panel."""

from types import SimpleNamespace

import numpy as np
import pytest


class Bar(SimpleNamespace):
    value = 0
    maximum = 1000


@pytest.fixture
def rows(slicer, module_path):
    from AXONReconstructionLib.panel.progress_rows import ProgressRows

    stages = ("coarse", "fine", "sr")
    made = {stage: SimpleNamespace(bar=Bar(), state=SimpleNamespace()) for stage in stages}
    label = SimpleNamespace()
    return ProgressRows(label, SimpleNamespace(rows=made)), made, label


def test_rows_show_samples_steps_and_time(rows):
    rows, made, label = rows
    rows.start(("coarse", "sr"))
    assert made["fine"].state.text == "skipped" and made["sr"].state.text == "waiting"
    rows.report("register", 0, 2)
    assert label.text == "Registering the X-rays"
    rows.report("coarse (2 of 4)", 5, 10, 12.4)
    assert made["coarse"].state.text == "sample 2 of 4, 50 %, 12 seconds left"
    assert made["coarse"].bar.value == 375 and label.text == ""
    rows.report("the GPU's memory is full: trying with less", 0, 1)
    assert label.text == "The GPU's memory is full: trying with less"
    rows.stageFinished("coarse")
    rows.stop("failed")
    assert made["coarse"].state.text == "done" and made["sr"].state.text == "failed"


def test_durations_of_the_last_run_predict_the_next(slicer, module_path):
    from AXONReconstructionLib.setup import run_times

    record = {
        "device": "cuda:0",
        "bundle": {"name": "known"},
        "samples": 2,
        "stages": [
            {"name": "coarse", "steps": 1, "steps_run": 4, "seconds": 16.0},
            {"name": "fine", "steps": 2, "steps_run": 6, "seconds": 24.0},
            {"name": "sr", "steps": 1, "steps_run": 1, "seconds": 6.0},
        ],
        "seconds": {"read": 1.0, "register": 2.0},
    }
    run_times.remember(record)

    def expected(*args):
        return run_times.expected("cuda", "known", *args)

    assert expected(("coarse", "sr"), 1) == pytest.approx(3 + 4 * 2 + 3)
    # Several steps of stage 1 are not repeated over shifts; stage 2's are over its draws.
    assert expected(("coarse",), 3, {"coarse": 5}) == pytest.approx(3 + 3 * 5 * 2)
    assert expected(("coarse",), 1, {"coarse": 1}) == pytest.approx(3 + 4 * 2)
    assert expected(("fine",), 1, {"fine": 4}) == pytest.approx(3 + 4 * 3 * 2)
    run_times.remember(record | {"stages": [record["stages"][0]], "bundle": {"name": "other"}})
    assert run_times.expected("cuda", "other", ("coarse", "fine"), 1) is None
    assert run_times.expected("cpu", "known", ("coarse",), 1) is None


def test_warnings_are_unique_sentences(slicer, module_path):
    from AXONReconstructionLib.panel import result_text

    record = {
        "warnings": ["the GPU ran out of memory", "the GPU ran out of memory"],
        "registration": [{"role": "lateral", "verdict": "poor", "warnings": []}],
        "inputs": [{"role": "frontal", "pixel_mm": None}, {"role": "ct"}],
        "reprojection": {"frontal": 0.31, "lateral": 0.92},
    }
    first, poor, pixel, low = result_text.warnings(record)
    assert first == "The GPU ran out of memory."
    assert "lateral X-ray is poorly registered to the CT" in poor
    assert "pixel size of the frontal X-ray is unknown" in pixel
    assert "frontal X-ray (agreement 0.31)" in low


def test_a_drr_of_the_ct_has_a_known_pixel_size(slicer, module_path):
    from AXONReconstructionLib.panel import result_text

    record = {
        "warnings": ["lateral: the X-ray was taken as already in place"],
        "registration": [
            {"role": "frontal", "verdict": "rendered in place", "warnings": []},
            {
                "role": "lateral",
                "verdict": "not registered",
                "warnings": ["the X-ray was taken as already in place"],
            },
        ],
        "inputs": [
            {"role": "frontal", "pixel_mm": None},
            {"role": "lateral", "pixel_mm": [0.2, 0.2]},
            {"role": "ct"},
        ],
    }
    assert result_text.warnings(record) == ["Lateral: the X-ray was taken as already in place."]


def test_the_result_line_names_the_last_stage_and_the_one_that_is_shown(slicer, module_path):
    from axon_backend.imaging.frame import ThoraxFrame
    from AXONReconstructionLib.panel import result_text
    from AXONReconstructionLib.scene import nodes

    frame = ThoraxFrame((0.0, 0.0, 0.0), (20.0, 40.0, 60.0))
    volume = nodes.volumeNode(np.zeros((10, 10, 10), np.float32), frame, "last")
    volume.SetAttribute("AXON.Stage", "sr")
    record = {"seconds": {"read": 1.0, "sr": 2.0}, "reprojection": {"frontal": 0.8}}
    size = "SR-Net: 10 x 10 x 10 voxels, spacing 2.0 x 4.0 x 6.0 mm."
    agreement = "Agreement of the result with the frontal X-ray 0.80 (1 is perfect)."
    found = result_text.resultLine(record, volume, "coarse")
    assert found == (
        f"Done in 3 seconds. {size} Shown is CoarseDiff, which the model recommends. {agreement}"
    )
    assert result_text.resultLine(record, volume, "sr") == f"Done in 3 seconds. {size} {agreement}"
    cancelled = record | {"cancelled": "sr", "reprojection": {}}
    line = "Cancelled after 3 seconds; finished stages were kept."
    assert result_text.resultLine(cancelled) == line
