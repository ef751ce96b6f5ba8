"""Every job gets on although the main thread keeps the interpreter's lock, as it does in Slicer.

In `host.gil_held` a thread gets the lock only while the main thread waits in Python: one that the
module's timers do not wait for stands still, however long it is given.
"""

import ast
import importlib
import os
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [*(ROOT / "AXONReconstruction").rglob("*.py"), *(ROOT / "AXONTraining").rglob("*.py")]
ENOUGH = 200  # seconds; a job that is starved would never end


@pytest.fixture
def inputs(panel, tiny_bundle, phantom_xray_file, phantom_ct_file):
    """The phantom's X-ray, its CT and the tiny model: what most methods of the logic take."""
    panel.parameterNode.bundle = str(tiny_bundle.path)
    panel.parameterNode.device = "cpu"
    return {
        "frontalNode": panel.logic.loadRadiograph(phantom_xray_file, view="pa"),
        "ctNode": panel.logic.loadCT(phantom_ct_file),
        "bundle": str(tiny_bundle.path),
    }


def ended(host, call, *arguments, **settings):
    """The result of a method with callbacks, called and awaited with the lock held."""
    results, errors = [], []
    with host.gil_held():
        call(*arguments, onFinished=results.append, onError=errors.append, **settings)
        assert host.wait_until(lambda: results or errors, ENOUGH)
    assert not errors
    return results[0]


class Counter:
    """Work in many small steps, each of which needs the lock."""

    def __init__(self):
        self.steps, self.stop = 0, threading.Event()

    def __call__(self, job=None):
        while not self.stop.is_set():
            self.steps += 1
            time.sleep(0.001)
        return self.steps

    def during(self, host, seconds):
        before = self.steps
        host.process_events(seconds)
        return self.steps - before


def test_a_thread_that_nobody_waits_for_stands_still_in_the_held_loop(host):
    import qt

    counter, ticks = Counter(), []
    thread = threading.Thread(target=counter, daemon=True)
    thread.start()
    timer = qt.QTimer()
    timer.setInterval(50)
    timer.connect("timeout()", lambda: ticks.append(1))  # looks, and returns at once
    timer.start()
    with host.gil_held():
        starved = counter.during(host, 0.5)
    free = counter.during(host, 0.5)
    timer.stop()
    counter.stop.set()
    thread.join(5)
    assert ticks and starved <= 2 < free


@pytest.mark.parametrize("kind", ["tasks", "files", "background"])
def test_a_worker_has_most_of_the_time(host, panel, kind):
    counter, done = Counter(), []
    if kind == "background":
        panel.sections["setupSection"].background.submit(counter, onDone=done.append)
    else:
        getattr(panel.logic, kind).run(counter, onFinished=done.append)
    free = held = 0
    for _turn in range(3):  # alternating: other programs slow both
        free += counter.during(host, 0.2)
        with host.gil_held():
            held += counter.during(host, 0.2)
    counter.stop.set()
    assert host.wait_until(lambda: done, 10)
    assert held > 0.5 * free


def test_workers_share_one_wait(host, panel, monkeypatch):
    """Three at once: the panel waits as long as for one."""
    from AXONReconstructionLib.jobs import pump

    counters, done = [Counter() for _ in range(3)], []
    panel.logic.tasks.run(counters[0], onFinished=done.append)
    panel.logic.files.run(counters[1], onFinished=done.append)
    panel.sections["setupSection"].background.submit(counters[2], onDone=done.append)
    waits = []

    class News(threading.Event):
        def wait(self, timeout=None):
            waits.append(timeout)
            return threading.Event.wait(self, timeout)

    monkeypatch.setattr(pump.shared(), "news", News())
    with host.gil_held():
        before = [counter.steps for counter in counters]
        assert host.wait_until(
            lambda: all(c.steps > b + 50 for c, b in zip(counters, before, strict=True)), 30
        )
    for counter in counters:
        counter.stop.set()
    assert host.wait_until(lambda: len(done) == 3, 10)
    assert set(waits) == {pump.WAIT_MILLISECONDS / 1000}


def test_the_wait_is_short_while_the_mouse_drags(host, panel, monkeypatch):
    import qt

    from AXONReconstructionLib.jobs import pump

    waits = []
    monkeypatch.setattr(pump.shared().news, "wait", waits.append)
    monkeypatch.setattr(qt.QApplication, "mouseButtons", lambda: qt.Qt.LeftButton)
    panel.logic.tasks.run(lambda job: None, onFinished=lambda result: None)
    assert host.wait_until(lambda: not panel.logic.busy, 10)
    assert set(waits) == {pump.DRAG_WAIT_MILLISECONDS / 1000}


