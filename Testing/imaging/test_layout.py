"""Images that lie the wrong way round are turned when they are read, and it is said.

The demonstration X-ray and CT are of patients that the mean chests were not made of.
"""

import numpy as np
import pytest
from imaging_synthetic import as_integers, write_xray

from axon_backend.cli.demo import DATA
from axon_backend.cli.main import main
from axon_backend.errors import AxonInputError
from axon_backend.imaging.layout import Layout, means, recognise, sidedness, thumbnail
from axon_backend.imaging.radiograph import View, read_radiograph, require_chest
from axon_backend.imaging.scene import corrected, radiograph_from_pixels
from axon_backend.imaging.turn import Turn
from axon_backend.imaging.write import write_png

TURNS = [Turn(quarters, mirrored) for quarters in range(4) for mirrored in (False, True)]
WRONG = TURNS[1:]


def undone(image: np.ndarray, turn: Turn) -> np.ndarray:
    """The image that `turn` brings the right way round."""
    mirrored = image[:, ::-1] if turn.mirrored else image
    return np.ascontiguousarray(np.rot90(mirrored, -turn.quarters))


@pytest.fixture(scope="module")
def front() -> np.ndarray:
    pixels = thumbnail(read_radiograph(DATA / "xray_pa.jpg", flip=False).pixels)
    return (pixels - pixels.min()) / np.ptp(pixels)


@pytest.fixture(scope="module")
def side() -> np.ndarray:
    pixels = thumbnail(read_radiograph(DATA / "drr_lidc0306_lateral.nrrd", flip=False).pixels)
    return (pixels - pixels.min()) / np.ptp(pixels)


def read(tmp_path, image, view, **stated):
    return read_radiograph(write_png(tmp_path / "x.png", image, bits=16), view, **stated)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("turn", WRONG, ids=lambda t: t.words(False))
def test_a_lateral_without_tags_is_turned_by_its_image(tmp_path, side, turn, dark):
    stored = undone(side, turn)
    xray = read(tmp_path, 1 - stored if dark else stored, View.lateral_left)
    assert xray.pixels == pytest.approx(side, abs=1e-4)
    (warning,) = xray.warnings
    assert turn.words(False) in warning and "it was reoriented" in warning
    assert warning in xray.assumptions


@pytest.mark.parametrize("turn", WRONG, ids=lambda t: t.words(True))
def test_a_frontal_without_tags_is_turned_by_its_image(tmp_path, front, turn):
    xray = read(tmp_path, undone(front, turn), View.pa)
    assert xray.pixels == pytest.approx(front, abs=1e-4)
    assert turn.words(True) in xray.warnings[0]


@pytest.mark.parametrize("dark", [False, True])
def test_what_is_right_is_left_as_it_is(tmp_path, front, side, dark):
    for image, view in ((front, View.pa), (side, View.lateral_left)):
        xray = read(tmp_path, 1 - image if dark else image, view)
        assert xray.pixels == pytest.approx(image, abs=1e-4)
        assert xray.warnings == ()
        assert any("no tag states the orientation" in note for note in xray.assumptions)


def test_what_is_no_chest_is_not_turned(tmp_path):
    noise = np.random.default_rng(0).random((200, 160))
    for view in (View.pa, View.lateral_left):
        assert read(tmp_path, noise, view, invert=False).pixels == pytest.approx(noise, abs=1e-4)


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"flip": False}, lambda a: a),
        ({"rotate": 0}, lambda a: a),
        ({"flip": True}, lambda a: a[:, ::-1]),
        ({"rotate": 90}, lambda a: np.rot90(a, -1)),
        ({"rotate": 180}, lambda a: a[::-1, ::-1]),
        ({"rotate": 270}, lambda a: np.rot90(a, 1)),
        ({"rotate": 90, "flip": True}, lambda a: np.rot90(a, -1)[:, ::-1]),
    ],
)
def test_what_the_user_states_is_done_and_nothing_else(tmp_path, side, stated, expected):
    stored = side[:200, ::-1]
    xray = read(tmp_path, stored, View.lateral_left, invert=False, **stated)
    assert xray.pixels == pytest.approx(expected(stored), abs=1e-4)
    assert xray.warnings == () and any("as requested" in note for note in xray.assumptions)


def test_another_angle_is_refused(tmp_path, side):
    with pytest.raises(AxonInputError, match="0, 90, 180 or 270"):
        read(tmp_path, side, View.lateral_left, rotate=45)


