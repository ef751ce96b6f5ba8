"""The settings to begin from: ``preview`` for CPUs, and ``paper`` as the paper states them."""

from __future__ import annotations

from axon_backend.errors import AxonInputError
from axon_backend.methods.axon.model import PRESETS
from axon_backend.training.config import (
    STAGES,
    DataSettings,
    LossSettings,
    OptimiserSettings,
    TrainConfig,
    ValidationSettings,
)

# As many as fit into a few hundred megabytes and cost five minutes on two CPU cores.
PREVIEW_SR_SAMPLES = 200
# Section 4.1 of the paper. How many gradients it accumulated it does not say; 4 here.
PAPER_EPOCHS = {"encoder": 90.0, "coarse": 90.0, "prior": 320.0, "controlnet": 150.0, "sr": 56.0}


def preset(name: str, stage: str) -> TrainConfig:
    """The settings of a preset for a stage; ``preview`` is made for CPUs, ``paper`` for GPUs."""
    if name not in PRESETS:
        raise AxonInputError(
            f"The preset {name!r} is not known; it is one of {', '.join(sorted(PRESETS))}."
        )
    if stage not in STAGES:
        raise AxonInputError(f"The stage {stage!r} is not known; it is one of {', '.join(STAGES)}.")
    model = PRESETS[name]()
    if name == "preview":
        data = DataSettings(repeat_after=PREVIEW_SR_SAMPLES if stage == "sr" else 0)
        return TrainConfig(stage=stage, model=model, data=data)
    exponential = stage == "sr"
    return TrainConfig(
        stage=stage,
        preset=name,
        minutes=None,
        epochs=PAPER_EPOCHS[stage],
        batch=8,
        micro_batch=2,
        ema=0.9999,
        log_steps=20,
        optimiser=OptimiserSettings(
            name="adam",
            rate=2e-4 if exponential else 1e-4,
            schedule="exponential" if exponential else "constant",
            warm_up=0.0,
            floor=0.01,
            weight_decay=0.0,
        ),
        data=DataSettings(cache=4000, blended=0.0),
        loss=LossSettings(
            end_point=0.0,
            single_view=0.0,
            t_power=1.0,
            at_the_end=0.0,
            prior_t_power=1.0,
            doubt=0.0,
            synthesised=0.5,
        ),
        validation=ValidationSettings(every_minutes=60.0),
        model=model,
    )
