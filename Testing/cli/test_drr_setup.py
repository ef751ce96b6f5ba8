"""`axon drr`: impossible exposures in one sentence, metal and contrast medium, oblique views."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image

from axon_backend.cli.main import main
from axon_backend.errors import AxonInputError
from axon_backend.imaging.frame import find_thorax_frame
from axon_backend.imaging.radiograph import read_radiograph
from axon_backend.imaging.view import View
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import AcquisitionGeometry


def drr(ct_file, output, *more) -> int:
    return main(["drr", str(ct_file), "--output", str(output), "--size", "96", *map(str, more)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--angle", "inf"], "--angle is 'inf'"),
        (["--angle", "nan"], "--angle is 'nan'"),
        (["--angle", "1e300"], "between -360 and 360"),
        (["--sid", "nan"], "--sid"),
        (["--sid", "inf"], "--sid"),
        (["--sid", "-5"], "SID is -5 mm"),
        (["--sid", "300", "--sod", "300"], "detector would be inside the chest"),
        (["--sid", "1600", "--sod", "1590"], "detector would be inside the chest"),
        (["--detector", "0"], "between 50 and 2000"),
        (["--detector", "nan,300"], "--detector"),
        (["--seed", "-1"], "--seed is -1"),
        (["--seed", "99999999999999999999"], "--seed is 99999"),
        (["--physics", "poly", "--kvp", "-80"], "40 and 150"),
        (["--physics", "poly", "--kvp", "nan"], "40 and 150"),
        (["--physics", "poly", "--collimation", "0"], "between 20 and 5000"),
        (["--physics", "poly", "--collimation=-50,200"], "between 20 and 5000"),
        (["--physics", "poly", "--collimation", "inf"], "--collimation"),
        (["--physics", "poly", "--mas", "nan"], "mAs"),
        (["--metal"], "--metal requires --physics poly"),
        (["--iodine", "mask.nii.gz"], "--iodine requires --physics poly"),
        (["--physics", "poly", "--iodine", "nowhere.nii.gz"], "not a volume file"),
    ],
)
def test_exposures_that_cannot_be_are_refused(options, words, phantom_ct_file, tmp_path, capsys):
    assert drr(phantom_ct_file, tmp_path / "x.png", *options) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1 and "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_tube_within_a_long_ct_is_refused(phantom_ct, tmp_path, capsys):
    """From above, 300 mm away: within a scan that runs on to the head."""
    hu = np.concatenate([phantom_ct.hu, np.full((80, *phantom_ct.hu.shape[1:]), -1000.0)])
    image = sitk.GetImageFromArray(hu.astype(np.int16))
    image.SetSpacing(phantom_ct.spacing_mm)
    image.SetOrigin(phantom_ct.origin_mm)
    sitk.WriteImage(image, str(tmp_path / "long.nii.gz"))
    options = ("--angle", "0,90", "--sod", "300", "--sid", "600")
    assert drr(tmp_path / "long.nii.gz", tmp_path / "x.png", *options) == 2
    assert "tube would be inside the CT" in capsys.readouterr().err


def written_mask(phantom_ct, path, mask):
    image = sitk.GetImageFromArray(mask.astype(np.float32))
    image.SetSpacing(phantom_ct.spacing_mm)
    image.SetOrigin(phantom_ct.origin_mm)
    sitk.WriteImage(image, str(path))
    return path


def line_image(ct_file, tmp_path, name, *more) -> np.ndarray:
    path = tmp_path / f"{name}.nii.gz"
    options = ("--physics", "poly", "--look", "linear", "--noise", "none", "--scatter", "0")
    assert drr(ct_file, path, *options, *more) == 0
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))).squeeze()


def test_contrast_medium_and_bone_of_one_brightness_differ_with_the_voltage(
    phantom_ct, phantom_ct_file, tmp_path
):
    """At the CT's energy the two weigh alike; near iodine's edge (33 keV) it absorbs more."""
    spine = (phantom_ct.hu > 400) & (phantom_ct.hu < 1000)
    mask = written_mask(phantom_ct, tmp_path / "mask.nii.gz", spine)
    excess = {}
    for kvp in (60, 140):
        options = ("--kvp", kvp, "--filtration", "2.5,0")
        bone = line_image(phantom_ct_file, tmp_path, f"b{kvp}", *options)
        iodine = line_image(phantom_ct_file, tmp_path, f"i{kvp}", *options, "--iodine", mask)
        excess[kvp] = float((iodine - bone)[:, 47:49].mean())
        assert np.abs(iodine - bone)[:, :8].max() < 1e-3  # away from the mask nothing changes
    assert excess[60] > excess[140] + 0.05


def test_metal_is_metal_only_where_asked(phantom_ct, tmp_path):
    hu = phantom_ct.hu.copy()
    hu[40:43, 30:33, 24:27] = 3071.0
    image = sitk.GetImageFromArray(hu.astype(np.int16))
    image.SetSpacing(phantom_ct.spacing_mm)
    image.SetOrigin(phantom_ct.origin_mm)
    sitk.WriteImage(image, str(tmp_path / "ct.nii.gz"))
    options = ("--kvp", "70")
    plain = line_image(tmp_path / "ct.nii.gz", tmp_path, "plain", *options)
    metal = line_image(tmp_path / "ct.nii.gz", tmp_path, "metal", *options, "--metal")
    changed = np.abs(metal - plain) > 0.02  # away from the ripples of the detector's blur
    assert 0 < changed.mean() < 0.02 and (metal - plain)[changed].min() > 0


@pytest.mark.parametrize("wrong", ["shape", "place", "values", "text"])
def test_masks_that_do_not_fit_are_refused(wrong, phantom_ct, phantom_ct_file, tmp_path, capsys):
    mask = np.zeros(phantom_ct.hu.shape)
    path = tmp_path / "mask.nii.gz"
    if wrong == "text":
        path.write_text("hello")
    else:
        mask = {"shape": mask[1:], "values": mask + 7}.get(wrong, mask)
        image = sitk.GetImageFromArray(mask.astype(np.float32))
        image.SetSpacing(phantom_ct.spacing_mm)
        away = 20.0 if wrong == "place" else 0.0
        image.SetOrigin([o + away for o in phantom_ct.origin_mm])
        sitk.WriteImage(image, str(path))
    options = ("--physics", "poly", "--iodine", path)
    assert drr(phantom_ct_file, tmp_path / "x.png", *options) == 2
    said = capsys.readouterr().err
    assert "mask.nii.gz" in said and said.count("\n") == 1
    assert not (tmp_path / "x.png").exists()


def test_an_oblique_view_is_named_wherever_it_is_written(phantom_ct_file, tmp_path, capsys):
    for name in ("x.dcm", "x.nii.gz", "x.png"):
        assert drr(phantom_ct_file, tmp_path / name, "--angle=-40,10") == 0
        said = capsys.readouterr().out
        assert "pa DRR rotated to RAO" in said and "not for diagnosis" in said
    ds = pydicom.dcmread(tmp_path / "x.dcm")
    assert "40.0 degrees RAO (0 is PA, 180 AP), " in ds.DerivationDescription
    assert "degrees caudal" in ds.DerivationDescription
    for name in ("x.dcm", "x.nii.gz"):
        with pytest.raises(AxonInputError, match="RAO|oblique"):
            read_radiograph(tmp_path / name)


def test_a_beam_from_above_is_no_pa(phantom_ct_file, tmp_path):
    assert drr(phantom_ct_file, tmp_path / "x.dcm", "--angle", "0,35") == 0
    assert pydicom.dcmread(tmp_path / "x.dcm").ViewPosition == "OBLIQUE"
    with pytest.raises(AxonInputError, match="OBLIQUE"):
        read_radiograph(tmp_path / "x.dcm")


@pytest.mark.parametrize("angle", ["10", "-15,5,3", "180"])
def test_a_turned_nifti_is_read_as_its_dicom(angle, phantom_ct_file, tmp_path):
    for name in ("x.dcm", "x.nii.gz"):
        assert drr(phantom_ct_file, tmp_path / name, f"--angle={angle}") == 0
    nifti = read_radiograph(tmp_path / "x.nii.gz", invert=False)
    dicom = read_radiograph(tmp_path / "x.dcm", invert=False)
    assert nifti.pixels.shape == dicom.pixels.shape
    assert np.corrcoef(nifti.pixels.ravel(), dicom.pixels.ravel())[0, 1] > 0.9999
    assert nifti.pixel_mm == pytest.approx(dicom.pixel_mm, rel=1e-4)


def test_a_lateral_nifti_is_read_as_a_lateral(phantom_ct, phantom_ct_file, tmp_path):
    assert drr(phantom_ct_file, tmp_path / "x.nii.gz", "--view", "ll") == 0
    assert read_radiograph(tmp_path / "x.nii.gz").view is View.lateral_left
    true = render_drr(
        phantom_ct,
        AcquisitionGeometry.of_frame(find_thorax_frame(phantom_ct), View.lateral_left),
        96,
    ).numpy()
    assert drr(phantom_ct_file, tmp_path / "x.png", "--view", "ll") == 0
    shown = np.asarray(Image.open(tmp_path / "x.png")) / 65535 * true.max()
    assert np.abs(shown - true).max() < 1e-3


def test_the_tubes_distance_comes_back_by_its_tag(phantom_ct_file, tmp_path):
    options = ("--sid", "1200", "--physics", "poly")
    assert drr(phantom_ct_file, tmp_path / "x.dcm", *options) == 0
    assert read_radiograph(tmp_path / "x.dcm").sid_mm == 1200
    ds = pydicom.dcmread(tmp_path / "x.dcm")
    assert "grid 12:1" in ds.DerivationDescription
    for unknown in ("0", "1", "10000", ""):
        ds.DistanceSourceToDetector = unknown
        ds.save_as(tmp_path / "y.dcm")
        assert read_radiograph(tmp_path / "y.dcm").sid_mm is None
