"""Work in processes: results, errors, and processes that die."""

from __future__ import annotations

import os

import pytest

from axon_backend.dataset.pool import Pool, WorkerDied, default_workers
from axon_backend.errors import AxonInputError


@pytest.fixture
def functions(tmp_path, monkeypatch):
    """A module that worker processes can import."""
    (tmp_path / "pool_functions.py").write_text(
        "import os\n"
        "def half(n):\n"
        "    if n == 3: raise ValueError('three')\n"
        "    if n == 5: os._exit(9)\n"
        "    return n / 2\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import importlib

    return importlib.import_module("pool_functions")


def test_a_dying_process_costs_only_its_own_task(functions):
    found = dict(Pool(2).map(functions.half, range(8)))
    assert {n: r for n, r in found.items() if isinstance(r, float)} == {
        n: n / 2 for n in (0, 1, 2, 4, 6, 7)
    }
    assert isinstance(found[3], ValueError)
    assert isinstance(found[5], WorkerDied) and "memory" in str(found[5])


def test_no_task_begins_after_a_stop(functions):
    asked = []
    pool = Pool(1, cancelled=lambda: bool(asked))
    done = []
    for task, _ in pool.map(functions.half, [0, 1, 2, 4, 6, 7]):
        done.append(task)
        asked.append(True)
    assert 1 <= len(done) <= 2


def test_ray_without_the_package_says_what_to_install(tmp_path, monkeypatch):
    import sys

    from axon_backend.dataset.prepare import prepare

    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "src").mkdir()
    with pytest.raises(AxonInputError, match=r"axon-ct\[cluster\]"):
        prepare(tmp_path / "src", tmp_path / "data", ray=True)


def test_default_workers_are_at_most_the_processors():
    assert 1 <= default_workers() <= (os.cpu_count() or 1)
