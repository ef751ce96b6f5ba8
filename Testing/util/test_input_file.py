"""A pipe or device as an input is refused before anything waits for it."""

import os
import subprocess
import sys

import pytest

from axon_backend.errors import AxonInputError
from axon_backend.util.input_file import check_input


def test_files_folders_and_what_is_missing_pass(tmp_path):
    (tmp_path / "x").write_text("1")
    for name in ("x", "", "none"):
        check_input(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "ct.nii.gz")
    with pytest.raises(AxonInputError, match="neither a file nor a folder"):
        check_input(tmp_path / "ct.nii.gz")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
@pytest.mark.parametrize(
    "call",
    [
        "axon_backend.imaging.ct import read_ct as read",
        "axon_backend.imaging.radiograph import read_radiograph as read",
        "axon_backend.evaluation.manifest import read_manifest as read",
        "axon_backend.dataset.manifest import read_rows as read",
    ],
)
def test_every_reader_asks(tmp_path, call):
    """In a process of its own, which a reader that waits does not leave hanging."""
    os.mkfifo(tmp_path / "m.json")
    code = f"from pathlib import Path; from {call}; read(Path({str(tmp_path / 'm.json')!r}))"
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, timeout=300)
    assert b"neither a file nor a folder" in done.stderr