def test_news_end_the_wait(host, panel, monkeypatch):
    from AXONReconstructionLib.jobs import pump

    monkeypatch.setattr(pump, "WAIT_MILLISECONDS", 1000 * ENOUGH)
    heard = []

    def work(job):
        job.report(step=1)
        return "result"

    with host.gil_held():
        panel.logic.tasks.run(
            work, onProgress=lambda step: heard.append(step), onFinished=heard.append
        )
        assert host.wait_until(lambda: len(heard) == 2, ENOUGH / 2)
    assert heard == [1, "result"]
    assert host.wait_until(lambda: not panel.logic.busy, 10)


def test_jobs_go_on_while_a_callback_waits_for_the_user(host, panel):
    """A message box in a callback runs an event loop of its own."""
    counter, seen, done = Counter(), [], []

    def work(job):
        job.report(step=1)

    def asked(step):
        steps = counter.during(host, 0.5)
        seen.append((steps, list(done)))  # one callback at a time, in order

    panel.logic.files.run(counter, onFinished=done.append)
    with host.gil_held():
        panel.logic.tasks.run(work, onProgress=asked, onFinished=done.append)
        assert host.wait_until(lambda: done, 30)
    counter.stop.set()
    assert host.wait_until(lambda: len(done) == 2, 10)
    assert seen[0][0] > 50 and seen[0][1] == []


