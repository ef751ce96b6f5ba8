"""Device, precision and processes of a run, by Lightning Fabric.

One process by default. Under ``torchrun`` or ``srun`` each process reads its rank from the
environment.
"""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any

import torch

from axon_backend.errors import AxonInputError
from axon_backend.inference.model_loading import choose_device
from axon_backend.networks.precision import cpu_has_bfloat16

MISSING = (
    "Training needs the package lightning-fabric, which is not installed: "
    "pip install axon-ct[train]"
)


def world_topology() -> tuple[int, int, str]:
    """(processes on this machine, machines, "torchrun" | "slurm" | "alone")."""
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env or {"RANK", "WORLD_SIZE", "LOCAL_RANK"} <= env.keys():
        world = int(env.get("WORLD_SIZE", 1))
        here = int(env.get("LOCAL_WORLD_SIZE", world))
        return here, max(1, world // here), "torchrun"
    # Only an srun step starts a process for each task; a batch script itself is one process.
    if "SLURM_STEP_ID" in env and int(env.get("SLURM_NTASKS", 1)) > 1:
        machines = int(env.get("SLURM_STEP_NUM_NODES", env.get("SLURM_NNODES", 1)))
        return int(env["SLURM_NTASKS"]) // machines, machines, "slurm"
    return 1, 1, "alone"


def resolve_precision(name: str, device: torch.device, smallest_side: int | None = None) -> str:
    """Resolve ``auto``: bfloat16 where the device supports it, else 32 bits.

    CPUs use 32 bits for networks that downsample to 2 x 2 x 2 voxels (``smallest_side``): there
    the bfloat16 weight gradient of a convolution is uninitialised memory (torch 2.13, oneDNN).
    """
    if name != "auto":
        return name
    if device.type == "cpu" and smallest_side is not None and smallest_side <= 2:
        return "32"
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32"
    return "bf16-mixed" if cpu_has_bfloat16() else "32"


def launch(device_name: str, precision: str, smallest_side: int | None = None) -> Any:
    """A launched ``Fabric``.

    Raises:
        AxonInputError: Fabric is not installed, the device is not available, or there are more
            processes than GPUs.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.plugins import MixedPrecision
        from lightning_fabric.plugins.environments import LightningEnvironment
        from lightning_fabric.strategies import DDPStrategy
    except ImportError as error:
        raise AxonInputError(MISSING) from error
    device = choose_device(device_name)
    here, machines, how = world_topology()
    if device.type == "cuda" and here > torch.cuda.device_count():
        raise AxonInputError(
            f"{here} processes were started on a machine with {torch.cuda.device_count()} GPUs; "
            "start one process per GPU."
        )
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it repeats our messages
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view")  # costs one copy
    # Deprecated in newer versions; 2.5 has no alternative.
    warnings.filterwarnings("ignore", ".*`broadcast_buffers` is deprecated")
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    options: dict[str, Any] = {}
    if how == "alone":
        options["plugins"] = LightningEnvironment()
    else:
        options["strategy"] = DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
    fabric = Fabric(
        accelerator=device.type,
        devices=here,
        num_nodes=machines,
        precision=resolve_precision(precision, device, smallest_side),  # type: ignore[arg-type]
        **options,
    )
    if isinstance(fabric._precision, MixedPrecision):
        # Autocast chooses the precision of each layer. Fabric would first round whole batches to
        # bfloat16, including the random draws: a uniform number above 0.998 would become 1.
        fabric._precision.convert_input = lambda data: data  # type: ignore[method-assign]
    fabric.launch()
    return fabric
