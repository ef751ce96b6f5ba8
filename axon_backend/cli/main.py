"""The ``axon`` command: arguments in, one public call, an exit code out.

Exit codes: 0 done, 1 failed or stopped, 2 the input or the arguments cannot be used. Nothing
heavy is imported here, so that ``axon --help`` answers at once.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from axon_backend import DISCLAIMER, __version__
from axon_backend.cli import shared_options, xray_options
from axon_backend.cli.console import interrupt_on_signal, quiet_libraries
from axon_backend.errors import (
    AxonInputError,
    Cancelled,
    OutputError,
    PoorRegistration,
    not_written,
)
from axon_backend.util.input_file import shown
from axon_backend.util.run_context import check_seed

DONE, FAILED, BAD_INPUT = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (argparse itself exits with 2 or, for help, 0)."""
    chosen = parser().parse_args(arguments)
    if hasattr(sys.stdout, "reconfigure"):
        # A terminal or log of another alphabet than a file's name is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    with interrupt_on_signal(), quiet_libraries(chosen.debug):
        code = _run(chosen)
        return code if _flushed() else FAILED


def _run(chosen: argparse.Namespace) -> int:
    try:
        if getattr(chosen, "seed", None) is not None:
            check_seed(chosen.seed, "--seed")
        _check_not_empty(chosen)
        from axon_backend.cli import commands

        return getattr(commands, chosen.run)(chosen)
    except AxonInputError as error:
        failed = isinstance(error, (OutputError, PoorRegistration))
        code = FAILED if failed else BAD_INPUT
        return _report(chosen, "axon: " + " ".join(str(error).split()), code)
    except (Cancelled, KeyboardInterrupt):
        return _report(chosen, "axon: stopped as asked; nothing was written.", FAILED)
    except OSError as error:
        if not _flushed(error):
            return FAILED
        place = "The system refused" if error.filename is None else f"{shown(error.filename)}"
        failed = isinstance(not_written("", error), OutputError)
        why = error.strerror or error
        sentence = f"axon: {place}: {why}. Choose another path or check this one."
        return _report(chosen, sentence, FAILED if failed else BAD_INPUT)
    except MemoryError:
        return _report(
            chosen,
            "axon: not enough memory. Close other programs, or give smaller images.",
            FAILED,
        )
    except Exception as error:
        text = " ".join(str(error).split()) or "no further explanation"
        return _report(
            chosen,
            f"axon: failed with {type(error).__name__}: {text[:300]}. Run it again with --debug "
            "for the details, and add `axon selfcheck` to a bug report.",
            FAILED,
        )


def _flushed(failure: OSError | None = None) -> bool:
    """Whether what was printed has arrived. A reader that has gone (``axon ... | head``) had what
    it wanted and needs no word; a full disk does. ``failure`` may be of an unbuffered output."""
    try:
        sys.stdout.flush()
        if failure is not None and failure.filename is None and _printing(failure):
            raise failure
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EINVAL):  # EINVAL: a closed pipe on Windows
            with suppress(OSError):
                why = error.strerror or error
                print(f"axon: standard output cannot be written: {why}.", file=sys.stderr)
        # Nothing more can be printed; at its end Python would try again, with a traceback.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def _printing(error: OSError) -> bool:
    """Whether an error came out of ``print`` in a command."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (frame.line or "").startswith("print(")


def _check_not_empty(chosen: argparse.Namespace) -> None:
    """An empty path would be the current folder; it comes of a shell's unset variable."""
    for name, value in vars(chosen).items():
        if isinstance(value, str) and not value.strip():
            shown = name.replace("_", "-")
            raise AxonInputError(f"{shown} is empty. Give a value for it, or leave it out.")


