"""Who a process is, by each system's way of asking."""

import ctypes
import os
import shutil
import subprocess
import sys

import pytest

from axon_backend.training.run import process_id

WAYS = [
    pytest.param("_linux", marks=pytest.mark.skipif(sys.platform != "linux", reason="no /proc")),
    pytest.param("_by_ps", marks=pytest.mark.skipif(not shutil.which("ps"), reason="no ps")),
]


@pytest.fixture
def other():
    """A process that waits."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("way", WAYS)
def test_a_running_process_has_a_start_that_stays(way, other):
    started = getattr(process_id, way)
    assert started(other.pid) and started(other.pid) == started(other.pid)


@pytest.mark.parametrize("way", WAYS)
def test_a_process_that_ended_has_none(way, other):
    started = getattr(process_id, way)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert started(other.pid) is None  # not yet reaped: the system still lists it
    other.wait()
    assert started(other.pid) is None


def test_the_way_of_this_system_and_no_process(monkeypatch):
    assert process_id.process_started(os.getpid())
    assert process_id.process_started(0) is None and process_id.process_started(-1) is None
    for platform, way in (("darwin", "_by_ps"), ("win32", "_windows"), ("linux", "_linux")):
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setattr(process_id, way, lambda pid, way=way: f"{way} {pid}")
        assert process_id.process_started(7) == f"{way} 7"


class Kernel:
    """Windows' functions for processes: 5 runs, 6 has ended, 7 refuses; there is no other."""

    def __init__(self):
        self.closed = []
        self.OpenProcess = Function(lambda access, inherit, pid: pid if pid in (5, 6, 7) else 0)

    def GetExitCodeProcess(self, handle, code):
        code._obj.value = 259 if handle.value in (5, 7) else 0
        return 1

    def GetProcessTimes(self, handle, created, *others):
        created._obj.dwHighDateTime, created._obj.dwLowDateTime = 0x1DA, 0xBEEF
        return handle.value != 7

    def CloseHandle(self, handle):
        self.closed.append(handle.value)


class Function:
    """A function with a ``restype``."""

    def __init__(self, call):
        self.call, self.restype = call, ctypes.c_int

    def __call__(self, *arguments):
        return self.call(*arguments)


@pytest.mark.skipif(sys.platform == "win32", reason="has its own")
def test_windows_is_asked_as_documented(monkeypatch):
    kernel = Kernel()
    monkeypatch.setattr(ctypes, "WinDLL", lambda *names, **how: kernel, raising=False)
    assert process_id._windows(5) == "1da:beef"
    assert [process_id._windows(pid) for pid in (6, 7, 8)] == [None, None, None]
    assert kernel.closed == [5, 6, 7]  # whatever was opened
