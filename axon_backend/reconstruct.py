"""The public call: X-rays in, a CT volume out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch

from axon_backend.bundle import Bundle, load_bundle
from axon_backend.errors import AxonInputError, Cancelled, PoorRegistration
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.radiograph import Radiograph
from axon_backend.imaging.view import Stated, View
from axon_backend.memory import StageRunner
from axon_backend.methods.axon import STAGES
from axon_backend.methods.protocol import Progress
from axon_backend.model import choose_device
from axon_backend.physics.pose import Pose
from axon_backend.prepare import PathLike, network_views, place_case, read_case
from axon_backend.result import Reconstruction, ResultBuilder, run_record

__all__ = ["Reconstruction", "reconstruct"]

# stage_done(stage, HU [z, y, x], frame): called once for each stage, when all its samples are done.
StageDone = Callable[[str, np.ndarray, ThoraxFrame], None]


def reconstruct(
    frontal: PathLike | Radiograph | None,
    lateral: PathLike | Radiograph | None = None,
    *,
    ct: PathLike | CTVolume | None = None,
    bundle: PathLike | Bundle | None = None,
    stages: tuple[str, ...] | str = STAGES,
    steps: dict[str, int] | None = None,
    seed: int = 0,
    samples: int = 1,
    device: str = "auto",
    register: bool = True,
    frontal_view: View | None = None,
    stated: Mapping[str, Stated] | None = None,
    allow_poor: bool = False,
    render_lateral: bool = False,
    placements: Mapping[str, np.ndarray] | None = None,
    pose: Pose | None = None,
    progress: Progress | None = None,
    stage_done: StageDone | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Reconstruction:
    """Reconstruct a chest CT from one or two X-rays.

    Args:
        frontal: PA or AP X-ray, a file or a :class:`Radiograph`; None renders the PA DRR of ``ct``.
        lateral: lateral X-ray, or None for a single view.
        ct: the same patient's CT, used as the registration's reference and as ground truth.
        bundle: the model; None is the shipped one.
        stages: which of ``coarse``, ``fine``, ``sr`` to run; a later one needs ``coarse``. Text
            with commas will do.
        steps: sampling steps by stage, for example ``{"coarse": 10, "fine": 15}``.
        seed: of all noise; the same seed gives the same volume on one machine.
        samples: K; the volumes are means over seeds ``seed .. seed + K - 1``, with deviations.
        device: ``auto``, ``cpu`` or ``cuda``.
        register: align the X-rays to the DRR of the CT or of the atlas; False takes the picture
            as already being in the frame.
        frontal_view: overrules the file's own statement (PA or AP).
        stated: how the files lie (``invert``, ``flip``, ``rotate`` of ``read_radiograph``) by
            role, instead of what tags or the picture say.
        allow_poor: go on where a registration is poor. One that was accepted by ``placements`` is
            never refused.
        render_lateral: without a lateral X-ray, use the lateral DRR of ``ct`` (evaluation).
        placements: accepted registrations by role (``frontal``, ``lateral``), each (3, 3) from
            the canonical view in [0, 1]^2 to pixels (column, row) of the X-ray; nothing is
            searched for there, whatever ``register`` says.
        pose: how the patient stood; the CT (or the atlas) is moved by it before truth and DRRs
            are made of it, so that the result lies in the canonical beam frame.
        progress: called as ``progress(stage, step, total, preview)``; stages also ``read`` and
            ``register``, and a sentence where memory ran out.
        stage_done: called as ``stage_done(stage, hu, frame)`` with each finished stage's volume,
            float32 ``[z, y, x]``.
        cancelled: asked before every step and while networks compute; True stops with
            :class:`Cancelled`.

    Returns:
        The volumes in HU and everything known about how they came to be.

    Raises:
        AxonInputError: the input cannot be used, or memory ran out in spite of all ways to save
            it; the message says why.
        PoorRegistration: a registration is poor; its ``placed`` holds the views.
        Cancelled: ``cancelled()`` was true; its ``finished`` holds the stages done by then, if
            any.
    """
    if isinstance(stages, str):
        stages = tuple(stages.split(","))
    if steps is not None and not isinstance(steps, dict):
        raise TypeError(f"steps are counts by stage, as {{'coarse': 10}}, got {steps!r}")
    unknown = [s for s in stages if s not in STAGES]
    if unknown or "coarse" not in stages:
        raise AxonInputError(
            f"The stages {','.join(stages) or '(none)'} cannot be run: give coarse, then "
            "optionally fine and sr, separated by commas."
        )
    if samples < 1:
        raise AxonInputError(f"At least one sample is needed, {samples} were asked for.")
    if any(count < 1 for count in (steps or {}).values()):
        raise AxonInputError(f"Every stage needs at least one step, got {steps}.")
    stages = tuple(s for s in STAGES if s in stages)

    def tell(stage: str, step: int, total: int, preview: torch.Tensor | None = None) -> None:
        if cancelled is not None and cancelled():
            raise Cancelled(f"stopped in stage {stage} before step {step} of {total}")
        if progress is not None:
            progress(stage, step, total, preview)

    seconds: dict[str, float] = {}
    torch_device = choose_device(device)
    if pose is not None and pose.is_identity:
        pose = None
    began = time.perf_counter()
    tell("read", 0, 2)
    if not isinstance(bundle, Bundle):
        bundle = load_bundle(bundle)
    runner = StageRunner(bundle, torch_device, tell, cancelled)
    case = read_case(
        frontal,
        lateral,
        ct,
        frontal_view=frontal_view,
        render_lateral=render_lateral,
        stated=stated,
    )
    seconds["read"] = time.perf_counter() - began
    tell("read", 2, 2)

    began = time.perf_counter()
    placed = place_case(
        case,
        bundle,
        tell,
        device=torch_device,
        register=register,
        seed=seed,
        placements=placements,
        pose=pose,
        cancelled=cancelled,
    )
    seconds["register"] = time.perf_counter() - began
    if placed.refused and not allow_poor:
        roles = " and the ".join(placed.refused)
        raise PoorRegistration(
            f"The registration of the {roles} X-ray is poor, so nothing was reconstructed. Check "
            "that it is a chest X-ray, the right way round; correct it, or place it by hand in "
            "step 2 of the Slicer module. --allow-poor goes on all the same.",
            placed,
        )

    inputs = network_views(placed)
    result = ResultBuilder(placed, runner.config.window, bundle)

    def finish(stopped_in: str | None = None) -> Reconstruction:
        how = run_record(
            bundle,
            runner.config,
            runner.device,
            seed=seed,
            samples=samples,
            steps=steps,
            stages=list(result.volumes),
            steps_run=steps_run,
            seconds=seconds,
            cancelled=stopped_in,
        )
        return result.build(warnings=runner.warnings, **how)

    # All samples of a stage before the next stage: what is finished can be shown and kept.
    found: list[torch.Tensor | None] = [None] * samples
    steps_run: dict[str, int] = {}
    try:
        for stage in stages:
            began = time.perf_counter()
            for k in range(samples):
                label = f" ({k + 1} of {samples})" if samples > 1 else ""
                found[k] = runner.run(
                    stage,
                    inputs,
                    found[k],
                    steps=steps,
                    seed=seed + k,
                    progress=partial(_labelled, tell, label, steps_run),
                )
            seconds[stage] = time.perf_counter() - began
            volume = result.add(stage, [f for f in found if f is not None])
            if stage_done is not None:
                stage_done(stage, volume, placed.frame)
    except Cancelled as stop:
        if result.volumes:
            stop.finished = finish(stopped_in=stage)
        raise
    return finish()


def _labelled(
    tell: Progress,
    label: str,
    steps_run: dict[str, int],
    stage: str,
    step: int,
    total: int,
    preview: torch.Tensor | None,
) -> None:
    steps_run[stage] = total
    tell(stage + label, step, total, preview)
