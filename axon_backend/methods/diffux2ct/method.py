"""DiffuX2CT as a :class:`Method`."""

from __future__ import annotations

from typing import Any

from axon_backend.methods.diffux2ct import INFO
from axon_backend.methods.diffux2ct.config import PRESETS, DiffuX2CTConfig, DiffuX2CTLoss
from axon_backend.methods.diffux2ct.model import DiffuX2CTModel
from axon_backend.methods.diffux2ct.train import DiffusionObjective
from axon_backend.methods.formats import STEP, tensor_format, views_format, volume_format
from axon_backend.methods.protocol import Method


class DiffuX2CTMethod(Method):
    """See the package's docstring."""

    info = INFO
    config_type = DiffuX2CTConfig
    presets = PRESETS
    objectives = {"diffusion": DiffusionObjective}
    loss_settings = DiffuX2CTLoss
    references = (
        "X. Liu, Z. Qiao, R. Liu, H. Li, J. Zhang, X. Zhen, Z. Qian, B. Zhang: DiffuX2CT: "
        "Diffusion Learning to Reconstruct CT Images from Biplanar X-Rays. ECCV 2024, "
        "arXiv:2407.13545. "
        "https://arxiv.org/abs/2407.13545",
    )

    def build(self, config: DiffuX2CTConfig) -> DiffuX2CTModel:
        return DiffuX2CTModel(self, config)

    def network_formats(self, config: DiffuX2CTConfig) -> dict[str, dict[str, Any]]:
        volume, asked = volume_format(config.size), config.diffusion.prediction
        output = tensor_format(
            "raw", "CT", [config.size] * 3, [], [f"{asked} of the Gaussian diffusion"]
        )
        planes = "three feature planes: frontal, lateral, axial"
        conditions = "a feature volume for each level of the denoiser"
        return {
            "tri_plane": {
                "inputs": views_format(config.view_size),
                "outputs": {"planes": planes},
            },
            "decoder": {
                "inputs": {"planes": planes, "beam": "cone-beam parameters, shape [B, 2]"},
                "outputs": {"conditions": conditions},
            },
            "denoiser": {
                "inputs": {"noisy": volume, "timesteps": STEP, "conditions": conditions},
                "outputs": {"prediction": output},
            },
        }

    def default_steps(self, config: DiffuX2CTConfig) -> dict[str, int]:
        return {"diffusion": config.sampling.steps}

    def recipe(self, preset: str, training: str) -> dict[str, Any]:
        if preset == "preview":
            return {}
        return {
            "minutes": None,
            "epochs": 300.0,
            "batch": 4,
            "micro_batch": 2,
            "ema": 0.9999,
            "log_steps": 20,
            "optimiser": {
                "name": "adam",
                "lr": 1e-4,
                "schedule": "constant",
                "warm_up": 0.0,
                "weight_decay": 0.0,
            },
            "validation": {"every_minutes": 60.0},
        }

    def smallest_side(self, config: DiffuX2CTConfig) -> int:
        return min(config.level_sizes)

    def describe(self, config: DiffuX2CTConfig) -> str:
        s, h = config.view_size, config.size
        return (
            f"DiffuX2CT, reimplemented from its publication: X-rays of {s} x {s} pixels to {h}^3 "
            "voxels, by three feature planes and a voxel diffusion."
        )


DIFFUX2CT = DiffuX2CTMethod()
