"""A standard output that nobody reads, or that is full, gives no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes close differently")

COMMAND = [sys.executable, "-m", "axon_backend", "bundle", "list"]


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"], autouse=True)
def _buffer(request, monkeypatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", request.param)


def test_a_reader_that_has_gone():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(COMMAND, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk():
    with open("/dev/full", "wb") as full:
        done = subprocess.run(COMMAND, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.startswith(b"axon: standard output cannot be written")
    assert done.stderr.count(b"\n") == 1
