"""From a run folder to a bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from axon_backend.bundle import Bundle, write_bundle
from axon_backend.bundle.metadata import axon_metadata
from axon_backend.methods.axon import Axon, AxonConfig


def export_bundle(
    run: Path,
    target: Path,
    config: AxonConfig,
    *,
    name: str,
    version: str,
    atlas_size_mm: tuple[float, float, float],
    model_card: str,
    licence_text: str,
    data_source: str,
    eval_metrics: dict[str, float] | None = None,
    changelog: dict[str, str] | None = None,
    replace: bool = False,
) -> Bundle:
    """Write the best weights of every stage of a run as a bundle.

    Args:
        run: the folder given to ``python -m axon_backend.training``.
        target: the bundle's folder.
        config: what the run was trained with, sampling defaults included.
        atlas_size_mm: mean size (x, y, z) of the training patients' frames.
        changelog: {version: what changed}.
    """
    weights = {part: torch.load(run / part / "best.pt", weights_only=True) for part in Axon.PARTS}
    mean = torch.load(run / "mean.pt", weights_only=True)[0, 0]
    # Steps of 8 HU, as fine as the mean of a few patients means anything; packs well.
    atlas = np.round(config.window.to_hu(mean).numpy() / 8) * 8
    size = config.encoder.size
    metadata = axon_metadata(
        name=name,
        version=version,
        description="AXON for CPUs: one or two chest X-rays to a CT volume",
        image_size=1024,
        grid=size,
        output_grid=size * config.sr.gamma,
        hu_window=(config.window.low, config.window.high),
        networks=Axon.PARTS,
        data_source=data_source,
        eval_metrics=eval_metrics,
        changelog=changelog,
    )
    return write_bundle(
        target,
        config=config.as_dict(),
        metadata=metadata,
        state_dicts=weights,
        dtype=torch.int8,
        atlas_hu=atlas.astype(np.float32),
        atlas_size_mm=atlas_size_mm,
        model_card=model_card,
        licence_text=licence_text,
        replace=replace,
    )
