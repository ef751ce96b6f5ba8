"""A quick case on the tiny bundle, and networks that run out of memory when told to."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from axon_backend.bundle import load_bundle, seal_bundle
from axon_backend.inference import memory_fallback
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.networks.encoder import LiftingEncoder
from axon_backend.networks.srnet import SRNet
from axon_backend.networks.unet import ControlBranch, DiffusionUNet

NETWORKS = {
    "encoder": LiftingEncoder,
    "unet": DiffusionUNet,  # the bridge's and the prior's
    "controlnet": ControlBranch,
    "sr": SRNet,
}


@pytest.fixture(scope="session")
def bundle(tiny_bundle, tmp_path_factory):
    """The tiny bundle with its zero-initialised layers shaken, so that every network matters."""
    path = tmp_path_factory.mktemp("shaken") / "bundle"
    shutil.copytree(tiny_bundle.path, path)
    generator = torch.Generator().manual_seed(5)
    for name in tiny_bundle.networks:
        tensors = tiny_bundle.state_dict(name)
        for key, value in tensors.items():
            if key != "mean" and value.is_floating_point():
                tensors[key] = value + 0.02 * torch.randn(value.shape, generator=generator)
        save_file(tensors, str(path / "models" / f"{name}.safetensors"), metadata={"format": "pt"})
    seal_bundle(path)
    return load_bundle(path)


@pytest.fixture
def runs_out(monkeypatch):
    """``runs_out(network, when)``: that network raises as a full GPU does while
    ``when(call number from 1, module, slab)`` is true. Returns the list of its calls."""

    def patch(network: str, when) -> list[int]:
        kind, calls = NETWORKS[network], []
        forward = kind.forward

        def short_of_memory(self, *args, **kwargs):
            calls.append(len(calls) + 1)
            slab = args[1] if network == "sr" and len(args) > 1 else kwargs.get("slab")
            if when(calls[-1], self, slab):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return forward(self, *args, **kwargs)

        monkeypatch.setattr(kind, "forward", short_of_memory)
        return calls

    return patch


@pytest.fixture
def gpu_ladder(monkeypatch):
    """The rungs of a GPU, walked on the CPU."""
    rungs = memory_fallback.ladder(torch.device("cuda"))
    cpu = torch.device("cpu")
    monkeypatch.setattr(
        memory_fallback, "ladder", lambda device: tuple(replace(r, device=cpu) for r in rungs)
    )
    return rungs


@pytest.fixture(scope="session")
def views() -> RegisteredViews:
    generator = torch.Generator().manual_seed(1)
    front, side = torch.rand(2, 1, 1, 64, 64, generator=generator) * 2 - 1
    return RegisteredViews(front, side, torch.tensor([[0.07, -0.09]]))
