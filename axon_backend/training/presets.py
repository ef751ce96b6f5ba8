"""The settings of a preset: the defaults, changed by the method's recipe."""

from __future__ import annotations

from dataclasses import replace

from axon_backend.errors import AxonInputError
from axon_backend.methods import registry
from axon_backend.training.config import TrainConfig
from axon_backend.training.settings import apply


def preset(name: str, stage: str, method: str = registry.DEFAULT) -> TrainConfig:
    """The settings of one of a method's presets for one of its trainings.

    Raises:
        AxonInputError: the method, preset or training is unknown.
    """
    found = registry.load(method)
    info = found.info
    if name not in found.presets:
        raise AxonInputError(
            f"Unknown preset {name!r}; {info.label} has {', '.join(info.presets)}."
        )
    if stage not in found.objectives:
        raise AxonInputError(
            f"Unknown training {stage!r}; {info.label} has {', '.join(info.training_names)}."
        )
    config = TrainConfig(
        method=method,
        stage=stage,
        model=found.presets[name](),
        loss=found.loss_settings(),
        preset=name,
    )
    config = apply(config, found.recipe(name, stage))
    return replace(config, model=config.objective.completed(config.model))
