"""One plain training loop for every stage: time budget, EMA, validation, best checkpoint."""

from __future__ import annotations

import copy
import csv
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn


class Ema:
    """Exponential moving average of a network's floating-point state, with a warm-up.

    ``decay_k = min(decay, (1 + k) / (10 + k))``, so a short run is not dominated by its start.
    """

    def __init__(self, network: nn.Module, decay: float = 0.998) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Blend in the network's present weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for kept, new in zip(
            self.network.state_dict().values(), network.state_dict().values(), strict=True
        ):
            if kept.is_floating_point():
                kept.lerp_(new.to(kept.dtype), 1 - decay)
            else:
                kept.copy_(new)


def learning_rate(
    progress: float, peak: float, warm_up: float = 0.02, floor: float = 0.03
) -> float:
    """Linear warm-up, then a cosine to ``floor * peak``; ``progress`` in [0, 1] of the budget."""
    if progress < warm_up:
        return peak * max(progress, 1e-4) / warm_up
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warm_up) / (1 - warm_up))))
    return peak * (floor + (1 - floor) * cosine)


class Optimiser:
    """Muon (Jordan et al. 2024) for the inner convolutions, AdamW for everything else.

    Few steps are affordable on a CPU, and orthogonalised updates get further in each of them.
    torch's Muon takes matrices: each kernel is shown to it as (out, in x k^n), sharing memory.
    """

    def __init__(self, parameters: list[nn.Parameter], rate: float, weight_decay: float) -> None:
        self.kernels = [p for p in parameters if p.ndim >= 4 and min(p.shape[:2]) >= 16]
        chosen = {id(p) for p in self.kernels}
        rest = [p for p in parameters if id(p) not in chosen]
        self.matrices = [nn.Parameter(self._matrix(p.data)) for p in self.kernels]
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=rate, weight_decay=weight_decay)
        ]
        if self.kernels:
            self.parts.append(
                torch.optim.Muon(
                    self.matrices,
                    lr=rate,
                    weight_decay=weight_decay,
                    adjust_lr_fn="match_rms_adamw",
                )
            )

    @staticmethod
    def _matrix(kernel: torch.Tensor) -> torch.Tensor:
        """(out, in, k...) -> (out, -1), a view whatever the memory format."""
        if kernel.is_contiguous():
            return kernel.view(kernel.shape[0], -1)
        return kernel.movedim(1, -1).view(kernel.shape[0], -1)

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of all groups."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)
        for kernel in self.kernels:
            kernel.grad = None

    def step(self) -> None:
        """One update from the gradients of the parameters."""
        for kernel, matrix in zip(self.kernels, self.matrices, strict=True):
            if kernel.grad is not None:
                like = (
                    kernel.grad.contiguous(memory_format=torch.contiguous_format)
                    if kernel.data.is_contiguous()
                    else kernel.grad.movedim(1, -1).contiguous()
                )
                matrix.grad = like.reshape(matrix.shape)
        for part in self.parts:
            part.step()

    def state_dict(self) -> list[dict]:
        """The state of both parts."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict]) -> None:
        """The inverse of :meth:`state_dict`."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def save_atomically(obj: object, path: Path) -> None:
    """``torch.save`` that never leaves a half-written file under the final name."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        torch.save(obj, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def train(
    network: nn.Module,
    loss_of: Callable[[nn.Module], torch.Tensor],
    validate: Callable[[nn.Module], dict[str, float]],
    folder: Path,
    *,
    minutes: float,
    peak_rate: float = 1.5e-3,
    validate_minutes: float = 4.0,
    better: str = "loss",
    weight_decay: float = 1e-2,
    ema_decay: float = 0.998,
) -> None:
    """Train until the time is up; resumes from ``folder/last.pt`` when it is there.

    Args:
        network: what is trained; parameters with ``requires_grad`` False stay as they are.
        loss_of: draws its own batch and returns a scalar loss.
        validate: figures of the EMA network on validation patients.
        folder: receives ``log.csv``, ``last.pt`` (everything to resume) and ``best.pt`` (the EMA
            weights with the smallest ``better`` figure so far).
        minutes: budget, counted over all resumed runs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimiser = Optimiser(parameters, peak_rate, weight_decay)
    ema = Ema(network, ema_decay)
    step, spent, best = 0, 0.0, math.inf
    last = folder / "last.pt"
    if last.exists():
        state = torch.load(last, weights_only=True)
        network.load_state_dict(state["network"])
        ema.network.load_state_dict(state["ema"])
        ema.updates = state["step"]
        optimiser.load_state_dict(state["optimiser"])
        step, spent, best = state["step"], state["spent"], state["best"]

    began = time.monotonic() - spent
    next_validation = spent + 60.0 * validate_minutes
    running, count = 0.0, 0
    while True:
        elapsed = time.monotonic() - began
        done = elapsed >= 60.0 * minutes
        if done or elapsed >= next_validation:
            figures = validate(ema.network)
            row = {
                "step": step,
                "minutes": round(elapsed / 60, 2),
                "train_loss": round(running / max(count, 1), 6),
                **{k: round(v, 5) for k, v in figures.items()},
            }
            running, count = 0.0, 0
            _log(folder / "log.csv", row)
            print(json.dumps(row), flush=True)
            if figures[better] < best:
                best = figures[better]
                save_atomically(ema.network.state_dict(), folder / "best.pt")
            save_atomically(
                {
                    "network": network.state_dict(),
                    "ema": ema.network.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step,
                    "spent": time.monotonic() - began,
                    "best": best,
                },
                last,
            )
            next_validation = time.monotonic() - began + 60.0 * validate_minutes
        if done:
            return
        optimiser.set_rate(learning_rate(elapsed / (60.0 * minutes), peak_rate))
        loss = loss_of(network)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {step}; the last good state is {last}"
            )
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        ema.update(network)
        step += 1
        running, count = running + loss.item(), count + 1


def _log(path: Path, row: dict) -> None:
    new = not path.exists()
    with open(path, "a", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
