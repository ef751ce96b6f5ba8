"""The ``axon`` commands: each reads its arguments, calls the public API, writes the results and
prints a summary.

Imports are inside the functions, so that each command loads only what it uses.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from axon_backend.cli import cohort, xray_options
from axon_backend.cli.bundle import (
    bundle_calibrate,
    bundle_delete,
    bundle_export,
    bundle_import,
    bundle_list,
    bundle_show,
    bundle_verify,
)
from axon_backend.cli.dicom import serve as dicom_serve
from axon_backend.cli.dicomweb import fetch as dicom_fetch
from axon_backend.cli.dicomweb import send as dicom_send
from axon_backend.cli.drr import run as drr
from axon_backend.cli.evaluate import evaluate
from axon_backend.cli.prepare import prepare
from axon_backend.cli.register import register
from axon_backend.cli.stages import parse_stages, parse_steps
from axon_backend.cli.train import train
from axon_backend.cli.view import view
from axon_backend.errors import AxonInputError, Cancelled, PoorRegistration

__all__ = [
    "bundle_calibrate",
    "bundle_delete",
    "bundle_export",
    "bundle_import",
    "bundle_list",
    "bundle_show",
    "bundle_verify",
    "cohort_evaluate",
    "cohort_reconstruct",
    "demo",
    "dicom_fetch",
    "dicom_send",
    "dicom_serve",
    "drr",
    "evaluate",
    "prepare",
    "reconstruct",
    "register",
    "selfcheck",
    "train",
    "view",
]


def reconstruct(chosen: argparse.Namespace) -> int:
    """``axon reconstruct``; returns 1 if a registration is refused. Its images are still written,
    so that they can be checked."""
    steps, stages = parse_steps(chosen.steps), parse_stages(chosen.stages)
    if chosen.frontal is None:
        hint = " A lateral X-ray alone is not enough." if chosen.lateral is not None else ""
        raise AxonInputError(f"--frontal is missing: give a frontal (PA or AP) X-ray.{hint}")
    from axon_backend.cli.console import ProgressBars, stop_on_signal
    from axon_backend.evaluation.case_output import case_files, summary, write_case, write_refused
    from axon_backend.imaging.view import parse_view
    from axon_backend.inference.reconstruct import reconstruct as run
    from axon_backend.util.output_folder import output_folder

    stated = xray_options.stated(chosen)
    refused = None
    bars = ProgressBars(chosen.quiet)
    inputs = (chosen.frontal, chosen.lateral, chosen.ct, chosen.bundle)
    with (
        stop_on_signal() as stop,
        output_folder(chosen.output, case_files(), chosen.overwrite, inputs) as folder,
    ):
        try:
            result = run(
                chosen.frontal,
                chosen.lateral,
                ct=chosen.ct,
                bundle=chosen.bundle,
                stages=stages,
                steps=steps,
                seed=chosen.seed,
                samples=chosen.samples,
                device=chosen.device,
                register=not chosen.no_register,
                frontal_view=parse_view(chosen.view),
                stated=stated,
                allow_poor=chosen.allow_poor,
                progress=bars,
                cancelled=stop.is_set,
            )
            if result.cancelled:
                raise Cancelled(f"stopped in stage {result.cancelled}")
            write_case(
                folder,
                result,
                keep_stages=chosen.keep_stages,
                keep_samples=chosen.keep_samples,
                dicom=chosen.dicom,
                interactive=chosen.interactive,
                progress=bars,
                cancelled=stop.is_set,
            )
        except PoorRegistration as poor:
            write_refused(folder, poor)
            refused = poor
        finally:
            bars.close()
    if refused is not None:
        print(f"axon: {refused} The images are in {chosen.output}.", file=sys.stderr)
        return 1
    print(summary(result, Path(chosen.output)))
    return 0


def cohort_reconstruct(chosen: argparse.Namespace) -> int:
    """``axon cohort reconstruct``."""
    return cohort.reconstruct(chosen, parse_stages(chosen.stages), parse_steps(chosen.steps))


def cohort_evaluate(chosen: argparse.Namespace) -> int:
    """``axon cohort evaluate``."""
    return evaluate(chosen, spread=True)


def demo(chosen: argparse.Namespace) -> int:
    """``axon demo``."""
    from axon_backend.cli.console import ProgressBars, stop_on_signal
    from axon_backend.cli.demo import DEMO_FILES, run_demo
    from axon_backend.util.output_folder import output_folder

    stages = parse_stages(chosen.stages)
    bars = ProgressBars(chosen.quiet)
    with (
        stop_on_signal() as stop,
        output_folder(chosen.output, DEMO_FILES, chosen.overwrite, (chosen.bundle,)) as folder,
    ):
        try:
            text = run_demo(
                folder,
                bundle=chosen.bundle,
                device=chosen.device,
                seed=chosen.seed,
                stages=stages,
                progress=bars,
                cancelled=stop.is_set,
            )
        finally:
            bars.close()
    print(text)
    print(f"Open {(Path(chosen.output) / 'index.html').resolve()} in a browser.")
    return 0


def selfcheck(chosen: argparse.Namespace) -> int:
    """``axon selfcheck``; returns 1 if a check fails."""
    from axon_backend.cli.selfcheck import run_selfcheck

    text, sound = run_selfcheck()
    print(text)
    return 0 if sound else 1
