"""The system's locks: another process is kept out of the same bytes, and of no others."""

import errno
import subprocess
import sys

import pytest

from axon_backend.util.file_lock import try_lock

ELSEWHERE = """
import sys
from axon_backend.util.file_lock import try_lock
with open(sys.argv[1], "a+b") as stream:
    print(int(try_lock(stream, int(sys.argv[2]), int(sys.argv[3]))))
"""


def elsewhere(path, start, count):
    """Whether another process gets the bytes."""
    words = [sys.executable, "-c", ELSEWHERE, str(path), str(start), str(count)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout == "1\n"


def test_bytes_are_locked_until_the_file_is_closed(tmp_path):
    path = tmp_path / "lock"
    with open(path, "a+b") as stream:
        assert try_lock(stream, 100, 2)
        assert not elsewhere(path, 101, 1)
        assert not elsewhere(path, 0, 1000)
        assert elsewhere(path, 99, 1) and elsewhere(path, 102, 1)
    assert elsewhere(path, 100, 2)


@pytest.mark.skipif(sys.platform == "win32", reason="the locks of Unix")
@pytest.mark.parametrize(
    ("number", "free"), [(errno.ENOLCK, True), (errno.EACCES, False), (errno.EAGAIN, False)]
)
def test_a_file_system_without_locks_refuses_nothing(tmp_path, monkeypatch, number, free):
    import fcntl

    def refuse(*_):
        raise OSError(number, "no")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with open(tmp_path / "lock", "a+b") as stream:
        assert try_lock(stream) is free
