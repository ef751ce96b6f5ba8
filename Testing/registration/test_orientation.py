"""A picture that is the wrong way round is noticed after it was registered as it is."""

import numpy as np
import pytest

from axon_backend.registration.orientation import orientation_warnings
from axon_backend.registration.planar import register_planar

TURNS = {
    "upside down": lambda a: a[::-1],
    "turned by 180 degrees": lambda a: a[::-1, ::-1],
    "turned by 90 degrees to the left": lambda a: np.rot90(a, 1),
    "turned by 90 degrees to the right": lambda a: np.rot90(a, -1),
    "mirrored": lambda a: a[:, ::-1],
    "inverted": lambda a: a.max() - a,
}


def photograph(tools) -> np.ndarray:
    shape = (340, 340)
    true = tools.placement(shape, 1.0, 0.95, (0.01, 0.01))
    return tools.as_taken(tools.draw(true, shape))


def test_the_right_way_round_is_not_doubted(tools, reference):
    assert orientation_warnings(photograph(tools), reference) == ()


@pytest.mark.parametrize("name", TURNS)
def test_the_wrong_way_round_is_named(tools, reference, name):
    notes = orientation_warnings(TURNS[name](photograph(tools)), reference)
    assert len(notes) == 1 and name in notes[0] and "check its orientation" in notes[0]


def test_a_chest_without_sides_is_not_called_mirrored(tools, reference):
    symmetric = reference + reference[:, ::-1]
    assert orientation_warnings(photograph(tools)[:, ::-1], symmetric) == ()


def test_a_registration_passes_the_doubt_on(tools, reference):
    quality = register_planar(photograph(tools)[::-1], reference).quality
    assert any("looks upside down" in w for w in quality.warnings)
