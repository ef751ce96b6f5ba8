"""Accepting and rejecting registrations, and the page that they are looked at on."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re

import pytest
from PIL import Image

from axon_backend.cli.main import main
from axon_backend.dataset.assemble import assemble_again
from axon_backend.dataset.dataset import Dataset
from axon_backend.dataset.decide import decide
from axon_backend.dataset.prepare import prepare
from axon_backend.dataset.review import read_review
from axon_backend.errors import AxonInputError

TWO = "LIDC-IDRI-0002"


def case_of(folder, name=TWO):
    return next((c for c in Dataset.read(folder).cases if c.id == name), None)


def test_a_rejected_xray_is_not_trained_on(lidc_data, copy_of):
    data = copy_of(lidc_data[0])
    split = case_of(data).split
    assert decide(data, [], [f"{TWO}/lateral"]) == 1
    case = case_of(data)
    assert case.real("lateral") is None and case.real("frontal") is not None
    assert case.group == "paired" and case.split == split
    decide(data, [], [TWO])
    assert case_of(data).group == "drr"
    decide(data, [TWO], [])
    assert case_of(data).group == "biplanar"


def test_a_rejected_ct_leaves_the_case_out_until_it_is_accepted(lidc_data, copy_of):
    data = copy_of(lidc_data[0])
    decide(data, [], [f"{TWO}/ct"])
    assert case_of(data) is None
    assert "excluded in the review" in (data / "report.csv").read_text()
    decide(data, [f"{TWO}/ct"], [])
    assert case_of(data).group == "biplanar"


def test_the_next_run_honours_the_review(lidc, lidc_data, small, one_thread, copy_of):
    data = copy_of(lidc_data[0])
    review = {"format": "axon-review", "version": 1, "decisions": {f"{TWO}/frontal": "reject"}}
    (data / "review.json").write_text(json.dumps(review))
    assert prepare(lidc, data, small, workers=0).made == 0
    assert case_of(data).real("frontal") is None
    assert "by a person" in (data / "report.html").read_text()


def test_a_decision_on_another_image_does_not_count(lidc_data, copy_of):
    data = copy_of(lidc_data[0])
    old = {f"{TWO}/frontal": {"decision": "reject", "picture": "0" * 16}}
    review = {"format": "axon-review", "version": 1, "decisions": old}
    (data / "review.json").write_text(json.dumps(review))
    assemble_again(data)
    assert case_of(data).real("frontal") is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("{}", "is not a review"),
        ('{"format": "axon-review", "version": 2}', "has version 2"),
        ('{"format": "axon-review", "version": 1, "decisions": {"a/frontal": "maybe"}}', "maybe"),
        ('{"format": "axon-review", "version": 1, "decisions": {"a": "accept"}}', "expected"),
    ],
)
def test_a_broken_review_is_refused(tmp_path, text, words):
    (tmp_path / "review.json").write_text(text)
    with pytest.raises(AxonInputError, match=words):
        read_review(tmp_path)


def test_unknown_names_are_refused_and_nothing_is_written(lidc_data, copy_of, capsys):
    data = copy_of(lidc_data[0])
    assert main(["prepare", "--output", str(data), "--accept", "nobody"]) == 2
    assert "no such X-ray" in capsys.readouterr().err
    assert main(["prepare", "--output", str(data), "--accept", TWO, "--reject", TWO]) == 2
    assert not (data / "review.json").exists()
    assert main(["prepare", "--output", str(data), "--reject", f"{TWO}/frontal"]) == 0
    assert "1 decision written" in capsys.readouterr().out
    assert main(["prepare", "--output", str(data)]) == 2


def test_the_page_is_whole_in_itself(lidc_data):
    page = (lidc_data[0] / "report.html").read_text()
    assert "Research use only. Not for diagnosis." in page
    assert not re.search(r"(src|href)\s*=\s*[\"']?(http|//|file)", page)
    # Two images of registrations a case with both views, one of a case without.
    images = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(images) == 1 + 2 + 1
    for text in images:
        assert Image.open(io.BytesIO(base64.b64decode(text))).size[0] > 300
    # The policy lets the page's own script run, and nothing else.
    script = re.search(r"<script>(.*)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page and "default-src 'none'" in page


def test_the_page_names_each_image_as_the_review_does(lidc_data):
    page = (lidc_data[0] / "report.html").read_text()
    shown = set(re.findall(r'name="([^"]+)" value="accept" data-picture="(\w{16})"', page))
    real = {
        (f"{c.id}/{v.role}", hashlib.sha256(v.file.read_bytes()).hexdigest()[:16])
        for c in Dataset.read(lidc_data[0]).cases
        for v in c.views
        if v.kind == "real"
    }
    assert shown == real and len(real) == 3


def test_texts_from_files_cannot_break_the_page(tmp_path):
    from axon_backend.dataset.report import Line, report_html
    from axon_backend.dataset.settings import PrepareSettings

    evil = "</script><img src=x onerror=alert(1)>"
    line = Line(evil, evil, "train", "", "skipped", evil, evil, [evil])
    review = {f"{evil}/frontal": {"decision": "accept"}}
    page = report_html(tmp_path, [line], [evil], PrepareSettings(), review)
    assert "<img src=x" not in page and page.count("</script>") == 1


def test_the_gate_can_be_stricter_without_making_anything_again(lidc, lidc_data, small, copy_of):
    from dataclasses import replace

    data = copy_of(lidc_data[0])
    values = json.loads((data / "dataset.json").read_text())
    verdicts = {
        (c["id"], v["role"]): v["quality"]["verdict"]
        for c in values["cases"]
        for v in c["views"]
        if v["kind"] == "real"
    }
    assert prepare(lidc, data, replace(small, gate="good"), workers=0).made == 0
    for case in Dataset.read(data).cases:
        for view in case.views:
            if view.kind == "real":
                assert view.accepted == (verdicts[case.id, view.role] == "good")
