"""A run small enough for a test: three made-up chests, networks of a few thousand weights."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.write import write_volume
from axon_backend.methods.axon.method import AXON
from axon_backend.methods.protocol import Model
from axon_backend.training.checkpoint import weights_hash
from axon_backend.training.config import TrainConfig
from axon_backend.training.plan import resolve
from axon_backend.training.run.run_folder import RunFolder
from axon_backend.training.settings import apply, apply_pairs, as_plain
from axon_backend.training.torch_file import save_atomically

# Where pairs are kept: one folder for all tests of a session (set by the fixture ``data``).
shared: dict[str, str | None] = {"cache": None}
UNET = {"channels": [8, 8], "attention": [False, False], "groups": 4, "head_channels": 8}
TINY = {
    "batch": 2,
    "micro_batch": 1,
    "log_steps": 1,
    "precision": "32",
    "threads": 1,
    "data": {"cache": 4, "workers": 0},
    "validation": {"every_steps": 6, "cases": 1, "samples": 0},
    "model": {
        "encoder": {
            "size": 16, "view_size": 32, "channels": [8, 8, 8], "features": 1, "trunk": [8, 8],
        },
        "coarse": UNET,
        "prior": UNET,
        "sr": {"features": 4, "blocks": 1, "growth": 2},
    },
}  # fmt: skip


def tiny(stage: str = "coarse", *, steps: int = 3, pairs: tuple[str, ...] = ()) -> TrainConfig:
    """Tiny settings of a stage, with ``key=value`` texts on top."""
    config = apply(resolve(stage, steps=steps), TINY)
    config = apply(config, {"data": {"cache_folder": shared["cache"]}})
    return replace(apply_pairs(config, pairs), stage=stage).check()


def setting_lines(values=TINY, start="") -> list[str]:
    """Nested settings as ``key=value`` lines."""
    found = []
    for name, value in values.items():
        if isinstance(value, dict):
            found += setting_lines(value, f"{start}{name}.")
        else:
            found.append(f"{start}{name}={json.dumps(value)}")
    return found


def make_chest(node_mm: tuple[float, float, float] = (-90.0, 20.0, 50.0)) -> CTVolume:
    """Body, two lungs, a heart on the left, a spine and two nodules, (6, 5, 6) mm."""
    spacing, origin, shape = (6.0, 5.0, 6.0), (-200.0, -150.0, -180.0), (60, 60, 67)
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    x, y, z = (o + s * i for o, s, i in zip(origin, spacing, (x, y, z), strict=True))
    hu = np.full(shape, -1000.0, np.float32)

    def fill(value, centre, radii):
        r2 = sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), centre, radii, strict=True))
        hu[r2 < 1] = value

    fill(40.0, (0, 0, 0), (165, 110, 1e4))
    fill(-850.0, (-75, 0, 0), (55, 75, 120))
    fill(-850.0, (75, 0, 0), (55, 75, 115))
    fill(50.0, (35, -30, -50), (50, 40, 55))
    fill(500.0, (0, 75, 0), (18, 18, 1e4))
    fill(60.0, node_mm, (16, 16, 16))
    fill(60.0, (85, 10, 60), (12, 12, 12))
    return CTVolume(hu, spacing, origin, "phantom")


def write_data(folder: Path) -> Path:
    """A data.json with two chests to train on and one to validate on."""
    names = {"a": (-90.0, 20.0, 50.0), "b": (-60.0, -20.0, -30.0), "c": (-75.0, 0.0, 0.0)}
    for name, node in names.items():
        chest = make_chest(node)
        write_volume(folder / f"{name}.nii.gz", chest.hu, chest)
    listing = {"train": ["a.nii.gz", "b.nii.gz"], "validation": ["c.nii.gz"]}
    path = folder / "data.json"
    path.write_text(json.dumps(listing))
    return path


def write_runs(
    root: Path,
    config_of: Callable[[str], TrainConfig] = tiny,
    mean: torch.Tensor | None = None,
    size_mm: tuple[float, float, float] = (300.0, 230.0, 270.0),
) -> Model:
    """Folders of finished runs of all trainings, as the trainer leaves them; returns the model with
    their random networks. ``config_of`` gives the settings of a training, ``mean`` is the mean
    volume (1, 1, n, n, n) and ``size_mm`` the size of its frame."""
    torch.manual_seed(0)
    model = AXON.build(config_of("coarse").model)
    hashes = {p: weights_hash(model.network(p).state_dict()) for p in model.config.networks}
    if mean is None:
        mean = torch.linspace(-1, 1, 32).expand(1, 1, 32, 32, 32).clone()
    for number, stage in enumerate(("coarse", "prior", "controlnet", "sr")):
        config = config_of(stage)
        folder = RunFolder(root / stage)
        folder.last.parent.mkdir(parents=True)
        parts = {p: model.network(p).state_dict() for p in config.trains}
        save_atomically(
            {
                "format": "axon-checkpoint", "version": 1, "stage": stage, "step": 7 + number,
                "parts": parts, "figures": {"v2_1_psnr": 20.5}, "config": as_plain(config),
            },
            folder.best,
        )  # fmt: skip
        os.utime(folder.best, (1e9 + number, 1e9 + number))
        save_atomically(
            {"mean": mean, "size_mm": torch.tensor(size_mm)}, folder.last.parent / "mean.pt"
        )
        networks = {p: {"from": "x", "sha256": hashes[p]} for p in (*config.needs, *config.trains)}
        state = {
            "stage": stage, "status": "finished", "networks": networks, "git": "abc123def",
            "data_sha256": "f" * 64, "cases": {"train": 2, "validation": 1},
        }  # fmt: skip
        folder.run_file.write_text(json.dumps(state))
        folder.metrics_file.write_text("step,minutes,loss\n5,12.4,0.1\n9,30,0.1\n")
    return model
