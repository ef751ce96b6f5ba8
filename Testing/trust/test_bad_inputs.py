"""Hundreds of bad inputs on the command line, in one process with the memory of a small computer:
one sentence, a right exit code, and nothing left, each time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_each_gives_a_sentence_and_leaves_nothing():
    script = Path(__file__).with_name("bad_inputs.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    *said, last = done.stdout.splitlines() or [""]
    assert done.returncode == 0, "\n".join([*said[-40:], done.stderr[-2000:]])
    summary = json.loads(last)
    assert summary["tried"] >= 600 and summary["wrong"] == 0
    assert summary.get("peak_mb", 0) < 3000
