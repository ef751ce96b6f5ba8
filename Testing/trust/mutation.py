"""Do the tests notice when the code is wrong? Breaks central lines one at a time, in a copy, and
runs the tests that should fail.

    python Testing/trust/mutation.py [PART OF A FILE'S NAME]

Prints each break with its fate; ends with 1 if a break survives. A few seconds of one core each.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from multiprocessing.context import BaseContext
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mutation:
    """A line of a file, what it becomes, and the tests that have to fail."""

    file: str
    old: str
    new: str
    tests: str  # a file of Testing/, and with a word after a space (-k) less of it


# A file of axon_backend, a line of it, what it becomes, and the tests that have to fail.
TABLE = (
    # files and folders
    ("util/atomic", "    finally:\n        work.remove()", "    finally:\n        pass",
     "util/test_atomic.py"),
    ("util/atomic", "sweep(path.parent, WRITING)", "pass", "util/test_atomic.py"),
    ("util/apart", "if _same(given, target):", "if given == target:", "util/test_apart.py"),
    ("util/file_lock", "return False if error.errno in (", "return None if error.errno in (",
     "util/test_file_lock.py"),
    ("util/output_folder", "_move(work, Path(os.path", "print(work, Path(os.path",
     "util/test_output_folder.py"),
    ("util/output_folder", "_move_back(work, target, names, stale)\n        journal",
     "journal", "util/test_output_folder.py"),
    ("util/work_folder", "if work is None:\n                continue", "if work is None:\n"
     "                shutil.rmtree(path)\n                continue", "util/test_atomic.py"),
    ("util/plain_text", '_FORMULA = ("=", ', "_FORMULA = (", "util/test_plain_text.py"),
    ("util/input_file", "size > 1e6 * most", "size > 1e9 * most",
     "trust/test_size_limits.py"),
    # images
    ("imaging/header_check", "if count > 1e6 * most:", "if count > 1e9 * most:",
     "imaging/test_header_limits.py"),
    ("imaging/header_check", "rows * columns * samples > 1e6 * most", "False",
     "trust/test_size_limits.py"),
    ("imaging/header_check", 'or ".." in PureWindowsPath(name).parts', "",
     "trust/test_size_limits.py"),
    ("imaging/frame", "c - s / 2 + d / 2", "c - s / 2", "imaging/test_frame.py"),
    ("imaging/frame", "(2.0 / (self.high - self.low)) - 1.0", "(2.0 / (self.high - self.low))",
     "imaging/test_frame.py"),
    ("imaging/display", 'if down == "H":', 'if down == "F":', "imaging/test_xray_orientation.py"),
    ("imaging/dicom_grey", "        if inverse:\n", "        if not inverse:\n",
     "imaging/test_xray_grey.py"),
    ("imaging/ct_dicom", "affine[:3, 0] = row_cosines * pixel[1]",
     "affine[:3, 0] = row_cosines * pixel[0]", "imaging/test_ct_series.py"),
    ("imaging/ct_series_writer", "k * affine[:3, 2]", "k * affine[:3, 1]",
     "imaging/test_ct_series_writer.py"),
    ("imaging/dicom_source", "len(text) <= 64 and UID(text).is_valid", "True",
     "imaging/test_dicom_validators.py"),
    # physics
    ("physics/drr", "    total *= torch.from_numpy(length_mm).to(mu.dtype)\n", "",
     "physics/test_drr_answers.py"),
    ("physics/drr", "return (total * length)", "return (total)", "physics/test_separable_drr.py"),
    ("physics/geometry", "return self.sid_mm / self.sod_mm", "return self.sod_mm / self.sid_mm",
     "physics/test_geometry.py"),
    ("physics/attenuation", "(1.0 + hu / 1000.0)", "(1.0 + hu / 1024.0)",
     "physics/test_drr_answers.py"),
    ("physics/spectrum", "* thickness_mm / 10", "* thickness_mm", "physics/test_spectrum.py"),
    ("physics/scatter", "return p * (a0 + max(a1, 0.0) * p)", "return p * a0",
     "physics/test_grid_and_scatter.py"),
    ("physics/pose", "centre + self.translation_mm -", "centre - self.translation_mm -",
     "physics/test_pose.py"),
    # registration
    ("registration/similarity", "(image - (image * valid).sum() / total for", "(image for",
     "registration/test_quality.py"),
    ("registration/quality", "if score < limits.fair:", "if score < 0:",
     "registration/test_quality.py"),
    ("registration/landmarks", "square = view * (aspect, 1.0)", "square = view * (1.0, 1.0)",
     "registration/test_landmarks.py"),
    # models
    ("diffusion/bridge", "return 2.0 * self.variance *", "return self.variance *",
     "diffusion/test_bridge.py"),
    ("diffusion/bridge", "s2 = eta**2 * s2", "s2 = eta * s2", "diffusion/test_bridge.py"),
    ("diffusion/gaussian", "return alpha * noise - sigma * y", "return alpha * noise + sigma * y",
     "diffusion/test_gaussian.py"),
    ("networks/lifting", "v = -zoom[", "v = zoom[", "networks/test_lifting.py"),
    # metrics
    ("metrics/standard", "C1, C2 = 0.01**2, 0.03**2", "C1, C2 = 0.011**2, 0.03**2",
     "metrics/test_metrics.py"),
    ("metrics/standard", "-10.0 * np.log10", "-20.0 * np.log10", "metrics/test_metrics.py"),
    # bundles
    ("bundle/verify", "if found != expected:", "if found[:16] != expected[:16]:",
     "bundle/test_bundle_verification.py"),
    ("bundle/layout", "or not target.resolve().is_relative_to(root.resolve()):", ":",
     "bundle/test_bundle_verification.py"),
    ("bundle/unpack", "or stat.S_ISLNK(info.external_attr >> 16)", "",
     "bundle/test_bundle_library.py"),
    ("bundle/packing", "rows.abs().amax(1) / 127.0", "rows.abs().amax() / 127.0",
     "bundle/test_bundle_round_trip.py"),
    ("bundle/download", "if found != sha256:", "if False:", "bundle/test_bundle_download.py"),
    # training
    ("training/trainer", 'torch.set_rng_state(state["random"].cpu())', "pass",
     "training/test_train.py resumed_run_draws"),
    ("training/trainer", 'self.optimiser.load_state_dict(state["optimiser"])', "pass",
     "training/test_train.py stop_file"),
    ("training/optimiser", "(1 + self.updates) / (10 + self.updates)", "0.0",
     "training/test_optimiser.py"),
    # data sets
    ("dataset/splits", "part, 1) if count >= FEWEST else 0", "part, 0)",
     "dataset/test_splits.py"),
    ("dataset/review", '.get("picture", image) != image', '.get("picture", image) == image',
     "dataset/test_review.py"),
)  # fmt: skip
MUTATIONS = tuple(Mutation(f"axon_backend/{file}.py", *rest) for file, *rest in TABLE)


# Imported once, before the tests of every break start; AXON itself is imported from the copy.
PRELOADED = [
    "pytest", "torch", "numpy", "scipy.ndimage", "scipy.signal", "SimpleITK", "nibabel", "pydicom",
    "PIL.Image", "safetensors.torch", "monai.networks.nets", "yaml",
]  # fmt: skip


def run_tests(tests: str, copy: Path, said: Path) -> None:
    """pytest on these tests until one fails, with the AXON of the copy; runs in a process of its
    own, which ends with pytest's exit code."""
    import pytest

    with said.open("w") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    os.environ |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(copy))
    os.chdir(copy)
    file, _, word = tests.partition(" ")
    chosen = ["-k", word] if word else []
    quiet = ["-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=short"]
    configuration = ["-c", str(ROOT / "pyproject.toml")]
    sys.exit(int(pytest.main([*quiet, *configuration, str(ROOT / "Testing" / file), *chosen])))


