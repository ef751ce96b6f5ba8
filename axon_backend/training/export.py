"""Export the runs of a method's trainings as a bundle for ``axon reconstruct``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from axon_backend.bundle import Bundle, write_bundle
from axon_backend.bundle.metadata import bundle_metadata
from axon_backend.errors import AxonInputError
from axon_backend.inference.model_loading import bundle_config, bundle_model
from axon_backend.methods import registry
from axon_backend.methods.formats import views_format
from axon_backend.methods.protocol import Method
from axon_backend.training.checkpoint import weights_hash
from axon_backend.training.export_card import card_of, effort
from axon_backend.training.run.run_folder import RunFolder
from axon_backend.training.settings import differences
from axon_backend.training.weights import (
    Trained,
    choose_networks,
    last_of_each_stage,
    load_into,
    trained_by,
    weights_file,
)
from axon_backend.util.apart import check_apart

UNSTATED = (
    "The author of these weights has not stated a licence. Ask the author before you redistribute "
    "the weights, and observe the licences of the data that they were trained on.\n"
)


@dataclass(frozen=True)
class Export:
    """An exported bundle, with the origin of each network and warnings for the user."""

    bundle: Bundle
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = field(default=())


def export_bundle(
    root: Path,
    target: Path,
    *,
    base: Bundle | None = None,
    name: str | None = None,
    version: str = "0.1.0",
    author: str = "not stated",
    data_source: str | None = None,
    licence_text: str | None = None,
    packed: bool = False,
    replace: bool = False,
) -> Export:
    """Write a bundle from the last run of each training below ``root``.

    Each run contributes its best weights, or those of its last checkpoint if it ended before its
    first validation.

    Args:
        root: a folder that contains run folders, or one run folder.
        target: the bundle's folder.
        base: bundle that supplies the networks that were not trained.
        name, version, author, data_source, licence_text: for metadata and model card.
        packed: store the weights in 8 bits instead of 16.
        replace: overwrite an existing bundle.

    Raises:
        AxonInputError: there are no runs, a network is missing, or networks are incompatible.
    """
    check_apart(target, root, below=True)
    check_apart(target, None if base is None else base.path)
    stages = last_of_each_stage(root)
    if not stages:
        raise AxonInputError(
            f"{root} holds no run with weights (a folder with run.json and checkpoints/best.pt or "
            "last.pt). Give the folder that contains the runs of `axon train`, or train longer."
        )
    newest = max(stages.values(), key=lambda t: weights_file(RunFolder(t.folder)).stat().st_mtime)
    method = registry.load(newest.method)
    chosen = choose_networks(method, stages)
    config = newest.model
    for network, run in chosen.items():
        config = method.merge(config, network, run.model)
    if base is not None and registry.method_name(base.config) == method.info.name:
        config = _with_optional(method, config, bundle_model(base))
    chosen = {network: run for network, run in chosen.items() if network in config.networks}
    kept = {id(run) for run in chosen.values()}
    stages = {s: run for s, run in stages.items() if set(run.networks) <= set(config.networks)}
    weights: dict[str, Mapping[str, torch.Tensor]] = {}
    origins: dict[str, str] = {}
    for network in config.networks:
        if network in chosen:
            run = chosen[network]
            _check_same(method, network, run.model, config, str(run.folder))
            weights[network] = run.networks[network]
            origins[network] = f"run {run.folder.name}, step {run.step}"
        elif base is not None and registry.method_name(base.config) == method.info.name:
            _check_same(method, network, bundle_model(base), config, f"bundle {base.name}")
            weights[network] = base.state_dict(network, torch.float32)
            origins[network] = f"bundle {base.name} {base.version}"
        else:
            raise AxonInputError(
                f"No run in {root} has trained the network '{network}'. Train it "
                f"({trained_by(method, config, network)}), or take it from a bundle of the same "
                "method with --base."
            )
    model = method.build(config)
    for network in config.networks:
        load_into(model.network(network), weights[network], network, origins[network])
    atlas, size_mm = _atlas(chosen, newest, config)
    name = name or root.resolve().name
    trained = sorted({t.stage for t in stages.values() if id(t) in kept})
    metadata = bundle_metadata(
        name=name,
        version=version,
        description=f"{method.info.label}, trained by the user: {', '.join(trained)}",
        inputs=views_format(max(1024, config.view_size)),
        output_grid=config.output_grid,
        hu_window=(config.window.low, config.window.high),
        networks=method.network_formats(config),
        references=method.references,
        data_source=data_source or "not stated",
        eval_metrics={
            f"{t.stage}_{k}": round(float(v), 4)
            for t in stages.values()
            for k, v in t.metrics.items()
            if np.isfinite(v)
        },
    )
    metadata["training"] = {t.stage: effort(t) for t in stages.values() if id(t) in kept}
    metadata["authors"] = author
    metadata["copyright"] = f"{author}; see LICENSE"
    bundle = write_bundle(
        target,
        config=bundle_config(method, config),
        metadata=metadata,
        state_dicts=weights,
        dtype=torch.int8 if packed else torch.float16,
        atlas_hu=atlas,
        atlas_size_mm=size_mm,
        model_card=card_of(
            name,
            version,
            method,
            config,
            stages,
            origins,
            data_source=data_source,
            stated=bool(licence_text),
        ),
        licence_text=licence_text or UNSTATED,
        replace=replace,
    )
    warnings = [*_not_validated(chosen), *_changed_since(chosen, weights)]
    return Export(bundle, origins, tuple(warnings))


def _with_optional(method: Method, config: Any, base: Any) -> Any:
    """The configuration with those networks of the base that a model can be without, where they
    fit."""
    for network in set(base.networks) - set(config.networks):
        merged = method.merge(config, network, base)
        if network in merged.networks and method.network_settings(
            merged, network
        ) == method.network_settings(base, network):
            config = merged
    return config


def _not_validated(chosen: Mapping[str, Trained]) -> list[str]:
    """A warning for each run that ended before its first validation."""
    return [
        f"{run.folder.name} ended before its first validation: its last checkpoint (step "
        f"{run.step}) was exported, and its quality is unknown."
        for run in {t.stage: t for t in chosen.values()}.values()
        if not run.metrics
    ]


def _check_same(method: Method, network: str, found: Any, wanted: Any, where: str) -> None:
    """Raise AxonInputError unless the settings that a network is built from agree."""
    a, b = (
        json.loads(json.dumps(method.network_settings(config, network)))
        for config in (found, wanted)
    )
    for key, (old, new) in differences(a, b).items():
        raise AxonInputError(
            f"The network '{network}' of {where} was built with model.{key} = {old}; the other "
            f"networks have {new}. All networks of a bundle need the same `model`."
        )


def _atlas(
    chosen: Mapping[str, Trained], newest: Trained, config: Any
) -> tuple[np.ndarray, tuple[float, float, float]]:
    """The mean training volume in HU and its frame's size (x, y, z in mm), from the run that
    trained the first network."""
    run = chosen.get(config.networks[0], newest)
    path = RunFolder(run.folder).last.parent / "mean.pt"
    try:
        values = torch.load(path, weights_only=True)
        mean, size = values["mean"][0, 0], values["size_mm"]
    except Exception as error:
        raise AxonInputError(
            f"{path}, the mean volume, is missing or damaged. Resume the training "
            f"{run.folder.name} with --resume to recompute it."
        ) from error
    # Rounded to 8 HU: finer than the mean of a few patients is accurate, and compresses well.
    hu = np.round(config.window.to_hu(mean).numpy() / 8) * 8
    x, y, z = (float(v) for v in size)
    return hu.astype(np.float32), (x, y, z)


def _changed_since(
    chosen: Mapping[str, Trained], weights: Mapping[str, Mapping[str, torch.Tensor]]
) -> list[str]:
    """A warning for each run whose earlier stage had other weights than the bundle's."""
    now = {network: weights_hash(state) for network, state in weights.items()}
    found = []
    for run in {t.stage: t for t in chosen.values()}.values():
        networks = RunFolder(run.folder).state().get("networks") or {}
        for network, origin in networks.items():
            if network in run.networks or "sha256" not in origin:
                continue
            if origin["sha256"] != now.get(network):
                found.append(
                    f"{run.folder.name} was trained with another '{network}' ({origin['from']}) "
                    "than the one in the bundle; train it again for the best result."
                )
    return found
