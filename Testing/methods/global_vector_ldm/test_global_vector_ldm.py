"""The global-vector latent diffusion: latents, a condition without positions, two trainings."""

from dataclasses import replace

import pytest
import torch

from axon_backend.methods.batch import Batch, Draws, ValidationCase
from axon_backend.methods.global_vector_ldm.config import (
    AutoencoderConfig,
    GlobalVectorConfig,
    GlobalVectorLoss,
    LatentUNetConfig,
    ViewEncoderConfig,
    full,
    preview,
)
from axon_backend.methods.global_vector_ldm.method import GLOBAL_VECTOR_LDM
from axon_backend.methods.global_vector_ldm.train import AutoencoderObjective, LatentObjective
from axon_backend.methods.global_vector_ldm.view_encoder import GlobalViewEncoder
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.util.run_context import RunContext

CONFIG = GlobalVectorConfig(
    size=16,
    autoencoder=AutoencoderConfig(channels=(8, 8), latents=2, patch=2, groups=4),
    view_encoder=ViewEncoderConfig(view_size=16, channels=(8, 8), width=16),
    denoiser=LatentUNetConfig(channels=(8, 8), attention=(False, True), groups=4, head_channels=4),
)


@pytest.fixture(scope="module")
def model():
    """Small, and every layer that starts at zero has weights."""
    torch.manual_seed(0)
    built = GLOBAL_VECTOR_LDM.build(CONFIG).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            if not parameter.any():
                parameter.normal_(std=0.3)
    return built


