"""The network that brings X-rays to the grey scale of DRRs."""

import pytest
import torch
import torch.nn.functional as F

from axon_backend.networks.harmoniser import Harmoniser

LIMIT = 1.25


def harmoniser(shaken: bool = True) -> Harmoniser:
    torch.manual_seed(0)
    network = Harmoniser((8, 16), 16, LIMIT).eval()
    if shaken:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape))
    return network


def view(side: int) -> torch.Tensor:
    return torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("side", [16, 64])
@torch.no_grad()
def test_untrained_it_changes_nothing(side):
    assert torch.equal(harmoniser(shaken=False)(view(side), True), view(side))


@torch.no_grad()
def test_a_large_view_gets_the_change_of_the_small_one():
    """Averaged down, it is what the network makes of the small view; details stay."""
    network, large = harmoniser(), view(64)
    small = F.avg_pool2d(large, 4)
    made = network(large, True)
    assert made.shape == large.shape and not torch.allclose(made, large, atol=1e-2)
    assert torch.allclose(F.avg_pool2d(made, 4), network(small, True), atol=1e-5)
    detail = large - F.interpolate(small, scale_factor=4)
    assert torch.allclose(
        made - F.interpolate(F.avg_pool2d(made, 4), scale_factor=4), detail, atol=1e-5
    )


@torch.no_grad()
def test_it_tells_frontal_from_lateral_and_keeps_the_range():
    network = harmoniser()
    assert not torch.allclose(network(view(16), True), network(view(16), False))
    network.net.head[-1].bias.data.fill_(9.0)
    assert network(view(16), True).max() <= LIMIT + 1e-6
