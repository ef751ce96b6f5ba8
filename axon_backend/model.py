"""The networks of a bundle on a device, and the bundle's atlas as a CT."""

from __future__ import annotations

from functools import lru_cache

import torch

from axon_backend.bundle import Bundle, load_bundle
from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.methods.axon import Axon, AxonConfig


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` is the GPU where there is one, else the CPU.

    Raises:
        AxonInputError: a device that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise AxonInputError(
            "Device 'cuda' was asked for, but PyTorch sees no NVIDIA GPU here. Use --device auto "
            "or cpu, or install a CUDA build of PyTorch."
        )
    if name not in ("cpu", "cuda"):
        raise AxonInputError(f"The device {name!r} is not known; it is one of auto, cpu, cuda.")
    return torch.device(name)


@lru_cache(maxsize=2)
def _cached(path: str, sha256: str, device: str) -> Axon:
    bundle = load_bundle(path)
    values = {k: v for k, v in bundle.config.items() if k not in ("format_version",)}
    model = Axon(AxonConfig.from_dict(values))
    for part in Axon.PARTS:
        getattr(model, part).load_state_dict(bundle.state_dict(part))
    return model.eval().requires_grad_(False).to(device)


def load_model(bundle: Bundle, device: torch.device | str = "cpu") -> Axon:
    """The networks of a bundle on a device, ready to run; kept for the next call."""
    return _cached(str(bundle.path), bundle.sha256, str(device))


def atlas_ct(bundle: Bundle) -> CTVolume:
    """The bundle's atlas (mean of the training volumes) as a CT whose frame is centred at 0."""
    hu, size_mm = bundle.atlas()
    n = hu.shape[0]
    frame = ThoraxFrame((0.0, 0.0, 0.0), size_mm)
    return CTVolume(
        hu=hu, spacing_mm=frame.spacing_mm(n), origin_mm=frame.origin_mm(n), source="atlas"
    )


def forget_models() -> None:
    """Let go of the models kept, and of the GPU memory they hold."""
    _cached.cache_clear()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
