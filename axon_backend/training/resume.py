"""Resuming a run: its last checkpoint, if this configuration can continue from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from axon_backend.errors import AxonInputError
from axon_backend.methods import registry
from axon_backend.training.checkpoint import checkpoint_model, load_checkpoint
from axon_backend.training.config import BUDGETS, TrainConfig
from axon_backend.training.run.run_folder import RunFolder
from axon_backend.training.settings import as_plain, differences, with_new_names

# What may differ between a run and its continuation without a word.
FREE = {
    *BUDGETS,
    "threads",
    "micro_batch",
    "precision",
    "checkpointing",
    "data.workers",
    "data.memory_gb",
    "data.cache_folder",
}


def check_stage(folder: RunFolder, config: TrainConfig, found: Mapping[str, Any]) -> None:
    """Raise AxonInputError where a run (run.json, or a checkpoint's configuration) is another
    training, or one of another method."""
    stage, method = found.get("stage"), registry.method_name(found)
    if stage not in (None, config.stage):
        raise AxonInputError(
            f"{folder.path} is a run of stage {stage}, not of {config.stage}. Choose another --run."
        )
    if stage is not None and method != config.method:
        raise AxonInputError(
            f"{folder.path} is a run of the method {method}, not of {config.method}. Choose "
            "another --run."
        )


def last_state(folder: RunFolder, config: TrainConfig) -> tuple[dict[str, Any] | None, list[str]]:
    """The checkpoint to resume from, None to begin at step 0, and warnings.

    Nothing in the folder is changed, so that a wrong command costs nothing.

    Raises:
        AxonInputError: the checkpoint is damaged, of another stage, of other networks, or has
            model settings that this version does not know.
    """
    if not folder.last.exists():
        return None, ["There is no checkpoint yet: the run begins at step 0."]
    state = load_checkpoint(folder.last)
    check_stage(folder, config, {**state["config"], "stage": state["stage"]})
    # Settings that came after the run began have had their defaults all along.
    method, before = config.of_method, state["config"]
    old_model = as_plain(checkpoint_model(before, folder.last))
    before = with_new_names({**before, "model": {}}, method.renamed_settings)
    defaults = TrainConfig(config.method, config.stage, {}, method.loss_settings())
    before = _over(as_plain(defaults), before)
    changed = differences({**before, "model": old_model}, as_plain(config))
    sampling = f"model.{method.sampling_key}."
    other = [k for k in changed if k.startswith("model.") and not k.startswith(sampling)]
    if other:
        old, new = changed[other[0]]
        raise AxonInputError(
            f"{folder.path} was started with {other[0]} = {old}, now it is {new}. A run goes on "
            "with the networks it has: give the same settings, or choose another --run."
        )
    told = [f"{k}: {old} -> {new}" for k, (old, new) in changed.items() if k not in FREE]
    if told:
        return state, ["Settings changed since this run began: " + "; ".join(told)]
    return state, []


def _over(defaults: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """``values``, with the defaults of what they do not state."""
    both = {**defaults, **values}
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(defaults.get(key), dict):
            both[key] = _over(defaults[key], value)
    return both


def data_changed(before: dict[str, Any], data_sha256: str, cases: dict[str, int]) -> str | None:
    """What to tell where a run goes on with other data than run.json says it had, or None."""
    if before.get("data_sha256") in (None, data_sha256):
        return None
    had = before.get("cases") or {}
    return (
        f"The data changed since this run began: {cases['train']} training and "
        f"{cases['validation']} validation cases now, {had.get('train', '?')} and "
        f"{had.get('validation', '?')} before. The best checkpoint so far was judged on the "
        "earlier data; take another --run to compare like with like."
    )
