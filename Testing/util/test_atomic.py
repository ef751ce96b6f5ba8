"""Files that appear whole or not at all, also where somebody else is reading the old one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from axon_backend.util import atomic
from axon_backend.util.atomic import whole_file


def test_the_new_file_takes_the_place_at_the_end(tmp_path):
    path = tmp_path / "x.nii.gz"
    path.write_text("old")
    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.name == path.name and temporary.parent.parent == tmp_path
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["x.nii.gz"]


WRITING = """
import sys, time
from pathlib import Path
from axon_backend.util.atomic import whole_file
with whole_file(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("half", flush=True)
    time.sleep(600)
"""


def test_what_a_killed_process_left_goes_with_the_next_file(tmp_path):
    """And what a living one writes there stays."""
    words = [sys.executable, "-c", WRITING, str(tmp_path / "x.txt")]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for child in running:
            assert child.stdout.readline().strip() == b"half"
        assert len(os.listdir(tmp_path)) == 2
        running[0].kill()
        running[0].wait()
        with whole_file(tmp_path / "y.txt") as temporary:
            temporary.write_text("mine")
        left = sorted(p.relative_to(tmp_path).parts[-1] for p in tmp_path.rglob("*.txt"))
        assert left == ["x.txt", "y.txt"] and len(os.listdir(tmp_path)) == 2
    finally:
        for child in running:
            child.kill()
            child.communicate()


def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def fail_half_way():
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail_half_way()
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["x.txt"]


@pytest.mark.parametrize(("refusals", "holds"), [(3, "new"), (1000, "old")])
def test_a_file_that_is_being_read_is_replaced_when_it_is_let_go(
    tmp_path, monkeypatch, refusals, holds
):
    """Windows refuses to replace an open file."""
    path = tmp_path / "x.txt"
    path.write_text("old")
    replace, asked = os.replace, []

    def busy(new, old):
        asked.append(new)
        if len(asked) <= refusals:
            raise PermissionError(13, "being used by another process")
        replace(new, old)

    def write():
        with whole_file(path) as temporary:
            temporary.write_text("new")

    monkeypatch.setattr(os, "replace", busy)
    monkeypatch.setattr(atomic, "PAUSE_SECONDS", 0)
    if holds == "old":
        with pytest.raises(PermissionError):
            write()
    else:
        write()
    assert path.read_text() == holds and os.listdir(tmp_path) == ["x.txt"]
    assert len(asked) == min(refusals + 1, atomic.ATTEMPTS)


def test_runs_are_read_without_any_package():
    """Slicer watches runs before torch and numpy are installed."""
    code = "import axon_backend.training.run.run_folder, axon_backend.training.run.events"
    root = Path(atomic.__file__).parents[2]
    words = [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {code}"]
    subprocess.run(words, check=True, capture_output=True)
