"""Adversarial training: the updates of the adversary (discriminator)."""

from __future__ import annotations

from typing import Any

import torch

from axon_backend.methods.batch import Batch
from axon_backend.methods.objective import Adversary


class AdversaryUpdates:
    """Adam on an :class:`Adversary`, whose parameters require gradients only during its updates.

    Args:
        fabric: launched Lightning Fabric.
        adversary: the adversary of an objective that Fabric has already set up.
    """

    def __init__(self, fabric: Any, adversary: Adversary) -> None:
        self.fabric, self.adversary = fabric, adversary
        # Gradients are required during set-up, so that they are averaged over the processes.
        self.wrapped = fabric.setup_module(adversary.requires_grad_(True))
        self.parameters = list(adversary.parameters())
        self.optimiser = torch.optim.Adam(self.parameters, lr=adversary.lr, betas=adversary.betas)
        adversary.requires_grad_(False)
        self.loss: Any = 0.0
        self.count = 0

    def update(self, micro: list[tuple[Batch, torch.Tensor]], scale: float, clip: float) -> None:
        """One optimiser step, accumulated over the micro-batches.

        Args:
            micro: each micro-batch with the objective's output for it.
            scale: current learning rate of the run divided by its peak.
            clip: largest norm of the gradient.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = scale * self.adversary.lr
        self.adversary.requires_grad_(True)
        self.optimiser.zero_grad()
        for i, (batch, output) in enumerate(micro):
            with self.fabric.no_backward_sync(self.wrapped, enabled=i + 1 < len(micro)):
                loss = self.wrapped(batch, output) / len(micro)
                self.fabric.backward(loss)
            self.loss = self.loss + loss.detach()
        self.count += 1
        torch.nn.utils.clip_grad_norm_(self.parameters, clip)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.adversary.requires_grad_(False)

    def read(self) -> float:
        """The adversary's mean loss since the last reading."""
        mean = float(self.loss) / max(1, self.count)
        self.loss, self.count = 0.0, 0
        return mean

    def state(self) -> dict[str, Any]:
        """The state to store in a checkpoint."""
        return {
            "weights": self.adversary.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "loss": torch.as_tensor(self.loss),
            "count": self.count,
        }

    def resume(self, state: dict[str, Any], device: torch.device) -> None:
        """The inverse of :meth:`state`."""
        self.adversary.load_state_dict(state["weights"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.loss, self.count = state["loss"].to(device), state["count"]
