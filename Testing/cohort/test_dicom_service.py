"""A DICOM node: what is acknowledged is on disk, and comes back as a CT series."""

from __future__ import annotations

import time
from dataclasses import replace

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, generate_uid

from axon_backend.cli.main import main
from axon_backend.cohort.dicom_service import DicomService, Peer, ServiceSettings
from axon_backend.errors import AxonInputError

pynetdicom = pytest.importorskip("pynetdicom")


@pytest.fixture
def archive():
    """A node that takes CT images: (peer, what it got)."""
    got: list[Dataset] = []

    def store(event) -> int:
        got.append(event.dataset)
        return 0

    node = pynetdicom.AE("ARCHIVE")
    node.add_supported_context(CTImageStorage)
    server = node.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(pynetdicom.evt.EVT_C_STORE, store)]
    )
    yield Peer("127.0.0.1", server.server_address[1], "ARCHIVE"), got
    server.shutdown()


@pytest.fixture
def node(settings, tmp_path):
    """Makes a service on a free port, with studies that are complete at once."""

    def make(**changes) -> DicomService:
        cohort = replace(settings, dicom="identified")
        chosen = ServiceSettings(port=0, settle_seconds=0.01, cohort=cohort, **changes)
        return DicomService(tmp_path / "node", chosen, log=lines.append)

    lines: list[str] = []
    make.lines = lines
    return make


def send(service: DicomService, item: Dataset, title: str = "SENDER") -> int | None:
    """The status of a C-STORE; None where there is no association."""
    client = pynetdicom.AE(title)
    client.add_requested_context(item.SOPClassUID, item.file_meta.TransferSyntaxUID)
    link = client.associate("127.0.0.1", service.port, ae_title="AXON")
    if not link.is_established:
        return None
    status = link.send_c_store(item).Status
    link.release()
    return status


def work(service: DicomService) -> None:
    time.sleep(2 * service.settings.settle_seconds)  # the study is complete then
    while service.step():
        pass


def test_a_study_comes_back_as_a_ct_series_of_the_same_study(node, xray, archive):
    peer, got = archive
    with node(send_to=peer) as service:
        assert send(service, xray) == 0
        work(service)
        work(service)  # nothing is made or sent twice
    assert len(got) == 12  # the slices of the mean
    assert {s.StudyInstanceUID for s in got} == {xray.StudyInstanceUID}
    assert {s.PatientID for s in got} == {"P7"}
    assert (
        len({s.SeriesInstanceUID for s in got}) == 1 and len({s.SOPInstanceUID for s in got}) == 12
    )
    assert got[0].SeriesInstanceUID != xray.SeriesInstanceUID
    assert not any("Doe" in line or "P7" in line for line in node.lines)


def test_what_was_acknowledged_outlives_the_program(node, xray, tmp_path):
    with node() as service:
        assert send(service, xray) == 0
    # Killed before it was reconstructed.
    with node() as service:
        work(service)
        (case,) = (tmp_path / "node" / "cases").iterdir()
        assert len(list((case / "dicom").iterdir())) == 12
        before = (case / "case.json").stat().st_mtime_ns
        work(service)
        assert (case / "case.json").stat().st_mtime_ns == before


def test_a_lost_archive_is_asked_again(node, xray, archive):
    peer, got = archive
    with node(send_to=Peer("127.0.0.1", 1, "GONE")) as service:
        assert send(service, xray) == 0
        work(service)
    assert not got and any("was not sent to GONE" in line for line in node.lines)
    with node(send_to=peer) as service:
        work(service)
    assert len(got) == 12


def test_a_later_image_of_the_study_makes_it_again(node, xray, archive):
    peer, got = archive
    xray.InstanceNumber = 2
    with node(send_to=peer) as service:
        assert send(service, xray) == 0
        work(service)
        xray.SOPInstanceUID = xray.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        xray.InstanceNumber = 1  # of two, the first is used
        assert send(service, xray) == 0
        work(service)
    assert len(got) == 24 and len({s.SeriesInstanceUID for s in got}) == 2


def test_only_named_senders_and_x_rays_are_taken(node, xray):
    with node(allowed=("FRIEND",)) as service:
        assert send(service, xray, "STRANGER") is None
        xray.Modality = "MG"
        assert send(service, xray, "FRIEND") not in (0, None)
        assert not service.step()
    assert any("is not an X-ray modality" in line for line in node.lines)


def test_a_study_that_cannot_be_used_is_answered_once(node, xray, tmp_path):
    xray.ViewPosition = "LL"
    with node() as service:
        assert send(service, xray) == 0
        work(service)
    assert len(node.lines) == 2 and "no frontal X-ray" in node.lines[1]


def test_two_services_do_not_share_a_folder(node):
    with node(), pytest.raises(AxonInputError, match="Another run"):
        node().__enter__()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "--allow"),
        (["--send-to", "PACS"], "AET@HOST:PORT"),
        (["--send-to", "PACS@10.0.0.5:10²"], "AET@HOST:PORT"),  # a digit, but not decimal
        (["--ae-title", "much too long a title"], "16 ASCII"),
        (["--tls-key", "key.pem"], "--tls-certificate"),
        (["--settle", "0"], "must be more than 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, said, tmp_path, capsys):
    assert main(["dicom", "serve", "--output", str(tmp_path / "out"), *options]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_series_passes_for_a_ct(node, xray, tmp_path):
    with node() as service:
        send(service, xray)
        work(service)
    files = sorted((tmp_path / "node" / "cases").glob("*/dicom/*.dcm"))
    first = pydicom.dcmread(files[0])
    assert (first.Modality, first.ImageType[0]) == ("CT", "DERIVED")
    assert first.SourceImageSequence[0].ReferencedSOPInstanceUID == xray.SOPInstanceUID
