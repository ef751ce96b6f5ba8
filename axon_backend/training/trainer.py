"""The training loop for every objective, on Lightning Fabric."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch

from axon_backend.methods.batch import Batch, ValidationCase
from axon_backend.methods.objective import Objective
from axon_backend.training import checkpoint
from axon_backend.training.adversary import AdversaryUpdates
from axon_backend.training.config import TrainConfig
from axon_backend.training.data.loader import Batches
from axon_backend.training.optimiser import Ema, Optimiser, learning_rate
from axon_backend.training.run import distributed
from axon_backend.training.run.curves import ADVERSARY_LOSS, Curves
from axon_backend.training.run.events import RunWriter
from axon_backend.training.run.meter import Meter
from axon_backend.training.run.provenance import memory_gb
from axon_backend.training.settings import as_plain
from axon_backend.training.torch_file import save_atomically
from axon_backend.training.validate import show, validate

# Interval between two writes of last.pt.
CHECKPOINT_SECONDS = 180.0


class Trainer:
    """Updates, averaged weights, validation and checkpoints of one run.

    Args:
        fabric: launched Lightning Fabric: device, precision, processes.
        objective: the loss and its networks, on the CPU or the device.
        config: the run's configuration.
        total_steps: number of steps in the budget; None if it is in minutes.
        cases: validation cases.
        writer: writes run.json and the events.
        stop_asked: whether a stop has been requested.
    """

    def __init__(
        self,
        fabric: Any,
        objective: Objective,
        config: TrainConfig,
        *,
        total_steps: int | None,
        cases: list[ValidationCase],
        writer: RunWriter,
        stop_asked: Callable[[], bool],
    ) -> None:
        self.fabric, self.objective, self.config = fabric, objective, config
        self.total_steps, self.writer, self.stop_asked = total_steps, writer, stop_asked
        self.folder = writer.folder
        self.first = fabric.global_rank == 0
        if objective.adversary is not None:
            objective.adversary.requires_grad_(False)
        self.wrapped = fabric.setup_module(objective)
        self.adversary: AdversaryUpdates | None = None
        if objective.adversary is not None:
            self.adversary = AdversaryUpdates(fabric, objective.adversary)
        self.device = fabric.device
        self.cases = cases
        for case in cases:
            case.batch = case.batch.to(self.device)
        networks = objective.networks()
        self.parameters = [
            p for network in networks.values() for p in network.parameters() if p.requires_grad
        ]
        self.optimiser = Optimiser(self.parameters, config.optimiser)
        self.ema = Ema(networks, config.ema)
        self.step = self.best_step = 0
        self.spent, self.best = 0.0, math.inf
        self.status = "finished"
        self.curves: Curves | None = None
        self.meter = Meter()
        self.validated = 0

    # -- state ---------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything needed to resume, for ``torch.load(weights_only=True)``. The step determines
        the data order: sample i is a function of (seed, i)."""
        adversary = {} if self.adversary is None else {"adversary": self.adversary.state()}
        return {
            "format": checkpoint.FORMAT,
            "version": checkpoint.VERSION,
            "stage": self.config.stage,
            "step": self.step,
            "spent": self.spent,
            "best": self.best,
            "best_step": self.best_step,
            "validated": self.validated,
            "meter": self.meter.state(),
            "parts": {k: n.state_dict() for k, n in self.objective.networks().items()},
            "ema": self.ema.kept,
            "ema_updates": self.ema.updates,
            "optimiser": self.optimiser.state_dict(),
            "random": torch.get_rng_state(),
            "config": as_plain(self.config),
            **adversary,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Resume from a :meth:`state`."""
        for part, network in self.objective.networks().items():
            network.load_state_dict(state["parts"][part])
            for name, value in state["ema"][part].items():
                self.ema.kept[part][name].copy_(value)
        self.optimiser.load_state_dict(state["optimiser"])
        self.ema.updates = state["ema_updates"]
        self.step, self.spent, self.best = state["step"], state["spent"], state["best"]
        self.best_step = state["best_step"]
        self.validated = state["validated"]
        self.meter.resume(state["meter"], self.device)
        if self.adversary is not None and "adversary" in state:
            self.adversary.resume(state["adversary"], self.device)
        torch.set_rng_state(state["random"].cpu())

    def save(self) -> None:
        """Write last.pt. Call only after :meth:`_check`, so that the weights are finite."""
        if self.first:
            save_atomically(self.state(), self.folder.last)
            self.writer.event("checkpoint", step=self.step, file=str(self.folder.last))

    # -- the loop ------------------------------------------------------------------------------

    def run(self, batches: Batches, micro_batches: int) -> str:
        """Train until the budget is spent or a stop is requested.

        Returns:
            "finished" or "stopped".
        """
        config, minutes = self.config, self.config.minutes
        if self.first:
            self.curves = Curves(self.folder.metrics_file, self.folder.tensorboard, self.step)
            if self.curves.missing:
                self.writer.message(self.curves.missing)
        self._began = time.monotonic() - self.spent
        self.meter.start(self.step, batches)
        next_validation = self.spent + 60.0 * config.validation.every_minutes
        next_save = self.spent + CHECKPOINT_SECONDS
        every = config.validation.every_steps
        while True:
            self.now()
            progress = (
                self.step / self.total_steps
                if self.total_steps
                else self.spent / (60.0 * (minutes or 1.0))
            )
            validate = (
                self.step % every == 0 if every else self.spent >= next_validation
            ) and self.step > self.validated
            saving = self.spent >= next_save
            # The clock of the first process counts for all; any process may request a stop.
            mine = [progress, float(validate), float(saving)] if self.first else [0.0, 0.0, 0.0]
            progress, validate_, saving_, stop = distributed.all_reduce_max(
                [*mine, float(self.stop_asked())]
            )
            if stop:
                self.status = "stopped"
                self.writer.set(status="stopping")
                self._check()
                self.save()
                return self.status
            done = progress >= 1.0
            if validate_ or (done and self.step > self.validated):
                self._check()
                if not self._validate():
                    continue  # interrupted: the stop request is handled above
                self.validated = self.step
                next_validation = self.now() + 60.0 * config.validation.every_minutes
            if done or validate_ or saving_:
                self._check()
                self.save()
                next_save = self.now() + CHECKPOINT_SECONDS
                self.meter.pause_over()
            if done:
                return self.status
            self._update([self._fetch(batches) for _ in range(micro_batches)], progress)

    def now(self) -> float:
        """Update and return the seconds of training so far, including those before a resume."""
        self.spent = time.monotonic() - self._began
        return self.spent

    def _fetch(self, batches: Batches) -> Batch:
        """The next micro-batch; an error in one process ends all of them."""
        return distributed.raise_on_any_rank(lambda: next(batches)).to(self.device)

    def _update(self, micro: list[Batch], progress: float) -> None:
        config = self.config
        lr = learning_rate(progress, config.optimiser)
        self.optimiser.set_lr(lr)
        self.optimiser.zero_grad()
        total = torch.zeros((), device=self.device)
        outputs: list[tuple[Batch, torch.Tensor]] = []
        for i, batch in enumerate(micro):
            with self.fabric.no_backward_sync(self.wrapped, enabled=i + 1 < len(micro)):
                loss = self.wrapped(batch) / len(micro)
                self.fabric.backward(loss)
            total += loss.detach()
            if self.objective.output is not None:
                outputs.append((batch, self.objective.output))
        limit = config.optimiser.clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, limit)
        self.meter.add(total, norm)
        if self.device.type == "cpu" and distributed.count() == 1:
            self._check()  # before the weights change: here it costs nothing
        self.optimiser.step()
        self.ema.update()
        if self.adversary is not None and self.step % self.adversary.adversary.every == 0:
            self.adversary.update(outputs, lr / config.optimiser.lr, limit)
        self.step += 1
        if self.step % config.log_steps == 0:
            self._log(lr)
        elif self.first and self.meter.tell_now():
            self._tell(lr)
        self.writer.sign()

    def _check(self) -> None:
        """Raise FloatingPointError if a loss or gradient since the last row was not finite."""
        against = 0.0 if self.adversary is None else float(self.adversary.loss)
        loss, norm, against = distributed.mean([*self.meter.sums(), against])
        if all(math.isfinite(value) for value in (loss, norm, against)):
            return
        kept = (
            f"The last good state, {self.folder.last}, is kept"
            if self.folder.last.exists()
            else "No checkpoint has been written yet"
        )
        quantity = "loss" if not math.isfinite(loss) else "gradient"
        if math.isfinite(loss) and math.isfinite(norm):
            quantity = "adversary's loss"
        raise FloatingPointError(
            f"The {quantity} is not a number or infinite at step {self.step} (the last row of "
            f"metrics was at step {self.meter.first}). {kept}. Lower optimiser.lr or "
            "optimiser.clip, or set precision=32, and run the same command with --resume."
        )

    def close(self) -> None:
        """Close the metrics files."""
        if self.curves is not None:
            self.curves.close()

    # -- reports -------------------------------------------------------------------------------

    def _log(self, lr: float) -> None:
        self._check()
        values = self.meter.read(self.step)
        values["loss"], values["gradient"] = distributed.mean([values["loss"], values["gradient"]])
        values |= {"lr": lr, "memory_gb": memory_gb(self.device)}
        if self.adversary is not None:
            values[ADVERSARY_LOSS] = distributed.mean([self.adversary.read()])[0]
        self.now()
        if self.curves is not None:
            kept = {k: v for k, v in values.items() if k != "steps_per_second"}
            self.curves.add(self.step, {"minutes": self.spent / 60, **kept})
        if self.meter.tell_now():
            event = {k: v for k, v in values.items() if k != "gradient"}
            self.writer.event("step", step=self.step, **event, seconds_left=self._left(values))

    def _tell(self, lr: float) -> None:
        """Report progress between two rows of metrics.csv, since a step may take many seconds.
        The loss is that of this process."""
        values = self.meter.peek() | {"lr": lr, "memory_gb": memory_gb(self.device)}
        self.now()
        left = self._left(values)
        self.writer.event("step", step=self.step, **values, seconds_left=left)

    def _left(self, values: dict[str, float]) -> float | None:
        if self.total_steps:
            pace = values["steps_per_second"]
            return (self.total_steps - self.step) / pace if pace else None
        return max(0.0, 60.0 * (self.config.minutes or 0.0) - self.spent)

    def _validate(self) -> bool:
        """Validate the averaged weights and save them if they are the best so far; False if a stop
        was requested meanwhile."""
        with self.ema.in_place():
            result = validate(
                self.objective,
                self.cases,
                rank=self.fabric.global_rank,
                shown=self.config.validation.samples,
                stopped=self.stop_asked,
            )
        if result is None:
            return False
        metrics = {"validation_loss": result.loss, **result.metrics}
        best = result.loss < self.best
        if best:
            self.best, self.best_step = result.loss, self.step
        if self.first:
            if best:
                self._save_best(metrics)
            self.writer.event("validation", step=self.step, metrics=metrics, best=best)
            if self.curves is not None:
                self.curves.add(self.step, {"minutes": self.spent / 60, **metrics})
        show(result, self.writer, self.curves, self.config, self.step)
        return True

    def _save_best(self, metrics: dict[str, float]) -> None:
        save_atomically(
            {
                "format": checkpoint.FORMAT,
                "version": checkpoint.VERSION,
                "stage": self.config.stage,
                "step": self.step,
                "parts": self.ema.kept,
                "figures": metrics,
                "config": as_plain(self.config),
            },
            self.folder.best,
        )
        self.writer.event("checkpoint", step=self.step, file=str(self.folder.best))