def broken(one: Mutation, copy: Path) -> str:
    """The fate of a break: killed, SURVIVED, or why it could not be tried."""
    path = copy / one.file
    whole = path.read_text(encoding="utf-8")
    if whole.count(one.old) != 1:
        return f"NOT TRIED: the line is there {whole.count(one.old)} times"
    path.write_text(whole.replace(one.old, one.new), encoding="utf-8")
    said = copy / "said.txt"
    try:
        child = _context().Process(target=run_tests, args=(one.tests, copy, said))
        child.start()
        child.join()
    finally:
        path.write_text(whole, encoding="utf-8")
    # 1 is tests that failed; no tests, and errors of pytest's own, are something else.
    fates = {0: "SURVIVED", 1: "killed"}
    return fates.get(child.exitcode or 0, f"NOT TRIED: {said.read_text(errors='replace')[-300:]}")


@cache
def _context() -> BaseContext:
    """Starts processes from one that has imported the libraries, where the system can."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def main(arguments: list[str]) -> int:
    """Try them all, or those whose file's name holds the first argument."""
    part = arguments[0] if arguments else ""
    lost = 0
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "axon_backend", copy / "axon_backend", ignore=ignored)
        for one in MUTATIONS:
            if part not in one.file:
                continue
            fate = broken(one, copy)
            lost += fate != "killed"
            print(f"{fate}: {one.file}: {one.old.strip()[:60]!r}", flush=True)
    print(f"{lost} breaks were not noticed")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
