"""The pool on a Ray cluster of two nodes on this machine: workers and nodes that die."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from axon_backend.util.pool import Pool, TimedOut

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Ray's cluster utilities need POSIX"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head that takes no work, and two nodes with one worker each."""
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    small = {"object_store_memory": 100 * 1024 * 1024}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    nodes = [made.add_node(num_cpus=1, **small) for _ in range(2)]
    ray.init(address=made.address, log_to_driver=False)
    yield made, nodes
    ray.shutdown()
    made.shutdown()


class Marking:
    """Writes one line for each task that it ends; the task 3 kills its worker, once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, n: int) -> tuple[int, str]:
        mark = self.folder / "killed"
        if n == 3 and not mark.exists():
            mark.touch()
            os._exit(9)
        time.sleep(60 if n == 100 else 0.2)
        with open(self.folder / f"{n}.txt", "a") as stream:
            stream.write("done\n")
        return n, ray.get_runtime_context().get_node_id()


def test_a_killed_worker_a_long_task_and_a_lost_node_lose_nothing(cluster, tmp_path):
    made, nodes = cluster
    found: dict[int, object] = {}
    seen = set()
    for n, result in Pool(1, ray=True, limit_seconds=20).map(Marking(tmp_path), [*range(24), 100]):
        found[n] = result
        if isinstance(result, tuple):
            seen.add(result[1])
        if len(seen) == 2 and len(nodes) == 2:
            made.remove_node(nodes.pop(), allow_graceful=False)
    assert len(nodes) == 1, "both nodes have worked, and one is gone"
    assert isinstance(found.pop(100), TimedOut)
    assert {n: result[0] for n, result in found.items()} == {n: n for n in range(24)}
    # Only a task that was running when its worker died may have been done twice.
    twice = [n for n in range(24) if len((tmp_path / f"{n}.txt").read_text().split()) > 1]
    assert len(twice) <= 1
