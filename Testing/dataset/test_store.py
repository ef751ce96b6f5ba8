"""The folder of a case holds its old or its new files, wherever a run is killed or fails."""

import os

import pytest

from axon_backend.dataset import store


def make(root, text, tag=store.ALL):
    with store.new_case(root, "a-b", tag) as folder:
        (folder / "x").write_text(text)


def held(root):
    home = root / store.CASES
    return {p.relative_to(home).as_posix(): p.read_text() for p in home.rglob("*") if p.is_file()}


def test_a_case_is_replaced(tmp_path):
    make(tmp_path, "old")
    make(tmp_path, "new")
    assert held(tmp_path) == {"a-b/x": "new"}


def test_a_failure_between_the_two_renames_keeps_the_old_case(tmp_path, monkeypatch):
    make(tmp_path, "old")
    rename, done = os.rename, []

    def once(old, new):
        done.append(new)
        if len(done) == 2:
            raise OSError(28, "No space left on device")
        rename(old, new)

    monkeypatch.setattr(os, "rename", once)
    with pytest.raises(store.OutputFailed, match="No space left"):
        make(tmp_path, "new")
    assert held(tmp_path) == {"a-b/x": "old"}


@pytest.mark.parametrize(("tag", "cleaned"), [("all", True), ("1of2", True), ("2of2", False)])
def test_a_kill_between_the_two_renames_keeps_the_old_case(tmp_path, tag, cleaned):
    home = tmp_path / store.CASES
    for name in (".old-1of2-a-b", ".part-1of2-a-b"):
        (home / name).mkdir(parents=True)
        (home / name / "x").write_text(name)
    store.clean(tmp_path, tag)
    if cleaned:
        assert held(tmp_path) == {"a-b/x": ".old-1of2-a-b"}
    else:
        assert len(held(tmp_path)) == 2


def test_what_was_replaced_is_not_put_back(tmp_path):
    home = tmp_path / store.CASES
    for name in (".old-all-a-b", "a-b"):
        (home / name).mkdir(parents=True)
        (home / name / "x").write_text(name)
    store.clean(tmp_path, store.ALL)
    assert held(tmp_path) == {"a-b/x": "a-b"}
