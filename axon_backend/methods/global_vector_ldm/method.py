"""The global-vector latent diffusion as a :class:`Method`."""

from __future__ import annotations

from typing import Any

from axon_backend.methods.formats import STEP, tensor_format, views_format, volume_format
from axon_backend.methods.global_vector_ldm import INFO
from axon_backend.methods.global_vector_ldm.config import (
    PRESETS,
    GlobalVectorConfig,
    GlobalVectorLoss,
)
from axon_backend.methods.global_vector_ldm.model import GlobalVectorModel
from axon_backend.methods.global_vector_ldm.train import AutoencoderObjective, LatentObjective
from axon_backend.methods.protocol import Method


class GlobalVectorMethod(Method):
    """See the package's docstring."""

    info = INFO
    config_type = GlobalVectorConfig
    presets = PRESETS
    objectives = {"autoencoder": AutoencoderObjective, "latent": LatentObjective}
    loss_settings = GlobalVectorLoss
    references = (
        "N. Cahan, E. Klang, G. Aviram, Y. Barash, E. Konen, R. Giryes, H. Greenspan: X-ray2CTPA: "
        "leveraging diffusion models to enhance pulmonary embolism classification. npj Digital "
        "Medicine 8:439 (2025)",
        "R. Rombach, A. Blattmann, D. Lorenz, P. Esser, B. Ommer: High-Resolution Image Synthesis "
        "with Latent Diffusion Models. CVPR 2022, arXiv:2112.10752",
    )

    def build(self, config: GlobalVectorConfig) -> GlobalVectorModel:
        return GlobalVectorModel(self, config)

    def network_formats(self, config: GlobalVectorConfig) -> dict[str, dict[str, Any]]:
        channels, side = config.latent_shape[:2]
        names = [f"latent {i}" for i in range(channels)]
        latents = tensor_format("raw", "CT", [side] * 3, [], names)
        volume = volume_format(config.size)
        vectors = f"one vector for each view, shape [B, 2, {config.view_encoder.width}]"
        prediction = {**latents, "channel_def": {
            str(i): f"{config.diffusion.prediction} of the Gaussian diffusion, latent {i}"
            for i in range(channels)
        }}  # fmt: skip
        return {
            "vae": {"inputs": {"volume": volume}, "outputs": {"volume": volume}},
            "xray": {"inputs": views_format(config.view_size), "outputs": {"vectors": vectors}},
            "denoiser": {
                "inputs": {"noisy": latents, "timesteps": STEP, "vectors": vectors},
                "outputs": {"prediction": prediction},
            },
        }

    def default_steps(self, config: GlobalVectorConfig) -> dict[str, int]:
        return {"latent": config.sampling.steps}

    def network_settings(self, config: GlobalVectorConfig, network: str) -> dict[str, Any]:
        values = super().network_settings(config, network)
        if network == "vae":
            return {key: values[key] for key in ("size", "autoencoder", "window")}
        return values

    def recipe(self, preset: str, training: str) -> dict[str, Any]:
        if preset == "preview":
            # With the default learning rate the X-ray encoder collapses within an hour.
            latent = {"loss": {"t_power": 2.0}, "optimiser": {"lr": 4e-4}}
            return latent if training == "latent" else {}
        return {
            "minutes": None,
            "epochs": 100.0 if training == "autoencoder" else 300.0,
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

    def smallest_side(self, config: GlobalVectorConfig) -> int:
        return config.latent_shape[1] >> (len(config.denoiser.channels) - 1)

    def describe(self, config: GlobalVectorConfig) -> str:
        s, h = config.view_size, config.size
        return (
            f"Latent diffusion from X-rays of {s} x {s} pixels to {h}^3 voxels, each X-ray one "
            "vector. After X-ray2CTPA, without its SDXL autoencoder and MedCLIP."
        )


GLOBAL_VECTOR_LDM = GlobalVectorMethod()
