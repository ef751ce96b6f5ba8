"""Detection of installed models and hardware for the Reconstruct section."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field

from AXONReconstructionLib.setup import backend


@dataclass(frozen=True)
class Hardware:
    """Detected hardware and model defaults.

    Attributes:
        detected: False before detection has finished.
        gpu: name of the GPU available to PyTorch, or empty.
        steps: default number of steps by stage, by path of the model.
    """

    detected: bool = False
    gpu: str = ""
    steps: dict = field(default_factory=dict)


def bundles() -> list:
    """`BundleInfo` of all installed models; empty if `axon_backend` is not available."""
    backend.available()  # adds the package to the path if it is next to the module
    try:
        return list(importlib.import_module("axon_backend.bundle.library").installed_bundles())
    except ImportError:
        return []


def detect(paths) -> Hardware:
    """Import PyTorch and detect the hardware; takes seconds the first time.

    Args:
        paths: paths of the models.

    Raises:
        ImportError: a package is not installed.
    """
    backend.load()
    torch = importlib.import_module("torch")
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
    steps = {}
    for path in paths:
        try:
            sampling = backend.load("bundle").load_bundle(path).config["sampling"]
            steps[str(path)] = {s: int(sampling[f"{s}_steps"]) for s in ("coarse", "fine")}
        except Exception:  # a damaged model is reported when it is used
            continue
    return Hardware(True, gpu, steps)
