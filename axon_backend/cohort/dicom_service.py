"""A DICOM node that receives chest X-rays, reconstructs each study, and forwards the CT series.

All acknowledged images are on disk, so the program may end at any moment and continue later.

    received/STUDY/SOP.dcm      X-rays as received; never deleted
    received/STUDY/done.json    the images from which the case was made
    cases/ID/                   see ``storage``
    sent/ID.json                which series was sent to which node
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pydicom

from axon_backend.cohort.received import MODALITIES, store_image
from axon_backend.cohort.settings import CohortSettings
from axon_backend.cohort.storage import Folder
from axon_backend.cohort.studies import Study, find_studies
from axon_backend.cohort.work import ReconstructStudy, StudyTask, failed, unusable
from axon_backend.dataset import store
from axon_backend.dataset.lock import OutputLock
from axon_backend.errors import AxonInputError
from axon_backend.evaluation.case_folder import DICOM_FOLDER
from axon_backend.imaging.write import write_json
from axon_backend.util.hashing import file_sha256
from axon_backend.util.plain_text import without_folders

RECEIVED, SENT, DONE = "received", "sent", "done.json"
_SUCCESS, _REFUSED, _NO_SPACE, _NOT_UNDERSTOOD = 0x0000, 0x0110, 0xA700, 0xC000
_RETRY_SECONDS = 60.0
Log = Callable[[str], None]


@dataclass(frozen=True)
class Peer:
    """Another DICOM node."""

    host: str
    port: int
    ae_title: str


@dataclass(frozen=True)
class ServiceSettings:
    """Network settings of the node, and how it processes studies.

    Attributes:
        ae_title: AE title of the node.
        host, port: address to listen on; port 0: any free port.
        allowed: AE titles that may send; empty: all.
        send_to: node that the CT series are sent to; None: they are only stored in
            ``cases/ID/dicom``.
        settle_seconds: time without a new image after which a study is complete.
        tls: server context; None: plain TCP.
        send_tls: client context for ``send_to``.
        cohort: settings of the reconstruction.
    """

    ae_title: str = "AXON"
    host: str = "127.0.0.1"
    port: int = 11112
    allowed: tuple[str, ...] = ()
    send_to: Peer | None = None
    settle_seconds: float = 30.0
    tls: ssl.SSLContext | None = None
    send_tls: ssl.SSLContext | None = None
    cohort: CohortSettings = CohortSettings(dicom="identified")


class DicomService:
    """The node: a context manager that listens inside its block.

    Args:
        folder: folder of the queue and the results, for one service at a time.
        settings: see :class:`ServiceSettings`.
        log: called with one line per event.

    Raises:
        AxonInputError: the folder or the port cannot be used, another run is using the folder, or
            pynetdicom is not installed.
    """

    def __init__(
        self, folder: Path, settings: ServiceSettings | None = None, log: Log = print
    ) -> None:
        self.folder, self.settings, self.log = folder, settings or ServiceSettings(), log
        self._network = import_pynetdicom()
        self._running = ExitStack()
        self._make = ReconstructStudy(self.settings.cohort, Folder(str(folder)))
        self._server: Any = None
        self._retry_at = 0.0
        self._given_up: set[Path] = set()  # failed studies, which the next service retries

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.server_address[1]

    def __enter__(self) -> DicomService:
        with store.withdrawn_if_refused(self.folder, (RECEIVED, SENT)):
            self._start()
        return self

    def _start(self) -> None:
        try:
            for name in (RECEIVED, store.CASES, SENT):
                (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise AxonInputError(
                f"Cannot write to {self.folder}: {error.strerror or error}. Choose another "
                "--output."
            ) from error
        with ExitStack() as stack:
            stack.enter_context(OutputLock(self.folder))
            store.clean(self.folder, store.ALL)
            self._make.session  # noqa: B018 - refuse an unusable model at the start
            self._listen()
            stack.callback(self._server.shutdown)
            self._running = stack.pop_all()

    def __exit__(self, *about: Any) -> None:
        self._running.close()

    def run(self, stopped: Callable[[], bool]) -> None:
        """Process studies until ``stopped()``, which is polled every second and between studies."""
        while not stopped():
            if not self.step():
                time.sleep(min(1.0, self.settings.settle_seconds))

    def step(self) -> bool:
        """Reconstruct or send one study; False if none is ready."""
        for folder in sorted((self.folder / RECEIVED).iterdir()):
            if self._settled(folder):
                self._reconstruct(folder)
                return True
        if self.settings.send_to is not None and time.monotonic() >= self._retry_at:
            for record in sorted((self.folder / store.CASES).glob(f"*/{store.RECORD}")):
                if self._unsent(record.parent):
                    self._send(record.parent)
                    return True
        return False

    # -- receiving -----------------------------------------------------------------------------

    def _listen(self) -> None:
        network, settings = self._network, self.settings
        node = network.AE(settings.ae_title)
        node.require_called_aet = bool(settings.allowed)
        node.require_calling_aet = list(settings.allowed)
        sop = network.sop_class
        for name in (
            "ComputedRadiographyImageStorage",
            "DigitalXRayImageStorageForPresentation",
            "DigitalXRayImageStorageForProcessing",
        ):
            node.add_supported_context(getattr(sop, name), [*network.ALL_TRANSFER_SYNTAXES])
        node.add_supported_context(sop.Verification)
        try:
            self._server = node.start_server(
                (settings.host, settings.port),
                block=False,
                evt_handlers=[(network.evt.EVT_C_STORE, self._received)],
                ssl_context=settings.tls,
            )
        except OSError as error:
            raise AxonInputError(
                f"Cannot listen on {settings.host}, port {settings.port}: "
                f"{error.strerror or error}. Choose another --host or --port."
            ) from error

    def _received(self, event: Any) -> int:
        """Handle a C-STORE request; reports success only after the image is on disk."""
        sender = event.assoc.requestor.ae_title.strip()
        try:
            dataset = event.dataset
            dataset.file_meta = event.file_meta
            _ = dataset.StudyInstanceUID, dataset.SOPInstanceUID
            modality = str(dataset.get("Modality", ""))
        except Exception as error:  # pydicom raises many types
            self.log(f"refused an unreadable object from {sender} ({type(error).__name__})")
            return _NOT_UNDERSTOOD
        if modality not in MODALITIES:
            self.log(f"refused an object from {sender}: {modality!r} is not an X-ray modality")
            return _REFUSED
        try:
            store_image(self.folder / RECEIVED, dataset)
        except OSError as error:
            self.log(f"an image from {sender} could not be stored: {error.strerror or error}")
            return _NO_SPACE
        except Exception as error:  # pydicom cannot write what it has read
            self.log(f"refused an unreadable object from {sender} ({type(error).__name__})")
            return _NOT_UNDERSTOOD
        self.log(f"received an image from {sender}")
        return _SUCCESS

    # -- reconstructing ------------------------------------------------------------------------

    def _settled(self, folder: Path) -> bool:
        """Whether a study is complete and has images that are not yet part of a case."""
        files = sorted(folder.glob("*.dcm")) if folder.is_dir() else []
        if not files or folder in self._given_up or [f.name for f in files] == _done(folder):
            return False
        age = time.time() - max(file.stat().st_mtime for file in files)
        return not 0 <= age < self.settings.settle_seconds

    def _reconstruct(self, folder: Path) -> None:
        files = [file.name for file in sorted(folder.glob("*.dcm"))]
        # Named after the study's UID: file names must not contain the patient's name.
        name = f"study-{folder.name[:16]}"
        try:
            (study,) = find_studies(folder)
            study = replace(study, id=name)
        except AxonInputError as error:
            study = Study(name, problem=without_folders(str(error), [folder]))
        task = StudyTask(study, "")
        try:
            record = unusable(study) if study.problem else self._make(task)
        except Exception as error:
            record = failed(task, error)
            self._given_up.add(folder)
        else:
            if study.problem:
                with self._make.storage.new_case(name) as case:
                    store.write_record(case, record)
            write_json(folder / DONE, {"files": files, "status": record["status"]})
        reason = f": {record['reason']}" if record["reason"] else ""
        self.log(f"{name}: {record['status']}{reason}")

    # -- sending -------------------------------------------------------------------------------

    def _unsent(self, case: Path) -> bool:
        if not (case / DICOM_FOLDER).is_dir():
            return False
        try:
            sent = json.loads((self.folder / SENT / f"{case.name}.json").read_text("utf-8"))
            return sent["case"] != _stamp(case)
        except (OSError, ValueError, KeyError, TypeError):
            return True

    def _send(self, case: Path) -> None:
        peer = self.settings.send_to
        assert peer is not None
        files = sorted((case / DICOM_FOLDER).glob("*.dcm"))
        stamp = _stamp(case)
        problem = self._send_files(files, peer)
        if problem:
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            self.log(f"{case.name} was not sent to {peer.ae_title}: {problem}. It will be retried.")
            return
        header = pydicom.dcmread(files[0], stop_before_pixels=True)
        about = {
            "to": f"{peer.ae_title} at {peer.host}:{peer.port}",
            "series": str(header.SeriesInstanceUID),
            "images": len(files),
            "case": stamp,
        }
        write_json(self.folder / SENT / f"{case.name}.json", about)
        self.log(f"{case.name}: {len(files)} images sent to {peer.ae_title}")

    def _send_files(self, files: Sequence[Path], peer: Peer) -> str:
        """Send files over one association; returns the problem, or an empty text."""
        network = self._network
        node = network.AE(self.settings.ae_title)
        node.add_requested_context(network.sop_class.CTImageStorage)
        tls = None if self.settings.send_tls is None else (self.settings.send_tls, peer.host)
        link = node.associate(peer.host, peer.port, ae_title=peer.ae_title, tls_args=tls)
        if not link.is_established:
            return "no association (is that node running, and does it accept this AE title?)"
        try:
            for file in files:
                answer = link.send_c_store(pydicom.dcmread(file))
                status = getattr(answer, "Status", None)
                if status is None:
                    return "the association was lost"
                if status != _SUCCESS and status >> 12 != 0xB:  # 0xBxxx: stored, with a warning
                    return f"that node answered with the status {status:#06x}"
        finally:
            if link.is_established:
                link.release()
        return ""


def import_pynetdicom() -> Any:
    """Import pynetdicom.

    Raises:
        AxonInputError: it is not installed.
    """
    try:
        import pynetdicom
        from pynetdicom import sop_class  # noqa: F401
    except ImportError:
        raise AxonInputError(
            "axon dicom serve needs the package pynetdicom, which is not installed. Install "
            "axon-ct[dicom]."
        ) from None
    return pynetdicom


def _done(folder: Path) -> list[str] | None:
    """The files from which a study's case was made; None if there is no case."""
    try:
        return json.loads((folder / DONE).read_text("utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _stamp(case: Path) -> str:
    """A hash that changes when a case is made again."""
    return file_sha256(case / store.RECORD)
