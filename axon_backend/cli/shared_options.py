"""Options that several commands share: model, sampling, registration, volumes, output."""

from __future__ import annotations

import argparse


def add_model(one: argparse.ArgumentParser) -> None:
    """``--bundle`` and ``--device``."""
    one.add_argument(
        "--bundle",
        metavar="DIR",
        help="the model: a folder, or an installed NAME (default: the one shipped)",
    )
    one.add_argument("--device", default="auto", metavar="auto|cpu|cuda")


def add_sampling(one: argparse.ArgumentParser) -> None:
    """``--stages``, ``--steps`` and ``--seed``."""
    one.add_argument(
        "--stages",
        metavar="LIST",
        help="stages of the model's method to run, separated by commas (default: all; "
        "`axon bundle show` lists them)",
    )
    one.add_argument(
        "--steps",
        metavar="N[,M]",
        help="sampling steps of the stages that take steps, in their order (default: the bundle's)",
    )
    one.add_argument("--seed", type=int, default=0, metavar="S", help="of all noise (default 0)")


def add_registration(one: argparse.ArgumentParser) -> None:
    """``--no-register`` and ``--allow-poor``."""
    one.add_argument(
        "--no-register", action="store_true", help="assume that the X-rays are in the frame already"
    )
    one.add_argument(
        "--allow-poor",
        action="store_true",
        help="continue where a registration is poor, instead of refusing it",
    )


def add_volumes(one: argparse.ArgumentParser) -> None:
    """``--samples``, ``--keep-stages``, ``--dicom`` and ``--dicom-patient``."""
    one.add_argument(
        "--samples",
        type=int,
        default=1,
        metavar="K",
        help="mean of K seeds, with deviation.nii.gz (default 1)",
    )
    one.add_argument(
        "--keep-stages",
        action="store_true",
        help="also write the volume of every stage, STAGE.nii.gz",
    )
    series = one.add_mutually_exclusive_group()
    series.add_argument(
        "--dicom",
        action="store_const",
        const="anonymous",
        help="also write the volume as a DICOM CT series, dicom/, which names no patient",
    )
    series.add_argument(
        "--dicom-patient",
        dest="dicom",
        action="store_const",
        const="identified",
        help="the same with the patient and study of the X-ray's DICOM file",
    )


def add_output(
    one: argparse.ArgumentParser, kind: str = "DIR", help: str = "the folder for the results"
) -> None:
    """``--output``, ``--overwrite`` and ``--quiet``."""
    one.add_argument("--output", required=True, metavar=kind, help=help)
    one.add_argument("--overwrite", action="store_true", help="replace an earlier run's files")
    one.add_argument("--quiet", action="store_true", help="no progress bars")
