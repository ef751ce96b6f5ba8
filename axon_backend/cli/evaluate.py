"""``axon evaluate``; see ``commands``."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from axon_backend.cli.cohort import make_pool
from axon_backend.cli.stages import parse_stages, parse_steps
from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.methods.info import ALL_STAGES
from axon_backend.util.plain_text import recorded_word

if TYPE_CHECKING:
    from axon_backend.evaluation.evaluate import EvaluationResult
    from axon_backend.evaluation.manifest import ManifestCase

TABLES = ("table1", "table2", "table3", "table4")


def add_arguments(one: argparse.ArgumentParser) -> None:
    """Add the options of ``axon evaluate`` other than those for output."""
    one.add_argument(
        "--manifest",
        required=True,
        metavar="FILE",
        help='JSON list of {"id", "frontal", "lateral", "ct", "split"}; paths are relative to it; '
        "null X-rays are rendered from the CT; cases with both X-rays and no CT take part in the "
        "projection test",
    )
    one.add_argument("--split", metavar="NAME", help="only the cases of this split, e.g. test")
    one.add_argument(
        "--bundle",
        metavar="DIR",
        action="append",
        help="a model: a folder, or an installed NAME; repeat to compare others with the first "
        "one (default: the shipped one)",
    )
    one.add_argument("--device", default="auto", metavar="auto|cpu|cuda")
    one.add_argument(
        "--table",
        choices=TABLES,
        help="compute a table of the paper and print it in that form: one view (table1), one and "
        "two views (table2), the highest resolution (table3), ablations on the validation split "
        "(table4)",
    )
    one.add_argument(
        "--views",
        choices=("1", "2", "1,2"),
        metavar="1|2|1,2",
        help="number of views to reconstruct from; 1,2: first one, then both (default)",
    )
    one.add_argument(
        "--samples",
        type=int,
        metavar="K",
        help="for methods that draw samples, also measure the mean and the spread of K samples "
        "(default 8; 1, the default with --table: a single sample only)",
    )
    one.add_argument(
        "--figures",
        type=int,
        default=1,
        metavar="N",
        help="show the volumes of the first N cases of each kind of input (default 1)",
    )
    one.add_argument(
        "--stages",
        metavar="LIST",
        help="stages to run, separated by commas, or all (default: those that each model "
        "recommends, which methods without any of the named ones run too; with --table: all)",
    )
    one.add_argument(
        "--steps",
        metavar="N[,M]",
        help="sampling steps of each sampling stage, in the order of the stages (one bundle only)",
    )
    one.add_argument("--seed", type=int, default=0, metavar="S", help="random seed (default 0)")


def evaluate(chosen: argparse.Namespace, *, spread: bool = False) -> int:
    """``axon evaluate`` or, with ``spread``, ``axon cohort evaluate``; returns 1 if a case failed
    or the run was stopped."""
    from axon_backend.evaluation.manifest import read_manifest

    steps, stages = parse_steps(chosen.steps), parse_stages(chosen.stages)
    if chosen.figures < 0:
        raise AxonInputError(f"--figures is {chosen.figures}; give 0 or more.")
    cases = _cases(chosen, read_manifest(chosen.manifest, chosen.split))
    from axon_backend.cli.console import ProgressBars, stop_on_signal
    from axon_backend.evaluation.evaluate import SAMPLES, evaluate_cases
    from axon_backend.evaluation.output import PAPER_TABLES, evaluation_files, write_evaluation
    from axon_backend.evaluation.work import evaluation_folder, result_count

    table = None if chosen.table is None else PAPER_TABLES[chosen.table]
    views = (1, 2) if table is None else table.views
    if chosen.views:
        views = tuple(int(v) for v in chosen.views.split(","))
    if stages is None and table is not None:
        stages = (ALL_STAGES,)
    samples = chosen.samples
    if samples is None:
        samples = SAMPLES if table is None else 1
    bundles = chosen.bundle or [None]
    inputs = (chosen.manifest, *bundles, *(f for c in cases for f in c.files))
    # Other tables stay beside this one, unless their results are measured again too.
    owned = evaluation_files() if chosen.overwrite else evaluation_files(chosen.table)
    bars = ProgressBars(chosen.quiet)
    with (
        stop_on_signal() as stop,
        evaluation_folder(chosen.output, owned, chosen.overwrite, inputs) as output,
    ):
        try:
            run: Callable[..., EvaluationResult] = evaluate_cases
            if spread:
                from axon_backend.cohort.evaluate import evaluate_cohort

                run = partial(evaluate_cohort, pool=make_pool(chosen, stop.is_set))
            result = run(
                cases,
                bundles=bundles,
                views=views,
                stages=stages,
                steps=steps,
                samples=samples,
                seed=chosen.seed,
                device=chosen.device,
                figures=chosen.figures,
                folder=output.folder,
                progress=bars,
                cancelled=stop.is_set,
            )
        except (Cancelled, KeyboardInterrupt):
            kept = result_count(output.folder)
            if not kept:
                raise
            with suppress(OSError):  # the terminal is gone
                print(
                    f"axon: stopped as asked; {kept} results are kept in {chosen.output}. Run the "
                    "same command again to continue.",
                    file=sys.stderr,
                )
            return 1
        finally:
            bars.close()
        with output.files() as folder:
            text = write_evaluation(folder, result, table=chosen.table, command=_command())
    print(text)
    print(f"Written: {Path(chosen.output) / (chosen.table or 'comparison')}.html, .md, .tex")
    return 1 if result.failures else 0


def _command() -> str:
    """The command as typed, with files but not their folders; empty if called from Python."""
    if "evaluate" not in sys.argv[1:3]:
        return ""
    return shlex.join(["axon", *map(recorded_word, sys.argv[1:])])


def _cases(chosen: argparse.Namespace, cases: list[ManifestCase]) -> list[ManifestCase]:
    """The cases to evaluate. For a table of the paper, these are the ones with a CT and, if the
    manifest names splits and ``--split`` is not given, only those of the table's split."""
    if chosen.table is None:
        return cases
    from axon_backend.evaluation.output import PAPER_TABLES

    split = PAPER_TABLES[chosen.table].split
    if chosen.split is None and any(case.split for case in cases):
        cases = [case for case in cases if case.split == split]
    cases = [case for case in cases if case.ct is not None]
    if not cases:
        raise AxonInputError(
            f"The manifest {chosen.manifest} has no case with a CT for {chosen.table} (split "
            f"{chosen.split or split}). Name another --split."
        )
    return cases
