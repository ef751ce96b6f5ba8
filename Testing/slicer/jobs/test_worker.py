"""The worker thread of the Slicer module; requires neither Slicer nor Qt."""

import gc
import importlib.util
import sys
import threading
import time
import types
import weakref
from pathlib import Path

import pytest

FILE = (
    Path(__file__).resolve().parents[3] / "AXONReconstruction/AXONReconstructionLib/jobs/worker.py"
)
ENOUGH = 120  # seconds; a worker that fails would otherwise wait for ever


def _load():
    """Load the file on its own, because its package may be imported from another location."""
    sys.path.append(str(FILE.parents[2]))
    spec = importlib.util.spec_from_file_location("axon_worker_under_test", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


worker_file = _load()


@pytest.fixture
def worker():
    made = worker_file.Worker(isCancel=lambda error: isinstance(error, InterruptedError))
    yield made
    assert made.shutdown(ENOUGH)


@pytest.fixture
def gate(worker):
    """A running job that ends when the event is set; later jobs are queued."""
    event, begun = threading.Event(), threading.Event()

    def work(job):
        begun.set()
        while not event.is_set() and not job.cancelled():
            time.sleep(0.002)
        if job.cancelled():
            raise InterruptedError("stopped")
        return "gate"

    event.job = worker.submit(work)
    assert begun.wait(ENOUGH)
    yield event
    event.set()


def test_the_worker_does_not_import_slicer():
    source = FILE.read_text(encoding="utf-8")
    assert not [w for w in ("slicer", "qt", "ctk", "vtk") if f"import {w}" in source]


def test_work_runs_on_its_thread_and_callbacks_on_the_pumping_thread(worker):
    seen = {}

    def work(job):
        seen["work"] = threading.current_thread()
        job.report(step=1)
        job.report(step=2)
        return 42

    heard = []
    job = worker.submit(
        work,
        onProgress=lambda step: heard.append((step, threading.current_thread())),
        onDone=lambda result: heard.append((result, threading.current_thread())),
    )
    assert job.wait() == 42
    here = threading.current_thread()
    assert heard == [(1, here), (2, here), (42, here)]
    assert seen["work"] is not here and seen["work"].daemon
    assert job.done and not worker.busy


def test_one_thread_runs_all_jobs_in_order(worker):
    threads, order = set(), []

    def work(number):
        threads.add(threading.current_thread().ident)
        order.append(number)

    jobs = [worker.submit(lambda job, n=n: work(n)) for n in range(5)]
    for job in jobs:
        job.wait()
    assert order == list(range(5)) and len(threads) == 1


def test_nothing_is_delivered_before_pump(worker):
    heard = []
    job = worker.submit(lambda job: 1, onDone=heard.append)
    assert job._ended.wait(ENOUGH)
    assert heard == [] and worker.busy and not job.done
    assert worker.pump() == 1
    assert heard == [1] and not worker.busy and job.done


def test_an_exception_reaches_the_callback_with_its_traceback_but_without_its_variables(worker):
    class Large:
        alive = 0

        def __init__(self):
            Large.alive += 1

        def __del__(self):
            Large.alive -= 1

    def fails(job):
        large = Large()
        raise ValueError(f"no good {large is None}")

    heard = []
    job = worker.submit(fails, onError=heard.append, onDone=lambda r: heard.append("done"))
    with pytest.raises(ValueError, match="no good"):
        job.wait()
    assert heard == [job.error]
    assert "in fails" in job.details and "ValueError" in job.details
    assert Large.alive == 0


def test_a_running_job_can_be_cancelled(worker, gate):
    heard = []
    gate.job._callbacks["cancelled"] = heard.append
    gate.job.cancel()
    with pytest.raises(InterruptedError):
        gate.job.wait()
    assert heard == [gate.job.error]


def test_a_queued_job_is_cancelled_immediately(worker, gate):
    heard = []
    job = worker.submit(lambda job: heard.append("ran"), onCancelled=heard.append)
    job.cancel()
    with pytest.raises(worker_file.JobCancelled):
        job.wait(timeout=ENOUGH)
    assert heard == [None]
    gate.set()
    assert gate.job.wait() == "gate" and heard == [None]


def test_a_new_job_replaces_queued_jobs_with_its_key(worker, gate):
    ran, cancelled = [], []
    jobs = [
        worker.submit(
            lambda job, n=n: ran.append(n),
            onCancelled=lambda error, n=n: cancelled.append(n),
            key="drr",
        )
        for n in range(5)
    ]
    other = worker.submit(lambda job: ran.append("other"), key="something else")
    gate.set()
    jobs[-1].wait()
    other.wait()
    assert ran == [4, "other"] and cancelled == [0, 1, 2, 3]


def test_a_running_job_is_not_replaced(worker, gate):
    gate.job.key = "drr"
    later = worker.submit(lambda job: "later", key="drr")
    gate.set()
    assert gate.job.wait() == "gate" and later.wait() == "later"


def test_a_failing_callback_does_not_affect_the_others(worker):
    heard = []

    def bad(result):
        raise RuntimeError("callback")

    first = worker.submit(lambda job: 1, onDone=bad)
    second = worker.submit(lambda job: 2, onDone=heard.append)
    assert first._ended.wait(ENOUGH) and second._ended.wait(ENOUGH)
    with pytest.raises(RuntimeError, match="callback"):
        worker.pump()
    assert heard == [2] and first.done and second.done


def test_a_callback_may_submit_and_wait(worker):
    heard = []
    job = worker.submit(
        lambda job: 1, onDone=lambda r: heard.append(worker.submit(lambda job: r + 1).wait())
    )
    job.wait()
    assert heard == [2]


def test_waiting_pumps_events_and_releases_the_gil(worker):
    ticks = []

    def work(job):  # pure Python, without a pause, until the wait has pumped five times
        limit = time.monotonic() + ENOUGH
        while len(ticks) < 5 and time.monotonic() < limit:
            pass
        return len(ticks)

    assert worker.submit(work).wait(lambda: ticks.append(None)) >= 5


def test_a_wait_can_time_out(worker, gate):
    with pytest.raises(TimeoutError):
        gate.job.wait(timeout=0.1)
    assert not gate.job.done


def test_shutdown_cancels_all_jobs_and_the_worker_can_restart(worker, gate):
    waiting = worker.submit(lambda job: "never")
    thread = worker._thread
    assert worker.shutdown(ENOUGH)
    assert not thread.is_alive()
    worker.pump()
    assert gate.job.done and waiting.done
    assert isinstance(waiting.error, worker_file.JobCancelled)
    assert worker.submit(lambda job: "again").wait() == "again"


def test_shutdown_does_not_wait_for_a_blocked_job(worker):
    stuck, begun = threading.Event(), threading.Event()
    worker.submit(lambda job: (begun.set(), stuck.wait(ENOUGH)))
    assert begun.wait(ENOUGH)
    old = worker._thread
    assert not worker.shutdown(0.1)
    assert old.is_alive()
    # A new thread runs new jobs; the old one, once free, must not run any of them.
    new = worker.submit(lambda job: threading.current_thread())
    assert new.wait(timeout=ENOUGH) is worker._thread
    stuck.set()


def test_full_garbage_collections_wait_until_the_last_job_has_ended(worker, gate):
    """Two workers at once; the objects that a job keeps would make several collections due."""
    before = gc.get_threshold()
    other = worker_file.Worker()
    counts = []

    def work(job):
        counts.append(gc.get_stats()[2]["collections"])
        kept = [[number] for number in range(500_000)]
        counts.append(gc.get_stats()[2]["collections"])
        return len(kept)

    assert other.submit(work).wait(timeout=ENOUGH) == 500_000
    assert counts[0] == counts[1]
    # The gate's job is still running.
    assert gc.get_threshold()[:2] == before[:2] and gc.get_threshold()[2] > 10**6
    gate.set()
    gate.job.wait(timeout=ENOUGH)
    assert other.shutdown(ENOUGH)
    assert gc.get_threshold()[2] < 1000


@pytest.fixture
def garbage():
    """Names of the module that puts collections off; no object is left out, before and after."""
    gc.unfreeze()
    yield worker_file.fullCollectionsPutOff.__wrapped__.__globals__
    gc.unfreeze()


def test_collections_leave_out_what_a_job_has_imported(worker, garbage, monkeypatch):
    monkeypatch.setitem(garbage, "_modules", len(sys.modules))
    assert worker.submit(lambda job: 1).wait(timeout=ENOUGH) == 1
    worker.submit(lambda job: None).wait(timeout=ENOUGH)  # the one before has ended by now
    assert gc.get_freeze_count() == 0

    class Cycle:
        pass

    def imports(job):
        for number in range(garbage["_MANY_MODULES"]):
            name = f"made_{number}"
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))

    worker.submit(imports).wait(timeout=ENOUGH)
    worker.submit(lambda job: None).wait(timeout=ENOUGH)
    assert gc.get_freeze_count() > garbage["_MANY_MODULES"]

    # Later objects are collected as before.
    later = Cycle()
    later.itself, gone = later, weakref.ref(later)
    del later
    gc.collect()
    assert gone() is None
