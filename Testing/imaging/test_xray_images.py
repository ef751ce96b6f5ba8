"""X-rays from PNG, JPG, TIFF, NIfTI, NRRD and MHA: depth, alpha, palette, colour, turn, size."""

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from imaging_synthetic import MARKER, as_integers, chest_image
from PIL import Image

from axon_backend.errors import AxonInputError
from axon_backend.imaging.image_file import NO_PIXEL_SIZE
from axon_backend.imaging.radiograph import View, read_radiograph

IMAGE = chest_image()
EIGHT, SIXTEEN = as_integers(IMAGE, 8), as_integers(IMAGE, 16)


def saved(tmp_path, array, name="x.png", **options):
    path = tmp_path / name
    Image.fromarray(array).save(path, **options)
    return path


def test_8_bit_png(tmp_path):
    radiograph = read_radiograph(saved(tmp_path, EIGHT))
    assert np.allclose(radiograph.pixels, EIGHT / 255, atol=1e-6)
    assert radiograph.pixels.dtype == np.float32
    assert radiograph.pixel_mm is None
    assert radiograph.view is View.pa
    for note in (NO_PIXEL_SIZE, "the view is not stated: PA is assumed"):
        assert note in radiograph.assumptions


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_16_bits_are_kept(tmp_path, name):
    pixels = read_radiograph(saved(tmp_path, SIXTEEN, name)).pixels
    assert np.allclose(pixels, SIXTEEN / 65535, atol=1e-7)
    assert len(np.unique(pixels)) > 5000


def test_jpg(tmp_path):
    pixels = read_radiograph(saved(tmp_path, EIGHT, "x.jpg", quality=95)).pixels
    assert np.abs(pixels - EIGHT / 255).mean() < 0.01


def test_printed_resolution_is_no_pixel_size(tmp_path):
    assert read_radiograph(saved(tmp_path, EIGHT, dpi=(96, 96))).pixel_mm is None


def test_float_tiff(tmp_path):
    pixels = read_radiograph(saved(tmp_path, IMAGE.astype(np.float32), "x.tif")).pixels
    assert np.allclose(pixels, IMAGE, atol=1e-6)


@pytest.mark.parametrize("sixteen", [False, True])
def test_tiff_with_white_as_zero(tmp_path, sixteen):
    stored = (65535 - SIXTEEN).astype(np.uint16) if sixteen else 255 - EIGHT
    path = saved(tmp_path, stored, "x.tif", tiffinfo={262: 0})
    with Image.open(path) as check:
        if check.tag_v2[262] != 0:
            pytest.skip("this Pillow does not write PhotometricInterpretation 0")
    radiograph = read_radiograph(path)
    assert (radiograph.pixels[MARKER] == radiograph.pixels.max()).all()


def test_opaque_and_transparent_alpha(tmp_path):
    opaque = np.dstack([EIGHT] * 3 + [np.full_like(EIGHT, 255)])
    radiograph = read_radiograph(saved(tmp_path, opaque))
    assert np.allclose(radiograph.pixels, EIGHT / 255, atol=1e-6)
    assert any("alpha channel was dropped" in note for note in radiograph.assumptions)
    clear = opaque.copy()
    clear[100:, :, 3] = 0
    radiograph = read_radiograph(saved(tmp_path, clear))
    assert radiograph.pixels.shape[0] == 100  # the transparent part is black, hence border
    assert any("taken as black" in note for note in radiograph.assumptions)


def test_palette(tmp_path):
    image = Image.fromarray(EIGHT).convert("P")
    image.save(tmp_path / "x.png")
    radiograph = read_radiograph(tmp_path / "x.png")
    assert np.allclose(radiograph.pixels, EIGHT / 255, atol=1e-6)
    assert any("palette" in note for note in radiograph.assumptions)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_exif_orientation(tmp_path, orientation):
    # Turns a viewer must make (EXIF 0x0112): 3 by 180, 6 by 90 clockwise, 8 by 90 the other way.
    undo = {3: 2, 6: 1, 8: 3}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, np.ascontiguousarray(np.rot90(EIGHT, undo)), exif=exif)
    radiograph = read_radiograph(path)
    assert np.allclose(radiograph.pixels, EIGHT / 255, atol=1e-6)
    assert any("EXIF" in note for note in radiograph.assumptions)


