"""Initial weights of a run: random initialisation, a bundle, or the runs in the same folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from axon_backend.bundle import Bundle
from axon_backend.errors import AxonInputError
from axon_backend.inference.model_loading import bundle_model
from axon_backend.methods import registry
from axon_backend.methods.protocol import Method, Model
from axon_backend.training.checkpoint import checkpoint_model, load_checkpoint, weights_hash
from axon_backend.training.config import TrainConfig
from axon_backend.training.run.run_folder import RunFolder

RANDOM = "random initialisation"


@dataclass(frozen=True)
class Trained:
    """The best weights of a run, by network; if the run ended before its first validation, those
    of its last checkpoint, without metrics."""

    folder: Path
    method: str
    stage: str
    networks: Mapping[str, Mapping[str, torch.Tensor]]
    step: int
    metrics: Mapping[str, float]
    config: Mapping[str, Any]

    @property
    def model(self) -> Any:
        """The method's configuration that the networks were built from."""
        return checkpoint_model(self.config, self.folder)


def runs_in(root: Path) -> list[RunFolder]:
    """The runs with weights in a folder, and the folder itself if it is one; newest first."""
    folders = [RunFolder(p) for p in (root, *sorted(root.glob("*/")))]
    found = [f for f in folders if f.exists() and f.has_weights()]
    return sorted(found, key=lambda f: weights_file(f).stat().st_mtime, reverse=True)


def weights_file(folder: RunFolder) -> Path:
    """The checkpoint that :func:`best_of` reads."""
    return folder.best if folder.best.is_file() else folder.last


def best_of(folder: RunFolder) -> Trained:
    """The best checkpoint of a run; before the first validation, the averaged weights of its last
    checkpoint."""
    file = weights_file(folder)
    values = load_checkpoint(file)
    config, validated = values["config"], file == folder.best
    return Trained(
        folder.path,
        registry.method_name(config),
        str(values["stage"]),
        values["parts"] if validated else values["ema"],
        int(values["step"]),
        values["figures"] if validated else {},
        config,
    )


def last_of_each_stage(
    root: Path, method: str | None = None, without: Path | None = None
) -> dict[str, Trained]:
    """{training: its last run below ``root``}, all of one method: the given one, else that of the
    newest run."""
    found: dict[str, Trained] = {}
    for folder in runs_in(root):
        if without is not None and folder.path.resolve() == without.resolve():
            continue
        state = folder.state()
        stage, of = str(state.get("stage")), registry.method_name(state)
        method = method or of
        if of == method and stage in registry.info(method).training_names and stage not in found:
            found[stage] = best_of(folder)
    return found


def choose_networks(method: Method, stages: Mapping[str, Trained]) -> dict[str, Trained]:
    """{network: the run to take it from}. If several trainings train a network, the last one in
    the method's order is taken: an encoder trained jointly with a bridge belongs to it."""
    chosen: dict[str, Trained] = {}
    for stage in method.info.training_names:
        for network in stages[stage].networks if stage in stages else ():
            chosen[network] = stages[stage]
    return chosen


def trained_by(method: Method, config: Any, network: str) -> str:
    """The commands that train a network, as words for a message."""
    loss = method.loss_settings()
    names = [
        name
        for name, objective in method.objectives.items()
        if network in objective.trains(config, loss)
    ]
    option = "" if method.info.name == registry.DEFAULT else f" --method {method.info.name}"
    return " or ".join(f"`axon train {name}{option}`" for name in names)


def fill(
    model: Model, config: TrainConfig, run: Path, start: Bundle | None
) -> dict[str, dict[str, str]]:
    """Load weights into the networks that the training needs and, with ``start``, those it trains.

    Networks that are used but not trained come from the runs beside ``run``, else from ``start``.

    Returns:
        {network: {"from": its origin, "sha256": hash of its weights}}; no hash if they are random
        or copied from another network.

    Raises:
        AxonInputError: a required network was never trained, or has another architecture.
    """
    origin: dict[str, dict[str, str]] = {}
    for name, state, where in _sources(model, config, run, start):
        origin[name] = {"from": where}
        if state is not None:
            load_into(model.network(name), state, name, where)
            origin[name]["sha256"] = weights_hash(state)
    trained = set(config.trains)
    for name in config.trains:
        if "sha256" not in origin[name]:
            source = model.initialise(name)
            if source is not None:
                origin[name] = {"from": f"a copy of the {source} of {origin[source]['from']}"}
    for name in (*config.needs, *config.trains):
        model.network(name).requires_grad_(name in trained).train(name in trained)
    return origin


def check_sources(config: TrainConfig, run: Path, start: Bundle | None) -> None:
    """Raise whatever :func:`fill` would raise, without computing or writing anything."""
    with torch.device("meta"):
        model = config.of_method.build(config.model)
    for name, state, where in _sources(model, config, run, start):
        if state is not None:
            shapes = {key: torch.empty_like(value, device="meta") for key, value in state.items()}
            load_into(model.network(name), shapes, name, where)


def _sources(
    model: Model, config: TrainConfig, run: Path, start: Bundle | None
) -> Iterator[tuple[str, Mapping[str, torch.Tensor] | None, str]]:
    """Each network that is needed or trained, its weights or None, and their origin."""
    method = config.of_method
    beside: dict[str, Trained] = {}
    if config.needs:
        stages = last_of_each_stage(run.parent, config.method, without=run)
        beside = choose_networks(method, stages)
    for name in (*config.needs, *config.trains):
        state: Mapping[str, torch.Tensor] | None = None
        where = RANDOM
        if name in config.needs and name in beside:
            state, where = beside[name].networks[name], beside[name].folder.name
        elif (
            start is not None
            and name in start.networks
            and (
                name in config.needs
                or method.can_start_from(name, config.model, bundle_model(start))
            )
        ):
            state, where = start.state_dict(name), f"bundle {start.name} {start.version}"
            if name in config.trains:
                state = model.complete(name, state)
        elif name in config.needs:
            raise AxonInputError(
                f"The training {config.stage} needs a trained '{name}', and no run beside {run} "
                f"has one. Train it first into {run.parent} "
                f"({trained_by(method, config.model, name)}), or give a bundle with --start."
            )
        yield name, state, where


def load_into(
    network: torch.nn.Module, state: Mapping[str, torch.Tensor], name: str, where: str
) -> None:
    """``load_state_dict`` with an error message for users."""
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise AxonInputError(
            f"The network '{name}' of {where} has another architecture than this run's. Set the "
            "same `model` for all stages; `--show` prints it."
        ) from error
