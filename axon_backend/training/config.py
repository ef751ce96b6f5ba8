"""Everything that a training run depends on, in one typed tree; ``training.settings`` reads it.

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
    """How weights follow gradients.

    Attributes:
        name: one of :data:`OPTIMISERS`; muon orthogonalises the updates of inner convolutions and
            leaves the rest to AdamW: it gets further in few steps.
        lr: the largest learning rate.
        schedule: one of :data:`SCHEDULES`; all but constant end at ``floor * lr``, linear after a
            first half at ``lr``.
        warm_up: share of the budget over which the learning rate rises linearly from 0.
        weight_decay: of adamw and muon.
        betas: of adam and adamw.
        clip: largest norm of the gradient; 0 does not clip.
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
    """What the networks are shown.

    Attributes:
        cache: pairs that are drawn once, kept on disk and used again and again; 0 draws a new
            pair every time.
        cache_folder: where; by default beside the run folder, so that all stages share it.
        workers: processes that draw pairs; null: one less than the CPU cores, at most 8.
        memory_gb: CTs that one worker keeps in memory.
        deformed: CTs are deformed before their X-rays are rendered, each pair anew; false shows
            them as they are, all by the same X-ray unit.
        blended: share of the rendered pairs that are a blend of two patients.
        real: share of samples with real X-rays (with DRRs the rest). null: each case counts the
            same, one with accepted X-rays with these in half of its draws, with DRRs in the
            others. 0: DRRs only. 1: the paper's "w/o DRRs".
        complete_pairs: leave out the cases of which only one view has an accepted X-ray, in
            validation too, instead of putting a DRR beside it; those without any stay.
        single_view: share of samples with the frontal view only; 1 trains for single X-rays.
        repeat_after: the run's samples come again after that many, and what the earlier stages
            make of them is then computed once and kept (for trainings where that costs more than
            the step itself; crops and augmentation are new each time). 0: every sample is new.
        appearance: of the rendered X-rays.
    """

    cache: int = 1200
    cache_folder: str | None = None
    workers: int | None = None
    memory_gb: float = 2.0
    deformed: bool = True
    blended: float = 0.7
    real: float | None = None
    complete_pairs: bool = False
    single_view: float = 0.4
    repeat_after: int = 0
    appearance: RadiographAugmentation = field(default_factory=RadiographAugmentation)


@dataclass(frozen=True)
class ValidationSettings:
    """How often and on what the run is validated.

    Attributes:
        cases: validation cases, at most.
        every_minutes, every_steps: how often; steps, where given, come first.
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
    """A whole run.

    Attributes:
        method: whose networks are trained (``methods.registry``).
        stage: one of the method's trainings.
        model: the method's configuration.
        loss: the method's loss settings.
        preset: that model and settings began with.
        steps, minutes, epochs: the budget, one of them. Only with steps or epochs does a run
            give the same weights again, for with minutes the learning rate follows the clock.
        batch: samples that one update is made of, over all processes.
        micro_batch: samples that a device holds at a time; updates of more are accumulated.
        precision: one of :data:`PRECISIONS`; auto is bf16-mixed where the device computes in it.
        checkpointing: compute activations again in the backward pass instead of keeping them.
        ema: decay of the averaged weights.
        log_steps: steps between two rows of metrics.csv.
        threads: of the CPU; null leaves it to PyTorch.
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
        """The class of the loss."""
        return self.of_method.objectives[self.stage]

    @property
    def trains(self) -> tuple[str, ...]:
        """The networks that are trained."""
        return self.objective.trains(self.model, self.loss)

    @property
    def needs(self) -> tuple[str, ...]:
        """The networks that are run as they are."""
        return self.objective.needs(self.model, self.loss)

    def check(self) -> TrainConfig:
        """Raise AxonInputError for values that make no sense; returns self."""
        info = self.of_method.info
        shares = {
            "data.blended": self.data.blended,
            "data.real": self.data.real,
            "data.single_view": self.data.single_view,
            "optimiser.warm_up": self.optimiser.warm_up,
            "optimiser.floor": self.optimiser.floor,
            "ema": self.ema,
        }
        for key, share in shares.items():
            if share is not None and not 0.0 <= share <= 1.0:
                raise AxonInputError(f"{key} is {share:g}; it is a share, from 0 to 1.")
        choices = {
            "stage": (self.stage, info.training_names),
            "preset": (self.preset, info.presets),
            "optimiser.name": (self.optimiser.name, OPTIMISERS),
            "optimiser.schedule": (self.optimiser.schedule, SCHEDULES),
            "precision": (self.precision, PRECISIONS),
        }
        for key, (value, known) in choices.items():
            if value not in known:
                raise AxonInputError(f"{key} is {value!r}; it is one of {', '.join(known)}.")
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
        }
        for key, number in positive.items():
            if number is not None and not number > 0:
                raise AxonInputError(f"{key} is {number:g}; it must be more than 0.")
        for key, number, most in (
            ("batch", self.batch, 1 << 20),
            ("micro_batch", self.micro_batch, 1 << 20),
            ("threads", self.threads, 1 << 16),
            ("seed", self.seed, MAX_SEED),
        ):
            if number is not None and not 0 <= number <= most:
                raise AxonInputError(f"{key} is {number}; it is a number from 0 to {most}.")
        if sum(b is not None for b in (self.steps, self.minutes, self.epochs)) != 1:
            raise AxonInputError(
                "Give one budget: steps, minutes or epochs. Set the other two to null."
            )
        self.objective.check(self.model, self.loss)
        if self.data.repeat_after < 0 or (self.data.repeat_after and not self.objective.CAN_REPEAT):
            raise AxonInputError(
                f"data.repeat_after is {self.data.repeat_after}, but the training {self.stage} "
                "keeps nothing of samples that come again. Set it to 0."
            )
        return self

    @property
    def gamma(self) -> int:
        """Side of the volumes of training pairs over h."""
        return max(2, self.model.output_grid // self.model.grid)

    def total_steps(self, cases: int) -> int | None:
        """The steps of the budget, None when it is in minutes."""
        if self.steps is not None:
            return self.steps
        if self.epochs is not None:
            return max(1, -(-round(self.epochs * cases) // self.batch))
        return None
