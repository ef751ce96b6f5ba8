"""What each ``axon`` command does: read its arguments, make the public call, write, summarise.

Imports stand inside the functions: each command pays only for what it uses.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from axon_backend import DISCLAIMER
from axon_backend.bundle_commands import (
    bundle_delete,
    bundle_export,
    bundle_import,
    bundle_list,
    bundle_show,
    bundle_verify,
)
from axon_backend.drr_command import run as drr
from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.prepare_command import prepare
from axon_backend.train_command import train

if TYPE_CHECKING:
    from axon_backend.imaging.view import View

__all__ = [
    "bundle_delete",
    "bundle_export",
    "bundle_import",
    "bundle_list",
    "bundle_show",
    "bundle_verify",
    "demo",
    "drr",
    "evaluate",
    "prepare",
    "reconstruct",
    "register",
    "selfcheck",
    "train",
]

REGISTER_FILES = ("registered.png", "overlay.png", "result.json")


def reconstruct(chosen: argparse.Namespace) -> int:
    """``axon reconstruct``."""
    steps, stages = parse_steps(chosen.steps), parse_stages(chosen.stages)
    from axon_backend.case_output import CASE_FILES, summary, write_case
    from axon_backend.console import ProgressBars, stop_on_signal
    from axon_backend.output_folder import output_folder
    from axon_backend.reconstruct import reconstruct as run

    bars = ProgressBars(chosen.quiet)
    with (
        stop_on_signal() as wish,
        output_folder(chosen.output, CASE_FILES, chosen.overwrite) as folder,
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
                progress=bars,
                cancelled=wish.is_set,
            )
            write_case(
                folder,
                result,
                keep_stages=chosen.keep_stages,
                progress=bars,
                cancelled=wish.is_set,
            )
        finally:
            bars.close()
    print(summary(result, Path(chosen.output)))
    return 0


def register(chosen: argparse.Namespace) -> int:
    """``axon register``."""
    from axon_backend.console import stop_on_signal
    from axon_backend.imaging.frame import ThoraxFrame, find_thorax_frame
    from axon_backend.imaging.radiograph import read_radiograph
    from axon_backend.imaging.write import write_json, write_png
    from axon_backend.output_folder import output_folder

    with (
        stop_on_signal() as wish,
        output_folder(chosen.output, REGISTER_FILES, chosen.overwrite) as folder,
    ):
        xray = read_radiograph(chosen.xray, view=parse_view(chosen.view))
        if chosen.ct is not None:
            from axon_backend.imaging.ct import read_ct

            reference = read_ct(chosen.ct)
            frame, named = find_thorax_frame(reference), {"ct": str(chosen.ct)}
        else:
            from axon_backend.bundle import load_bundle
            from axon_backend.model import atlas_ct

            bundle = load_bundle(chosen.bundle)
            reference = atlas_ct(bundle)
            frame = ThoraxFrame((0.0, 0.0, 0.0), bundle.atlas()[1])
            named = {"atlas": bundle.name, "bundle_sha256": bundle.sha256}
        from axon_backend.case_pictures import grey, overlay
        from axon_backend.registration.place import place_view

        placed = place_view(xray, reference, frame, stretch=chosen.ct is None, seed=chosen.seed)
        if wish.is_set():
            raise Cancelled("stopped after the registration")
        role = "frontal" if xray.view.is_frontal else "lateral"
        record = placed.as_dict(role)
        write_png(folder / "registered.png", grey(placed.pixels, placed.valid), bits=16)
        write_png(folder / "overlay.png", overlay(placed))
        write_json(
            folder / "result.json",
            {
                "input": {
                    "path": xray.source,
                    "view": xray.view,
                    "pixel_mm": xray.pixel_mm,
                    "assumptions": xray.assumptions,
                },
                "reference": named,
                "frame": frame.as_dict(),
                "seed": chosen.seed,
                "registration": record,
                "disclaimer": DISCLAIMER,
            },
        )
    print(f"Registered {role} X-ray: {chosen.output} (verdict: {record['verdict']})")
    for warning in placed.warnings:
        print(f"Warning: {warning}")
    return 0


def evaluate(chosen: argparse.Namespace) -> int:
    """``axon evaluate``; 1 when a case failed."""
    steps, stages = parse_steps(chosen.steps), parse_stages(chosen.stages)
    from axon_backend.evaluation.manifest import read_manifest

    cases = read_manifest(chosen.manifest, chosen.split)
    from axon_backend.console import ProgressBars, stop_on_signal
    from axon_backend.evaluation.cohort import COHORT_FILES, evaluate_cases, write_cohort
    from axon_backend.output_folder import output_folder

    bars = ProgressBars(chosen.quiet)
    with (
        stop_on_signal() as wish,
        output_folder(chosen.output, COHORT_FILES, chosen.overwrite) as folder,
    ):
        try:
            result = evaluate_cases(
                cases,
                bundle=chosen.bundle,
                stages=stages,
                steps=steps,
                seed=chosen.seed,
                device=chosen.device,
                progress=bars,
                cancelled=wish.is_set,
            )
        finally:
            bars.close()
        write_cohort(folder, result)
    print((Path(chosen.output) / "metrics.md").read_text(encoding="utf-8"))
    print(f"Written: {chosen.output}")
    return 1 if result.failures else 0


def demo(chosen: argparse.Namespace) -> int:
    """``axon demo``."""
    from axon_backend.console import ProgressBars, stop_on_signal
    from axon_backend.demo import DEMO_FILES, run_demo
    from axon_backend.output_folder import output_folder

    bars = ProgressBars(chosen.quiet)
    with (
        stop_on_signal() as wish,
        output_folder(chosen.output, DEMO_FILES, chosen.overwrite) as folder,
    ):
        try:
            text = run_demo(
                folder,
                bundle=chosen.bundle,
                device=chosen.device,
                seed=chosen.seed,
                progress=bars,
                cancelled=wish.is_set,
            )
        finally:
            bars.close()
    print(text)
    print(f"Open {(Path(chosen.output) / 'index.html').resolve()} in a browser.")
    return 0


def selfcheck(chosen: argparse.Namespace) -> int:
    """``axon selfcheck``; 1 when something is wrong."""
    from axon_backend.selfcheck import run_selfcheck

    text, sound = run_selfcheck()
    print(text)
    return 0 if sound else 1


def parse_stages(text: str) -> tuple[str, ...]:
    """``coarse,fine`` -> names; which ones exist is for ``reconstruct`` to say."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def parse_steps(text: str | None) -> dict[str, int] | None:
    """``N`` or ``N,M`` -> steps of coarse and fine.

    Raises:
        AxonInputError: not one or two whole numbers of at least 1.
    """
    if text is None:
        return None
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if len(counts) not in (1, 2) or min(counts) < 1:
        raise AxonInputError(
            f"--steps is {text!r}; give one or two whole numbers of at least 1, for example 10 or "
            "10,15: the steps of coarse and of fine."
        )
    return dict(zip(("coarse", "fine"), counts, strict=False))


def parse_view(text: str | None) -> View | None:
    """A view's name on the command line; ``lateral`` is the left lateral."""
    from axon_backend.imaging.view import View

    return None if text is None else View({"lateral": "ll"}.get(text, text))
