"""What the user states about an X-ray wins; a poor registration is refused by every command."""

import argparse
import json

import numpy as np
import pytest

from axon_backend.cli import xray_options
from axon_backend.cli.demo import DATA
from axon_backend.cli.main import main
from axon_backend.errors import AxonInputError
from axon_backend.imaging.radiograph import read_radiograph
from axon_backend.imaging.write import write_png


def stated(*arguments, cases=False):
    parser = argparse.ArgumentParser()
    xray_options.add_arguments(parser, cases=cases)
    return xray_options.stated(parser.parse_args(arguments), cases=cases)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {}),
        (["--flip"], {"frontal": {"flip": True}, "lateral": {"flip": True}}),
        (["--no-flip", "lateral"], {"lateral": {"flip": False}}),
        (
            ["--invert", "frontal", "--no-invert", "lateral"],
            {"frontal": {"invert": True}, "lateral": {"invert": False}},
        ),
        (
            ["--rotate", "lateral=270", "--rotate", "frontal=0"],
            {"lateral": {"rotate": 270}, "frontal": {"rotate": 0}},
        ),
        (["--rotate", "180"], {"frontal": {"rotate": 180}, "lateral": {"rotate": 180}}),
        (
            ["--part", "frontal=left", "--part", "lateral=right"],
            {"frontal": {"part": "left"}, "lateral": {"part": "right"}},
        ),
        (["--force"], {role: {"force": True} for role in ("frontal", "lateral", "ct")}),
        (["--force", "ct"], {"ct": {"force": True}}),
    ],
)
def test_options_by_role(arguments, expected):
    assert stated(*arguments) == expected


def test_one_case_of_many_can_be_named():
    found = stated("--flip", "p7/lateral", "--rotate", "frontal=90", cases=True)
    assert found == {"p7/lateral": {"flip": True}, "frontal": {"rotate": 90}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--flip", "side"], "--flip is given for 'side'; name an X-ray: frontal or lateral"),
        (["--rotate", "45"], "--rotate is '45'; give 0, 90, 180 or 270"),
        (["--part", "middle"], "--part is 'middle'; give left, right, top or bottom"),
        (["--flip", "ct"], "--flip is given for 'ct'; name an X-ray: frontal or lateral"),
        (["--flip", "lateral", "--no-flip"], "--no-flip contradicts another option for lateral"),
    ],
)
def test_what_says_nothing_is_refused(arguments, message):
    with pytest.raises(AxonInputError, match=message):
        stated(*arguments)


@pytest.fixture(scope="module")
def facing_right(tmp_path_factory):
    """A lateral without tags whose front is on the right."""
    pixels = read_radiograph(DATA / "drr_lidc0306_lateral.nrrd", flip=False).pixels[::2, ::2]
    image = (pixels - pixels.min()) / np.ptp(pixels)
    return write_png(tmp_path_factory.mktemp("x") / "lateral.png", image[:, ::-1], bits=16)


def test_register_turns_a_lateral_and_the_user_overrules_it(facing_right, tmp_path, capsys):
    said = {}
    for name, more in (("turned", []), ("stated", ["--no-flip"])):
        main(["register", "--xray", str(facing_right), "--view", "lateral", "--output",
              str(tmp_path / name), *more])  # fmt: skip
        record = json.loads((tmp_path / name / "result.json").read_text())
        said[name] = record["registration"]["verdict"]
        notes = " | ".join(record["inputs"][0]["assumptions"])
        warnings = " | ".join(record["registration"]["warnings"])
        turned = "front and back exchanged"
        assert (turned in notes, turned in warnings) == (name == "turned",) * 2
        assert (turned in capsys.readouterr().out) == (name == "turned")
    assert said["turned"] == "good" != said["stated"]


def test_reconstruct_refuses_what_is_poor_unless_it_is_allowed(tiny_bundle, tmp_path, capsys):
    noise = np.random.default_rng(0).random((200, 200))
    command = ["reconstruct", "--frontal", str(write_png(tmp_path / "x.png", noise, bits=16)),
               "--bundle", str(tiny_bundle.path), "--stages", "coarse", "--steps", "1", "--quiet",
               "--force", "--output", str(tmp_path / "out")]  # fmt: skip
    assert main(command) == 1
    error = capsys.readouterr().err
    assert "frontal X-ray is poor" in error and "--allow-poor" in error and "Traceback" not in error
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "registered.png", "overlay.png", "result.json",
    }  # fmt: skip
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert record["registration"][0]["refused"] is True and "poor" in record["refused"]
    assert main([*command, "--overwrite", "--allow-poor"]) == 0
    files = {p.name for p in (tmp_path / "out").iterdir()}
    assert "reconstruction.nii.gz" in files and "overlay.png" not in files
    assert "the registration is poor" in capsys.readouterr().out
