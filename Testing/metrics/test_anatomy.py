"""Lungs and bone: masks of a body of known parts, distances worked out by hand."""

import math

import numpy as np
import pytest

from axon_backend.metrics import compute_metrics
from axon_backend.metrics.anatomy import assd, dice, structure_mask

WINDOW = (-1000.0, 1000.0)
N = 24


def unit(hu: np.ndarray) -> np.ndarray:
    return ((hu + 1000) / 2000).astype(np.float32)


def chest(shift: int = 0) -> np.ndarray:
    """In air, a body of 20 x 20 x 24 voxels with a lung of 8 x 6 x 10 and a bone of 3 x 3 x 24."""
    hu = np.full((N, N, N), -1000.0)
    hu[:, 2:22, 2:22] = 30.0
    hu[4:14, 6 + shift : 12 + shift, 8:16] = -800.0
    hu[:, 17:20, 10:13] = 500.0
    return unit(hu)


def test_masks_are_the_parts_of_the_chest():
    lungs, bone = (structure_mask(chest(), WINDOW, name) for name in ("lungs", "bone"))
    assert lungs.sum() == 10 * 6 * 8 and lungs[4:14, 6:12, 8:16].all(), "not the air outside"
    assert bone.sum() == N * 3 * 3 and bone[:, 17:20, 10:13].all()


def test_specks_of_gas_and_what_the_window_does_not_show_are_no_structures():
    volume = chest()
    volume[20, 10, 10] = 0.0  # one voxel of gas, 0.007 % of the volume
    assert structure_mask(volume, WINDOW, "lungs").sum() == 480
    assert not structure_mask(volume, (-100.0, 900.0), "lungs").any()
    assert not structure_mask(volume, (-1000.0, 200.0), "bone").any()


def test_two_slabs_are_as_far_apart_as_their_faces():
    """x < 10 and x < 13, cut by the faces of the volume: surfaces at x = 9 and x = 12."""
    a, b = np.zeros((2, 8, 9, 20), bool)
    a[..., :10], b[..., :13] = True, True
    assert assd(a, b, (2.0, 1.0, 5.0)) == 3 * 2.0
    assert dice(a, b) == 2 * 10 / (10 + 13)


def test_a_cube_in_a_cube_by_hand():
    """A voxel in the middle of a cube of 3: its distance to the shell is 1; of the shell's 26
    voxels 6 are at 1, 12 at sqrt 2, 8 at sqrt 3."""
    a, b = np.zeros((2, 7, 7, 7), bool)
    a[3, 3, 3], b[2:5, 2:5, 2:5] = True, True
    total = 1 + 6 + 12 * math.sqrt(2) + 8 * math.sqrt(3)
    assert assd(a, b, (1.0, 1.0, 1.0)) == pytest.approx(total / 27)
    assert dice(a, b) == 2 / 28


def test_monai_finds_the_same_distance_of_two_balls():
    import torch
    from monai.metrics import compute_average_surface_distance

    z, y, x = np.mgrid[:24, :24, :24]
    a = (z - 10) ** 2 + (y - 11) ** 2 + (x - 11) ** 2 <= 36
    b = (z - 13) ** 2 + (y - 11) ** 2 + (x - 12) ** 2 <= 49
    batch = (torch.as_tensor(mask)[None, None].float() for mask in (a, b))
    theirs = compute_average_surface_distance(
        *batch, include_background=True, symmetric=True, spacing=[1.5, 1.0, 2.0]
    )
    assert assd(a, b, (2.0, 1.0, 1.5)) == pytest.approx(float(theirs), rel=1e-5)


def test_metrics_of_a_lung_that_is_shifted_by_two_voxels():
    values = compute_metrics(chest(2), chest(), WINDOW, spacing_mm=(1.0, 1.0, 1.0))
    assert values["dice_lungs"] == pytest.approx(4 / 6)
    assert values["volume_error_lungs"] == 0.0 and 0 < values["assd_lungs"] < 2
    assert (values["dice_bone"], values["assd_bone"]) == (1.0, 0.0)


def test_a_missing_structure_has_dice_0_and_no_distance():
    airless = chest()
    airless[4:14, 6:12, 8:16] = unit(np.asarray(30.0))
    values = compute_metrics(airless, chest(), WINDOW, spacing_mm=(1.0, 1.0, 1.0))
    assert values["dice_lungs"] == 0.0 and values["volume_error_lungs"] == 1.0
    assert math.isnan(values["assd_lungs"])
    unknown = compute_metrics(chest(), airless, WINDOW)
    assert math.isnan(unknown["dice_lungs"]), "the truth shows none"
    assert math.isnan(unknown["assd_bone"]), "without a spacing there are no millimetres"
