"""Tables: the columns, the means, and rows that are refused."""

import csv
import math
from pathlib import Path

import pytest

from axon_backend import DISCLAIMER
from axon_backend.evaluation.tables import (
    metrics_markdown,
    write_metrics_csv,
    write_metrics_markdown,
)


def row(case: str, method: str, stage: str, views: int, psnr: float, **more: float) -> dict:
    return {
        "id": case, "method": method, "stage": stage, "views": views,
        "mae": 0.125, "mse": 0.25, "psnr": psnr, "ssim3d_gauss11": 0.5, **more,
    }  # fmt: skip


def test_csv_has_the_columns_and_one_line_a_row(tmp_path: Path) -> None:
    rows = [
        row("a, b", "axon", "sr", 2, 20.0, gradient_ratio=0.75),
        row("c", "atlas_mean", "", 1, 17.0),
    ]
    text = write_metrics_csv(tmp_path / "metrics.csv", rows).read_text()
    assert text.splitlines()[0] == (
        "id,method,stage,views,mae,mse,psnr,ssim3d_gauss11,gradient_ratio"
    )
    read = list(csv.DictReader(text.splitlines()))
    assert [r["id"] for r in read] == ["a, b", "c"]
    assert float(read[0]["gradient_ratio"]) == 0.75
    assert read[1]["stage"] == "" and read[1]["gradient_ratio"] == ""
    assert list(tmp_path.iterdir()) == [tmp_path / "metrics.csv"], "no temporary file is left"


def test_no_rows_still_make_a_header(tmp_path: Path) -> None:
    text = write_metrics_csv(tmp_path / "metrics.csv", []).read_text()
    assert text == "id,method,stage,views,mae,mse,psnr,ssim3d_gauss11\n"


def test_markdown_has_mean_and_sample_deviation_of_each_group(tmp_path: Path) -> None:
    rows = [
        row("a", "axon", "coarse", 1, 18.0),
        row("b", "axon", "coarse", 1, 22.0),  # mean 20, sample deviation 2 sqrt 2
        row("c", "axon", "coarse", 1, math.nan),
        row("a", "axon", "coarse", 2, 30.0),
        row("a", "atlas_mean", "", 1, 17.0),
    ]
    text = write_metrics_markdown(tmp_path / "metrics.md", rows, ["Seed 3."]).read_text()
    lines = [line for line in text.splitlines() if line.startswith("| 1") or line.startswith("| 2")]
    assert [line.split(" | ")[1:4] for line in lines] == [
        ["atlas_mean", "-", "1"],
        ["axon", "coarse", "3"],
        ["axon", "coarse", "1"],
    ]
    assert "20 ± 2.8" in lines[1]
    assert "| 30 |" in lines[2], "no deviation of one case"
    assert DISCLAIMER in text and "Seed 3." in text and "sigma 1.5" in text


def test_a_column_without_numbers_is_a_dash() -> None:
    line = metrics_markdown([row("a", "axon", "sr", 1, math.nan)]).splitlines()[4]
    assert line == "| 1 | axon | sr | 1 | 0.125 | 0.25 | - | 0.5 |"


def test_metrics_of_the_body_have_a_table_of_their_own() -> None:
    text = metrics_markdown([row("a", "axon", "sr", 1, 20.0, psnr_body=19.0, mae_body=0.5)])
    box, body = text.split("## Inside the body\n\n")
    assert "| 1 | axon | sr | 1 | 0.125 | 0.25 | 20 | 0.5 |" in box and "psnr_body" not in box
    assert body.splitlines()[0] == "| views | method | stage | cases | mae_body | psnr_body |"
    assert body.splitlines()[2] == "| 1 | axon | sr | 1 | 0.5 | 19 |"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row("a", "axon", "sr", 1, 20.0)] * 2, "two rows"),
        ([row("a", "axon", "", 1, 20.0)], "only for it"),
        ([row("a", "axon", "sr", 3, 20.0)], "number of views"),
        ([{"id": "a", "method": "axon", "stage": "sr", "views": 1, "mae": 0.1}], "lacks mse"),
    ],
)
def test_wrong_rows_are_refused(tmp_path: Path, rows: list[dict], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        write_metrics_csv(tmp_path / "metrics.csv", rows)
    assert not list(tmp_path.iterdir())
