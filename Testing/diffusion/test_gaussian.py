"""The prior's diffusion: algebra, MONAI's scheduler as a second opinion, order of the samplers."""

import numpy as np
import pytest
import torch
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler

from axon_backend.diffusion.gaussian import PREDICTIONS, GaussianDiffusion, ddim, dpmpp_2m, sampler

SCHEDULE = {
    "num_train_timesteps": 1000,
    "schedule": "scaled_linear_beta",
    "beta_start": 0.0015,
    "beta_end": 0.0195,
}
MONAI_NAMES = {"epsilon": "epsilon", "v": "v_prediction", "sample": "sample"}


def noise(shape=(2, 1, 4, 4, 4), seed=0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("t", [0, 300, 999])
def test_marginals(t):
    diffusion = GaussianDiffusion()
    a = float(np.prod(1 - np.linspace(0.0015**0.5, 0.0195**0.5, 1000)[: t + 1] ** 2))
    assert float(diffusion.alphas_cumprod[t]) == pytest.approx(a, rel=1e-4)
    e = noise((1, 1, 40, 40, 40))
    y_t = diffusion.q_sample(torch.full_like(e, 0.7), torch.tensor([t]), e)
    assert float(y_t.mean()) == pytest.approx(0.7 * a**0.5, abs=0.02)
    assert float(y_t.var()) == pytest.approx(1 - a, rel=0.03)


def test_the_linear_schedule_is_ddpm_s():
    """Ho et al. 2020: beta from 1e-4 to 0.02 in equal steps."""
    diffusion = GaussianDiffusion(beta_start=1e-4, beta_end=0.02, schedule="linear_beta")
    assert diffusion.alphas_cumprod.numpy() == pytest.approx(
        np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)), rel=1e-4
    )
    with pytest.raises(ValueError, match="schedule must be one of .*got 'cosine'"):
        GaussianDiffusion(schedule="cosine")


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_estimate_undoes_the_target(prediction):
    diffusion = GaussianDiffusion(prediction=prediction)
    y, e, t = noise((3, 1, 4, 4, 4)), noise((3, 1, 4, 4, 4), 1), torch.tensor([0, 500, 999])
    y_t = diffusion.q_sample(y, t, e)
    estimate = diffusion.predict_x0(diffusion.target(y, t, e), y_t, t)
    assert torch.allclose(estimate, y, atol=1e-3 if prediction == "epsilon" else 1e-5)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="prediction"):
        GaussianDiffusion(prediction="flow")
    with pytest.raises(ValueError, match="sampler"):
        sampler("euler")


def test_timesteps():
    diffusion = GaussianDiffusion()
    assert diffusion.timesteps(1) == [999]
    assert diffusion.timesteps(4) == [999, 749, 500, 250]
    assert diffusion.timesteps(3, start=0.3) == [300, 200, 100]
    with pytest.raises(ValueError, match="at least one"):
        diffusion.timesteps(0)


def test_more_steps_than_times_visits_each_time_once():
    diffusion = GaussianDiffusion()
    times = diffusion.timesteps(50, start=0.01)
    assert times == list(range(10, 0, -1)) or times == list(range(10, -1, -1))
    out = dpmpp_2m(diffusion, lambda x, t: 0.9 * x, noise(), times)
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_ddim_walks_as_monai_s_scheduler_does(prediction, eta):
    diffusion = GaussianDiffusion(prediction=prediction)
    times = list(range(900, -1, -100))
    theirs = DDIMScheduler(clip_sample=False, prediction_type=MONAI_NAMES[prediction], **SCHEDULE)
    theirs.set_timesteps(10)  # its step() then goes from t to t - 100

    def network(x, t):
        return 0.3 * x + t / 1000

    start = noise()
    ours = ddim(
        diffusion,
        lambda x, t: diffusion.predict_x0(network(x, t.reshape(-1, 1, 1, 1, 1)), x, t),
        start,
        times,
        eta=eta,
        generator=torch.Generator().manual_seed(4),
    )
    generator = torch.Generator().manual_seed(4)
    x = start
    for t in times:
        x, _ = theirs.step(network(x, t), t, x, eta=eta, generator=generator)
    assert torch.allclose(ours, x, atol=1e-3 * float(x.abs().max()))


