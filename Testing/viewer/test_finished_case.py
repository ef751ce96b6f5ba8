"""A folder of ``axon reconstruct`` in words."""

import json

import nibabel
import numpy as np
import pytest

from axon_backend.errors import AxonInputError
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.write import write_volume
from axon_backend.physics.pose import Pose
from axon_backend.viewer.finished_case import FinishedCase

FRAME = ThoraxFrame((48.0, -182.0, 660.0), (200.0, 160.0, 240.0))
RECORD = {
    "disclaimer": "Research use only, not for diagnosis",
    "inputs": [
        {
            "role": "frontal",
            "path": "pa.png",
            "view": "pa",
            "pixel_mm": None,
            "assumptions": ["it was taken for a PA view"],
        },
        {"role": "ct", "path": "ct.nii.gz", "assumptions": []},
    ],
    "registration": [{"role": "frontal", "view": "pa", "verdict": "good"}],
    "bundle": {"name": "tiny", "version": "1.0"},
    "device": "cpu",
    "seed": 0,
    "samples": 1,
    "stages": [{"name": "coarse", "steps": 1, "seconds": 1.0}],
    "hu_window": [-1000.0, 900.0],
    "frame": FRAME.as_dict(),
    "reprojection": {"frontal": 0.8383},
    "metrics": {"coarse": {"psnr": 21.2, "mae": 0.05}},
    "atlas_mean": {"psnr": 16.2, "mae": 0.1},
    "warnings": ["check the orientation"],
}


@pytest.fixture
def folder(tmp_path):
    for name in ("reconstruction", "coarse"):
        write_volume(tmp_path / f"{name}.nii.gz", np.zeros((4, 4, 4), np.float32), FRAME)
    (tmp_path / "result.json").write_text(json.dumps(RECORD))
    return tmp_path


def test_words(folder):
    case = FinishedCase.open(folder)
    assert case.disclaimer == "Research use only, not for diagnosis"
    frontal, ct = case.inputs
    assert frontal["lines"] == [
        "File: pa.png",
        "View: frontal, PA (beam from back to front)",
        "Pixel size: unknown",
    ]
    assert frontal["assumed"] == ["it was taken for a PA view"]
    assert ct["assumed"] == ["Nothing had to be assumed."]
    assert case.warnings == ["check the orientation"]
    assert case.registration[0].startswith("frontal, PA (beam from back to front): good")
    assert {"name": "Seed", "value": "0"} in case.facts
    assert {"name": "Agreement with the frontal X-ray (NCC)", "value": "0.8383"} in case.facts


def test_measures_have_units(folder):
    rows = {row["name"]: (row["value"], row["atlas"]) for row in FinishedCase.open(folder).measures}
    # A mean absolute error of 0.05 on [0, 1] is 95 HU in a window of 1900 HU.
    assert rows == {"MAE (HU)": ("95", "190"), "PSNR (dB)": ("21.2", "16.2")}


def test_volumes_the_reconstruction_first(folder):
    volumes = FinishedCase.open(folder).volumes
    assert list(volumes)[0] == "Reconstruction"
    assert [file.name for file in volumes.values()] == ["reconstruction.nii.gz", "coarse.nii.gz"]


def test_a_stage_names_no_file_elsewhere(folder):
    outside = folder / "case"
    outside.mkdir()
    for file in list(folder.glob("*.*")):
        file.rename(outside / file.name)
    write_volume(folder / "secret.nii.gz", np.zeros((4, 4, 4), np.float32), FRAME)
    record = RECORD | {"stages": [{"name": "../secret"}]}
    (outside / "result.json").write_text(json.dumps(record))
    assert list(FinishedCase.open(outside).volumes) == ["Reconstruction"]


def test_the_ct_lies_in_the_frame_and_moves_with_the_pose(folder, phantom_ct, tmp_path):
    def marker(record):
        (folder / "result.json").write_text(json.dumps(record))
        image = nibabel.load(FinishedCase.open(folder).write_ct(phantom_ct, tmp_path))
        hu = np.asarray(image.dataobj)
        voxel = np.unravel_index(hu.argmax(), hu.shape)
        return (image.affine @ [*voxel, 1])[:3] * (-1, -1, 1)  # RAS to LPS

    still = marker(RECORD)
    np.testing.assert_allclose(still, (148.0, -190.0, 670.0), atol=6)
    pose = Pose(translation_mm=(0.0, 0.0, -20.0))
    np.testing.assert_allclose(
        marker(RECORD | {"pose": pose.as_dict()}) - still, (0, 0, -20), atol=2.5
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "has no result.json"),
        ("{", "is not JSON"),
        ("[]", "is not the record of a reconstruction"),
        ('{"refused": "The registration is poor."}', "holds no volume"),
        ("{}", "has no reconstruction.nii.gz"),
    ],
)
def test_folders_that_are_none(tmp_path, text, sentence):
    if text is not None:
        (tmp_path / "result.json").write_text(text)
    with pytest.raises(AxonInputError, match=sentence):
        FinishedCase.open(tmp_path)


def test_a_record_without_its_frame(folder, phantom_ct):
    (folder / "result.json").write_text(json.dumps(RECORD | {"frame": None}))
    with pytest.raises(AxonInputError, match="does not say where the volume lies"):
        FinishedCase.open(folder).write_ct(phantom_ct, folder)
