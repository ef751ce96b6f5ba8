"""Checkpoints: whole or not at all, loadable without running code from the file."""

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


def checkpoint_model(config: Mapping[str, Any], where: Path) -> Any:
    """The method's configuration in the configuration of a checkpoint; ``where`` it was found.

    Raises:
        AxonInputError: the method is not installed, or the configuration is not one that it knows.
    """
    method = registry.load(registry.method_name(config))
    try:
        return method.configure(config["model"])
    except (TypeError, ValueError) as error:
        raise AxonInputError(
            f"The model settings of {where} are not ones that this AXON knows ({error}). Use the "
            "version of AXON that trained it, or train this stage again."
        ) from error


def weights_hash(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names and values of a state dictionary, on any device."""
    total = hashlib.sha256()
    for name in sorted(state):
        total.update(name.encode())
        total.update(state[name].detach().cpu().contiguous().float().numpy().tobytes())
    return total.hexdigest()
