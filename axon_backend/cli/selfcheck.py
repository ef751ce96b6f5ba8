"""``axon selfcheck``: describe and test this installation, as text for a bug report."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from axon_backend import DISCLAIMER, __version__
from axon_backend.errors import AxonInputError

PACKAGES = (
    "torch", "monai", "einops", "numpy", "scipy", "SimpleITK", "nibabel", "pydicom", "pylibjpeg",
    "safetensors", "pillow", "tqdm", "vtk",
)  # fmt: skip
NEEDED_GIB = 4.0  # for the shipped model on the CPU


def run_selfcheck(leave_out: tuple[str, ...] = ()) -> tuple[str, bool]:
    """Run the checks. Returns the text and whether everything that AXON needs works.

    `leave_out` names checks to skip, by the first words of their lines: a host program may have
    better information, or be using the screen's OpenGL itself.

    The text does not name users, files or machines, except where an error message contains a path.
    """
    checks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("AXON", lambda: __version__),
        ("Python", lambda: f"{platform.python_version()} ({sys.implementation.name})"),
        ("system", lambda: f"{platform.system()} {platform.release()}, {platform.machine()}"),
        ("packages", _packages),
        ("processor", lambda: f"{os.cpu_count()} cores"),
        ("memory", _memory),
        ("disk", _disk),
        ("device", _device),
        ("shipped bundle", _bundle),
        ("OpenGL", _opengl),
        ("tiny run", _tiny_run),
    )
    lines, sound = ["AXON selfcheck", ""], True
    for name, check in checks:
        if name in leave_out:
            continue
        try:
            found = check()
        except Exception as error:  # whatever is broken is to be reported
            kind = "" if isinstance(error, AxonInputError) else f"{type(error).__name__}: "
            found, sound = f"FAILED: {kind}{error}", False
        lines.append(f"{name + ':':16}{found}")
    summary = "All checks passed." if sound else "A check FAILED, see above."
    lines += ["", summary, f"{DISCLAIMER}."]
    return "\n".join(lines), sound


def _packages() -> str:
    found, missing = [], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    # Slicer and other host programs provide VTK without package metadata.
    needed = [package for package in missing if package != "vtk"]
    if needed:
        raise AxonInputError(f"not installed: {', '.join(needed)}. Run pip install axon-ct.")
    return ", ".join(found) + (f"; not installed: {', '.join(missing)}" if missing else "")


def memory_gib() -> tuple[float, float] | None:
    """(total, free) main memory in GiB, or None if the system does not report it."""
    if sys.platform == "win32":
        import ctypes

        # MEMORYSTATUSEX: two 32-bit numbers, then seven of 64 bits.
        numbers = (ctypes.c_uint64 * 8)()
        ctypes.cast(numbers, ctypes.POINTER(ctypes.c_uint32))[0] = 64
        if not ctypes.windll.kernel32.GlobalMemoryStatusEx(numbers):
            return None
        return numbers[1] / 2**30, numbers[2] / 2**30
    try:
        page = os.sysconf("SC_PAGE_SIZE") / 2**30
        return page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError):
        return None


def _memory() -> str:
    found = memory_gib()
    if found is None:
        return "unknown"
    note = f" (less than the {NEEDED_GIB:.0f} GiB that AXON needs)" if found[0] < NEEDED_GIB else ""
    return f"{found[0]:.1f} GiB, {found[1]:.1f} GiB unused{note}"


def _disk() -> str:
    usage = shutil.disk_usage(".")
    return f"{usage.free / 2**30:.1f} GiB free of {usage.total / 2**30:.1f} GiB, current folder"


def _device() -> str:
    import torch

    if not torch.cuda.is_available():
        return f"cpu, {torch.get_num_threads()} threads"
    card = torch.cuda.get_device_properties(0)
    text = f"cuda, {card.name}, {card.total_memory / 2**30:.1f} GiB, CUDA {torch.version.cuda}"
    if torch.__version__.startswith("2.9."):
        text += "; torch 2.9 is slow and inexact in 3-D convolutions on GPUs: use another version"
    return text


def _bundle() -> str:
    from axon_backend.bundle import load_bundle

    bundle = load_bundle()
    return f"{bundle.name} {bundle.version}, sound, SHA-256 {bundle.sha256}"


def _opengl() -> str:
    import numpy as np

    from axon_backend.evaluation.render3d import render3d

    ball = np.full((32, 32, 32), -1000.0, np.float32)
    ball[8:24, 8:24, 8:24] = 400.0
    drawn = render3d(ball, (4.0, 4.0, 4.0), "bone", (64, 64))
    # Not a failure: reports then show a projection instead.
    return drawn.note or "volume rendering works"


def _tiny_run() -> str:
    """Run the first stage of the shipped model on random X-rays, twice with the same seed."""
    import torch

    from axon_backend.bundle import load_bundle
    from axon_backend.inference.model_loading import choose_device, load_model
    from axon_backend.methods.protocol import RegisteredViews
    from axon_backend.util.run_context import RunContext

    device = choose_device()
    began = time.perf_counter()
    model = load_model(load_bundle(), device)
    image = torch.rand(1, 1, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    views = RegisteredViews(image, image.flip(-1), torch.tensor([[0.07, -0.08]]))
    context = RunContext(seed=1)
    first = model.method.info.stage_names[0]
    volume, again = (
        model.reconstruct(views, stages=(first,), context=context).volumes[first] for _ in range(2)
    )
    if not bool(torch.isfinite(volume).all()):
        raise RuntimeError("the result contains NaN or infinite values")
    difference = float((volume - again).abs().max())
    # The order of summation may vary on a GPU, but not on a CPU.
    if difference > (0.0 if device.type == "cpu" else 0.02):
        raise RuntimeError(f"the same seed gave two volumes that differ by {difference:.3g}")
    return (
        f"stage {first} on {device}, {volume.shape[-1]}^3 voxels, finite and "
        f"repeatable, {time.perf_counter() - began:.1f} s"
    )
