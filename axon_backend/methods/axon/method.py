"""AXON as a :class:`Method`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from axon_backend.methods.axon import INFO
from axon_backend.methods.axon.calibrate import calibrate
from axon_backend.methods.axon.config import PRESETS, RENAMED, AxonConfig, AxonLoss
from axon_backend.methods.axon.model import AxonModel
from axon_backend.methods.axon.recipes import PAPER_DEVIATIONS, recipe
from axon_backend.methods.axon.train_coarse import CoarseObjective
from axon_backend.methods.axon.train_encoder import EncoderObjective
from axon_backend.methods.axon.train_fine import ControlNetObjective, PriorObjective
from axon_backend.methods.axon.train_harmoniser import HarmoniserObjective
from axon_backend.methods.axon.train_sr import CROP, SRObjective
from axon_backend.methods.batch import Batch
from axon_backend.methods.formats import (
    STEP,
    tensor_format,
    view_format,
    views_to_volume,
    volume_format,
)
from axon_backend.methods.protocol import Method, Model
from axon_backend.methods.typed_config import Gone
from axon_backend.networks.encoder import TRUNK_PATCH

_NETWORKS = {
    "coarse": ("harmoniser", "encoder", "coarse"),
    "fine": ("harmoniser", "prior", "controlnet"),
    "sr": ("sr",),
}
# The sections of the configuration that a network is built from and trained with.
_SECTIONS = {
    "encoder": ("encoder", "window"),
    "coarse": ("coarse", "bridge", "condition_on_views"),
    "prior": ("prior", "diffusion"),
    "controlnet": ("prior", "diffusion", "condition_on_views", "fine_diff", "global_encoder"),
    "sr": ("sr",),
    "harmoniser": ("harmoniser", "view_size"),
}


class AxonMethod(Method):
    """See the package's docstring."""

    info = INFO
    config_type = AxonConfig
    presets = PRESETS
    loss_settings = AxonLoss
    objectives = {
        "encoder": EncoderObjective,
        "coarse": CoarseObjective,
        "prior": PriorObjective,
        "controlnet": ControlNetObjective,
        "sr": SRObjective,
        "harmoniser": HarmoniserObjective,
    }
    references = (
        "M. Rath, M. Ghahremani, Y. Li, A. Taghipour, M. Makowski, C. Wachinger: Conditional "
        "Diffusion for 3D CT Volume Reconstruction from 2D X-rays. arXiv:2603.26509 (2026). "
        "https://arxiv.org/abs/2603.26509",
    )

    renamed_settings = {
        "loss.at_the_end": "loss.p_t_end",
        "loss.doubt": "loss.conditioning_augmentation",
        "loss.crop": Gone(CROP),
        **{
            f"model.{old}": f"model.{new}" if isinstance(new, str) else new
            for old, new in RENAMED.items()
        },
    }

    def configure(self, values: Mapping[str, Any]) -> AxonConfig:
        return AxonConfig.from_dict(dict(values))

    def build(self, config: AxonConfig) -> AxonModel:
        return AxonModel(self, config)

    def networks_of(self, config: AxonConfig, stage: str) -> tuple[str, ...]:
        return tuple(name for name in _NETWORKS[stage] if name in config.networks)

    def default_steps(self, config: AxonConfig) -> dict[str, int]:
        sampling = config.sampling
        return {"coarse": sampling.coarse_steps, "fine": sampling.fine_steps, "sr": 1}

    def draw_steps(self, config: AxonConfig) -> dict[str, int]:
        steps = config.sampling.coarse_draw_steps
        return {"coarse": steps} if steps else {}

    def calibrated(
        self, model: Model, batches: Sequence[Batch], steps: int, tell: Callable[[str], None]
    ) -> AxonConfig | None:
        assert isinstance(model, AxonModel)
        return (
            calibrate(model, batches, steps, tell) if model.config.sampling.coarse_steps else None
        )

    def stochastic_stages(self, config: AxonConfig) -> tuple[str, ...]:
        return ("coarse", "fine") if config.sampling.coarse_steps else ("fine",)

    def network_formats(self, config: AxonConfig) -> dict[str, dict[str, Any]]:
        h = config.grid
        seen = ["volume of the stage before, HU window mapped to -1..1"]
        if config.condition_on_views:
            seen += [
                "back-projected frontal view", "back-projected lateral view",
                "back-projected residual, frontal", "back-projected residual, lateral",
            ]  # fmt: skip
        condition = tensor_format("raw", "CT", [h] * 3, [], seen)
        volume = volume_format(h)

        def output(process: Any, asked: str) -> dict[str, Any]:
            return {
                "prediction": tensor_format("raw", "CT", [h] * 3, [], [f"{asked} of {process}"])
            }

        conditioned = {"noisy": volume, "timesteps": STEP, "condition": condition}
        bridge = output("the Brownian bridge", config.bridge.objective)
        formats: dict[str, dict[str, Any]] = {
            "encoder": views_to_volume(config.view_size, h),
            "coarse": {"inputs": conditioned, "outputs": bridge},
            "prior": {
                "inputs": {"noisy": volume, "timesteps": STEP},
                "outputs": output("the Gaussian diffusion", config.diffusion.prediction),
            },
            "controlnet": {
                "inputs": conditioned,
                "outputs": {"residuals": "feature maps added to the skip connections of the prior"},
            },
            "sr": {
                "inputs": {"volume": volume},
                "outputs": {"volume": volume_format(config.output_grid)},
            },
            "harmoniser": {
                "inputs": {"view": view_format(config.view_size)},
                "outputs": {"view": view_format(config.view_size)},
            },
        }
        if config.fine_diff == "bridge":
            formats["controlnet"] = {"inputs": conditioned, "outputs": bridge}
        return {name: formats[name] for name in config.networks}

    def network_settings(self, config: AxonConfig, network: str) -> dict[str, Any]:
        sections = list(_SECTIONS[network])
        if network == "controlnet" and config.fine_diff == "bridge":
            sections[sections.index("diffusion")] = "bridge"
        values = config.as_dict() | {"view_size": config.view_size}
        return {section: values[section] for section in sections}

    def merge(self, config: AxonConfig, network: str, trained: AxonConfig) -> AxonConfig:
        if network == "harmoniser":
            return replace(config, harmoniser=trained.harmoniser)
        if network != "controlnet":
            return config
        # Only the run that trained stage 2 knows its class.
        return replace(config, fine_diff=trained.fine_diff, global_encoder=trained.global_encoder)

    def can_start_from(self, network: str, config: AxonConfig, start: AxonConfig) -> bool:
        return network != "controlnet" or config.fine_diff == start.fine_diff

    def recipe(self, preset: str, training: str) -> dict[str, Any]:
        return recipe(preset, training)

    def deviations(self, preset: str) -> tuple[str, ...]:
        return PAPER_DEVIATIONS if preset.startswith("paper") else ()

    def smallest_side(self, config: AxonConfig) -> int:
        size, encoder = config.grid, config.encoder
        sides = [size // u.patch >> (len(u.channels) - 1) for u in (config.coarse, config.prior)]
        if encoder.trunk:
            sides.append(size // TRUNK_PATCH >> (len(encoder.trunk) - 1))
        return min(sides)

    def describe(self, config: AxonConfig) -> str:
        s, h, g = config.view_size, config.grid, config.output_grid
        text = (
            f"The networks of AXON: X-rays of {s} x {s} pixels to {h}^3 voxels (CoarseDiff, "
            f"FineDiff) and {g}^3 (SR-Net)."
        )
        if config.fine_diff == "bridge":
            text += " FineDiff is a second Brownian bridge, without a prior."
        if config.harmoniser:
            text += " Before them, the X-rays are brought to the grey scale of DRRs."
        if config.global_encoder:
            text += " A global embedding of the X-rays conditions FineDiff too."
        return text


AXON = AxonMethod()
