"""The settings of AXON's trainings: ``preview`` for CPUs, ``paper`` as the paper states them."""

from __future__ import annotations

from typing import Any

# As many as fit into a few hundred megabytes and cost five minutes on two CPU cores.
PREVIEW_SR_SAMPLES = 200
# Section 4.1 of the paper. How many gradients it accumulated it does not say; 4 here.
PAPER_EPOCHS = {"encoder": 90.0, "coarse": 90.0, "prior": 320.0, "controlnet": 150.0, "sr": 56.0}


def recipe(preset: str, training: str) -> dict[str, Any]:
    """What differs from the defaults of ``training.config.TrainConfig``, nested as in its YAML."""
    if preset == "preview":
        return {"data": {"repeat_after": PREVIEW_SR_SAMPLES}} if training == "sr" else {}
    exponential = training == "sr"
    return {
        "minutes": None,
        "epochs": PAPER_EPOCHS[training],
        "batch": 8,
        "micro_batch": 2,
        "ema": 0.9999,
        "log_steps": 20,
        "optimiser": {
            "name": "adam",
            "lr": 2e-4 if exponential else 1e-4,
            "schedule": "exponential" if exponential else "constant",
            "warm_up": 0.0,
            "floor": 0.01,
            "weight_decay": 0.0,
        },
        "data": {"cache": 4000, "blended": 0.0, "single_view": 0.0},
        "loss": {
            "end_point": 0.0,
            "t_power": 1.0,
            "p_t_end": 0.0,
            "prior_t_power": 1.0,
            "conditioning_augmentation": 0.0,
            "synthesised": 0.5,
        },
        "validation": {"every_minutes": 60.0},
    }
