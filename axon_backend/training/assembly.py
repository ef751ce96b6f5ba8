"""Set up a run: data, networks, trainer, batches."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from axon_backend.bundle import Bundle
from axon_backend.dataset.dataset import DatasetCase
from axon_backend.errors import Cancelled
from axon_backend.methods.batch import Batch, ValidationCase
from axon_backend.training.config import TrainConfig
from axon_backend.training.data.batch import validation_look, without_misregistration
from axon_backend.training.data.loader import Batches, default_workers, micro_batch
from axon_backend.training.data.mean import MEAN_CASES, mean_volume, spread
from axon_backend.training.data.pairs import NOT_DEFORMED, Deformation
from axon_backend.training.data.samples import Samples
from axon_backend.training.data.source import PairSettings, PairSource
from axon_backend.training.data.validation_cases import load_case
from axon_backend.training.recompute import recompute_blocks
from axon_backend.training.run import distributed
from axon_backend.training.run.events import RunWriter, write_text_whole
from axon_backend.training.run.fabric import world_topology
from axon_backend.training.run.stop_request import StopRequest
from axon_backend.training.settings import to_yaml
from axon_backend.training.torch_file import save_atomically
from axon_backend.training.trainer import Trainer
from axon_backend.training.weights import fill

# Appearances of each validation case of a training that needs the views before augmentation.
LOOKS = 4


class Assembly:
    """Sets up the data, networks, trainer and batches of a run, and starts it.

    Args:
        fabric: launched Lightning Fabric.
        config: the run's configuration.
        cases, validation: training and validation cases of the data set.
        writer: writes run.json and the events.
        stop: whether a stop has been requested.
    """

    def __init__(
        self,
        fabric: Any,
        config: TrainConfig,
        cases: list[DatasetCase],
        validation: list[DatasetCase],
        writer: RunWriter,
        stop: StopRequest,
    ) -> None:
        self.fabric, self.config, self.writer, self.stop = fabric, config, writer, stop
        self.cases, self.validation, self.folder = cases, validation, writer.folder
        self.first, self.world = fabric.global_rank == 0, fabric.world_size
        self.micro = micro_batch(config.batch, config.micro_batch, self.world)
        workers = config.data.workers
        self.workers = default_workers(world_topology()[0]) if workers is None else workers
        self.side = config.gamma * config.model.grid
        data = config.data
        self.source = PairSource(
            cases,
            PairSettings(
                self.side,
                config.model.view_size,
                config.model.window,
                deformation=Deformation(shapes=data.shapes) if data.deformed else NOT_DEFORMED,
                seed=config.seed,
            ),
            memory_gb=data.memory_gb,
        )
        self.kept = Path(data.cache_folder) if data.cache_folder else self.folder.path.parent
        if data.cache:
            self.source.folder = self.kept / f"pairs-{self.source.hash()}"

    def go(self, start: Bundle | None, state: dict[str, Any] | None) -> str:
        """Load the data and train, from a checkpoint's ``state`` if given.

        Returns:
            "finished" or "stopped".
        """
        config = self.config
        if self.first:
            for made in (self.folder.last.parent, self.folder.samples):
                made.mkdir(parents=True, exist_ok=True)
            write_text_whole(self.folder.config_file, to_yaml(config))
        try:
            mean = self._mean()
            validation = distributed.raise_on_any_rank(self._validation)
        except Cancelled:
            return "stopped"
        self._report_disk_space()
        trainer = self._trainer(mean, validation, start, state)
        batches = self._batches(trainer.step)
        total, micro_batches = trainer.total_steps, config.batch // self.world // self.micro
        self.writer.set(status="running")
        self.writer.event(
            "start",
            stage=config.stage,
            step=trainer.step,
            total_steps=total,
            total_minutes=config.minutes,
            device=str(self.fabric.device),
            parameters=sum(p.numel() for p in trainer.parameters),
            processes=self.world,
            batch=config.batch,
            micro_batch=self.micro,
            precision=str(self.fabric._precision.precision),
            workers=self.workers,
        )
        try:
            return trainer.run(batches, micro_batches)
        finally:
            self.writer.step = trainer.step
            trainer.close()
            batches.close()

    def _report_disk_space(self) -> None:
        """Report how much disk space the cached pairs will take; warn if there is not enough."""
        if self.source.folder is None:
            return
        views = 4 * self.config.model.view_size**2
        whole = self.config.data.cache * (self.side**3 + views) / 1e9
        there = sum(f.stat().st_size for f in self.source.folder.glob("*.npz")) / 1e9
        free = shutil.disk_usage(self.kept).free / 1e9
        text = f"Pairs are kept in {self.source.folder}: up to {whole:.1f} GB"
        if whole - there > 0.9 * free:
            text += f", but only {free:.1f} GB are free. Lower data.cache, or set data.cache_folder"
            self.writer.message(text + ".", "warning")
        elif whole > 5.0:
            self.writer.message(text + ".")

    def _alive(self) -> None:
        self.writer.sign()
        if self.stop():
            raise Cancelled("asked to stop before the first step")

    def _mean(self) -> dict[str, torch.Tensor]:
        """The mean training volume; the first process computes it, all processes read it."""
        window, last_message = self.config.model.window, monotonic()
        cases = spread(self.source.cases, MEAN_CASES)
        path = self.kept / f"mean-{self.source.hash()}-{len(cases)}.pt"

        def tell(done: int, total: int) -> None:
            nonlocal last_message
            self._alive()
            if monotonic() - last_message > 5.0:
                last_message = monotonic()
                self.writer.message(f"Mean volume: {done} of {total} training cases")

        def make() -> None:
            if self.first:
                mean = mean_volume(cases, self.side, window, path, workers=self.workers, tell=tell)
                save_atomically(mean, self.folder.last.parent / "mean.pt")

        distributed.raise_on_any_rank(make)
        return mean_volume(cases, self.side, window, path)

    def _validation(self) -> list[ValidationCase]:
        config = self.config
        loaded: list[ValidationCase] = []
        clean = config.objective.NEEDS_CLEAN
        for case in self.validation:
            one = load_case(
                case,
                size=config.model.grid,
                gamma=config.gamma,
                window=config.model.window,
                real=config.validation.real and not clean,
            )
            if clean:
                look = without_misregistration(config.data.appearance)
                numbers = range(LOOKS * len(loaded), LOOKS * (len(loaded) + 1))
                size = config.model.view_size
                looks = [validation_look(one.batch, number, look, size) for number in numbers]
                one = replace(one, batch=Batch.stack(looks))
            loaded.append(one)
            self._alive()
        return loaded

    def _trainer(
        self,
        mean: dict[str, torch.Tensor],
        validation: list[ValidationCase],
        start: Bundle | None,
        state: dict[str, Any] | None,
    ) -> Trainer:
        config = self.config
        torch.manual_seed(config.seed)
        model = config.of_method.build(config.model)
        model.keep_networks({*config.trains, *config.needs})
        model.set_mean_volume(mean["mean"])
        before = self.writer.before.get("networks") or {}
        origin = fill(model, config, self.folder.path, start)
        for name in config.needs if state is not None else ():
            if before.get(name, {}).get("sha256") not in (None, origin[name].get("sha256")):
                self.writer.message(
                    f"The network '{name}', which this run builds on, was trained further since "
                    "the run began.",
                    "warning",
                )
        self.writer.set(networks=origin)
        if config.checkpointing:
            recompute_blocks(model)
        trainer = Trainer(
            self.fabric,
            config.objective(
                model,
                config.loss,
                single_view=config.data.single_view,
                repeats=bool(config.data.repeat_after),
            ),
            config,
            total_steps=config.total_steps(len(self.cases)),
            cases=validation,
            writer=self.writer,
            stop_asked=self.stop,
        )
        if state is not None:
            trainer.resume(state)
        return trainer

    def _batches(self, step: int) -> Batches:
        config, data = self.config, self.config.data
        samples = Samples(
            self.source,
            seed=config.seed,
            cache=data.cache,
            blended=data.blended,
            real=data.real,
            single_view=data.single_view,
            appearance=data.appearance,
            gamma=config.gamma,
            fine=config.objective.NEEDS_FINE,
            clean=config.objective.NEEDS_CLEAN,
            repeat_after=config.data.repeat_after,
            pseudo_labelled=data.pseudo_labelled,
            pseudo_labelled_single=data.pseudo_labelled_single,
        )
        return Batches(
            samples,
            step=step,
            batch=config.batch,
            micro=self.micro,
            rank=self.fabric.global_rank,
            world=self.world,
            workers=self.workers,
            pin=self.fabric.device.type == "cuda",
        )
