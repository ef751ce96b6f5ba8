"""The error of a run, in one sentence."""

from __future__ import annotations

import torch

from axon_backend.errors import AxonInputError


def has_words(error: BaseException) -> bool:
    """Whether :func:`explain` describes the error and its remedy, other than for input errors."""
    return isinstance(error, KeyboardInterrupt | torch.OutOfMemoryError | FloatingPointError) or (
        isinstance(error, OSError) and error.errno is not None
    )


def explain(error: BaseException) -> str:
    """The error as one sentence for run.json."""
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted immediately; the last checkpoint is kept. Continue with --resume."
    if isinstance(error, torch.OutOfMemoryError):
        return (
            "The GPU ran out of memory. Set micro_batch=1 or checkpointing=true (or both) and run "
            "the same command with --resume."
        )
    text = " ".join(str(error).split())
    if isinstance(error, (AxonInputError, FloatingPointError)):
        return text
    if isinstance(error, OSError) and error.errno is not None:
        return (
            f"{error.strerror}: {error.filename or 'the run folder'}. Free some space or check "
            "the folder's permissions, and run the same command with --resume."
        )
    return f"{type(error).__name__}: {text or 'no further explanation'}"
