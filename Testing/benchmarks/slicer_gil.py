"""How fast the module computes in Slicer, whose main thread holds Python's lock, and how fast the
panel answers meanwhile.

    python Testing/benchmarks/slicer_gil.py --pairs 3 --out results/slicer_gil.json

Slicer's main thread keeps Python's global interpreter lock (GIL) while it is in the C++ event loop;
worker threads run only while the module waits for them in Python (`jobs/pump.py`). Each computation
runs in the test host in pairs, in turn: with the lock released while Qt works, and with it held as
in Slicer (`host.gil_held`, but with Python's usual switch interval).

A timer of 5 ms measures how long the event loop takes to come round, which is how long a click
waits: the longest time and the 99th percentile. On a busy computer these include the doing of other
programs; what they do not change is CPU time: `cpu_ms` is the most that the whole process spent in
one round, so that on a computer of its own no round takes longer than that or than the wait of
30 ms, and `main_ms` the most that the main thread spent. "idle" is the loop with nothing to
compute. The host draws no views, so that rendering is not in it.

* small steps: 300 times a millisecond of sleep on a worker, each of which needs the lock again
* libraries: the first X-ray of a session and PyTorch, which import the libraries, in a process of
  its own
* registration: Auto-register of the frontal X-ray of the sample case to its CT, by a click
* live DRR: one step of a pose slider (512 x 512 from the reduced CT); mean of 20
* reconstruction: CoarseDiff of the shipped model from two accepted X-rays, by a click
* environment: the check in Setup, which includes a tiny reconstruction
* installation: pip installs eight packages of 100 files each from local wheels, as by *Install...*
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KINDS = (
    "idle",
    "small steps",
    "libraries",
    "registration",
    "live DRR",
    "reconstruction",
    "environment",
    "installation",
)
DRR_STEPS = 20
SMALL_STEPS = 300
WHEELS, WHEEL_FILES, FILE_LINES = 8, 100, 1000
IDLE_SECONDS = 10.0
PATIENCE = 1200.0  # seconds


class Beat:
    """How long the event loop takes to come round, by a timer."""

    def __init__(self) -> None:
        import qt

        self._clocks = (time.perf_counter, time.process_time, time.thread_time)
        self._last = [clock() for clock in self._clocks]
        self._rounds: list[list[float]] = []  # milliseconds
        self._timer = qt.QTimer()
        self._timer.setInterval(5)
        self._timer.connect("timeout()", self._tick)
        self._timer.start()

    def _tick(self) -> None:
        now = [clock() for clock in self._clocks]
        self._rounds.append([1000 * (n - last) for n, last in zip(now, self._last, strict=True)])
        self._last = now

    def stop(self) -> dict[str, float]:
        """The times in milliseconds."""
        self._tick()
        self._timer.stop()
        wall, process, main = (sorted(times) for times in zip(*self._rounds, strict=True))
        p99 = int(0.99 * (len(wall) - 1))
        found = {
            "longest_ms": wall[-1],
            "p99_ms": wall[p99],
            "cpu_ms": process[-1],
            "p99_cpu_ms": process[p99],
            "main_ms": main[-1],
        }
        return {name: round(ms, 1) for name, ms in found.items()}


class Session:
    """The module in the host, with the sample case.

    Args:
        prepare: load the case, register it once and accept the placement, so that what follows
            is warm.
    """

    def __init__(self, prepare: bool = True) -> None:
        sys.path.append(str(ROOT / "Testing"))
        import host

        host.start()
        self.host = host
        _module, widget = host.load_module(ROOT / "AXONReconstruction" / "AXONReconstruction.py")
        self.panel, self.ui, self.logic = widget.panel, widget.panel.ui, widget.logic
        self._angle = 0.0
        host.process_events(1.0)  # the panel has been shown
        if prepare:
            self._prepare()

    def _prepare(self) -> None:
        from AXONReconstructionLib.console import sample_data

        node = self.panel.parameterNode
        node.groundTruth, node.frontal, node.lateral = sample_data.load("AXONTestPatient")
        node.device = "cpu"
        found = self.logic.register(node.frontal, node.lateral, node.groundTruth)
        assert all(placed.quality["verdict"] == "good" for placed in found.values())
        for name in ("registerSection", "reconstructSection"):
            self.panel.container(name).collapsed = False
        self._settle()
        node.frontalAccepted = node.lateralAccepted = True
        self._settle()

    def _settle(self) -> None:
        self.host.process_events(0.5)
        self._await(lambda: not self.logic.busy)

    def _await(self, condition: Callable[[], bool]) -> None:
        assert self.host.wait_until(condition, PATIENCE), "the computation did not end"
        assert not self.ui.messageFrame.visible, self.ui.messageLabel.text

    def measure(self, kind: str, held: bool) -> dict[str, float]:
        """Seconds of a computation, and how the event loop came round during it."""
        interval = sys.getswitchinterval()
        if kind == "installation":
            self._wheels  # noqa: B018  made before the clock starts
        with self.host.gil_held() if held else nullcontext():
            sys.setswitchinterval(interval)
            beat, began = Beat(), time.perf_counter()
            getattr(self, "_" + kind.lower().replace(" ", "_"))()
            seconds = time.perf_counter() - began
            beats = beat.stop()
        self._settle()
        count = DRR_STEPS if kind == "live DRR" else 1
        return {"seconds": round(seconds / count, 3), **beats}

    def _libraries(self) -> None:
        done: list = []
        source = ROOT / "axon_backend" / "demo_data" / "xray_pa.jpg"
        self.logic.loadRadiograph(str(source), onFinished=done.append, onError=done.append)
        self._await(lambda: bool(done))
        assert not isinstance(done[0], Exception), done[0]
        from AXONReconstructionLib.setup import backend

        done = []
        self.logic.tasks.run(lambda job: backend.load("registration.place"), onFinished=done.append)
        self._await(lambda: bool(done))

    def _installation(self) -> None:
        from AXONReconstructionLib.jobs import pip_process
        from AXONReconstructionLib.setup import install

        progress, target = self.panel.sections["setupSection"].showProgress, tempfile.mkdtemp()
        with self.host.pip_runs(self._wheels, target), pip_process.following():
            install.installPackages([f"axon_part{n}" for n in range(WHEELS)], progress)
        assert (Path(target) / "axon_part0" / "part0.py").is_file()

    @functools.cached_property
    def _wheels(self) -> Path:
        """A folder of packages for pip."""
        folder = Path(tempfile.mkdtemp())
        for n in range(WHEELS):
            name, lines = f"axon_part{n}", "value = 1\n" * FILE_LINES
            with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
                for file in range(WHEEL_FILES):
                    wheel.writestr(f"{name}/part{file}.py", lines)
                for file, text in (
                    ("METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"),
                    ("WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n"),
                    ("RECORD", ""),
                ):
                    wheel.writestr(f"{name}-1.0.dist-info/{file}", text)
        return folder

    def _registration(self) -> None:
        self.host.click(self.ui.registerButton)
        self._await(lambda: not self.panel.sections["registerSection"].auto.running)

    def _live_drr(self) -> None:
        from axon_backend.physics.pose import Pose

        ct = self.panel.parameterNode.groundTruth
        for _step in range(DRR_STEPS):
            self._angle += 0.25
            done: list = []
            self.logic.renderDRR(
                ct,
                "pa",
                Pose((self._angle % 10, 0, 0)),
                512,
                fast=True,
                onFinished=done.append,
                onError=done.append,
            )
            self._await(lambda done=done: bool(done))

    def _reconstruction(self) -> None:
        node = self.panel.parameterNode
        node.frontalAccepted = node.lateralAccepted = True
        node.skippedStages = ["fine", "sr"]
        self.host.click(self.ui.reconstructButton)
        self._await(lambda: self.panel.sections["reconstructSection"].state == "idle")

    def _environment(self) -> None:
        from AXONReconstructionLib.setup import environment

        done: list = []
        self.panel.sections["setupSection"].background.submit(
            lambda job: environment.systemReport(), onDone=done.append, onError=done.append
        )
        self._await(lambda: bool(done))
        assert not isinstance(done[0], Exception), done[0]

    def _small_steps(self) -> None:
        done: list = []

        def work(job) -> int:
            for _step in range(SMALL_STEPS):
                time.sleep(0.001)
            return SMALL_STEPS

        self.logic.files.run(work, onFinished=done.append)
        self._await(lambda: bool(done))

    def _idle(self) -> None:
        self.host.process_events(IDLE_SECONDS)


def cold(held: bool) -> dict[str, float]:
    """The first X-ray of a session, in a process of its own."""
    words = [sys.executable, __file__, "--cold", "held" if held else "free"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def summary(runs: dict[str, list[dict[str, float]]]) -> dict[str, object]:
    """Medians over the pairs, of their ratios too, and of the answers with the lock held."""
    free, held = ([run["seconds"] for run in runs[name]] for name in ("free", "held"))
    return {
        "free_seconds": statistics.median(free),
        "held_seconds": statistics.median(held),
        "ratio": round(statistics.median(h / f for f, h in zip(free, held, strict=True)), 3),
        **{
            name: statistics.median(run[name] for run in runs["held"])
            for name in runs["held"][0]
            if name.endswith("_ms")
        },
        "runs": runs,
    }


def main() -> None:
    ask = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument("--pairs", type=int, default=3)
    ask.add_argument("--kind", action="append", choices=KINDS, help="default: all")
    ask.add_argument("--out", type=Path)
    ask.add_argument("--cold", choices=("free", "held"), help=argparse.SUPPRESS)
    given = ask.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if given.cold:
        session = Session(prepare=False)
        print("\n" + json.dumps(session.measure("libraries", given.cold == "held")), flush=True)
        session.host.finish()
    kinds, session = given.kind or list(KINDS), None
    made: dict[str, object] = {"machine": f"{platform.system()}, {os.cpu_count()} cores"}
    for kind in kinds:
        runs: dict[str, list[dict[str, float]]] = {"free": [], "held": []}
        if kind != "libraries" and session is None:
            session = Session()
        for pair in range(given.pairs):
            order = ("free", "held") if pair % 2 == 0 else ("held", "free")
            for name in order:
                held = name == "held"
                found = cold(held) if kind == "libraries" else session.measure(kind, held)
                runs[name].append(found)
                print(kind, name, found, flush=True)
        made[kind] = summary(runs)
        if given.out:
            given.out.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    if session is not None:
        session.host.finish()


if __name__ == "__main__":
    main()
