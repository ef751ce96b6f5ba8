"""Frontal, lateral and CT among the files of one patient."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from axon_backend.cli.demo import DATA
from axon_backend.cohort.patient import find_patient
from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct_series_writer import write_ct_series
from axon_backend.imaging.radiograph import read_radiograph
from axon_backend.imaging.write import write_png, write_volume

GRID = np.diag([1.0, 1.0, 1.0, 1.0])


def png(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(path)
    return path


def test_the_roles_of_plain_files_come_from_names_and_slices(tmp_path):
    frontal, lateral = png(tmp_path / "p1_pa.png"), png(tmp_path / "p1-LAT.png")
    ct = tmp_path / "scan.nii.gz"
    write_volume(ct, np.zeros((12, 10, 10), np.float32), GRID)
    (tmp_path / "notes.txt").write_text("lateral")
    found = find_patient([lateral, frontal, ct, tmp_path / "notes.txt"])
    assert (found.frontal, found.lateral, found.ct) == (frontal, lateral, ct)
    assert found.notes == ()


def test_an_xray_without_a_known_view_is_the_frontal_one(tmp_path):
    first, second = png(tmp_path / "x.png"), png(tmp_path / "y.png")
    found = find_patient([tmp_path])
    assert (found.frontal, found.lateral) == (first, None)
    assert "Left out" in found.notes[0] and second.name in found.notes[0]
    lateral = png(tmp_path / "a_lateral.png")
    assert find_patient([first, lateral]).lateral == lateral


def test_where_no_name_or_tag_states_the_view_the_image_does(tmp_path):
    side = read_radiograph(DATA / "drr_lidc0306_lateral.nrrd", flip=False).pixels[::2, ::2]
    lateral = write_png(tmp_path / "1.png", (side - side.min()) / np.ptp(side), bits=16)
    frontal = Path(shutil.copy(DATA / "xray_pa.jpg", tmp_path / "2.jpg"))
    found = find_patient([tmp_path])
    assert (found.frontal, found.lateral, found.notes) == (frontal, lateral, ())
    assert find_patient([lateral]).lateral == lateral


def test_a_dicom_series_is_a_ct_wherever_it_lies(tmp_path):
    series = tmp_path / "patient" / "deep" / "series"
    series.parent.mkdir(parents=True)
    hu = np.zeros((60, 16, 16), np.float32)
    write_ct_series(series, hu, np.diag([20.0, 20.0, 5.0, 1.0]), description="chest")
    frontal = png(tmp_path / "patient" / "front.png")
    found = find_patient([tmp_path / "patient"])
    assert (found.frontal, found.ct) == (frontal, series), found.notes


def test_nothing_found_is_said(tmp_path):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(AxonInputError, match="no chest X-ray and no CT in a.txt"):
        find_patient([tmp_path / "a.txt"])