def test_libraries_are_imported_by_a_job(host, panel, tmp_path, monkeypatch):
    parts = [f"axon_part{number}" for number in range(20)]
    for name, following in zip(parts, [*parts[1:], "time"], strict=True):
        (tmp_path / f"{name}.py").write_text(f"import time, {following}\ntime.sleep(0.001)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = ended(host, panel.logic.tasks.run, lambda job: importlib.import_module(parts[0]))
    assert module.__name__ == parts[0] and set(parts) <= set(sys.modules)
    for name in parts:
        del sys.modules[name]


def test_files_are_read(host, panel, phantom_xray_file, phantom_ct_file):
    assert ended(host, panel.logic.loadRadiograph, phantom_xray_file, view="pa").GetImageData()
    assert ended(host, panel.logic.loadCT, phantom_ct_file).GetImageData()


@pytest.mark.parametrize("method", ["planar", "pose"])
def test_x_rays_are_registered(host, panel, inputs, method):
    found = ended(host, panel.logic.register, method=method, **inputs)
    assert found["frontal"].quality["ncc"] > 0.5


def test_the_live_drr_follows_and_the_place_is_assessed(host, panel, inputs):
    ct, bundle = inputs["ctNode"], inputs["bundle"]
    drr = ended(host, panel.logic.renderDRR, ct, "pa", size=64, fast=True)
    assert drr.GetImageData().GetDimensions()[:2] == (64, 64)
    assert "verdict" in ended(host, panel.logic.assess, inputs["frontalNode"], ct, bundle)


def test_a_case_is_reconstructed_by_a_click(host, panel, inputs):
    node, ui = panel.parameterNode, panel.ui
    node.frontal, node.groundTruth = inputs["frontalNode"], inputs["ctNode"]
    panel.container("reconstructSection").collapsed = False
    section = panel.sections["reconstructSection"]
    with host.gil_held():
        host.click(ui.reconstructButton)
        assert host.wait_until(lambda: section.state == "idle", ENOUGH)
    assert ui.resultLabel.text.startswith("Done") and node.volumes["sr"] is not None


def test_the_environment_is_checked(host, panel, monkeypatch):
    from AXONReconstructionLib.setup import environment

    monkeypatch.setattr(environment, "systemReport", lambda: "a report")
    panel.container("setupSection").collapsed = False
    with host.gil_held():
        host.click(panel.ui.setupCheckButton)
        assert host.wait_until(lambda: panel.ui.setupReportFrame.visible, ENOUGH)
    assert "a report" in panel.ui.setupReportEdit.plainText


@pytest.mark.skipif(os.name == "nt", reason="the host runs pip by a script of the shell")
def test_packages_are_installed(host, panel, tmp_path):
    from AXONReconstructionLib.jobs import pip_process
    from AXONReconstructionLib.setup import install

    info, reports = "axon_part-1.0.dist-info", []
    with zipfile.ZipFile(tmp_path / "axon_part-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("axon_part.py", "answer = 42\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: axon_part\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    target, original = tmp_path / "installed", host_util().logProcessOutput
    with host.pip_runs(tmp_path, target), host.gil_held(), pip_process.following():
        install.installPackages(["axon_part==1.0"], reports.append)
    assert (target / "axon_part.py").read_text() == "answer = 42\n"
    assert reports == ["Installing (may take several minutes)"]
    assert host_util().logProcessOutput is original


def host_util():
    import slicer.util

    return slicer.util


SILENT = """
import pathlib, sys, time
print("begins", flush=True)
end = time.monotonic() + 60
while not pathlib.Path(sys.argv[1]).exists() and time.monotonic() < end:
    time.sleep(0.01)
print("ends")
"""


def test_the_panel_answers_while_pip_is_silent(host, panel, tmp_path):
    """The process goes on when a timer of the main thread has fired three times."""
    import qt

    from AXONReconstructionLib.jobs import pip_process

    sign, ticks, lines, called = tmp_path / "sign", [], [], []
    timer = qt.QTimer()
    timer.setInterval(1)
    timer.connect("timeout()", lambda: ticks.append(lines[:]) or len(ticks) < 3 or sign.touch())
    with host.gil_held(), pip_process.following(lambda: called.append(threading.current_thread())):
        process = host_util().launchConsoleProcess(
            [sys.executable, "-c", SILENT, str(sign)], useStartupEnvironment=False
        )
        timer.start()
        host_util().logProcessOutput(process, lines.append)
        timer.stop()
        assert lines == ["begins", "ends"] and process.returncode == 0
        assert sign.exists() and called != [threading.main_thread()]
        failing = host_util().launchConsoleProcess(
            [sys.executable, "-c", "raise SystemExit(3)"], useStartupEnvironment=False
        )
        with pytest.raises(subprocess.CalledProcessError):
            host_util().logProcessOutput(failing)
        assert len(called) == 1


def test_two_installations_at_once_are_refused(host, panel):
    from AXONReconstructionLib.jobs import pip_process
    from AXONReconstructionLib.setup.install import InstallationError

    with (
        pip_process.following(),
        pytest.raises(InstallationError, match="already"),
        pip_process.following(),
    ):
        pass


PRELOAD = """
import sys, threading, time
sys.path.append(sys.argv[1])
from AXONReconstructionLib.setup import torch_libraries
steps = 0
def count():
    global steps
    while True:
        steps += 1
        time.sleep(0.0005)
threading.Thread(target=count, daemon=True).start()
sys.setswitchinterval(600)  # a thread gets on only where another one waits without the lock
import importlib.util
importlib.util.find_spec("torch")  # reads folders
before = steps
torch_libraries.load()
print(steps - before, "torch" in sys.modules, "libtorch_cpu" in open("/proc/self/maps").read())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the libraries of the process are listed there")
def test_torchs_libraries_are_loaded_without_the_lock():
    command = [sys.executable, "-c", PRELOAD, str(ROOT / "AXONReconstruction")]
    steps, imported, loaded = subprocess.check_output(command, text=True).split()
    assert int(steps) > 10 and imported == "False" and loaded == "True"


# Where each may be used, and what for. Anything else would run beside the pump.
TIMERS = {
    "pump.py": "serves the workers",
    "placement.py": "notices when the hand rests; no thread",
    "overlay.py": "flickers; no thread",
    "batch_section.py": "reads what a batch, a process of its own, has written",
    "AXONTrainingLib/panel.py": "reads what trainings, processes of their own, have written",
}
THREADS = {"worker.py"}


def _used(path):
    """Names of threads, timers and reading of processes that a file uses."""
    words = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        words.add(name)
        if isinstance(node, ast.Import):
            words |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            words |= {node.module or "", *(alias.name for alias in node.names)}
    return words


def _place(path, names):
    return any(path.as_posix().endswith("/" + name) for name in names)


def test_no_timer_and_no_thread_bypasses_the_pump():
    """A new one must either go through the pump or be entered above with its reason."""
    timers = {"QTimer", "singleShot", "startTimer"}
    threads = {"Thread", "QThread", "QRunnable", "Timer", "_thread", "ThreadPoolExecutor"}
    threads |= {"concurrent.futures", "multiprocessing", "multiprocessing.pool", "asyncio"}
    used = {path: _used(path) for path in SOURCES}
    assert [p for p, words in used.items() if timers & words and not _place(p, TIMERS)] == []
    assert [p for p, words in used.items() if threads & words and not _place(p, THREADS)] == []
    # No pipe is read: a process writes to a file, or is awaited.
    assert [p for p, words in used.items() if {"PIPE", "QProcess"} & words] == []


def test_every_worker_has_the_pump():
    calls = [
        (path.name, call)
        for path in SOURCES
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Worker"
    ]
    assert {name for name, _call in calls} == {"tasks.py", "background.py"}
    assert all("pump.shared()" in ast.unparse(call) for _name, call in calls)
