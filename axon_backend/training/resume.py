"""Resume a run from its last checkpoint, if the configuration is compatible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from axon_backend.errors import AxonInputError
from axon_backend.methods import registry
from axon_backend.training.checkpoint import checkpoint_model, load_checkpoint
from axon_backend.training.config import BUDGETS, TrainConfig
from axon_backend.training.run.run_folder import RunFolder
from axon_backend.training.settings import as_plain, differences, with_new_names

# Settings that may change on resume without a warning.
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
    """Raise AxonInputError if ``found`` (run.json, or a checkpoint's configuration) belongs to
    another training or another method."""
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
    """The checkpoint to resume from (None to begin at step 0), and warnings.

    Nothing in the folder is changed, so a wrong command does no harm.

    Raises:
        AxonInputError: the checkpoint is damaged, belongs to another stage or other networks, or
            has model settings that this version does not recognise.
    """
    if not folder.last.exists():
        return None, ["There is no checkpoint yet: the run begins at step 0."]
    state = load_checkpoint(folder.last)
    check_stage(folder, config, {**state["config"], "stage": state["stage"]})
    # A setting that did not exist when the run began had its default throughout.
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
            f"{folder.path} was started with {other[0]} = {old}; it is now {new}. A resumed run "
            "keeps its networks: give the same settings, or choose another --run."
        )
    changes = [f"{k}: {old} -> {new}" for k, (old, new) in changed.items() if k not in FREE]
    if changes:
        return state, ["Settings changed since this run began: " + "; ".join(changes)]
    return state, []


def _over(defaults: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """``values``, completed with ``defaults``, recursively."""
    both = {**defaults, **values}
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(defaults.get(key), dict):
            both[key] = _over(defaults[key], value)
    return both


def data_changed(before: dict[str, Any], data_sha256: str, cases: dict[str, int]) -> str | None:
    """A warning if a run is resumed with data other than that in run.json, else None."""
    if before.get("data_sha256") in (None, data_sha256):
        return None
    had = before.get("cases") or {}
    return (
        f"The data changed since this run began: {cases['train']} training and "
        f"{cases['validation']} validation cases now, {had.get('train', '?')} and "
        f"{had.get('validation', '?')} before. The best checkpoint so far was validated on the "
        "earlier data; choose another --run for a fair comparison."
    )
