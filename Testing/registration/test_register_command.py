"""``axon register``: what it refuses, and the pose of two X-rays."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from axon_backend.cli.main import main
from axon_backend.imaging.frame import find_thorax_frame
from axon_backend.imaging.view import View
from axon_backend.imaging.write import write_png
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.drr import render_drr
from axon_backend.physics.pose import Pose
from axon_backend.registration import rigid


@pytest.fixture(scope="module")
def ct_file(chest_ct, tmp_path_factory):
    image = sitk.GetImageFromArray(chest_ct.hu.astype(np.int16))
    image.SetSpacing(chest_ct.spacing_mm)
    image.SetOrigin(chest_ct.origin_mm)
    path = tmp_path_factory.mktemp("ct") / "ct.nii.gz"
    sitk.WriteImage(image, str(path))
    return path


def radiograph(image: np.ndarray, path):
    write_png(path, (image - image.min()) / np.ptp(image), bits=16)
    return str(path)


def test_a_image_of_nothing_is_refused_and_can_be_looked_at(ct_file, tmp_path, capsys):
    noise = radiograph(np.random.default_rng(0).random((200, 200)), tmp_path / "noise.png")
    out = tmp_path / "out"
    command = ["register", "--xray", noise, "--view", "pa", "--ct", str(ct_file), "--output",
               str(out)]  # fmt: skip
    assert main(command) == 2 and not out.exists()
    said = capsys.readouterr().err
    assert "noise.png does not look like a chest X-ray, but like" in said and "--force" in said
    code = main([*command, "--force"])
    said = capsys.readouterr().out
    assert code == 1 and "Refused: check overlay.png" in said and "esearch" in said
    assert json.loads((out / "result.json").read_text())["registration"]["refused"] is True
    shown = np.asarray(Image.open(out / "overlay.png"))
    assert shown.shape == (512, 3 * 512, 3)


@pytest.mark.slow
def test_the_pose_of_two_xrays(chest_ct, ct_file, tmp_path, capsys):
    true = Pose((3.0, -2.0, 4.0), sid_mm=1200.0)
    frame, volume = find_thorax_frame(chest_ct), AttenuationVolume.from_ct(chest_ct)
    front, side = (
        radiograph(
            render_drr(
                volume, replace(true.geometry(frame, v), extent_mm=(360.0, 360.0)), 300
            ).numpy(),
            tmp_path / f"{v.value}.png",
        )
        for v in (View.pa, View.lateral_left)
    )
    out = tmp_path / "out"
    assert main(["register", "--xray", front, "--view", "pa", "--lateral", side, "--ct",
                 str(ct_file), "--pose", "--sid", "auto", "--output", str(out)]) == 0  # fmt: skip
    record = json.loads((out / "result.json").read_text())
    assert record["pose"]["rotation_deg"] == pytest.approx(true.rotation_deg, abs=1.5)
    assert record["pose"]["sid_mm"] == pytest.approx(1200.0, rel=0.2)
    assert [r["role"] for r in record["registrations"]] == ["frontal", "lateral"]
    said = capsys.readouterr().out
    assert len(record["inputs"]) == 2 and "Pose: rotated by" in said
    assert f"about {record['pose']['sid_mm']:.0f} mm" in said
    for name in ("overlay.png", "overlay_lateral.png", "registered_lateral.png"):
        assert (out / name).is_file()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--pose"], "Give --ct"),
        (["--ct", "ct.nii.gz", "--lateral", "side.png"], "Add --pose"),
        (["--ct", "ct.nii.gz", "--sid", "auto"], "Add --pose"),
    ],
)
def test_what_does_not_go_together_is_refused_in_words(more, sentence, tmp_path, capsys):
    arguments = ["register", "--xray", "x.png", *more, "--output", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err


def taken(ct_file, path, view, *more) -> str:
    """A radiograph with tags, by the command itself."""
    options = ["--physics", "poly", "--size", "128", "--view", view, *more]
    assert main(["drr", str(ct_file), "--output", str(path), *options]) == 0
    return str(path)


def test_the_tube_stands_where_the_tags_say_unless_told(ct_file, tmp_path):
    radiograph = taken(ct_file, tmp_path / "pa.dcm", "pa", "--sid", "1100")
    for more, sid_mm in (([], 1100.0), (["--sid", "1500"], 1500.0)):
        out = tmp_path / f"out{sid_mm:.0f}"
        arguments = ["register", "--xray", radiograph, "--ct", str(ct_file), *more]
        assert main([*arguments, "--output", str(out)]) == 0
        assert json.loads((out / "result.json").read_text())["sid_mm"] == sid_mm


def test_a_right_lateral_stays_one(ct_file, tmp_path, monkeypatch):
    monkeypatch.setattr(rigid, "CANDIDATES", 2)
    monkeypatch.setattr(rigid, "LEVELS", (rigid.Level(24, 32, 1, 2, 0.3),))
    front = taken(ct_file, tmp_path / "pa.dcm", "pa")
    side = taken(ct_file, tmp_path / "rl.dcm", "rl")
    out = tmp_path / "out"
    arguments = ["register", "--xray", front, "--lateral", side, "--ct", str(ct_file), "--pose"]
    main([*arguments, "--output", str(out)])
    views = [r["view"] for r in json.loads((out / "result.json").read_text())["registrations"]]
    assert views == ["pa", "rl"]


def test_two_views_of_one_kind_are_refused(ct_file, tmp_path, capsys):
    front = taken(ct_file, tmp_path / "pa.dcm", "pa")
    side = taken(ct_file, tmp_path / "ll.dcm", "ll")
    for one, two, kind in ((front, front, "frontal"), (side, side, "lateral")):
        arguments = ["register", "--xray", one, "--lateral", two, "--ct", str(ct_file), "--pose"]
        assert main([*arguments, "--output", str(tmp_path / "out")]) == 2
        assert f"are both {kind} X-rays" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("more", [["--sid", "1e9"], ["--sid", "nan"], ["--sid=-1800"],
                                  ["--seed", "-1"], ["--seed", "9999999999999"]])  # fmt: skip
def test_numbers_that_cannot_be_are_refused(more, ct_file, tmp_path, capsys):
    radiograph = taken(ct_file, tmp_path / "pa.dcm", "pa")
    arguments = ["register", "--xray", radiograph, "--ct", str(ct_file), *more]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()
