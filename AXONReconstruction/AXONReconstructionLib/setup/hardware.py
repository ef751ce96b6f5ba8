"""What the Reconstruct section must know of this computer, detected up away from the main thread."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field

from AXONReconstructionLib.setup import backend


@dataclass(frozen=True)
class Hardware:
    """What was found.

    detected: False while nobody has detected yet. gpu: name of the graphics card that PyTorch can use,
    or empty. steps: the own number of steps of each model by stage, by the model's path.
    """

    detected: bool = False
    gpu: str = ""
    steps: dict = field(default_factory=dict)


def bundles() -> list:
    """`BundleInfo` of every installed model; empty when AXON's package is not there."""
    backend.available()  # makes the package importable where it lies beside the module
    try:
        return list(importlib.import_module("axon_backend.bundle.library").installed_bundles())
    except ImportError:
        return []


def detect(paths) -> Hardware:
    """Import PyTorch and look; seconds the first time.

    Args:
        paths: of the models.

    Raises:
        ImportError: something is not installed.
    """
    backend.load()
    torch = importlib.import_module("torch")
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
    steps = {}
    for path in paths:
        try:
            sampling = backend.load("bundle").load_bundle(path).config["sampling"]
            steps[str(path)] = {s: int(sampling[f"{s}_steps"]) for s in ("coarse", "fine")}
        except Exception:  # a damaged model says so when it is used
            continue
    return Hardware(True, gpu, steps)
