"""Detection of installed models and hardware for the Reconstruct section."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path

from AXONReconstructionLib.setup import backend


@dataclass(frozen=True)
class Hardware:
    """Detected hardware and model defaults.

    Attributes:
        detected: False before detection has finished.
        gpu: name of the GPU available to PyTorch, or empty.
        steps: default number of steps by stage, by path of the model.
        drawSteps: the stages that take another number of steps for several samples, likewise.
    """

    detected: bool = False
    gpu: str = ""
    steps: dict = field(default_factory=dict)
    drawSteps: dict = field(default_factory=dict)


def bundles() -> list:
    """`BundleInfo` of all installed models; empty if `axon_backend` is not available."""
    try:
        return list(backend.loadLight("bundle.library").installed_bundles())
    except ImportError:
        return []


def bundleAt(path: str):
    """`BundleInfo` of a model's folder outside of the library; None if it is no model."""
    try:
        return backend.loadLight("bundle.library").bundle_info(Path(path))
    except ImportError:
        return None


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
    steps, drawSteps = {}, {}
    loading = backend.load("inference.model_loading")
    for path in paths:
        try:
            bundle = backend.load("bundle").load_bundle(path)
            config = loading.bundle_model(bundle)
            method = loading.bundle_method(bundle)
            steps[str(path)] = method.default_steps(config)
            drawSteps[str(path)] = method.draw_steps(config)
        except Exception:  # a damaged model is reported when it is used
            continue
    return Hardware(True, gpu, steps, drawSteps)
