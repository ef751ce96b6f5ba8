"""The system's locks: another process is kept out of the same bytes, and of no others."""

import errno
import subprocess
import sys

import pytest

from axon_backend.util.file_lock import FileLock, try_lock

ELSEWHERE = """
import sys
from axon_backend.util.file_lock import try_lock
with open(sys.argv[1], "a+b") as stream:
    print(int(try_lock(stream, int(sys.argv[2]), int(sys.argv[3])) is True))
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
    ("number", "free"), [(errno.ENOLCK, None), (errno.EACCES, False), (errno.EAGAIN, False)]
)
def test_a_file_system_without_locks_refuses_nothing(tmp_path, monkeypatch, number, free):
    import fcntl

    def refuse(*_):
        raise OSError(number, "no")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with open(tmp_path / "lock", "a+b") as stream:
        assert try_lock(stream) is free


def test_one_holder_in_a_process_too(tmp_path):
    lock, other = FileLock(tmp_path / "lock", 100, 2), FileLock(tmp_path / "lock", 101, 5)
    assert lock.acquire() and not other.acquire() and other.stream is None
    assert not elsewhere(tmp_path / "lock", 100, 1)  # the refused one did not free it
    lock.release()
    lock.release()
    assert other.acquire()
    other.release()
    assert elsewhere(tmp_path / "lock", 100, 6)


def test_a_file_that_cannot_be_opened_is_not_held(tmp_path):
    lock = FileLock(tmp_path / "folder" / "lock")
    with pytest.raises(FileNotFoundError):
        lock.acquire()
    lock.path.parent.mkdir()
    assert lock.acquire()
    lock.release()
