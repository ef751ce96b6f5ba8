"""The report: well-formed, complete, self-contained and safe with hostile text."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from axon_backend.errors import AxonInputError
from axon_backend.evaluation.report import report_html, write_report
from axon_backend.metrics import metric_names

ATTACK = '<script>alert("x")</script>'
VOID = {"meta", "img", "br", "hr", "link", "input"}
RESULT = {
    "software": {"axon": "0.1.0", "torch": "2.8"},
    "inputs": [
        {
            "role": "frontal",
            "path": f"/data/{ATTACK}.png",
            "view": "pa",
            "pixel_mm": [0.2, 0.2],
            "assumptions": ["The view is not stated; PA was taken.", ATTACK],
        },
        {"role": "ct", "path": "truth.nii.gz", "assumptions": []},
    ],
    "registration": [
        {"role": "frontal", "view": "pa", "verdict": "poor", "ncc": 0.3125, "gradient_ncc": 0.2,
         "mutual_information": 0.9, "warnings": ["Rotated by 12 degrees."]},
        {"role": "lateral", "view": "ll", "verdict": "rendered in place"},
    ],
    "bundle": {"name": "axon-preview", "version": "0.1", "sha256": "ab" * 32},
    "device": "cpu",
    "seed": 0,
    "samples": 1,
    "stages": [{"name": "coarse", "steps": 10, "seconds": 1.25}],
    "metrics": {
        "coarse": dict.fromkeys(metric_names(), 0.5) | {"psnr_body": float("nan")},
        "sr": {"psnr": 21.234},
    },
    "atlas_mean": {"psnr": 15.678},
    "warnings": ["the depth in millimetres follows the average chest"],
    "disclaimer": "Research use only, not for diagnosis",
}  # fmt: skip


class Reader(HTMLParser):
    """Checks that tags are closed in order, and gathers text, tags and attributes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> out of order"

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def images() -> dict:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), (200, 0, 0)).save(file, "PNG")
    ramp = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    return {"overview": file.getvalue(), "overlay_frontal": ramp, ATTACK: np.zeros((2, 2, 3))}


def test_everything_of_the_run_is_in_the_text(images: dict) -> None:
    text = read(report_html(RESULT, images)).text
    for expected in (
        "Research use only. Not for diagnosis.", "frontal, PA", "The view is not stated",
        "0.2 × 0.2 mm", "CT (ground truth)", "No assumptions were necessary", "poor", "0.3125",
        "Rotated by 12 degrees.", "rendered in place", "axon-preview 0.1", "ab" * 32, "cpu",
        "torch", "2.8", "1.25", "21.23", "ssim3d_gauss11", "sigma 1.5", "average chest",
        "15.68", "mean of the training volumes",
    ):  # fmt: skip
        assert expected in text, expected
    assert "nan" not in text.lower().split()


def test_hostile_text_is_escaped(images: dict) -> None:
    html = report_html(RESULT, images)
    reader = read(html)
    assert "script" not in reader.tags
    assert "<script" not in html.lower()
    assert reader.text.count(ATTACK) >= 2, "shown as text"


def test_nothing_is_loaded_from_elsewhere(images: dict) -> None:
    html = report_html(RESULT, images)
    reader = read(html)
    assert not re.search(r"https?://|@import|url\(", html)
    assert "link" not in reader.tags and "iframe" not in reader.tags
    sources = [value for name, value in reader.attributes if name in ("src", "href", "srcset")]
    assert len(sources) == 3
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_images_come_through_unchanged_and_in_their_sections(images: dict) -> None:
    html = report_html(RESULT, images)
    found = [base64.b64decode(data) for data in re.findall(r"base64,([^\"]+)", html)]
    assert found[0] == images["overview"]
    grey = np.asarray(Image.open(io.BytesIO(found[1])))
    assert np.array_equal(grey, np.rint(images["overlay_frontal"] * 255))
    overlay = html.index("Overlay frontal")
    assert html.index("<h2>Registration") < overlay < html.index("<h2>Run")


def test_a_result_without_optional_keys_makes_a_short_report(tmp_path: Path) -> None:
    path = write_report(tmp_path / "report.html", {}, {})
    reader = read(path.read_text(encoding="utf-8"))
    assert "Not for diagnosis." in reader.text
    assert "h2" not in reader.tags
    half = {"inputs": [{}], "registration": [{}], "bundle": {}, "stages": [{}], "metrics": None}
    text = read(report_html(half, {})).text
    assert "not recorded" in text and "not judged" in text and "unnamed" in text
    assert "None" not in text


def test_unusable_images_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    for image in (b"GIF89a", np.zeros(5)):
        with pytest.raises(AxonInputError, match="overview"):
            write_report(tmp_path / "report.html", RESULT, {"overview": image})
    assert not list(tmp_path.iterdir())
