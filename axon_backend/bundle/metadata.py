"""MONAI's metadata.json: what it must hold, and how AXON describes its networks in it."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from axon_backend.errors import AxonInputError

SCHEMA_URL = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)
"""MONAI's published schema; `metadata_schema.json` beside this file is our stricter one."""

REQUIRED_TEXT = (
    "schema", "name", "version", "monai_version", "pytorch_version", "numpy_version",
    "task", "description", "authors", "copyright", "intended_use",
)  # fmt: skip

PAPER = (
    "M. Rath, M. Ghahremani, Y. Li, A. Taghipour, M. Makowski, C. Wachinger: Conditional Diffusion "
    "for 3D CT Volume Reconstruction from 2D X-rays. arXiv:2603.26509 (2026). "
    "https://arxiv.org/abs/2603.26509"
)

INTENDED_USE = "Research use only. Not a medical device; not for diagnosis or treatment."


def metadata_schema_path() -> Path:
    """Local JSON schema, so that MONAI's check runs without a network.

    Example::

        monai.bundle.verify_metadata(meta_file=".../metadata.json",
                                     filepath=str(metadata_schema_path()))
    """
    return Path(__file__).with_name("metadata_schema.json")


def check_metadata(metadata: dict[str, Any], source: str = "metadata") -> None:
    """Raise AxonInputError unless what AXON reads of the metadata is there.

    The full check is the JSON schema; this one needs no further package.
    """
    for key in REQUIRED_TEXT:
        if not isinstance(metadata.get(key), str) or not metadata[key]:
            raise AxonInputError(f"{source}: '{key}' is {metadata.get(key)!r}; expected a text.")
    for key, value in metadata.items():
        if key.endswith("_data_format") and not (
            isinstance(value, dict) and {"inputs", "outputs"} <= value.keys()
        ):
            raise AxonInputError(f"{source}: '{key}' must hold 'inputs' and 'outputs'.")
    if "network_data_format" not in metadata:
        raise AxonInputError(f"{source}: 'network_data_format' is missing.")


def axon_metadata(
    *,
    name: str,
    version: str,
    description: str,
    image_size: int,
    grid: int,
    output_grid: int,
    hu_window: tuple[float, float],
    networks: Iterable[str],
    changelog: dict[str, str] | None = None,
    data_source: str = "",
    eval_metrics: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Metadata of an AXON bundle, valid against MONAI's schema.

    Args:
        name: name of the bundle, for example "axon-preview".
        version: version of the weights, for example "0.1.0".
        description: one or two sentences.
        image_size: side of the registered views in pixels as the encoder takes them.
        grid: side h of the coarse and fine volumes in voxels.
        output_grid: side of the volume after super-resolution in voxels.
        hu_window: HU that are mapped to -1 and 1.
        networks: names of the state dictionaries in the bundle; each gets a
            `<name>_data_format`. Unknown names are refused with AxonInputError.
        changelog: {version: what changed}; by default one line for this version.
        data_source: where the training data came from.
        eval_metrics: headline figures, for example {"psnr": 20.1}.
    """
    image = _tensor("magnitude", "X-ray", [image_size] * 2, [0, 1], "attenuation")
    volume = _tensor("hounsfield", "CT", [grid] * 3, [-1, 1], "HU, window mapped to -1..1")
    noise = _tensor("raw", "CT", [grid] * 3, [], "predicted noise or bridge residual")
    fine = _tensor("hounsfield", "CT", [output_grid] * 3, [-1, 1], "HU, window mapped to -1..1")
    result = _tensor("hounsfield", "CT", [output_grid] * 3, list(hu_window), "HU")
    step = "integer diffusion step, shape [B]"
    views = {"frontal": image, "lateral": image}
    formats: dict[str, dict[str, Any]] = {
        "encoder": {"inputs": views, "outputs": {"volume": volume}},
        "coarse": {
            "inputs": {"noisy": volume, "timesteps": step, "condition": volume},
            "outputs": {"prediction": noise},
        },
        "prior": {
            "inputs": {"noisy": volume, "timesteps": step},
            "outputs": {"prediction": noise},
        },
        "controlnet": {
            "inputs": {"noisy": volume, "timesteps": step, "condition": volume},
            "outputs": {"residuals": "feature maps added to the skip connections of the prior"},
        },
        "sr": {"inputs": {"volume": volume}, "outputs": {"volume": fine}},
    }
    named = set(networks)
    if "prior" not in named:  # stage 2 is a bridge too
        formats["controlnet"] = formats["coarse"]
    unknown = sorted(named - formats.keys())
    if unknown:
        raise AxonInputError(f"No description of the networks {unknown}; known: {list(formats)}.")
    return {
        "schema": SCHEMA_URL,
        "name": name,
        "version": version,
        "changelog": changelog or {version: "first weights"},
        "monai_version": _installed("monai"),
        "pytorch_version": _installed("torch"),
        "numpy_version": _installed("numpy"),
        "required_packages_version": {
            package: _installed(package) for package in ("safetensors", "SimpleITK", "einops")
        },
        "task": "CT volume of the chest from one or two X-rays",
        "description": description,
        "authors": "AXON contributors",
        "copyright": "Copyright AXON contributors, Apache-2.0",
        "data_source": data_source,
        "data_type": "dicom, nifti, png",
        "image_classes": "chest X-rays registered to the canonical thorax frame, log-linear",
        "eval_metrics": eval_metrics or {},
        "intended_use": INTENDED_USE,
        "references": [PAPER],
        "network_data_format": {"inputs": views, "outputs": {"ct": result}},
        **{f"{network}_data_format": formats[network] for network in sorted(named)},
    }


def _tensor(
    kind: str, modality: str, shape: list[int], value_range: list[float], channel: str
) -> dict[str, Any]:
    """One channel, channel first, in MONAI's words."""
    return {
        "type": "image",
        "format": kind,
        "modality": modality,
        "num_channels": 1,
        "spatial_shape": shape,
        "dtype": "float32",
        "value_range": value_range,
        "is_patch_data": False,
        "channel_def": {"0": channel},
    }


def _installed(package: str) -> str:
    try:
        # "2.13.0+cpu" says how torch was built here, which the weights do not depend on.
        return version(package).split("+")[0]
    except PackageNotFoundError:
        return "unknown"
