"""Rates, optimisers and averages against their formulas."""

import copy
import itertools

import pytest
import torch
from torch import nn

from axon_backend.training.config import OptimiserSettings
from axon_backend.training.optimiser import Ema, Optimiser, learning_rate


def test_the_cosine_warms_up_peaks_and_falls_to_its_floor():
    settings = OptimiserSettings(lr=2.0)
    rates = [learning_rate(p / 1000, settings) for p in range(1001)]
    assert rates[0] < 0.02
    assert rates[10] == pytest.approx(1.0)  # half of the warm-up
    assert max(rates) == rates[20] == pytest.approx(2.0)
    assert learning_rate(0.51, settings) == pytest.approx(2.0 * (0.03 + 0.97 / 2))
    assert rates[-1] == pytest.approx(0.06)
    assert learning_rate(1.3, settings) == pytest.approx(0.06)  # a late step is not a rising one
    assert all(b >= a for a, b in itertools.pairwise(rates[:21]))
    assert all(b <= a for a, b in itertools.pairwise(rates[20:]))


def test_the_constant_and_the_exponential_schedule():
    constant = OptimiserSettings(lr=2.0, schedule="constant", warm_up=0.0)
    assert {learning_rate(p, constant) for p in (0.0, 0.4, 1.0, 2.0)} == {2.0}
    exponential = OptimiserSettings(lr=2.0, schedule="exponential", warm_up=0.0, floor=0.01)
    rates = [learning_rate(p, exponential) for p in (0.0, 0.5, 1.0)]
    assert rates == pytest.approx([2.0, 0.2, 0.02])


def test_the_linear_schedule_falls_over_its_second_half():
    linear = OptimiserSettings(lr=2.0, schedule="linear", warm_up=0.0, floor=0.1)
    rates = [learning_rate(p, linear) for p in (0.0, 0.5, 0.75, 1.0, 1.2)]
    assert rates == pytest.approx([2.0, 2.0, 1.1, 0.2, 0.2])


def test_the_average_warms_up_and_steps_in_for_the_network():
    """decay_k = (1 + k) / (10 + k): 0.1, 2/11, then the decay given."""
    net = nn.BatchNorm1d(1)  # it also has an integer in its state
    ema = Ema({"net": net}, decay=0.2)
    with torch.no_grad():
        net.weight.fill_(0.0)
    net.num_batches_tracked.fill_(7)
    expected = 1.0
    for decay in (0.1, 2 / 11, 0.2, 0.2):
        ema.update()
        expected *= decay
        assert float(ema.kept["net"]["weight"]) == pytest.approx(expected, rel=1e-5)
    assert int(ema.kept["net"]["num_batches_tracked"]) == 7
    with ema.in_place():
        assert float(net.weight.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(net.weight.detach()) == 0.0


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(1, 16, 3), nn.Conv3d(16, 16, 3), nn.GroupNorm(2, 16))


def gradients(net: nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    for p in net.parameters():
        p.grad = torch.randn(p.shape, generator=generator)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_is_torchs(name):
    ours, theirs = small(), small()
    betas = (0.5, 0.99)
    settings = OptimiserSettings(name=name, lr=1e-3, weight_decay=0.1, betas=betas)
    optimiser = Optimiser(list(ours.parameters()), settings)
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    options = {} if name == "adam" else {"weight_decay": 0.1}
    reference = kind(theirs.parameters(), lr=1e-3, betas=betas, **options)
    for _ in range(3):
        gradients(ours)
        gradients(theirs)
        optimiser.step()
        reference.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


def test_muon_gives_inner_kernels_an_orthogonal_step_of_adams_size():
    """Updates of a matrix are orthogonal, and with torch's match_rms_adamw their RMS is 0.2 lr;
    in channels-last memory as in any other."""
    for memory in (torch.contiguous_format, torch.channels_last_3d):
        net = small()
        net[1].weight.data = net[1].weight.data.contiguous(memory_format=memory)
        before = net[1].weight.detach().clone()
        settings = OptimiserSettings(name="muon", lr=1e-2, weight_decay=0.0)
        optimiser = Optimiser(list(net.parameters()), settings)
        assert optimiser.kernels == [net[1].weight]
        gradients(net)
        optimiser.step()
        step = (net[1].weight.detach() - before).reshape(16, -1)
        assert float(step.square().mean().sqrt()) == pytest.approx(0.2 * 1e-2, rel=0.3)
        values = torch.linalg.svdvals(step)
        assert float(values.max() / values.min()) < 2.0
        assert float(torch.linalg.svdvals(before.reshape(16, -1)).max()) > 0


def test_the_state_of_an_optimiser_comes_back():
    a, b = small(), small()
    settings = OptimiserSettings(name="muon", lr=1e-2)
    first, second = (Optimiser(list(n.parameters()), settings) for n in (a, b))
    gradients(a)
    first.step()
    b.load_state_dict(a.state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for net, optimiser in ((a, first), (b, second)):
        gradients(net)
        optimiser.set_lr(1e-3)
        optimiser.step()
        optimiser.zero_grad()
        assert all(p.grad is None for p in net.parameters())
    for x, y in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(x, y)
