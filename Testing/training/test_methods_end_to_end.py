"""The methods that AXON is compared with, by the commands of methods.md, from training to a table.

Networks of a few thousand weights and a few steps: what they learn is tested elsewhere.
"""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import training_tiny

import axon_backend
from axon_backend.bundle import load_bundle
from axon_backend.cli.main import main
from axon_backend.inference.model_loading import load_model
from axon_backend.methods import registry

DEMO = Path(axon_backend.__file__).parent / "demo_data"
FRONTAL, LATERAL = (DEMO / f"drr_lidc0306_{view}.nrrd" for view in ("pa", "lateral"))
# Of each method but AXON, whose trainings have tests of their own, a small model. One that is
# trained against an adversary needs 24^3 voxels.
TINY = {
    "atlas_mean": {"grid": 16, "view_size": 32},
    "nearest_patient": {"grid": 16, "view_size": 32, "match_size": 8, "patients": 2},
    "repeat_concatenate": {"grid": 24, "view_size": 24, "channels": [8, 8]},
    "x2ct": {
        "grid": 24, "view_size": 24, "stem": 8, "layers": [1, 1, 1], "growth": 4,
        "decoder": [8, 8, 4, 4], "blocks": [1, 1, 1], "fused_blocks": [1, 1, 1, 0],
    },
    "diffux2ct": {
        "size": 16,
        "tri_plane": {
            "view_size": 32, "size": 16, "channels": [8, 8],
            "planes": 4, "rank": 4, "axial": [8, 8],
        },
        "decoder": {"features": 4, "hidden": 8, "frequencies": 2},
        "denoiser": {"channels": [8, 16], "windows": [0, 2], "groups": 4, "head_channels": 8},
        "sampling": {"steps": 2},
    },
    "global_vector_ldm": {
        "size": 16,
        "autoencoder": {"channels": [8, 8], "latents": 2, "groups": 4},
        "view_encoder": {"view_size": 32, "channels": [8, 8], "width": 16},
        "denoiser": {
            "channels": [8, 8], "attention": [False, True], "groups": 4, "head_channels": 4,
        },
        "sampling": {"steps": 2},
    },
}  # fmt: skip


def test_no_method_is_left_out():
    assert {*TINY, "axon"} == set(registry.BUILT_IN)


@pytest.mark.slow
@pytest.mark.parametrize("method", TINY)
def test_from_training_to_a_table(method, data, phantom_ct_file, tmp_path):
    info = registry.info(method)
    settings = {
        "log_steps": 1,
        "precision": "32",
        "threads": 1,
        "data": {"cache": 4, "cache_folder": training_tiny.shared["cache"], "workers": 0},
        "validation": {"every_steps": 2, "cases": 1, "samples": 1},
        "model": TINY[method],
    }
    (tmp_path / "settings.yaml").write_text(json.dumps(settings))
    runs, bundle = tmp_path / "runs", tmp_path / "bundle"
    for training in info.training_names:
        words = ("--method", method, "--data", data, "--run", runs / training, "--steps", 2,
                 "--config", tmp_path / "settings.yaml", "--device", "cpu", "--quiet")  # fmt: skip
        assert main(["train", training, *map(str, words)]) == 0
    assert main(["bundle", "export", str(runs), str(bundle), "--name", method]) == 0
    model = load_model(load_bundle(bundle))
    assert model.config == registry.load(method).configure(model.config.as_dict())
    assert model.config.output_grid == (TINY[method].get("grid") or TINY[method]["size"])

    words = ("--frontal", FRONTAL, "--lateral", LATERAL, "--bundle", bundle, "--no-register",
             "--device", "cpu", "--output", tmp_path / "out", "--quiet")  # fmt: skip
    assert main(["reconstruct", *map(str, words)]) == 0
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert record["method"] == method
    assert [s["name"] for s in record["stages"]] == list(info.stage_names)

    # With one view and with two.
    case = {"id": "p", "frontal": None, "lateral": None, "ct": str(phantom_ct_file)}
    (tmp_path / "cases.json").write_text(json.dumps([case]))
    words = ("--manifest", tmp_path / "cases.json", "--bundle", bundle, "--device", "cpu",
             "--figures", "0", "--output", tmp_path / "table", "--quiet")  # fmt: skip
    assert main(["evaluate", *map(str, words)]) == 0
    with (tmp_path / "table" / "metrics.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["method"] == method]
    assert {row["views"] for row in rows} == {"1", "2"}
    assert np.isfinite([float(row["psnr"]) for row in rows]).all()
