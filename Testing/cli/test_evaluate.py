"""`axon evaluate`: rows that pair, atlas beside the method, bad cases that stop nothing."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from axon_backend.cli.main import main
from axon_backend.imaging.frame import HuWindow, find_thorax_frame, resample_to_frame
from axon_backend.metrics import compute_metrics, metric_names


@pytest.fixture(scope="module")
def done(phantom_ct_file, phantom_xray_file, tiny_bundle, tmp_path_factory):
    """An evaluation of two sound cases and two broken ones; a train case is left out."""
    folder = tmp_path_factory.mktemp("cohort")
    ct = str(phantom_ct_file)
    (folder / "broken.nii.gz").write_text("no volume")
    cases = [
        {"id": "drr", "frontal": None, "lateral": None, "ct": ct, "split": "test"},
        {"id": "=gone", "frontal": None, "lateral": None, "ct": "gone.nii.gz", "split": "test"},
        {
            "id": "<b>broken",
            "frontal": None,
            "lateral": None,
            "ct": "broken.nii.gz",
            "split": "test",
        },
        {"id": "film", "frontal": str(phantom_xray_file), "ct": ct, "split": "test"},
        {"id": "other", "frontal": None, "lateral": None, "ct": "never-read", "split": "train"},
    ]
    (folder / "cases.json").write_text(json.dumps(cases))
    code = main(
        ["evaluate", "--manifest", str(folder / "cases.json"), "--split", "test", "--bundle",
         str(tiny_bundle.path), "--steps", "1,1", "--quiet", "--output", str(folder / "out")]
    )  # fmt: skip
    return code, folder / "out"


@pytest.fixture(scope="module")
def rows(done):
    with (done[1] / "metrics.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_columns_and_one_row_per_case_stage_and_views(done, rows):
    header = (done[1] / "metrics.csv").read_text().splitlines()[0]
    assert header.split(",") == ["id", "method", "stage", "views", *metric_names()]
    keys = [(r["id"], r["method"], r["stage"], r["views"]) for r in rows]
    expected = {
        (case, method, stage, views)
        for case in ("drr", "film")
        for views in ("1", "2")
        for method, stages in (("axon", ("coarse", "fine", "sr")), ("atlas_mean", ("",)))
        for stage in stages
    }
    assert set(keys) == expected and len(keys) == len(expected)


def test_atlas_rows_are_the_atlas_against_the_truth(rows, phantom_ct, tiny_bundle):
    """The phantom is the bundle's atlas; the expected value is worked out here, on 16^3."""
    window = HuWindow()
    frame = find_thorax_frame(phantom_ct)
    truth = (window.normalise(resample_to_frame(phantom_ct, frame, 16)) + 1) / 2
    atlas, _ = tiny_bundle.atlas()
    halved = atlas.reshape(16, 2, 16, 2, 16, 2).mean((1, 3, 5))
    expected = compute_metrics((window.normalise(halved) + 1) / 2, truth)
    found = [r for r in rows if r["method"] == "atlas_mean" and r["id"] == "drr"]
    assert len(found) == 2
    for row in found:
        assert float(row["mae"]) == pytest.approx(expected["mae"], abs=2e-3)
        assert float(row["psnr"]) == pytest.approx(expected["psnr"], abs=0.5)
        assert float(row["psnr"]) == pytest.approx(-10 * np.log10(float(row["mse"])), rel=1e-3)


def test_body_values_and_every_ssim_are_in_both_tables(done, rows):
    report = (done[1] / "metrics.md").read_text()
    for name in ("ssim3d_uniform7", "ssim2d_x2ct", "psnr_body", "gradient_ratio"):
        assert all(np.isfinite(float(row[name])) for row in rows), name
        assert f"- `{name}`:" in report
    body = report.split("## Inside the body")[1]
    assert "| views | method | stage | cases | mae_body |" in body


def test_bad_cases_are_listed_with_their_reason_and_the_exit_code_says_so(done):
    code, out = done
    assert code == 1
    with (out / "failures.csv").open(newline="") as stream:
        failed = {r["id"]: r["reason"] for r in csv.DictReader(stream)}
    assert set(failed) == {"'=gone", "<b>broken"}  # no formula for a spreadsheet
    assert "does not exist" in failed["'=gone"]
    report = (out / "metrics.md").read_text()
    assert "2 measured, 2 failed" in report and "<b>" not in report
    for reason in failed.values():
        assert reason in report and "Traceback" not in reason


def test_the_table_shows_mean_and_deviation(done, rows):
    values = [float(r["psnr"]) for r in rows
              if (r["method"], r["stage"], r["views"]) == ("axon", "coarse", "1")]  # fmt: skip
    line = next(
        text for text in (done[1] / "metrics.md").read_text().splitlines()
        if text.startswith("| 1 | axon | coarse | 2 |")
    )  # fmt: skip
    assert f"{np.mean(values):.4g} ± {np.std(values, ddof=1):.2g}" in line


def test_all_cases_sound_is_exit_code_0_and_no_list_of_failures(
    phantom_ct_file, tiny_bundle, tmp_path
):
    (tmp_path / "cases.json").write_text(
        json.dumps([{"id": "a", "frontal": None, "lateral": None, "ct": str(phantom_ct_file)}])
    )
    assert main(
        ["evaluate", "--manifest", str(tmp_path / "cases.json"), "--bundle", str(tiny_bundle.path),
         "--stages", "coarse", "--steps", "1", "--output", str(tmp_path / "out")]
    ) == 0  # fmt: skip
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"metrics.csv", "metrics.md"}
