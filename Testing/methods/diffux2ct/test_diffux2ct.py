"""DiffuX2CT as a whole: losses with known answers, a training step, samples, presets."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from axon_backend.diffusion.from_noise import NoiseSampling
from axon_backend.diffusion.gaussian import PREDICTIONS
from axon_backend.methods.batch import Batch, Draws, ValidationCase
from axon_backend.methods.diffux2ct.config import DiffuX2CTLoss, full, preview
from axon_backend.methods.diffux2ct.method import DIFFUX2CT
from axon_backend.methods.diffux2ct.train import DiffusionObjective, projection_loss
from axon_backend.util.run_context import RunContext


def batch_of(views, t=0.5, single=False, seed: int = 3) -> Batch:
    rng, count = torch.Generator().manual_seed(seed), len(views.frontal)
    smooth = torch.randn(count, 1, 4, 4, 4, generator=rng)
    volume = torch.nn.functional.interpolate(smooth, size=16, mode="trilinear").clamp(-1, 1)
    nothing = torch.zeros(count, dtype=torch.float64)
    draws = Draws(
        single=torch.full((count,), single),
        t=torch.full((count,), t, dtype=torch.float64),
        t_end=nothing,
        augmentation=nothing,
        kind=nothing,
        crop=torch.zeros(count, 3, dtype=torch.float64),
        noise=torch.randn(volume.shape, generator=rng),
        seeds=torch.arange(count),
    )
    return Batch(volume, volume, views.frontal, views.lateral, views.beam, draws)


def test_the_projection_loss_of_known_volumes():
    y = torch.rand(2, 1, 6, 6, 6) * 2 - 1
    assert torch.equal(projection_loss(y, y), torch.zeros(2))
    shift = torch.tensor([0.25, -0.5]).reshape(2, 1, 1, 1, 1)
    assert torch.allclose(projection_loss(y + shift, y), torch.tensor([0.25, 0.5]), atol=1e-6)
    # A checkerboard is seen by no projection; a sheet by one of them at full strength.
    sign = (torch.arange(6) % 2 * 2.0 - 1).reshape(6, 1, 1)
    board = sign * sign.reshape(1, 6, 1) * sign.reshape(1, 1, 6)
    assert projection_loss(y + board, y).max() < 1e-6
    stripes = sign.expand(6, 6, 6)
    assert torch.allclose(projection_loss(y + stripes, y), torch.full((2,), 2 / 3), atol=1e-6)


@pytest.mark.parametrize("t", [0, 250, 999])
def test_the_inverse_has_the_root_that_the_summary_lacks(t):
    """From (y_t, e) back to y_0, in DDPM's linear schedule, by hand."""
    diffusion = full().diffusion
    assert diffusion.prediction == "epsilon"
    abar = float(np.prod(1 - np.linspace(1e-4, 2e-2, 1000)[: t + 1]))
    assert float(diffusion.alphas_cumprod[t]) == pytest.approx(abar, rel=1e-4)
    y, e, times = torch.rand(2, 1, 4, 4, 4), torch.randn(2, 1, 4, 4, 4), torch.tensor([t, t])
    y_t = abar**0.5 * y + (1 - abar) ** 0.5 * e
    assert torch.allclose(diffusion.predict_x0(e, y_t, times), y, atol=2e-3)
    printed = (y_t - (1 - abar) * e) / abar**0.5
    assert t == 999 or not torch.allclose(printed, y, atol=2e-3)


def test_the_projection_loss_counts_up_to_a_time_and_by_its_weight(tiny, views):
    model = tiny()

    def loss(t, **settings):
        objective = DiffusionObjective(model, DiffuX2CTLoss(**settings), single_view=0.0)
        with torch.no_grad():
            return float(objective(batch_of(views, t)))

    for t, counts in ((0.5, True), (0.79, True), (0.81, False)):
        none, some, more = (loss(t, projection=weight) for weight in (0.0, 1.0, 3.0))
        assert (some > none) == counts
        assert more - none == pytest.approx(3 * (some - none), abs=1e-5)
    assert loss(0.81, projection=1.0, projection_until=1.0) > loss(0.81, projection=1.0)
    with pytest.raises(ValueError, match="projection_until is 2"):
        DiffuX2CTLoss(projection_until=2)


