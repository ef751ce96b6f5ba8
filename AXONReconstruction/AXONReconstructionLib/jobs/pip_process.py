"""Following pip's process without stopping the panel."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.jobs.background import Background
from AXONReconstructionLib.jobs.worker import Job
from AXONReconstructionLib.setup.install import InstallationError

_following = False


@contextmanager
def following(succeeded: Callable[[], None] | None = None) -> Iterator[None]:
    """While active, processes that Slicer waits for are followed by a worker.

    Slicer and PyTorchUtils run pip through `slicer.util.logProcessOutput`, which reads its output
    on the main thread: the application stands still until the next line, for a minute and more
    while a large package is unpacked. Here a worker reads it, and the main thread waits as
    `Job.wait` does: without Python's lock, and processing events.

    Args:
        succeeded: called on the worker after each process that exited with 0.

    Raises:
        InstallationError: packages are being installed already.
    """
    global _following
    if _following:  # the user went on in the other module
        raise InstallationError(
            _("Packages are being installed already. Wait until that is finished.")
        )
    original, background = slicer.util.logProcessOutput, Background("AXON pip")

    def logProcessOutput(process, logCallback=None):
        def show(line: str) -> None:
            print(line)
            if logCallback is not None:
                logCallback(line)

        def work(job: Job) -> None:
            for line in _lines(process.stdout):
                job.report(line=line)
            if process.wait() == 0 and succeeded is not None:
                succeeded()

        background.submit(work, onProgress=show).wait(slicer.app.processEvents)
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, process.args)

    _following, slicer.util.logProcessOutput = True, logProcessOutput
    try:
        yield
    finally:
        _following, slicer.util.logProcessOutput = False, original
        background.shutdown()


def _lines(stream) -> Iterator[str]:
    while True:
        try:
            line = stream.readline()
        except UnicodeDecodeError:  # Windows, whose code page need not be UTF-8
            continue
        if not line:
            return
        yield line.rstrip()
