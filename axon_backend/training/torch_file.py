"""Files of torch that appear whole or not at all."""

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
        OutputError: the disk is full or refuses; the file that was there before stays.
    """
    try:
        with whole_file(path) as temporary, open(temporary, "wb") as stream:
            torch.save(obj, stream)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise _refused(path, error) from error
    except RuntimeError as error:
        # torch's writer hides the system's error, which is the context of its own.
        cause = error.__context__
        if isinstance(cause, OSError) or "writ" in str(error):
            raise _refused(path, cause if isinstance(cause, OSError) else error) from error
        raise


def _refused(path: Path, error: Exception) -> OutputError:
    reason = getattr(error, "strerror", None) or str(error)
    try:
        free = f"; {shutil.disk_usage(path.parent).free / 1e6:.0f} MB are free there"
    except OSError:
        free = ""
    kept = f"{path} is as it was before" if path.exists() else "nothing was written"
    return OutputError(
        f"The checkpoint {path} could not be written: {reason}{free}. {kept[0].upper()}{kept[1:]}. "
        "Free some space and run the same command with --resume."
    )
