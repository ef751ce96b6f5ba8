"""From the runs of the stages to a bundle that ``axon reconstruct`` takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from axon_backend.bundle import Bundle, load_bundle, write_bundle
from axon_backend.bundle.metadata import axon_metadata
from axon_backend.errors import AxonInputError
from axon_backend.methods.axon.model import Axon, AxonConfig
from axon_backend.training.export_card import card_of
from axon_backend.training.run.checkpoint import weights_hash
from axon_backend.training.run.run_folder import RunFolder
from axon_backend.training.settings import differences
from axon_backend.training.weights import (
    TRAINED_BY,
    Trained,
    bundle_model,
    choose_parts,
    last_of_each_stage,
    load_into,
)

# Which part of the configuration a network is built from.
SECTIONS = {
    "encoder": ("encoder", "window"),
    "coarse": ("coarse", "bridge", "see_views"),
    "prior": ("prior", "diffusion"),
    "controlnet": ("prior", "diffusion", "see_views", "fine_process", "global_encoder"),
    "sr": ("sr",),
}
UNSTATED = (
    "Whoever trained these weights has not stated a licence. Ask them before you pass the weights "
    "on, and mind the licences of the data that they were trained on.\n"
)


@dataclass(frozen=True)
class Export:
    """A bundle as it was made: where each network came from, and what to be careful with."""

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
    """Write the best weights of the last run of each stage below ``root`` as a bundle.

    Args:
        root: a folder with run folders in it, or one run folder.
        target: the bundle's folder.
        base: gives the networks that were not trained.
        name, version, author, data_source, licence_text: for metadata and model card.
        packed: weights in eight bits, half the size of 16.
        replace: put it in the place of an older bundle.

    Raises:
        AxonInputError: no runs, a network is missing, or networks do not fit together.
    """
    stages = last_of_each_stage(root)
    if not stages:
        raise AxonInputError(
            f"{root} holds no trained run (a folder with run.json and checkpoints/best.pt). Give "
            "the folder that the runs of `axon train` are in."
        )
    parts = choose_parts(stages)
    newest = max(stages.values(), key=lambda t: RunFolder(t.folder).best.stat().st_mtime)
    config = AxonConfig.from_dict(_model_of(newest))
    if "controlnet" in parts:  # only its own run has to know what stage 2 is
        fine = AxonConfig.from_dict(_model_of(parts["controlnet"]))
        config = replace_fields(
            config, fine_process=fine.fine_process, global_encoder=fine.global_encoder
        )
    parts = {part: run for part, run in parts.items() if part in config.parts}
    stages = {s: run for s, run in stages.items() if s in ("encoder", *config.parts)}
    weights: dict[str, Mapping[str, torch.Tensor]] = {}
    origins: dict[str, str] = {}
    for part in config.parts:
        if part in parts:
            run = parts[part]
            _same(part, _model_of(run), config.as_dict(), str(run.folder))
            weights[part] = run.parts[part]
            origins[part] = f"run {run.folder.name}, step {run.step}"
        elif base is not None:
            _same(part, bundle_model(base).as_dict(), config.as_dict(), f"bundle {base.name}")
            weights[part] = base.state_dict(part, torch.float32)
            origins[part] = f"bundle {base.name} {base.version}"
        else:
            raise AxonInputError(
                f"No run in {root} has trained the network '{part}'. Train it (`axon train "
                f"{TRAINED_BY[part]}`), or take it from a bundle with --base."
            )
    model = Axon(config)
    for part in config.parts:
        load_into(getattr(model, part), weights[part], part, origins[part])
    atlas, size_mm = _atlas(parts, newest, config)
    name = name or f"{root.resolve().name}"
    size = config.encoder.size
    trained = sorted({t.stage for t in parts.values()})
    metadata = axon_metadata(
        name=name,
        version=version,
        description=f"AXON, stages trained by the user: {', '.join(trained)}",
        image_size=max(1024, config.encoder.view_size),
        grid=size,
        output_grid=size * config.sr.gamma,
        hu_window=(config.window.low, config.window.high),
        networks=config.parts,
        data_source=data_source or "not stated",
        eval_metrics={
            f"{t.stage}_{k}": round(float(v), 4)
            for t in stages.values()
            for k, v in t.figures.items()
            if np.isfinite(v)
        },
    )
    metadata["authors"] = author
    metadata["copyright"] = f"{author}; see LICENSE"
    bundle = write_bundle(
        target,
        config=config.as_dict(),
        metadata=metadata,
        state_dicts=weights,
        dtype=torch.int8 if packed else torch.float16,
        atlas_hu=atlas,
        atlas_size_mm=size_mm,
        model_card=card_of(
            name,
            version,
            config,
            stages,
            origins,
            data_source=data_source,
            stated=bool(licence_text),
        ),
        licence_text=licence_text or UNSTATED,
        replace=replace,
    )
    return Export(bundle, origins, tuple(_grown_apart(parts, weights)))


def _model_of(run: Trained) -> dict[str, Any]:
    """The networks' configuration of a run, as plain values."""
    return AxonConfig.from_dict(dict(run.config["model"])).as_dict()


def _same(part: str, found: dict[str, Any], wanted: dict[str, Any], where: str) -> None:
    """Raise unless the sections that a network is built from agree."""
    sections = list(SECTIONS[part])
    if part == "controlnet" and wanted["fine_process"] == "bridge":
        sections[sections.index("diffusion")] = "bridge"
    for section in sections:
        a, b = (json.loads(json.dumps(v[section])) for v in (found, wanted))
        other = differences({section: a}, {section: b})
        if other:
            key, (old, new) = next(iter(other.items()))
            raise AxonInputError(
                f"The network '{part}' of {where} was made with model.{key} = {old}; the others "
                f"have {new}. Networks of one bundle need one `model`."
            )


def _atlas(
    parts: Mapping[str, Trained], newest: Trained, config: AxonConfig
) -> tuple[np.ndarray, tuple[float, float, float]]:
    """The mean training volume in HU and its frame's size, of the run that trained the encoder."""
    run = parts.get("encoder", newest)
    path = RunFolder(run.folder).last.parent / "mean.pt"
    try:
        values = torch.load(path, weights_only=True)
        mean, size = values["mean"][0, 0], values["size_mm"]
    except Exception as error:
        raise AxonInputError(
            f"{path} with the mean volume is missing or damaged. Run the training of "
            f"{run.folder.name} with --resume to have it made again."
        ) from error
    # Steps of 8 HU, as fine as the mean of a few patients means anything; packs well.
    hu = np.round(config.window.to_hu(mean).numpy() / 8) * 8
    x, y, z = (float(v) for v in size)
    return hu.astype(np.float32), (x, y, z)


def _grown_apart(
    parts: Mapping[str, Trained], weights: Mapping[str, Mapping[str, torch.Tensor]]
) -> list[str]:
    """Runs that were trained on other weights of an earlier stage than the bundle holds."""
    now = {part: weights_hash(state) for part, state in weights.items()}
    found = []
    for run in {t.stage: t for t in parts.values()}.values():
        networks = RunFolder(run.folder).state().get("networks") or {}
        for part, origin in networks.items():
            if part in run.parts or "sha256" not in origin:
                continue
            if origin["sha256"] != now.get(part):
                found.append(
                    f"{run.folder.name} was trained with another '{part}' ({origin['from']}) than "
                    "the bundle holds; train it again for the best result."
                )
    return found


def base_bundle(where: str | Path) -> Bundle:
    """A bundle by its folder or its installed name."""
    from axon_backend.bundle.library import find_bundle

    return load_bundle(where if Path(where).is_dir() else find_bundle(str(where)).path)
