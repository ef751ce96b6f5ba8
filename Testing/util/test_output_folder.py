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
