"""``axon prepare``; see ``commands``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from axon_backend.cli import xray_options

if TYPE_CHECKING:
    from axon_backend.dataset.prepare import Summary


def add_arguments(one: argparse.ArgumentParser) -> None:
    """Add the options of ``axon prepare``."""
    one.add_argument(
        "source",
        nargs="?",
        metavar="SOURCE",
        help="a folder of DICOM in any layout (LIDC-IDRI as downloaded) or of plain files "
        "(p1_ct.nii.gz, p1_pa.png, p1_lateral.png); or a manifest in CSV or JSON with the columns "
        "id, patient, ct, frontal, lateral, split",
    )
    one.add_argument(
        "--output",
        required=True,
        metavar="DATA",
        help="the data set's folder; run again to resume",
    )
    one.add_argument(
        "--drrs", type=int, default=1, metavar="N", help="DRRs per view and CT (default 1)"
    )
    one.add_argument(
        "--pose",
        action="store_true",
        help="estimate the patient's pose (six degrees of freedom) and move the CT into it",
    )
    one.add_argument(
        "--gate",
        choices=("fair", "good"),
        default="fair",
        help="lowest registration verdict that is accepted without review (default fair)",
    )
    one.add_argument(
        "--max-days",
        type=int,
        metavar="D",
        help="exclude X-rays taken more than D days before or after the CT",
    )
    one.add_argument(
        "--window",
        type=float,
        nargs=2,
        default=(-1000.0, 900.0),
        metavar=("LOW", "HIGH"),
        help="HU window for training (default -1000 900; the paper's is -100 900)",
    )
    xray_options.add_arguments(one, cases=True)
    one.add_argument(
        "--voxel", type=float, default=1.0, metavar="MM", help="voxel size of the CTs (default 1)"
    )
    one.add_argument(
        "--view-size",
        type=int,
        default=1024,
        metavar="N",
        help="side of the X-rays in pixels (default 1024)",
    )
    one.add_argument(
        "--seed", type=int, default=0, metavar="S", help="seed of splits and DRRs (default 0)"
    )
    one.add_argument(
        "--teacher",
        nargs="?",
        const="axon-preview",
        metavar="BUNDLE",
        help="reconstruct the patients of a manifest who have both X-rays but no CT, with this "
        "model (default: the shipped one), and train with these volumes too",
    )
    one.add_argument(
        "--anonymise", action="store_true", help="number the patients and write no file names"
    )
    one.add_argument(
        "--accept", metavar="ID", action="append", default=[],
        help="accept a case's X-rays, or one (ID/frontal), despite the gate; repeat for more",
    )  # fmt: skip
    one.add_argument(
        "--reject", metavar="ID", action="append", default=[],
        help="exclude a case's X-rays, or one (ID/frontal); ID/ct excludes the whole case",
    )  # fmt: skip
    one.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="number of processes (default: as many as processors and memory allow)",
    )
    one.add_argument("--ray", action="store_true", help="use a Ray cluster instead of processes")
    one.add_argument("--shard", metavar="I/N", help="prepare only part I of N, for job arrays")
    one.add_argument("--quiet", action="store_true", help="no progress bars")


def prepare(chosen: argparse.Namespace) -> int:
    """``axon prepare``; returns 1 if it was stopped, if a case failed in a way that another run may
    fix, or if no case could be prepared."""
    from axon_backend.errors import AxonInputError

    shard = parse_shard(chosen.shard)
    if chosen.workers is not None and chosen.workers < 1:
        raise AxonInputError(f"--workers is {chosen.workers}; it must be at least 1.")
    if chosen.source is None and not (chosen.accept or chosen.reject):
        raise AxonInputError("SOURCE is missing; `axon prepare --help` describes it.")
    if chosen.accept or chosen.reject:
        from axon_backend.dataset.decide import decide

        count = decide(Path(chosen.output), chosen.accept, chosen.reject)
        print(f"{count} decision{'s' if count != 1 else ''} written to {chosen.output}/review.json")
        if chosen.source is None:
            return 0
    return _run(chosen, shard)


def _run(chosen: argparse.Namespace, shard: tuple[int, int] | None) -> int:
    from axon_backend.cli.console import run_resumable
    from axon_backend.dataset.prepare import prepare as run
    from axon_backend.dataset.settings import PrepareSettings
    from axon_backend.util.pool import default_workers

    settings = PrepareSettings(
        seed=chosen.seed,
        drrs=chosen.drrs,
        voxel_mm=chosen.voxel,
        view_size=chosen.view_size,
        hu_low=chosen.window[0],
        hu_high=chosen.window[1],
        gate=chosen.gate,
        pose=chosen.pose,
        stated=xray_options.stated(chosen, cases=True),
        max_days=chosen.max_days,
        anonymise=chosen.anonymise,
        teacher=chosen.teacher,
    )
    summary = run_resumable(
        lambda progress, cancelled: run(
            chosen.source,
            chosen.output,
            settings,
            workers=chosen.workers or default_workers(),
            ray=chosen.ray,
            shard=shard,
            progress=progress,
            cancelled=cancelled,
        ),
        chosen.quiet,
        _HOW_TO_RESUME,
    )
    if summary is None:
        return 1
    print(_summary_text(summary, Path(chosen.output)))
    if summary.stopped:
        print(f"axon: stopped as asked. {_HOW_TO_RESUME}", file=sys.stderr)
    # Cases that were rejected in the review could have been prepared.
    none = summary.whole and not (summary.counts["done"] or summary.counts["rejected"])
    if none and not summary.stopped:
        print("axon: no case could be prepared; the reasons are above.", file=sys.stderr)
    return 1 if summary.stopped or summary.failed or none else 0


_HOW_TO_RESUME = "Finished cases are kept: run the same command again to resume."


def _summary_text(summary: Summary, output: Path) -> str:
    if not summary.whole:
        return (
            f"{summary.made} cases prepared, {summary.kept} kept; the shard that finishes last "
            f"assembles {output}."
        )
    counts = summary.counts
    text = [f"{counts['done']} cases in {output} ({summary.made} new, {summary.kept} kept)"]
    for split in ("train", "validation", "test"):
        groups = [ln.group for ln in summary.lines if ln.split == split and ln.status == "done"]
        text.append(
            f"  {split}: {len(groups)} ({groups.count('biplanar')} with two X-rays, "
            f"{groups.count('paired')} with a frontal one)"
        )
    filled = {ln.split for ln in summary.lines if ln.status == "done"}
    empty = [s for s in ("train", "validation") if s not in filled]
    if filled and empty and not (counts["waiting"] or summary.failed):
        text.append(
            "  `axon train` needs cases in train and in validation; there are none in "
            f"{' and '.join(empty)}: add patients, or name the splits in a manifest (column split)."
        )
    rest = [ln for ln in summary.lines if ln.status in ("skipped", "failed")]
    for line in rest[:10]:
        text.append(f"  {line.status}: {line.id}: {line.reason}")
    if len(rest) > 10:
        text.append(f"  and {len(rest) - 10} more: see report.csv")
    if counts["waiting"]:
        text.append(f"  not reached yet: {counts['waiting']}")
    views = [v for ln in summary.lines for v in ln.real]
    if views:
        accepted = sum(v["accepted"] for v in views)
        text.append(f"  X-rays: {accepted} of {len(views)} registrations accepted; check them in")
    text.append(f"  {output / 'report.html'}")
    return "\n".join(text)


def parse_shard(text: str | None) -> tuple[int, int] | None:
    """Parse ``I/N`` with 1 <= I <= N.

    Raises:
        AxonInputError: the text has another form.
    """
    from axon_backend.errors import AxonInputError

    if text is None:
        return None
    part, _, count = text.partition("/")
    if part.isdecimal() and count.isdecimal() and 1 <= int(part) <= int(count) <= 10_000:
        return int(part), int(count)
    raise AxonInputError(f"--shard is {text!r}; give I/N with I from 1 to N, for example 3/16.")