@pytest.mark.parametrize("single", [False, True])
def test_training_steps_lower_the_loss_of_a_batch(tiny, views, single):
    model = tiny().train()
    objective = DiffusionObjective(model, DiffuX2CTLoss(), single_view=0.0)
    batch = batch_of(views, single=single)
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(4):
        optimiser.zero_grad()
        loss = objective(batch)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[1] < losses[0] and losses[3] < losses[1]
    # Only the constant for an absent view goes without, where all views are there.
    without = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert without == (set() if single else {"tri_plane.no_lateral"})


def test_samples_follow_the_seed_the_views_and_the_steps(tiny, views):
    model = tiny()
    one = views.split()[0]
    seen: list[tuple[int, int]] = []
    told = RunContext(seed=1, progress=lambda stage, done, total, x: seen.append((done, total)))

    def run(views=one, steps=3, context=RunContext(seed=1)):  # noqa: B008 - frozen
        return model.run_stage("diffusion", views, None, steps=steps, context=context)

    first = run(context=told)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert first.shape == (1, 1, 16, 16, 16) and first.abs().max() <= 1
    assert torch.equal(first, run())
    alone = replace(one, lateral=None)
    for other in (run(context=RunContext(seed=2)), run(steps=4), run(alone), run(views.split()[1])):
        assert not torch.allclose(first, other, atol=1e-3)
    ancestral = tiny(sampling=NoiseSampling(steps=3, eta=1.0))
    drawn = ancestral.run_stage("diffusion", one, None, context=RunContext(seed=1))
    assert not torch.allclose(first, drawn, atol=1e-3)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_perfect_denoiser_recovers_the_ct(tiny, views, monkeypatch, prediction):
    """A network that returns what it is asked for, from wherever the walk stands."""
    diffusion = replace(full().diffusion, prediction=prediction)
    model, true = tiny(diffusion=diffusion), batch_of(views).volume

    def answer(y_t, t, conditions):
        alpha, sigma = diffusion.alpha_sigma(t)
        return diffusion.target(true, t, (y_t - alpha * true) / sigma)

    monkeypatch.setattr(model.denoiser, "forward", answer)
    for steps in (1, 6):
        out = model.draw(views, steps, torch.Generator().manual_seed(0))
        assert torch.allclose(out, true, atol=2e-3)


def test_it_validates_with_two_views_and_with_one(tiny, views):
    objective = DiffusionObjective(tiny(), DiffuX2CTLoss(), single_view=0.5)
    with torch.no_grad():
        measured = objective.measure(ValidationCase("c", batch_of(views)[:1], None))
    metrics = measured.metrics
    assert measured.sample.shape == (16, 16, 16) and metrics["v2_psnr"] != metrics["v1_psnr"]
    assert objective.score(metrics) == -(metrics["v2_psnr"] + 0.5 * metrics["v1_psnr"])


def test_the_presets():
    """The full size has the 20 to 30 million parameters of its specification."""
    for config, low, high in ((preview(), 3e6, 6e6), (full(), 20e6, 30e6)):
        with torch.device("meta"):
            model = DIFFUX2CT.build(config)
        assert low < sum(p.numel() for p in model.parameters()) < high
        assert model.config.level_sizes[-1] == DIFFUX2CT.smallest_side(config)
        assert config.sampling.steps == 50 and config.decoder.lookup == "cone"
    assert preview().level_sizes == (32, 16, 8) and full().level_sizes == (128, 64, 32, 16)
    assert DiffuX2CTLoss().projection == 1 / full().diffusion.steps
    with pytest.raises(ValueError, match="size is 60; it must be a multiple of 8"):
        replace(preview(), size=60)
