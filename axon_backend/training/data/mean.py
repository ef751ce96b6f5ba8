"""The mean training volume: initial output of an untrained encoder, and the atlas of a bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from axon_backend.dataset.dataset import DatasetCase
from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import read_ct
from axon_backend.imaging.frame import HuWindow, find_thorax_frame, resample_to_frame
from axon_backend.training.torch_file import save_atomically

MEAN_CASES = 100
"""Training cases in the mean volume (the atlas), at most."""


def spread(cases: Sequence[DatasetCase], most: int) -> list[DatasetCase]:
    """At most ``most`` cases, evenly spaced over the list."""
    if len(cases) <= most:
        return list(cases)
    return [cases[int(i)] for i in np.linspace(0, len(cases) - 1, most).round()]


def in_frame(
    case: DatasetCase, side: int, window: HuWindow
) -> tuple[np.ndarray, tuple[float, float, float]]:
    """A CT resampled to its frame, (side, side, side) float16 in [-1, 1], and the frame's size
    (x, y, z) in mm."""
    try:
        ct = read_ct(case.ct)
        frame = find_thorax_frame(ct) if case.frame is None else case.frame
    except AxonInputError as error:
        raise AxonInputError(f"Case {case.id}: {error}") from error
    volume = window.normalise(resample_to_frame(ct, frame, side))
    return volume.astype(np.float16), frame.size_mm


def mean_volume(
    cases: Sequence[DatasetCase],
    side: int,
    window: HuWindow,
    path: Path,
    *,
    workers: int = 1,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, torch.Tensor]:
    """The mean volume and mean frame of the cases.

    Read from ``path`` if it exists, else computed and written there. Progress is reported to
    ``tell(done, total)``.

    Returns:
        {"mean": (1, 1, side, side, side) in [-1, 1], "size_mm": (3,) frame size (x, y, z)}.

    Raises:
        AxonInputError: a case cannot be used; the message names it.
    """
    if path.exists():
        try:
            return torch.load(path, weights_only=True)
        except Exception:  # a damaged file
            path.unlink(missing_ok=True)
    total = np.zeros((side,) * 3)
    size = np.zeros(3)
    jobs = [(case, side, window) for case in cases]
    path.parent.mkdir(parents=True, exist_ok=True)
    if workers > 1 and len(cases) > workers:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            results = pool.map(_in_frame, jobs)
            for done, (volume, size_mm) in enumerate(results, 1):
                total += volume
                size += size_mm
                tell(done, len(cases))
    else:
        for done, job in enumerate(jobs, 1):
            volume, size_mm = in_frame(*job)
            total += volume
            size += size_mm
            tell(done, len(cases))
    values = {
        "mean": torch.as_tensor(total / len(cases), dtype=torch.float32)[None, None],
        "size_mm": torch.as_tensor(size / len(cases), dtype=torch.float32),
    }
    save_atomically(values, path)
    return values


def _in_frame(
    job: tuple[DatasetCase, int, HuWindow],
) -> tuple[np.ndarray, tuple[float, float, float]]:
    torch.set_num_threads(1)
    return in_frame(*job)
