"""The networks of a bundle on a device, and the bundle's atlas as a CT."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import torch

from axon_backend.bundle import Bundle, load_bundle
from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.methods.axon.model import Axon, AxonConfig


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


def _load(network: torch.nn.Module, bundle: Bundle, part: str) -> None:
    state = bundle.state_dict(part)
    own = network.state_dict()
    other = sorted(k for k in own.keys() | state.keys() if _shape(own, k) != _shape(state, k))
    if other:
        raise AxonInputError(
            f"The network '{part}' of the bundle {bundle.path} is not the one that its "
            f"configuration describes ({other[0]} differs). Get the bundle again."
        )
    network.load_state_dict(state)


def _shape(state: Mapping[str, torch.Tensor], name: str) -> torch.Size | None:
    return state[name].shape if name in state else None


@lru_cache(maxsize=2)
def _cached(path: str, sha256: str, device: str) -> Axon:
    bundle = load_bundle(path)
    values = {k: v for k, v in bundle.config.items() if k not in ("format_version",)}
    try:
        config = AxonConfig.from_dict(values)
    except (TypeError, ValueError) as error:
        raise AxonInputError(
            f"The configuration of the bundle {bundle.path} is not one that this AXON knows "
            f"({error}). Update AXON (pip install --upgrade axon-ct), or get the bundle again."
        ) from error
    model = Axon(config)
    for part in config.parts:
        _load(getattr(model, part), bundle, part)
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
