"""Checkpoints: their format, and loading without executing code from the file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from axon_backend.errors import AxonInputError
from axon_backend.methods import registry

FORMAT, VERSION = "axon-checkpoint", 1


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Load a checkpoint.

    Raises:
        AxonInputError: the file is missing or damaged, or is not a checkpoint of this version.
    """
    try:
        values = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise AxonInputError(f"{path} does not exist.") from error
    except Exception as error:  # zip, pickle and torch raise many types
        raise AxonInputError(
            f"{path} could not be read as a checkpoint: the file is damaged or has another format. "
            "Move it away and train this stage again."
        ) from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise AxonInputError(f"{path} is not a checkpoint written by AXON's training.")
    if values.get("version") != VERSION:
        raise AxonInputError(
            f"{path} has version {values.get('version')!r}; this AXON reads version {VERSION}."
        )
    return values


def checkpoint_model(config: Mapping[str, Any], where: Path) -> Any:
    """The method's configuration, read from the configuration of a checkpoint.

    Args:
        config: the checkpoint's ``config``.
        where: its file or folder, for error messages.

    Raises:
        AxonInputError: the method is not installed or does not recognise the configuration.
    """
    method = registry.load(registry.method_name(config))
    try:
        return method.configure(config["model"])
    except (TypeError, ValueError) as error:
        raise AxonInputError(
            f"This version of AXON does not recognise the model settings of {where} ({error}). Use "
            "the version of AXON that trained it, or train this stage again."
        ) from error


def weights_hash(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over the names and values of a state dictionary, whatever its device."""
    total = hashlib.sha256()
    for name in sorted(state):
        total.update(name.encode())
        total.update(state[name].detach().cpu().contiguous().float().numpy().tobytes())
    return total.hexdigest()
