"""`axon reconstruct`: the files it writes, true geometry, seeds, and stopping."""

from __future__ import annotations

import json
import signal

import nibabel
import numpy as np
import pytest
from PIL import Image

from axon_backend import DISCLAIMER
from axon_backend.cli.main import main
from axon_backend.imaging.frame import find_thorax_frame, resample_to_frame

STAGES = ("coarse", "fine", "sr")


def run(xray, bundle, output, *more) -> int:
    return main(
        ["reconstruct", "--frontal", str(xray), "--bundle", str(bundle.path), "--output",
         str(output), *more]
    )  # fmt: skip


@pytest.fixture(scope="module")
def case(phantom_xray_file, phantom_ct_file, tiny_bundle, tmp_path_factory):
    """One full run: registered to the CT, two samples, everything kept."""
    output = tmp_path_factory.mktemp("run") / "deep" / "case"
    code = run(phantom_xray_file, tiny_bundle, output, "--ct", str(phantom_ct_file),
               "--samples", "2", "--seed", "5", "--steps", "2,3", "--keep-stages",
               "--keep-samples")  # fmt: skip
    assert code == 0
    return output


def test_all_files_are_there_and_no_others(case):
    assert {p.name for p in case.iterdir()} == {
        "reconstruction.nii.gz", "coarse.nii.gz", "fine.nii.gz", "sr.nii.gz", "deviation.nii.gz",
        "samples", "overview.png", "xray_frontal.jpg", "report.html", "result.json",
    }  # fmt: skip
    assert [p.name for p in case.parent.iterdir()] == ["case"]


def test_the_volume_is_the_last_stage_in_hounsfield_units(case):
    volume = nibabel.load(case / "reconstruction.nii.gz")
    assert volume.get_data_dtype() == np.int16
    assert volume.shape == (32, 32, 32)
    values = np.asarray(volume.dataobj)
    assert values.min() >= -1000 and values.max() <= 900
    assert np.array_equal(values, np.asarray(nibabel.load(case / "sr.nii.gz").dataobj))
    assert nibabel.load(case / "coarse.nii.gz").shape == (16, 16, 16)
    deviation = np.asarray(nibabel.load(case / "deviation.nii.gz").dataobj)
    assert deviation.shape == (32, 32, 32)
    assert deviation.min() >= 0 and deviation.max() > 0


def stages_run(folder) -> tuple[str, ...]:
    record = json.loads((folder / "result.json").read_text())
    return tuple(stage["name"] for stage in record["stages"])


def test_without_stages_those_that_the_model_recommends_run(
    coarse_bundle, phantom_xray_file, tmp_path, capsys
):
    """``axon reconstruct``, ``axon cohort reconstruct`` and ``--stages all``."""
    fast = ("--no-register", "--steps", "1", "--quiet", "--keep-stages")
    studies = tmp_path / "studies.json"
    studies.write_text(json.dumps([{"id": "p1", "frontal": str(phantom_xray_file)}]))
    for words, stages in (((), ("coarse",)), (("--stages", "all"), STAGES)):
        output = tmp_path / f"out{len(words)}"
        assert run(phantom_xray_file, coarse_bundle, output, *fast, *words) == 0
        assert stages_run(output) == stages
        left_out = "left out: fine, sr (--stages all runs every stage)" in capsys.readouterr().out
        assert left_out == (not words)
        cohort = tmp_path / f"cohort{len(words)}"
        made = ["cohort", "reconstruct", str(studies), "--bundle", str(coarse_bundle.path),
                "--workers", "1", "--no-report", "--output", str(cohort)]  # fmt: skip
        assert main([*made, *fast, *words]) == 0
        assert stages_run(cohort / "cases" / "p1") == stages


def test_the_samples_have_the_mean_and_the_deviation_that_were_written(case):
    files = sorted((case / "samples").iterdir())
    assert [file.name for file in files] == ["sample_01.nii.gz", "sample_02.nii.gz"]
    images = [nibabel.load(file) for file in files]
    one, other = (np.asarray(image.dataobj, float) for image in images)
    mean, deviation = (
        np.asarray(nibabel.load(case / f"{name}.nii.gz").dataobj, float)
        for name in ("reconstruction", "deviation")
    )
    # Written as whole HU; of two values, the standard deviation is half their difference x 2^0.5.
    np.testing.assert_allclose((one + other) / 2, mean, atol=1.01)
    np.testing.assert_allclose(np.abs(one - other) / 2**0.5, deviation, atol=1.3)
    assert (images[0].affine == nibabel.load(case / "reconstruction.nii.gz").affine).all()


def test_the_x_ray_is_written_in_true_proportions(case, phantom_ct):
    image = Image.open(case / "xray_frontal.jpg")  # beside its overlay
    frame = find_thorax_frame(phantom_ct)
    assert image.width / 2 / image.height == pytest.approx(
        frame.size_mm[0] / frame.size_mm[2], rel=0.01
    )


def test_the_affine_is_the_frame_of_the_ct(case, phantom_ct):
    frame = find_thorax_frame(phantom_ct)
    centre, size = np.array(frame.center_mm), np.array(frame.size_mm)
    to_ras = np.array([-1, -1, 1])
    for name, n in (("reconstruction", 32), ("coarse", 16)):
        affine = nibabel.load(case / f"{name}.nii.gz").affine
        low = affine @ [-0.5, -0.5, -0.5, 1]
        high = affine @ [n - 0.5, n - 0.5, n - 0.5, 1]
        assert low[:3] == pytest.approx(to_ras * (centre - size / 2), abs=1e-3)
        assert high[:3] == pytest.approx(to_ras * (centre + size / 2), abs=1e-3)


