"""An output folder appears whole or not at all."""

import pytest

from axon_backend.errors import AxonInputError
from axon_backend.util.output_folder import output_folder


def test_a_new_folder_with_its_parents(tmp_path):
    target = tmp_path / "a" / "b"
    with output_folder(target, ("x.txt",)) as part:
        (part / "x.txt").write_text("1")
        assert not target.exists()
    assert [p.relative_to(tmp_path).as_posix() for p in sorted(tmp_path.rglob("*"))] == [
        "a", "a/b", "a/b/x.txt",
    ]  # fmt: skip


def fail_half_way(target):
    with output_folder(target, ("x.txt",), overwrite=True) as part:
        (part / "x.txt").write_text("new")
        raise RuntimeError


def test_an_error_leaves_nothing_not_even_parents(tmp_path):
    with pytest.raises(RuntimeError):
        fail_half_way(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_an_earlier_run_as_it_was(tmp_path):
    (tmp_path / "x.txt").write_text("old")
    with pytest.raises(RuntimeError):
        fail_half_way(tmp_path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("x.txt", "old")]


def test_overwrite_removes_what_is_stale_and_nothing_else(tmp_path):
    for name in ("x.txt", "stale.txt", "users.txt"):
        (tmp_path / name).write_text("old")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "old.txt").write_text("old")
    with output_folder(tmp_path, ("x.txt", "stale.txt", "sub"), overwrite=True) as part:
        (part / "x.txt").write_text("new")
        (part / "sub").mkdir()
        (part / "sub" / "new.txt").write_text("new")
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")}
    assert found == {"x.txt", "users.txt", "sub", "sub/new.txt"}
    assert (tmp_path / "x.txt").read_text() == "new"


def test_without_overwrite_files_are_safe(tmp_path):
    (tmp_path / "x.txt").write_text("old")
    with pytest.raises(AxonInputError, match=r"x\.txt.*--overwrite"), output_folder(tmp_path, ()):
        pass


def test_an_empty_folder_is_fine_and_so_is_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with output_folder(".", ("x.txt",)) as part:
        (part / "x.txt").write_text("1")
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


# A run that is killed before its n-th file operation, counted from where the block ends.
KILLED = """
import os, sys
from pathlib import Path
from axon_backend.util.output_folder import output_folder, whole_folder

target, way, last = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
count = None

def kill(event, arguments):
    global count
    if count is None or event not in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "open"):
        return
    count += 1
    if count > last:
        os._exit(9)

sys.addaudithook(kill)
if way == "whole":
    folder = whole_folder(target, overwrite=True)
else:
    folder = output_folder(target, ("x.txt", "stale.txt", "sub"), overwrite=True)
with folder as part:
    (part / "x.txt").write_text("new")
    (part / "y.txt").write_text("new")
    (part / "sub").mkdir()
    (part / "sub" / "new.txt").write_text("new")
    count = 0
count = None
"""
OLD = {"x.txt": "old", "stale.txt": "old", "sub/old.txt": "old"}
NEW = {"x.txt": "new", "y.txt": "new", "sub/new.txt": "new"}


def contents(folder):
    """The files of a folder by their path, as a user sees it."""
    return {
        p.relative_to(folder).as_posix(): p.read_text()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.mark.parametrize("way", ["into an old folder", "into a new folder", "whole"])
def test_killed_at_any_moment_of_the_last_step(tmp_path, way):
    import subprocess
    import sys

    results = []
    for moment in range(200):
        home = tmp_path / str(moment)
        target = home / "out"
        before = {} if way == "into a new folder" else OLD
        for name, text in before.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_text(text)
        home.mkdir(exist_ok=True)
        run = subprocess.run([sys.executable, "-c", KILLED, str(target), way, str(moment)])
        assert run.returncode in (0, 9)
        # The next run finds files, and refuses; or it finds none, and fails for its own reason.
        with pytest.raises((AxonInputError, RuntimeError)):
            fail_half_way_beside(target)
        found = contents(target) if target.exists() else {}
        assert found in (before, NEW), f"moment {moment}: {found}"
        assert [p.name for p in home.rglob(".axon-*")] == []
        results.append(found == NEW)
        if run.returncode == 0:
            break
    assert results[0] is False and results[-1] is True and run.returncode == 0
    assert results == sorted(results)  # once it is new, it stays new


def fail_half_way_beside(target):
    with output_folder(target, ()):
        raise RuntimeError


def replace_result(target):
    with output_folder(target, ("x.txt", "stale.txt", "sub"), overwrite=True) as part:
        (part / "x.txt").write_text("new")
        (part / "sub").mkdir()


def test_an_error_in_the_last_step_leaves_the_old_result(tmp_path, monkeypatch):
    from axon_backend.util import output_folder as module

    real, calls = module.replace, []

    def fail_at(number):
        def replace(new, old):
            calls.append(new)
            if len(calls) == number:
                raise OSError(28, "No space left on device")
            real(new, old)

        return replace

    for number in range(1, 6):
        target = tmp_path / str(number)
        for name, text in OLD.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_text(text)
        calls.clear()
        monkeypatch.setattr(module, "replace", fail_at(number))
        with pytest.raises(AxonInputError, match="No space left"):
            replace_result(target)
        assert contents(target) == OLD
        assert list(target.glob(".axon-*")) == []


def test_two_runs_on_one_folder(tmp_path):
    target = tmp_path / "out"
    with output_folder(target, ()) as part:
        (part / "x.txt").write_text("first")
        with pytest.raises(AxonInputError, match="Another run is writing"):
            fail_half_way_beside(target)
        target.mkdir()  # the second run may then work inside it
        with pytest.raises(AxonInputError, match="Another run is writing"):
            fail_half_way_beside(target)
        with output_folder(tmp_path / "other", ()) as other:
            (other / "y.txt").write_text("second")
    assert contents(tmp_path) == {"out/x.txt": "first", "other/y.txt": "second"}


def run_while_somebody_writes(target):
    with output_folder(target, ("x.txt",)) as part:
        (part / "x.txt").write_text("mine")
        target.mkdir(exist_ok=True)
        (target / "x.txt").write_text("theirs")


@pytest.mark.parametrize("exists", [False, True])
def test_a_target_that_was_filled_meanwhile_is_left_alone(tmp_path, exists):
    target = tmp_path / "out"
    if exists:
        target.mkdir()
    with pytest.raises(AxonInputError, match=r"created by another program.*out-2"):
        run_while_somebody_writes(target)
    mine = "out/out-2/x.txt" if exists else "out-2/x.txt"
    assert contents(tmp_path) == {"out/x.txt": "theirs", mine: "mine"}


def test_leftovers_of_killed_runs_go_with_the_next(tmp_path):
    (tmp_path / "out").mkdir()
    for home in (tmp_path, tmp_path / "out"):
        (home / ".axon-0123456789ab.part").mkdir()
        (home / ".axon-0123456789ab.part" / "half.nii.gz").write_bytes(b"half")
    with output_folder(tmp_path / "out", ("x.txt",)) as part:
        (part / "x.txt").write_text("1")
    assert contents(tmp_path) == {"out/x.txt": "1"}
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["out", "x.txt"]
