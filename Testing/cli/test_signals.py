"""SIGTERM and a closed terminal end a command as Ctrl-C does: nothing is left of it."""

import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without asking")

# The command `selfcheck` is replaced by one that works in an output folder until it is stopped.
# Signals that the tests' own parent ignores (nohup, a background job) are heard by it all the same.
WORKING = """
import signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
from axon_backend.cli import commands, main
from axon_backend.cli.console import stop_on_signal
from axon_backend.errors import Cancelled
from axon_backend.util.output_folder import output_folder

def work(chosen):
    with output_folder(sys.argv[1], ()) as part:
        (part / "half.nii.gz").write_bytes(b"half")
        if sys.argv[2] == "in steps":
            with stop_on_signal() as stop:
                print("ready", flush=True)
                if stop.wait(60):
                    raise Cancelled("stopped")
        print("ready", flush=True)
        time.sleep(60)

commands.selfcheck = work
sys.exit(main.main(["selfcheck"]))
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
@pytest.mark.parametrize("way", ["in steps", "at once"])
def test_a_signal_cleans_up(name, way, tmp_path):
    target = tmp_path / "a" / "out"
    command = [sys.executable, "-c", WORKING, str(target), way]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(getattr(signal, name))
        _, said = child.communicate(timeout=120)
    assert child.returncode == 1
    assert said.endswith("axon: stopped as asked; nothing was written.\n")
    assert list(tmp_path.iterdir()) == []
