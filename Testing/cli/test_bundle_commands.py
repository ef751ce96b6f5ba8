"""`axon bundle list | show | import | delete`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from axon_backend.bundle import load_bundle, seal_bundle
from axon_backend.bundle.layout import MODEL_CARD
from axon_backend.cli.main import main
from axon_backend.util.hashing import file_sha256


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("AXON_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def archive(tiny_bundle, tmp_path) -> Path:
    return Path(shutil.make_archive(str(tmp_path / "tiny"), "zip", tiny_bundle.path))


def test_a_model_comes_is_used_and_goes(
    home, archive, tiny_bundle, phantom_xray_file, tmp_path, capsys
):
    assert main(["bundle", "list"]) == 0
    said = capsys.readouterr().out
    assert "axon-preview" in said and "comes with AXON" in said and "axon-tiny" not in said
    assert str(home / "bundles") in said

    assert main(["bundle", "import", str(archive), "--sha256", file_sha256(archive)]) == 0
    assert "--bundle axon-tiny-0.0.1" in capsys.readouterr().out
    assert main(["bundle", "list"]) == 0
    assert str(home / "bundles" / "axon-tiny-0.0.1") in capsys.readouterr().out

    assert main(["bundle", "show", "axon-tiny"]) == 0
    said = capsys.readouterr().out
    for word in (tiny_bundle.sha256, "Random weights for tests.", "controlnet", "not for", "0.0.1"):
        assert word in said
    assert main(["bundle", "verify", "axon-tiny"]) == 0
    assert main(["bundle", "show", str(tiny_bundle.path)]) == 0  # a folder as well
    said = capsys.readouterr().out
    assert tiny_bundle.sha256 in said and "stages run by default: coarse, fine, sr\n" in said
    assert main(["bundle", "show", "axon-preview"]) == 0
    assert "stages run by default: coarse\n" in capsys.readouterr().out

    run = ["reconstruct", "--frontal", str(phantom_xray_file), "--no-register", "--stages",
           "coarse", "--steps", "1", "--quiet", "--output"]  # fmt: skip
    assert main([*run, str(tmp_path / "a"), "--bundle", "axon-tiny"]) == 0
    assert main([*run, str(tmp_path / "b"), "--bundle", str(tiny_bundle.path)]) == 0
    a, b = (tmp_path / name / "reconstruction.nii.gz" for name in "ab")
    assert a.read_bytes() == b.read_bytes()

    assert main(["bundle", "delete", "axon-tiny"]) == 0
    assert "MB freed" in capsys.readouterr().out
    assert list((home / "bundles").iterdir()) == []


def test_refusals_are_one_sentence_and_exit_code_2(home, archive, capsys):
    for arguments, words in (
        (["import", "https://127.0.0.1:9/x.zip"], "needs its SHA-256"),
        (["import", "https://127.0.0.1:9/x.zip", "--sha256", "1" * 64], "could not be downloaded"),
        (["import", str(archive), "--sha256", "2" * 64], "was expected"),
        (["import", str(archive.parent / "nothing")], "There is no file or folder"),
        (["show", "axon-tiny"], "No bundle called"),
        (["delete", "axon-preview"], "comes with AXON"),
    ):
        assert main(["bundle", *arguments]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1


def test_ctrl_c_stops_an_import_and_leaves_nothing(home, archive, capsys, monkeypatch):
    import signal

    from axon_backend.bundle import unpack

    extract = unpack._extract

    def press_ctrl_c(*args):
        signal.raise_signal(signal.SIGINT)
        return extract(*args)

    monkeypatch.setattr(unpack, "_extract", press_ctrl_c)
    assert main(["bundle", "import", str(archive)]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert list((home / "bundles").iterdir()) == []


@pytest.mark.parametrize(
    ("section", "key", "value", "says"),
    [
        ("prior", "channels", None, "prior.channels is None; expected tuple"),
        ("prior", "channels", [8, "8"], "prior.channels[1] is '8'; expected int"),
        ("encoder", "view_size", "32", "encoder.view_size is '32'; expected int"),
        ("sampling", "coarse_steps", 1.5, "sampling.coarse_steps is 1.5; expected int"),
        ("sampling", "fine_sampler", "euler", "sampling.fine_sampler is not a setting"),
        ("sampling", "tta_shifts", 3, "tta_shifts must be 1 or 4"),
        ("window", "low", True, "window.low is True; expected float"),
        ("coarse", "depth", 3, "coarse.depth is not a setting"),
        ("coarse", "groups", 0, "groups must be 1 or more, got 0"),
        ("coarse", "channels", [8, 16], "The network 'coarse'"),
        ("sr", "features", 10**9, "No networks can be built"),
        ("sr", "features", 8, "The network 'sr'"),
    ],
)
def test_a_configuration_without_sense_is_one_sentence_before_anything_runs(
    tiny_bundle, phantom_xray_file, tmp_path, capsys, section, key, value, says
):
    path = shutil.copytree(tiny_bundle.path, tmp_path / "bundle")
    file = path / "configs" / "axon.json"
    config = json.loads(file.read_text())
    config[section][key] = value
    file.write_text(json.dumps(config))
    seal_bundle(path)
    run = ["reconstruct", "--frontal", str(phantom_xray_file), "--output", str(tmp_path / "out")]
    for words in (["bundle", "verify", str(path)], [*run, "--bundle", str(path), "--quiet"]):
        assert main(words) == 2
        out, error = capsys.readouterr()
        assert says in error and error.count("\n") == 1 and "verified" not in out
    assert not (tmp_path / "out").exists()


def test_show_and_verify_name_the_method_and_its_stages(tiny_bundle, capsys):
    for command in ("show", "verify"):
        assert main(["bundle", command, str(tiny_bundle.path)]) == 0
        said = capsys.readouterr().out
        assert "method: AXON (axon)" in said
        assert "  stage coarse: CoarseDiff (coarse volume)" in said and "stage sr: SR-Net" in said


def test_a_bundle_of_an_unknown_method_is_shown_but_not_verified(tiny_bundle, tmp_path, capsys):
    path = shutil.copytree(tiny_bundle.path, tmp_path / "bundle")
    file = path / "configs" / "axon.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "method": "nobody_s"}))
    seal_bundle(path)
    assert main(["bundle", "show", str(path)]) == 0
    assert "method: There is no method 'nobody_s'" in capsys.readouterr().out
    assert main(["bundle", "verify", str(path)]) == 2
    assert "There is no method 'nobody_s'" in capsys.readouterr().err


@pytest.fixture
def validation(phantom_ct_file, tmp_path) -> Path:
    """A list of CTs with the phantom for validation."""
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"train": [], "validation": [str(phantom_ct_file)]}))
    return path


def test_a_calibrated_model_draws_its_samples(
    tiny_bundle, validation, phantom_xray_file, tmp_path, capsys
):
    new = tmp_path / "calibrated"
    command = ["bundle", "calibrate", str(tiny_bundle.path), "--data", str(validation)]
    assert main([*command, "--output", str(new), "--each", "1", "--steps", "4"]) == 0
    said = capsys.readouterr().out
    assert "one view, inflation 1: spread / skill" in said and "two views" in said
    before, after = (json.loads((b / "configs/axon.json").read_text()) for b in (
        tiny_bundle.path, new
    ))  # fmt: skip
    assert after["sampling"]["coarse_draw_steps"] == 4 and after["bridge"]["geometric_to"] == 0.9
    assert after["coarse_error"]["both"]["alpha"] and not before["coarse_error"]["both"]["alpha"]
    changed = ("coarse_error", "sampling", "bridge")
    assert {k: v for k, v in after.items() if k not in changed} == {
        k: v for k, v in before.items() if k not in changed
    }
    copy = load_bundle(new)
    assert copy.name == "calibrated" and copy.version == tiny_bundle.version
    base = f"{tiny_bundle.name} {tiny_bundle.version}"
    about = f"A copy of {base} with calibrated samples (validation patients: 1)."
    assert copy.metadata["description"].startswith(about)
    card = (new / MODEL_CARD).read_text(encoding="utf-8")
    assert card.startswith(f"# calibrated {copy.version}\n\n{about}\n")
    run = ["reconstruct", "--frontal", str(phantom_xray_file), "--no-register", "--stages",
           "coarse", "--quiet", "--bundle", str(new), "--output"]  # fmt: skip
    assert main([*run, str(tmp_path / "one")]) == 0
    assert main([*run, str(tmp_path / "two"), "--samples", "2"]) == 0
    assert main([*run, str(tmp_path / "asked"), "--samples", "2", "--steps", "2"]) == 0
    steps = {
        name: json.loads((tmp_path / name / "result.json").read_text())["stages"][0]["steps"]
        for name in ("one", "two", "asked")
    }
    assert steps == {"one": 3, "two": 4, "asked": 2}


def test_what_cannot_be_calibrated(tiny_bundle, validation, tmp_path, capsys):
    def refused(*options: str) -> str:
        assert main(["bundle", "calibrate", str(tiny_bundle.path), *options]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    there = tmp_path / "there"
    there.mkdir()
    new = str(tmp_path / "new")
    assert "already exists" in refused("--data", str(validation), "--output", str(there))
    said = refused("--data", str(validation), "--output", new, "--steps", "1")
    assert "--steps is 1; it must be at least 2" in said
    empty = tmp_path / "empty.json"
    empty.write_text(json.dumps({"train": [], "validation": []}))
    assert "no validation cases with a CT" in refused("--data", str(empty), "--output", new)
    assert not Path(new).exists()
