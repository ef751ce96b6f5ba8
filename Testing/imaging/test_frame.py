"""The HU window and the canonical thorax frame, on phantoms whose lungs are known."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import (
    LUNG_MARGIN_MM,
    HuWindow,
    ThoraxFrame,
    find_thorax_frame,
    lung_mask,
    resample_to_frame,
)

SPACING = (4.0, 3.0, 5.0)
ORIGIN = (-180.0, -140.0, 1000.0)
SHAPE = (64, 80, 90)  # z, y, x
RIGHT = ((-110.0, -30.0), (-70.0, 60.0), (1060.0, 1260.0))  # LPS mm, lower and upper face
LEFT = ((30.0, 120.0), (-75.0, 55.0), (1060.0, 1250.0))


def coordinates() -> tuple[np.ndarray, ...]:
    """LPS millimetres x, y, z of every voxel."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    return tuple(o + s * i for o, s, i in zip(ORIGIN, SPACING, (x, y, z), strict=True))


def chest(*lungs, bowel=None) -> CTVolume:
    """An elliptic body of 40 HU with box-shaped lungs of -850 HU, in air."""
    x, y, z = coordinates()
    hu = np.full(SHAPE, -1000.0, np.float32)
    hu[(x / 160.0) ** 2 + ((y + 10.0) / 120.0) ** 2 < 1] = 40.0
    for box in (*lungs, *([bowel] if bowel else [])):
        inside = np.ones(SHAPE, bool)
        for place, (low, high) in zip((x, y, z), box, strict=True):
            inside &= (place > low) & (place < high)
        hu[inside] = -850.0
    return CTVolume(hu, SPACING, ORIGIN)


def bounds(frame: ThoraxFrame) -> np.ndarray:
    """(3, 2): lower and upper face of the box along x, y, z."""
    center, half = np.array(frame.center_mm), np.array(frame.size_mm) / 2
    return np.stack([center - half, center + half], 1)


def with_margins(*boxes) -> np.ndarray:
    boxes, margins = np.array(boxes), np.array(LUNG_MARGIN_MM)
    low, high = boxes[..., 0].min(0), boxes[..., 1].max(0)
    return np.stack([low - margins[:, 0], high + margins[:, 1]], 1)


@pytest.mark.parametrize("window", [HuWindow(), HuWindow(-100.0, 900.0)])
def test_the_window_maps_its_ends_and_back(window):
    hu = np.linspace(window.low, window.high, 11)
    x = window.normalise(hu)
    assert x == pytest.approx(np.linspace(-1, 1, 11))
    assert window.to_hu(x) == pytest.approx(hu)
    beyond = np.array([window.low - 500, window.high + 500])
    assert window.normalise(beyond).tolist() == [-1.0, 1.0]
    assert window.to_hu(np.array([-1.5, 1.5])).tolist() == [window.low, window.high]


def test_the_window_takes_tensors():
    window, hu = HuWindow(), torch.tensor([-1000.0, -50.0, 900.0])
    assert torch.allclose(window.normalise(hu), torch.tensor([-1.0, 0.0, 1.0]), atol=1e-6)
    assert torch.allclose(window.to_hu(window.normalise(hu)), hu, atol=1e-3)


@pytest.mark.parametrize("counts", [(16, 16, 16), (8, 12, 16)])
def test_a_volume_of_the_frame_fills_exactly_the_box(counts):
    frame = ThoraxFrame((10.0, -20.0, 1100.0), (320.0, 240.0, 288.0))
    image = sitk.Image(counts, sitk.sitkFloat32)
    image.SetSpacing(frame.spacing_mm(counts))
    image.SetOrigin(frame.origin_mm(counts))
    ends = [[-0.5] * 3, [n - 0.5 for n in counts]]
    corners = [image.TransformContinuousIndexToPhysicalPoint(end) for end in ends]
    assert pytest.approx(bounds(frame)) == np.array(corners).T
    assert ThoraxFrame(**frame.as_dict()) == frame


def test_a_cube_of_the_frame_may_be_given_by_one_number():
    frame = ThoraxFrame((10.0, -20.0, 1100.0), (320.0, 240.0, 288.0))
    assert frame.spacing_mm(16) == frame.spacing_mm((16,) * 3) == (20.0, 15.0, 18.0)
    assert frame.origin_mm(16) == frame.origin_mm((16,) * 3) == (-140.0, -132.5, 965.0)


def test_the_frame_is_the_lungs_and_their_margins():
    found = bounds(find_thorax_frame(chest(RIGHT, LEFT)))
    assert np.abs(found - with_margins(RIGHT, LEFT)).max(1) == pytest.approx(
        [0, 0, 0], abs=2 * max(SPACING)
    )
    for axis in range(3):  # and by the axis's own voxel
        assert np.abs(found - with_margins(RIGHT, LEFT))[axis].max() <= 2 * SPACING[axis]


