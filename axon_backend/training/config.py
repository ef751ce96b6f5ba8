"""Everything that a training run depends on, in one typed tree; ``training.settings`` reads it.

Every default is the ``preview`` preset of stage "coarse"; ``training.presets`` gives the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from axon_backend.errors import AxonInputError
from axon_backend.methods.axon.model import PRESETS, AxonConfig, preview
from axon_backend.training.data.augmentation import AppearanceAugmentation
from axon_backend.training.data.pairs import PairAugmentation

STAGES = ("encoder", "coarse", "prior", "controlnet", "sr")
# Networks that a stage runs without training them.
NEEDS = {
    "encoder": (),
    "coarse": (),
    "prior": (),
    "controlnet": ("encoder", "coarse", "prior"),
    "sr": ("encoder", "coarse", "prior", "controlnet"),
}
OPTIMISERS = ("adam", "adamw", "muon")
SCHEDULES = ("cosine", "constant", "exponential")
PRECISIONS = ("auto", "bf16-mixed", "32")


@dataclass(frozen=True)
class OptimiserSettings:
    """How weights follow gradients.

    Attributes:
        name: one of :data:`OPTIMISERS`; muon orthogonalises the updates of inner convolutions and
            leaves the rest to AdamW: it gets further in few steps.
        rate: the largest learning rate.
        schedule: one of :data:`SCHEDULES`; cosine and exponential end at ``floor * rate``.
        warm_up: share of the budget over which the rate rises linearly from 0.
        weight_decay: of adamw and muon.
        clip: largest norm of the gradient; 0 does not clip.
    """

    name: str = "muon"
    rate: float = 1.5e-3
    schedule: str = "cosine"
    warm_up: float = 0.02
    floor: float = 0.03
    weight_decay: float = 1e-2
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
        blended: share of the rendered pairs that are a blend of two patients.
        real: share of samples with real X-rays (with DRRs the rest). null: each case counts the
            same, with its real X-rays where it has accepted ones. 0: DRRs only. 1: the paper's
            "w/o DRRs".
        repeat_after: the run's samples come again after that many, and what the earlier stages
            make of them is then computed once and kept (stage sr, where it costs more than the
            step itself; its crops and errors are new each time). 0: every sample is new.
        mean_cases: training cases in the mean volume (the atlas), at most.
        augmentation, appearance: how rendered pairs are varied.
    """

    cache: int = 1200
    cache_folder: str | None = None
    workers: int | None = None
    memory_gb: float = 2.0
    blended: float = 0.7
    real: float | None = None
    repeat_after: int = 0
    mean_cases: int = 100
    augmentation: PairAugmentation = field(default_factory=PairAugmentation)
    appearance: AppearanceAugmentation = field(default_factory=AppearanceAugmentation)


@dataclass(frozen=True)
class LossSettings:
    """What is asked of the networks, and the paper's ablations.

    Attributes:
        joint: stage coarse trains the encoder with the bridge; false takes a trained encoder and
            leaves it as it is.
        end_point: weight of F(x)'s own loss while it is trained jointly (the paper: 0).
        single_view: share of samples with the frontal view only; 1 trains for single X-rays.
        t_power, at_the_end: a bridge's times are ``(T - 1) u^(1 / t_power)``, and exactly T - 1 in
            the share ``at_the_end``; 1 and 0 are uniform. Near t = 0 the answer stands in x_t and
            there is nothing to learn with few patients.
        prior_t_power: the prior's times are ``T u^prior_t_power``; 1 is uniform.
        doubt: largest strength of the errors put on an earlier stage's output (``blur_of_trust``).
        edge: weight of the edge loss of stage coarse (Table 4, "L2 + Ledge").
        bone: what bone and its surroundings weigh in stages encoder and coarse on top of the 1 of
            every voxel (Testing/benchmarks/README.md).
        clamp: limit stage 2's estimate to [-1, 1] in the loss (Table 4, "+ clamping").
        synthesised: share of SR inputs that are reconstructions (0: SR "w/o Syn").
        crop: side of the low-resolution crops that SR-Net is trained on; it is local.
    """

    joint: bool = True
    end_point: float = 1.0
    single_view: float = 0.4
    t_power: float = 2.0
    at_the_end: float = 0.5
    prior_t_power: float = 2.0
    doubt: float = 0.3
    edge: float = 0.0
    bone: float = 0.0
    clamp: bool = False
    synthesised: float = 0.75
    crop: int = 32


