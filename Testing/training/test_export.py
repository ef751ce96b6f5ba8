"""Runs become a bundle that holds their weights, says where it comes from, and reconstructs."""

import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import training_tiny
from training_tiny import tiny, write_runs

import axon_backend
from axon_backend.bundle import load_bundle
from axon_backend.cli.main import main
from axon_backend.errors import AxonInputError
from axon_backend.imaging.frame import HuWindow
from axon_backend.inference.model_loading import load_model
from axon_backend.inference.reconstruct import reconstruct
from axon_backend.methods.axon.method import AXON
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.training.checkpoint import load_checkpoint
from axon_backend.training.export import _with_optional, export_bundle
from axon_backend.training.plan import resolve
from axon_backend.training.run.run_folder import RunFolder
from axon_backend.training.torch_file import save_atomically


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return root, write_runs(root)


def test_the_bundle_holds_the_weights_the_atlas_and_a_card(runs, tmp_path):
    root, model = runs
    made = export_bundle(root, tmp_path / "bundle", name="mine", author="A. Nobody")
    assert made.warnings == ()
    assert made.origins["encoder"] == "run coarse, step 7"
    bundle = load_bundle(tmp_path / "bundle")  # which verifies it
    loaded = load_model(bundle)
    assert loaded.config == tiny().model
    for part in model.config.networks:
        for name, value in model.network(part).state_dict().items():
            stored = loaded.network(part).state_dict()[name]
            assert torch.allclose(stored, value, rtol=1e-3, atol=1e-6), name
    atlas, size_mm = bundle.atlas()
    assert size_mm == (300.0, 230.0, 270.0)
    expected = HuWindow().to_hu(torch.linspace(-1, 1, 32)).numpy()
    assert abs(atlas[3, 4] - expected).max() <= 4.0  # kept in steps of 8 HU
    card = (tmp_path / "bundle" / "docs" / "README.md").read_text()
    for words in (
        "Research use only", "Training coarse: best at step 7 after 12 minutes", "muon at 0.0015",
        "code abc123def", "data ffffffffffff", "| coarse | v2_1_psnr | 20.5 |",
        "1 validation case,", "trained on 2 cases", "Licence",
    ):  # fmt: skip
        assert words in card, words
    assert bundle.metadata["authors"] == "A. Nobody"
    assert bundle.metadata["eval_metrics"]["coarse_v2_1_psnr"] == 20.5
    assert "has not stated a licence" in (tmp_path / "bundle" / "LICENSE").read_text()


def test_the_bundle_reconstructs(runs, tmp_path):
    export_bundle(runs[0], tmp_path / "bundle")
    drr = Path(axon_backend.__file__).parent / "demo_data" / "drr_lidc0306_pa.nrrd"
    result = reconstruct(drr, bundle=tmp_path / "bundle", device="cpu", register=False)
    assert result.volumes["sr"].shape == (32, 32, 32)


