"""Borders decide the last millimetres: greys that physics changed do not."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from axon_backend.errors import Cancelled
from axon_backend.registration import similarity
from axon_backend.registration.alignment import movement
from axon_backend.registration.edges import LEVELS, displacement, refine_edges
from axon_backend.registration.planar import register_planar

ALL = np.ones((256, 256), bool)
HERE = np.array([[256, 0, -0.5], [0, 256, -0.5], [0, 0, 1.0]])


def test_a_movement_on_paper():
    """Units: 0.01 rad, 1 %, 0.5 % of the width right and down; about the field's middle."""
    moved = movement(torch.tensor([3.0, 5.0, 2.0, -4.0], dtype=torch.float64)).numpy()
    c, s = np.exp(0.05) * np.cos(0.03), np.exp(0.05) * np.sin(0.03)
    assert moved @ [0.5, 0.5, 1.0] == pytest.approx([0.51, 0.48, 1.0])
    assert moved[:2, :2] == pytest.approx(np.array([[c, -s], [s, c]]))
    stretched = movement(torch.tensor([0.0, 0, 0, 0, 10, 0], dtype=torch.float64)).numpy()
    assert stretched[0, 0] / stretched[1, 1] == pytest.approx(np.exp(0.1))
    assert np.linalg.det(stretched) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["similarity", "affine"])
def test_a_few_per_cent_are_taken_back(tools, reference, kind):
    true = tools.placement((300, 320), 4.0, 0.95, (0.02, -0.01))
    image = tools.as_taken(tools.draw(true, (300, 320)))
    start = true @ movement(torch.tensor([2.0, 3.0, -4.0, 3.0], dtype=torch.float64)).numpy()
    assert tools.residual(start, true) > 0.02
    found = refine_edges(image, reference, (start, LEVELS), transform=kind)
    assert tools.residual(found, true) < 0.002


def test_scatter_does_not_enlarge_the_image(tools, reference):
    """Half of the image is its own blur, as scatter makes it: greys alone would misplace it."""
    blurred = ndimage.gaussian_filter(reference, 24)
    scattered = np.exp(-reference) + 0.6 * np.exp(-blurred)
    found = refine_edges(-np.log(scattered), reference, (HERE, LEVELS))
    assert tools.residual(found, HERE) < 0.001


def test_displacement_measures_a_shift_by_hand(reference):
    assert displacement(reference, reference, ALL) < 0.001
    for pixels in (3, 6):
        moved = np.roll(reference, pixels, axis=1)
        assert displacement(moved, reference, ALL) == pytest.approx(pixels / 256, abs=0.004)


def test_a_letter_counts_no_more_than_a_border(reference):
    a = torch.as_tensor(reference)
    spoilt = a.clone()
    spoilt[20:30, 20:30] += 500 * float(a.std())
    one = torch.ones_like(a)
    slope = similarity.compressed(spoilt.diff(dim=0), one[1:])
    assert float(slope.abs().max()) <= 1.0
    assert float(similarity.edge_ncc(a, a, one)) == pytest.approx(1.0, abs=1e-5)
    assert float(similarity.edge_ncc(a, -a, one)) == pytest.approx(-1.0, abs=1e-5)


@pytest.mark.parametrize("after", [0, 5, 20, 40])
def test_a_search_in_the_plane_stops_when_asked(tools, reference, after):
    true = tools.placement((300, 300), 3.0, 0.95)
    image, asked = tools.as_taken(tools.draw(true, (300, 300))), []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > after

    with pytest.raises(Cancelled):
        register_planar(image, reference, cancelled=cancelled)
    # Nothing goes on after the wish; the optimiser may ask once more while it winds up.
    assert len(asked) <= after + 2
