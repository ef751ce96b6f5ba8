"""No command overwrites its inputs, whatever --overwrite says, or writes to an empty path."""

import json
import shutil
from pathlib import Path

import pytest

from axon_backend.cli.main import main


@pytest.fixture
def run(tmp_path, phantom_ct_file, phantom_xray_file):
    """A folder with inputs named as results are, as the current output of an earlier run."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(phantom_ct_file, folder / "reconstruction.nii.gz")
    shutil.copy(phantom_xray_file, folder / "overview.png")
    entry = {"id": "a", "ct": "reconstruction.nii.gz", "frontal": "overview.png"}
    (tmp_path / "m.json").write_text(
        json.dumps([{**entry, "ct": "run/reconstruction.nii.gz", "frontal": "run/overview.png"}])
    )
    (folder / "m.json").write_text(json.dumps([entry]))
    (folder / "dataset.json").write_text("{}")
    return folder


COMMANDS = {
    "drr": "drr {run}/reconstruction.nii.gz --output {run}/reconstruction.nii.gz --overwrite",
    "reconstruct": "reconstruct --frontal {run}/overview.png --output {run} --overwrite",
    "reconstruct, CT": "reconstruct --frontal {xray} --ct {run}/reconstruction.nii.gz "
    "--output {run} --overwrite",
    "register": "register --xray {run}/overview.png --output {run} --overwrite",
    "evaluate": "evaluate --manifest {above}/m.json --output {run} --overwrite",
    "prepare": "prepare {above}/m.json --output {run} --quiet",
    "train": "train coarse --data {above}/m.json --run {above}",
    "bundle export": "bundle export {run}/m.json {run} --overwrite",
    "above": "reconstruct --frontal {run}/overview.png --output {above} --overwrite",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_inputs_stay(name, run, phantom_xray_file, capsys):
    before = contents(run)
    words = COMMANDS[name].split()
    assert main([w.format(run=run, above=run.parent, xray=phantom_xray_file) for w in words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "input" in said and "Choose" in said
    after = {name: data for name, data in contents(run).items() if name in before}
    assert after == before


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


@pytest.mark.parametrize("command", ["reconstruct --frontal {xray}", "drr {xray}", "prepare ."])
def test_an_empty_output_is_not_the_current_folder(
    command, phantom_xray_file, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    words = [w.format(xray=phantom_xray_file) for w in command.split()]
    assert main([*words, "--output", ""]) == 2
    assert (
        capsys.readouterr().err == "axon: output is empty. Give a value for it, or leave it out.\n"
    )
    assert list(tmp_path.iterdir()) == []
