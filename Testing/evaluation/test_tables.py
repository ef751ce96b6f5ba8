"""Tables: groups, means, differences, escapes, and rows that are refused."""

import csv
import math
from pathlib import Path

import pytest

from axon_backend import DISCLAIMER
from axon_backend.evaluation.comparison import compare
from axon_backend.evaluation.tables import (
    comparison_sections,
    latex,
    latex_text,
    markdown,
    paper_table,
    write_comparison_csv,
    write_metrics_csv,
)


def row(case: str, bundle: str, psnr: float, **more: object) -> dict:
    return {
        "id": case, "patient": case, "bundle": bundle, "method": "m", "stage": "last",
        "views": 1, "inputs": "Frontal DRR", "estimate": "", "grid": 64, "psnr": psnr, **more,
    }  # fmt: skip


def test_csv_has_the_columns_and_one_line_a_row(tmp_path: Path) -> None:
    rows = [row("a, b", "axon", 20.0, gradient_ratio=0.75), row("=c", "toy", math.nan)]
    text = write_metrics_csv(tmp_path / "metrics.csv", rows).read_text()
    assert text.splitlines()[0] == (
        "id,patient,bundle,method,stage,views,inputs,estimate,grid,psnr,gradient_ratio"
    )
    read = list(csv.DictReader(text.splitlines()))
    assert [r["id"] for r in read] == ["a, b", "'=c"], "no formula for a spreadsheet"
    assert float(read[0]["gradient_ratio"]) == 0.75 and read[1]["gradient_ratio"] == ""
    assert list(tmp_path.iterdir()) == [tmp_path / "metrics.csv"], "no temporary file is left"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row("a", "axon", 20.0)] * 2, "two rows"),
        ([row("a", "axon", 20.0, views=3)], "number of views"),
        ([{"id": "a", "bundle": "axon", "psnr": 1.0}], "lacks patient"),
    ],
)
def test_wrong_rows_are_refused(tmp_path: Path, rows: list[dict], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        write_metrics_csv(tmp_path / "metrics.csv", rows)
    assert not list(tmp_path.iterdir())


def test_means_and_paired_differences_by_hand() -> None:
    rows = [
        *(row(c, "axon", v) for c, v in zip("abcd", (18.0, 22.0, 20.0, 24.0), strict=True)),
        *(row(c, "toy", v) for c, v in zip("abc", (17.0, 20.0, 21.0), strict=True)),
    ]
    (group,) = compare(rows, "axon")
    axon, toy = group.lines
    assert group.patients == 4 and axon.values["psnr"].value == 21.0
    assert not axon.differences, "not to itself"
    # Patient d, whom only one of them has, takes no part in the difference.
    difference = toy.differences["psnr"]
    assert difference.n == 3 and difference.value == pytest.approx((-1 - 2 + 1) / 3)
    assert (difference.low, difference.high) == (-2.0, 1.0)
    assert toy.p["psnr"] is None


def test_six_patients_are_tested_and_p_is_adjusted_for_the_number_of_lines() -> None:
    rows = [row(c, "axon", 20.0) for c in "abcdef"]
    rows += [row(c, name, 20.0 + gain + i) for name, gain in (("x", 1), ("y", 7))
             for i, c in enumerate("abcdef")]  # fmt: skip
    (group,) = compare(rows, "axon")
    # Alone each has p = 2 / 2^6; there are two of them.
    assert [line.p.get("psnr") for line in group.lines] == [None, 4 / 64, 4 / 64]


def test_scans_of_one_patient_are_averaged_first() -> None:
    rows = [row("a1", "axon", 10.0, patient="a"), row("a2", "axon", 20.0, patient="a"),
            row("b", "axon", 30.0)]  # fmt: skip
    (group,) = compare(rows, "axon")
    assert group.lines[0].values["psnr"].value == (15.0 + 30.0) / 2 and group.patients == 2


def test_inputs_of_different_sources_and_grids_are_never_mixed() -> None:
    rows = [
        row("a", "axon", 20.0, views=2, inputs="Frontal and lateral X-ray"),
        row("b", "axon", 30.0, views=2, inputs="Frontal X-ray and lateral DRR"),
        row("a", "axon", 25.0),
        row("a", "axon", 19.0, grid=128),
    ]
    groups = compare(rows, "axon")
    assert [(g.inputs, g.grid, g.lines[0].values["psnr"].value) for g in groups] == [
        ("Frontal DRR", 64, 25.0),
        ("Frontal DRR", 128, 19.0),
        ("Frontal and lateral X-ray", 64, 20.0),
        ("Frontal X-ray and lateral DRR", 64, 30.0),
    ]


def test_a_sample_is_compared_with_a_sample_and_a_regression_with_the_mean() -> None:
    rows = [
        row("a", "axon", 20.0, estimate="one sample"),
        row("a", "axon", 22.0, estimate="mean of 8"),
        row("a", "regression", 21.5),
        row("a", "other", 19.0, estimate="one sample"),
        row("a", "other", 21.0, estimate="mean of 8"),
    ]
    (group,) = compare(rows, "axon")
    found = {line.title: d.value for line in group.lines for d in line.differences.values()}
    assert found == {
        "regression, last": -0.5, "other, last, one sample": -1.0, "other, last, mean of 8": -1.0,
    }  # fmt: skip


def test_markdown_says_n_intervals_and_what_is_best(tmp_path: Path) -> None:
    rows = [row("a", "ax|on", 20.0), row("b", "ax|on", 22.0), row("a", "toy", 19.0),
            row("b", "toy", math.nan, psnr_body=3.0)]  # fmt: skip
    groups = compare(rows, "ax|on")
    text = markdown("A title", comparison_sections(groups), ["A note."])
    lines = text.splitlines()
    assert "## Frontal DRR, 64³ voxels (2 patients)" in lines
    assert "| ax\\|on, last | **21.00 \\[20.00, 22.00\\]** |" in lines
    assert "| toy, last | 19.00 (n = 1) |" in lines
    assert "### Whole volume: difference from ax\\|on, last; n = 1: too small for a test" in lines
    assert "| toy, last | −1.00 |" in lines
    assert "| toy, last | 3.00 (n = 1) |" in lines, "inside the body, a table of its own"
    assert DISCLAIMER in text and "A note." in text
    assert "- PSNR (psnr): peak signal-to-noise ratio" in text


def test_a_caption_says_where_n_is_too_small_for_a_test() -> None:
    rows = [row(c, "axon", 20.0, ssim3d_gauss11=0.5) for c in "abcdef"]
    rows += [row(c, "toy", 19.0, ssim3d_gauss11=0.4) for c in "abcde"]
    rows += [row("f", "toy", 19.0)]
    caption = "Whole volume: difference from axon, last"
    for patients, end in (("abcdef", "; without p where n is below 6"), ("ab", "; n = 2: too")):
        chosen = [one for one in rows if one["id"] in patients]
        text = markdown("A title", comparison_sections(compare(chosen, "axon")))
        assert f"### {caption}{end}" in text
    rows[-1]["ssim3d_gauss11"] = 0.4
    assert f"### {caption}\n" in markdown("A title", comparison_sections(compare(rows, "axon")))


def test_comparison_csv_holds_every_number(tmp_path: Path) -> None:
    rows = [row(c, b, v) for b, v in (("axon", 20.0), ("toy", 19.0)) for c in "ab"]
    path = write_comparison_csv(tmp_path / "comparison.csv", compare(rows, "axon"))
    axon, toy = csv.DictReader(path.read_text().splitlines())
    assert (axon["metric"], axon["n"], axon["mean"], axon["low"], axon["high"]) == (
        "psnr", "2", "20", "20", "20",
    )  # fmt: skip
    assert (toy["difference"], toy["difference_n"], toy["p_holm"]) == ("-1", "2", "")


def test_latex_escapes_everything_that_it_would_obey() -> None:
    assert latex_text(r"50 % of $x_1$ & #2 {a}\b~^<|>") == (
        r"50 \% of \$x\_1\$ \& \#2 \{a\}\textbackslash{}b\textasciitilde{}\textasciicircum{}"
        r"\textless{}\textbar{}\textgreater{}"
    )
    rows = [row("a", "my_bundle \\end{table}", 20.0), row("b", "my_bundle \\end{table}", 22.0)]
    section = paper_table("Table 1 & more", compare(rows, "my_bundle \\end{table}"), ("psnr",))
    text = latex("A % title\nof two lines", [section])
    assert text.startswith("% A % title of two lines.")
    assert text.count(r"\end{table}") == 1 == text.count(r"\caption{Table 1 \& more}")
    line = r"my\_bundle \textbackslash{}end\{table\}, last & Frontal DRR & 64$^3$ & 2 & "
    assert line + r"21.00 $\pm$ 1.41 \\" in text


def test_a_table_of_the_paper_has_the_finest_volumes_only_where_asked() -> None:
    rows = [row("a", "axon", 20.0), row("a", "axon", 19.0, grid=128),
            row("a", "atlas_mean", 15.0, stage="")]  # fmt: skip
    groups = compare(rows, "axon")
    voxels = [
        [cells[2].text for cells in paper_table("t", groups, ("psnr",), finest=f).tables[0].rows]
        for f in (False, True)
    ]
    assert voxels == [["64³"], ["64³", "128³"]], "and not the atlas mean, which the paper lacks"
