"""Device, precision and processes of a run, by Lightning Fabric.

One process by default. Under ``torchrun`` or ``srun`` each process finds its place from what those
put into the environment.
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
    # Only a step of srun has one process for each task; a batch script alone is one process.
    if "SLURM_STEP_ID" in env and int(env.get("SLURM_NTASKS", 1)) > 1:
        machines = int(env.get("SLURM_STEP_NUM_NODES", env.get("SLURM_NNODES", 1)))
        return int(env["SLURM_NTASKS"]) // machines, machines, "slurm"
    return 1, 1, "alone"


def resolve_precision(name: str, device: torch.device, smallest_side: int | None = None) -> str:
    """``auto`` is bfloat16 where the device computes in it, else 32 bits.

    Not on CPUs for networks that go down to 2 x 2 x 2 voxels (``smallest_side``): there the
    bfloat16 weight gradient of a convolution is unset memory (torch 2.13 with oneDNN).
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
        AxonInputError: Fabric is missing, the device is not there, or there are more processes
            than GPUs.
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
            "start one for each GPU."
        )
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it says what we say
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view")  # costs a copy
    warnings.filterwarnings("ignore", ".*`broadcast_buffers` is deprecated")  # 2.5 has no other
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
        # bfloat16, and with them the draws: a uniform number above 0.998 becomes 1.
        fabric._precision.convert_input = lambda data: data  # type: ignore[method-assign]
    fabric.launch()
    return fabric
