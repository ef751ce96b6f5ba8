"""Folding, zero starts, memory format."""

import pytest
import torch
from torch import nn

from axon_backend.networks.blocks import (
    UNet,
    channels_last,
    depth_to_space,
    norm,
    space_to_depth,
    zero,
)


@pytest.mark.parametrize("p", [1, 2, 4])
def test_depth_to_space_undoes_space_to_depth(p):
    x = torch.randn(2, 3, 4, 8, 12)
    folded = space_to_depth(x, p)
    assert folded.shape == (2, 3 * p**3, 4 // p, 8 // p, 12 // p)
    assert torch.equal(depth_to_space(folded, p), x)


def test_a_folded_block_holds_its_neighbours_in_z_y_x_order():
    x = torch.arange(64.0).reshape(1, 1, 4, 4, 4)
    folded = space_to_depth(x, 2)
    assert torch.equal(folded[0, :, 0, 0, 0], x[0, 0, :2, :2, :2].reshape(-1))
    assert torch.equal(folded[0, :, 1, 0, 1], x[0, 0, 2:, :2, 2:].reshape(-1))


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (2, 1), (12, 1), (16, 2), (96, 12)])
def test_groups_divide_the_channels(channels, groups):
    assert norm(channels).num_groups == groups


@pytest.mark.parametrize("dims", [2, 3])
def test_unet_keeps_the_size_and_sees_its_input(dims):
    torch.manual_seed(0)
    net = UNet(dims, 2, 5, (8, 16, 8))
    x = torch.randn(1, 2, *(8,) * dims)
    y = net(x)
    assert y.shape == (1, 5, *(8,) * dims)
    assert not torch.allclose(y, net(x + 1))


def test_zero_silences_a_layer():
    layer = zero(nn.Conv3d(2, 3, 3))
    assert not layer(torch.randn(1, 2, 4, 4, 4)).any()


def test_channels_last_changes_the_layout_and_nothing_else():
    torch.manual_seed(0)
    net = UNet(3, 1, 1, (8, 8))
    x = torch.randn(1, 1, 8, 8, 8)
    before = net(x)
    assert channels_last(net) is net
    assert net.stem.weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert torch.allclose(net(x), before, atol=1e-5)
