"""The mean chest: the same volume for every patient, found by L2, in a bundle like any other."""

import pytest
import torch

from axon_backend.bundle import write_bundle
from axon_backend.bundle.metadata import bundle_metadata
from axon_backend.errors import AxonInputError
from axon_backend.inference.model_loading import bundle_config, load_model
from axon_backend.inference.session import InferenceSession
from axon_backend.methods.atlas_mean.method import (
    ATLAS_MEAN,
    AtlasMeanConfig,
    AtlasMeanLoss,
    MeanObjective,
)
from axon_backend.methods.batch import Batch, ValidationCase
from axon_backend.methods.formats import views_format
from axon_backend.methods.protocol import RegisteredViews

CONFIG = AtlasMeanConfig(grid=12, view_size=8)


def volumes(count: int, side: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 1, side, side, side, generator=generator) * 2 - 1


def batch_of(volume: torch.Tensor) -> Batch:
    views = torch.rand(2, len(volume), 1, 8, 8)
    return Batch(volume, volume, views[0], views[1], torch.zeros(len(volume), 2))


def test_it_answers_the_mean_volume_whatever_the_x_rays_show():
    model = ATLAS_MEAN.build(CONFIG).eval()
    mean = volumes(1, side=24)
    model.set_mean_volume(mean)
    small = mean.reshape(12, 2, 12, 2, 12, 2).mean((1, 3, 5))
    for seed in (1, 2):
        view = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
        out = model.reconstruct(RegisteredViews(view, None, torch.zeros(1, 2))).volumes
        assert list(out) == ["mean"] and torch.allclose(out["mean"][0, 0], small, atol=1e-6)


def test_the_loss_is_least_at_the_mean_of_the_volumes():
    model = ATLAS_MEAN.build(CONFIG)
    objective = MeanObjective(model, AtlasMeanLoss(), single_view=0.0)
    batch = batch_of(volumes(5))
    with torch.no_grad():
        model.mean.volume.copy_(batch.volume.mean(0, keepdim=True))
    loss = objective(batch)
    assert float(loss.detach()) == pytest.approx(float(batch.volume.var(0, correction=0).mean()))
    loss.backward()
    assert model.mean.volume.grad.abs().max() < 1e-6
    measured = objective.measure(ValidationCase("c", batch_of(volumes(1)), None))
    assert objective.score(measured.metrics) == -measured.metrics["mean_psnr"]


def test_a_bundle_of_it_reconstructs(phantom_xray_file, tmp_path):
    model = ATLAS_MEAN.build(CONFIG)
    with torch.no_grad():
        model.mean.volume.copy_(volumes(1))
    bundle = write_bundle(
        tmp_path / "mean",
        config=bundle_config(ATLAS_MEAN, CONFIG),
        metadata=bundle_metadata(
            name="mean",
            version="1.0",
            description="d",
            inputs=views_format(1024),
            output_grid=12,
            hu_window=(-1000, 900),
            networks=ATLAS_MEAN.network_formats(CONFIG),
        ),
        state_dicts={"mean": model.mean.state_dict()},
        atlas_hu=CONFIG.window.to_hu(volumes(1)[0, 0]).numpy(),
        atlas_size_mm=(300.0, 230.0, 270.0),
        model_card="# mean\n",
        licence_text="Apache-2.0\n",
        dtype=torch.float32,
    )
    assert load_model(bundle).config == CONFIG
    session = InferenceSession(bundle, "cpu")
    result = session.reconstruct(phantom_xray_file, register=False)
    expected = CONFIG.window.to_hu(volumes(1)[0, 0]).numpy()
    assert result.volume == pytest.approx(expected, abs=1e-3)
    assert result.record["method"] == "atlas_mean"
    assert [(s["name"], s["steps_run"]) for s in result.record["stages"]] == [("mean", 1)]
    with pytest.raises(AxonInputError, match="coarse cannot be run: give mean"):
        session.stages("coarse")
    with pytest.raises(AxonInputError, match="Mean chest takes 0: none"):
        session.steps([3])
