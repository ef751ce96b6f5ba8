"""``axon train`` and ``axon bundle export`` as they are typed."""

import json
import time

import pytest
import yaml
from training_tiny import TINY

from axon_backend.cli.main import main
from axon_backend.training.run.run_folder import RunFolder


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(json.dumps(TINY))  # YAML, too, and without aliases
    return str(file)


def test_show_prints_what_a_run_would_use(capsys):
    assert main(["train", "sr", "--preset", "paper", "--set", "synthesised=0", "--show"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["optimiser"]["lr"] == 2e-4 and shown["loss"]["synthesised"] == 0
    assert shown["stage"] == "sr" and shown["preset"] == "paper"


def test_show_says_where_the_paper_s_preset_deviates_and_what_its_window_hides(capsys):
    assert main(["train", "coarse", "--preset", "paper_biplanar", "--show"]) == 0
    comments = [x for x in capsys.readouterr().out.splitlines() if x.startswith("#")]
    text = " ".join(line.lstrip("# ") for line in comments)
    assert "will show no lungs" in text and "scaled-linear from 0.0015 to 0.0195" in text
    assert text.count("- ") >= 10 and max(map(len, comments)) <= 100


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "jont=1"], "Did you mean loss.joint"),
        (["--data", "none.json"], "--run is missing"),
        (["--data", "none.json", "--run", "r"], "none.json does not exist"),
        (["--start", "no-such-model"], "no-such-model"),
        (["--set", "preset=paper"], "chosen by --preset"),
        (["--set", "stage=sr"], "the word after"),
        (["--threads", "0"], "threads is 0"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_exit_code_2(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "coarse", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and says in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_runs_own_configuration_brings_its_preset_along(tmp_path, capsys):
    assert main(["train", "sr", "--preset", "paper", "--show"]) == 0
    file = tmp_path / "config.yaml"
    file.write_text(whole := capsys.readouterr().out)
    assert main(["train", "sr", "--config", str(file), "--show"]) == 0
    assert capsys.readouterr().out == whole


def test_what_the_training_cannot_do_is_one_sentence_and_exit_code_1(
    data, config, tmp_path, capsys
):
    words = ["train", "encoder", "--data", str(data), "--run", str(tmp_path / "run")]
    words += ["--config", config, "--device", "cpu", "--quiet", "--steps", "9"]
    words += ["--set", "optimiser.name=adam", "--set", "lr=1e30", "--set", "clip=0"]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert said.startswith("axon: The ") and "is not a number" in said and "--resume" in said
    assert "bug report" not in said and said.count("\n") == 1


def test_a_run_speaks_in_json_and_goes_on(data, config, tmp_path, capsys):
    words = ["train", "encoder", "--data", str(data), "--run", str(tmp_path / "run")]
    words += ["--config", config, "--device", "cpu", "--json"]
    assert main([*words, "--steps", "2"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    folder = RunFolder(tmp_path / "run")
    assert lines == folder.events()[0] and lines[-1]["status"] == "finished"
    assert folder.state()["command"][1:3] == ["-m", "axon_backend"]
    assert yaml.safe_load(folder.config_file.read_text())["steps"] == 2
    assert main([*words, "--steps", "3"]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main([*words, "--steps", "3", "--resume"]) == 0
    assert folder.events()[0][-1]["step"] == 3


@pytest.mark.slow
def test_a_detached_run_lives_by_itself_and_stops_when_asked(data, config, tmp_path):
    import subprocess
    import sys

    words = [sys.executable, "-m", "axon_backend", "train", "encoder", "--data", str(data)]
    words += ["--run", str(tmp_path / "run"), "--config", config, "--minutes", "9", "--detach"]
    out = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert "is training in" in out
    folder = RunFolder(tmp_path / "run")
    deadline = time.monotonic() + 120
    while not any(e["event"] == "step" for e in folder.events()[0]):
        assert time.monotonic() < deadline, folder.log_file.read_text()
        time.sleep(0.1)
    assert folder.is_alive()
    folder.request_stop()
    while folder.status() != "stopped":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert folder.last.is_file()
