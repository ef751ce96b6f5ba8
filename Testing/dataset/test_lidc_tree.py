"""A folder like LIDC-IDRI as it is downloaded: what is taken, what is left out, and why."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from axon_backend.dataset.dataset import Dataset
from axon_backend.imaging.ct import read_ct
from axon_backend.imaging.frame import find_thorax_frame

GOOD = {"LIDC-IDRI-0001": "paired", "LIDC-IDRI-0002": "biplanar", "LIDC-IDRI-0010": "drr"}
BAD = {
    "LIDC-IDRI-0003": "cut short",
    "LIDC-IDRI-0004": "has missing slices: a gap of 28.0 mm",
    "LIDC-IDRI-0005": "whole chest",
    "LIDC-IDRI-0006": "No lungs",
    "LIDC-IDRI-0007": "there is no CT",
    "LIDC-IDRI-0008": "whole chest",
    "LIDC-IDRI-0009": "used for 2 people",
}


@pytest.fixture(scope="module")
def lines(lidc_data):
    with open(lidc_data[0] / "report.csv", newline="") as stream:
        return {row["id"]: row for row in csv.DictReader(stream)}


def test_every_patient_has_a_fate_and_a_reason(lines, lidc_data):
    assert set(lines) == {*GOOD, *BAD}
    assert {k: v["group"] for k, v in lines.items() if v["status"] == "done"} == GOOD
    for name, words in BAD.items():
        assert lines[name]["status"] == "skipped"
        assert words in lines[name]["reason"], lines[name]["reason"]
    assert not lidc_data[1].failed and not lidc_data[1].stopped


def test_data_set_is_read_by_the_trainers_reader(lidc_data):
    data = Dataset.read(lidc_data[0])
    assert {case.id: case.group for case in data.cases} == GOOD
    for case in data.cases:
        assert case.ct.is_file() and len(case.sha256) == 64
        assert all(view.file.is_file() for view in case.views)
    two = next(case for case in data.cases if case.group == "biplanar")
    assert two.real("frontal").view.value == "pa" and two.real("lateral").view.value == "ll"
    assert np.asarray(two.real("frontal").matrix).shape == (3, 3)


def test_the_chest_is_chosen_among_scouts_and_crops(lines, lidc_data):
    said = lines["LIDC-IDRI-0001"]["ct"]
    assert "series 2 'CHEST' (77 slices of 4.00 mm)" in said and "best of 2" in said
    # The frame in the data set is that of the source's chest, to within its voxels.
    case = next(c for c in Dataset.read(lidc_data[0]).cases if c.id == "LIDC-IDRI-0001")
    ct = read_ct(case.ct)
    assert ct.spacing_mm == (4.0, 4.0, 4.0)
    again = find_thorax_frame(ct)
    assert np.allclose(again.center_mm, case.frame.center_mm, atol=4.0)
    assert np.allclose(again.size_mm, case.frame.size_mm, atol=8.0)


def test_equally_good_series_are_told(lines):
    notes = lines["LIDC-IDRI-0010"]["notes"]
    assert "equally good" in notes and "'B70f'" in notes and "series number is lower" in notes


def test_the_nearest_xray_is_taken_and_a_hand_is_not(lines, lidc_data):
    row = lines["LIDC-IDRI-0001"]
    assert row["days"] == "3"
    assert "body part (HAND)" in row["notes"] and "nearest in time" in row["notes"]
    case = next(c for c in Dataset.read(lidc_data[0]).cases if c.id == "LIDC-IDRI-0001")
    assert case.real("frontal").source.endswith("a/1/near.dcm")
    assert case.real("lateral") is None


def test_damaged_files_are_listed(lines, lidc_data):
    page = (lidc_data[0] / "report.html").read_text()
    assert "c/empty.dcm" in page and "empty (0 bytes)" in page


def test_a_scaled_patient_has_a_scaled_frame(lidc_data):
    # Patient 2 is patient 1 enlarged by 1.05: so are the lungs; the margins around them are not.
    frames = {c.id[-1]: c.frame for c in Dataset.read(lidc_data[0]).cases}
    margin = np.array([30.0, 50.0, 25.0])
    lungs = {k: np.array(frames[k].size_mm) - margin for k in "12"}
    assert np.allclose(lungs["2"], 1.05 * lungs["1"], atol=8.1)


def test_the_lateral_drr_fits_its_own_ct(lidc_data):
    values = json.loads((lidc_data[0] / "dataset.json").read_text())
    case = next(c for c in values["cases"] if c["id"] == "LIDC-IDRI-0002")
    lateral = next(v for v in case["views"] if v["role"] == "lateral" and v["kind"] == "real")
    assert lateral["quality"]["verdict"] == "good" and lateral["quality"]["ncc"] > 0.8


def test_names_and_dates_stay_behind(lidc_data):
    for path in lidc_data[0].rglob("*"):
        if path.is_file() and path.parent.name != "private":
            data = path.read_bytes()
            assert b"Nobody" not in data and b"Knows" not in data, path
            assert b"19400101" not in data and b"20000101" not in data, path
