"""The settings to begin from: the defaults, then what the method's recipe changes."""

from __future__ import annotations

from axon_backend.errors import AxonInputError
from axon_backend.methods import registry
from axon_backend.training.config import TrainConfig
from axon_backend.training.settings import apply


def preset(name: str, stage: str, method: str = registry.DEFAULT) -> TrainConfig:
    """The settings of one of a method's presets for one of its trainings.

    Raises:
        AxonInputError: there is no such method, preset or training.
    """
    found = registry.load(method)
    info = found.info
    if name not in found.presets:
        raise AxonInputError(
            f"The preset {name!r} is not known; {info.label} has {', '.join(info.presets)}."
        )
    if stage not in found.objectives:
        raise AxonInputError(
            f"The training {stage!r} is not known; {info.label} has "
            f"{', '.join(info.training_names)}."
        )
    config = TrainConfig(
        method=method,
        stage=stage,
        model=found.presets[name](),
        loss=found.loss_settings(),
        preset=name,
    )
    return apply(config, found.recipe(name, stage))