def test_a_landmark_is_where_the_ct_has_it(phantom_ct, marker_mm, tmp_path):
    """What is written in the frame shows a marker at its place in the patient."""
    from axon_backend.imaging.write import write_volume

    frame = find_thorax_frame(phantom_ct)
    path = write_volume(tmp_path / "x.nii.gz", resample_to_frame(phantom_ct, frame, 64), frame)
    image = nibabel.load(path)
    values = np.asarray(image.dataobj)
    found = np.argwhere(values > 0.6 * values.max()).mean(0)
    ras = (image.affine @ [*found, 1])[:3]
    assert ras == pytest.approx(np.array([-1, -1, 1]) * marker_mm, abs=3.0)


def test_result_json_tells_how_it_came_to_be(case, tiny_bundle, phantom_xray_file):
    record = json.loads((case / "result.json").read_text())
    assert record["disclaimer"] == DISCLAIMER
    assert record["bundle"]["sha256"] == tiny_bundle.sha256
    assert (record["seed"], record["samples"]) == (5, 2)
    assert [(s["name"], s["steps"]) for s in record["stages"]] == [
        ("coarse", 2), ("fine", 3), ("sr", 1),
    ]  # fmt: skip
    assert {"read", "register", *STAGES} <= set(record["seconds"])
    assert record["inputs"][0]["path"] == phantom_xray_file.name
    assert record["inputs"][0]["assumptions"]
    assert record["registration"][0]["role"] == "frontal"
    assert set(record["metrics"]) == set(STAGES)
    assert set(record["files"]) == {p.name for p in case.iterdir()}


def test_images_and_report_can_be_opened(case):
    image = Image.open(case / "overview.png")
    assert min(image.size) > 200
    assert np.asarray(image.convert("L")).std() > 10
    report = (case / "report.html").read_text()
    assert DISCLAIMER in report
    # Self-contained: nothing is fetched from elsewhere.
    assert "data:image/png;base64," in report
    assert 'src="http' not in report and "<link" not in report


def quick(xray, bundle, output, *more) -> int:
    return run(xray, bundle, output, "--stages", "coarse", "--steps", "2", "--no-register", *more)


def test_a_seed_gives_the_same_bytes_and_another_seed_others(
    phantom_xray_file, tiny_bundle, tmp_path
):
    volumes = []
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        assert quick(phantom_xray_file, tiny_bundle, tmp_path / name, "--seed", seed) == 0
        volumes.append((tmp_path / name / "reconstruction.nii.gz").read_bytes())
    assert volumes[0] == volumes[1]
    assert volumes[0] != volumes[2]


def test_overwrite_replaces_an_earlier_run(phantom_xray_file, tiny_bundle, tmp_path, capsys):
    assert quick(phantom_xray_file, tiny_bundle, tmp_path / "x", "--keep-stages") == 0
    assert quick(phantom_xray_file, tiny_bundle, tmp_path / "x") == 2
    assert quick(phantom_xray_file, tiny_bundle, tmp_path / "x", "--overwrite") == 0
    assert not (tmp_path / "x" / "coarse.nii.gz").exists()
    assert "--overwrite" in capsys.readouterr().err


def test_ctrl_c_stops_within_one_step_and_leaves_nothing(
    phantom_xray_file, tiny_bundle, tmp_path, capsys, monkeypatch
):
    from axon_backend.cli.console import ProgressBars

    seen = []
    shown = ProgressBars.__call__

    def press_ctrl_c(self, stage, step, total, preview=None):
        shown(self, stage, step, total, preview)
        seen.append((stage, step))
        if (stage, step) == ("coarse", 2):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ProgressBars, "__call__", press_ctrl_c)
    before = signal.getsignal(signal.SIGINT)
    assert run(phantom_xray_file, tiny_bundle, tmp_path / "out", "--no-register",
               "--steps", "9,9") == 1  # fmt: skip
    assert seen[-1] == ("coarse", 2)
    assert list(tmp_path.iterdir()) == []
    error = capsys.readouterr().err
    assert "stopped as asked; nothing was written" in error and "Traceback" not in error
    assert signal.getsignal(signal.SIGINT) is before


def test_progress_names_stage_and_steps(phantom_xray_file, tiny_bundle, tmp_path, capsys):
    assert quick(phantom_xray_file, tiny_bundle, tmp_path / "loud") == 0
    error = capsys.readouterr().err
    assert "register" in error and "coarse" in error and "2/2" in error
    assert quick(phantom_xray_file, tiny_bundle, tmp_path / "still", "--quiet") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error_type", "says"),
    [
        (ArithmeticError, "ArithmeticError: no matrix like this"),
        (MemoryError, "not enough memory. Close other programs"),
    ],
)
def test_a_failure_is_one_sentence_and_exit_code_1(
    phantom_xray_file, tiny_bundle, tmp_path, capsys, monkeypatch, error_type, says
):
    def fail(*_args, **_kwargs):
        raise error_type("no matrix\nlike this")

    monkeypatch.setattr("axon_backend.inference.case.render_drr", fail)
    monkeypatch.setattr("axon_backend.inference.case.register_xrays", fail)
    assert quick(phantom_xray_file, tiny_bundle, tmp_path / "out", "--quiet") == 1
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
