"""Networks kept in bfloat16 where memory is short."""

import pytest
import torch
from torch import nn

from axon_backend.networks.blocks import ResBlock
from axon_backend.networks.encoder import EncoderConfig, LiftingEncoder
from axon_backend.networks.precision import (
    autocast,
    keep_in_bfloat16,
    normalise_in_float32,
    store_as_computed,
)


def test_weights_shrink_and_buffers_keep_their_precision():
    encoder = LiftingEncoder(
        EncoderConfig(size=8, view_size=16, channels=(8, 8), features=1, trunk=(8,))
    )
    encoder.mean.normal_()
    before = encoder.mean.clone()
    keep_in_bfloat16(encoder)
    assert {p.dtype for p in encoder.parameters()} == {torch.bfloat16}
    assert torch.equal(encoder.mean, before)


def test_activations_stay_narrow_and_right():
    """A block of normalisations and convolutions, against the same in float32."""
    torch.manual_seed(0)
    block, x = ResBlock(3, 8, 16).eval(), torch.randn(1, 8, 6, 6, 6)
    with torch.no_grad():
        exact = block(x)
        keep_in_bfloat16(block)
        seen = []
        for part in block.modules():
            if isinstance(part, nn.GroupNorm | nn.SiLU | nn.Conv3d):
                part.register_forward_hook(lambda m, i, out: seen.append(out.dtype))
        with autocast("cpu", always=True):
            narrow = block(x.bfloat16())
    assert len(seen) == 7 and set(seen) == {torch.bfloat16}
    assert narrow.float() == pytest.approx(exact, abs=0.05)


def test_group_normalisation_computes_outside_of_autocast():
    norm = keep_in_bfloat16(nn.GroupNorm(2, 4))
    x = torch.randn(1, 4, 5).bfloat16()
    with autocast("cpu", always=True):
        assert norm(x).dtype is torch.bfloat16
    assert norm(x.float()).dtype is torch.float32


def test_group_normalisation_in_float32_under_autocast():
    """The values of nn.GroupNorm, in float32 whatever it is given; narrow again where memory is."""
    block, x = ResBlock(3, 8, 16).eval(), torch.randn(1, 8, 6, 6, 6)
    names, before = list(block.state_dict()), block(x)
    assert torch.equal(normalise_in_float32(block)(x), before)
    assert list(block.state_dict()) == names
    norm = block.body[0]
    with autocast("cpu", always=True):
        assert norm(x.bfloat16()).dtype is torch.float32
        assert keep_in_bfloat16(block).body[0](x.bfloat16()).dtype is torch.bfloat16


def test_stored_as_computed_gives_the_same_voxels():
    """Weights that autocast would convert are narrow, the others are not; nothing else changes."""
    torch.manual_seed(0)
    block = nn.Sequential(ResBlock(3, 8, 16), nn.ConvTranspose3d(16, 4, 2, 2), nn.GroupNorm(2, 4))
    x = torch.randn(1, 8, 6, 6, 6)
    with torch.no_grad(), autocast("cpu", always=True):
        before = block(x)
        assert torch.equal(store_as_computed(block, "cpu", always=True)(x), before)
    kinds = {type(m): {p.dtype for p in m.parameters(recurse=False)} for m in block.modules()}
    assert kinds[nn.Conv3d] == kinds[nn.ConvTranspose3d] == {torch.bfloat16}
    assert kinds[nn.GroupNorm] == {torch.float32}


def test_stored_as_computed_is_wide_again_where_float32_is_used(monkeypatch):
    monkeypatch.setattr("axon_backend.networks.precision.cpu_has_bfloat16", lambda: False)
    block, x = ResBlock(2, 8, 8), torch.randn(1, 8, 5, 5)
    store_as_computed(block, "cpu", always=True)
    store_as_computed(block, "cpu")
    assert {p.dtype for p in block.parameters()} == {torch.float32}
    with autocast("cpu"):
        assert block(x).dtype is torch.float32
