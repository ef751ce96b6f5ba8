"""Frontal, lateral and CT among the files of a patient."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct_series_writer import write_ct_series
from axon_backend.imaging.write import write_volume
from axon_backend.inference.study import Study, find_studies, find_study


def png(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(path)
    return path


def ct_folder(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    write_ct_series(
        path,
        np.zeros((9, 4, 4), np.float32),
        np.diag([1.0, 1.0, 1.0, 1.0]),
        description="ct",
        derived_from=[],
    )
    return path


def test_the_roles_of_plain_files_come_from_names_and_slices(tmp_path):
    frontal, lateral = png(tmp_path / "p1_pa.png"), png(tmp_path / "p1-LAT.png")
    ct, flat = tmp_path / "ct.nii.gz", tmp_path / "translateral_drr.nrrd"
    grid = np.diag([1.0, 1.0, 1.0, 1.0])
    write_volume(ct, np.zeros((12, 10, 10), np.float32), grid)
    (tmp_path / "notes.txt").write_text("lateral")
    found = find_study([lateral, frontal, ct, tmp_path / "notes.txt"])
    assert (found.frontal, found.lateral, found.ct) == (frontal, lateral, ct)
    assert found.name == "p1" and found.views == 2 and found.notes == ()
    write_volume(flat, np.zeros((1, 40, 40), np.float32), grid)  # one slice; "lateral" in a word
    assert find_study([flat]).frontal == flat


def test_a_dicom_series_is_a_ct_wherever_it_lies(tmp_path):
    series = ct_folder(tmp_path / "patient" / "deep" / "series")
    frontal = png(tmp_path / "patient" / "front.png")
    found = find_study([tmp_path / "patient"], "patient")
    assert found == Study("patient", frontal, None, series)


def test_a_folder_of_studies(tmp_path):
    png(tmp_path / "b" / "x.png")
    png(tmp_path / "b" / "y.png")
    png(tmp_path / "a" / "lateral.png")
    loose = png(tmp_path / "c_frontal.png"), png(tmp_path / "c_lateral.png")
    (tmp_path / "empty").mkdir()
    a, b, c = find_studies(tmp_path)
    assert (a.name, a.frontal, a.views) == ("a", None, 1)
    assert b.frontal.name == "x.png" and "left out: y.png" in b.notes[0]
    assert (c.name, c.frontal, c.lateral) == ("c", *loose)


def test_nothing_found_is_said(tmp_path):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(AxonInputError, match="no chest X-ray and no CT in a.txt"):
        find_study([tmp_path / "a.txt"])
    with pytest.raises(AxonInputError, match="holds no X-ray and no CT"):
        find_studies(tmp_path)
    with pytest.raises(AxonInputError, match="is not a folder"):
        find_studies(tmp_path / "gone")
