"""Write a bundle: in a hidden folder first, then moved into place as a whole, so that no reader
finds half a bundle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from axon_backend.bundle.checksums import bundle_sha256, write_checksums
from axon_backend.bundle.layout import (
    ATLAS,
    ATLAS_INFO,
    CONFIG,
    FORMAT_VERSION,
    LICENCE,
    METADATA,
    MODEL_CARD,
    model_path,
    write_json,
)
from axon_backend.bundle.packing import pack
from axon_backend.bundle.read import Bundle, load_bundle
from axon_backend.bundle.verify import verify_bundle
from axon_backend.errors import AxonInputError, not_written
from axon_backend.util.output_folder import whole_folder

if TYPE_CHECKING:
    import torch


def write_bundle(
    path: str | Path,
    *,
    config: Mapping[str, Any],
    metadata: Mapping[str, Any],
    state_dicts: Mapping[str, Mapping[str, torch.Tensor]],
    atlas_hu: np.ndarray,
    atlas_size_mm: tuple[float, float, float],
    model_card: str,
    licence_text: str,
    dtype: torch.dtype | None = None,
    replace: bool = False,
) -> Bundle:
    """Write a complete bundle folder and open it.

    Args:
        path: the folder to create; missing parent folders are created.
        config: plain JSON values for configs/axon.json; `format_version` is added.
        metadata: content of configs/metadata.json; see `bundle_metadata`.
        state_dicts: {network: state dictionary}; floating-point tensors are stored as `dtype`,
            others unchanged.
        atlas_hu: mean training volume [z, y, x] in HU in the canonical thorax frame.
        atlas_size_mm: size of that frame (x, y, z) in mm.
        model_card: Markdown for docs/README.md.
        licence_text: content of LICENSE.
        dtype: torch.float16 by default; torch.int8 packs the weights (``packing``).
        replace: replace an existing bundle, which is kept until the new one is complete and
            verified.

    Raises:
        AxonInputError: the target exists, the metadata is incomplete, a weight is not finite as
            `dtype`, or a value cannot be stored as JSON.
        OutputError: the disk is full.
    """
    target = Path(path)
    _check_target(target, replace)
    try:
        with whole_folder(target, overwrite=replace) as new:
            for relative in (METADATA, ATLAS, MODEL_CARD, "models/x"):
                (new / relative).parent.mkdir()
            try:
                write_json(new / CONFIG, {**config, "format_version": FORMAT_VERSION})
                write_json(new / METADATA, dict(metadata))
            except (TypeError, ValueError) as error:
                raise AxonInputError(f"config and metadata must be plain JSON: {error}.") from error
            for name, tensors in state_dicts.items():
                _write_network(new / model_path(name), name, tensors, dtype)
            _write_atlas(new, atlas_hu, atlas_size_mm)
            (new / MODEL_CARD).write_bytes(model_card.encode())
            (new / LICENCE).write_bytes(licence_text.encode())
            write_checksums(new)
            verify_bundle(new)
            if replace:
                _check_target(target, replace)  # it may have appeared in the meantime
    except OSError as error:
        raise not_written(
            f"Cannot write the bundle {target}: {error.strerror or error}. Check the free space "
            "and the permissions of the folder; an existing bundle is unchanged.",
            error,
        ) from error
    return load_bundle(target)


def seal_bundle(path: str | Path) -> str:
    """Update SHA256SUMS after the model card or the configuration was edited by hand, and verify
    the bundle. Returns the new hash of the whole bundle.
    """
    root = Path(path)
    if not (root / CONFIG).is_file():
        raise AxonInputError(f"{root} is not an AXON bundle: it has no {CONFIG}.")
    write_checksums(root)
    return bundle_sha256(verify_bundle(root))


def _check_target(target: Path, replace: bool) -> None:
    if not os.path.lexists(target):
        return
    if not replace:
        raise AxonInputError(
            f"{target} already exists. Choose another folder, or replace it with --overwrite."
        )
    # Replacing removes a whole folder: never do that to one that is not a bundle.
    if target.is_symlink() or not (target / CONFIG).is_file():
        raise AxonInputError(f"{target} is not an AXON bundle and is not replaced.")


def _write_network(
    path: Path, name: str, tensors: Mapping[str, torch.Tensor], dtype: torch.dtype | None
) -> None:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    stored: dict[str, torch.Tensor] = {}
    for key, tensor in tensors.items():
        # Copied, because safetensors refuses tensors that share memory.
        value = tensor.detach().to("cpu", copy=True).contiguous()
        if not value.is_floating_point():
            stored[key] = value
            continue
        if dtype == torch.int8:
            packed = pack(key, value)
        else:
            packed = {key: value.to(dtype or torch.float16)}
        for part in packed.values():
            if part.is_floating_point() and not torch.isfinite(part).all():
                raise AxonInputError(
                    f"The network '{name}' has values in '{key}' that are not finite as "
                    f"{part.dtype} (largest input: {tensor.abs().max().item():g})."
                )
        stored |= packed
    if not stored:
        raise AxonInputError(f"The state dictionary of the network '{name}' is empty.")
    try:
        save_file(stored, str(path), metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(str(error)) from error


def _write_atlas(root: Path, hu: np.ndarray, size_mm: tuple[float, float, float]) -> None:
    import SimpleITK as sitk

    from axon_backend.imaging.write import write_image

    hu = np.asarray(hu)
    if hu.ndim != 3 or not np.isfinite(hu).all():
        raise AxonInputError(
            f"The atlas must be a finite volume [z, y, x] in HU; found shape {hu.shape}."
        )
    if len(size_mm) != 3 or not all(np.isfinite(size) and size > 0 for size in size_mm):
        raise AxonInputError(f"The atlas needs three lengths in mm (x, y, z); found {size_mm}.")
    image = sitk.GetImageFromArray(np.clip(np.rint(hu), -32768, 32767).astype(np.int16))
    size = np.asarray(size_mm, float)
    spacing = size / image.GetSize()
    image.SetSpacing(spacing.tolist())
    image.SetOrigin((-size / 2 + spacing / 2).tolist())  # the frame's centre is at 0, 0, 0
    write_image(image, root / ATLAS)
    write_json(
        root / ATLAS_INFO,
        {"size_mm": [float(value) for value in size_mm], "axes": "x Left, y Posterior, z Superior"},
    )
