"""Learning-rate schedules, optimisers behind one interface, and averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from axon_backend.training.config import OptimiserSettings


def learning_rate(progress: float, settings: OptimiserSettings) -> float:
    """The learning rate at ``progress`` in [0, 1] of the budget.

    Linear warm-up, then, with progress counted from the end of the warm-up: constant; half a
    cosine to ``floor * lr``; exponential decay to ``floor * lr`` (``lr * floor^progress``); or
    linear decay to ``floor * lr`` over the second half.
    """
    peak, warm_up, floor = settings.lr, settings.warm_up, settings.floor
    if progress < warm_up:
        return peak * max(progress, 1e-4) / warm_up
    after = min(1.0, (progress - warm_up) / max(1e-9, 1 - warm_up))
    if settings.schedule == "constant":
        return peak
    if settings.schedule == "exponential":
        return peak * max(floor, 1e-6) ** after
    if settings.schedule == "linear":
        return peak * (1 - (1 - floor) * max(0.0, 2 * after - 1))
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * after)))


class Optimiser:
    """Adam, AdamW, or Muon (Jordan et al. 2024) for the inner convolutions and AdamW for the rest.

    Orthogonalised updates make more progress per step, which matters when few steps are
    affordable. torch's Muon takes matrices: each kernel is passed as an (out, in x k^n) view.
    """

    def __init__(self, parameters: list[nn.Parameter], settings: OptimiserSettings) -> None:
        self.parameters = parameters
        lr, decay, betas = settings.lr, settings.weight_decay, settings.betas
        self.kernels = []
        if settings.name == "muon":
            self.kernels = [p for p in parameters if p.ndim >= 4 and min(p.shape[:2]) >= 16]
        chosen = {id(p) for p in self.kernels}
        rest = [p for p in parameters if id(p) not in chosen]
        self.matrices = [nn.Parameter(self._matrix(p.data)) for p in self.kernels]
        self.parts: list[torch.optim.Optimizer] = []
        fused = all(p.is_cuda for p in rest)
        if rest and settings.name == "adam":
            self.parts.append(torch.optim.Adam(rest, lr=lr, betas=betas, fused=fused))
        elif rest:
            self.parts.append(
                torch.optim.AdamW(rest, lr=lr, betas=betas, weight_decay=decay, fused=fused)
            )
        if self.kernels:
            self.parts.append(
                torch.optim.Muon(
                    self.matrices, lr=lr, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
                )
            )

    @staticmethod
    def _matrix(kernel: torch.Tensor) -> torch.Tensor:
        """(out, in, k...) -> (out, -1), as a view for any memory format."""
        if kernel.is_contiguous():
            return kernel.view(kernel.shape[0], -1)
        return kernel.movedim(1, -1).view(kernel.shape[0], -1)

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of all groups."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = lr

    def zero_grad(self) -> None:
        """Clear all gradients."""
        for p in (*self.parameters, *self.matrices):
            p.grad = None

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

    def state_dict(self) -> list[dict[str, Any]]:
        """The state of all parts."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """The inverse of :meth:`state_dict`."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


class Ema:
    """Exponential moving average of networks' floating-point state, with a warm-up.

    ``decay_k = min(decay, (1 + k) / (10 + k))``, so that the initial weights do not dominate a
    short run.
    """

    def __init__(self, networks: dict[str, nn.Module], decay: float = 0.998) -> None:
        self.networks, self.decay, self.updates = networks, decay, 0
        self.kept = {
            part: {k: v.detach().clone() for k, v in network.state_dict().items()}
            for part, network in networks.items()
        }

    @torch.no_grad()
    def update(self) -> None:
        """Update the averages with the networks' current weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        kept, new = [], []
        for part, network in self.networks.items():
            for name, value in network.state_dict().items():
                old = self.kept[part][name]
                if old.is_floating_point():
                    kept.append(old)
                    new.append(value.detach())
                else:
                    old.copy_(value)
        if kept:
            torch._foreach_lerp_(kept, new, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Context manager that gives the networks their averaged weights."""
        own = {
            part: {k: v.detach().clone() for k, v in network.state_dict().items()}
            for part, network in self.networks.items()
        }
        self._put(self.kept)
        try:
            yield
        finally:
            self._put(own)

    def _put(self, states: dict[str, dict[str, torch.Tensor]]) -> None:
        with torch.no_grad():
            for part, network in self.networks.items():
                for name, value in network.state_dict().items():
                    value.copy_(states[part][name])
