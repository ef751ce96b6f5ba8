"""Folders that belong to the process that took them, until it ends."""

import errno
import os

import pytest

from axon_backend.util import file_lock
from axon_backend.util.work_folder import sweep, take, take_new


def test_a_folder_has_one_owner(tmp_path):
    mine = take(tmp_path / "work")
    assert mine is not None and take(tmp_path / "work", patience_s=0.05) is None
    mine.release()
    again = take(tmp_path / "work")
    assert again is not None
    again.remove()
    assert not list(tmp_path.iterdir())


def test_new_folders_are_different_and_are_swept_when_their_owner_is_gone(tmp_path):
    first, second = take_new(tmp_path, ".w-*"), take_new(tmp_path, ".w-*")
    (second.path / "file").write_text("x")
    (second.path / "folder").mkdir()
    second.release()
    sweep(tmp_path, ".w-*")
    assert [path.name for path in tmp_path.iterdir()] == [first.path.name]
    first.remove()
    sweep(tmp_path / "no such folder", ".w-*")


def test_a_sweep_leaves_links_files_and_what_is_not_settled(tmp_path):
    kept = take_new(tmp_path, ".w-kept")
    kept.release()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    os.symlink(elsewhere, tmp_path / ".w-link")
    (tmp_path / ".w-file").write_text("x")

    def refuse(path):
        raise OSError(errno.EIO, "not now")

    sweep(tmp_path, ".w-*", refuse)
    assert {path.name for path in tmp_path.glob(".w-*")} == {".w-kept", ".w-link", ".w-file"}
    assert (elsewhere / "precious").exists()
    sweep(tmp_path, ".w-*")  # it was let go, so that the next one settles it
    assert {path.name for path in tmp_path.glob(".w-*")} == {".w-link", ".w-file"}


def test_where_locks_do_not_work_nothing_is_swept(tmp_path, monkeypatch):
    """The owner may be alive."""
    take_new(tmp_path, ".w-*").release()

    monkeypatch.setattr(file_lock, "try_lock", lambda *_: None)
    sweep(tmp_path, ".w-*")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_cannot_be_made_where_there_is_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        take(tmp_path / "none" / "work")
