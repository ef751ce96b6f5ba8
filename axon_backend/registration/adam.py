"""Adam (Kingma and Ba, ICLR 2015) for a single small parameter vector.

``torch.optim`` imports torch's compiler, which takes a second and 70 MB, for a search over at most
a dozen parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

BETAS, EPSILON = (0.8, 0.95), 1e-8


class Adam:
    """Maximises a score by its gradient, and remembers the best parameters visited.

    Args:
        start: (n,) initial parameters; they are not changed.
        lr: initial learning rate.
        steps: number of steps over which a cosine reduces the learning rate.
        least: final learning rate as a fraction of the initial one.

    Attributes:
        best: (score, parameters) of the best step so far.
    """

    def __init__(self, start: torch.Tensor, lr: float, steps: int, least: float) -> None:
        self._x = start.clone().requires_grad_(True)
        self._mean, self._square = torch.zeros_like(start), torch.zeros_like(start)
        self._lr, self._steps, self._least, self._done = lr, steps, least, 0
        self.best: tuple[float, torch.Tensor] = (-math.inf, start)

    def step(self, score_of: Callable[[torch.Tensor], torch.Tensor]) -> float | None:
        """Evaluate the score and move along its gradient.

        Returns:
            The score before the move; None if its gradient is not finite, and nothing was moved.
        """
        score = score_of(self._x)
        value = score.item()
        if value > self.best[0]:
            self.best = (value, self._x.detach().clone())
        gradient: torch.Tensor | None = None
        if score.requires_grad:
            (gradient,) = torch.autograd.grad(-score, self._x, allow_unused=True)
        if gradient is None or not bool(torch.isfinite(gradient).all()):
            return None
        cosine = 0.5 * (1 + math.cos(math.pi * self._done / self._steps))
        lr = self._lr * (self._least + (1 - self._least) * cosine)
        self._done += 1
        self._mean.lerp_(gradient, 1 - BETAS[0])
        self._square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        root = math.sqrt(1 - BETAS[1] ** self._done)
        denominator = (self._square.sqrt() / root).add_(EPSILON)
        with torch.no_grad():
            self._x.addcdiv_(self._mean, denominator, value=-lr / (1 - BETAS[0] ** self._done))
        return value
