"""Silence for C and C++ libraries that print to standard error."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_one_at_a_time = threading.Lock()


@contextmanager
def no_chatter() -> Iterator[None]:
    """Discard what is written to the process's standard error (file descriptor 2), for calls into
    libraries that both raise an exception and print it. The output of other threads is discarded
    as well, so keep the block short. Does nothing where there is no standard error, as in a Windows
    program without a console.
    """
    with _one_at_a_time:
        try:
            kept = os.dup(2)
        except OSError:
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