@pytest.fixture
def views():
    drawn = torch.rand(2, 2, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    return RegisteredViews(drawn[0], drawn[1], torch.zeros(2, 2))


def batch_of(views) -> Batch:
    rng, count = torch.Generator().manual_seed(3), len(views.frontal)
    smooth = torch.randn(count, 1, 4, 4, 4, generator=rng)
    volume = torch.nn.functional.interpolate(smooth, size=16, mode="trilinear").clamp(-1, 1)
    u = torch.full((count,), 0.4, dtype=torch.float64)
    crop, noise = u[:, None].expand(-1, 3), torch.randn(volume.shape, generator=rng)
    single = torch.zeros(count, dtype=torch.bool)
    draws = Draws(single, u, u, u, u, crop, noise, torch.arange(count))
    return Batch(volume, volume, views.frontal, views.lateral, views.beam, draws)


@torch.no_grad()
def test_latents_have_their_shape_and_unit_variance_once_tracked(model):
    vae = GLOBAL_VECTOR_LDM.build(CONFIG).vae
    volume = torch.rand(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mu, sigma = vae.posterior(volume)
    assert mu.shape == sigma.shape == (2, *CONFIG.latent_shape) == (2, 2, 4, 4, 4)
    assert (sigma > 0).all()
    for _ in range(1500):
        vae.track(mu)
    latents = vae.encode(volume)
    flat = latents.transpose(0, 1).flatten(1)
    assert torch.allclose(flat.mean(1), torch.zeros(2), atol=1e-3)
    assert torch.allclose(flat.var(1, correction=0), torch.ones(2), atol=1e-3)
    assert torch.allclose(vae.decode(latents), vae.reconstruct(mu), atol=1e-5)


def test_the_presets_compress_by_four_into_four_channels():
    assert preview().latent_shape == (4, 16, 16, 16) and full().latent_shape == (4, 32, 32, 32)
    for config in (preview(), full()):
        assert config.diffusion.prediction == "sample"
        assert sum(config.denoiser.attention) == 2 and config.view_encoder.width == 512
        with torch.device("meta"):
            GLOBAL_VECTOR_LDM.build(config)
    with pytest.raises(ValueError, match="size is 24; it must be a multiple of 16"):
        replace(preview(), size=24)


@torch.no_grad()
def test_the_condition_has_no_position(model, views):
    """One vector a view, whatever the image's size, and the same wherever in it a structure is."""
    vectors = model.xray(views)
    assert vectors.shape == (2, 2, 16)
    frontal = views.frontal.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(model.xray(replace(views, frontal=frontal)), vectors, atol=1e-5)
    torch.manual_seed(0)
    wide = GlobalViewEncoder(ViewEncoderConfig(view_size=128, channels=(8, 8), width=16)).eval()
    image = torch.zeros(1, 1, 128, 128)
    image[..., 61:64, 59:65] = 1.0
    vector = wide.vector(image, 0)
    # By a multiple of the stride, 4, and out of reach of the borders.
    assert torch.allclose(wide.vector(image.roll((4, -4), (2, 3)), 0), vector, atol=1e-6)
    assert not torch.allclose(wide.vector(image.transpose(2, 3), 0), vector, atol=1e-3)


@torch.no_grad()
def test_the_condition_does_not_depend_on_brightness_or_contrast(model, views):
    brighter = replace(views, frontal=0.2 + 0.5 * views.frontal)
    assert torch.allclose(model.xray(brighter), model.xray(views), atol=1e-4)
    empty = model.xray(replace(views, frontal=torch.zeros_like(views.frontal)))
    assert torch.isfinite(empty).all()


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_times_are_drawn_with_their_power(model, views, monkeypatch, power):
    """t = T u^(1 / power), with u = 0.4 in the batch: 400, or 632 of 1000."""
    seen = []
    monkeypatch.setattr(
        model.denoiser, "forward", lambda y, t, context: seen.append(t) or torch.zeros_like(y)
    )
    LatentObjective(model, GlobalVectorLoss(t_power=power), single_view=0.0)(batch_of(views))
    assert seen[0].tolist() == [int(1000 * 0.4 ** (1 / power))] * 2
    with pytest.raises(ValueError, match="t_power is 0; it must be greater than 0"):
        GlobalVectorLoss(t_power=0)


@torch.no_grad()
def test_the_vectors_of_training_are_standardised():
    """Entry by entry, each view by itself; outside training, mean and variance do not change."""
    blurred = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    frontal, lateral = torch.nn.functional.interpolate(blurred, scale_factor=4.0).split(2)
    views = RegisteredViews(frontal, lateral, torch.zeros(2, 2))
    torch.manual_seed(0)
    encoder = GlobalViewEncoder(CONFIG.view_encoder)
    for _ in range(1500):
        encoder(views)
    vectors = encoder.eval()(views)
    assert torch.allclose(vectors.mean(0), torch.zeros(2, 16), atol=0.01)
    assert torch.allclose(vectors.var(0, correction=0), torch.ones(2, 16), atol=0.02)
    assert torch.equal(encoder(views), vectors)


def test_the_x_ray_encoder_has_a_gradient_from_the_second_step_on(views):
    """The first step moves the output layer off zero. With MONAI's zeros after the attention too,
    the gradient would still be exactly zero."""
    torch.manual_seed(0)
    model = GLOBAL_VECTOR_LDM.build(CONFIG)
    objective = LatentObjective(model, GlobalVectorLoss(), single_view=0.0)
    torch.nn.init.normal_(model.denoiser.out[-1].conv.weight, std=1e-3)
    objective(batch_of(views)).backward()
    assert all(
        float(p.grad.abs().sum()) > 0 for n, p in model.xray.named_parameters() if n != "no_lateral"
    )


@torch.no_grad()
def test_an_absent_lateral_view_is_a_vector_that_is_learned(model, views):
    alone = model.xray(replace(views, lateral=None))
    mixed = model.xray(replace(views, has_lateral=torch.tensor([True, False])))
    assert torch.equal(alone[0, 1], alone[1, 1]) and torch.equal(mixed[1], alone[1])
    assert torch.equal(mixed[0], model.xray(views)[0])


@pytest.mark.parametrize("kind", [AutoencoderObjective, LatentObjective])
def test_training_steps_lower_the_loss_of_a_batch(views, kind):
    torch.manual_seed(0)
    model = GLOBAL_VECTOR_LDM.build(CONFIG)
    objective = kind(model, GlobalVectorLoss(), single_view=0.0)
    networks = objective.networks()
    model.requires_grad_(False)
    for network in networks.values():
        network.requires_grad_(True)
    parameters = [p for network in networks.values() for p in network.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=3e-3)
    batch, losses = batch_of(views), []
    for _ in range(5):
        optimiser.zero_grad()
        loss = objective(batch)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[1] < losses[0] and losses[-1] < losses[1]
    trained = {n.split(".")[0] for n, p in model.named_parameters() if p.grad is not None}
    assert trained == set(networks)


def test_the_divergence_of_a_normal_distribution_is_zero(model, views, monkeypatch):
    """KL(N(m, s) | N(0, 1)) = (m^2 + s^2 - 1) / 2 - log s, a mean over the latents."""
    zero = torch.zeros(2, *CONFIG.latent_shape)
    monkeypatch.setattr(model.vae, "reconstruct", lambda z: batch_of(views).volume)
    for m, s, expected in ((0.0, 1.0, 0.0), (2.0, 1.0, 2.0), (0.0, 2.0, 1.5 - 0.6931472)):
        monkeypatch.setattr(model.vae, "posterior", lambda v, m=m, s=s: (zero + m, zero + s))
        objective = AutoencoderObjective(model, GlobalVectorLoss(kl=1.0), single_view=0.0)
        assert float(objective(batch_of(views))) == pytest.approx(expected, abs=1e-5)


def test_samples_follow_the_seed_and_the_views(model, views):
    one, seen = views.split()[0], []

    def run(views=one, seed=1):
        told = RunContext(seed=seed, progress=lambda *step: seen.append(step))
        return model.run_stage("latent", views, None, steps=3, context=told)

    first = run()
    assert seen == [("latent", i, 3, None) for i in (1, 2, 3)]
    assert first.shape == (1, 1, 16, 16, 16) and first.abs().max() <= 1
    assert torch.equal(first, run())
    for other in (run(seed=2), run(replace(one, lateral=None)), run(views.split()[1])):
        assert not torch.allclose(first, other, atol=1e-4)


@torch.no_grad()
def test_it_validates(model, views):
    case = ValidationCase("c", batch_of(views)[:1], None)
    vae = AutoencoderObjective(model, GlobalVectorLoss(), single_view=0.5).measure(case)
    assert set(vae.metrics) == {"vae_psnr", "vae_ssim", "vae_sharp"}
    objective = LatentObjective(model, GlobalVectorLoss(), single_view=0.5)
    metrics = objective.measure(case).metrics
    assert objective.score(metrics) == -(metrics["v2_psnr"] + 0.5 * metrics["v1_psnr"])


def test_its_name_is_not_that_of_the_method_with_the_weights():
    assert "X-ray2CTPA" not in GLOBAL_VECTOR_LDM.info.label
    assert "without its SDXL autoencoder and MedCLIP" in GLOBAL_VECTOR_LDM.describe(preview())