def test_eta_one_over_neighbouring_times_is_the_ddpm_posterior():
    """Mean and variance of q(y_(t-1) | y_t, Y), Ho et al. 2020, eq. 6 and 7."""
    diffusion, t = GaussianDiffusion(), 500
    y, x = 0.6, 0.9
    betas = DDPMScheduler(**SCHEDULE).betas.double()
    a, before, beta = diffusion.alphas_cumprod[t], diffusion.alphas_cumprod[t - 1], betas[t]
    mean = before.sqrt() * beta / (1 - a) * y + (1 - beta).sqrt() * (1 - before) / (1 - a) * x
    variance = float((1 - before) / (1 - a) * beta)
    fed = []

    def oracle(now, _):
        fed.append(now)
        return torch.full_like(now, y)

    shape = (1, 1, 50, 50, 50)
    ddim(
        diffusion,
        oracle,
        torch.full(shape, x),
        [t, t - 1],
        eta=1.0,
        generator=torch.Generator().manual_seed(0),
    )
    assert float(fed[1].mean()) == pytest.approx(float(mean), abs=5 * (variance / 125000) ** 0.5)
    assert float(fed[1].var()) == pytest.approx(variance, rel=5 * (2 / 125000) ** 0.5)


@pytest.mark.parametrize(("name", "eta"), [("ddim", 0.0), ("ddim", 1.0), ("dpmpp_2m", 0.0)])
@pytest.mark.parametrize("count", [1, 2, 10])
def test_a_perfect_denoiser_is_recovered(name, eta, count):
    diffusion, y = GaussianDiffusion(), noise(seed=3)
    steps = []

    def perfect(x, t):
        assert torch.isfinite(x).all()
        return y

    out = sampler(name)(
        diffusion,
        perfect,
        noise(),
        diffusion.timesteps(count),
        eta=eta,
        on_step=lambda *a: steps.append(a[:2]),
    )
    assert torch.equal(out, y)
    assert steps == [(i + 1, count) for i in range(count)]


SPREAD = 0.5


def walk_error(walk, count: int) -> float:
    """Distance from the exact solution of the probability-flow ODE for Y ~ N(0, SPREAD^2), where
    y_t scales with its standard deviation."""
    diffusion = GaussianDiffusion()
    times = np.linspace(999, 79, count + 1).round().astype(int).tolist()

    def spread(t):
        a, s = diffusion.alpha_sigma(t)
        return (a**2 * SPREAD**2 + s**2).sqrt()

    def denoise(x, t):
        a, _ = diffusion.alpha_sigma(t)
        return a * SPREAD**2 / spread(t) ** 2 * x

    start = noise()
    first, last = (torch.tensor([t] * 2) for t in (times[0], times[-1]))
    exact = denoise(start * spread(last) / spread(first), last)
    return float((walk(diffusion, denoise, start, times) - exact).norm() / exact.norm())


def test_dpm_converges_with_second_order_and_beats_ddim():
    first = [walk_error(ddim, n) for n in (10, 20, 40)]
    second = [walk_error(dpmpp_2m, n) for n in (10, 20, 40)]
    assert all(b < a / 3 for a, b in zip(first, second, strict=True))
    # Half the step: half the error for first order, a quarter for second.
    assert first[2] / first[1] == pytest.approx(0.5, abs=0.1)
    assert second[2] / second[1] == pytest.approx(0.25, abs=0.1)


def test_dpm_refuses_noise():
    with pytest.raises(ValueError, match="deterministic"):
        dpmpp_2m(GaussianDiffusion(), lambda x, t: x, noise(), [999, 500], eta=0.5)


def test_the_seed_decides_an_ancestral_sample():
    diffusion = GaussianDiffusion()

    def run(seed):
        generator = torch.Generator().manual_seed(seed)
        times = diffusion.timesteps(5)
        return ddim(diffusion, lambda x, t: 0.5 * x, noise(), times, eta=1.0, generator=generator)

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
