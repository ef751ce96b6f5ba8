"""What a run is to do: its settings, and the cases that it is trained and validated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from axon_backend.bundle import Bundle
from axon_backend.dataset.dataset import Dataset, DatasetCase
from axon_backend.errors import AxonInputError
from axon_backend.methods import registry
from axon_backend.training.config import BUDGETS, TrainConfig
from axon_backend.training.data.mean import spread
from axon_backend.training.presets import preset
from axon_backend.training.settings import apply, apply_pairs, read_yaml, with_new_names
from axon_backend.training.weights import bundle_model

# A window that starts above it shows no lung (aerated lung has -900 to -500 HU).
LUNG_HU = -500.0
# They decide on the other settings, so they cannot be one among these.
CHOSEN = {
    "stage": "the stage is the word behind `axon train`",
    "preset": "the preset is chosen by --preset",
    "method": "the method is chosen by --method",
}


def resolve(
    stage: str,
    *,
    method: str | None = None,
    preset_name: str | None = None,
    file: Path | None = None,
    pairs: Sequence[str] = (),
    steps: int | None = None,
    minutes: float | None = None,
    start: Bundle | None = None,
) -> TrainConfig:
    """The whole configuration: preset, then the networks of ``start``, then the YAML ``file``,
    then ``key=value`` pairs, then the budget. The budget named last counts. Without a ``method``
    or ``preset_name`` it is the file's, else that of ``start``, else AXON and the method's first
    preset.

    Raises:
        AxonInputError: an unknown setting, or one that makes no sense.
    """
    values = {} if file is None else read_yaml(file)
    given = None if start is None else registry.method_name(start.config)
    method = method or str(values.get("method") or given or registry.DEFAULT)
    if start is not None and given != method:
        raise AxonInputError(
            f"The bundle {start.name} is of the method {given!r}, this training of "
            f"{method!r}. Start from another bundle, or leave --start out."
        )
    preset_name = preset_name or str(values.get("preset") or registry.info(method).presets[0])
    config = preset(preset_name, stage, method)
    renamed = config.of_method.renamed_settings
    values = with_new_names(values, renamed)
    if start is not None:
        config = replace(config, model=bundle_model(start))
    config = apply(_one_budget(config, values), values)
    for pair in pairs:
        key = pair.partition("=")[0].strip()
        if key in CHOSEN:
            raise AxonInputError(f"--set {pair}: {CHOSEN[key]}.")
        config = apply_pairs(_one_budget(config, {key: pair.partition("=")[2]}), [pair], renamed)
    if steps is not None:
        config = replace(config, steps=steps, minutes=None, epochs=None)
    elif minutes is not None:
        config = replace(config, steps=None, minutes=minutes, epochs=None)
    return replace(config, method=method, stage=stage, preset=preset_name).check()


def window_warning(config: TrainConfig) -> str | None:
    """A sentence where the HU window hides the lungs."""
    window = config.model.window
    if window.low < LUNG_HU:
        return None
    return (
        f"The HU window starts at {window.low:g}: lungs and air, which lie below, become one and "
        "the same value, so that the volumes will show no lungs. --set model.window.low=-1000 "
        "shows them."
    )


def notes(config: TrainConfig) -> list[str]:
    """What somebody should know who is about to train with these settings, as sentences."""
    warning = window_warning(config)
    return [
        *([warning] if warning else []),
        *config.of_method.deviations(config.preset),
    ]


def _one_budget(config: TrainConfig, values: dict[str, Any]) -> TrainConfig:
    given = [b for b in BUDGETS if values.get(b) not in (None, "", "null")]
    return replace(config, steps=None, minutes=None, epochs=None) if given else config


def cases_of(data: Dataset, config: TrainConfig) -> tuple[list[DatasetCase], list[DatasetCase]]:
    """Training and validation cases; AxonInputError when a set is empty, a file is missing, or a
    patient is in both."""
    train = data.split("train")
    validation = data.split("validation")
    for name, cases in (("train", train), ("validation", validation)):
        if not cases:
            raise AxonInputError(
                f"The data set in {data.root} has no cases in its split '{name}'; both 'train' and "
                "'validation' are needed."
            )
    both = {c.patient for c in train} & {c.patient for c in validation}
    if both:
        raise AxonInputError(
            f"Patient {sorted(both)[0]} is in training and in validation; metrics would mean "
            "nothing. Split the data by patient."
        )
    if config.data.complete_pairs:
        train, validation = (
            [case for case in cases if bool(case.real("frontal")) == bool(case.real("lateral"))]
            for cases in (train, validation)
        )
        if not train or not validation:
            raise AxonInputError(
                f"data.complete_pairs leaves no {'validation' if train else 'training'} case: each "
                "has an accepted X-ray of a single view. Add lateral X-rays, or set "
                "data.complete_pairs=false."
            )
    validation = spread(validation, config.validation.cases)
    for case in (*train, *validation):
        files = [case.ct, *(v.file for v in case.views if v.kind == "real" and v.accepted)]
        for file in files:
            if not file.exists():
                raise AxonInputError(
                    f"Case {case.id}: {file} is missing. Prepare the data again, or take the case "
                    "out of the data set."
                )
    if config.data.real and not any(c.real("frontal") or c.real("lateral") for c in train):
        raise AxonInputError(
            "data.real asks for real X-rays, but no training case has an accepted one. Set "
            "data.real=0, or prepare paired data."
        )
    return train, validation
