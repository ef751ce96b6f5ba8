"""The denoiser: what its windows let through, and where the conditions enter."""

import pytest
import torch

from axon_backend.methods.diffux2ct.config import DenoiserConfig
from axon_backend.methods.diffux2ct.denoiser import Denoiser, shifted_windows

SMALL = DenoiserConfig(channels=(8, 16), windows=(0, 2), patch=2, groups=4, head_channels=8)


@torch.no_grad()
def reach(layer: torch.nn.Module, side: int = 8) -> torch.Tensor:
    """Which voxels (bool, side^3) a change of the voxel at the origin changes."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(1, 8, side, side, side, generator=rng, dtype=torch.float64)
    changed = x.clone()
    changed[:, 0, 0, 0, 0] += 5.0  # one channel: the normalisation removes what all have alike
    return (layer(x) - layer(changed)).abs().amax(1)[0] > 1e-6


def test_information_crosses_the_borders_of_windows_only_with_the_shift():
    torch.manual_seed(0)
    layer = shifted_windows(8, 4, 4).double()
    within = torch.zeros(8, 8, 8, dtype=torch.bool)
    within[:4, :4, :4] = True
    passed = reach(layer)
    assert passed[within].all() and passed[~within].any()
    # The shifted windows end at 2 and 6: what is in the first four voxels gets as far as those.
    assert passed[:6, :6, :6].all() and not passed[6:].any()
    for block in layer.blocks:
        block.shift_size = (0, 0, 0)
    assert torch.equal(reach(layer), within)


def test_a_level_without_windows_has_no_attention():
    assert isinstance(shifted_windows(8, 0, 4), torch.nn.Identity)
    with pytest.raises(ValueError, match="windows has 1 entries, channels 2"):
        DenoiserConfig(channels=(8, 16), windows=(4,))


@torch.no_grad()
def test_it_starts_at_zero_and_every_condition_enters_through_zero():
    torch.manual_seed(0)
    net, t = Denoiser(SMALL, features=4), torch.tensor([3, 700])
    y_t = torch.randn(2, 1, 16, 16, 16)
    conditions = [torch.randn(2, 4, side, side, side) for side in (8, 4)]
    assert not net(y_t, t, conditions).any()
    net.head[-1].weight.normal_()
    first = net(y_t, t, conditions)
    assert first.shape == y_t.shape and first.std() > 0
    assert torch.equal(first, net(y_t, t, [torch.zeros_like(c) for c in conditions]))
    for i, layer in enumerate(net.conditions):
        layer.weight.normal_()
        other = list(conditions)
        other[i] = -other[i]
        assert not torch.allclose(net(y_t, t, conditions), net(y_t, t, other), atol=1e-4)
    assert not torch.allclose(first, net(y_t, t.flip(0), conditions), atol=1e-4)