def test_grey_in_colour_is_accepted(tmp_path):
    noisy = np.dstack([EIGHT] * 3).astype(int)
    noisy[..., 0] += np.random.default_rng(0).integers(-3, 4, EIGHT.shape)
    radiograph = read_radiograph(saved(tmp_path, np.clip(noisy, 0, 255).astype(np.uint8)))
    assert np.abs(radiograph.pixels - EIGHT / 255).max() < 0.01
    assert any("is grey: its luminance was used" in note for note in radiograph.assumptions)


def test_a_weak_tint_is_accepted(tmp_path):
    curve = EIGHT.astype(float)
    tinted = np.dstack([curve, curve * 0.85, curve * 0.75]).astype(np.uint8)
    radiograph = read_radiograph(saved(tmp_path, tinted))
    assert any("has a tint: its luminance was used" in note for note in radiograph.assumptions)
    assert np.corrcoef(radiograph.pixels.ravel(), EIGHT.ravel())[0, 1] > 0.999


def test_true_colour_is_refused(tmp_path):
    colour = np.dstack([EIGHT, EIGHT.T.reshape(EIGHT.shape), np.flipud(EIGHT)])
    with pytest.raises(AxonInputError, match=r"x.png is a colour image .* an X-ray is grey"):
        read_radiograph(saved(tmp_path, colour))


def test_a_colour_map_is_refused(tmp_path):
    grey = EIGHT.astype(float) / 255
    hot = np.dstack([np.clip(grey * 3 - k, 0, 1) for k in range(3)])
    with pytest.raises(AxonInputError, match="colour"):
        read_radiograph(saved(tmp_path, (hot * 255).astype(np.uint8)))


def test_several_pages_are_refused(tmp_path):
    page = Image.fromarray(EIGHT)
    page.save(tmp_path / "x.tif", save_all=True, append_images=[page])
    with pytest.raises(AxonInputError, match="holds several images"):
        read_radiograph(tmp_path / "x.tif")


@pytest.mark.parametrize("name", ["x.nii.gz", "x.nrrd", "x.mha"])
def test_flat_volumes_with_a_spacing(tmp_path, name):
    for shape in (IMAGE.shape, (1, *IMAGE.shape)):
        image = sitk.GetImageFromArray(SIXTEEN.reshape(shape))
        image.SetSpacing((2.5, 2.0, 1.0)[: image.GetDimension()])
        sitk.WriteImage(image, tmp_path / name)
        radiograph = read_radiograph(tmp_path / name)
        assert np.array_equal(radiograph.pixels, SIXTEEN.astype(np.float32))
        assert radiograph.pixel_mm == pytest.approx((2.0, 2.5))  # (row, col)


def test_a_spacing_of_one_is_not_trusted(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(SIXTEEN), tmp_path / "x.nrrd")
    radiograph = read_radiograph(tmp_path / "x.nrrd")
    assert radiograph.pixel_mm is None
    assert NO_PIXEL_SIZE in radiograph.assumptions


@pytest.mark.parametrize("flips", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_a_coronal_plane_is_turned_by_its_geometry(tmp_path, flips):
    """A voxel right and up in the patient ends left and up, whatever the storage order."""
    x_sign, z_sign = flips  # whether the stored axis grows to Right, Superior (RAS)
    data = IMAGE.T[:, None, ::-1]  # x to Left, z to Superior
    data = data[::-1] if x_sign > 0 else data
    data = data if z_sign > 0 else data[:, :, ::-1]
    affine = np.diag([2.0 * x_sign, 2.0, 2.5 * z_sign, 1.0])
    nifti = nibabel.Nifti1Image(np.ascontiguousarray(data, np.float32), affine)
    nibabel.save(nifti, tmp_path / "x.nii.gz")
    radiograph = read_radiograph(tmp_path / "x.nii.gz")
    assert np.allclose(radiograph.pixels, IMAGE, atol=1e-6)
    assert radiograph.pixel_mm == pytest.approx((2.5, 2.0))


def test_a_sagittal_plane_puts_the_front_left(tmp_path):
    # LPS: y grows to Posterior, z to Superior.
    image = sitk.GetImageFromArray(IMAGE[::-1, :, None].astype(np.float32))
    image.SetSpacing((1.0, 2.0, 2.5))
    sitk.WriteImage(image, tmp_path / "x.nrrd")
    radiograph = read_radiograph(tmp_path / "x.nrrd", view=View.lateral_left)
    assert np.allclose(radiograph.pixels, IMAGE, atol=1e-6)
    assert radiograph.pixel_mm == pytest.approx((2.5, 2.0))
