"""The DICOM node against DCMTK: storescu sends a study, storescp gets a CT series back."""

from __future__ import annotations

import argparse
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from axon_backend.cli.dicom import tls_contexts
from axon_backend.cohort.dicom_service import DicomService, Peer, ServiceSettings

pytest.importorskip("pynetdicom")
TOOLS = ("storescu", "storescp", "echoscu", "openssl")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason="apt install dcmtk openssl"
)
HOST = "127.0.0.1"


@pytest.fixture
def file(xray, tmp_path) -> Path:
    pydicom.dcmwrite(tmp_path / "xray.dcm", xray, enforce_file_format=True)
    return tmp_path / "xray.dcm"


def certificate(folder: Path, name: str) -> list[str]:
    """A key and a certificate that it has signed itself, for this computer."""
    key, pem = folder / f"{name}.key", folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2"]
    command += ["-subj", "/CN=localhost"]
    command += ["-addext", f"subjectAltName=IP:{HOST}", "-keyout", str(key), "-out", str(pem)]
    subprocess.run(command, check=True, capture_output=True)
    return [str(key), str(pem)]


def dcmtk(tool: str, port: int, *options: str, called: str = "AXON") -> int:
    """The exit status of a client; storescu sends the last of ``options``."""
    options, files = (options[:-1], options[-1:]) if tool == "storescu" else (options, ())
    command = [tool, "-aet", "SENDER", "-aec", called, *options, HOST, str(port), *files]
    return subprocess.run(command, capture_output=True, timeout=300).returncode


def free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        return free.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex((HOST, port)) == 0


def wait_for(port: int, process: subprocess.Popen) -> None:
    end = time.monotonic() + 300
    while not listens(port):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)


@contextmanager
def archive(folder: Path, *words: str):
    """The port of storescp, which keeps what it gets in a folder."""
    folder.mkdir()
    port = free_port()
    command = ["storescp", "-aet", "ARCHIVE", "-od", str(folder), *words, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield port
    finally:
        process.kill()
        process.wait()


def answer(service: DicomService) -> None:
    time.sleep(0.1)
    while service.step():
        pass


def check_series(folder: Path, xray: Dataset) -> None:
    """What came back is one valid CT series of the same study."""
    files = sorted(folder.iterdir())
    slices = [pydicom.dcmread(path) for path in files]
    assert len(slices) == 12
    assert {one.Modality for one in slices} == {"CT"}
    assert {one.StudyInstanceUID for one in slices} == {xray.StudyInstanceUID}
    assert {one.PatientName for one in slices} == {xray.PatientName}
    (series,) = {one.SeriesInstanceUID for one in slices}
    assert series != xray.SeriesInstanceUID
    assert len({one.SOPInstanceUID for one in slices} - {xray.SOPInstanceUID}) == 12
    if shutil.which("dciodvfy"):
        for path in files:
            said = subprocess.run(["dciodvfy", path], capture_output=True, text=True).stderr
            assert not [line for line in said.splitlines() if line.startswith("Error")], said


def test_a_study_sent_by_storescu_comes_back_as_a_valid_ct_series(file, xray, settings, tmp_path):
    with archive(tmp_path / "archive") as port:
        chosen = ServiceSettings(
            port=0,
            settle_seconds=0.01,
            allowed=("SENDER",),
            send_to=Peer(HOST, port, "ARCHIVE"),
            cohort=replace(settings, dicom="identified"),
        )
        with DicomService(tmp_path / "node", chosen) as service:
            assert dcmtk("echoscu", service.port) == 0
            assert dcmtk("storescu", service.port, str(file), called="OTHER") != 0
            assert dcmtk("storescu", service.port, str(file)) == 0
            answer(service)
    check_series(tmp_path / "archive", xray)


def test_over_tls_both_sides_show_a_certificate(file, xray, settings, tmp_path):
    key, pem = certificate(tmp_path, "ours")
    stranger = certificate(tmp_path, "stranger")
    server, client = tls_contexts(argparse.Namespace(tls_certificate=pem, tls_key=key, tls_ca=pem))
    with archive(tmp_path / "archive", "+tls", key, pem, "+cf", pem) as port:
        chosen = ServiceSettings(
            port=0,
            settle_seconds=0.01,
            send_to=Peer(HOST, port, "ARCHIVE"),
            tls=server,
            send_tls=client,
            cohort=replace(settings, dicom="identified"),
        )
        with DicomService(tmp_path / "node", chosen) as service:
            trusted = ["+tls", key, pem, "+cf", pem]
            assert dcmtk("echoscu", service.port, *trusted) == 0
            assert dcmtk("echoscu", service.port) != 0  # unencrypted
            unknown = ["+tls", *stranger, "+cf", pem]
            assert dcmtk("storescu", service.port, *unknown, str(file)) != 0
            assert not service.step(), "nothing was received"
            with (
                pytest.raises(ssl.SSLError),
                socket.create_connection((HOST, service.port)) as plain,
            ):  # a client that does not trust the node
                ssl.create_default_context().wrap_socket(plain, server_hostname=HOST)
            assert dcmtk("storescu", service.port, *trusted, str(file)) == 0
            answer(service)
    check_series(tmp_path / "archive", xray)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_what_storescu_was_told_is_stored_outlives_kill_9(file, xray, settings, tmp_path):
    port, node = free_port(), tmp_path / "node"
    command = [sys.executable, "-m", "axon_backend", "dicom", "serve", "--output", str(node)]
    command += ["--port", str(port), "--settle", "3600", "--bundle", settings.bundle]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        assert dcmtk("storescu", port, str(file)) == 0
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    chosen = ServiceSettings(
        port=0, settle_seconds=0.01, cohort=replace(settings, dicom="identified")
    )
    with DicomService(node, chosen) as service:
        answer(service)
    (case,) = (node / "cases").iterdir()
    check_series(case / "dicom", xray)
