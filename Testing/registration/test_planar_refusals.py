"""What cannot be registered is refused in words."""

import numpy as np
import pytest

from axon_backend.errors import AxonInputError
from axon_backend.imaging.radiograph import Radiograph
from axon_backend.imaging.view import View
from axon_backend.registration.place import place_by_search
from axon_backend.registration.planar import register_planar


def nonsense() -> dict[str, np.ndarray]:
    hole = np.random.default_rng(0).random((200, 200)).astype(np.float32)
    hole[5, 7] = np.nan
    return {
        "blank": np.full((200, 200), 7.0, np.float32),
        "63 x 200|63, 200": np.random.default_rng(0).random((63, 200)),
        "not finite": hole,
        "shape": np.zeros((3, 200, 200)),
    }


@pytest.mark.parametrize("says", nonsense())
def test_nonsense_is_refused_on_either_side(reference, says):
    image = nonsense()[says]
    with pytest.raises(AxonInputError, match=f"X-ray.*({says})"):
        register_planar(image, reference)
    with pytest.raises(AxonInputError, match=f"reference.*({says})"):
        register_planar(reference, image)


@pytest.mark.parametrize("register", [True, False])
def test_the_file_is_named(chest_ct, frame, register):
    xray = Radiograph(nonsense()["not finite"], None, View.pa, "odd.png")
    with pytest.raises(AxonInputError, match="odd.png.*not finite"):
        place_by_search(xray, chest_ct, frame, size=128, search=register)


def test_a_frame_beside_the_ct_is_refused(chest_ct, frame, reference):
    from axon_backend.imaging.frame import ThoraxFrame

    elsewhere = ThoraxFrame((5000.0, 0.0, 0.0), frame.size_mm)
    with pytest.raises(AxonInputError, match="frame lie in the CT.*blank"):
        place_by_search(Radiograph(reference, None, View.pa), chest_ct, elsewhere, size=128)


def test_an_unknown_transform_is_a_programmers_error(reference):
    with pytest.raises(ValueError, match="similarity.*affine.*'rigid'"):
        register_planar(reference, reference, transform="rigid")
