"""Freed memory goes back to the system."""

import subprocess
import sys
from pathlib import Path

import pytest

from axon_backend.util.free_memory import return_free_memory

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import sys
sys.path.insert(0, sys.argv[1])
from axon_backend.util.free_memory import return_free_memory

def resident():  # MB
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

parts = [bytearray(100_000) for _ in range(1000)]  # too small for a mapping of their own
above = bytearray(100_000)
before = resident()
del parts
return_free_memory()
print(before - resident())
"""


def test_it_is_no_error_anywhere():
    return_free_memory()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_the_process_becomes_smaller():
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(ROOT)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) > 80
