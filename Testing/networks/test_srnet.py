"""SR-Net starts as trilinear enlargement and does not depend on its chunks."""

import pytest
import torch
import torch.nn.functional as F

from axon_backend.networks import srnet
from axon_backend.networks.blocks import channels_last
from axon_backend.networks.srnet import SRConfig, SRNet


def volume() -> torch.Tensor:
    return torch.rand(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


def shaken(config: SRConfig) -> SRNet:
    torch.manual_seed(1)
    net = SRNet(config).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return net


@pytest.mark.parametrize("gamma", [2, 4])
@torch.no_grad()
def test_untrained_it_is_trilinear(gamma):
    net = SRNet(SRConfig(gamma=gamma, features=4, blocks=1, growth=2))
    expected = F.interpolate(volume(), scale_factor=gamma, mode="trilinear", align_corners=False)
    assert torch.equal(net(volume()), expected)


@torch.no_grad()
def test_gamma_one_returns_the_volume():
    assert torch.equal(SRNet(SRConfig(gamma=1, features=4, blocks=1))(volume()), volume())


@pytest.mark.parametrize("gamma", [0, 3, 8])
def test_other_enlargements_are_refused(gamma):
    with pytest.raises(ValueError, match="gamma"):
        SRConfig(gamma=gamma)


@pytest.mark.parametrize("gamma", [2, 4])
@torch.no_grad()
def test_slices_at_a_time_do_not_matter(gamma, monkeypatch):
    net = shaken(SRConfig(gamma=gamma, features=4, blocks=1, growth=2))
    out = net(volume())
    assert out.shape == (1, 1, *(8 * gamma,) * 3)
    monkeypatch.setattr(srnet, "CPU_SLICES", 3)
    assert torch.allclose(out, net(volume()), atol=1e-5)
    smooth = F.interpolate(volume(), scale_factor=gamma, mode="trilinear", align_corners=False)
    assert not torch.allclose(out, smooth, atol=1e-3)


def test_gradients_reach_every_layer():
    net = shaken(SRConfig(gamma=4, features=4, blocks=1, growth=2))
    net(volume()).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


@pytest.mark.parametrize("gamma", [2, 4])
@pytest.mark.parametrize("slab", [1, 3, 7, 8, 50])
@torch.no_grad()
def test_slabs_join_to_the_whole(gamma, slab):
    net = shaken(SRConfig(gamma=gamma, features=4, blocks=1, growth=4))
    whole, joined = net(volume()), net(volume(), slab)
    torch.testing.assert_close(joined, whole, atol=1e-5, rtol=0)
    if slab < 8:
        # The neighbours matter: without them the seam differs by far more than that.
        alone = net(volume()[:, :, :slab])
        assert (alone[:, :, -1] - whole[:, :, gamma * slab - 1]).abs().max() > 1e-3


def test_features_stay_channels_last_from_the_first_layer_on():
    """Otherwise each of some hundred convolutions copies its input first (half of the time)."""
    network = channels_last(SRNet(SRConfig(features=16, blocks=1, growth=8)).eval())
    seen = []
    for layer in network.trunk.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        network(torch.rand(1, 1, 8, 8, 8))
    assert len(seen) > 10
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in seen)