def _report(chosen: argparse.Namespace, sentence: str, code: int) -> int:
    if chosen.debug:
        traceback.print_exc()
    with suppress(OSError):  # the terminal is gone
        print(sentence, file=sys.stderr)
    return code


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="axon", description=f"CT volumes from chest X-rays. {DISCLAIMER}."
    )
    top.add_argument("--version", action="version", version=f"axon {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _reconstruct(_command(commands, "reconstruct", "make a CT volume from one or two X-rays"))
    _view(_command(commands, "view", "show a case in the browser, or reconstruct it there"))
    _drr(_command(commands, "drr", "render an X-ray from a CT"))
    _register(_command(commands, "register", "register an X-ray to a CT or the atlas"))
    _evaluate(_command(commands, "evaluate", "measure models on patients, and compare them"))
    _prepare(_command(commands, "prepare", "make a training data set from CTs and X-rays"))
    _train(_command(commands, "train", "train the networks of a method, or resume a run"))
    _cohort(commands.add_parser("cohort", help="many studies, in processes or on a Ray cluster"))
    _dicom(commands.add_parser("dicom", help="a DICOM node that reconstructs what it receives"))
    _demo(_command(commands, "demo", "run the two cases that come with AXON"))
    _command(commands, "selfcheck", "describe this installation and try it, for bug reports")
    _bundle(
        commands.add_parser("bundle", help="models: list, show, import, delete, verify, export")
    )
    return top


def _command(
    commands: Any, name: str, help: str, run: str | None = None
) -> argparse.ArgumentParser:
    one = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
    one.set_defaults(run=run or name)
    one.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return one


def _reconstruct(one: argparse.ArgumentParser) -> None:
    from axon_backend.imaging.formats import list_formats, volume_formats

    one.add_argument(
        "--frontal", metavar="FILE", help=f"PA or AP X-ray, always needed: {list_formats()}"
    )
    one.add_argument("--lateral", metavar="FILE", help="lateral X-ray of the same patient")
    one.add_argument(
        "--ct",
        metavar="PATH",
        help="CT of the same patient, the registration's reference and ground truth: a folder of "
        f"DICOM slices, or a file as {list_formats(volume_formats())}",
    )
    one.add_argument("--view", choices=("pa", "ap"), help="overrules the frontal file's own tags")
    xray_options.add_arguments(one)
    shared_options.add_registration(one)
    shared_options.add_volumes(one)
    one.add_argument(
        "--interactive",
        action="store_true",
        help="also write interactive.html: the volume in slices and 3-D, for a browser",
    )
    shared_options.add_model(one)
    shared_options.add_sampling(one)
    shared_options.add_output(one)


def _view(one: argparse.ArgumentParser) -> None:
    from axon_backend.cli.view import add_arguments

    add_arguments(one)


def _drr(one: argparse.ArgumentParser) -> None:
    from axon_backend.cli.drr import add_arguments

    add_arguments(one)
    shared_options.add_output(
        one, "FILE", "16-bit .png, DICOM .dcm, or .nii.gz, .nii, .nrrd, .mha with true millimetres"
    )


def _register(one: argparse.ArgumentParser) -> None:
    from axon_backend.cli.register import add_arguments

    add_arguments(one)
    shared_options.add_output(one)


def _evaluate(one: argparse.ArgumentParser) -> None:
    from axon_backend.cli.evaluate import add_arguments

    add_arguments(one)
    shared_options.add_output(one)


def _prepare(one: argparse.ArgumentParser) -> None:
    from axon_backend.cli.prepare import add_arguments

    add_arguments(one)


def _train(one: argparse.ArgumentParser) -> None:
    from axon_backend.cli.train import add_arguments

    add_arguments(one)


def _cohort(one: argparse.ArgumentParser) -> None:
    from axon_backend.cli.cohort import add_arguments, add_pool_arguments

    commands = one.add_subparsers(title="commands", metavar="COMMAND", required=True)
    make = _command(
        commands, "reconstruct", "make a CT volume for every study", run="cohort_reconstruct"
    )
    add_arguments(make)
    shared_options.add_model(make)
    shared_options.add_sampling(make)
    measure = _command(
        commands, "evaluate", "measure many cases, as `axon evaluate`", run="cohort_evaluate"
    )
    _evaluate(measure)
    add_pool_arguments(measure)


def _dicom(one: argparse.ArgumentParser) -> None:
    from axon_backend.cli.dicom import add_arguments

    commands = one.add_subparsers(title="commands", metavar="COMMAND", required=True)
    serve = _command(
        commands, "serve", "receive chest X-rays and send derived CT series", run="dicom_serve"
    )
    add_arguments(serve)
    shared_options.add_model(serve)


def _demo(one: argparse.ArgumentParser) -> None:
    shared_options.add_model(one)
    one.add_argument("--seed", type=int, default=0, metavar="S")
    shared_options.add_output(one)


def _bundle(one: argparse.ArgumentParser) -> None:
    commands = one.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _command(commands, "list", "list the models on this computer", run="bundle_list")
    show = _command(commands, "show", "describe a model", run="bundle_show")
    show.add_argument("name", metavar="NAME", help="as `axon bundle list` prints it, or a folder")
    take = _command(commands, "import", "add a model to this computer", run="bundle_import")
    take.add_argument(
        "source", metavar="SOURCE", help="a bundle's folder, its zip file, or the URL of that"
    )
    take.add_argument("--sha256", metavar="HEX", help="checksum of the zip file; a URL needs it")
    take.add_argument("--quiet", action="store_true", help="no progress bar")
    delete = _command(commands, "delete", "delete an imported model", run="bundle_delete")
    delete.add_argument("name", metavar="NAME", help="as `axon bundle list` prints it")
    verify = _command(commands, "verify", "check every file of a model", run="bundle_verify")
    verify.add_argument("folder", metavar="DIR", help="the bundle's folder, or an installed NAME")
    _export(_command(commands, "export", "make a model of training runs", run="bundle_export"))


def _export(one: argparse.ArgumentParser) -> None:
    one.add_argument("runs", metavar="RUNS", help="the folder that the runs are in, or one run")
    one.add_argument("output", metavar="DIR", help="the folder of the new model")
    one.add_argument("--base", metavar="BUNDLE", help="gives the networks that were not trained")
    one.add_argument("--name", help="default: the name of RUNS")
    one.add_argument("--version", default="0.1.0", help="of the weights (default 0.1.0)")
    one.add_argument("--author", default="not stated", help="for metadata and licence")
    one.add_argument("--data-source", metavar="TEXT", help="where the training data came from")
    one.add_argument("--licence", metavar="FILE", help="a text file with the weights' licence")
    one.add_argument("--packed", action="store_true", help="weights in eight bits, half the size")
    one.add_argument("--overwrite", action="store_true", help="replace an older model in DIR")


if __name__ == "__main__":
    sys.exit(main())
