"""Three planes out of two X-rays: the bilinear form, the part of an image that is in the box, and
what stands for a view that is not there."""

from dataclasses import replace

import pytest
import torch

from axon_backend.methods.diffux2ct.config import TriPlaneConfig
from axon_backend.methods.diffux2ct.tri_plane import bilinear_plane, central_plane
from axon_backend.physics.geometry import FIELD_OF_VIEW


def test_the_axial_plane_of_two_separable_images_is_their_product():
    """A[z, x] = f(x) and B[z, y] = g(y): whatever the weights over z, P[y, x] = f(x) g(y)."""
    f, g = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    weights = torch.rand(2, 7).softmax(1)
    frontal = f[:, :, None].expand(-1, -1, 7, -1)
    lateral = g[:, :, None].expand(-1, -1, 7, -1)
    plane = bilinear_plane(frontal, lateral, weights)
    assert torch.allclose(plane, g[:, :, :, None] * f[:, :, None], atol=1e-6)
    # With a(z) f(x) and b(z) g(y) it is that, times the weighted mean of a(z) b(z).
    a, b = torch.rand(2, 1, 7, 1), torch.rand(2, 1, 7, 1)
    scaled = bilinear_plane(a * frontal, b * lateral, weights)
    mean = (weights * (a * b)[:, 0, :, 0]).sum(1)
    assert torch.allclose(scaled, mean[:, None, None, None] * plane, atol=1e-6)


def test_the_central_plane_is_the_box_with_z_upwards():
    """An image whose pixels hold their place on the field, in units of half the field's width."""
    side = 22
    place = (torch.arange(side) + 0.5) / side * 2 - 1
    down, right = torch.meshgrid(place, place, indexing="ij")
    plane = central_plane(torch.stack([down, right])[None])
    inside = place / FIELD_OF_VIEW
    assert torch.allclose(plane[0, 0], -inside[:, None].expand(side, side), atol=1e-5)
    assert torch.allclose(plane[0, 1], inside[None].expand(side, side), atol=1e-5)


def test_an_absent_lateral_view_is_a_constant_that_is_learned(tiny, views):
    """Missing for all, or for one sample of a batch whose pixels then do not matter."""
    model = tiny()
    alone = model.tri_plane(replace(views, lateral=None))
    mixed = model.tri_plane(replace(views, has_lateral=torch.tensor([True, False])))
    both = model.tri_plane(views)
    for one, some, two in zip(alone, mixed, both, strict=True):
        assert torch.allclose(some[0], two[0], atol=1e-6)
        assert torch.allclose(some[1], one[1], atol=1e-6)
    assert torch.equal(alone.frontal, both.frontal)
    assert not torch.allclose(alone.axial, both.axial, atol=1e-3)
    lateral = alone.lateral
    assert torch.equal(lateral, lateral[:1, :, :1, :1].expand_as(lateral)) and lateral.any()


def test_every_parameter_gets_a_gradient_whichever_views_there_are(tiny, views):
    model = tiny()
    for seen in (views, replace(views, has_lateral=torch.tensor([True, False]))):
        model.zero_grad()
        sum(plane.square().sum() for plane in model.tri_plane(seen)).backward()
        missing = [n for n, p in model.tri_plane.named_parameters() if p.grad is None]
        assert not missing


def test_sizes_that_do_not_fit_are_refused(tiny, views):
    with pytest.raises(ValueError, match="multiple of 32"):
        tiny().tri_plane(replace(views, frontal=torch.rand(2, 1, 48, 48)))
    with pytest.raises(ValueError, match="view_size is 96; it must be size"):
        TriPlaneConfig(view_size=96, size=32)
