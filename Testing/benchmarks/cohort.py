"""Throughput of a cohort with one worker and with two, and what kills cost: studies of the demo.

python Testing/benchmarks/cohort.py speed --studies 40           processes on this machine
python Testing/benchmarks/cohort.py speed --studies 40 --ray     a Ray cluster, one node per worker
python Testing/benchmarks/cohort.py kills --studies 200          worker and driver are killed
python Testing/benchmarks/cohort.py kills --studies 200 --ray    worker, node and driver are killed

The studies are small: one view, in place as it is, stage 1, no images; ``speed --whole`` runs them
as a user would. ``--bundle DIR`` takes another model, for example one of atlas_mean, which costs
next to nothing. ``--out FILE`` adds the numbers to a JSON file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FILM = ROOT / "axon_backend" / "demo_data" / "xray_pa.jpg"
AXON = [sys.executable, "-m", "axon_backend", "cohort", "reconstruct"]
SMALL = ["--no-register", "--no-report"]
KEPT = re.compile(r"(\d+) of (\d+) studies reconstructed \((\d+) studies? in this run, (\d+) kept")


def source(folder: Path, count: int) -> Path:
    """A manifest of ``count`` studies, each with a copy of its own of the demo's X-ray."""
    rows = []
    for number in range(count):
        film = folder / f"{number:04d}.jpg"
        shutil.copy(FILM, film)
        rows.append({"id": f"s{number:04d}", "frontal": film.name})
    manifest = folder / "studies.json"
    manifest.write_text(json.dumps(rows))
    return manifest


@contextmanager
def cluster(nodes: int) -> Iterator[tuple[Any, list[Any]]]:
    """A Ray cluster of this machine: a head that does no work, and nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 100 * 1024 * 1024}
    # Ray's workers have a niceness of 15, with which everything else on the machine goes first.
    head = {"num_cpus": 0, "_system_config": {"worker_niceness": 0}, **small}
    made = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield made, [made.add_node(num_cpus=1, **small) for _ in range(nodes)]
    finally:
        made.shutdown()


def speed(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Studies per hour with one worker and with two: of the whole run, and without its start, that
    is from when every worker has finished a study."""
    manifest = source(folder, chosen.studies)
    settings = [*([] if chosen.whole else SMALL), *model(chosen)]
    seconds: dict[int, float] = {}
    pace: dict[int, float] = {}

    def run(workers: int, *options: str) -> None:
        out = folder / f"out{workers}"
        command = [*AXON, str(manifest), "--output", str(out), "--quiet", *settings, *options]
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds[workers] = round(time.perf_counter() - began, 1)
        ends = sorted(file.stat().st_mtime for file in out.glob("cases/[!.]*/case.json"))
        pace[workers] = round((len(ends) - workers) / (ends[-1] - ends[workers - 1]), 3)
        rate = 3600 * chosen.studies / seconds[workers]
        print(
            f"{workers} workers: {seconds[workers]:.0f} s, {rate:.0f} studies an hour", flush=True
        )

    for workers in (1, 2):
        if chosen.ray:
            with cluster(workers) as (made, _):
                run(workers, "--ray", made.address)
        else:
            run(workers, "--workers", str(workers))
    whole, running = round(seconds[1] / seconds[2], 2), round(pace[2] / pace[1], 2)
    print(f"two workers against one: {whole}, once they run {running}")
    size = sum(f.stat().st_size for f in (folder / "out1" / "cases" / "s0000").rglob("*"))
    return {
        "seconds": seconds,
        "studies per second once they run": pace,
        "two workers against one": whole,
        "two workers against one, once they run": running,
        "bytes per case": size,
    }


def model(chosen: argparse.Namespace) -> list[str]:
    if chosen.bundle is not None:
        return ["--bundle", chosen.bundle, "--stages", "all"]
    return ["--stages", "all" if chosen.whole else "coarse"]


