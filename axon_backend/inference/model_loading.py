"""Load a bundle's model: the method's networks on a device. Also its atlas as a CT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from axon_backend.bundle import Bundle
from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.methods import registry
from axon_backend.methods.protocol import Method, Model

# Keys of a bundle's configuration that do not belong to the method.
_OURS = ("method", "format_version")


def choose_device(name: str = "auto") -> torch.device:
    """The device with a name; ``auto`` is the GPU if there is one, else the CPU.

    Raises:
        AxonInputError: the device is unknown or not available.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise AxonInputError(
            "Device 'cuda' was requested, but PyTorch finds no NVIDIA GPU. Use --device auto or "
            "cpu, or install a CUDA build of PyTorch."
        )
    if name not in ("cpu", "cuda"):
        raise AxonInputError(f"The device {name!r} is not known; it is one of auto, cpu, cuda.")
    return torch.device(name)


def bundle_method(bundle: Bundle) -> Method:
    """The method of a bundle.

    Raises:
        AxonInputError: this installation does not have it.
    """
    return registry.load(registry.method_name(bundle.config))


def bundle_model(bundle: Bundle) -> Any:
    """A bundle's configuration, as its method represents it.

    Raises:
        AxonInputError: the method does not know it.
    """
    values = {k: v for k, v in bundle.config.items() if k not in _OURS}
    try:
        return bundle_method(bundle).configure(values)
    except (TypeError, ValueError) as error:
        raise AxonInputError(
            f"The configuration of the bundle {bundle.path} is not known to this version of AXON "
            f"({error}). Update AXON (pip install --upgrade axon-ct), or get the bundle again."
        ) from error


def bundle_config(method: Method, config: Any) -> dict[str, Any]:
    """Inverse of :func:`bundle_model`: the values of a bundle's configuration."""
    return {"method": method.info.name, **config.as_dict()}


def load_model(bundle: Bundle, device: torch.device | str = "cpu") -> Model:
    """The networks of a bundle on a device, ready to run.

    Raises:
        AxonInputError: the configuration is not known, or the weights do not match it.
    """
    model = _meta_model(bundle)
    for name in model.config.networks:
        network = model.network(name)
        own, state = network.state_dict(), _weights_for(network, bundle, name)
        network.load_state_dict({k: _laid_out(state[k], own[k]) for k in own}, assign=True)
    if _lacks_memory(model):  # it makes tensors that are not among its weights
        model = bundle_method(bundle).build(model.config)
        for name in model.config.networks:
            network = model.network(name)
            network.load_state_dict(_weights_for(network, bundle, name))
    if torch.device(device).type == "cuda":
        torch.backends.cudnn.benchmark = True  # every step has the shapes of the one before
    return model.eval().requires_grad_(False).to(device)


def _laid_out(stored: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Stored weights in the type and the memory format that the network gave its own."""
    if stored.dtype == like.dtype and stored.stride() == like.stride():
        return stored
    return torch.empty_strided(like.shape, like.stride(), dtype=like.dtype).copy_(stored)


def _lacks_memory(model: Model) -> bool:
    return any(
        isinstance(value, torch.Tensor) and value.is_meta
        for module in model.modules()
        for held in (module._parameters, module._buffers, vars(module))
        for value in held.values()
    )


def check_model(bundle: Bundle) -> None:
    """Compare the weights of a bundle with the networks that its configuration describes.

    Raises:
        AxonInputError: the configuration is not known, or the weights do not match it.
    """
    model = _meta_model(bundle)
    for name in model.config.networks:
        _weights_for(model.network(name), bundle, name)


def parameter_count(bundle: Bundle) -> int:
    """Number of trained parameters in the networks of a bundle.

    Raises:
        AxonInputError: its networks cannot be built from its configuration.
    """
    return sum(parameter.numel() for parameter in _meta_model(bundle).parameters())


def atlas_ct(bundle: Bundle) -> CTVolume:
    """The bundle's atlas (mean of the training volumes) as a CT whose frame is centred at 0."""
    hu, size_mm = bundle.atlas()
    n = hu.shape[0]
    frame = ThoraxFrame((0.0, 0.0, 0.0), size_mm)
    return CTVolume(
        hu=hu,
        spacing_mm=frame.spacing_mm(n),
        origin_mm=frame.origin_mm(n),
        source="atlas",
        is_atlas=True,
    )


def _meta_model(bundle: Bundle) -> Model:
    """The networks on the meta device: without memory for weights, however large they are."""
    config = bundle_model(bundle)
    try:
        with torch.device("meta"):
            return bundle_method(bundle).build(config)
    except Exception as error:  # layers may raise anything for senseless numbers
        raise AxonInputError(
            f"No networks can be built from the configuration of the bundle {bundle.path} "
            f"({' '.join(str(error).split())}). Get the bundle again."
        ) from error


def _weights_for(network: torch.nn.Module, bundle: Bundle, name: str) -> dict[str, torch.Tensor]:
    """The weights of a network; raises unless their names and shapes match it."""
    state, own = bundle.state_dict(name), network.state_dict()
    differ = sorted(k for k in own.keys() | state.keys() if _shape(own, k) != _shape(state, k))
    if differ:
        raise AxonInputError(
            f"The network '{name}' of the bundle {bundle.path} is not the one that its "
            f"configuration describes ({differ[0]} differs). Get the bundle again."
        )
    return state


def _shape(state: Mapping[str, torch.Tensor], name: str) -> torch.Size | None:
    return state[name].shape if name in state else None
