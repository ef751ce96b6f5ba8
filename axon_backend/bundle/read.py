"""Verify and open a bundle; its weights and atlas are read on request."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from axon_backend.bundle.checksums import bundle_sha256
from axon_backend.bundle.layout import (
    ATLAS,
    ATLAS_INFO,
    CONFIG,
    METADATA,
    SHIPPED,
    model_path,
    read_json,
)
from axon_backend.bundle.library import bundle_path
from axon_backend.bundle.metadata import recommended_stage
from axon_backend.bundle.packing import unpack
from axon_backend.bundle.verify import check_file, verify_bundle
from axon_backend.errors import AxonInputError
from axon_backend.util.chatter import no_chatter

if TYPE_CHECKING:  # torch is slow to import, and listing bundles does not need it
    import torch


@dataclass(frozen=True)
class Bundle:
    """A verified bundle folder.

    Attributes:
        path: the folder.
        name, version: from the metadata.
        config: configs/axon.json.
        metadata: configs/metadata.json.
        sha256: one hash over all files, recorded in outputs as provenance.
        checksums: {path in the bundle: SHA-256}.
    """

    path: Path
    name: str
    version: str
    config: dict[str, Any]
    metadata: dict[str, Any]
    sha256: str
    checksums: dict[str, str] = field(repr=False)

    @property
    def networks(self) -> tuple[str, ...]:
        """Names that `state_dict` accepts, sorted."""
        models = (name for name in self.checksums if name.startswith("models/"))
        return tuple(sorted(Path(name).stem for name in models))

    @property
    def recommended_stage(self) -> str | None:
        """The stage after which the authors recommend stopping; None: the last one."""
        return recommended_stage(self.metadata)

    def state_dict(self, name: str, dtype: torch.dtype | None = None) -> dict[str, torch.Tensor]:
        """Weights of one network on the CPU: `module.load_state_dict(bundle.state_dict(name))`.

        Args:
            name: one of `networks`.
            dtype: type of the floating-point tensors; None keeps the stored one (float16, or
                float32 for packed weights), which `load_state_dict` converts.

        Raises:
            AxonInputError: there is no such network, or its file has changed since the bundle was
                opened.
        """
        from safetensors.torch import load_file

        relative = model_path(name)
        if relative not in self.checksums:
            raise AxonInputError(
                f"The bundle {self.name} has no network '{name}'; it has "
                f"{', '.join(self.networks)}."
            )
        # Hash again: the folder may have been replaced while the program was running.
        tensors = unpack(load_file(str(check_file(self.path, relative, self.checksums[relative]))))
        if dtype is None:
            return tensors
        return {
            key: tensor.to(dtype) if tensor.is_floating_point() else tensor
            for key, tensor in tensors.items()
        }

    def atlas(self) -> tuple[np.ndarray, tuple[float, float, float]]:
        """Mean of the training volumes in the canonical thorax frame.

        Returns:
            HU as float32 [z, y, x], and the mean size of the frame in mm (x, y, z).

        Raises:
            AxonInputError: the atlas has changed on disk or does not match its description.
        """
        import SimpleITK as sitk

        info = read_json(check_file(self.path, ATLAS_INFO, self.checksums[ATLAS_INFO]))
        path = check_file(self.path, ATLAS, self.checksums[ATLAS])
        try:
            with no_chatter():
                image = sitk.ReadImage(str(path))
        except RuntimeError as error:
            raise AxonInputError(
                f"{path} cannot be read as NIfTI. Get the bundle again."
            ) from error
        size_mm = _size_mm(info, path.parent / "atlas.json")
        extent_mm = np.multiply(image.GetSize(), image.GetSpacing())
        if image.GetDimension() != 3 or not np.allclose(extent_mm, size_mm, rtol=1e-4):
            raise AxonInputError(
                f"{path} covers {extent_mm.round(2).tolist()} mm (x, y, z); atlas.json says "
                f"{list(size_mm)} mm. Get the bundle again."
            )
        if not np.allclose(image.GetDirection(), np.eye(3).ravel(), atol=1e-6):
            raise AxonInputError(
                f"{path} is rotated (direction {image.GetDirection()}); the canonical frame is "
                "axis-aligned with x to Left, y to Posterior, z to Superior."
            )
        return sitk.GetArrayFromImage(image).astype(np.float32), size_mm


def load_bundle(path: str | Path | None = None) -> Bundle:
    """Verify a bundle and open it.

    Args:
        path: its folder, or the name of an installed bundle (see ``library``); None: the preview
            bundle that comes with AXON.

    Raises:
        AxonInputError: not a bundle, damaged, or made for a newer AXON (see `verify_bundle`).
    """
    root = SHIPPED if path is None else bundle_path(path)
    if path is None and not root.is_dir():
        raise AxonInputError(
            f"This installation lacks its preview bundle ({root}). Reinstall axon-ct, or give the "
            "path of a bundle folder."
        )
    sums = verify_bundle(root)
    metadata = read_json(root / METADATA)
    return Bundle(
        path=root,
        name=metadata["name"],
        version=metadata["version"],
        config=read_json(root / CONFIG),
        metadata=metadata,
        sha256=bundle_sha256(sums),
        checksums=sums,
    )


def _size_mm(info: dict[str, Any], source: Path) -> tuple[float, float, float]:
    size = info.get("size_mm")
    if (
        not isinstance(size, list)
        or len(size) != 3
        or not all(isinstance(value, (int, float)) and value > 0 for value in size)
    ):
        raise AxonInputError(f"{source}: size_mm is {size!r}; expected three lengths in mm.")
    return float(size[0]), float(size[1]), float(size[2])
