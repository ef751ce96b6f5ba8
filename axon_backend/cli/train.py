"""``axon train``; see ``commands``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from axon_backend.methods import registry


def trainings_text() -> str:
    """A list of the methods with their trainings and presets, for the help."""
    lines = ["methods and their trainings:"]
    for info in registry.available().values():
        lines += ["", f"{info.name}: {info.summary}", f"  presets: {', '.join(info.presets)}"]
        lines += [f"  {t.name:<12} {t.description or t.label}" for t in info.trainings]
    return "\n".join(lines)


def add_arguments(one: argparse.ArgumentParser) -> None:
    """Add the options of ``axon train``."""
    one.formatter_class = argparse.RawDescriptionHelpFormatter
    one.epilog = trainings_text()
    one.add_argument(
        "stage",
        metavar="TRAINING",
        help="one of the trainings of the method, listed below; a training that needs others takes "
        "their networks from the runs beside DIR, or from the bundle of --start",
    )
    one.add_argument(
        "--method",
        metavar="NAME",
        help="method whose networks are trained (default: that of --start or --config, else axon)",
    )
    one.add_argument(
        "--data",
        metavar="PATH",
        help="a data set of `axon prepare`, or a JSON file of CTs: "
        '{"train": [...], "validation": [...]}',
    )
    one.add_argument("--run", metavar="DIR", dest="folder", help="the run's folder")
    one.add_argument(
        "--preset",
        metavar="NAME",
        help="preset of the method, listed below (default: the first, unless --config names one)",
    )
    one.add_argument("--config", metavar="FILE", help="settings in YAML, as a run's config.yaml")
    one.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change a setting; repeat for more; --show lists all settings",
    )
    one.add_argument("--start", metavar="BUNDLE", help="initialise from the weights of a bundle")
    budget = one.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, metavar="N", help="train for N steps")
    budget.add_argument("--minutes", type=float, metavar="M", help="train for M minutes")
    one.add_argument("--device", default="auto", metavar="auto|cpu|cuda")
    one.add_argument("--threads", type=int, metavar="N", help="CPU threads")
    one.add_argument("--resume", action="store_true", help="resume the run in DIR")
    one.add_argument("--json", action="store_true", help="print events as JSON, one per line")
    one.add_argument("--quiet", action="store_true", help="print nothing")
    one.add_argument(
        "--detach",
        action="store_true",
        help="train in the background, with its output in DIR/train.log",
    )
    one.add_argument("--show", action="store_true", help="print all settings and exit")


def train(chosen: argparse.Namespace) -> int:
    """``axon train``."""
    from axon_backend.bundle import load_bundle
    from axon_backend.cli import STARTED
    from axon_backend.errors import AxonInputError
    from axon_backend.training.plan import notes, resolve
    from axon_backend.training.settings import to_yaml

    start = None if chosen.start is None else load_bundle(chosen.start)
    config = resolve(
        chosen.stage,
        method=chosen.method,
        preset_name=chosen.preset,
        file=None if chosen.config is None else Path(chosen.config),
        pairs=[*chosen.set, *([] if chosen.threads is None else [f"threads={chosen.threads}"])],
        steps=chosen.steps,
        minutes=chosen.minutes,
        start=start,
    )
    if chosen.show:
        lines = [textwrap.fill(note, 98, initial_indent="# - ", subsequent_indent="#   ")
                 for note in notes(config)]  # fmt: skip
        if lines:
            print(f"# Notes on the preset {config.preset}:", *lines, sep="\n")
        print(to_yaml(config), end="")
        return 0
    for name, value in (("--data", chosen.data), ("--run", chosen.folder)):
        if value is None:
            raise AxonInputError(f"{name} is missing; `axon train --help` describes it.")
    from axon_backend.training.launch import ready
    from axon_backend.training.launch import train as run

    if chosen.detach:
        ready(config, Path(chosen.data), Path(chosen.folder), chosen.resume)
        return _detach(Path(chosen.folder))

    from axon_backend.training.run.error_text import explain, has_words

    try:
        status = run(
            config,
            Path(chosen.data),
            Path(chosen.folder),
            start=start,
            device=chosen.device,
            resume=chosen.resume,
            output=None if chosen.quiet else "json" if chosen.json else "words",
            command=own_command(),
            since=STARTED,
        )
    except BaseException as error:
        if chosen.debug or not has_words(error):
            raise
        print(f"axon: {explain(error)}", file=sys.stderr)
        return 1
    if not (chosen.quiet or chosen.json) and int(os.environ.get("RANK", 0)) == 0:
        _say(f"{status}: {chosen.folder}")
    return 0


def own_command() -> list[str]:
    """The command line that starts this command again, with the same Python."""
    return [sys.executable, "-m", "axon_backend", *sys.argv[1:]]


def _detach(folder: Path) -> int:
    """Start the same command in its own session, so that it survives when the terminal closes."""
    command = [word for word in own_command() if word != "--detach"]
    folder.mkdir(parents=True, exist_ok=True)
    options: dict[str, object] = {"start_new_session": True}
    if sys.platform == "win32":
        # DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP
        options = {"creationflags": 0x00000008 | 0x00000200}
    with open(folder / "train.log", "ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            **options,  # type: ignore[call-overload]
        )
    print(f"Process {process.pid} is training in {folder}; its log is {folder / 'train.log'}.")
    print(f"To stop it after the current step, create the file {folder / 'stop'}.")
    return 0


def _say(text: str) -> None:
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - nothing reads the output any more
