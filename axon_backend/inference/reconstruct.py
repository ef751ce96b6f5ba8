"""The public call: X-rays in, a CT volume out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from axon_backend.bundle import Bundle
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.radiograph import Radiograph
from axon_backend.imaging.view import Stated, View
from axon_backend.inference.case import PathLike
from axon_backend.inference.result import Reconstruction
from axon_backend.inference.session import InferenceSession, StageDone
from axon_backend.physics.pose import Pose
from axon_backend.util.run_context import Progress, RunContext

__all__ = ["Reconstruction", "reconstruct"]


def reconstruct(
    frontal: PathLike | Radiograph | None,
    lateral: PathLike | Radiograph | None = None,
    *,
    ct: PathLike | CTVolume | None = None,
    bundle: PathLike | Bundle | None = None,
    stages: tuple[str, ...] | str | None = None,
    steps: Mapping[str, int] | Sequence[int] | None = None,
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
        stages: those of the bundle's method to run, by name; None for all. Text with commas will
            do.
        steps: sampling steps by stage, for example ``{stage: 10}``, or in the order
            of the stages that take steps; None: as the bundle says.
        seed: of all noise; the same seed gives the same volume on one machine.
        samples: K; the volumes are means over seeds ``seed .. seed + K - 1``, with their standard
            deviation.
        device: ``auto``, ``cpu`` or ``cuda``.
        register: align the X-rays to the DRR of the CT or of the atlas; False takes the image as
            already being in the frame.
        frontal_view: overrules the file's own statement (PA or AP).
        stated: ``invert``, ``flip`` and ``rotate`` of ``read_radiograph`` by role, which overrule
            the tags and the image.
        allow_poor: continue where a registration is poor. One accepted in ``placements`` is never
            refused.
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
        AxonInputError: the input cannot be used, or memory ran out even after every fallback; the
            message says why.
        PoorRegistration: a registration is poor; its ``placed`` holds the views.
        Cancelled: ``cancelled()`` was true before a stage was finished. Afterwards the stages
            that are done are returned, and ``Reconstruction.cancelled`` names the one that is not.
    """
    return InferenceSession(bundle, device).reconstruct(
        frontal,
        lateral,
        ct=ct,
        stages=stages,
        steps=steps,
        samples=samples,
        register=register,
        frontal_view=frontal_view,
        stated=stated,
        allow_poor=allow_poor,
        render_lateral=render_lateral,
        placements=placements,
        pose=pose,
        stage_done=stage_done,
        context=RunContext(seed, device, progress, cancelled),
    )
