"""The public call: X-rays in, a CT volume out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from axon_backend.bundle import Bundle
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.radiograph import Radiograph
from axon_backend.imaging.view import Stated, View
from axon_backend.inference.case_files import PathLike
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
        ct: CT of the same patient, used as registration reference and as ground truth.
        bundle: the model; None: the shipped one.
        stages: names of the stages to run, as a tuple or as text separated by commas, or ``all``;
            None: those up to the one that the bundle recommends (see ``InferenceSession.stages``).
        steps: sampling steps by stage, for example ``{stage: 10}``, or in the order of the sampling
            stages; None: those of the bundle.
        seed: of all noise; the same seed gives the same volume on the same machine.
        samples: K; the volumes are means over the seeds ``seed .. seed + K - 1``, with their
            standard deviation.
        device: ``auto``, ``cpu`` or ``cuda``.
        register: align the X-rays to the DRR of the CT or the atlas; False assumes that they are
            already aligned with the frame.
        frontal_view: PA or AP; overrides the tags of the file.
        stated: ``invert``, ``flip``, ``rotate``, ``part`` and ``force`` of ``read_radiograph`` by
            role, which override the tags and the image; ``force`` also for ``ct``.
        allow_poor: continue with a poor registration. One accepted in ``placements`` is never
            refused.
        render_lateral: without a lateral X-ray, use the lateral DRR of ``ct`` (for evaluation).
        placements: accepted registrations by role (``frontal``, ``lateral``), each (3, 3) from
            the canonical view in [0, 1]^2 to pixels (column, row) of the X-ray. These X-rays are
            not registered, whatever the value of ``register``.
        pose: pose of the patient; the CT (or the atlas) is moved by it before DRRs and ground truth
            are computed, so that the result is in the canonical beam frame.
        progress: called as ``progress(stage, step, total, preview)``; the stage may also be
            ``read``, ``register``, or a sentence if memory ran out.
        stage_done: called as ``stage_done(stage, hu, frame)`` with each finished stage's volume,
            float32 ``[z, y, x]``.
        cancelled: polled before every step and while networks compute; True stops with
            :class:`Cancelled`.

    Returns:
        The volumes in HU, and a record of how they were computed.

    Raises:
        AxonInputError: the input cannot be used, or memory ran out even after every fallback; the
            message says why.
        PoorRegistration: a registration is poor; ``placed`` of the exception contains the views.
        Cancelled: ``cancelled()`` returned True before any stage was finished. After that, the
            finished stages are returned, and ``Reconstruction.cancelled`` names the unfinished one.
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
