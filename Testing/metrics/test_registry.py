"""The registry: directions, refusals, and a metric of one file outside the package everywhere."""

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from axon_backend.errors import AxonInputError
from axon_backend.metrics import Metric, compute_metrics, register_metric, registered_metrics

ROOT = Path(__file__).resolve().parents[2]
TOY = """
from axon_backend.metrics import Metric

def largest_error(pair, region):
    prediction, truth = pair.voxels(region)
    return float(abs(prediction - truth).max())

metric = Metric("worst_body", "Largest error", "largest absolute error inside the body",
                largest_error, "lower", region="body", grey_difference=True)
"""


def constant(name: str, **more: object) -> Metric:
    return Metric(name, name, "a note", lambda pair, region: 0.5, "lower", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("direction", "best"), [("higher", 3.0), ("lower", 0.25), ("one", 1.5)])
def test_the_best_value_follows_the_direction(direction: str, best: float) -> None:
    metric = Metric("m", "M", "note", lambda pair, region: 0.0, direction)  # type: ignore[arg-type]
    assert metric.best([0.25, None, 1.5, math.nan, 3.0]) == best
    assert metric.best([None, math.nan]) is None


def test_grey_differences_are_shown_in_hu() -> None:
    mae = registered_metrics()["mae"]
    assert mae.heading == "MAE (HU)"
    assert mae.text(0.1, (-1000.0, 900.0)) == "190"
    psnr = registered_metrics()["psnr"]
    assert psnr.heading == "PSNR (dB)" and psnr.text(17.04, (-1000.0, 900.0)) == "17.0"
    assert psnr.text(math.nan, (-1000.0, 900.0)) == psnr.text(None, (-1000.0, 900.0)) == ""


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="'mae' is already registered"):
        register_metric(constant("mae"))


def test_unknown_metrics_are_refused_by_name() -> None:
    volume = np.full((12, 12, 12), 0.5)
    with pytest.raises(
        AxonInputError, match="'sharpness' is not registered; the metrics are mae, mse"
    ):
        compute_metrics(volume, volume, names=("sharpness",))


def test_a_metric_of_the_body_is_nan_where_there_is_none() -> None:
    air = np.zeros((12, 12, 12))
    values = compute_metrics(air, air, names=("mae", "mae_body"))
    assert values["mae"] == 0 and math.isnan(values["mae_body"])


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A folder as pip makes it of a package with a toy metric, and one that cannot be imported."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "toy_metric.py").write_text(TOY)
    info = folder / "toy_metric-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-metric\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[axon_backend.metrics]\nworst = toy_metric:metric\ngone = toy_that_is_not_there:metric\n"
    )
    path = os.pathsep.join(map(str, (folder, ROOT)))
    return SimpleNamespace(environment={**os.environ, "PYTHONPATH": path})


def axon(outside: SimpleNamespace, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "axon_backend", *map(str, arguments)],
        env=outside.environment, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_metric_outside_the_package_is_in_every_file_of_evaluate(
    outside, phantom_ct_file, tiny_bundle, tmp_path
):
    (tmp_path / "cases.json").write_text(json.dumps([{"id": "a", "ct": str(phantom_ct_file)}]))
    told = axon(
        outside, "evaluate", "--manifest", tmp_path / "cases.json", "--bundle", tiny_bundle.path,
        "--stages", "coarse", "--steps", 1, "--samples", 1, "--figures", 0, "--quiet",
        "--output", tmp_path / "out",
    )  # fmt: skip
    assert "toy_that_is_not_there" in told, "a broken plug-in is named, and stops nothing"
    with (tmp_path / "out" / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4
    assert all(float(row["worst_body"]) >= float(row["mae_body"]) > 0 for row in rows)
    text = (tmp_path / "out" / "comparison.md").read_text(encoding="utf-8")
    assert "- Largest error (worst_body): largest absolute error inside the body" in text
    assert "Gradient ratio | Largest error |" in text.split("### Inside the body")[1]


def test_a_metric_outside_the_package_is_in_record_and_report(
    outside, phantom_ct_file, phantom_xray_file, tiny_bundle, tmp_path
):
    axon(
        outside, "reconstruct", "--frontal", phantom_xray_file, "--ct", phantom_ct_file,
        "--bundle", tiny_bundle.path, "--stages", "coarse", "--steps", 1, "--quiet",
        "--no-register", "--output", tmp_path / "out",
    )  # fmt: skip
    record = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert record["metrics"]["coarse"]["worst_body"] >= record["metrics"]["coarse"]["mae_body"]
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<code>worst_body</code>" in report
    assert "largest absolute error inside the body" in report
