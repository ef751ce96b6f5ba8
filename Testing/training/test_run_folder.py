"""The run folder as another program reads it: without torch, while it is written, after a crash."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from axon_backend.training.run import process_id
from axon_backend.training.run.events import RunWriter, in_words, plain
from axon_backend.training.run.process_id import process_started
from axon_backend.training.run.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]


def test_reading_a_run_needs_nothing_but_python():
    code = (
        "import sys, axon_backend.training.run.run_folder, axon_backend.training.run.events\n"
        "heavy = {'torch', 'numpy', 'yaml', 'SimpleITK'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    # -S: without the packages that are installed.
    subprocess.run([sys.executable, "-S", "-c", code], check=True, cwd=ROOT)


def test_a_folder_without_a_run_is_quiet(tmp_path):
    folder = RunFolder(tmp_path / "none")
    assert not folder.exists() and folder.state() == {} and folder.status() == "none"
    assert folder.events() == ([], 0) and not folder.is_alive()


def test_events_are_read_on_from_where_one_was(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    writer = RunWriter(folder)
    with monkeypatch.context() as at:
        at.setattr(time, "time", lambda: 1000.25)
        writer.event("start", step=0)
    first, offset = folder.events()
    assert [e["event"] for e in first] == ["start"] and first[0]["time"] == 1000.25
    assert folder.events(offset) == ([], offset)
    writer.event("step", step=1, loss=float("nan"), left=float("inf"))
    more, offset = folder.events(offset)
    assert more[0]["step"] == 1 and more[0]["loss"] is None and more[0]["left"] is None

    with open(folder.events_file, "ab") as stream:  # a line that is being written, or cut off
        stream.write(b'{"event": "st')
    assert folder.events(offset) == ([], offset)
    writer.message("after the crash", "warning")
    more, offset = folder.events(offset)
    assert [e["text"] for e in more] == ["after the crash"]
    assert len(folder.events()[0]) == 3

    folder.events_file.write_bytes(b'{"event": "start", "step": 0}\n')  # a new file, shorter
    assert [e["event"] for e in folder.events(offset)[0]] == ["start"]


def test_alive_means_this_process_and_not_only_its_number(tmp_path):
    folder = RunFolder(tmp_path)
    writer = RunWriter(folder)
    writer.begin(stage="coarse")
    assert folder.state()["pid"] == os.getpid() and folder.is_alive()
    assert folder.status() == "starting"
    writer.set(status="running", pid_started="another time")
    assert not folder.is_alive() and folder.status() == "died"
    writer.set(status="finished")
    assert folder.status() == "finished"


def test_a_run_on_another_machine_lives_as_long_as_it_gives_signs(tmp_path):
    folder = RunFolder(tmp_path)
    writer = RunWriter(folder)
    writer.begin(stage="coarse")
    writer.set(host="elsewhere", status="running")
    assert folder.is_alive()
    state = folder.state()
    state["updated"] = time.time() - 3600
    folder.run_file.write_text(json.dumps(state))
    assert not folder.is_alive() and folder.status() == "died"


def test_the_start_of_a_process_is_the_same_each_time_and_ends_with_it():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        begun = process_started(child.pid)
        assert begun is not None and begun == process_started(child.pid)
        assert begun != process_started(os.getpid())
    finally:
        child.kill()
        child.wait()
    assert process_started(child.pid) is None
    assert process_started(0) is None and process_started(-1) is None


@pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps")
def test_other_systems_ask_ps():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        begun = process_id._by_ps(child.pid)
        assert begun and begun == process_id._by_ps(child.pid)
        child.kill()
        child.wait()
        assert process_id._by_ps(child.pid) is None


def test_only_the_first_process_writes(tmp_path):
    folder = RunFolder(tmp_path)
    writer = RunWriter(folder, active=False, output="json")
    writer.begin(stage="coarse")
    writer.event("step", step=1)
    assert list(tmp_path.iterdir()) == []


def test_nothing_half_written_is_left(tmp_path):
    writer = RunWriter(RunFolder(tmp_path))
    writer.begin(stage="coarse")
    for i in range(5):
        writer.set(status="running", step=i)
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_values_become_strict_json():
    value = {"a": [float("inf"), 1.5], "b": {"c": float("nan")}, 3: Path("x")}
    assert plain(value) == {"a": [None, 1.5], "b": {"c": None}, "3": "x"}


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (
            {"event": "step", "step": 20, "loss": 0.5, "steps_per_second": 1.25, "waiting": 0.02,
             "seconds_left": 600.0},
            "step 20  loss 0.5  1.25 steps/s  waiting for data 2 %  10 min left",
        ),
        ({"event": "message", "level": "warning", "text": "Mind."}, "warning: Mind."),
        ({"event": "sample", "step": 3, "files": {"image": "a.png"}}, "step 3  image: a.png"),
        (
            {"event": "validation", "step": 3, "metrics": {"v2_psnr": 20.25}, "best": True},
            "step 3  validation (best so far): v2_psnr 20.25",
        ),
        ({"event": "end", "step": 3, "status": "stopped"}, "stopped at step 3"),
    ],
)  # fmt: skip
def test_words_for_a_person(event, words):
    assert in_words(event) == words + "\n"
