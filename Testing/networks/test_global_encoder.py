"""The global encoder: nothing at first, one network for all views, and which view is which."""

import pytest
import torch

from axon_backend.networks.global_encoder import GlobalEncoder


def views(count: int = 2, side: int = 32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 1, side, side, generator=generator) for _ in range(count)]


@pytest.fixture
def encoder() -> GlobalEncoder:
    torch.manual_seed(0)
    made = GlobalEncoder(32, 20)
    with torch.no_grad():
        made.head[-1].weight.normal_()
    return made


@pytest.mark.parametrize("count", [1, 2])
def test_at_first_it_says_nothing_and_yet_it_learns(count):
    encoder = GlobalEncoder(32, 20)
    out = encoder(views(count))
    assert out.shape == (3, 20) and not out.any()
    out.sum().backward()
    assert encoder.head[-1].weight.grad.any()


def test_the_vector_is_of_the_mean_over_the_views(encoder):
    """With the view bias at zero the order of the views does not matter, and one view shown twice
    is that view alone; with it, frontal and lateral differ."""
    front, side = views()
    assert torch.allclose(encoder([front, side]), encoder([side, front]), atol=1e-6)
    assert torch.allclose(encoder([front, front]), encoder([front]), atol=1e-6)
    assert not torch.allclose(encoder([front, side]), encoder([front]))
    with torch.no_grad():
        encoder.view_bias[1] += 1.0
    assert not torch.allclose(encoder([front, front]), encoder([front]))


def test_a_larger_image_is_averaged_down(encoder):
    front, side = views()
    large = [v.repeat_interleave(4, 2).repeat_interleave(4, 3) for v in (front, side)]
    assert torch.allclose(encoder(large), encoder([front, side]), atol=1e-5)
