"""The figures of the shipped model in README and on the evaluation page are those of its card."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CARD = ROOT / "axon_backend" / "bundles" / "preview" / "docs" / "README.md"
PAGE = ROOT / "Resources" / "Docs" / "evaluation.md"
METHODS = {
    "atlas mean": "atlas mean",
    "CoarseDiff": "AXON, coarse",
    "FineDiff": "AXON, fine",
    "SR-Net (128³)": "AXON, sr",
}


def rows(path: Path) -> list[list[str]]:
    """The cells of all rows of all tables."""
    lines = path.read_text("utf-8").splitlines()
    return [[c.strip() for c in line.strip("|").split("|")] for line in lines if line[:1] == "|"]


@pytest.fixture(scope="module")
def measured() -> dict[tuple[str, str], list[str]]:
    """(method, number of views) -> [PSNR, SSIM] of the test patients, with their spread."""
    test = [row for row in rows(CARD) if row[0].endswith(" test")]
    return {(row[2], row[1]): row[-2:] for row in test}


def test_the_page_repeats_the_card(measured):
    found = {row[0]: row[1:] for row in rows(PAGE) if row[0] in METHODS}
    assert set(found) == set(METHODS)
    for name, cells in found.items():
        assert cells == measured[METHODS[name], "1"] + measured[METHODS[name], "2"], name


def test_the_readme_rounds_the_card(measured):
    number = r"(\d+\.\d) dB(?: PSNR)? and (0\.\d\d)"
    text = (ROOT / "README.md").read_text("utf-8")
    found = re.search(
        rf"reach {number} SSIM \(the atlas mean: {number}\); from one, {number}", text
    )
    assert found
    keys = ("AXON, coarse", "2"), ("atlas mean", "2"), ("AXON, coarse", "1")
    for k, (psnr, ssim) in enumerate(measured[key] for key in keys):
        assert float(found[2 * k + 1]) == pytest.approx(float(psnr.split()[0]), abs=0.051)
        assert float(found[2 * k + 2]) == pytest.approx(float(ssim.split()[0]), abs=0.0051)
