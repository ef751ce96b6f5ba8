"""The Brownian bridge: marginals, objectives, and the variance of its sampler."""

import math

import pytest
import torch

from axon_backend.diffusion.bridge import OBJECTIVES, BrownianBridge
from axon_backend.diffusion.estimate_error import EstimateError

SHAPE = (1, 1, 40, 40, 40)
COUNT = math.prod(SHAPE)


def fields(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> list[torch.Tensor]:
    """Y, F(x) and e."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for _ in range(3)]


@pytest.mark.parametrize("t", [0, 250, 500, 999])
def test_marginals_are_those_of_equation_2(t):
    bridge = BrownianBridge(variance=0.7)
    m = 0.001 + 0.998 * t / 999
    d = 2 * 0.7 * (m - m * m)
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(t))
    y, end = torch.full(SHAPE, 0.4), torch.full(SHAPE, -0.9)
    x = bridge.q_sample(y, end, torch.tensor([t]), noise)
    assert float(x.mean()) == pytest.approx((1 - m) * 0.4 - m * 0.9, abs=5 * (d / COUNT) ** 0.5)
    assert float(x.var()) == pytest.approx(d, rel=5 * (2 / COUNT) ** 0.5)


def test_ends_and_middle_of_the_schedule():
    bridge = BrownianBridge(variance=0.1)
    t = torch.tensor([0, 999])
    assert bridge.alpha_t(t).flatten().tolist() == pytest.approx([0.001, 0.999])
    assert bridge.alpha_t(t).shape == (2, 1, 1, 1, 1)
    assert bridge.delta_t(t).flatten().tolist() == pytest.approx([0.1 * 2 * 0.000999] * 2, rel=1e-4)
    largest = max(float(bridge.delta_t(torch.tensor([t]))) for t in range(1000))
    assert largest == pytest.approx(0.05, rel=1e-5)
    y, end, noise = fields()
    assert (bridge.q_sample(y, end, t[:1], 0 * noise) - y).abs().max() < 0.01
    assert (bridge.q_sample(y, end, t[1:], 0 * noise) - end).abs().max() < 0.01


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_estimate_undoes_the_target(objective):
    bridge = BrownianBridge(objective=objective, variance=0.5)
    y, end, noise = fields(shape=(3, 1, 4, 4, 4))
    t = torch.tensor([0, 400, 999])
    x = bridge.q_sample(y, end, t, noise)
    estimate = bridge.predict_x0(bridge.target(y, end, t, noise), x, end, t)
    # The noise objective divides by 1 - m_T = 0.001.
    assert torch.allclose(estimate, y, atol=2e-3 if objective == "noise" else 1e-5)


def test_the_grad_target_is_equation_3():
    bridge = BrownianBridge(variance=0.3)
    y, end, noise = fields(shape=(1, 1, 3, 3, 3))
    t = torch.tensor([321])
    m = 0.001 + 0.998 * 321 / 999
    expected = m * (end - y) + (0.6 * (m - m * m)) ** 0.5 * noise
    assert torch.allclose(bridge.target(y, end, t, noise), expected, atol=1e-6)


def test_unknown_objective_is_refused():
    with pytest.raises(ValueError, match="objective"):
        BrownianBridge(objective="image")


def test_timesteps():
    bridge = BrownianBridge()
    assert bridge.timesteps(1) == [999]
    assert bridge.timesteps(4) == [999, 666, 333, 0]
    with pytest.raises(ValueError, match="at least one"):
        bridge.timesteps(0)


def test_geometric_timesteps():
    """1 - alpha_t is multiplied by the same factor from step to step, up to the rounding to whole
    times; times that would coincide are one apart."""
    bridge = BrownianBridge(steps=100_000, geometric_to=0.512)
    times = bridge.timesteps(10)
    rest = [1 - float(bridge.alpha_t(torch.tensor([t]))) for t in times]
    assert times[0] == 99_999
    assert rest == pytest.approx([0.001 * 2**i for i in range(10)], rel=0.01)
    few = BrownianBridge(geometric_to=0.45)
    assert few.timesteps(1) == [999]
    assert few.timesteps(2) == [999, round(999 * (1 - 0.449 / 0.998))]
    many = few.timesteps(300)
    assert all(a > b for a, b in zip(many, many[1:], strict=False))
    assert many[:3] == [999, 998, 997]
    assert BrownianBridge(steps=5, geometric_to=0.45).timesteps(8)[-1] == 0


@pytest.mark.parametrize("end", [-0.1, 0.001, 1.0])
def test_a_geometric_end_outside_the_bridge_is_refused(end):
    with pytest.raises(ValueError, match="geometric_to"):
        BrownianBridge(geometric_to=end)


@pytest.mark.parametrize("eta", [1.0, 0.5, 0.0])
def test_every_step_has_the_variance_of_the_bridge(eta):
    """With an oracle for a fixed Y, what the network is fed has mean and variance of eq. 2 at
    every step, whatever eta is."""
    bridge = BrownianBridge(variance=0.5)
    y, end, _ = fields(3)
    ratios, means = [], []

    def oracle(x, t):
        rest = x - (1 - bridge.alpha_t(t)) * y - bridge.alpha_t(t) * end
        ratios.append(float(rest.var() / bridge.delta_t(t)))
        means.append(float(rest.mean() / bridge.delta_t(t).sqrt()))
        return y

    bridge.sample(oracle, end, 20, eta=eta, generator=torch.Generator().manual_seed(5))
    assert len(ratios) == 20
    assert ratios == pytest.approx([1.0] * 20, abs=5 * (2 / COUNT) ** 0.5)
    assert means == pytest.approx([0.0] * 20, abs=5 / COUNT**0.5)


@pytest.mark.parametrize("eta", [1.0, 0.0])
def test_samples_of_a_gaussian_have_its_mean_and_spread(eta):
    """Y ~ N(0.3, 0.2^2) and the posterior mean as the denoiser: with many steps the samples are
    drawn from it."""
    bridge = BrownianBridge(variance=0.2)
    mean, spread = 0.3, 0.2
    end = torch.full((1, 1, 24, 24, 24), 0.8)

    def posterior_mean(x, t):
        m, d = bridge.alpha_t(t), bridge.delta_t(t)
        gain = (1 - m) * spread**2 / ((1 - m) ** 2 * spread**2 + d)
        return mean + gain * (x - (1 - m) * mean - m * end)

    few, many = (
        bridge.sample(posterior_mean, end, n, eta=eta, generator=torch.Generator().manual_seed(1))
        for n in (20, 800)
    )
    assert float(many.mean()) == pytest.approx(mean, abs=0.01)
    assert float(many.std()) == pytest.approx(spread, rel=0.04)
    assert few.std() < many.std()  # what few steps cost


@pytest.mark.parametrize("count", [3, 10])
def test_with_the_error_of_the_estimates_few_steps_have_the_exact_spread(count):
    """The same Y: all of its variance but what the last estimate averages over."""
    bridge = BrownianBridge(variance=0.2, geometric_to=0.9)
    mean, spread = 0.3, 0.2
    end = torch.full((1, 1, 24, 24, 24), 0.8)

    def left(t):
        m, d = bridge.alpha_t(t), bridge.delta_t(t)
        return spread**2 * d / ((1 - m) ** 2 * spread**2 + d)

    def posterior_mean(x, t):
        m, d = bridge.alpha_t(t), bridge.delta_t(t)
        gain = (1 - m) * spread**2 / ((1 - m) ** 2 * spread**2 + d)
        return mean + gain * (x - (1 - m) * mean - m * end)

    times = [torch.tensor([t]) for t in range(999, 90, -1)]
    error = EstimateError(
        tuple(float(bridge.alpha_t(t)) for t in times),
        tuple(float(left(t)) for t in times),
        power=(1.0,) * 5,  # white
    )
    without, with_it = (
        bridge.sample(
            posterior_mean, end, count, error=e, generator=torch.Generator().manual_seed(1)
        )
        for e in (EstimateError(), error)
    )
    last = torch.tensor([bridge.timesteps(count)[-1]])
    expected = math.sqrt(spread**2 - float(left(last)))
    assert float(with_it.std()) == pytest.approx(expected, rel=0.03)
    assert float(with_it.mean()) == pytest.approx(mean, abs=0.01)
    assert float(without.std()) < 0.9 * expected


@pytest.mark.parametrize("eta", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("count", [1, 2, 10])
def test_a_perfect_denoiser_is_recovered(count, eta):
    y, end, _ = fields(shape=(2, 1, 4, 4, 4))
    calls = []

    def perfect(x, t):
        assert torch.isfinite(x).all() and t.shape == (2,)
        calls.append(int(t[0]))
        return y

    steps = []
    out = BrownianBridge().sample(
        perfect, end, count, eta=eta, on_step=lambda *a: steps.append(a[:2])
    )
    assert torch.equal(out, y)
    assert calls == BrownianBridge().timesteps(count)
    assert steps == [(i + 1, count) for i in range(count)]


def test_the_seed_decides_the_sample():
    bridge = BrownianBridge()
    _, end, _ = fields(shape=(1, 1, 4, 4, 4))

    def run(seed):
        return bridge.sample(
            lambda x, t: 0.5 * x, end, 5, generator=torch.Generator().manual_seed(seed)
        )

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_eta_zero_draws_only_the_start():
    """The deterministic walk uses the generator once, so its state tells how often."""
    _, end, _ = fields(shape=(1, 1, 4, 4, 4))
    walked, drawn = (torch.Generator().manual_seed(9) for _ in range(2))
    BrownianBridge().sample(lambda x, t: 0.5 * x, end, 6, eta=0.0, generator=walked)
    torch.randn(end.shape, generator=drawn)
    assert torch.equal(walked.get_state(), drawn.get_state())


def test_a_step_between_the_two_ends_of_eta() -> None:
    """The rule of ``BrownianBridge.sample`` written out for two evaluations, with x_T = x0_hat = 0
    and the same draws; at eta = 0 and 1 a power of eta would not show."""
    bridge, eta, seen = BrownianBridge(variance=0.5), 0.5, []

    def denoise(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append(x_t.clone())
        return torch.zeros_like(x_t)

    x_T = torch.zeros(1, 1, 4, 4, 4)
    bridge.sample(denoise, x_T, 2, eta=eta, generator=torch.Generator().manual_seed(3))
    draws = torch.Generator().manual_seed(3)
    first, second = (torch.randn(x_T.shape, generator=draws) for _ in range(2))
    delta_t = delta_n = 2 * 0.5 * 0.999 * 0.001  # alpha is 0.999, then 0.001
    s2 = 0.25 * (delta_t - delta_n * (0.001 / 0.999) ** 2) * delta_n / delta_t
    expected = math.sqrt((delta_n - s2) / delta_t) * math.sqrt(delta_t) * first
    expected = expected + math.sqrt(s2) * second
    assert len(seen) == 2
    assert torch.allclose(seen[1], expected, atol=1e-5)
