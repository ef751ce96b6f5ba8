"""Typed configuration of a training run; ``training.settings`` reads it from YAML.

The defaults suit a small model on a CPU; ``training.presets`` adds the method's recipe.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from axon_backend.errors import AxonInputError
from axon_backend.methods import registry
from axon_backend.methods.objective import Objective
from axon_backend.methods.protocol import Method
from axon_backend.training.data.augmentation import RadiographAugmentation
from axon_backend.util.run_context import MAX_SEED

OPTIMISERS = ("adam", "adamw", "muon")
SCHEDULES = ("cosine", "constant", "exponential", "linear")
PRECISIONS = ("auto", "bf16-mixed", "32")
BUDGETS = ("steps", "minutes", "epochs")


@dataclass(frozen=True)
class OptimiserSettings:
    """Optimiser and learning-rate schedule.

    Attributes:
        name: one of :data:`OPTIMISERS`; muon orthogonalises the updates of inner convolutions,
            leaves the rest to AdamW, and makes more progress in few steps.
        lr: peak learning rate.
        schedule: one of :data:`SCHEDULES`; all but constant end at ``floor * lr``; linear holds
            ``lr`` for the first half.
        warm_up: share of the budget over which the learning rate rises linearly from 0.
        weight_decay: for adamw and muon.
        betas: for adam and adamw.
        clip: largest norm of the gradient; 0 disables clipping.
    """

    name: str = "muon"
    lr: float = 1.5e-3
    schedule: str = "cosine"
    warm_up: float = 0.02
    floor: float = 0.03
    weight_decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 1.0


@dataclass(frozen=True)
class DataSettings:
    """Training data: cache, augmentation, and the mixture of real and rendered X-rays.

    Attributes:
        cache: number of pairs that are drawn once, kept on disk and reused; 0 draws a new pair
            every time.
        cache_folder: folder of the cache; by default beside the run folder, so that all stages
            share it.
        workers: processes that draw pairs; null: one less than the CPU cores, at most 8.
        memory_gb: memory for CTs that each worker keeps, in GB.
        deformed: deform each CT differently for every pair before its X-rays are rendered; false
            uses the CTs unchanged, with a fixed acquisition geometry.
        shapes: share of the deformed CTs that first get the shape of another training patient, by
            diffeomorphic registration; the X-rays are rendered after it.
        blended: share of the rendered pairs that are a blend of two patients.
        real: share of samples with real X-rays; the rest have DRRs. null: all cases are drawn
            equally often, and a case with accepted X-rays shows them in half of its draws and
            DRRs in the other half. 0: DRRs only. 1: the paper's "w/o DRRs".
        pseudo_labelled: share of samples that are patients without a CT, where the data set has
            such (``axon prepare --teacher``): their X-rays, with the volume that a model
            reconstructed from both.
        pseudo_labelled_single: share of these with the frontal view only: what the second view
            told the teacher, a single view can learn.
        complete_pairs: leave out cases with an accepted X-ray of only one view, in validation
            too, instead of rendering the other view; cases without real X-rays stay.
        single_view: share of samples with the frontal view only; 1 trains for single X-rays.
        repeat_after: repeat the run's samples after this many, so that the outputs of earlier
            stages are computed once and kept (for trainings where they cost more than the step
            itself; crops and augmentation are drawn each time). 0: every sample is new.
        appearance: augmentation of the X-rays' appearance.
    """

    cache: int = 1200
    cache_folder: str | None = None
    workers: int | None = None
    memory_gb: float = 2.0
    deformed: bool = True
    shapes: float = 0.5
    blended: float = 0.7
    real: float | None = None
    pseudo_labelled: float = 0.4
    pseudo_labelled_single: float = 0.8
    complete_pairs: bool = False
    single_view: float = 0.4
    repeat_after: int = 0
    appearance: RadiographAugmentation = field(default_factory=RadiographAugmentation)


@dataclass(frozen=True)
class ValidationSettings:
    """How often and on which cases the run is validated.

    Attributes:
        cases: validation cases, at most; at least one is needed.
        every_minutes, every_steps: interval; ``every_steps`` takes precedence if given.
        samples: reconstructions written at each validation, at most.
        real: validate on real X-rays where a case has accepted ones.
    """

    cases: int = 4
    every_minutes: float = 4.0
    every_steps: int | None = None
    samples: int = 2
    real: bool = True


@dataclass(frozen=True)
class TrainConfig:
    """The configuration of a whole run.

    Attributes:
        method: name of the method whose networks are trained (``methods.registry``).
        stage: one of the method's trainings.
        model: the method's configuration.
        loss: the method's loss settings.
        preset: the preset that model and settings started from.
        steps, minutes, epochs: the budget; exactly one is set. Only runs with steps or epochs are
            reproducible: with minutes the learning rate follows the clock.
        batch: samples per update, over all processes.
        micro_batch: samples that a device holds at a time; larger updates are accumulated.
        precision: one of :data:`PRECISIONS`; auto is bf16-mixed where the device supports it.
        checkpointing: recompute activations in the backward pass instead of storing them.
        ema: decay of the averaged weights.
        log_steps: steps between two rows of metrics.csv.
        threads: CPU threads; null leaves the number to PyTorch.
    """

    method: str
    stage: str
    model: Any
    loss: Any
    preset: str = "preview"
    seed: int = 0
    steps: int | None = None
    minutes: float | None = 60.0
    epochs: float | None = None
    batch: int = 1
    micro_batch: int = 1
    precision: str = "auto"
    checkpointing: bool = False
    ema: float = 0.998
    log_steps: int = 10
    threads: int | None = None
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    data: DataSettings = field(default_factory=DataSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)

    @cached_property
    def of_method(self) -> Method:
        """The method itself."""
        return registry.load(self.method)

    @property
    def objective(self) -> type[Objective]:
        """The class of the stage's objective."""
        return self.of_method.objectives[self.stage]

    @property
    def trains(self) -> tuple[str, ...]:
        """The networks that are trained."""
        return self.objective.trains(self.model, self.loss)

    @property
    def needs(self) -> tuple[str, ...]:
        """The networks that are used but not trained."""
        return self.objective.needs(self.model, self.loss)

    def check(self) -> TrainConfig:
        """Return self; raise AxonInputError for invalid values."""
        info = self.of_method.info
        shares = {
            "data.shapes": self.data.shapes,
            "data.blended": self.data.blended,
            "data.real": self.data.real,
            "data.single_view": self.data.single_view,
            "data.pseudo_labelled": self.data.pseudo_labelled,
            "data.pseudo_labelled_single": self.data.pseudo_labelled_single,
            "optimiser.warm_up": self.optimiser.warm_up,
            "optimiser.floor": self.optimiser.floor,
            "ema": self.ema,
        }
        for key, share in shares.items():
            if share is not None and not 0.0 <= share <= 1.0:
                raise AxonInputError(f"{key} is {share:g}; it must be between 0 and 1.")
        choices = {
            "stage": (self.stage, info.training_names),
            "preset": (self.preset, info.presets),
            "optimiser.name": (self.optimiser.name, OPTIMISERS),
            "optimiser.schedule": (self.optimiser.schedule, SCHEDULES),
            "precision": (self.precision, PRECISIONS),
        }
        for key, (value, known) in choices.items():
            if value not in known:
                raise AxonInputError(f"{key} is {value!r}; it must be one of {', '.join(known)}.")
        positive = {
            "steps": self.steps,
            "minutes": self.minutes,
            "epochs": self.epochs,
            "batch": self.batch,
            "micro_batch": self.micro_batch,
            "optimiser.lr": self.optimiser.lr,
            "log_steps": self.log_steps,
            "threads": self.threads,
            "validation.every_steps": self.validation.every_steps,
            "validation.every_minutes": self.validation.every_minutes,
            "validation.cases": self.validation.cases,
        }
        for key, number in positive.items():
            if number is not None and not number > 0:
                raise AxonInputError(f"{key} is {number:g}; it must be greater than 0.")
        at_least_0 = {
            "optimiser.weight_decay": self.optimiser.weight_decay,
            "optimiser.clip": self.optimiser.clip,
            "data.cache": self.data.cache,
            "data.workers": self.data.workers,
            "data.memory_gb": self.data.memory_gb,
            "data.repeat_after": self.data.repeat_after,
            "validation.samples": self.validation.samples,
        }
        for key, number in at_least_0.items():
            if number is not None and not number >= 0:
                raise AxonInputError(f"{key} is {number:g}; it must be at least 0.")
        for key, number, most in (
            ("batch", self.batch, 1 << 20),
            ("micro_batch", self.micro_batch, 1 << 20),
            ("threads", self.threads, 1 << 16),
            ("seed", self.seed, MAX_SEED),
        ):
            if number is not None and not 0 <= number <= most:
                raise AxonInputError(f"{key} is {number}; it must be from 0 to {most}.")
        if sum(b is not None for b in (self.steps, self.minutes, self.epochs)) != 1:
            raise AxonInputError(
                "Give one budget: steps, minutes or epochs. Set the other two to null."
            )
        self.objective.check(self.model, self.loss)
        if self.data.repeat_after and not self.objective.CAN_REPEAT:
            raise AxonInputError(
                f"data.repeat_after is {self.data.repeat_after}, but the training {self.stage} "
                "does not support repeated samples. Set it to 0."
            )
        return self

    @property
    def gamma(self) -> int:
        """Side of a training pair's volume divided by the coarse side h."""
        return max(2, self.model.output_grid // self.model.grid)

    def total_steps(self, cases: int) -> int | None:
        """Number of steps in the budget; None if the budget is in minutes."""
        if self.steps is not None:
            return self.steps
        if self.epochs is not None:
            return max(1, -(-round(self.epochs * cases) // self.batch))
        return None
