"""Checkpoints and torch's files: whole or not at all, and never of another kind."""

import pickle

import pytest
import torch

from axon_backend.errors import AxonInputError, OutputError
from axon_backend.training import torch_file
from axon_backend.training.checkpoint import (
    FORMAT,
    VERSION,
    checkpoint_model,
    load_checkpoint,
    weights_hash,
)
from axon_backend.training.torch_file import save_atomically

SOUND = {"format": FORMAT, "version": VERSION, "parts": {"a": {"w": torch.arange(3.0)}}}


def test_what_is_saved_is_loaded(tmp_path):
    save_atomically(SOUND, tmp_path / "last.pt")
    found = load_checkpoint(tmp_path / "last.pt")
    assert torch.equal(found["parts"]["a"]["w"], torch.arange(3.0))
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b""), "could not be read as a checkpoint"),
        (lambda path: path.write_bytes(b"noise" * 99), "could not be read as a checkpoint"),
        (lambda path: torch.save(7, path), "is not a checkpoint written by AXON's training"),
        (lambda path: torch.save({"format": "other"}, path), "is not a checkpoint"),
        (lambda path: torch.save({**SOUND, "version": 99}, path), "has version 99"),
        (lambda path: cut(path), "could not be read as a checkpoint"),
    ],
)
def test_others_are_refused(make, words, tmp_path):
    make(tmp_path / "last.pt")
    with pytest.raises(AxonInputError, match=words):
        load_checkpoint(tmp_path / "last.pt")


def cut(path):
    torch.save(SOUND, path)
    path.write_bytes(path.read_bytes()[:-200])


class Harmful:
    def __reduce__(self):
        return print, ("code of the file ran",)


def test_code_in_a_checkpoint_does_not_run(tmp_path, capsys):
    torch.save({**SOUND, "parts": Harmful()}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Harmful()))
    capsys.readouterr()
    for name in ("a.pt", "b.pt"):
        with pytest.raises(AxonInputError):
            load_checkpoint(tmp_path / name)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("writer")])
def test_a_full_disk_keeps_the_file_before(tmp_path, monkeypatch, error):
    save_atomically(SOUND, tmp_path / "last.pt")
    before = (tmp_path / "last.pt").read_bytes()

    def full(obj, stream):
        stream.write(b"half")
        raise error

    monkeypatch.setattr(torch_file.torch, "save", full)
    with pytest.raises(OutputError, match=r"is unchanged.*--resume"):
        save_atomically(SOUND, tmp_path / "last.pt")
    assert (tmp_path / "last.pt").read_bytes() == before
    with pytest.raises(OutputError, match="Nothing was written"):
        save_atomically(SOUND, tmp_path / "new.pt")
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_other_errors_are_not_blamed_on_the_disk(tmp_path):
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        save_atomically(lambda: None, tmp_path / "x.pt")
    assert list(tmp_path.iterdir()) == []


def test_model_settings_that_nobody_knows(tmp_path):
    with pytest.raises(AxonInputError, match="does not recognise the model settings"):
        checkpoint_model({"method": "axon", "model": {"speed": 9}}, tmp_path)


def test_the_hash_is_of_names_and_values():
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2)}
    same = {"b": torch.ones(2), "a": torch.arange(6.0).reshape(3, 2).T.contiguous().T}
    assert weights_hash(state) == weights_hash(dict(reversed(state.items())))
    assert weights_hash(state) == weights_hash({k: v.double() for k, v in state.items()})
    assert weights_hash(state) != weights_hash({**state, "b": torch.zeros(2)})
    assert weights_hash(state) != weights_hash({"a": state["a"], "c": state["b"]})
    assert weights_hash(state) != weights_hash({**same, "a": state["a"] + 1e-3})
