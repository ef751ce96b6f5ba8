"""X-rays to 256^3 voxels with the paper's networks at their full size, on a CPU.

Their weights are random and exported as those of trainings are; what is tested is that a bundle of
that size can be written, read and run, and how much memory this takes.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from training_tiny import write_runs

import axon_backend
from axon_backend.bundle import load_bundle
from axon_backend.training.export import export_bundle
from axon_backend.training.plan import resolve

ROOT = Path(axon_backend.__file__).parents[1]
DEMO = Path(axon_backend.__file__).parent / "demo_data"


@pytest.fixture(scope="module")
def paper_bundle(tmp_path_factory):
    """The preset ``paper`` with random weights and the atlas of the shipped model."""
    folder = tmp_path_factory.mktemp("paper")
    hu, size_mm = load_bundle(None).atlas()
    window = resolve("coarse", preset_name="paper").model.window
    mean = torch.as_tensor(window.normalise(hu))[None, None]
    mean = torch.nn.functional.interpolate(mean, size=(256,) * 3, mode="trilinear")
    write_runs(folder, lambda stage: resolve(stage, preset_name="paper"), mean, size_mm)
    return export_bundle(folder, folder / "bundle").bundle


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is asked of a Unix system")
def test_the_paper_s_networks_reconstruct_at_full_size_within_12_gb(paper_bundle, tmp_path):
    command = [sys.executable, "-m", "axon_backend", "reconstruct"]
    command += ["--frontal", str(DEMO / "drr_lidc0306_pa.nrrd")]
    command += ["--lateral", str(DEMO / "drr_lidc0306_lateral.nrrd")]
    command += ["--bundle", str(paper_bundle.path), "--steps", "1,1", "--device", "cpu"]
    command += ["--keep-stages", "--allow-poor", "--quiet", "--output", str(tmp_path / "out")]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=variables)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    volumes = {
        file.name.removesuffix(".nii.gz"): sitk.GetArrayFromImage(sitk.ReadImage(str(file)))
        for file in (tmp_path / "out").glob("*.nii.gz")
    }
    assert volumes["coarse"].shape == volumes["fine"].shape == (128, 128, 128)
    assert volumes["reconstruction"].shape == (256, 256, 256)
    window = json.loads((tmp_path / "out" / "result.json").read_text())["hu_window"]
    assert window == [-100.0, 900.0]
    for volume in volumes.values():
        assert window[0] <= volume.min() and volume.max() <= window[1] and np.ptp(volume) > 0
    in_bytes = 1 if sys.platform == "darwin" else 1024
    assert used.ru_maxrss * in_bytes < 12e9