@dataclass(frozen=True)
class ValidationSettings:
    """How often and on what the run is judged.

    Attributes:
        cases: validation cases, at most.
        every_minutes, every_steps: how often; steps, where given, come first.
        samples: reconstructions written at each validation, at most.
        patience: validations without a new best before the run ends early; 0: never.
        real: judge on real X-rays where a case has accepted ones.
    """

    cases: int = 4
    every_minutes: float = 4.0
    every_steps: int | None = None
    samples: int = 2
    patience: int = 0
    real: bool = True


@dataclass(frozen=True)
class TrainConfig:
    """A whole run.

    Attributes:
        steps, minutes, epochs: the budget, one of them. Only with steps or epochs does a run
            give the same weights again, for with minutes the rate follows the clock.
        batch: samples that one update is made of, over all processes.
        micro_batch: samples that a device holds at a time; updates of more are accumulated.
        precision: one of :data:`PRECISIONS`; auto is bf16-mixed where the device computes in it.
        checkpointing: compute activations again in the backward pass instead of keeping them.
        ema: decay of the averaged weights.
        checkpoint_minutes: time between two writes of last.pt.
        log_steps: steps between two rows of metrics.csv.
        threads: of the CPU; null leaves it to PyTorch.
    """

    stage: str = "coarse"
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
    checkpoint_minutes: float = 3.0
    log_steps: int = 10
    threads: int | None = None
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    data: DataSettings = field(default_factory=DataSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    model: AxonConfig = field(default_factory=preview)

    @property
    def parts(self) -> tuple[str, ...]:
        """The networks that are trained."""
        if self.stage == "coarse" and self.loss.joint:
            return "encoder", "coarse"
        return (self.stage,)

    @property
    def needs(self) -> tuple[str, ...]:
        """The networks that are run as they are, of those that there are and take a step."""
        if self.stage == "coarse" and not self.loss.joint:
            return ("encoder",)
        there = [p for p in self.model.parts if p != "coarse" or self.model.sampling.coarse_steps]
        return tuple(part for part in NEEDS[self.stage] if part in there)

    def check(self) -> TrainConfig:
        """Raise AxonInputError for values that make no sense; returns self."""
        shares = {
            "data.blended": self.data.blended,
            "data.real": self.data.real,
            "loss.single_view": self.loss.single_view,
            "loss.at_the_end": self.loss.at_the_end,
            "loss.synthesised": self.loss.synthesised,
            "optimiser.warm_up": self.optimiser.warm_up,
            "optimiser.floor": self.optimiser.floor,
            "ema": self.ema,
        }
        for key, share in shares.items():
            if share is not None and not 0.0 <= share <= 1.0:
                raise AxonInputError(f"{key} is {share:g}; it is a share, from 0 to 1.")
        choices = {
            "stage": (self.stage, STAGES),
            "preset": (self.preset, tuple(sorted(PRESETS))),
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
            "optimiser.rate": self.optimiser.rate,
            "log_steps": self.log_steps,
            "threads": self.threads,
            "loss.crop": self.loss.crop,
            "loss.t_power": self.loss.t_power,
            "validation.every_steps": self.validation.every_steps,
            "validation.every_minutes": self.validation.every_minutes,
            "data.mean_cases": self.data.mean_cases,
        }
        for key, number in positive.items():
            if number is not None and not number > 0:
                raise AxonInputError(f"{key} is {number:g}; it must be more than 0.")
        if sum(b is not None for b in (self.steps, self.minutes, self.epochs)) != 1:
            raise AxonInputError(
                "Give one budget: steps, minutes or epochs. Set the other two to null."
            )
        if self.stage not in ("encoder", *self.model.parts):
            raise AxonInputError(
                "model.fine_process is 'bridge': there is no prior. Train stage controlnet."
            )
        if self.data.repeat_after < 0 or (self.data.repeat_after and self.stage != "sr"):
            raise AxonInputError(
                f"data.repeat_after is {self.data.repeat_after} for the stage {self.stage}; only "
                "sr trains on the same samples again. Set it to 0."
            )
        if self.stage == "sr" and self.model.sr.gamma < 2:
            raise AxonInputError("model.sr.gamma is 1: there is no super-resolution to train.")
        return self

    @property
    def gamma(self) -> int:
        """Side of the volumes of training pairs over h."""
        return max(2, self.model.sr.gamma)

    def total_steps(self, cases: int) -> int | None:
        """The steps of the budget, None when it is in minutes."""
        if self.steps is not None:
            return self.steps
        if self.epochs is not None:
            return max(1, -(-round(self.epochs * cases) // self.batch))
        return None
