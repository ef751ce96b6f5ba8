"""Checkpoints: whole or not at all, loadable without running code from the file."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from axon_backend.errors import AxonInputError, OutputError
from axon_backend.util.atomic import whole_file

FORMAT, VERSION = "axon-checkpoint", 1


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


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """A checkpoint of this format; AxonInputError when it is missing, damaged or another kind."""
    try:
        values = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise AxonInputError(f"{path} does not exist.") from error
    except Exception as error:  # zip, pickle and torch raise many kinds
        raise AxonInputError(
            f"{path} could not be read as a checkpoint: the file is damaged or of another kind. "
            "Move it away and train this stage again."
        ) from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise AxonInputError(f"{path} is no checkpoint of AXON's training.")
    if values.get("version") != VERSION:
        raise AxonInputError(
            f"{path} is of version {values.get('version')!r}; this AXON reads {VERSION}."
        )
    return values


def weights_hash(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names and values of a state dictionary, on any device."""
    total = hashlib.sha256()
    for name in sorted(state):
        total.update(name.encode())
        total.update(state[name].detach().cpu().contiguous().float().numpy().tobytes())
    return total.hexdigest()
