"""A marker voxel stays at its point in the patient through every orientation and format."""

import itertools

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from imaging_synthetic import CT_MARKER_ZYX, CT_SPACING, brightest_point, chest_ct

from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume, read_ct
from axon_backend.imaging.write import write_volume

HU = chest_ct()
ORIGIN = (-155.0, -150.0, -115.0)
MARKER_LPS = np.array(ORIGIN) + 10.0 * np.array(CT_MARKER_ZYX[::-1])
RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def lps_affine() -> np.ndarray:
    affine = np.diag([*CT_SPACING, 1.0])
    affine[:3, 3] = ORIGIN
    return affine


def save_nifti(path, voxels_zyx, affine):
    """Independent of the product: nibabel, [x, y, z] and RAS."""
    data = np.ascontiguousarray(voxels_zyx.T.astype(np.float32))
    nibabel.save(nibabel.Nifti1Image(data, RAS @ affine), path)
    return path


AXES = list(itertools.permutations(range(3)))
FLIPS = list(itertools.product([False, True], repeat=3))


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("flips", FLIPS)
def test_every_permutation_and_flip(tmp_path, axes, flips):
    voxels, affine = HU.transpose(2, 1, 0), lps_affine()  # [i, j, k]
    voxels = voxels.transpose(axes)
    matrix = affine[:, [*axes, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            matrix[:3, 3] += matrix[:3, axis] * (voxels.shape[axis] - 1)
            matrix[:3, axis] *= -1
            voxels = np.flip(voxels, axis)
    nibabel.save(
        nibabel.Nifti1Image(np.ascontiguousarray(voxels), RAS @ matrix), tmp_path / "x.nii"
    )
    ct = read_ct(tmp_path / "x.nii")
    assert np.array_equal(ct.hu, HU)
    assert ct.hu.dtype == np.float32
    assert ct.spacing_mm == pytest.approx(CT_SPACING)
    assert ct.origin_mm == pytest.approx(ORIGIN)


@pytest.mark.parametrize("degrees", [(20, 0, 0), (0, -15, 0), (0, 0, 30), (10, -8, 12)])
def test_oblique_scans_keep_the_marker_within_half_a_voxel(tmp_path, degrees):
    turn = sitk.Euler3DTransform((0, 0, 0), *np.radians(degrees).tolist())
    affine = lps_affine()
    affine[:3] = np.reshape(turn.GetMatrix(), (3, 3)) @ affine[:3]
    expected = (affine @ [*CT_MARKER_ZYX[::-1], 1])[:3]
    ct = read_ct(save_nifti(tmp_path / "x.nii.gz", HU, affine))
    assert np.abs(brightest_point(ct) - expected).max() <= 5.0 + 1e-6
    assert any("oblique" in note for note in ct.assumptions)


def test_resampling_an_oblique_ramp_is_exact():
    """Trilinear interpolation reproduces a linear function of the position."""
    turn = sitk.Euler3DTransform((0, 0, 0), 0.2, -0.15, 0.3)
    affine = lps_affine()
    affine[:3] = np.reshape(turn.GetMatrix(), (3, 3)) @ affine[:3]

    def ramp(x, y, z):
        return 0.7 * x - 0.4 * y + 1.1 * z

    k, j, i = np.mgrid[0:24, 0:32, 0:32]
    points = np.einsum("ab,bkji->akji", affine, np.stack([i, j, k, np.ones_like(i)]))
    ct = CTVolume.from_affine(ramp(*points[:3]).astype(np.float32), affine)
    z, y, x = np.mgrid[tuple(slice(0, n) for n in ct.hu.shape)]
    grid = [o + s * n for o, s, n in zip(ct.origin_mm, ct.spacing_mm, (x, y, z), strict=True)]
    inside = ct.hu > -1000
    assert 0.9 < inside.sum() * np.prod(ct.spacing_mm) / (23 * 31 * 31 * 1000) < 1.1
    assert np.abs(ct.hu - ramp(*grid))[inside].max() < 1e-2
    # The new grid encloses every old voxel centre.
    low, high = np.array(ct.origin_mm), np.array([axis.max() for axis in grid])
    flat = points[:3].reshape(3, -1)
    assert (flat.min(1) >= low - 1e-6).all()
    assert (flat.max(1) <= high + 1e-6).all()


def test_a_hair_of_tilt_is_not_resampled(tmp_path):
    turn = sitk.Euler3DTransform((0, 0, 0), 0, 0, 5e-4)
    affine = lps_affine()
    affine[:3] = np.reshape(turn.GetMatrix(), (3, 3)) @ affine[:3]
    ct = read_ct(save_nifti(tmp_path / "x.nii", HU, affine))
    assert np.array_equal(ct.hu, HU)
    expected = (affine @ [*CT_MARKER_ZYX[::-1], 1])[:3]
    assert np.abs(brightest_point(ct) - expected).max() < 0.5


def test_a_sheared_nifti_is_straightened(tmp_path):
    affine = lps_affine()
    affine[1, 2] = 10 * np.tan(np.radians(15))
    expected = (affine @ [*CT_MARKER_ZYX[::-1], 1])[:3]
    ct = read_ct(save_nifti(tmp_path / "x.nii.gz", HU, affine))
    assert np.abs(brightest_point(ct) - expected).max() <= 5.0
    assert any("tilted" in note for note in ct.assumptions)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_round_trip_of_every_format(tmp_path, suffix):
    ct = CTVolume(HU, (10.0, 9.0, 11.5), (-155.5, 20.25, -7.125))
    write_volume(tmp_path / f"x{suffix}", ct.hu, ct)
    back = read_ct(tmp_path / f"x{suffix}")
    assert np.array_equal(back.hu, np.rint(HU))
    assert back.spacing_mm == pytest.approx(ct.spacing_mm, abs=1e-5)
    assert back.origin_mm == pytest.approx(ct.origin_mm, abs=1e-4)
    assert np.abs(brightest_point(back) - brightest_point(ct)).max() < 1e-3


def test_to_and_from_sitk(ct_of_image):
    ct = CTVolume(HU, CT_SPACING, ORIGIN)
    image = ct.to_sitk()
    point = image.TransformIndexToPhysicalPoint([int(i) for i in CT_MARKER_ZYX[::-1]])
    assert point == pytest.approx(tuple(MARKER_LPS))
    again = ct_of_image(sitk.DICOMOrient(image, "ASR"))
    assert np.array_equal(again.hu, HU)
    assert again.origin_mm == pytest.approx(ORIGIN)
    assert again.size_mm == (320.0, 320.0, 240.0)


def test_a_fourth_axis_of_one_is_dropped(tmp_path):
    data = np.ascontiguousarray(HU.T[..., None])
    nibabel.save(nibabel.Nifti1Image(data, RAS @ lps_affine()), tmp_path / "x.nii")
    assert np.array_equal(read_ct(tmp_path / "x.nii").hu, HU)


def test_no_orientation_in_the_nifti_is_recorded(tmp_path):
    nifti = nibabel.Nifti1Image(np.ascontiguousarray(HU.T), None)
    nifti.header.set_zooms(CT_SPACING)
    nifti.header.set_qform(None, 0)
    nifti.header.set_sform(None, 0)
    nibabel.save(nifti, tmp_path / "x.nii")
    assert any("states no orientation" in note for note in read_ct(tmp_path / "x.nii").assumptions)


def test_padding_below_air(tmp_path):
    padded = HU.copy()
    padded[:, 0, 0] = -3024
    ct = read_ct(save_nifti(tmp_path / "x.nii", padded, lps_affine()))
    assert (ct.hu[:, 0, 0] == -1024).all()
    assert any("padding" in note for note in ct.assumptions)


def test_a_lost_intercept_is_put_back(tmp_path):
    ct = read_ct(save_nifti(tmp_path / "x.nii", HU + 1024, lps_affine()))
    assert np.array_equal(ct.hu, HU)
    assert any("intercept is taken as -1024" in note for note in ct.assumptions)


def small(z, y, x):
    return HU[:z, :y, :x]


@pytest.mark.parametrize(
    ("voxels", "pattern"),
    [
        (np.where(HU > 2000, np.nan, HU), "1 voxels that are not numbers"),
        (np.zeros_like(HU), "it is blank"),
        ((HU + 1000) / 4000, "it was normalised"),
        (np.clip((HU + 1000) / 8, 0, 255).round(), "8-bit image of a CT"),
        (np.abs(HU) * 4, "not a chest CT in HU"),
        (small(1, 32, 32), r"single slice \(32, 32, 1\)"),
        (small(8, 32, 32), r"too small: \(32, 32, 8\) voxels, at least 16"),
    ],
)
def test_values_and_shapes_that_are_refused(tmp_path, voxels, pattern):
    path = save_nifti(tmp_path / "x.nii", voxels, lps_affine())
    with pytest.raises(AxonInputError, match=pattern):
        read_ct(path)


def test_a_volume_of_few_millimetres(tmp_path):
    affine = lps_affine()
    affine[:3, :3] *= 0.1
    with pytest.raises(AxonInputError, match="covers only 32 x 32 x 24 mm"):
        read_ct(save_nifti(tmp_path / "x.nii", HU, affine))


def test_absurd_geometry(tmp_path):
    affine = lps_affine()
    affine[:3, 0] *= 1000
    with pytest.raises(AxonInputError, match="would be 320000 mm long by its spacing"):
        read_ct(save_nifti(tmp_path / "x.nii", HU, affine))
    affine = lps_affine()
    affine[:3, 2] = (400.0, 0.0, 0.5)
    with pytest.raises(AxonInputError, match="would be"):
        read_ct(save_nifti(tmp_path / "y.nii", HU, affine))


def test_four_dimensions(tmp_path):
    sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(HU)] * 2), tmp_path / "x.nii")
    with pytest.raises(AxonInputError, match=r"has 4 dimensions .* Extract one time point"):
        read_ct(tmp_path / "x.nii")


