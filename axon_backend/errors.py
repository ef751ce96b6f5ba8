"""The exceptions a user of AXON meets."""

from __future__ import annotations

import errno


class AxonInputError(ValueError):
    """The input cannot be used. The message says what was wrong and what to do about it."""


class OutputError(AxonInputError):
    """The system failed while results were written (a full disk, a broken one): nothing is wrong
    with the input. The command line ends with 1 instead of 2."""


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
