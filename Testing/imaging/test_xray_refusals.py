"""Every unusable X-ray is refused with one plain sentence: found, expected, way out."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from imaging_synthetic import (
    as_integers,
    chest_ct,
    chest_image,
    ct_slices,
    write_series,
    write_xray,
    xray_dataset,
)
from PIL import Image

from axon_backend.errors import AxonInputError
from axon_backend.imaging.radiograph import read_radiograph

STORED = as_integers(chest_image())


def refused(path, pattern):
    with pytest.raises(AxonInputError, match=pattern) as caught:
        read_radiograph(path)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    refused(tmp_path / "no.png", "no.png does not exist. Check the path")


def test_folder(tmp_path):
    refused(tmp_path, "is a folder; an X-ray is one file")


@pytest.mark.parametrize("name", ["x.dcm", "x.png", "x.nii.gz", "x"])
def test_empty_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    refused(tmp_path / name, r"is empty \(0 bytes\)")


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
def test_not_an_image(tmp_path, name):
    (tmp_path / name).write_text("Dear reader, this is a letter. " * 20)
    refused(tmp_path / name, "is not a readable image: it is damaged, cut short or not an image")


@pytest.mark.parametrize("name", ["x.txt", "x"])
def test_no_known_format(tmp_path, name):
    (tmp_path / name).write_text("Dear reader, this is a letter. " * 20)
    refused(tmp_path / name, "is not in a format that AXON reads.* Give an X-ray as DICOM, PNG")


@pytest.mark.parametrize("name", ["x.nii.gz", "x.nrrd", "x.mha"])
def test_damaged_volume_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"nonsense" * 100)
    refused(tmp_path / name, "could not be read: the file is damaged")


def test_a_letter_named_dcm(tmp_path):
    (tmp_path / "x.dcm").write_text("Dear reader, this is a letter. " * 20)
    refused(tmp_path / "x.dcm", "is not a readable DICOM file")


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
def test_truncated_image(tmp_path, name):
    Image.fromarray(as_integers(chest_image(), 8)).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    refused(tmp_path / name, "damaged, cut short")


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.012])
def test_truncated_dicom(tmp_path, keep):
    path = write_xray(tmp_path / "x.dcm", STORED)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    refused(path, "cut short")


def test_multi_frame(tmp_path):
    dataset = xray_dataset(STORED, NumberOfFrames=3)
    dataset.PixelData = STORED.tobytes() * 3
    pydicom.dcmwrite(tmp_path / "x.dcm", dataset, enforce_file_format=True)
    refused(tmp_path / "x.dcm", "has 3 frames; a single X-ray is expected")


def test_colour_dicom(tmp_path):
    one = as_integers(chest_image(), 8)
    colour = np.dstack([one, one[::-1], one[:, ::-1] // 2])
    write_xray(tmp_path / "x.dcm", np.ascontiguousarray(colour), 8)
    refused(tmp_path / "x.dcm", "is a colour image")


def test_grey_in_a_colour_dicom_is_accepted(tmp_path):
    grey = as_integers(chest_image(), 8)
    path = write_xray(tmp_path / "x.dcm", np.dstack([grey] * 3), 8, Modality="OT")
    assert np.allclose(read_radiograph(path).pixels, grey / 255, atol=1e-6)


@pytest.mark.parametrize("part", ["HAND", "SKULL", "KNEE", "LSPINE"])
def test_wrong_body_part(tmp_path, part):
    path = write_xray(tmp_path / "x.dcm", STORED, BodyPartExamined=part)
    refused(path, rf"shows another body part \({part}\); a chest X-ray is expected")


@pytest.mark.parametrize("modality", ["MR", "US", "PT"])
def test_wrong_modality(tmp_path, modality):
    path = write_xray(tmp_path / "x.dcm", STORED, Modality=modality)
    refused(path, f"has modality {modality}; an X-ray")


def test_a_ct_slice_as_an_xray(tmp_path):
    folder = write_series(tmp_path / "ct", ct_slices(chest_ct())[:1])
    refused(next(folder.iterdir()), "is a CT slice; an X-ray .* Give its folder as the CT")


def test_a_ct_volume_as_an_xray(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(chest_ct()), tmp_path / "ct.nii.gz")
    refused(tmp_path / "ct.nii.gz", "is a volume of 32 x 32 x 24 voxels; an X-ray is flat")


def test_four_dimensions(tmp_path):
    image = sitk.JoinSeries([sitk.GetImageFromArray(chest_ct())] * 2)
    sitk.WriteImage(image, tmp_path / "x.nii.gz")
    refused(tmp_path / "x.nii.gz", "is a volume of 32 x 32 x 24 x 2 voxels")


def test_no_pixels(tmp_path):
    path = write_xray(tmp_path / "x.dcm", STORED, PixelData=None)
    refused(path, "holds no image")


def test_not_a_number(tmp_path):
    image = chest_image().astype(np.float32)
    image[5, 5] = np.nan
    sitk.WriteImage(sitk.GetImageFromArray(image), tmp_path / "x.nrrd")
    refused(tmp_path / "x.nrrd", "not numbers")


def test_too_small(tmp_path):
    path = write_xray(tmp_path / "x.dcm", as_integers(chest_image(40, 30)))
    refused(path, "too small: 40 x 30 pixels, at least 64 x 64")


def test_blank_and_bilevel(tmp_path):
    refused(write_xray(tmp_path / "x.dcm", np.full((100, 90), 7, np.uint16)), "only 1 grey level;")
    Image.fromarray(chest_image() > 0.5).save(tmp_path / "x.png")
    refused(tmp_path / "x.png", "black and white without greys")


def test_a_window_that_is_no_number_is_left_out(tmp_path):
    path = write_xray(tmp_path / "x.dcm", STORED, WindowCenter=2048, WindowWidth=4096)
    data = path.read_bytes()
    assert data.count(b"2048") == 1
    path.write_bytes(data.replace(b"2048", b"2x48"))
    radiograph = read_radiograph(path)
    assert (
        "the window in the file does not consist of numbers: it was ignored"
        in radiograph.assumptions
    )
    assert np.corrcoef(radiograph.pixels.ravel(), STORED.ravel())[0, 1] > 0.999
