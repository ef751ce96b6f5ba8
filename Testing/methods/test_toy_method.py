"""A method of somebody else's package: found by its entry point, then trained, exported, shown, run
and evaluated by the commands there are, with no edit to AXON."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import toy_package

import axon_backend

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with the toy method."""
    return toy_package.install(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def axon(site):
    """axon("bundle", "list") -> the finished process; ``installed=False`` without the package."""

    def call(*words, installed: bool = True) -> subprocess.CompletedProcess:
        paths = [str(Path(axon_backend.__file__).parents[1]), *([str(site)] if installed else [])]
        return subprocess.run(
            [sys.executable, "-m", "axon_backend", *map(str, words)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )

    return call


@pytest.fixture(scope="module")
def bundle(axon, phantom_ct_file, tmp_path_factory) -> Path:
    """Trained on two copies of the phantom and exported, by the command line."""
    root = tmp_path_factory.mktemp("toy")
    for name in "abc":
        shutil.copy(phantom_ct_file, root / f"{name}.nii.gz")
    listing = {"train": ["a.nii.gz", "b.nii.gz"], "validation": ["c.nii.gz"]}
    (root / "data.json").write_text(json.dumps(listing))
    settings = ("data.cache=4", "data.workers=0", "optimiser.lr=0.05", "validation.cases=1")
    made = axon(
        "train", "depths", "--method", "toy", "--data", root / "data.json",
        "--run", root / "runs" / "depths", "--steps", 60, "--device", "cpu", "--quiet",
        *(word for pair in settings for word in ("--set", pair)),
    )  # fmt: skip
    assert (made.returncode, made.stderr) == (0, "")
    made = axon("bundle", "export", root / "runs", root / "bundle", "--name", "toys")
    assert made.returncode == 0, made.stderr
    assert "depths: run depths, step" in made.stdout
    return root / "bundle"


def test_the_training_lowers_the_error(bundle):
    with (bundle.parent / "runs" / "depths" / "metrics.csv").open() as stream:
        losses = [float(r["loss"]) for r in csv.DictReader(stream) if r["loss"]]
    assert losses[-1] < 0.9 * losses[0]


def test_help_and_listing_name_it(axon, bundle):
    assert "toy: the frontal view spread along its rays" in axon("train", "--help").stdout
    shown = axon("bundle", "show", bundle).stdout
    assert "method: Toy method (toy)" in shown
    assert "stage spread: Spreading (spread view)" in shown and "stage smooth: Smoothing" in shown
    verified = axon("bundle", "verify", bundle)
    assert verified.returncode == 0 and "files verified" in verified.stdout
    card = (bundle / "docs" / "README.md").read_text()
    assert "Toy method: the frontal view" in card and "## Method\n\nToy method\n" in card


def test_it_reconstructs_by_stages_and_steps(axon, bundle, phantom_xray_file, tmp_path):
    made = axon(
        "reconstruct", "--frontal", phantom_xray_file, "--no-register", "--bundle", bundle,
        "--steps", 3, "--keep-stages", "--quiet", "--output", tmp_path / "out",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert record["method"] == "toy" and record["bundle"]["name"] == "toys"
    assert [(s["name"], s["steps_run"]) for s in record["stages"]] == [("spread", 1), ("smooth", 3)]
    volumes = [
        sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / f"{name}.nii.gz")))
        for name in ("spread", "smooth", "reconstruction")
    ]
    assert all(v.shape == (16, 16, 16) for v in volumes)
    assert np.array_equal(volumes[1], volumes[2])
    assert np.abs(np.diff(volumes[1], axis=2)).sum() < np.abs(np.diff(volumes[0], axis=2)).sum()


def test_what_it_does_not_have_is_said_in_its_own_words(axon, bundle, phantom_xray_file, tmp_path):
    run = ("reconstruct", "--frontal", phantom_xray_file, "--bundle", bundle, "--quiet",
           "--output", tmp_path / "out")  # fmt: skip
    for words, says in (
        (("--stages", "smooth"), "give spread, then optionally smooth"),
        (("--steps", "3,4"), "Toy method takes 1: smooth"),
    ):
        made = axon(*run, *words)
        assert made.returncode == 2 and says in made.stderr and made.stderr.count("\n") == 1


def test_it_is_evaluated_beside_the_atlas(axon, bundle, phantom_ct_file, tmp_path):
    case = {"id": "p", "frontal": None, "lateral": None, "ct": str(phantom_ct_file)}
    (tmp_path / "cases.json").write_text(json.dumps([case]))
    made = axon(
        "evaluate", "--manifest", tmp_path / "cases.json", "--bundle", bundle, "--quiet",
        "--figures", 0, "--output", tmp_path / "out",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    with (tmp_path / "out" / "metrics.csv").open() as stream:
        rows = [(r["method"], r["stage"], r["views"]) for r in csv.DictReader(stream)]
    stages = (("toy", "spread"), ("toy", "smooth"), ("atlas_mean", ""))
    assert rows == [(*stage, views) for views in "12" for stage in stages]


def test_without_the_package_its_bundle_is_one_sentence(axon, bundle, phantom_xray_file, tmp_path):
    made = axon("bundle", "show", bundle, installed=False)
    assert made.returncode == 0 and "method: There is no method 'toy'" in made.stdout
    made = axon(
        "reconstruct", "--frontal", phantom_xray_file, "--bundle", bundle, "--quiet",
        "--output", tmp_path / "out", installed=False,
    )  # fmt: skip
    assert made.returncode == 2 and made.stderr.count("\n") == 1
    assert "There is no method 'toy'" in made.stderr and "Install the package" in made.stderr
