"""Train one stage of AXON from a list of CTs; the first floor of the training system.

    python -m axon_backend.training pool       --data data.json --run runs/a --pairs 1200
    python -m axon_backend.training encoder    --data data.json --run runs/a --minutes 40
    python -m axon_backend.training coarse | prior | controlnet | sr   (the same options)

``data.json``: {"train": [CT files], "validation": [CT files]}, paths relative to the file. A stage
builds on the ``best.pt`` of the stages before it; run again, it resumes. ``--start BUNDLE`` begins
from the trained weights of a bundle of the same architecture instead of random ones.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from axon_backend.bundle import load_bundle
from axon_backend.methods.axon import PRESETS, Axon, AxonConfig
from axon_backend.training.batch import Batches
from axon_backend.training.cases import load_case
from axon_backend.training.coarse import train_coarse
from axon_backend.training.encoder import train_encoder
from axon_backend.training.fine import train_controlnet, train_prior
from axon_backend.training.loop import save_atomically
from axon_backend.training.pool import PairPool, fill_pool
from axon_backend.training.sr import train_sr

# What each stage needs to have been trained before it.
NEEDS = {
    "encoder": (),
    "coarse": ("encoder",),
    "prior": (),
    "controlnet": ("encoder", "coarse", "prior"),
    "sr": ("encoder", "coarse", "prior", "controlnet"),
}


def mean_volume(files: list[Path], run: Path, config: AxonConfig) -> torch.Tensor:
    """The mean of the training volumes at 2h, (1, 1, 2h, 2h, 2h) in [-1, 1]; kept in the run."""
    path = run / "mean.pt"
    if not path.exists():
        total = sum(
            load_case(f, size=config.encoder.size, window=config.window).batch.fine for f in files
        )
        save_atomically(total / len(files), path)
    return torch.load(path, weights_only=True)


def main(argv: list[str] | None = None) -> None:
    """The command line described in the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m axon_backend.training")
    parser.add_argument("stage", choices=("pool", *NEEDS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="preview")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--worker", default="0/1", help="this pool worker of how many, as i/n")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--blended", type=float, default=0.0, help="share of blended pairs")
    parser.add_argument("--start", type=Path, help="a bundle whose weights to begin from")
    options = parser.parse_args(argv)

    listing = json.loads(options.data.read_text())
    files = {k: [options.data.parent / f for f in listing[k]] for k in ("train", "validation")}
    pool = options.run / "pool"
    config = PRESETS[options.preset]()
    if options.stage == "pool":
        worker, workers = (int(v) for v in options.worker.split("/"))
        fill_pool(
            pool,
            files["train"],
            first=worker,
            count=-(-options.pairs // workers),
            stride=workers,
            seed=options.seed,
            fine_size=2 * config.encoder.size,
            view_size=config.encoder.view_size,
            window=config.window,
        )
        return

    torch.manual_seed(options.seed)
    model = Axon(config).eval()
    mean = mean_volume(files["train"], options.run, config)
    model.encoder.mean.copy_(torch.nn.functional.avg_pool3d(mean, 2))
    for part in NEEDS[options.stage]:
        weights = torch.load(options.run / part / "best.pt", weights_only=True)
        getattr(model, part).load_state_dict(weights)
    if options.stage == "controlnet":
        model.controlnet.copy_from(model.prior)
    if options.start is not None:
        weights = load_bundle(options.start).state_dict(options.stage)
        getattr(model, options.stage).load_state_dict(weights)
    getattr(model, options.stage).train()
    batches = Batches(
        PairPool(pool),
        options.batch,
        np.random.default_rng([options.seed, len(options.stage)]),
        blended=options.blended,
    )
    common = {
        "batches": batches,
        "cases": [
            load_case(f, size=config.encoder.size, window=config.window)
            for f in files["validation"]
        ],
        "folder": options.run / options.stage,
        "minutes": options.minutes,
        "rng": torch.Generator().manual_seed(options.seed),
    }
    if options.stage == "encoder":
        train_encoder(model.encoder, **common)
    elif options.stage == "coarse":
        train_coarse(model, **common)
    elif options.stage == "prior":
        train_prior(model, **common)
    elif options.stage == "controlnet":
        train_controlnet(model, **common)
    else:
        train_sr(model, **common)


if __name__ == "__main__":
    main()
