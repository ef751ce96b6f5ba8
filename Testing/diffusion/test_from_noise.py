"""A sample drawn from pure noise as settings say."""

import pytest
import torch

from axon_backend.diffusion.from_noise import NoiseSampling
from axon_backend.diffusion.gaussian import GaussianDiffusion

SHAPE, CPU = (1, 2, 4, 4, 4), torch.device("cpu")


def draw(sampling: NoiseSampling, denoise, seed: int = 0, **options) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    diffusion = GaussianDiffusion()
    return sampling.draw(diffusion, denoise, SHAPE, device=CPU, generator=rng, **options)


def test_it_starts_from_unit_noise_at_the_last_time_and_takes_its_steps():
    seen = []

    def denoise(y_t, t):
        seen.append((y_t, int(t)))
        return torch.zeros(SHAPE)

    assert not draw(NoiseSampling(steps=4), denoise).any()
    assert [t for _, t in seen] == [999, 749, 500, 250]
    start = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    assert torch.equal(seen[0][0], start)
    draw(NoiseSampling(steps=4), denoise, steps=2)
    assert [t for _, t in seen[4:]] == [999, 500]


def test_estimates_are_limited_where_asked():
    beyond = torch.full(SHAPE, 3.0)
    for clamp, limit in ((1.0, 1.0), (1.5, 1.5), (0.0, 3.0)):
        out = draw(NoiseSampling(steps=3, clamp=clamp), lambda y_t, t: beyond)
        assert torch.equal(out, torch.full(SHAPE, limit))


def test_eta_adds_noise_of_the_seed():
    def denoise(y_t, t):
        return 0.5 * y_t

    for sampler, eta in (("ddim", 0.0), ("ddim", 1.0), ("dpmpp_2m", 0.0)):
        sampling = NoiseSampling(steps=5, sampler=sampler, eta=eta)
        assert torch.equal(draw(sampling, denoise), draw(sampling, denoise))
        assert not torch.equal(draw(sampling, denoise), draw(sampling, denoise, seed=1))
    ancestral = draw(NoiseSampling(steps=5, eta=1.0), denoise)
    assert not torch.equal(ancestral, draw(NoiseSampling(steps=5), denoise))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"sampler": "euler"}, "one of ddim, dpmpp_2m, got 'euler'"),
        ({"steps": 0}, "steps is 0"),
        ({"clamp": -1.0}, "clamp is -1"),
    ],
)
def test_values_that_make_no_sense_are_refused(values, says):
    with pytest.raises(ValueError, match=says):
        NoiseSampling(**values)
