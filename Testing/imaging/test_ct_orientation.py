"""A CT whose header is wrong by a reflection is named by its own projections.

The demonstration CT is of a patient that neither the network nor the mean chests were made of.
"""

from itertools import product

import numpy as np
import pytest

from axon_backend.cli.demo import DATA
from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import read_ct, require_upright
from axon_backend.imaging.ct_orientation import recognise_ct
from axon_backend.imaging.scene import ct_from_array


@pytest.fixture(scope="module")
def chest():
    ct = read_ct(DATA / "ct_lidc0306.nii.gz")
    assert ct.warnings == () and ct.looks == ""
    return ct.hu[::2, ::2, ::2], tuple(2 * mm for mm in ct.spacing_mm)


@pytest.mark.parametrize("flips", product((False, True), repeat=3))
def test_every_reflection_is_found(chest, flips):
    hu, spacing = chest
    step = [-1 if flip else 1 for flip in flips]
    found = recognise_ct(hu[:: step[2], :: step[1], :: step[0]], spacing)
    assert found.flips == flips
    assert found.confirmed is (flips[1] or flips[2])


@pytest.mark.parametrize(
    ("axis", "words", "refused"),
    [
        (0, "upside down", True),
        (1, "reversed (front and back exchanged)", True),
        (2, "mirrored (left and right exchanged)", False),
    ],
)
def test_a_ct_with_a_wrong_header_is_named_and_refused_where_it_is_certain(
    chest, axis, words, refused
):
    hu, spacing = chest
    affine = np.diag([*spacing, 1.0])
    ct = ct_from_array(np.flip(hu, axis), affine, "turned.nii.gz")
    assert words in ct.warnings[0] and ct.warnings[0] in ct.assumptions
    if refused:
        assert ct.looks == words
        with pytest.raises(AxonInputError, match=r"turned.nii.gz is .* by its voxels: its header"):
            require_upright(ct)
    else:  # a heart on the right is rare, but real
        require_upright(ct)


def test_what_is_no_chest_is_left_alone():
    noise = np.random.default_rng(0).integers(-1000, 500, (40, 40, 40)).astype(np.float32)
    assert recognise_ct(noise, (5.0, 5.0, 5.0)).looks is None


def test_the_user_insists(chest, tmp_path):
    from axon_backend.imaging.ct import CTVolume
    from axon_backend.imaging.write import write_volume

    hu, spacing = chest
    turned = CTVolume(np.ascontiguousarray(hu[::-1]), spacing, (0.0, 0.0, 0.0))
    path = write_volume(tmp_path / "turned.nii.gz", turned.hu, turned)
    assert read_ct(path).looks == "upside down"
    forced = read_ct(path, force=True)
    assert forced.looks == "" and "it was used as requested" in forced.warnings[0]
    require_upright(forced)
