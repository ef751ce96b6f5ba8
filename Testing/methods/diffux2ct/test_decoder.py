"""The implicit decoder: against a voxel-by-voxel MLP, under a swap of the axes, and its rays."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from axon_backend.methods.diffux2ct.config import DecoderConfig
from axon_backend.methods.diffux2ct.decoder import ImplicitDecoder, fourier_features
from axon_backend.methods.diffux2ct.tri_plane import Planes
from axon_backend.physics.geometry import FIELD_OF_VIEW

SIDE = 8
BEAM = torch.tensor([[0.12, -0.08]])


def planes_of(seed: int = 0) -> Planes:
    drawn = torch.randn(3, 1, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    return Planes(*drawn)


def decoder(lookup: str = "cone") -> ImplicitDecoder:
    torch.manual_seed(0)
    return ImplicitDecoder(4, DecoderConfig(features=3, hidden=6, frequencies=2, lookup=lookup))


def test_fourier_features_of_two_voxels():
    """Centres at -1/2 and 1/2: sin(pi c), sin(2 pi c), cos(pi c), cos(2 pi c)."""
    waves = fourier_features(2, 2, torch.device("cpu"))
    assert torch.allclose(waves, torch.tensor([[-1.0, 0, 0, -1], [1.0, 0, 0, -1]]), atol=1e-6)


@torch.no_grad()
def test_it_is_an_mlp_of_a_voxel_s_samples_and_position():
    """One voxel by hand: the cone beam's places in the images, concatenation, four layers."""
    net, planes = decoder(), planes_of()
    volume = net(planes, SIDE, BEAM)
    centre = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    for k, j, i in ((0, 0, 0), (2, 5, 3), (7, 6, 1)):
        z, y, x = centre[k], centre[j], centre[i]

        def sample(plane, u, v):
            grid = torch.stack([u, v]).reshape(1, 1, 1, 2)
            return F.grid_sample(plane, grid, align_corners=False, padding_mode="border").flatten()

        near, side = FIELD_OF_VIEW * (1 - BEAM[0, 0] * y), FIELD_OF_VIEW * (1 - BEAM[0, 1] * x)
        place = [fourier_features(SIDE, 2, z.device)[index] for index in (k, j, i)]
        known = torch.cat([
            sample(planes.frontal, x / near, -z / near),
            sample(planes.lateral, y / side, -z / side),
            planes.axial[0, :, j, i], *place,
        ])  # fmt: skip
        parts = (net.frontal, net.lateral, net.axial, *net.position)
        first = torch.cat([layer.weight for layer in parts], 1)
        value = F.linear(known, first, net.frontal.bias)
        assert torch.allclose(volume[0, :, k, j, i], net.mlp(value), atol=1e-5)


@torch.no_grad()
def test_it_follows_a_swap_of_the_views_with_the_axes():
    """Exchange x and y: the views change places, the axial plane is transposed, and the decoder
    with the weights of both exchanged makes the transposed volume."""
    net, planes = decoder(), planes_of()
    volume = net(planes, SIDE, BEAM)
    frontal, lateral = net.frontal.weight.clone(), net.lateral.weight.clone()
    net.frontal.weight.copy_(lateral)
    net.lateral.weight.copy_(frontal)
    net.position = nn.ModuleList([net.position[0], net.position[2], net.position[1]])
    swapped = Planes(planes.lateral, planes.frontal, planes.axial.transpose(2, 3))
    assert torch.allclose(net(swapped, SIDE, BEAM.flip(1)), volume.transpose(3, 4), atol=1e-5)


@pytest.mark.parametrize("lookup", ["cone", "orthographic"])
@torch.no_grad()
def test_a_bead_lies_where_its_ray_passes(lookup):
    """A blurred bead in the frontal image: at depth w its ray has x = u (1 - beam w)."""
    net = ImplicitDecoder(1, DecoderConfig(features=1, hidden=1, frequencies=1, lookup=lookup))
    for parameter in net.parameters():
        parameter.zero_()
    net.frontal.weight.fill_(1.0)
    net.mlp = nn.Identity()
    side, column = 64, 0.45
    place = (torch.arange(side) + 0.5) / side * 2 - 1
    bead = torch.exp(-((place[None] - column) ** 2 + place[:, None] ** 2) / 0.01)[None, None]
    empty = torch.zeros_like(bead)
    beam = torch.tensor([[0.2, 0.2]])
    lifted = net(Planes(bead, empty, empty), side, beam)[0, 0]  # z, y, x
    for j in (0, 20, 63):
        slab = lifted[:, j]
        x = float((slab.sum(0) * place).sum() / slab.sum())
        depth = float(place[j])
        magnified = 1 - 0.2 * depth if lookup == "cone" else 1.0
        assert math.isclose(x, FIELD_OF_VIEW * column * magnified, abs_tol=0.01)


def test_an_unknown_lookup_is_refused():
    with pytest.raises(ValueError, match="one of cone, orthographic, got 'fan'"):
        DecoderConfig(lookup="fan")
