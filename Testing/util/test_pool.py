"""Work in processes: results, errors, workers that die, tasks that take too long."""

from __future__ import annotations

import importlib
import os

import pytest

from axon_backend.errors import AxonInputError
from axon_backend.util.pool import Pool, TimedOut, WorkerDied, default_workers

FUNCTIONS = """
import os, time
from pathlib import Path

def half(n):
    if n == 3: raise ValueError("three")
    if n == 5: os._exit(9)
    return n / 2

class Stubborn(Exception):
    def __init__(self, one, two): super().__init__(f"{one} and {two}")  # does not unpickle

def stubborn(n):
    raise Stubborn("this", "that")

def sleepy(n):
    time.sleep(60 if n == 1 else 0)
    return n

class Counting:
    "Numbers its calls; dies once, at the task of that number."
    def __init__(self, mark, dies_at=-1): self.mark, self.dies_at, self.calls = mark, dies_at, 0
    def __call__(self, n):
        self.calls += 1
        mark = Path(self.mark)
        if n == self.dies_at and not mark.exists():
            mark.write_text("died")
            os._exit(9)
        return self.calls
"""


@pytest.fixture
def functions(tmp_path, monkeypatch):
    """A module that worker processes can import."""
    (tmp_path / "pool_functions.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return importlib.import_module("pool_functions")


def test_a_dying_process_costs_only_its_own_task(functions):
    found = dict(Pool(2).map(functions.half, range(8)))
    assert {n: r for n, r in found.items() if isinstance(r, float)} == {
        n: n / 2 for n in (0, 1, 2, 4, 6, 7)
    }
    assert isinstance(found[3], ValueError)
    assert isinstance(found[5], WorkerDied) and "memory" in str(found[5])


def test_a_task_whose_worker_died_is_tried_again(functions, tmp_path):
    function = functions.Counting(str(tmp_path / "mark"), dies_at=2)
    found = dict(Pool(1).map(function, range(4)))
    assert set(found) == {0, 1, 2, 3} and (tmp_path / "mark").exists()
    assert not any(isinstance(result, Exception) for result in found.values())


def test_a_worker_keeps_the_function_between_tasks(functions, tmp_path):
    function = functions.Counting(str(tmp_path / "mark"))
    assert [r for _, r in Pool(1).map(function, range(4))] == [1, 2, 3, 4]


def test_a_task_over_the_limit_ends_and_the_others_go_on(functions):
    found = dict(Pool(1, limit_seconds=3).map(functions.sleepy, range(3)))
    assert (found[0], found[2]) == (0, 2)
    assert isinstance(found[1], TimedOut) and "3 s" in str(found[1])


def test_an_error_that_cannot_be_sent_is_told_in_words(functions):
    ((_, error),) = Pool(1).map(functions.stubborn, [0])
    assert isinstance(error, RuntimeError) and "this and that" in str(error)


def test_no_task_begins_after_a_stop(functions):
    asked = []
    pool = Pool(1, cancelled=lambda: bool(asked))
    done = []
    for task, _ in pool.map(functions.half, [0, 1, 2, 4, 6, 7]):
        done.append(task)
        asked.append(True)
    assert done == [0]


def test_ray_without_the_package_says_what_to_install(tmp_path, monkeypatch):
    import sys

    from axon_backend.dataset.prepare import prepare

    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "src").mkdir()
    with pytest.raises(AxonInputError, match=r"axon-ct\[cluster\]"):
        prepare(tmp_path / "src", tmp_path / "data", ray=True)


def test_default_workers_are_at_most_the_processors():
    assert 1 <= default_workers() <= (os.cpu_count() or 1)
