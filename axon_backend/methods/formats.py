"""Tensor formats of networks for MONAI's metadata.json."""

from __future__ import annotations

from typing import Any

from axon_backend.bundle.metadata import tensor_format

__all__ = [
    "STEP",
    "tensor_format",
    "view_format",
    "views_format",
    "views_to_volume",
    "volume_format",
]

STEP = "integer diffusion step, shape [B]"
"""The format of the times (B,) of a diffusion network."""


def view_format(side: int) -> dict[str, Any]:
    """A registered, standardised X-ray."""
    return tensor_format("magnitude", "X-ray", [side] * 2, [0, 1], ["attenuation"])


def views_format(side: int) -> dict[str, Any]:
    """Both views."""
    return {"frontal": view_format(side), "lateral": view_format(side)}


def volume_format(side: int) -> dict[str, Any]:
    """A volume in normalised HU."""
    return tensor_format("hounsfield", "CT", [side] * 3, [-1, 1], ["HU, window mapped to -1..1"])


def views_to_volume(view_size: int, grid: int) -> dict[str, Any]:
    """Inputs and outputs of a network from the views to the volume."""
    return {"inputs": views_format(view_size), "outputs": {"volume": volume_format(grid)}}