def test_colour_volume(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((*HU.shape, 3), np.uint8), isVector=True)
    sitk.WriteImage(image, tmp_path / "x.nrrd")
    with pytest.raises(AxonInputError, match="has 3 values per voxel"):
        read_ct(tmp_path / "x.nrrd")


def test_flat_images_and_unknown_formats(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((80, 80), np.int16)), tmp_path / "x.nrrd")
    with pytest.raises(AxonInputError, match="flat image .* give it as the X-ray"):
        read_ct(tmp_path / "x.nrrd")
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    with pytest.raises(AxonInputError, match="flat image; a CT is a volume"):
        read_ct(tmp_path / "x.png")
    (tmp_path / "x.docx").write_bytes(b"PK" * 100)
    with pytest.raises(AxonInputError, match="not a CT in a known format"):
        read_ct(tmp_path / "x.docx")


def test_missing_empty_and_truncated_files(tmp_path):
    with pytest.raises(AxonInputError, match="does not exist"):
        read_ct(tmp_path / "no.nii")
    for name in ("x.nii.gz", "x.dcm"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(AxonInputError, match=r"empty \(0 bytes\)"):
            read_ct(tmp_path / name)
    for suffix in (".nii", ".nii.gz", ".nrrd", ".mha"):
        path = write_volume(tmp_path / f"y{suffix}", HU, CTVolume(HU, CT_SPACING, ORIGIN))
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(AxonInputError, match="damaged, cut short"):
            read_ct(path)


def test_complex_values_are_refused(tmp_path):
    voxels = HU.astype(np.complex64) + 1j
    nibabel.save(nibabel.Nifti1Image(voxels.T, RAS @ lps_affine()), tmp_path / "ct.nii.gz")
    with pytest.raises(AxonInputError, match="complex values"):
        read_ct(tmp_path / "ct.nii.gz")
