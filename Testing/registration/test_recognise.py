"""The mean chests tell turned, mirrored and swapped pictures of the demonstration case's patients.

The demonstration X-ray and CT are of patients that the means were not made of.
"""

import numpy as np
import pytest

from axon_backend.cli.demo import DATA
from axon_backend.errors import Cancelled
from axon_backend.imaging.radiograph import read_radiograph
from axon_backend.imaging.view import View
from axon_backend.registration.orientation import means, recognise, sidedness, thumbnail

FRONTAL = {
    "mirrored (left and right exchanged)": lambda a: a[:, ::-1],
    "turned by 180 degrees": lambda a: a[::-1, ::-1],
    "turned by 90 degrees to the left": lambda a: np.rot90(a, 1),
    "turned by 90 degrees to the right": lambda a: np.rot90(a, -1),
}
SIDE = {
    "mirrored (front and back exchanged)": lambda a: a[:, ::-1],
    "upside down": lambda a: a[::-1],
    "turned by 180 degrees": lambda a: a[::-1, ::-1],
}


@pytest.fixture(scope="module")
def front() -> np.ndarray:
    return thumbnail(read_radiograph(DATA / "xray_pa.jpg").pixels)


@pytest.fixture(scope="module")
def side() -> np.ndarray:
    drr = DATA / "drr_lidc0306_lateral.nrrd"
    return thumbnail(read_radiograph(drr, view=View.lateral_left).pixels)


def test_nothing_is_said_of_pictures_that_are_right(front, side):
    assert recognise(front, True) is None
    assert recognise(side, False) is None


@pytest.mark.parametrize("name", FRONTAL)
def test_a_clinical_frontal_xray_the_wrong_way_round(front, name):
    found = recognise(np.ascontiguousarray(FRONTAL[name](front)), True)
    assert found is not None and found.name == name
    assert name in found.warning and "check its orientation" in found.warning


@pytest.mark.parametrize("name", SIDE)
def test_a_lateral_drr_the_wrong_way_round(side, name):
    found = recognise(np.ascontiguousarray(SIDE[name](side)), False)
    assert found is not None and found.name == name


def test_views_that_were_exchanged(front, side):
    assert recognise(front, False).name == "like a frontal view"
    assert recognise(side, True).name == "like a lateral view"


def test_mirroring_changes_the_sign_of_the_sides_only(front):
    assert sidedness(front[:, ::-1].copy()) == pytest.approx(-sidedness(front), abs=0.03)
    mean = means()["frontal"]
    assert np.allclose(mean, mean[:, ::-1], atol=0.002)


def test_the_check_stops_when_asked(front):
    with pytest.raises(Cancelled):
        recognise(front, True, lambda: True)
