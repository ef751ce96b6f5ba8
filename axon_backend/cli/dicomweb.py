"""``axon dicom fetch`` and ``axon dicom send``; see ``commands``."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from axon_backend.errors import AxonInputError

if TYPE_CHECKING:
    from axon_backend.cohort.dicomweb import Transferred

_RESUME = "Run the same command again to continue."
_DATES = re.compile(r"\d{8}|\d{8}-|-\d{8}|\d{8}-\d{8}")


def add_fetch_arguments(one: argparse.ArgumentParser) -> None:
    """Add the options of ``axon dicom fetch``."""
    one.add_argument("--from", dest="url", required=True, metavar="URL", help=_URL)
    one.add_argument(
        "--output", required=True, metavar="DIR", help="the folder for the X-rays, one per study"
    )
    one.add_argument(
        "--date", metavar="DATE", help="study date: YYYYMMDD, or a range YYYYMMDD-YYYYMMDD"
    )
    one.add_argument("--patient", metavar="ID", help="patient ID")
    one.add_argument("--study", metavar="UID", help="StudyInstanceUID")
    one.add_argument("--limit", type=int, metavar="N", help="at most N studies")
    _add_shared(one)


def add_send_arguments(one: argparse.ArgumentParser) -> None:
    """Add the options of ``axon dicom send``."""
    one.add_argument(
        "folder",
        metavar="FOLDER",
        help="output of axon reconstruct, axon cohort reconstruct or axon dicom serve with CT "
        "series (--dicom-patient)",
    )
    one.add_argument("--to", dest="url", required=True, metavar="URL", help=_URL)
    _add_shared(one)


def fetch(chosen: argparse.Namespace) -> int:
    """``axon dicom fetch``."""
    if chosen.limit is not None and chosen.limit < 1:
        raise AxonInputError(f"--limit is {chosen.limit}; it must be at least 1.")
    if chosen.date is not None and not _DATES.fullmatch(chosen.date):
        raise AxonInputError(
            f"--date is {chosen.date!r}; give YYYYMMDD or a range YYYYMMDD-YYYYMMDD."
        )
    from axon_backend.cli.console import run_resumable
    from axon_backend.cohort import dicomweb

    client = dicomweb.connect(chosen.url, chosen.ca)
    wanted = {
        "StudyDate": chosen.date,
        "PatientID": chosen.patient,
        "StudyInstanceUID": chosen.study,
    }
    filters = {name: value for name, value in wanted.items() if value is not None}
    done = run_resumable(
        lambda progress, cancelled: dicomweb.fetch(
            client,
            Path(chosen.output),
            filters,
            limit=chosen.limit,
            progress=progress,
            cancelled=cancelled,
        ),
        chosen.quiet,
        _RESUME,
    )
    return _told(done, "studies", "fetched")


def send(chosen: argparse.Namespace) -> int:
    """``axon dicom send``."""
    from axon_backend.cli.console import run_resumable
    from axon_backend.cohort import dicomweb

    client = dicomweb.connect(chosen.url, chosen.ca)
    done = run_resumable(
        lambda progress, cancelled: dicomweb.send(
            client, Path(chosen.folder), progress=progress, cancelled=cancelled
        ),
        chosen.quiet,
        _RESUME,
    )
    return _told(done, "CT series", "sent")


def _told(done: Transferred | None, kind: str, verb: str) -> int:
    """Print what was done; returns 1 if something is missing."""
    if done is None:
        return 1
    print(f"{done.studies} {kind}: {done.images} images {verb}, {done.kept} were there already")
    for sentence in done.failed[:10]:
        print(f"  failed: {sentence}", file=sys.stderr)
    if len(done.failed) > 10:
        print(f"  and {len(done.failed) - 10} more", file=sys.stderr)
    if done.failed:
        print(f"axon: {len(done.failed)} {kind} failed. {_RESUME}", file=sys.stderr)
    return 1 if done.failed else 0


_URL = "address of the DICOMweb server, for example https://pacs.example.org/dicom-web"


def _add_shared(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--ca", metavar="PEM", help="authority that signed the certificate of the server"
    )
    one.add_argument("--quiet", action="store_true", help="no progress bars")
