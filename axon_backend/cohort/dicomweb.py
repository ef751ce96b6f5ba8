"""X-rays from a DICOMweb server (QIDO-RS, WADO-RS), and CT series to one (STOW-RS).

Both may be interrupted and repeated: what is there already, on disk or on the server, is not
transferred again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pydicom

from axon_backend.cohort.received import MODALITIES, image_file, store_image
from axon_backend.dataset.store import CASES
from axon_backend.errors import AxonInputError, Cancelled, Unfinished, not_written, reason_of
from axon_backend.evaluation.case_folder import DICOM_FOLDER
from axon_backend.util.address import LOOPBACK

USER, PASSWORD, TOKEN = "AXON_DICOMWEB_USER", "AXON_DICOMWEB_PASSWORD", "AXON_DICOMWEB_TOKEN"
_AS_STORED = (("application/dicom", "*"),)  # no conversion of the transfer syntax
_TIMEOUT_S = (10, 300)  # to connect, and between two pieces of an answer
Progress = Callable[[str, int, int, Any], None]


@dataclass
class Transferred:
    """What a transfer did.

    Attributes:
        studies: number of studies (:func:`fetch`) or series (:func:`send`).
        images: images that were transferred.
        kept: images that were there already.
        failed: a sentence for each study or series that was not transferred as a whole.
    """

    studies: int = 0
    images: int = 0
    kept: int = 0
    failed: list[str] = field(default_factory=list)


def connect(url: str, ca: str | None = None, environment: Mapping[str, str] = os.environ) -> Any:
    """A client of a DICOMweb server.

    Args:
        url: base address, for example ``https://pacs.example.org/dicom-web``.
        ca: PEM file of the authority that signed the server's certificate; None: the usual ones.
        environment: holds user and password, or a bearer token (:data:`USER`, :data:`PASSWORD`,
            :data:`TOKEN`), if the server asks for them.

    Raises:
        AxonInputError: the address or the authority cannot be used, a password would travel
            unencrypted, or dicomweb-client is not installed.
    """
    try:
        import requests
        from dicomweb_client import DICOMwebClient
    except ImportError:
        raise AxonInputError(
            "DICOMweb needs the package dicomweb-client, which is not installed. Install "
            "axon-ct[dicom]."
        ) from None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise AxonInputError(
            f"{url!r} is not the address of a DICOMweb server; it looks like "
            "https://pacs.example.org/dicom-web."
        )
    if parts.username or parts.password:
        raise AxonInputError(f"Leave the password out of the address; set {USER} and {PASSWORD}.")
    if ca is not None and not Path(ca).is_file():
        raise AxonInputError(f"{ca} does not exist. Give the PEM file of the authority.")
    session = requests.Session()
    user, password, token = (environment.get(name, "") for name in (USER, PASSWORD, TOKEN))
    if (user or token) and parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise AxonInputError(f"{url} would receive the password unencrypted. Use https.")
    if token:
        session.headers["Authorization"] = f"Bearer {token}"
    elif user:
        session.auth = (user, password)
    if ca is not None:
        session.verify = ca
    return DICOMwebClient(url.rstrip("/"), session=session, timeout=_TIMEOUT_S)


def fetch(
    client: Any,
    folder: Path,
    filters: Mapping[str, str] | None = None,
    *,
    limit: int | None = None,
    progress: Progress = lambda stage, step, total, preview: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Transferred:
    """Get the X-rays of studies, for ``find_studies``: ``FOLDER/STUDY/IMAGE.dcm``.

    Args:
        client: see :func:`connect`.
        folder: created if it is missing.
        filters: DICOM attributes that must match, by keyword (``StudyDate``, ``PatientID``).
        limit: largest number of studies.
        progress: called with the stage ``studies``.
        cancelled: polled between images.

    Raises:
        AxonInputError: the server cannot be reached or refuses, has no such X-rays, or the folder
            cannot be written.
        Cancelled: ``cancelled()`` returned True; what was written is whole.
    """
    _meet(client)
    with _readable_errors(client.base_url):
        found = _series(client, dict(filters or {}))
    studies = list(found)[:limit]
    if not studies:
        raise AxonInputError(
            f"{client.base_url} has no {', '.join(MODALITIES)} series that matches. Check the "
            "filters."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_folder(folder, error) from error
    done = Transferred()
    progress("studies", 0, len(studies), None)
    for number, study in enumerate(studies, 1):
        try:
            for series in found[study]:
                _fetch_series(client, folder, study, series, done, cancelled)
            done.studies += 1
        except Unfinished as error:
            done.failed.append(f"study {study}: {error}")
        except OSError as error:
            raise _no_folder(folder, error) from error
        progress("studies", number, len(studies), None)
    return done


def send(
    client: Any,
    folder: Path,
    *,
    progress: Progress = lambda stage, step, total, preview: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Transferred:
    """Store the CT series of results on the server.

    Args:
        client: see :func:`connect`.
        folder: of a reconstruction with a series (``--dicom``, ``--dicom-patient``), or with such
            ones in ``cases``; what is being written there is left out.
        progress: called with the stage ``series``.
        cancelled: polled between series.

    Raises:
        AxonInputError: there is no CT series in the folder, or the server cannot be reached or
            refuses.
        Cancelled: ``cancelled()`` returned True; a series on the server may be incomplete, which
            the next call completes.
    """
    # Hidden folders are still being written.
    cases = sorted(path.parent for path in folder.glob(f"{CASES}/[!.]*/{DICOM_FOLDER}"))
    if (folder / DICOM_FOLDER).is_dir():
        cases.append(folder)
    if not cases:
        raise AxonInputError(
            f"{folder} has no CT series ({DICOM_FOLDER}/). Give the --output of axon reconstruct, "
            "axon cohort reconstruct or axon dicom serve, and use --dicom-patient there."
        )
    _meet(client)
    done = Transferred()
    progress("series", 0, len(cases), None)
    for number, case in enumerate(cases, 1):
        if cancelled():
            raise Cancelled("stopped between two series")
        try:
            _send_series(client, sorted((case / DICOM_FOLDER).glob("*.dcm")), done)
            done.studies += 1
        except (AxonInputError, Unfinished) as error:
            done.failed.append(f"{case.name}: {error}")
        progress("series", number, len(cases), None)
    return done


def _meet(client: Any) -> None:
    """Ask something small, so that a wrong address is reported at once: later requests are tried
    again for half a minute."""
    client.set_http_retry_params(False)
    with _readable_errors(client.base_url):
        client.search_for_studies(limit=1)
    client.set_http_retry_params(True)


def _series(client: Any, filters: dict[str, str]) -> dict[str, list[str]]:
    """{study: series of X-rays}."""
    found: dict[str, list[str]] = {}
    for modality in MODALITIES:
        for entry in client.search_for_series(
            search_filters={"Modality": modality, **filters}, get_remaining=True
        ):
            header = pydicom.Dataset.from_json(entry)
            found.setdefault(str(header.StudyInstanceUID), []).append(header.SeriesInstanceUID)
    return found


def _images(client: Any, study: str, series: str) -> list[str]:
    """UIDs of the images of a series; empty if the server does not know it."""
    import requests

    try:
        entries = client.search_for_instances(study, series, get_remaining=True)
    except requests.HTTPError as error:
        if error.response is not None and error.response.status_code == 404:
            return []
        raise
    return [str(pydicom.Dataset.from_json(entry).SOPInstanceUID) for entry in entries]


def _fetch_series(
    client: Any,
    folder: Path,
    study: str,
    series: str,
    done: Transferred,
    cancelled: Callable[[], bool],
) -> None:
    with _readable_errors(client.base_url, Unfinished):
        images = _images(client, study, series)
        there = {uid for uid in images if image_file(folder, study, uid).exists()}
        done.kept += len(there)
        if images and len(there) == len(images):
            return
        for dataset in client.iter_series(study, series, media_types=_AS_STORED):
            if cancelled():
                raise Cancelled("stopped between two images")
            if str(dataset.StudyInstanceUID) != study:
                raise Unfinished("the server sent an image of another study")
            if str(dataset.SOPInstanceUID) not in there:
                store_image(folder, dataset)
                done.images += 1


def _send_series(client: Any, files: Sequence[Path], done: Transferred) -> None:
    if not files:
        raise AxonInputError("its CT series has no images; reconstruct it again.")
    headers = {file: pydicom.dcmread(file, stop_before_pixels=True) for file in files}
    first = headers[files[0]]
    study, series = str(first.StudyInstanceUID), str(first.SeriesInstanceUID)
    with _readable_errors(client.base_url, Unfinished):
        there = set(_images(client, study, series))
        missing = [file for file in files if str(headers[file].SOPInstanceUID) not in there]
        done.kept += len(files) - len(missing)
        if not missing:
            return
        answer = client.store_instances([pydicom.dcmread(file) for file in missing], study)
        refused = answer.get("FailedSOPSequence") or ()
        done.images += len(missing) - len(refused)
        if refused:
            code = int(refused[0].get("FailureReason", 0))
            raise Unfinished(f"the server refused {len(refused)} of its images ({code:#06x})")


@contextmanager
def _readable_errors(url: str, kind: type[Exception] = AxonInputError) -> Iterator[None]:
    """Convert the errors of a request into messages for the user."""
    import requests

    try:
        yield
    except requests.HTTPError as error:
        status = 0 if error.response is None else error.response.status_code
        if status in (401, 403):
            raise AxonInputError(
                f"{url} refuses access ({status}). Set {USER} and {PASSWORD}, or {TOKEN}."
            ) from error
        raise kind(f"{url} answered with HTTP status {status}. Check the address.") from error
    except requests.exceptions.SSLError as error:
        raise AxonInputError(
            f"The certificate of {url} is not trusted. Name its authority with --ca."
        ) from error
    except requests.RequestException as error:
        raise kind(f"{url} cannot be reached ({type(error).__name__}).") from error
    except (AxonInputError, Unfinished, Cancelled, OSError):
        raise
    except Exception as error:  # of what the server sent
        raise kind(f"the answer of {url} cannot be used: {reason_of(error)}") from error


def _no_folder(folder: Path, error: OSError) -> AxonInputError:
    return not_written(
        f"Cannot write to {folder}: {error.strerror or error}. Choose another --output.", error
    )
