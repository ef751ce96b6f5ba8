"""A marker at the patient's right ends at the viewer's left, however the file is stored."""

import numpy as np
import pytest
from imaging_synthetic import MARKER, as_integers, chest_image, stored_image, write_xray

from axon_backend.errors import AxonInputError
from axon_backend.imaging.dicom_xray import read_dicom_xray
from axon_backend.imaging.radiograph import View, read_radiograph

FRONTAL = [(a, d) for a, d in ("LF", "RF", "LH", "RH", "FL", "FR", "HL", "HR")]
LATERAL = [(a, d) for a, d in ("PF", "AF", "PH", "AH", "FP", "FA", "HP", "HA")]


def marker_is_brightest(pixels: np.ndarray) -> bool:
    return bool((pixels[MARKER] == pixels.max()).all() and (pixels == pixels.max()).sum() == 48)


@pytest.mark.parametrize(("across", "down"), FRONTAL)
@pytest.mark.parametrize("view", ["PA", "AP"])
def test_frontal_orientations(tmp_path, across, down, view):
    stored = as_integers(stored_image(chest_image(), across, down))
    path = write_xray(
        tmp_path / "x.dcm", stored, PatientOrientation=[across, down], ViewPosition=view
    )
    radiograph = read_radiograph(path)
    assert radiograph.view.value == view.lower()
    assert marker_is_brightest(radiograph.pixels)
    turned = any("turned to the display" in note for note in radiograph.assumptions)
    assert turned == ((across, down) != ("L", "F"))


@pytest.mark.parametrize(("across", "down"), LATERAL)
def test_lateral_orientations_put_the_front_at_the_left(tmp_path, across, down):
    stored = as_integers(stored_image(chest_image(), across, down, frontal=False))
    path = write_xray(
        tmp_path / "x.dcm", stored, PatientOrientation=[across, down], ViewPosition="LL"
    )
    radiograph = read_radiograph(path)
    assert radiograph.view is View.lateral_left
    assert marker_is_brightest(radiograph.pixels)


def test_compound_codes_count_by_their_first_letter(tmp_path):
    stored = as_integers(stored_image(chest_image(), "R", "F"))
    path = write_xray(tmp_path / "x.dcm", stored, PatientOrientation=["RP", "FA"])
    assert marker_is_brightest(read_radiograph(path).pixels)


def test_no_orientation_is_taken_as_shown(tmp_path):
    path = write_xray(tmp_path / "x.dcm", as_integers(chest_image()))
    assert marker_is_brightest(read_radiograph(path).pixels)


def test_an_orientation_that_cannot_be_is_ignored_with_a_note(tmp_path):
    stored = as_integers(chest_image())
    path = write_xray(tmp_path / "x.dcm", stored, PatientOrientation=["A", "F"])
    radiograph = read_radiograph(path)  # ViewPosition says PA
    assert marker_is_brightest(radiograph.pixels)
    assert any("A\\F does not fit the view" in note for note in radiograph.assumptions)


def test_pixel_size_turns_with_the_image(tmp_path):
    stored = as_integers(stored_image(chest_image(), "F", "L"))
    path = write_xray(
        tmp_path / "x.dcm",
        stored,
        PatientOrientation=["F", "L"],
        PixelSpacing=[2.0, 3.0],
        PixelSpacingCalibrationType="GEOMETRY",
    )
    assert read_radiograph(path).pixel_mm == (3.0, 2.0)


@pytest.mark.parametrize(
    ("tags", "view"),
    [
        ({"ViewPosition": "PA"}, View.pa),
        ({"ViewPosition": "AP"}, View.ap),
        ({"ViewPosition": "LL"}, View.lateral_left),
        ({"ViewPosition": "RL"}, View.lateral_right),
        ({"ViewPosition": "AP AXIAL"}, View.ap),
        ({"ViewPosition": "RIGHT LATERAL"}, View.lateral_right),
        ({"ViewPosition": "LATERAL"}, View.lateral_left),
        ({"ViewPosition": "LATERAL", "ImageLaterality": "R"}, View.lateral_right),
        ({"ViewPosition": "", "SeriesDescription": "Chest AP portable"}, View.ap),
        ({"ViewPosition": ""}, View.pa),
    ],
)
def test_view_tags(tmp_path, tags, view):
    path = write_xray(tmp_path / "x.dcm", as_integers(chest_image()), **tags)
    assert read_radiograph(path).view is view


def test_a_view_by_the_orientation_alone_gives_way_to_a_certain_image(tmp_path):
    """The image is a frontal one; a ViewPosition would be believed."""
    tags = {"ViewPosition": "", "PatientOrientation": ["P", "F"]}
    path = write_xray(tmp_path / "x.dcm", as_integers(chest_image()), **tags)
    assert read_dicom_xray(path).view is View.lateral_left
    radiograph = read_radiograph(path)
    assert radiograph.view is View.pa
    assert any("shows a frontal view, although the file suggests" in w for w in radiograph.warnings)
    path = write_xray(tmp_path / "y.dcm", as_integers(chest_image()), ViewPosition="LL")
    assert read_radiograph(path).view is View.lateral_left


def test_an_unknown_view_is_recorded_as_assumed(tmp_path):
    path = write_xray(tmp_path / "x.dcm", as_integers(chest_image()), ViewPosition=None)
    assert "the view is not stated: PA is assumed" in read_radiograph(path).assumptions


def test_a_view_that_nobody_knows_is_told(tmp_path):
    path = write_xray(tmp_path / "x.dcm", as_integers(chest_image()), ViewPosition="XYZ")
    assert "ViewPosition XYZ is not one of PA, AP, LL and RL" in read_radiograph(path).assumptions


def test_a_given_view_wins_over_the_tag(tmp_path):
    path = write_xray(tmp_path / "x.dcm", as_integers(chest_image()), ViewPosition="PA")
    radiograph = read_radiograph(path, view=View.ap)
    assert radiograph.view is View.ap
    assert "the view ap was given, the file states pa" in radiograph.assumptions


@pytest.mark.parametrize("view", ["RAO", "PA LLD", "LATERAL DECUB"])
def test_an_oblique_view_is_refused_unless_the_view_is_given(tmp_path, view):
    path = write_xray(tmp_path / "x.dcm", as_integers(chest_image()), ViewPosition=view)
    with pytest.raises(AxonInputError, match=rf"view {view}; a frontal \(PA, AP\) or lateral"):
        read_radiograph(path)
    assert read_radiograph(path, view=View.pa).view is View.pa


def test_a_wrong_view_argument_names_the_choices(tmp_path):
    path = write_xray(tmp_path / "x.dcm", as_integers(chest_image()))
    with pytest.raises(AxonInputError, match="one of pa, ap, ll, rl"):
        read_radiograph(path, view="front")
