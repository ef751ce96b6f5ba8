"""Atomic writing of PyTorch files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch

from axon_backend.errors import OutputError
from axon_backend.util.atomic import whole_file


def save_atomically(obj: object, path: Path) -> None:
    """``torch.save`` that never leaves a half-written file under the final name.

    Raises:
        OutputError: the file could not be written; an existing file is left unchanged.
    """
    try:
        with whole_file(path) as temporary, open(temporary, "wb") as stream:
            torch.save(obj, stream)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise _not_written(path, error) from error
    except RuntimeError as error:
        # torch's writer hides the system's error, which is the context of torch's own error.
        cause = error.__context__
        if isinstance(cause, OSError) or "writ" in str(error):
            raise _not_written(path, cause if isinstance(cause, OSError) else error) from error
        raise


def _not_written(path: Path, error: Exception) -> OutputError:
    reason = getattr(error, "strerror", None) or str(error)
    try:
        free = f"; {shutil.disk_usage(path.parent).free / 1e6:.0f} MB are free there"
    except OSError:
        free = ""
    kept = f"{path} is unchanged" if path.exists() else "nothing was written"
    return OutputError(
        f"The checkpoint {path} could not be written: {reason}{free}. {kept[0].upper()}{kept[1:]}. "
        "Free some space and run the same command with --resume."
    )
