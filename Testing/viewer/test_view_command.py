"""What ``axon view`` says where it cannot start."""

import socket
import subprocess
import sys

import pytest

from axon_backend.cli.main import main
from axon_backend.errors import AxonInputError
from axon_backend.viewer import serve


def refused(capsys, *words: str) -> str:
    assert main(["view", *words]) == 2
    return capsys.readouterr().err


def test_arguments_that_do_not_go_together(capsys):
    assert "Give either the folder of a result, or --frontal" in refused(capsys)
    assert "Give either" in refused(capsys, "folder", "--frontal", "pa.png")
    assert "--lateral needs the frontal" in refused(capsys, "folder", "--lateral", "ll.png")
    assert "--port is 70000" in refused(capsys, "folder", "--port", "70000")


def test_the_extra_is_missing(capsys, monkeypatch):
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    assert "pip install 'axon-ct[view]'" in refused(capsys, "folder")


def test_a_taken_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AxonInputError, match=f"Cannot listen on port {port} of 127.0.0.1"):
            serve.check_port("127.0.0.1", port)
    serve.check_port("127.0.0.1", 0)


def test_an_address_of_another_computer():
    with pytest.raises(AxonInputError, match="192.0.2.1"):  # reserved for documentation
        serve.check_port("192.0.2.1", 0)


@pytest.mark.parametrize("ends", ["raise SystemExit(1)", "import os; os.abort()"])
def test_no_opengl(monkeypatch, ends):
    monkeypatch.setattr(serve, "_DRAWS", ends)
    with pytest.raises(AxonInputError, match="VTK cannot draw on this machine"):
        serve.check_drawing()


def test_opening_a_result_loads_no_networks():
    """The first image should not wait for PyTorch."""
    code = (
        "import sys, axon_backend.viewer.finished_case, axon_backend.viewer.serve\n"
        "import axon_backend.inference.case_files\n"
        "print(sorted({'torch', 'monai', 'trame', 'slicer'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
