"""Python calls refuse what the command line refuses, with the same kind of exception."""

import math

import numpy as np
import pytest

from axon_backend.bundle.library import import_bundle
from axon_backend.dataset.prepare import prepare
from axon_backend.dataset.settings import PrepareSettings
from axon_backend.errors import AxonInputError
from axon_backend.evaluation.manifest import read_manifest
from axon_backend.imaging.ct import read_ct
from axon_backend.imaging.radiograph import read_radiograph
from axon_backend.inference.reconstruct import reconstruct
from axon_backend.physics.drr import render_drr
from axon_backend.physics.pose import Pose
from axon_backend.training.plan import resolve
from axon_backend.util.output_folder import output_folder

# The long names and zeros that no command line can carry, too.
ODD_PATHS = {
    "nothing": "", "blanks": "  ", "zero": "a\0b.png", "long": "x" * 5000,
    "long path": "x/" * 5000 + "x.nii", "surrogate": "\udcff.png",
}  # fmt: skip
READERS = {
    "radiograph": read_radiograph,
    "ct": read_ct,
    "manifest": read_manifest,
    "bundle": import_bundle,
    "prepare": lambda path: prepare(path, "out"),
}


@pytest.mark.parametrize("path", ODD_PATHS)
@pytest.mark.parametrize("reader", READERS)
def test_odd_paths(reader, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AXON_HOME", str(tmp_path / "home"))
    with pytest.raises(AxonInputError) as caught:
        READERS[reader](ODD_PATHS[path])
    assert "\n" not in str(caught.value)
    left = {p.name for p in tmp_path.rglob("*")} - {"home", "bundles", "models"}
    assert left == set()


@pytest.mark.parametrize("output", ["", "  "])
def test_an_empty_output(output, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "source").mkdir()
    with pytest.raises(AxonInputError, match="empty"), output_folder(output, ()):
        pass
    with pytest.raises(AxonInputError, match="empty"):
        prepare("source", output)
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"seed": -1}, {"seed": 2**31}, {"seed": 1.5}, {"seed": True}, {"samples": 0},
        {"samples": 10**9}, {"steps": [0]}, {"steps": {"coarse": 10**9}}, {"steps": {"cross": 1}},
        {"steps": [1] * 9}, {"stages": "fine"}, {"stages": ("coarse", "finest")},
        {"device": "tpu"}, {"bundle": "nobody"}, {"frontal": ""}, {"ct": ""}, {"lateral": ""},
        {"stated": {"frontal": {"rotate": 45}}}, {"frontal": None},
        {"placements": {"frontal": np.zeros((3, 3))}}, {"placements": {"side": np.eye(3)}},
    ],
    ids=str,
)  # fmt: skip
def test_reconstruct(arguments, phantom_xray_file, tiny_bundle):
    usual = {"frontal": phantom_xray_file, "bundle": tiny_bundle, "stages": "coarse"}
    with pytest.raises(AxonInputError):
        reconstruct(**{**usual, **arguments})


@pytest.mark.parametrize(
    "call",
    [
        lambda ct: render_drr(ct, Pose().geometry(_frame(ct), _pa()), 0),
        lambda ct: render_drr(ct, Pose().geometry(_frame(ct), _pa()), 10**6),
        lambda ct: Pose(sid_mm=math.nan),
        lambda ct: Pose(rotation_deg=(math.inf, 0, 0)),
        lambda ct: PrepareSettings(seed=2**31),
        lambda ct: PrepareSettings(voxel_mm=math.nan),
        lambda ct: PrepareSettings(gate="best"),
        lambda ct: resolve("coarse", pairs=["lr=nan"]),
        lambda ct: resolve("coarse", pairs=["seed=-1"]),
        lambda ct: resolve("coarse", steps=0),
        lambda ct: resolve("nothing"),
    ],
)
def test_numbers(call, phantom_ct):
    with pytest.raises(AxonInputError):
        call(phantom_ct)


def _frame(ct):
    from axon_backend.imaging.frame import find_thorax_frame

    return find_thorax_frame(ct)


def _pa():
    from axon_backend.imaging.view import View

    return View.pa
