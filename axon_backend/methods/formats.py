"""Tensors of networks in the words of MONAI's metadata.json."""

from __future__ import annotations

from typing import Any

STEP = "integer diffusion step, shape [B]"
"""The format of the times (B,) of a diffusion network."""


def tensor_format(
    kind: str, modality: str, shape: list[int], value_range: list[float], channels: list[str]
) -> dict[str, Any]:
    """One tensor, channel first.

    Args:
        kind: MONAI's format, for example ``hounsfield``, ``magnitude``, ``raw``.
        modality: "X-ray" or "CT".
        shape: spatial shape in pixels or voxels.
        value_range: [smallest, largest]; empty where there is none.
        channels: what each channel holds.
    """
    return {
        "type": "image",
        "format": kind,
        "modality": modality,
        "num_channels": len(channels),
        "spatial_shape": shape,
        "dtype": "float32",
        "value_range": value_range,
        "is_patch_data": False,
        "channel_def": {str(i): name for i, name in enumerate(channels)},
    }


def view_format(side: int) -> dict[str, Any]:
    """A registered, standardised X-ray."""
    return tensor_format("magnitude", "X-ray", [side] * 2, [0, 1], ["attenuation"])


def views_format(side: int) -> dict[str, Any]:
    """Both views."""
    return {"frontal": view_format(side), "lateral": view_format(side)}


def volume_format(side: int) -> dict[str, Any]:
    """A volume in normalised HU."""
    return tensor_format("hounsfield", "CT", [side] * 3, [-1, 1], ["HU, window mapped to -1..1"])