def test_what_is_missing_comes_from_the_base_or_is_named(runs, tmp_path):
    root = shutil.copytree(runs[0], tmp_path / "runs")
    whole = export_bundle(root, tmp_path / "base", name="base").bundle
    shutil.rmtree(root / "sr")
    with pytest.raises(AxonInputError, match="has trained the network 'sr'.*axon train sr.*--base"):
        export_bundle(root, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    made = export_bundle(root, tmp_path / "bundle", base=whole)
    assert made.origins["sr"] == "bundle base 0.1.0"
    one = export_bundle(root / "prior", tmp_path / "one", base=whole)
    assert one.origins["prior"] == "run prior, step 8"
    assert one.origins["coarse"] == "bundle base 0.1.0"
    with pytest.raises(AxonInputError, match="holds no run with weights"):
        export_bundle(tmp_path, tmp_path / "none")


def test_a_harmoniser_is_added_to_a_finished_model(runs, train, tmp_path):
    base = export_bundle(runs[0], tmp_path / "base", name="base").bundle
    train(tiny("harmoniser", steps=2), "added/harmoniser", start=base)
    made = export_bundle(tmp_path / "added", tmp_path / "bundle", base=base)
    assert made.origins["harmoniser"] == "run harmoniser, step 2"
    assert made.origins["encoder"] == "bundle base 0.1.0"
    assert "brought to the grey scale of DRRs" in (made.bundle.path / "docs/README.md").read_text()
    model = load_model(made.bundle)
    views = RegisteredViews(*torch.rand(2, 1, 1, 32, 32), torch.tensor([[0.07, -0.09]]))
    assert not torch.equal(model.harmonised(views).frontal, views.frontal)
    assert load_model(base).harmonised(views) is views
    # A later training of another network keeps it, but not one for X-rays of another size.
    train(tiny("encoder", steps=2), "more/encoder")
    later = export_bundle(tmp_path / "more", tmp_path / "later", base=made.bundle)
    assert later.origins["harmoniser"] == "bundle added 0.1.0"
    small = replace(load_model(made.bundle).config, harmoniser=())
    other = replace(small, encoder=replace(small.encoder, view_size=64))
    assert _with_optional(AXON, small, load_model(made.bundle).config).harmoniser
    assert _with_optional(AXON, other, load_model(made.bundle).config) == other


def test_a_run_without_validation_gives_the_averages_of_its_last_checkpoint(runs, tmp_path):
    root = shutil.copytree(runs[0], tmp_path / "runs")
    base = export_bundle(root, tmp_path / "base", name="base").bundle
    folder = RunFolder(root / "prior")
    values = load_checkpoint(folder.best)
    averages = {n: {k: v + 1 for k, v in p.items()} for n, p in values["parts"].items()}
    values.pop("figures")
    save_atomically(values | {"ema": averages, "step": 3}, folder.last)
    folder.best.unlink()
    made = export_bundle(root / "prior", tmp_path / "one", base=base)
    assert made.origins["prior"] == "run prior, step 3"
    (warning,) = made.warnings
    assert warning.startswith("prior ended before its first validation")
    stored, wanted = made.bundle.state_dict("prior"), averages["prior"]
    assert all(torch.allclose(stored[k].float(), v, rtol=1e-3) for k, v in wanted.items())
    card = (tmp_path / "one" / "docs" / "README.md").read_text()
    assert "Training prior: not validated, at step 3" in card


def test_networks_that_do_not_fit_together_are_refused(runs, tmp_path):
    root = shutil.copytree(runs[0], tmp_path / "runs")
    best = RunFolder(root / "coarse").best
    values = load_checkpoint(best)
    values["config"]["model"]["bridge"]["variance"] = 0.7
    save_atomically(values, best)
    os.utime(best, (1e9, 1e9))
    with pytest.raises(AxonInputError, match=r"'coarse' of .* model\.bridge\.variance = 0\.7"):
        export_bundle(root, tmp_path / "bundle")


def test_a_stage_trained_on_other_weights_is_warned_about(runs, tmp_path):
    root = shutil.copytree(runs[0], tmp_path / "runs")
    best = RunFolder(root / "prior").best
    values = load_checkpoint(best)
    next(iter(values["parts"]["prior"].values())).add_(0.1)
    save_atomically(values, best)
    os.utime(best, (1e9, 1e9))
    warnings = export_bundle(root, tmp_path / "bundle").warnings
    assert len(warnings) == 2  # the ControlNet and SR-Net were trained with the old prior
    assert "controlnet was trained with another 'prior'" in " ".join(warnings)


def test_the_mean_chest_is_trained_and_exported_as_its_own_atlas(train, tmp_path):
    """It starts as the mean of the training volumes; a rate of next to nothing leaves it there."""
    pairs = (
        "model.grid=16", "model.view_size=32", "optimiser.lr=1e-12", "precision=32", "threads=1",
        "data.workers=0", "validation.cases=1", "validation.samples=0",
        f"cache_folder={training_tiny.shared['cache']}",
    )  # fmt: skip
    config = resolve("mean", method="atlas_mean", steps=1, pairs=pairs)
    folder = train(config, "runs/mean")
    assert folder.state()["method"] == "atlas_mean"
    bundle = export_bundle(folder.path, tmp_path / "bundle").bundle
    assert bundle.config["method"] == "atlas_mean" and bundle.networks == ("mean",)
    drr = Path(axon_backend.__file__).parent / "demo_data" / "drr_lidc0306_pa.nrrd"
    volume = reconstruct(drr, bundle=bundle, device="cpu", register=False).volume
    atlas, _ = bundle.atlas()
    factor = atlas.shape[0] // 16
    pooled = atlas.reshape(16, factor, 16, factor, 16, factor).mean((1, 3, 5))
    assert volume == pytest.approx(pooled, abs=6.0)  # the atlas is kept in steps of 8 HU
    assert volume.std() > 100


def test_eight_bits_are_half_the_size(runs, tmp_path):
    sizes = []
    for packed in (False, True):
        bundle = export_bundle(runs[0], tmp_path / str(packed), packed=packed).bundle
        sizes.append((bundle.path / "models" / "encoder.safetensors").stat().st_size)
    assert sizes[1] < sizes[0]


def test_a_full_disk_is_no_bad_input(runs, tmp_path, forked):
    """Files may not grow beyond a limit, as on a full disk."""
    import resource

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
        sys.exit(main(["bundle", "export", str(runs[0]), str(tmp_path / "out")]))

    child = forked(limited)
    child.join(100)
    assert child.exitcode == 1
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    assert main(["bundle", "export", str(runs[0]), str(tmp_path / "file" / "out")]) == 2
