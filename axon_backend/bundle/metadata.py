"""MONAI's metadata.json: creating it, and checking its required entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from axon_backend.errors import AxonInputError

SCHEMA_URL = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)
"""MONAI's published schema; `metadata_schema.json` beside this file is stricter."""

REQUIRED_TEXT = (
    "schema", "name", "version", "monai_version", "pytorch_version", "numpy_version",
    "task", "description", "authors", "copyright", "intended_use",
)  # fmt: skip

INTENDED_USE = "Research use only. Not a medical device; not for diagnosis or treatment."


def metadata_schema_path() -> Path:
    """Path of the local JSON schema, so that MONAI's check runs offline.

    Example::

        monai.bundle.verify_metadata(meta_file=".../metadata.json",
                                     filepath=str(metadata_schema_path()))
    """
    return Path(__file__).with_name("metadata_schema.json")


def check_metadata(metadata: dict[str, Any], source: str = "metadata") -> None:
    """Raise AxonInputError unless the metadata has all the entries that AXON reads.

    The full check is the JSON schema, which needs a further package.
    """
    for key in REQUIRED_TEXT:
        if not isinstance(metadata.get(key), str) or not metadata[key]:
            raise AxonInputError(f"{source}: '{key}' is {metadata.get(key)!r}; expected text.")
    for key, value in metadata.items():
        if key.endswith("_data_format") and not (
            isinstance(value, dict) and {"inputs", "outputs"} <= value.keys()
        ):
            raise AxonInputError(f"{source}: '{key}' must contain 'inputs' and 'outputs'.")
    if "network_data_format" not in metadata:
        raise AxonInputError(f"{source}: 'network_data_format' is missing.")


def recommended_stage(metadata: Mapping[str, Any]) -> str | None:
    """The stage after which a bundle's authors recommend stopping; None: the method's last one."""
    stage = metadata.get("recommended_stage")
    return stage if isinstance(stage, str) and stage else None


def tensor_format(
    kind: str, modality: str, shape: list[int], value_range: list[float], channels: list[str]
) -> dict[str, Any]:
    """Description of one tensor, channel first.

    Args:
        kind: MONAI's format, for example ``hounsfield``, ``magnitude``, ``raw``.
        modality: "X-ray" or "CT".
        shape: spatial shape in pixels or voxels.
        value_range: [lowest, highest]; empty if unbounded.
        channels: the meaning of each channel.
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


def bundle_metadata(
    *,
    name: str,
    version: str,
    description: str,
    inputs: Mapping[str, Any],
    output_grid: int,
    hu_window: tuple[float, float],
    networks: Mapping[str, Mapping[str, Any]],
    references: Sequence[str] = (),
    changelog: dict[str, str] | None = None,
    data_source: str = "",
    eval_metrics: dict[str, float] | None = None,
    recommended_stage: str = "",
) -> dict[str, Any]:
    """Metadata of a bundle, valid against MONAI's schema.

    Args:
        name: name of the bundle, for example "axon-preview".
        version: version of the weights, for example "0.1.0".
        description: one or two sentences.
        inputs: {view: tensor format} of the images that `axon reconstruct` passes to the networks.
        output_grid: side of the final volume in voxels.
        hu_window: HU that are mapped to -1 and 1.
        networks: {network: {"inputs": ..., "outputs": ...}}, as the method describes them; each
            becomes a `<name>_data_format`.
        references: papers.
        changelog: {version: changes}; by default one line for this version.
        data_source: where the training data came from.
        eval_metrics: headline metrics, for example {"psnr": 20.1}.
        recommended_stage: the last stage to run by default, if it is not the method's last
            one.
    """
    result = tensor_format("hounsfield", "CT", [output_grid] * 3, list(hu_window), ["HU"])
    recommended = {"recommended_stage": recommended_stage} if recommended_stage else {}
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
        "references": list(references),
        **recommended,
        "network_data_format": {"inputs": dict(inputs), "outputs": {"ct": result}},
        **{f"{network}_data_format": dict(networks[network]) for network in sorted(networks)},
    }


def _installed(package: str) -> str:
    try:
        # Without the build of torch ("2.13.0+cpu"), on which the weights do not depend.
        return version(package).split("+")[0]
    except PackageNotFoundError:
        return "unknown"
