"""`axon drr`: bright bones, the right size in millimetres, readable as an X-ray."""

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from axon_backend.cli.main import main
from axon_backend.imaging.frame import find_thorax_frame
from axon_backend.imaging.radiograph import read_radiograph
from axon_backend.imaging.view import View
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import AcquisitionGeometry


def drr(ct_file, view, output, *more) -> int:
    return main(["drr", "--ct", str(ct_file), "--view", view, "--size", "96", "--output",
                 str(output), *more])  # fmt: skip


def test_png_is_the_rendering_in_16_bits(phantom_ct, phantom_ct_file, tmp_path, capsys):
    assert drr(phantom_ct_file, "pa", tmp_path / "drr.png") == 0
    found = np.asarray(Image.open(tmp_path / "drr.png")).astype(float)
    true = render_drr(
        phantom_ct, AcquisitionGeometry.of_frame(find_thorax_frame(phantom_ct), View.pa), 96
    ).numpy()
    assert found.max() == 65535
    assert np.abs(found / 65535 - true / true.max()).max() < 1e-4
    # Bright spine between dark lungs.
    assert found[48, 48] > 1.5 * found[48, 25]
    assert "mm" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "view"), [("pa", View.pa), ("lateral", View.lateral_left)])
def test_nifti_comes_back_as_the_same_xray_in_millimetres(
    name, view, phantom_ct, phantom_ct_file, tmp_path
):
    assert drr(phantom_ct_file, name, tmp_path / "drr.nii.gz") == 0
    frame = find_thorax_frame(phantom_ct)
    true = render_drr(phantom_ct, AcquisitionGeometry.of_frame(frame, view), 96).numpy()
    xray = read_radiograph(tmp_path / "drr.nii.gz", view=view, invert=False)
    width, height = AcquisitionGeometry.of_frame(frame, view).extent_mm
    assert xray.pixel_mm == pytest.approx((height / 96, width / 96), rel=1e-4)
    # A uniform border may have been cropped away from the image as read.
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "drr.nii.gz"))).squeeze()[::-1]
    assert np.allclose(image, true, atol=1e-5)
    assert xray.pixels.max() == pytest.approx(true.max(), rel=1e-5)


def test_nifti_lies_at_the_isocentre_of_the_ct(phantom_ct, phantom_ct_file, tmp_path):
    assert drr(phantom_ct_file, "pa", tmp_path / "drr.nii.gz") == 0
    image = sitk.ReadImage(str(tmp_path / "drr.nii.gz"))
    middle = [(n - 1) / 2 for n in image.GetSize()]
    centre = image.TransformContinuousIndexToPhysicalPoint(middle)
    assert centre == pytest.approx(find_thorax_frame(phantom_ct).center_mm, abs=1e-3)


def test_an_existing_file_is_kept_unless_asked(phantom_ct_file, tmp_path, capsys):
    target = tmp_path / "drr.png"
    target.write_text("mine")
    assert drr(phantom_ct_file, "ap", target) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert target.read_text() == "mine"
    assert drr(phantom_ct_file, "ap", target, "--overwrite") == 0
    assert Image.open(target).size == (96, 96)


def test_assumptions_are_printed_and_kept_in_the_sidecar(phantom_ct_file, tmp_path, capsys):
    """A CT without orientation, as some converters write it."""
    import json

    image = nibabel.load(phantom_ct_file)
    image.set_qform(None, code=0)
    image.set_sform(None, code=0)
    nibabel.save(image, tmp_path / "ct.nii.gz")
    assert drr(tmp_path / "ct.nii.gz", "pa", tmp_path / "pa.nii.gz") == 0
    words = "the file states no orientation"
    assert f"Assumed: {words}" in capsys.readouterr().out
    kept = json.loads((tmp_path / "pa.nii.gz.json").read_text())
    assert kept["assumptions"][0].startswith(words)
    assert (kept["drr"], kept["ct"], kept["columns"]) == ("pa.nii.gz", "ct.nii.gz", 96)
    assert str(tmp_path) not in (tmp_path / "pa.nii.gz.json").read_text()
    (tmp_path / "pa.nii.gz").unlink()
    assert drr(tmp_path / "ct.nii.gz", "pa", tmp_path / "pa.nii.gz") == 2  # the sidecar is kept
