"""Where processes find their place, and which precision they compute in."""

from dataclasses import replace

import pytest
import torch

from axon_backend.errors import AxonInputError
from axon_backend.methods.axon.config import paper, preview
from axon_backend.methods.axon.method import AXON
from axon_backend.networks import precision
from axon_backend.training.run.fabric import launch, resolve_precision, world_topology


def test_places_come_from_the_launcher(monkeypatch):
    assert world_topology() == (1, 1, "alone")
    # Inside a batch job, but not started by srun: one process.
    monkeypatch.setenv("SLURM_NTASKS", "8")
    assert world_topology() == (1, 1, "alone")
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    monkeypatch.setenv("SLURM_STEP_NUM_NODES", "2")
    assert world_topology() == (4, 2, "slurm")
    for name, value in {"RANK": "5", "WORLD_SIZE": "6", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert world_topology() == (2, 3, "torchrun")


def test_precision_is_what_the_device_computes_in(monkeypatch):
    cpu = torch.device("cpu")
    for has in (True, False):
        monkeypatch.setattr(
            "axon_backend.training.run.fabric.cpu_has_bfloat16", lambda has=has: has
        )
        assert resolve_precision("auto", cpu) == ("bf16-mixed" if has else "32")
        assert resolve_precision("32", cpu) == "32"
    assert precision.cpu_has_bfloat16() in (True, False)


def test_networks_that_end_at_two_voxels_stay_in_32_bits_on_a_cpu(monkeypatch):
    monkeypatch.setattr("axon_backend.training.run.fabric.cpu_has_bfloat16", lambda: True)
    assert AXON.smallest_side(preview()) == AXON.smallest_side(paper()) == 8
    small = replace(preview(), encoder=replace(preview().encoder, size=16))
    assert AXON.smallest_side(small) == 2
    cpu = torch.device("cpu")
    assert resolve_precision("auto", cpu, AXON.smallest_side(small)) == "32"
    assert resolve_precision("auto", cpu, AXON.smallest_side(preview())) == "bf16-mixed"
    assert resolve_precision("auto", cpu, None) == "bf16-mixed"


@pytest.mark.parametrize("precision", ["32", "bf16-mixed"])
def test_batches_reach_the_loss_as_they_were_drawn(precision):
    """Rounded to bfloat16, 0.9995 would be 1: a time one beyond the last."""

    class Loss(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 2)

        def forward(self, u):
            self.seen = u
            return self.layer(u.float()).sum()

    loss, u = Loss(), torch.tensor([0.9995, 0.0], dtype=torch.float64)
    launch("cpu", precision).setup_module(loss)(u)
    assert torch.equal(loss.seen, u) and loss.seen.dtype is torch.float64


def test_a_device_that_is_not_there_is_said():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(AxonInputError, match="no NVIDIA GPU"):
        launch("cuda", "auto")
