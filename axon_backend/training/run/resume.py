"""Going on with a run: its last checkpoint, if this configuration can go on from it."""

from __future__ import annotations

from typing import Any

from axon_backend.errors import AxonInputError
from axon_backend.methods.axon.model import AxonConfig
from axon_backend.training.config import TrainConfig
from axon_backend.training.plan import BUDGETS
from axon_backend.training.run.checkpoint import load_checkpoint
from axon_backend.training.run.run_folder import RunFolder
from axon_backend.training.settings import as_plain, differences

# What may differ between a run and its continuation without a word.
FREE = {
    *BUDGETS,
    "checkpoint_minutes",
    "threads",
    "micro_batch",
    "precision",
    "checkpointing",
    "data.workers",
    "data.memory_gb",
    "data.cache_folder",
}


def check_stage(folder: RunFolder, stage: str, found: Any) -> None:
    """Raise AxonInputError where a run is of another stage."""
    if found not in (None, stage):
        raise AxonInputError(
            f"{folder.path} is a run of stage {found}, not of {stage}. Choose another --run."
        )


def last_state(folder: RunFolder, config: TrainConfig) -> tuple[dict[str, Any] | None, list[str]]:
    """The checkpoint to go on from, None to begin at step 0, and warnings.

    Nothing in the folder is changed, so that a wrong command costs nothing.

    Raises:
        AxonInputError: the checkpoint is damaged, of another stage, or of other networks.
    """
    if not folder.last.exists():
        return None, ["There is no checkpoint yet: the run begins at step 0."]
    state = load_checkpoint(folder.last)
    check_stage(folder, config.stage, state["stage"])
    # Settings that came after the run began have had their defaults all along.
    old_model = as_plain(AxonConfig.from_dict(state["config"]["model"]))
    changed = differences({**state["config"], "model": old_model}, as_plain(config))
    other = [k for k in changed if k.startswith("model.") and not k.startswith("model.sampling.")]
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