def children(parent: int, pattern: str) -> list[int]:
    """Processes that a process started, by their command line."""
    found = subprocess.run(["pgrep", "-P", str(parent), "-f", pattern], capture_output=True)
    return [int(number) for number in found.stdout.split()]


def kills(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Kill a worker, a node and the driver, each while studies are being made; count what is
    lost and what is made twice."""
    if chosen.ray:
        with cluster(2) as (made, nodes):

            def workers(_: int) -> list[int]:
                raylets = [p.process.pid for n in nodes for p in n.all_processes["raylet"]]
                return [pid for raylet in raylets for pid in children(raylet, "ray::_Actor")]

            def node_dies() -> None:
                made.remove_node(nodes.pop(), allow_graceful=False)

            options = ["--ray", made.address, *model(chosen)]
            return _kills(chosen.studies, folder, options, workers, {"node": node_dies})
    options = ["--workers", "2", *model(chosen)]
    return _kills(chosen.studies, folder, options, lambda pid: children(pid, "spawn_main"), {})


def _kills(count: int, folder: Path, options: list[str], workers: Any, more: Any) -> dict[str, Any]:
    manifest, out = source(folder, count), folder / "out"
    command = [*AXON, str(manifest), "--output", str(out), "--quiet", *SMALL, *options]
    made: dict[str, int] = {}
    again: set[str] = set()
    said: dict[str, Any] = {}

    def look() -> int:
        for record in out.glob("cases/[!.]*/case.json"):  # hidden ones are being written
            name, stamp = record.parent.name, record.stat().st_mtime_ns
            if made.setdefault(name, stamp) != stamp:
                again.add(name)
        return len(made)

    def wait(number: int) -> None:
        while look() < min(number, count):
            if driver.poll() is not None:
                raise SystemExit(f"the run ended by itself after {look()} studies")
            time.sleep(0.2)

    began = time.perf_counter()
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    blows = {"worker": lambda: os.kill(random.choice(workers(driver.pid)), signal.SIGKILL), **more}
    for number, (name, blow) in enumerate(blows.items(), 1):
        wait(number * count // 6)
        blow()
        said[f"{name} killed after"] = look()
        print(f"{name} killed after {look()} studies", flush=True)
    wait(count // 2)
    driver.kill()
    driver.wait()
    time.sleep(2)  # for its workers to end
    there = look()
    print(f"driver killed; {there} studies are there", flush=True)
    done = subprocess.run(command, capture_output=True, text=True)
    found = KEPT.search(done.stdout)
    if done.returncode != 0 or found is None:
        raise SystemExit(f"resuming: {done.returncode}\n{done.stdout}\n{done.stderr}")
    finished, _, resumed, kept = map(int, found.groups())
    look()
    print(f"resumed: {kept} kept, {resumed} made; {finished} of {count} are there")
    print(f"finished ones lost: {there - kept}; made twice: {len(again)}")
    return {
        **said,
        "driver killed after": there,
        "resumed, kept": kept,
        "resumed, made": resumed,
        "there at the end": finished,
        "lost": there - kept,
        "made twice": len(again),
        "seconds": round(time.perf_counter() - began),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speed", "kills"))
    parser.add_argument("--studies", type=int, default=8)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--bundle", help="the model (default: the shipped one)")
    parser.add_argument(
        "--whole", action="store_true", help="speed: registration, all stages, report"
    )
    parser.add_argument("--out", type=Path, help="JSON file that the numbers are added to")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="axon-cohort-") as name:
        found = {"speed": speed, "kills": kills}[chosen.what](chosen, Path(name))
    if chosen.out is not None:
        key = f"{chosen.what}, {'Ray' if chosen.ray else 'processes'}"
        key += ", whole" if chosen.whole else ""
        kept = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
        about = {"studies": chosen.studies, "machine": platform.processor() or platform.machine()}
        kept[key] = {**about, "cpus": os.cpu_count(), **found}
        chosen.out.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
