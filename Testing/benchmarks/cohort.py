"""Throughput of a cohort with one worker and with two, and what kills cost: studies of the demo.

python Testing/benchmarks/cohort.py speed --studies 8            local processes
python Testing/benchmarks/cohort.py speed --studies 8 --ray      a Ray cluster of this machine
python Testing/benchmarks/cohort.py kills --studies 200          worker, node and driver die
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILM = ROOT / "axon_backend" / "demo_data" / "xray_pa.jpg"
AXON = [sys.executable, "-m", "axon_backend", "cohort", "reconstruct"]


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


def run(manifest: Path, out: Path, *options: str) -> float:
    """Seconds of one run."""
    began = time.perf_counter()
    command = [*AXON, str(manifest), "--output", str(out), "--quiet", *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def speed(chosen: argparse.Namespace, folder: Path) -> None:
    manifest = source(folder, chosen.studies)
    taken = {}
    for workers in (1, 2):
        options = ["--workers", str(workers)]
        if chosen.ray:
            import ray

            ray.init(num_cpus=workers, log_to_driver=False)
            options = ["--ray", ray.get_runtime_context().gcs_address]
        taken[workers] = run(manifest, folder / f"out{workers}", *options)
        if chosen.ray:
            ray.shutdown()
        rate = chosen.studies / taken[workers]
        print(f"{workers} workers: {taken[workers]:.0f} s, {3600 * rate:.0f} studies an hour")
    print(f"two workers against one: {taken[1] / taken[2]:.2f}")


def kills(chosen: argparse.Namespace, folder: Path) -> None:
    """Kill a worker, a node and the driver, each while studies are being made; count what is
    lost and what is made twice."""
    from ray.cluster_utils import Cluster

    manifest = source(folder, chosen.studies)
    out = folder / "out"
    small = {"object_store_memory": 100 * 1024 * 1024}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    nodes = [cluster.add_node(num_cpus=1, **small) for _ in range(2)]
    options = ["--ray", cluster.address, "--no-register", "--no-report", "--stages", "coarse"]
    command = [*AXON, str(manifest), "--output", str(out), "--quiet", *options]
    made: dict[str, int] = {}

    def look() -> int:
        for record in out.glob("cases/*/case.json"):
            made.setdefault(record.parent.name, record.stat().st_mtime_ns)
        return len(made)

    def wait(count: int) -> None:
        while look() < min(count, chosen.studies) and driver.poll() is None:
            time.sleep(0.2)

    driver = subprocess.Popen(command)
    wait(chosen.studies // 8)
    actors = subprocess.run(["pgrep", "-f", "ray::_Actor"], capture_output=True, text=True)
    victims = [int(pid) for pid in actors.stdout.split()]
    os.kill(random.choice(victims), signal.SIGKILL)
    print(f"worker killed after {look()} studies")
    wait(chosen.studies // 4)
    cluster.remove_node(nodes.pop(), allow_graceful=False)
    print(f"node killed after {look()} studies")
    wait(chosen.studies // 2)
    driver.kill()
    driver.wait()
    print(f"driver killed after {look()} studies")
    subprocess.run(command, check=True)
    again = [
        name
        for name, stamp in made.items()
        if (out / "cases" / name / "case.json").stat().st_mtime_ns != stamp
    ]
    print(f"{look()} of {chosen.studies} studies are there; finished ones made twice: {len(again)}")
    cluster.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speed", "kills"))
    parser.add_argument("--studies", type=int, default=8)
    parser.add_argument("--ray", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="axon-cohort-") as name:
        {"speed": speed, "kills": kills}[chosen.what](chosen, Path(name))


if __name__ == "__main__":
    main()