@pytest.mark.parametrize("lung", [RIGHT, LEFT])
def test_with_one_lung_the_frame_spans_both_sides_of_the_body(lung):
    found = bounds(find_thorax_frame(chest(lung)))
    reach = max(abs(v) for v in lung[0]) + LUNG_MARGIN_MM[0][0]
    assert found[0] == pytest.approx([-reach, reach], abs=2 * SPACING[0])
    assert found[1:] == pytest.approx(with_margins(lung)[1:], abs=10.0)


def test_gas_in_the_bowel_is_not_lung():
    bowel = ((-60.0, 60.0), (-60.0, 20.0), (1005.0, 1045.0))
    x, _, z = coordinates()
    mask = lung_mask(chest(RIGHT, bowel=bowel).hu, SPACING)
    assert not mask[z < 1050.0].any()
    assert mask[(z > 1100.0) & (z < 1200.0) & (x > -100.0) & (x < -40.0)].any()
    clean = bounds(find_thorax_frame(chest(RIGHT)))
    assert bounds(find_thorax_frame(chest(RIGHT, bowel=bowel))) == pytest.approx(clean)


def test_a_few_stray_voxels_do_not_move_the_frame():
    straight = chest(RIGHT, LEFT)
    spur = CTVolume(straight.hu.copy(), SPACING, ORIGIN)
    x, y, z = coordinates()
    spur.hu[(abs(x + 60) < 9) & (abs(y) < 7) & (z >= 1260) & (z < 1290)] = -850.0
    a, b = (bounds(find_thorax_frame(ct)) for ct in (straight, spur))
    assert np.abs(a - b).max() <= 2 * SPACING[2]


@pytest.mark.parametrize("fill", [40.0, -1000.0])
def test_without_lungs_there_is_no_frame(fill):
    ct = CTVolume(np.full(SHAPE, fill, np.float32), SPACING, ORIGIN)
    with pytest.raises(AxonInputError, match="No lungs"):
        find_thorax_frame(ct)


def test_resampling_keeps_a_marker_in_its_place():
    hu = np.full(SHAPE, -1000.0, np.float32)
    x, y, z = coordinates()
    place = np.array([60.0, -30.0, 1150.0])
    r2 = sum((c - p) ** 2 for c, p in zip((x, y, z), place, strict=True))
    hu += 2000 * np.exp(-0.5 * r2 / 12.0**2)
    frame = ThoraxFrame((0.0, -10.0, 1140.0), (300.0, 200.0, 260.0))
    n = 32
    array = resample_to_frame(CTVolume(hu, SPACING, ORIGIN), frame, n)
    assert array.shape == (n, n, n) and array.dtype == np.float32
    weight = array + 1000.0
    index = [
        (np.arange(n) * weight.sum(tuple(a for a in range(3) if a != axis))).sum() / weight.sum()
        for axis in (2, 1, 0)
    ]
    found = np.array(frame.origin_mm(n)) + np.array(frame.spacing_mm(n)) * index
    assert found == pytest.approx(place, abs=0.5)
    # Mass is kept: a mean over voxels is a mean over millimetres.
    mass = weight.sum() * np.prod(frame.spacing_mm(n))
    assert mass == pytest.approx((hu + 1000.0).sum() * np.prod(SPACING), rel=0.01)


def test_outside_the_scan_is_air():
    ct = CTVolume(np.full(SHAPE, 40.0, np.float32), SPACING, ORIGIN)
    far = ThoraxFrame((ORIGIN[0], -20.0, 1150.0), (200.0, 100.0, 100.0))  # half outside
    array = resample_to_frame(ct, far, 16)
    assert (array[:, :, :7] == -1000.0).all() and (array[:, :, 9:] == 40.0).all()


@pytest.mark.parametrize("slice_number", [29, 30, 33, 36])
def test_a_voxel_is_the_mean_over_its_volume(slice_number):
    """A slab one CT voxel thick weighs an eighth of a voxel of 8 mm, wherever it lies in it."""
    hu = np.full((64, 64, 64), -1000.0, np.float32)
    hu[slice_number] = 600.0
    ct = CTVolume(hu=hu, spacing_mm=(1.0,) * 3, origin_mm=(0.5,) * 3, source="slab")
    frame = ThoraxFrame((32.0,) * 3, (64.0,) * 3)
    made = resample_to_frame(ct, frame, 8)
    column = made[:, 4, 4] + 1000.0
    assert column.sum() == pytest.approx(1600 / 8, rel=1e-3)
    if slice_number % 8 not in (0, 7):  # well inside one voxel
        assert column[slice_number // 8] == pytest.approx(1600 / 8, rel=1e-3)
