"""The lifting encoder and its FusionBlock."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from axon_backend.networks.encoder import EncoderConfig, FusionBlock, LiftingEncoder
from axon_backend.networks.lifting import LIFTINGS

TINY = EncoderConfig(size=8, view_size=16, channels=(8, 16, 16), features=2, trunk=(8, 16))
BEAM = torch.tensor([[0.07, -0.09]])


def views(size: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    a, b = torch.rand(2, 1, 1, size, size, generator=generator)
    return a, b


def shaken(config: EncoderConfig) -> LiftingEncoder:
    """An encoder whose zero-initialised layers say something."""
    torch.manual_seed(0)
    encoder = LiftingEncoder(config).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return encoder


@pytest.mark.parametrize("trunk", [(8, 16), ()])
@pytest.mark.parametrize("lifting", LIFTINGS)
@torch.no_grad()
def test_an_untrained_residual_encoder_returns_the_mean_exactly(lifting, trunk):
    encoder = LiftingEncoder(replace(TINY, lifting=lifting, trunk=trunk, from_mean=True))
    encoder.mean.copy_(torch.rand(encoder.mean.shape))
    front, side = views()
    assert torch.equal(encoder(front, side, BEAM), encoder.mean)
    assert torch.equal(encoder(front, None, BEAM), encoder.mean)


@pytest.mark.parametrize("trunk", [(8, 16), ()])
@pytest.mark.parametrize("lifting", LIFTINGS)
@torch.no_grad()
def test_one_view_and_two_views_give_finite_different_volumes(lifting, trunk):
    encoder = shaken(replace(TINY, lifting=lifting, trunk=trunk))
    front, side = views()
    both, one = encoder(front, side, BEAM), encoder(front, None, BEAM)
    assert both.shape == one.shape == (1, 1, 8, 8, 8)
    assert torch.isfinite(both).all() and torch.isfinite(one).all()
    assert not torch.allclose(both, one)
    assert not torch.allclose(both, encoder(side, front, BEAM))


@torch.no_grad()
def test_a_batch_is_the_single_ones():
    encoder = shaken(TINY)
    front, side = (torch.cat([v, v.flip(-1)]) for v in views())
    beam = torch.tensor([[0.07, -0.09], [-0.05, 0.08]])
    together = encoder(front, side, beam)
    for i in range(2):
        alone = encoder(front[i : i + 1], side[i : i + 1], beam[i : i + 1])
        assert torch.allclose(together[i : i + 1], alone, atol=1e-5)


@torch.no_grad()
def test_a_1024_image_is_averaged_down_first():
    encoder = shaken(TINY)
    front, side = views(1024)
    small = [F.avg_pool2d(v, 64) for v in (front, side)]
    assert torch.equal(encoder(front, side, BEAM), encoder(*small, BEAM))


@pytest.mark.parametrize("shape", [(24, 24), (16, 32), (8, 8)])
def test_wrong_image_sizes_are_refused(shape):
    with pytest.raises(ValueError, match="square, its side a multiple of 16"):
        LiftingEncoder(TINY)(torch.zeros(1, 1, *shape), None, BEAM)


@pytest.mark.parametrize(("size", "view_size"), [(8, 24), (16, 8)])
def test_impossible_sizes_are_refused(size, view_size):
    with pytest.raises(ValueError, match="power of two"):
        LiftingEncoder(replace(TINY, size=size, view_size=view_size))


def test_every_weight_gets_a_gradient_from_two_views():
    encoder = shaken(TINY)
    encoder(*views(), BEAM).square().mean().backward()
    silent = [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("features", [1, 4])
def test_fusion_block_is_the_paper_s(features):
    block = FusionBlock(features)
    kinds = [type(m) for m in block.body]
    assert kinds == [nn.Conv3d, nn.GroupNorm, nn.ReLU] * 3
    convolutions = [m for m in block.body if isinstance(m, nn.Conv3d)]
    assert all(c.kernel_size == (3, 3, 3) for c in convolutions)
    assert (convolutions[0].in_channels, convolutions[-1].out_channels) == (2 * features, features)
    assert block.skip.kernel_size == (1, 1, 1)
    assert (block.skip.in_channels, block.skip.out_channels) == (2 * features, features)
    assert block(torch.randn(2, 2 * features, 4, 4, 4)).shape == (2, features, 4, 4, 4)
