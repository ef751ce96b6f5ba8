"""Plan a run: resolve its settings, and choose its training and validation cases."""

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

# A window that starts at or above this shows no lung (aerated lung has -900 to -500 HU).
LUNG_HU = -500.0
# These determine the defaults of all other settings, so --set cannot change them.
CHOSEN = {
    "stage": "the stage is the word after `axon train`",
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
    """The whole configuration, from sources of rising precedence: preset, networks of ``start``,
    YAML ``file``, ``key=value`` pairs, ``steps`` or ``minutes``.

    The budget given last counts. The default ``method`` is that of the file, else of ``start``,
    else AXON; the default ``preset_name`` is that of the file, else the method's first preset.

    Raises:
        AxonInputError: a setting is unknown or its value invalid.
    """
    values = {} if file is None else read_yaml(file)
    given = None if start is None else registry.method_name(start.config)
    method = method or str(values.get("method") or given or registry.DEFAULT)
    if start is not None and given != method:
        raise AxonInputError(
            f"The bundle {start.name} is of the method {given!r}, but this training is of "
            f"{method!r}. Start from another bundle, or omit --start."
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
    config = replace(config, method=method, stage=stage, preset=preset_name)
    return replace(config, model=config.objective.completed(config.model)).check()


def window_warning(config: TrainConfig) -> str | None:
    """A warning if the HU window hides the lungs, else None."""
    window = config.model.window
    if window.low < LUNG_HU:
        return None
    return (
        f"The HU window starts at {window.low:g}: lungs and air lie below it and become the same "
        "value, so the volumes will show no lungs. --set model.window.low=-1000 "
        "shows them."
    )


def notes(config: TrainConfig) -> list[str]:
    """Notes for the user before training with these settings, as sentences."""
    warning = window_warning(config)
    return [
        *([warning] if warning else []),
        *config.of_method.deviations(config.preset),
    ]


def _one_budget(config: TrainConfig, values: dict[str, Any]) -> TrainConfig:
    given = [b for b in BUDGETS if values.get(b) not in (None, "", "null")]
    return replace(config, steps=None, minutes=None, epochs=None) if given else config


def cases_of(data: Dataset, config: TrainConfig) -> tuple[list[DatasetCase], list[DatasetCase]]:
    """Training and validation cases.

    Raises:
        AxonInputError: a split is empty, a file is missing, a patient is in both splits, or
            ``data.real`` or ``data.complete_pairs`` asks for X-rays that the data set lacks.
    """
    train = data.split("train")
    validation = data.split("validation")
    for name, cases in (("train", train), ("validation", validation)):
        if not cases:
            raise AxonInputError(
                f"The data set in {data.root} has no cases in its split '{name}'; both 'train' and "
                "'validation' are required."
            )
    both = {c.patient for c in train} & {c.patient for c in validation}
    if both:
        raise AxonInputError(
            f"Patient {sorted(both)[0]} is in both training and validation, which invalidates the "
            "metrics. Split the data by patient."
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
    if all(case.reconstructed for case in train):
        raise AxonInputError(
            "No training case has a CT; patients with a reconstruction in its place can only be "
            "added to others. Add CTs."
        )
    if any(case.reconstructed for case in validation):
        raise AxonInputError(
            "A validation case has a reconstruction in place of a CT, which cannot be the truth. "
            "Move it to the training cases."
        )
    validation = spread(validation, config.validation.cases)
    for case in (*train, *validation):
        files = [case.ct, *(v.file for v in case.views if v.kind == "real" and v.accepted)]
        for file in files:
            if not file.exists():
                raise AxonInputError(
                    f"Case {case.id}: {file} is missing. Prepare the data again, or remove the "
                    "case from the data set."
                )
    if config.data.real and not any(c.real("frontal") or c.real("lateral") for c in train):
        raise AxonInputError(
            "data.real asks for real X-rays, but no training case has an accepted one. Set "
            "data.real=0, or prepare paired data."
        )
    return train, validation