def test_a_lateral_that_its_tag_turns_the_wrong_way_is_turned_back(tmp_path, side):
    stored = as_integers(side)
    tags = {"ViewPosition": "LL", "PatientOrientation": ["A", "F"]}  # it is P\F
    xray = read_radiograph(write_xray(tmp_path / "x.dcm", stored, **tags))
    assert xray.pixels == pytest.approx(stored / 4095, abs=1e-3)
    assert "front and back exchanged" in xray.warnings[0]
    assert "although the file states otherwise" in xray.warnings[0]
    assert any("PatientOrientation A\\F" in note for note in xray.assumptions)


def test_the_sides_of_a_frontal_are_the_tags_word(tmp_path, front):
    stored = as_integers(front[:, ::-1])  # as of a heart on the right
    path = write_xray(tmp_path / "x.dcm", stored, PatientOrientation=["L", "F"])
    xray = read_radiograph(path)
    assert xray.pixels == pytest.approx(stored / 4095, abs=1e-3)
    assert "left and right exchanged" in xray.warnings[0]
    assert "check its orientation" in xray.warnings[0]


def test_a_quarter_turn_exchanges_the_pixel_sizes(side):
    xray = radiograph_from_pixels(undone(side, Turn(1)), (1.6, 1.7), "ll")
    assert xray.pixel_mm == (1.7, 1.6) and xray.pixels == pytest.approx(side, abs=1e-4)


def test_a_view_that_was_exchanged_is_named(front, side):
    assert recognise(front, False).looks.startswith("like a frontal view")
    assert recognise(side, True).looks.startswith("like a lateral view")


@pytest.mark.parametrize("shown", ["frontal", "lateral"])
def test_an_image_that_clearly_shows_the_other_view_is_refused(
    tmp_path, request, shown, capsys, tiny_bundle
):
    image = request.getfixturevalue({"frontal": "front", "lateral": "side"}[shown])
    given, wrong, right = ("lateral", "ll", "pa") if shown == "frontal" else ("frontal", "pa", "ll")
    said = f"x.png does not look like a {given} chest X-ray, but like a {shown} one. Give it as the"
    xray = read(tmp_path, image, wrong)
    assert xray.looks_like == shown and xray.view is View(wrong)
    with pytest.raises(AxonInputError, match=said):
        require_chest(xray)
    forced = read(tmp_path, image, wrong, force=True)
    require_chest(forced)
    assert "it was used as requested" in forced.warnings[0]
    # By hand: the right view, or the wrong one all the same.
    require_chest(corrected(xray, view=right))
    insisted = corrected(xray, force=True)
    require_chest(insisted)
    assert insisted.warnings == ()
    assert insisted.assumptions[-1] == f"corrected by hand: it is a {given} chest X-ray"
    assert corrected(read(tmp_path, image, right), view=wrong).looks_like == shown
    options = ["--frontal", str(DATA / "xray_pa.jpg"), "--lateral", str(tmp_path / "x.png")]
    if shown == "lateral":
        options = ["--frontal", str(tmp_path / "x.png")]
    output = ["--bundle", str(tiny_bundle.path), "--output", str(tmp_path / "out")]
    assert main(["reconstruct", *options, "--quiet", *output]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_tag_of_the_view_is_believed(tmp_path, side):
    """An image that looks lateral, in a file whose tag says PA, is read with a warning; so is one
    whose view is not clear."""
    xray = read_radiograph(write_xray(tmp_path / "x.dcm", as_integers(side), ViewPosition="PA"))
    assert xray.looks_like == "" and "looks like a lateral view" in xray.warnings[0]
    unclear = Layout(Turn(), 1.0, True, other=0.9995, other_seen=0.97)
    assert unclear.is_other_view and not unclear.contradicts_view
    assert not Layout(Turn(), 1.0, True, other=0.998, other_seen=1.0).contradicts_view


def test_a_corrected_view_is_judged_anew(side):
    first = radiograph_from_pixels(side[:, ::-1], None, "pa")
    xray = corrected(first, view="ll")
    assert xray.pixels == pytest.approx(side, abs=1e-4)
    assert "front and back exchanged" in xray.warnings[0] and xray.warnings[0] in xray.assumptions
    assert not any("like a lateral view" in note for note in xray.assumptions)
    by_hand = corrected(xray, flip_lr=True)
    assert by_hand.pixels == pytest.approx(side[:, ::-1], abs=1e-4) and by_hand.warnings == ()


def test_mirroring_changes_the_sign_of_the_sides_only(front):
    assert sidedness(front) > 1
    assert sidedness(front[:, ::-1].copy()) == pytest.approx(-sidedness(front), abs=0.1)
    mean = means()["frontal"]
    assert np.allclose(mean, mean[:, ::-1], atol=0.002)
