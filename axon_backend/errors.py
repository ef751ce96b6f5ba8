"""The exceptions a user of AXON meets."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from axon_backend.inference.case import PlacedCase


class AxonInputError(ValueError):
    """The input cannot be used. The message says what was wrong and what to do about it."""


class OutputError(AxonInputError):
    """The system failed while results were written (a full disk, a broken one): nothing is wrong
    with the input. The command line ends with 1 instead of 2."""


class PoorRegistration(AxonInputError):
    """An X-ray does not fit its reference, and this was not allowed. The command line ends with 1.

    Attributes:
        placed: the case with its views, for the user to check.
    """

    def __init__(self, sentence: str, placed: PlacedCase) -> None:
        super().__init__(sentence)
        self.placed = placed


# What the user's choice of a place causes, not the state of the disk.
_WRONG_PLACE = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
    errno.ENOTEMPTY, errno.ENAMETOOLONG, errno.EINVAL,
)  # fmt: skip


def not_written(sentence: str, error: OSError) -> AxonInputError:
    """The exception for what could not be written: ``OutputError``, unless another place would do
    (no right to write there, a folder in the way, ...)."""
    return (AxonInputError if error.errno in _WRONG_PLACE else OutputError)(sentence)


class Cancelled(RuntimeError):
    """The user asked to stop; raised between two steps, before anything is written."""


class Unfinished(RuntimeError):
    """A task of many has no result, and another run may give it one (its worker died, it took too
    long, its files changed). The message is for the user."""


def reason_of(error: BaseException) -> str:
    """What a list of failures says of an error: its message, on one line and with the kind of
    exception in front unless it is meant for users."""
    text = " ".join(str(error).split())[:300]
    if text and isinstance(error, AxonInputError | Unfinished):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
