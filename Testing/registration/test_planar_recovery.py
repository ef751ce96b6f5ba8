"""Known warps of a drawn chest are recovered."""

import numpy as np
import pytest

from axon_backend.registration.planar import register_planar

WARPS = [  # degrees, field over long side, shift in field widths, image (rows, columns)
    (0.0, 1.0, (0.0, 0.0), (300, 300)),
    (8.0, 0.9, (0.03, -0.02), (420, 360)),
    (-8.0, 1.0, (-0.05, 0.04), (320, 400)),
    (5.0, 0.85, (0.08, 0.0), (300, 300)),
    (-3.0, 1.15, (0.0, -0.08), (700, 640)),  # the image cuts the field
    (2.0, 0.75, (-0.06, 0.06), (512, 512)),
]


@pytest.mark.parametrize(("angle", "scale", "shift", "shape"), WARPS)
def test_similarity_is_recovered_within_half_a_percent(
    tools, reference, angle, scale, shift, shape
):
    true = tools.placement(shape, angle, scale, shift)
    image = tools.as_taken(tools.draw(true, shape))
    found = register_planar(image, reference)
    assert tools.residual(found.matrix, true) < 0.005
    assert found.rotation_deg == pytest.approx(angle, abs=0.5)
    assert found.quality.verdict == "good"


@pytest.mark.parametrize(
    ("angle", "scale", "shift", "shape", "stretch"),
    [
        (0.0, 0.95, (0.02, 0.02), (300, 300), 1.2),
        (-4.0, 0.9, (-0.04, 0.03), (400, 400), 0.85),
        (3.0, 1.1, (0.0, 0.05), (360, 320), 1.1),
    ],
)
def test_affine_recovers_other_proportions_within_a_percent(
    tools, reference, angle, scale, shift, shape, stretch
):
    true = tools.placement(shape, angle, scale, shift, stretch)
    image = tools.as_taken(tools.draw(true, shape))
    found = register_planar(image, reference, transform="affine")
    assert tools.residual(found.matrix, true) < 0.01


def test_a_similarity_keeps_proportions_and_an_affine_map_need_not(tools, reference):
    shape = (300, 300)
    true = tools.placement(shape, 0.0, 0.95, stretch=1.2)
    matrix = register_planar(tools.draw(true, shape), reference).matrix
    assert np.linalg.norm(matrix[:2, 0]) == pytest.approx(np.linalg.norm(matrix[:2, 1]))
    assert tools.residual(matrix, true) > 0.01


def test_large_images_are_placed_in_their_own_pixels(tools, reference):
    shape = (1501, 1403)  # not a multiple of the shrink factor
    true = tools.placement(shape, 2.0, 0.9, (0.02, 0.01))
    found = register_planar(tools.draw(true, shape), reference)
    assert tools.residual(found.matrix, true) < 0.003


def test_the_same_images_give_the_same_result(tools, reference):
    shape = (320, 300)
    image = tools.as_taken(tools.draw(tools.placement(shape, 4.0, 0.9), shape))
    first, second = (register_planar(image, reference) for _ in range(2))
    assert np.array_equal(first.matrix, second.matrix)
    assert first.quality == second.quality


def test_greys_do_not_matter_up_to_an_affine_map(tools, reference):
    shape = (300, 300)
    true = tools.placement(shape, -3.0, 0.95, (0.02, 0.0))
    image = tools.draw(true, shape)
    found = register_planar(3000.0 * image - 500.0, 0.01 * reference)
    assert tools.residual(found.matrix, true) < 0.003
