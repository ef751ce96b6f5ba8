"""X-rays from a DICOMweb server and CT series to it; Orthanc is the server."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from axon_backend.cli.main import main
from axon_backend.cohort import dicomweb
from axon_backend.cohort.run import reconstruct_cohort
from axon_backend.errors import AxonInputError

pytest.importorskip("dicomweb_client")
ORTHANC = shutil.which("Orthanc")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
with_orthanc = pytest.mark.skipif(
    ORTHANC is None or not PLUGIN.exists(), reason="apt install orthanc orthanc-dicomweb"
)
PASSWORD = "a-password"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of an empty Orthanc, which asks for a password."""
    folder = tmp_path_factory.mktemp("orthanc")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "orthanc.json").write_text(
        json.dumps({
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "HttpPort": port,
            "DicomServerEnabled": False,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {"axon": PASSWORD},
            "Plugins": [str(PLUGIN)],
        })
    )  # fmt: skip
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen([ORTHANC, folder / "orthanc.json"], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/dicom-web"
    try:
        end = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(url + "/studies")
            except urllib.error.HTTPError:  # it asks for the password
                break
            except OSError:
                assert process.poll() is None, (folder / "log.txt").read_text()
                assert time.monotonic() < end, (folder / "log.txt").read_text()
                time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def password(monkeypatch):
    monkeypatch.setenv(dicomweb.USER, "axon")
    monkeypatch.setenv(dicomweb.PASSWORD, PASSWORD)


@with_orthanc
def test_studies_are_fetched_reconstructed_and_sent_back(
    server, password, xray, settings, tmp_path, capsys
):
    client = dicomweb.connect(server)
    other = replaced(xray, PatientID="P8", StudyDate="20250101")
    ct = replaced(xray, PatientID="P7", Modality="CT")  # of no interest
    xray.StudyDate = "20260203"
    stored = client.store_instances([xray, other, ct])
    assert not stored.get("FailedSOPSequence"), stored

    studies = tmp_path / "studies"
    fetch = ["dicom", "fetch", "--from", server, "--output", str(studies), "--quiet"]
    dated = [*fetch, "--date", "20260101-20261231"]
    assert main(dated) == 0
    assert "1 studies: 1 images fetched, 0 were there already" in capsys.readouterr().out
    (file,) = studies.glob("*/*.dcm")
    assert pydicom.dcmread(file).PixelData == xray.PixelData
    assert main(dated) == 0
    assert "0 images fetched, 1 were there already" in capsys.readouterr().out
    assert main([*fetch, "--patient", "P8"]) == 0 and len(list(studies.glob("*/*.dcm"))) == 2
    assert main([*fetch, "--patient", "nobody"]) == 2
    assert "has no CR, DX, DR, RG series that matches" in capsys.readouterr().err

    out = tmp_path / "out"
    reconstruct_cohort(studies, out, replace(settings, dicom="identified"))
    (out / "cases" / "half" / "dicom").mkdir(parents=True)
    (out / "cases" / ".part-all-x" / "dicom").mkdir(parents=True)  # being written: left out
    assert main(["dicom", "send", str(out), "--to", server, "--quiet"]) == 1
    said = capsys.readouterr()
    assert "failed: half: its CT series has no images" in said.err
    (out / "cases" / "half" / "dicom").rmdir()
    assert "2 CT series: 24 images sent, 0 were there already" in said.out
    assert main(["dicom", "send", str(out), "--to", server, "--quiet"]) == 0
    assert "0 images sent, 24 were there already" in capsys.readouterr().out

    series = client.search_for_series(str(xray.StudyInstanceUID))
    assert sorted(pydicom.Dataset.from_json(one).Modality for one in series) == ["CT", "DX"]
    uid = next(
        str(one.SeriesInstanceUID) for one in map(Dataset.from_json, series) if one.Modality == "CT"
    )
    slices = client.retrieve_series(str(xray.StudyInstanceUID), uid)
    assert len(slices) == 12 and {one.PatientID for one in slices} == {"P7"}


@with_orthanc
def test_a_server_that_refuses(server, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv(dicomweb.USER, "axon")
    monkeypatch.setenv(dicomweb.PASSWORD, "wrong")
    assert main(["dicom", "fetch", "--from", server, "--output", str(tmp_path / "x")]) == 2
    assert f"Set {dicomweb.USER}" in capsys.readouterr().err
    assert main(["dicom", "fetch", "--from", server + "x", "--output", str(tmp_path / "x")]) == 2
    assert not (tmp_path / "x").exists()


def test_a_server_that_is_not_there(tmp_path, capsys):
    url = "http://127.0.0.1:1/dicom-web"
    assert main(["dicom", "fetch", "--from", url, "--output", str(tmp_path / "x")]) == 2
    assert f"{url} cannot be reached" in capsys.readouterr().err
    series = tmp_path / "case" / "dicom"
    series.mkdir(parents=True)
    assert main(["dicom", "send", str(tmp_path / "case"), "--to", url]) == 2
    assert f"{url} cannot be reached" in capsys.readouterr().err
    assert main(["dicom", "send", str(series), "--to", url]) == 2
    assert "has no CT series" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("pacs.example.org/dicom-web", "is not the address"),
        ("ftp://pacs.example.org", "is not the address"),
        ("https://me:secret@pacs.example.org", "Leave the password out"),
        ("http://pacs.example.org/dicom-web", "unencrypted"),
    ],
)
def test_addresses_that_are_refused(url, said):
    with pytest.raises(AxonInputError, match=said):
        dicomweb.connect(url, environment={dicomweb.USER: "me", dicomweb.PASSWORD: "secret"})


def test_a_token_is_a_bearer_token():
    client = dicomweb.connect("https://a.example", environment={dicomweb.TOKEN: "t0k"})
    assert client._session.headers["Authorization"] == "Bearer t0k"


def replaced(xray: Dataset, **changes) -> Dataset:
    """A copy as an image of a study of its own."""
    copy = deepcopy(xray)
    copy.StudyInstanceUID, copy.SeriesInstanceUID = generate_uid(), generate_uid()
    copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for name, value in changes.items():
        setattr(copy, name, value)
    return copy
