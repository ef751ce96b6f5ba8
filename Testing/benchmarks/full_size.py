"""One training step of every training of a preset at its full size, on the CPU.

    python Testing/benchmarks/full_size.py --preset paper --preset paper_biplanar --out FILE
    python Testing/benchmarks/full_size.py --method x2ct --preset full --out FILE

Networks and batches are random: what is measured is that a step runs, how long it takes and how
much memory. One sample at a time, activations computed again in the backward pass
(`checkpointing`), weights and gradients in 32 bits, convolutions in bfloat16 unless --float32.
An adversary, if the training has one, also makes its step. Every training runs in a process of its
own, so that its peak is its own. `--set` changes settings, as for `axon train`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from axon_backend.methods.batch import Batch

PRESETS = {"axon": ("paper", "paper_biplanar")}


def random_batch(config: Any) -> Batch:
    """One sample of random numbers for a training, (1, 1, n, n, n) and (1, 1, S, S)."""
    import torch
    from torch import nn

    from axon_backend.methods.batch import Batch, Draws

    n, side = config.model.grid, config.model.view_size
    fine = torch.rand(1, 1, *[n * config.gamma] * 3) * 2 - 1
    u = torch.full((1,), 0.5, dtype=torch.float64)
    draws = Draws(
        single=torch.tensor([config.data.single_view >= 1]),
        t=u, t_end=u, augmentation=u, kind=u, crop=u.expand(1, 3),
        noise=torch.randn(1, 1, n, n, n), seeds=torch.tensor([1]),
    )  # fmt: skip
    return Batch(
        volume=nn.functional.avg_pool3d(fine, config.gamma), fine=fine,
        frontal=torch.rand(1, 1, side, side), lateral=torch.rand(1, 1, side, side),
        beam=torch.tensor([[0.1, 0.1]]), draws=draws,
    )  # fmt: skip


def one_step(
    name: str,
    training: str,
    *,
    method: str = "axon",
    settings: Sequence[str] = (),
    bfloat16: bool = True,
    steps: int = 1,
) -> dict[str, float]:
    """Seconds and CPU seconds of the last of a few steps, its loss and the largest change of a
    weight."""
    import torch
    from torch import nn

    from axon_backend.training.plan import resolve
    from axon_backend.training.recompute import recompute_blocks

    torch.manual_seed(0)
    config = resolve(training, method=method, preset_name=name, pairs=settings)
    model = config.of_method.build(config.model)
    model.keep_networks({*config.trains, *config.needs})
    for network in {*config.trains, *config.needs}:
        model.network(network).requires_grad_(network in config.trains)
    for network in set(config.needs) - set(config.trains):
        # Layers that start at zero let no gradient through; those of a trained network do.
        for weight in model.network(network).parameters():
            if not weight.any():
                nn.init.normal_(weight, std=0.02)
    recompute_blocks(model)
    objective = config.objective(model, config.loss, single_view=config.data.single_view)
    weights = [w for n in config.trains for w in model.network(n).parameters()]
    optimiser = torch.optim.Adam(weights, config.optimiser.lr)
    adversary = objective.adversary
    if adversary is not None:
        against = torch.optim.Adam(adversary.parameters(), adversary.lr, adversary.betas)
    before = [w.detach().clone() for w in weights]
    batch = random_batch(config)
    seconds, cpu, loss = 0.0, 0.0, torch.zeros(())
    for _ in range(steps):
        began, cpu_began = time.perf_counter(), time.process_time()
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = objective(batch)
        loss.backward()
        optimiser.step()
        if adversary is not None:
            against.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                lost = adversary(batch, objective.output)
            lost.backward()
            against.step()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    moved = max(float((a - b.detach()).abs().max()) for a, b in zip(before, weights, strict=True))
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "loss": loss.item(),
        "moved": moved,
    }


def main() -> None:
    ask = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument("--method", default="axon")
    ask.add_argument("--preset", action="append", help="default: paper, paper_biplanar; else full")
    ask.add_argument("--training", action="append", help="default: all")
    ask.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    ask.add_argument("--float32", action="store_true")
    ask.add_argument("--steps", type=int, default=1)
    ask.add_argument("--threads", type=int, default=1)
    ask.add_argument("--out", type=Path)
    ask.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    chosen = ask.parse_args()
    if chosen.here:
        import resource  # not on Windows

        import torch

        torch.set_num_threads(chosen.threads)
        (name,), (training,) = chosen.preset, chosen.training
        row: dict[str, object] = {"method": chosen.method, "preset": name, "training": training}
        if chosen.set:
            row["set"] = chosen.set
        row |= one_step(
            name, training, method=chosen.method, settings=chosen.set,
            bfloat16=not chosen.float32, steps=chosen.steps,
        )  # fmt: skip
        row["peak_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
        print(json.dumps(row), flush=True)
        return
    from axon_backend.methods import registry

    trainings = registry.info(chosen.method).training_names
    rows = []
    for name in chosen.preset or PRESETS.get(chosen.method, ("full",)):
        for training in chosen.training or trainings:
            words = [sys.executable, __file__, "--here", "--method", chosen.method]
            words += ["--preset", name, "--training", training]
            words += ["--threads", str(chosen.threads), "--steps", str(chosen.steps)]
            words += [word for pair in chosen.set for word in ("--set", pair)]
            words += ["--float32"] if chosen.float32 else []
            done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
            rows.append(json.loads(done.stdout))
            print(rows[-1], flush=True)
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(rows, indent=1), "utf-8")


if __name__ == "__main__":
    main()
