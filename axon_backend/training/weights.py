"""Where the networks of a run come from: chance, a bundle, or the runs beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from axon_backend.bundle import Bundle
from axon_backend.errors import AxonInputError
from axon_backend.methods.axon.model import Axon, AxonConfig
from axon_backend.networks.unet import ControlBranch
from axon_backend.training.config import STAGES, TrainConfig
from axon_backend.training.run.checkpoint import load_checkpoint, weights_hash
from axon_backend.training.run.run_folder import RunFolder

# Which command trains a network that is missing.
TRAINED_BY = {
    "encoder": "encoder` or `axon train coarse",
    "coarse": "coarse",
    "prior": "prior",
    "controlnet": "controlnet",
    "sr": "sr",
}


def bundle_model(bundle: Bundle) -> AxonConfig:
    """The networks' configuration of a bundle."""
    values = {k: v for k, v in bundle.config.items() if k != "format_version"}
    return AxonConfig.from_dict(values)


@dataclass(frozen=True)
class Trained:
    """The best weights of a run, by network."""

    folder: Path
    stage: str
    parts: Mapping[str, Mapping[str, torch.Tensor]]
    step: int
    figures: Mapping[str, float]
    config: Mapping[str, Any]


def runs_in(root: Path) -> list[RunFolder]:
    """The runs in a folder and the folder itself, the last changed first, that have a best.pt."""
    folders = [RunFolder(p) for p in (root, *sorted(root.glob("*/")))]
    found = [f for f in folders if f.exists() and f.best.is_file()]
    return sorted(found, key=lambda f: f.best.stat().st_mtime, reverse=True)


def best_of(folder: RunFolder) -> Trained:
    """The best checkpoint of a run."""
    values = load_checkpoint(folder.best)
    return Trained(
        folder.path,
        str(values["stage"]),
        values["parts"],
        int(values["step"]),
        values["figures"],
        values["config"],
    )


def last_of_each_stage(root: Path, without: Path | None = None) -> dict[str, Trained]:
    """{stage: its last run below ``root``}."""
    found: dict[str, Trained] = {}
    for folder in runs_in(root):
        if without is not None and folder.path.resolve() == without.resolve():
            continue
        stage = str(folder.state().get("stage"))
        if stage in STAGES and stage not in found:
            found[stage] = best_of(folder)
    return found


def choose_parts(stages: Mapping[str, Trained]) -> dict[str, Trained]:
    """{network: the run to take it from}. An encoder trained jointly belongs to its bridge, and
    goes before one that was trained alone."""
    parts: dict[str, Trained] = {}
    for stage in ("encoder", "coarse", "prior", "controlnet", "sr"):
        for part in stages[stage].parts if stage in stages else ():
            parts[part] = stages[stage]
    return parts


def fill(
    model: Axon, config: TrainConfig, run: Path, start: Bundle | None
) -> dict[str, dict[str, str]]:
    """Put weights into the networks that the stage needs and, with ``start``, those it trains.

    Networks that are needed as they are come from the runs beside ``run``, else from ``start``.

    Returns:
        {network: {"from": where, "sha256": of its weights}}.

    Raises:
        AxonInputError: a network that is needed was never trained, or is of another architecture.
    """
    origin: dict[str, dict[str, str]] = {}
    for part, state, where in _sources(model, config, run, start):
        if state is not None:
            load_into(getattr(model, part), state, part, where)
            origin[part] = {"from": where, "sha256": weights_hash(state)}
        else:
            origin[part] = {"from": where}
    trained = set(config.parts)
    branch = getattr(model, "controlnet", None)
    if (
        "controlnet" in trained
        and origin["controlnet"]["from"] == "chance"
        and isinstance(branch, ControlBranch)
    ):
        branch.copy_from(model.prior)
        origin["controlnet"] = {"from": f"a copy of the prior of {origin['prior']['from']}"}
    for part in (*config.needs, *config.parts):
        network = getattr(model, part)
        network.requires_grad_(part in trained).train(part in trained)
    return origin


def check_sources(config: TrainConfig, run: Path, start: Bundle | None) -> None:
    """Raise what ``fill`` would raise; nothing is computed or written."""
    with torch.device("meta"):
        model = Axon(config.model)
    for part, state, where in _sources(model, config, run, start):
        if state is not None:
            shapes = {key: torch.empty_like(value, device="meta") for key, value in state.items()}
            load_into(getattr(model, part), shapes, part, where)


def _sources(
    model: Axon, config: TrainConfig, run: Path, start: Bundle | None
) -> Iterator[tuple[str, Mapping[str, torch.Tensor] | None, str]]:
    """Each network that the stage needs or trains, its weights or None, and where they are from."""
    beside = choose_parts(last_of_each_stage(run.parent, without=run)) if config.needs else {}
    for part in (*config.needs, *config.parts):
        state: Mapping[str, torch.Tensor] | None = None
        where = "chance"
        if part in config.needs and part in beside:
            state, where = beside[part].parts[part], beside[part].folder.name
        elif start is not None and part in start.networks and not _another(start, part, config):
            state, where = start.state_dict(part), f"bundle {start.name} {start.version}"
            if part in config.parts:
                state = _with_global_encoder(getattr(model, part), state)
        elif part in config.needs:
            raise AxonInputError(
                f"Stage {config.stage} needs a trained '{part}', and no run beside {run} has one. "
                f"Train it first into {run.parent} (`axon train {TRAINED_BY[part]}`), or give a "
                "bundle with --start."
            )
        yield part, state, where


def _another(start: Bundle, part: str, config: TrainConfig) -> bool:
    """Whether the bundle's network of stage 2 is one of another process, and so no beginning."""
    return (
        part in config.parts
        and part == "controlnet"
        and bundle_model(start).fine_process != config.model.fine_process
    )


def _with_global_encoder(
    network: torch.nn.Module, state: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The weights, and the network's own for a global encoder that they lack: it starts at zero,
    so that the rest goes on where it was."""
    own = {k: v for k, v in network.state_dict().items() if k.startswith("global_encoder.")}
    return {**own, **state}


def load_into(
    network: torch.nn.Module, state: Mapping[str, torch.Tensor], part: str, where: str
) -> None:
    """``load_state_dict`` whose error a user understands."""
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise AxonInputError(
            f"The network '{part}' of {where} is of another architecture than this run's. Set the "
            "same `model` for all stages; `--show` prints it."
        ) from error
