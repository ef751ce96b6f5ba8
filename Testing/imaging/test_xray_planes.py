"""X-rays kept as planes in patient space: right way up from every angle, oblique ones refused."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
from imaging_synthetic import chest_image

from axon_backend.errors import AxonInputError
from axon_backend.imaging.radiograph import View, read_radiograph
from axon_backend.physics.geometry import rotation_matrix

IMAGE = chest_image().astype(np.float32)
FRONT, SIDE = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])  # how columns grow, LPS
ROW_MM, COLUMN_MM = 2.5, 2.0


def write_plane(path, across, up, order=(0, 1, 2), flips=(1, 1)):
    """The display image as a plane whose columns grow along ``across`` and whose rows fall along
    ``up``, stored with its axes in any order (i, j, k = across, up, through) and direction."""
    pixels = IMAGE[::-1].T[:, :, None]  # [across, up, through]
    axes = [np.asarray(across, float), np.asarray(up, float), np.cross(across, up)]
    for axis, flip in enumerate(flips):
        if flip < 0:
            pixels, axes[axis] = np.flip(pixels, axis), -axes[axis]
    if np.linalg.det(np.stack([axes[o] for o in order], 1)) < 0:
        axes[2] = -axes[2]  # ITK wants a right-handed grid
    pixels = np.transpose(pixels, order)
    image = sitk.GetImageFromArray(np.ascontiguousarray(pixels.T))
    image.SetSpacing([(COLUMN_MM, ROW_MM, 1.0)[o] for o in order])
    image.SetDirection(np.stack([axes[o] for o in order], 1).ravel().tolist())
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("across", [FRONT, SIDE], ids=["front", "side"])
@pytest.mark.parametrize("turn", [(0, 0, 0), (0, 0, 15), (12, 0, -18), (3, 8, 5)], ids=str)
@pytest.mark.parametrize("name", ["x.nii.gz", "x.nrrd"])
def test_a_plane_turned_a_little_is_shown_right_way_up(tmp_path, across, turn, name):
    turned = rotation_matrix(*turn)
    path = write_plane(tmp_path / name, turned @ across, turned @ (0, 0, 1))
    xray = read_radiograph(path)
    assert np.allclose(xray.pixels, IMAGE, atol=1e-6)
    assert xray.pixel_mm == pytest.approx((ROW_MM, COLUMN_MM), rel=1e-4)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("flips", [(1, 1), (-1, 1), (1, -1), (-1, -1)], ids=str)
def test_the_order_of_storage_does_not_matter(tmp_path, order, flips):
    turned = rotation_matrix(4, -6, 15)
    path = write_plane(tmp_path / "x.nii.gz", turned @ FRONT, turned @ (0, 0, 1), order, flips)
    assert np.allclose(read_radiograph(path).pixels, IMAGE, atol=1e-6)


def test_a_sagittal_plane_is_a_lateral_and_a_coronal_one_is_taken_as_pa(tmp_path):
    side = read_radiograph(write_plane(tmp_path / "s.nii.gz", SIDE, (0, 0, 1)))
    assert side.view is View.lateral_left
    front = read_radiograph(write_plane(tmp_path / "f.nii.gz", FRONT, (0, 0, 1)))
    assert front.view is View.pa and "the view is not stated: PA is assumed" in front.assumptions


@pytest.mark.parametrize(
    ("turn", "degrees"), [((0, 0, 45), 45), ((0, 0, -30), 30), ((35, 0, 0), 35), ((0, 0, 60), 30)]
)
def test_an_oblique_plane_is_refused_unless_the_view_is_stated(tmp_path, turn, degrees):
    turned = rotation_matrix(*turn)
    path = write_plane(tmp_path / "x.nii.gz", turned @ FRONT, turned @ (0, 0, 1))
    with pytest.raises(AxonInputError, match=f"oblique view, .* {degrees} degrees"):
        read_radiograph(path)
    xray = read_radiograph(path, view="ap")
    assert np.allclose(xray.pixels, IMAGE, atol=1e-6) and xray.view is View.ap


def test_an_unknown_view_is_what_the_caller_expects(tmp_path):
    path = write_plane(tmp_path / "x.nii.gz", FRONT, (0, 0, 1))
    xray = read_radiograph(path, assumed=View.lateral_left)
    assert xray.view is View.lateral_left
    assert "the view is not stated: LL is assumed" in xray.assumptions
