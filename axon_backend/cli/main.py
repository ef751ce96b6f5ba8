"""The ``axon`` command: parses the arguments, runs one command and returns an exit code.

Exit codes: 0 done, 1 failed or stopped, 2 the input or the arguments cannot be used. Nothing
heavy is imported here, so that ``axon --help`` responds at once.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from axon_backend import DISCLAIMER, __version__
from axon_backend.cli import own_process, shared_options
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
    if arguments is None:
        own_process.prepare()
    words = sys.argv[1:] if arguments is None else list(arguments)
    command = next((word for word in words if not word.startswith("-")), "")
    chosen = parser(command).parse_args(words)
    if hasattr(sys.stdout, "reconfigure"):
        # Do not fail where the encoding of the terminal or log lacks a character of a file name.
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
        place = "System error" if error.filename is None else f"{shown(error.filename)}"
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
    """Whether everything printed was written. A closed pipe (``axon ... | head``) needs no message,
    but a full disk does. ``failure``: an error that may come from unbuffered output."""
    try:
        sys.stdout.flush()
        if failure is not None and failure.filename is None and _printing(failure):
            raise failure
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EINVAL):  # EINVAL: a closed pipe on Windows
            with suppress(OSError):
                why = error.strerror or error
                print(f"axon: standard output cannot be written: {why}.", file=sys.stderr)
        # Nothing more can be printed; Python would try again at exit, with a traceback.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def _printing(error: OSError) -> bool:
    """Whether an error was raised by ``print`` in a command."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (frame.line or "").startswith("print(")


def _check_not_empty(chosen: argparse.Namespace) -> None:
    """Refuse empty values, such as an unset shell variable: an empty path would mean the current
    folder."""
    for name, value in vars(chosen).items():
        if isinstance(value, str) and not value.strip():
            option = name.replace("_", "-")
            raise AxonInputError(f"{option} is empty. Give a value for it, or leave it out.")


def _report(chosen: argparse.Namespace, sentence: str, code: int) -> int:
    if chosen.debug:
        traceback.print_exc()
    with suppress(OSError):  # the terminal is gone
        print(sentence, file=sys.stderr)
    return code


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands; with ``only``, the options of the other commands are not added,
    since some help texts require loading every installed method or format."""
    top = argparse.ArgumentParser(
        prog="axon", description=f"CT volumes from chest X-rays. {DISCLAIMER}."
    )
    top.add_argument("--version", action="version", version=f"axon {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (help, fill) in _COMMANDS.items():
        # Groups of commands, such as `axon bundle`, do nothing themselves.
        alone = name not in _GROUPS
        one = _command(commands, name, help) if alone else commands.add_parser(name, help=help)
        if fill is not None and only in (None, name):
            fill(one)
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
    one.add_argument(
        "--ct",
        metavar="PATH",
        help="CT of the same patient, used as registration reference and ground truth: a folder "
        f"of DICOM slices, or a file ({list_formats(volume_formats())})",
    )
    shared_options.add_views(one)
    shared_options.add_registration(one)
    shared_options.add_volumes(one)
    one.add_argument(
        "--keep-samples",
        action="store_true",
        help="also write each of the --samples, samples/sample_01.nii.gz and so on",
    )
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
        commands, "evaluate", "measure many cases, like `axon evaluate`", run="cohort_evaluate"
    )
    _evaluate(measure)
    add_pool_arguments(measure)


def _dicom(one: argparse.ArgumentParser) -> None:
    from axon_backend.cli.dicom import add_arguments
    from axon_backend.cli.dicomweb import add_fetch_arguments, add_send_arguments

    commands = one.add_subparsers(title="commands", metavar="COMMAND", required=True)
    serve = _command(
        commands, "serve", "receive chest X-rays and send derived CT series", run="dicom_serve"
    )
    add_arguments(serve)
    shared_options.add_model(serve)
    add_fetch_arguments(
        _command(commands, "fetch", "get chest X-rays from a DICOMweb server", run="dicom_fetch")
    )
    add_send_arguments(
        _command(commands, "send", "store CT series on a DICOMweb server", run="dicom_send")
    )


def _demo(one: argparse.ArgumentParser) -> None:
    shared_options.add_model(one)
    shared_options.add_stages(one)
    one.add_argument("--seed", type=int, default=0, metavar="S")
    shared_options.add_output(one)


def _bundle(one: argparse.ArgumentParser) -> None:
    commands = one.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _command(commands, "list", "list the models on this computer", run="bundle_list")
    show = _command(commands, "show", "describe a model", run="bundle_show")
    show.add_argument("name", metavar="NAME", help="as `axon bundle list` prints it, or a folder")
    take = _command(commands, "import", "add a model to this computer", run="bundle_import")
    take.add_argument(
        "source", metavar="SOURCE", help="a bundle's folder, its zip file, or the URL of the zip"
    )
    take.add_argument(
        "--sha256", metavar="HEX", help="checksum of the zip file; required for a URL"
    )
    take.add_argument("--quiet", action="store_true", help="no progress bar")
    delete = _command(commands, "delete", "delete an imported model", run="bundle_delete")
    delete.add_argument("name", metavar="NAME", help="as `axon bundle list` prints it")
    verify = _command(commands, "verify", "check every file of a model", run="bundle_verify")
    verify.add_argument("folder", metavar="DIR", help="the bundle's folder, or an installed NAME")
    fit = _command(
        commands,
        "calibrate",
        "make a copy of a model whose samples vary as much as new patients do",
        run="bundle_calibrate",
    )
    fit.add_argument("bundle", metavar="BUNDLE", help="a folder, or an installed NAME")
    fit.add_argument(
        "--data",
        required=True,
        metavar="PATH",
        help="a data set with validation CTs, on which the model was not trained",
    )
    fit.add_argument("--output", required=True, metavar="DIR", help="folder of the new model")
    fit.add_argument("--name", help="name of the new model (default: that of its folder)")
    fit.add_argument(
        "--each",
        type=int,
        default=4,
        metavar="N",
        help="deformed chests to measure for each CT (default 4)",
    )
    fit.add_argument(
        "--steps",
        type=int,
        default=10,
        metavar="N",
        help="sampling steps of a sample (default 10)",
    )
    _export(_command(commands, "export", "make a model from training runs", run="bundle_export"))


def _export(one: argparse.ArgumentParser) -> None:
    one.add_argument("runs", metavar="RUNS", help="the folder that contains the runs, or one run")
    one.add_argument("output", metavar="DIR", help="the folder of the new model")
    one.add_argument("--base", metavar="BUNDLE", help="provides the networks that were not trained")
    one.add_argument("--name", help="name of the model (default: the name of RUNS)")
    one.add_argument("--version", default="0.1.0", help="version of the model (default 0.1.0)")
    one.add_argument("--author", default="not stated", help="author, for metadata and licence")
    one.add_argument("--data-source", metavar="TEXT", help="where the training data came from")
    one.add_argument("--licence", metavar="FILE", help="a text file with the weights' licence")
    one.add_argument("--packed", action="store_true", help="store eight-bit weights: half the size")
    one.add_argument("--overwrite", action="store_true", help="replace an older model in DIR")


_COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None] | None]] = {
    "reconstruct": ("make a CT volume from one or two X-rays", _reconstruct),
    "view": ("show a case in the browser, or reconstruct it there", _view),
    "drr": ("render an X-ray from a CT", _drr),
    "register": ("register an X-ray to a CT or the atlas", _register),
    "evaluate": ("measure and compare models on test cases", _evaluate),
    "prepare": ("make a training data set from CTs and X-rays", _prepare),
    "train": ("train the networks of a method, or resume a run", _train),
    "cohort": ("process many studies, also on a Ray cluster", _cohort),
    "dicom": ("X-rays from an archive and CT series to it: DICOM node, DICOMweb", _dicom),
    "demo": ("run the two cases that come with AXON", _demo),
    "selfcheck": ("describe and test this installation, for bug reports", None),
    "bundle": ("models: list, show, import, delete, verify, export, calibrate", _bundle),
}
_GROUPS = ("cohort", "dicom", "bundle")  # have commands of their own


if __name__ == "__main__":
    sys.exit(main())
