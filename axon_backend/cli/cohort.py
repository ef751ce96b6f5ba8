"""``axon cohort``: reconstruct many studies; see ``commands``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from axon_backend.cli import shared_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from axon_backend.cohort.run import CohortSummary
    from axon_backend.util.pool import Pool


def add_arguments(one: argparse.ArgumentParser) -> None:
    """Add the options of ``axon cohort reconstruct`` other than those of model and sampling."""
    one.add_argument(
        "source",
        metavar="SOURCE",
        help="a folder of DICOM in any layout (one study for each StudyInstanceUID) or of plain "
        "files (p1_pa.png, p1_lateral.png); or a manifest in CSV or JSON with the columns id, "
        "frontal and, optionally, lateral and ct, whose paths may be URLs",
    )
    one.add_argument(
        "--output",
        required=True,
        metavar="DIR",
        help="a folder, or a URL such as s3://bucket/name; run again to resume",
    )
    shared_options.add_registration(one)
    shared_options.add_volumes(one)
    one.add_argument(
        "--no-report",
        action="store_true",
        help="write volumes and records only, which takes less time and space",
    )
    add_pool_arguments(one)
    one.add_argument("--quiet", action="store_true", help="no progress bars")


def add_pool_arguments(one: argparse.ArgumentParser) -> None:
    """Add the options of the worker pool."""
    one.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="number of processes (default: as many as processors and memory allow; 1 on a GPU)",
    )
    one.add_argument(
        "--ray",
        nargs="?",
        const=True,
        default=False,
        metavar="ADDRESS",
        help="use a Ray cluster instead of processes (default: RAY_ADDRESS, else this machine)",
    )
    one.add_argument(
        "--time-limit",
        type=float,
        metavar="S",
        help="time limit per case in seconds",
    )


def make_pool(chosen: argparse.Namespace, cancelled: Callable[[], bool]) -> Pool:
    """The worker pool for the options.

    Raises:
        AxonInputError: ``--workers`` or ``--time-limit`` is out of range, or Ray is not installed.
    """
    from axon_backend.errors import AxonInputError
    from axon_backend.util.pool import Pool, default_workers

    if chosen.workers is not None and chosen.workers < 1:
        raise AxonInputError(f"--workers is {chosen.workers}; it must be at least 1.")
    if chosen.time_limit is not None and not chosen.time_limit > 0:
        raise AxonInputError(f"--time-limit is {chosen.time_limit:g} s; it must be more than 0.")
    gpu = chosen.device == "cuda"
    return Pool(
        chosen.workers or (1 if gpu else default_workers()),
        chosen.ray,
        cancelled,
        limit_seconds=chosen.time_limit,
        resources={"num_gpus": 1.0} if gpu else None,
    )


def reconstruct(
    chosen: argparse.Namespace, stages: tuple[str, ...] | None, steps: list[int] | None
) -> int:
    """``axon cohort reconstruct``; returns 1 if it was stopped, if a study failed in a way that
    another run may fix, or if no study could be reconstructed."""
    from axon_backend.errors import AxonInputError

    if chosen.samples < 1:
        raise AxonInputError(f"--samples is {chosen.samples}; it must be at least 1.")
    from axon_backend.cli.console import run_resumable
    from axon_backend.cohort.run import reconstruct_cohort
    from axon_backend.cohort.settings import CohortSettings

    settings = CohortSettings(
        bundle=chosen.bundle,
        stages=stages,
        steps=None if steps is None else tuple(steps),
        seed=chosen.seed,
        samples=chosen.samples,
        device=chosen.device,
        register=not chosen.no_register,
        allow_poor=chosen.allow_poor,
        keep_stages=chosen.keep_stages,
        report=not chosen.no_report,
        dicom=chosen.dicom,
    )
    summary = run_resumable(
        lambda progress, cancelled: reconstruct_cohort(
            chosen.source,
            chosen.output,
            settings,
            pool=make_pool(chosen, cancelled),
            progress=progress,
            cancelled=cancelled,
        ),
        chosen.quiet,
        _HOW_TO_RESUME,
    )
    if summary is None:
        return 1
    print(_summary_text(summary, chosen.output))
    counts = summary.counts
    if counts["waiting"]:
        print(f"axon: stopped as asked. {_HOW_TO_RESUME}", file=sys.stderr)
    return 1 if counts["waiting"] or counts["failed"] or not counts["done"] else 0


_HOW_TO_RESUME = "Finished studies are kept: run the same command again to resume."


def _summary_text(summary: CohortSummary, output: str) -> str:
    counts = summary.counts
    text = [
        f"{counts['done']} of {len(summary.records)} studies reconstructed ({summary.made} studies "
        f"in this run, {summary.kept} kept)"
    ]
    rest = [r for r in summary.records if r["status"] in ("refused", "failed")]
    text += [f"  {r['status']}: {r['id']}: {r['reason']}" for r in rest[:10]]
    if len(rest) > 10:
        text.append(f"  and {len(rest) - 10} more: see summary.csv")
    if counts["waiting"]:
        text.append(f"  not reached yet: {counts['waiting']}")
    page = f"{output.rstrip('/')}/index.html" if "://" in output else Path(output) / "index.html"
    return "\n".join([*text, f"  {page}"])
