"""Options shared by several commands: model, sampling, registration, volumes, output."""

from __future__ import annotations

import argparse

from axon_backend.cli import xray_options


def add_views(one: argparse.ArgumentParser) -> None:
    """``--lateral``, ``--view``, and what the user states about X-rays."""
    one.add_argument("--lateral", metavar="FILE", help="lateral X-ray of the same patient")
    one.add_argument("--view", choices=("pa", "ap"), help="overrides the tags of the frontal file")
    xray_options.add_arguments(one)


def add_model(one: argparse.ArgumentParser) -> None:
    """Add ``--bundle`` and ``--device``."""
    one.add_argument(
        "--bundle",
        metavar="DIR",
        help="the model: a folder, or an installed NAME (default: the shipped one)",
    )
    one.add_argument("--device", default="auto", metavar="auto|cpu|cuda")


def add_stages(one: argparse.ArgumentParser) -> None:
    """Add ``--stages``."""
    one.add_argument(
        "--stages",
        metavar="LIST",
        help="stages of the model's method to run, separated by commas, or all (default: those "
        "that the model recommends; `axon bundle show` lists them)",
    )


def add_sampling(one: argparse.ArgumentParser) -> None:
    """Add ``--stages``, ``--steps`` and ``--seed``."""
    add_stages(one)
    one.add_argument(
        "--steps",
        metavar="N[,M]",
        help="sampling steps of each sampling stage, in the order of the stages (default: the "
        "bundle's)",
    )
    one.add_argument("--seed", type=int, default=0, metavar="S", help="random seed (default 0)")


def add_registration(one: argparse.ArgumentParser) -> None:
    """Add ``--no-register`` and ``--allow-poor``."""
    one.add_argument(
        "--no-register",
        action="store_true",
        help="assume that the X-rays are already aligned with the thorax frame",
    )
    one.add_argument(
        "--allow-poor",
        action="store_true",
        help="continue with a poor registration instead of refusing it",
    )


def add_samples(one: argparse.ArgumentParser) -> None:
    """Add ``--samples``."""
    one.add_argument(
        "--samples",
        type=int,
        default=1,
        metavar="K",
        help="average K samples and write their standard deviation, deviation.nii.gz (default 1)",
    )


def add_volumes(one: argparse.ArgumentParser) -> None:
    """Add ``--samples``, ``--keep-stages``, ``--dicom`` and ``--dicom-patient``."""
    add_samples(one)
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
        help="also write the volume as a DICOM CT series, dicom/, that does not name the patient",
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
    """Add ``--output``, ``--overwrite`` and ``--quiet``."""
    one.add_argument("--output", required=True, metavar=kind, help=help)
    one.add_argument("--overwrite", action="store_true", help="replace the files of an earlier run")
    one.add_argument("--quiet", action="store_true", help="no progress bars")
