"""Exceptions whose messages are shown to users."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from axon_backend.inference.case import PlacedCase


class AxonInputError(ValueError):
    """The input cannot be used. The message says what was wrong and what to do about it."""


class OutputError(AxonInputError):
    """Results could not be written because of the system (a full or broken disk), not the input.
    The command line exits with 1 instead of 2."""


class PoorRegistration(AxonInputError):
    """An X-ray does not fit its reference, and poor registrations were not allowed. The command
    line exits with 1.

    Attributes:
        placed: the case with its views, for the user to check.
    """

    def __init__(self, sentence: str, placed: PlacedCase) -> None:
        super().__init__(sentence)
        self.placed = placed


# Errors caused by the location that the user chose, not by the state of the disk.
_WRONG_PLACE = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
    errno.ENOTEMPTY, errno.ENAMETOOLONG, errno.EINVAL,
)  # fmt: skip


def not_written(sentence: str, error: OSError) -> AxonInputError:
    """The exception for a failed write: ``OutputError``, or ``AxonInputError`` if another location
    would work (no permission to write, a folder in the way, ...)."""
    return (AxonInputError if error.errno in _WRONG_PLACE else OutputError)(sentence)


class Cancelled(RuntimeError):
    """The user asked to stop; raised between two steps, before anything is written."""


class Unfinished(RuntimeError):
    """One of many tasks has no result, but another run may succeed (its worker died, it took too
    long, its files changed). The message is meant for the user."""


def reason_of(error: BaseException) -> str:
    """An error in a list of failures: its message on one line, preceded by the type of the
    exception unless the message is meant for users."""
    text = " ".join(str(error).split())[:300]
    if text and isinstance(error, AxonInputError | Unfinished):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
