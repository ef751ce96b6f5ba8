"""What libraries of C and C++ print to standard error by themselves."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_one_at_a_time = threading.Lock()


@contextmanager
def no_chatter() -> Iterator[None]:
    """Drop what is written to the process's standard error past Python, for calls into libraries
    that report an error twice: by an exception, and in lines of their own. Other threads' output
    of that kind is dropped too, so keep it short. Nothing happens where there is no standard
    error, as in a program with windows only.
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
