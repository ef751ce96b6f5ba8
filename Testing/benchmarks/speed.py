"""CPU seconds and memory of AXON's commands, as ratios between two versions, in one run.

    python Testing/benchmarks/speed.py OLD NEW --repeats 3 --out results/speed.json

OLD and NEW are folders with an ``axon_backend`` each, such as work trees of two commits. Every
command runs in a process of its own, alternately with either version on the same input files (the
demo's, of OLD) and the same bundle (OLD's). A CPU second is user and system time of the process and
of the processes that it started and waited for: unlike wall time, it hardly depends on what else
the machine does. The ratio is that of the medians. Without ``--repeats`` each runs once.

Reconstructions have all three stages. The second one is measured inside the process of the first,
so that nothing is imported or loaded any more. Peak memory is that of the largest process. ``same``
compares what both wrote: voxels in HU, or pixels of the DRR: the largest difference, and the root
mean square over the window of 2000 HU (or the image's range) in dB, which is infinite for equal
files.
"""

from __future__ import annotations

import argparse
import compileall
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

TWICE = """
import json, pathlib, sys, time
import axon_backend
frontal, lateral, bundle, written = sys.argv[1:]
if (pathlib.Path(axon_backend.__file__).parent / "inference").is_dir():
    from axon_backend.inference.session import InferenceSession
    run = InferenceSession(bundle).reconstruct
else:  # version 0.1.0
    from functools import partial
    from axon_backend.reconstruct import reconstruct
    run = partial(reconstruct, bundle=bundle)
seconds = []
for _ in range(2):
    began = time.process_time()
    run(frontal, lateral, stages=("coarse", "fine", "sr"))
    seconds.append(time.process_time() - began)
open(written, "w").write(json.dumps(seconds))
"""
STAGES = "coarse,fine,sr"  # no version knew "all" from the start
WINDOW_HU = 2000.0


def commands(demo: Path, bundle: Path) -> dict[str, list[str]]:
    """What is measured, without ``--output``."""
    pa, lateral = demo / "drr_lidc0306_pa.nrrd", demo / "drr_lidc0306_lateral.nrrd"
    both = ["--frontal", str(pa), "--lateral", str(lateral)]
    one = ["--frontal", str(demo / "xray_pa.jpg")]
    with_bundle = ["--bundle", str(bundle), "--quiet"]
    return {
        "help": ["--help"],
        "drr": ["drr", str(demo / "ct_lidc0306.nii.gz"), "--quiet"],
        "register": ["register", "--xray", str(demo / "xray_pa.jpg"), *with_bundle],
        "one view": ["reconstruct", *one, *with_bundle, "--stages", STAGES],
        "two views": ["reconstruct", *both, *with_bundle, "--stages", STAGES],
        "second": [str(pa), str(lateral), str(bundle)],
    }


def measured(root: Path, name: str, words: list[str], target: Path) -> dict[str, float]:
    """CPU seconds and peak memory in MB of one process."""
    variables = {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "PYTHONPATH": str(root)}
    variables["PYTHONDONTWRITEBYTECODE"] = ""  # as installed: modules are compiled already
    if name == "second":
        line = [sys.executable, "-c", TWICE, *words, str(target)]
    else:
        line = [sys.executable, "-m", "axon_backend", *words]
        line += [] if name == "help" else ["--output", str(target), "--overwrite"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            line, env={**os.environ, **variables}, cwd=target.parent, stdout=said, stderr=said
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{name}, {root}:\n{said.read().decode(errors='replace')[-2000:]}")
    found = {"seconds": used.ru_utime + used.ru_stime, "memory_mb": used.ru_maxrss / 1024}
    if name == "second":
        found["seconds"] = json.loads(target.read_text())[1]
    return found


def difference(name: str, old: Path, new: Path) -> dict[str, float] | None:
    """How the results of both versions differ; None where there are none to compare."""
    import SimpleITK as sitk

    inside = {"one view": "reconstruction.nii.gz", "two views": "reconstruction.nii.gz"}
    if name != "drr" and name not in inside:
        return None
    a, b = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(p / inside[name] if name in inside else p)))
        for p in (old, new)
    )
    a, b = a.astype(np.float64), b.astype(np.float64)
    rms = float(np.sqrt(np.mean((a - b) ** 2)))
    full = WINDOW_HU if name in inside else float(np.ptp(a))
    db = math.inf if rms == 0 else 20 * math.log10(full / rms)
    return {"largest": float(np.abs(a - b).max()), "rms": rms, "db": db}


def main() -> None:
    """Measure, print a table and write the numbers."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("old", type=Path)
    options.add_argument("new", type=Path)
    options.add_argument("--repeats", type=int, default=1)
    options.add_argument("--only", help="names of commands, separated by commas (default: all)")
    options.add_argument("--out", type=Path, help="JSON file with every measurement")
    chosen = options.parse_args()
    backend = chosen.old.resolve() / "axon_backend"
    lines = commands(backend / "demo_data", backend / "bundles" / "preview")
    names = chosen.only.split(",") if chosen.only else list(lines)
    for root in (chosen.old, chosen.new):  # neither pays for compiling its modules
        compileall.compile_dir(root / "axon_backend", quiet=1)
    table = {}
    print("| command | CPU s, old | new | ratio | memory MB, old | new | ratio | same |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            runs: dict[str, list[dict[str, float]]] = {"old": [], "new": []}
            targets = {}
            for version in runs:
                targets[version] = Path(folder) / f"{version} {name}{'.png' * (name == 'drr')}"
            for repeat in range(chosen.repeats):
                order = ("old", "new") if repeat % 2 == 0 else ("new", "old")
                for version in order:
                    root = getattr(chosen, version).resolve()
                    runs[version].append(measured(root, name, lines[name], targets[version]))
            row = {"runs": runs, "same": difference(name, targets["old"], targets["new"])}
            cells = [name]
            for what in ("seconds", "memory_mb"):
                old, new = (statistics.median(r[what] for r in runs[v]) for v in ("old", "new"))
                row[what] = {"old": old, "new": new, "ratio": new / old}
                cells += [f"{old:.2f}", f"{new:.2f}", f"{new / old:.2f}"]
            same = row["same"]
            cells.append("" if same is None else f"{same['db']:.1f} dB")
            print("| " + " | ".join(cells) + " |", flush=True)
            table[name] = row
    if chosen.out:
        chosen.out.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
