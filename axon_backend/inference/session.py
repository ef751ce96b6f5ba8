"""A session: one loaded model, and all steps from X-ray files to a volume."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from axon_backend.bundle import Bundle, load_bundle
from axon_backend.errors import AxonInputError, Cancelled, PoorRegistration
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import HuWindow, ThoraxFrame
from axon_backend.imaging.radiograph import Radiograph
from axon_backend.imaging.view import Stated, View
from axon_backend.inference.case import PlacedCase, network_views, place_case
from axon_backend.inference.case_files import PathLike, read_case
from axon_backend.inference.memory_fallback import StageRunner
from axon_backend.inference.model_loading import choose_device
from axon_backend.inference.result import Reconstruction, ResultBuilder, run_record
from axon_backend.methods.info import ALL_STAGES, MethodInfo
from axon_backend.methods.protocol import ModelConfig
from axon_backend.physics.pose import Pose
from axon_backend.util.free_memory import return_free_memory
from axon_backend.util.run_context import RunContext

# More than anyone would wait for; beyond this, a typing error would fill the memory.
MAX_SAMPLES, MAX_STEPS = 1000, 10_000

# stage_done(stage, HU [z, y, x], frame) is called once per stage, when all its samples are done.
StageDone = Callable[[str, np.ndarray, ThoraxFrame], None]


@dataclass
class _Run:
    """Notes on a run: seconds and steps by stage, and warnings."""

    seconds: dict[str, float]
    warnings: list[str]
    steps: dict[str, int] = field(default_factory=dict)


class InferenceSession:
    """Owns the model of one bundle on one device; runs one reconstruction at a time.

    The networks are loaded for the first run and kept for later ones. Dropping the session or
    calling :meth:`release` frees their memory.

    Args:
        bundle: its folder or name, or a loaded bundle; None: the shipped one.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        AxonInputError: the bundle or the device cannot be used.

    Example::

        session = InferenceSession()
        result = session.reconstruct("pa.dcm", "lateral.dcm", context=RunContext(seed=1))
    """

    def __init__(self, bundle: PathLike | Bundle | None = None, device: str = "auto") -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
        self._device = choose_device(device)
        self._runner = StageRunner(self.bundle, self._device)
        self._busy = threading.Lock()

    @property
    def info(self) -> MethodInfo:
        """The bundle's method."""
        return self._runner.method.info

    @property
    def config(self) -> ModelConfig:
        """The bundle's configuration."""
        return self._runner.config

    @property
    def window(self) -> HuWindow:
        """The HU window that the networks map to [-1, 1]."""
        return self._runner.config.window

    def release(self) -> None:
        """Free the memory of the networks; the next run loads them again."""
        self._runner.release()

    def stages(self, asked: tuple[str, ...] | str | None) -> tuple[str, ...]:
        """The stages to run, in the method's order.

        Args:
            asked: names of stages, as a tuple or as text separated by commas, or ``all``. None, or
                no names: those that the bundle recommends, which are all up to and including its
                ``recommended_stage``, or all if it names none that the method has.

        Raises:
            AxonInputError: a stage does not exist, or needs one that was left out.
        """
        names = self.info.stage_names
        if isinstance(asked, str):
            asked = tuple(part.strip() for part in asked.split(",") if part.strip())
        if not asked:
            return self.info.stages_until(self.bundle.recommended_stage)
        if tuple(asked) == (ALL_STAGES,):
            return names
        unknown = [s for s in asked if s not in names]
        missing = [
            s.needs for s in self.info.stages if s.name in asked and s.needs not in (None, *asked)
        ]
        if unknown or missing:
            first = self.info.stages[0].name
            others = " and ".join(names[1:])
            raise AxonInputError(
                f"The stages {','.join(asked)} cannot be run: give {first}"
                + (f", then optionally {others}, separated by commas, or all." if others else ".")
            )
        return tuple(s for s in names if s in asked)

    def steps(self, asked: Mapping[str, int] | Sequence[int] | None) -> dict[str, int]:
        """Sampling steps by stage.

        Args:
            asked: by stage, or in the order of the sampling stages; None: those of the bundle.

        Raises:
            AxonInputError: a stage does not exist, or a count is out of range.
        """
        if asked is None:
            return {}
        names = [stage.name for stage in self.info.stages if stage.takes_steps]
        if isinstance(asked, Mapping):
            counts = dict(asked)
        elif isinstance(asked, str | bytes) or not isinstance(asked, Sequence):
            raise TypeError(f"steps are counts by stage, as {{stage: 10}}, got {asked!r}")
        else:
            if len(asked) > len(names):
                raise AxonInputError(
                    f"{len(asked)} numbers of steps were given; {self.info.label} takes "
                    f"{len(names)}: {', '.join(names) or 'none'}."
                )
            counts = dict(zip(names, asked, strict=False))
        unknown = sorted(set(counts) - set(self.info.stage_names))
        if unknown:
            raise AxonInputError(
                f"steps names the stage {unknown[0]!r}; the stages of {self.info.label} are "
                f"{', '.join(self.info.stage_names)}."
            )
        if any(not 1 <= count <= MAX_STEPS for count in counts.values()):
            raise AxonInputError(
                f"Every stage needs at least one step and at most {MAX_STEPS}, got {counts}."
            )
        return counts

    def reconstruct(
        self,
        frontal: PathLike | Radiograph | None,
        lateral: PathLike | Radiograph | None = None,
        *,
        ct: PathLike | CTVolume | None = None,
        stages: tuple[str, ...] | str | None = None,
        steps: Mapping[str, int] | Sequence[int] | None = None,
        samples: int = 1,
        register: bool = True,
        frontal_view: View | None = None,
        stated: Mapping[str, Stated] | None = None,
        allow_poor: bool = False,
        render_lateral: bool = False,
        placements: Mapping[str, np.ndarray] | None = None,
        pose: Pose | None = None,
        stage_done: StageDone | None = None,
        context: RunContext | None = None,
    ) -> Reconstruction:
        """Reconstruct a chest CT. The arguments are those of ``inference.reconstruct``; ``context``
        contains seed, progress and cancellation (its device is ignored, as the session has its
        own)."""
        context = context or RunContext()
        chosen, counts = self._asked(stages, steps, samples)
        with self._alone():
            return_free_memory()  # of results that the caller has dropped
            runner = self._runner
            if samples > 1:
                drawn = runner.method.draw_steps(runner.config)
                counts = {stage: drawn[stage] for stage in chosen if stage in drawn} | counts
            seconds: dict[str, float] = {}
            if pose is not None and pose.is_identity:
                pose = None
            began = time.perf_counter()
            context.report("read", 0, 2)
            warnings = runner.load(context)
            case = read_case(
                frontal,
                lateral,
                ct,
                frontal_view=frontal_view,
                render_lateral=render_lateral,
                stated=stated,
            )
            seconds["read"] = time.perf_counter() - began
            context.report("read", 2, 2)

            began = time.perf_counter()
            placed = place_case(
                case,
                self.bundle,
                context,
                device=self._device,
                register=register,
                placements=placements,
                pose=pose,
            )
            return_free_memory()  # of the search
            seconds["register"] = time.perf_counter() - began
            if placed.refused and not allow_poor:
                roles = " and the ".join(placed.refused)
                raise PoorRegistration(
                    f"The registration of the {roles} X-ray is poor, so nothing was reconstructed. "
                    f"{_doubts(placed)}Check that it is a chest X-ray in the right orientation; "
                    "correct it, or register it by hand in step 2 of the Slicer module. "
                    "--allow-poor continues anyway.",
                    placed,
                )

            result = ResultBuilder(placed, runner.config.window, self.bundle)
            run = _Run(seconds, warnings)
            try:
                for stage, volumes in self._run_stages(
                    placed, chosen, counts, samples, context, run
                ):
                    volume = result.add(stage, volumes)
                    return_free_memory()
                    if stage_done is not None:
                        stage_done(stage, volume, placed.frame)
            except Cancelled:
                if not result.volumes:
                    raise
            record = run_record(
                self.bundle,
                runner.method,
                runner.config,
                runner.device,
                seed=context.seed,
                samples=samples,
                steps=counts,
                stages=list(result.volumes),
                steps_run=run.steps,
                seconds=run.seconds,
                cancelled=next((s for s in chosen if s not in result.volumes), None),
            )
            return result.build(warnings=run.warnings, **record)

    def sample(
        self,
        placed: PlacedCase,
        *,
        stages: tuple[str, ...] | str | None = None,
        steps: Mapping[str, int] | Sequence[int] | None = None,
        samples: int = 1,
        context: RunContext | None = None,
    ) -> dict[str, list[torch.Tensor]]:
        """The samples of every stage for a case whose views are already registered; nothing is
        read, registered or measured. Several sessions can share one ``placed``.

        Args:
            placed: see ``inference.case.place_case``.
            stages, steps, samples, context: as in :meth:`reconstruct`.

        Returns:
            By stage, ``samples`` volumes (1, 1, n, n, n) in normalised HU on the CPU.

        Raises:
            AxonInputError: a stage or a count is wrong, or memory ran out.
            Cancelled: ``context.cancelled()`` returned True.
        """
        context = context or RunContext()
        chosen, counts = self._asked(stages, steps, samples)
        with self._alone():
            run = _Run({}, [])
            return dict(self._run_stages(placed, chosen, counts, samples, context, run))

    def _asked(
        self,
        stages: tuple[str, ...] | str | None,
        steps: Mapping[str, int] | Sequence[int] | None,
        samples: int,
    ) -> tuple[tuple[str, ...], dict[str, int]]:
        """The stages to run and their steps; raises `AxonInputError` if a value is invalid."""
        if not 1 <= samples <= MAX_SAMPLES:
            raise AxonInputError(
                f"At least one sample and at most {MAX_SAMPLES} can be made, got {samples}."
            )
        return self.stages(stages), self.steps(steps)

    def _run_stages(
        self,
        placed: PlacedCase,
        chosen: tuple[str, ...],
        counts: dict[str, int],
        samples: int,
        context: RunContext,
        run: _Run,
    ) -> Iterator[tuple[str, list[torch.Tensor]]]:
        """Yield each stage with all its samples, so that finished stages can be shown and kept."""
        runner, inputs = self._runner, network_views(placed)
        stochastic = runner.method.stochastic_stages(runner.config)
        volumes: list[torch.Tensor | None] = [None] * samples
        for stage in chosen:
            began = time.perf_counter()
            # Samples differ from the first stochastic stage on; until then, one is computed.
            same = stage not in stochastic and all(v is volumes[0] for v in volumes)
            for k, before in enumerate(volumes[:1] if same else list(volumes)):
                label = f" ({k + 1} of {samples})" if samples > 1 and not same else ""
                volumes[k], warnings = runner.run(
                    stage,
                    inputs,
                    before,
                    steps=counts.get(stage),
                    context=self._sample_context(context, k, label, run.steps),
                )
                run.warnings += warnings
            if same:
                volumes = [volumes[0]] * samples
            run.seconds[stage] = time.perf_counter() - began
            yield stage, [v for v in volumes if v is not None]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise RuntimeError("this session is already reconstructing; use another one")
        try:
            yield
        finally:
            self._busy.release()

    def _sample_context(
        self, context: RunContext, k: int, label: str, steps_run: dict[str, int]
    ) -> RunContext:
        """The context of sample k: its own seed, its label in the progress, its steps counted."""

        def progress(name: str, step: int, total: int, preview: Any) -> None:
            if name in self.info.stage_names:
                steps_run[name] = total
            context.report(name + label, step, total, preview)

        return context.with_seed(context.seed + k).with_progress(progress)


def _doubts(placed: PlacedCase) -> str:
    """What was odd about the X-rays whose registration is poor, as sentences."""
    xrays = [placed.case.xrays[role] for role in placed.refused]
    said = [warning for xray in xrays if xray is not None for warning in xray.warnings]
    return "".join(f"{warning[0].upper()}{warning[1:]}. " for warning in said)
