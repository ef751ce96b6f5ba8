"""Registration of the X-rays of one patient: in-plane, by landmarks, as given, or with the pose."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

import numpy as np
import torch

from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.imaging.ct import CTVolume, require_upright
from axon_backend.imaging.frame import ThoraxFrame, find_thorax_frame
from axon_backend.imaging.radiograph import Radiograph, require_chest
from axon_backend.physics.pose import Pose
from axon_backend.registration.landmarks import LandmarkFit, fit_landmarks
from axon_backend.registration.place import PlacedView, check_role, place_by_matrix, place_by_search
from axon_backend.registration.rigid import PoseRegistration, register_pose

Method = Literal["none", "planar", "pose", "pose_sid"]


class Progress(Protocol):
    """Called after every step with the stage (``register``, then ``pose``), the number of steps
    done, their total number, and the best similarity so far in [-1, 1], if there is one."""

    def __call__(
        self, stage: str, step: int, total: int, similarity: float | None = None, /
    ) -> None: ...


@dataclass(frozen=True)
class Landmarks:
    """Pairs of corresponding points, set by hand.

    Attributes:
        view_points: (n, 2) points of the canonical view, (x, y) in [0, 1]^2 (x to the viewer's
            right, y down).
        image_points: (n, 2) the same points in the X-ray, pixels (column, row).
        transform: ``auto``, ``similarity`` or ``affine``, see ``fit_landmarks``.
    """

    view_points: np.ndarray
    image_points: np.ndarray
    transform: str = "auto"


@dataclass(frozen=True)
class Registration:
    """The X-rays of one patient, registered.

    Attributes:
        views: by role, each X-ray on the canonical grid with its placement and quality.
        frame: the reference's thorax frame.
        pose: the patient's pose: the one found, or the one given.
        search: the pose search with its quality, history and whether it improved on the start;
            None if the pose was not searched for.
        landmarks: by role, the fit of the landmarks.
    """

    views: dict[str, PlacedView]
    frame: ThoraxFrame
    pose: Pose
    search: PoseRegistration | None = None
    landmarks: dict[str, LandmarkFit] = field(default_factory=dict)

    @property
    def matrices(self) -> dict[str, np.ndarray]:
        """By role, the (3, 3) placement: canonical view in [0, 1]^2 -> pixels (column, row) of the
        X-ray; what ``register`` takes as ``placements``."""
        return {
            role: view.registration.matrix
            for role, view in self.views.items()
            if view.registration is not None
        }

    @property
    def refused(self) -> bool:
        """Whether the registration of any X-ray is poor."""
        return any(
            view.registration is not None and view.registration.quality.refused
            for view in self.views.values()
        )


def register(
    xrays: Mapping[str, Radiograph],
    reference: CTVolume,
    frame: ThoraxFrame | None = None,
    *,
    method: Method = "planar",
    placements: Mapping[str, np.ndarray] | None = None,
    landmarks: Mapping[str, Landmarks] | None = None,
    pose: Pose | None = None,
    hold: Collection[str] | None = None,
    warp: bool = False,
    size: int = 1024,
    seed: int = 0,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Registration:
    """Register the X-rays of one patient to a CT or the atlas.

    Each X-ray is placed on the canonical view image of the thorax frame: by its given placement,
    else by its landmarks, else by ``method``. With ``pose`` or ``pose_sid``, the patient's pose in
    which the X-rays and the DRRs of the CT agree best is then searched for.

    Args:
        xrays: by role (``frontal``, ``lateral``), right way up.
        reference: the patient's CT, or the atlas; its DRR is the target.
        frame: the reference's thorax frame, LPS millimetres; None finds it in the CT.
        method: ``none`` assumes that an X-ray covers exactly the field of view; ``planar``
            searches in the image plane (a similarity; for the atlas, whose proportions are not
            the patient's, an affine map); ``pose`` also searches the six degrees of freedom of
            the pose, during which the placements may change; ``pose_sid`` also the
            source-to-image distance.
        placements: by role, (3, 3) placements that are used instead of a search, see
            ``Registration.matrices``.
        landmarks: by role, pairs of points that determine the placement instead of a search.
        pose: the patient's pose, or the start of a search for it. None is the pose of the CT, at
            the canonical distance.
        hold: roles whose placement must not change during the pose search; None: those in
            ``placements`` and ``landmarks``.
        warp: also deform the X-rays slightly onto the reference by a B-spline, if that fits
            better; with ``planar`` only.
        size: pixels along each side of the registered views. The quality is assessed at 256
            pixels, so 256 is enough if only the scores are needed.
        seed: seed of all random numbers.
        device: device of the pose search.
        progress: see :class:`Progress`.
        cancelled: checked before every step; True raises :class:`Cancelled`.

    Returns:
        The registered views. A poor registration is returned too, with a warning.

    Raises:
        AxonInputError: an X-ray, a placement, landmarks or the frame cannot be used; an image
            does not look like a chest X-ray, or the CT's voxels contradict its header; there is
            no X-ray; or a pose search was requested with the atlas as the reference.
        Cancelled: ``cancelled()`` was true.
    """
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {get_args(Method)}, got {method!r}")
    placements, landmarks = placements or {}, landmarks or {}
    seek_pose = method in ("pose", "pose_sid")
    _check(xrays, reference, [*placements, *landmarks], seek_pose)
    frame = find_thorax_frame(reference) if frame is None else frame
    start = pose or Pose()
    views: dict[str, PlacedView] = {}
    fits: dict[str, LandmarkFit] = {}
    for number, (role, xray) in enumerate(xrays.items()):
        if cancelled is not None and cancelled():
            raise Cancelled("stopped during the registration")
        if progress is not None:
            progress("register", number, len(xrays))
        matrix = placements.get(role)
        if matrix is None and role in landmarks:
            fits[role] = _fit(landmarks[role], xray, frame)
            matrix = fits[role].matrix
        if matrix is not None:
            views[role] = place_by_matrix(xray, reference, frame, matrix, pose=start, size=size)
        else:
            views[role] = place_by_search(
                xray,
                reference,
                frame,
                size=size,
                search=method != "none",
                affine=reference.is_atlas,
                seed=seed,
                pose=start,
                warp=warp and not seek_pose,
                cancelled=cancelled,
            )
    if progress is not None:
        progress("register", len(xrays), len(xrays))
    if not seek_pose:
        return Registration(views, frame, start, None, fits)

    def tell(step: int, total: int, similarity: float) -> None:
        if progress is not None:
            progress("pose", step, total, similarity)

    found = register_pose(
        views,
        reference,
        frame,
        start=start,
        progress=tell,
        cancelled=cancelled,
        seed=seed,
        device=device,
        hold={*placements, *fits} if hold is None else hold,
        find_sid=method == "pose_sid",
    )
    # The X-rays moved in their plane during the search; these matrices belong to the pose found.
    matrices = Registration(views, frame, start).matrices | found.matrices
    views = {
        role: place_by_matrix(xray, reference, frame, matrices[role], pose=found.pose, size=size)
        for role, xray in xrays.items()
    }
    return Registration(views, frame, found.pose, found, fits)


def _check(
    xrays: Mapping[str, Radiograph], reference: CTVolume, given: list[str], seek_pose: bool
) -> None:
    if not xrays:
        raise AxonInputError("There is no X-ray to register. Load one first.")
    for xray in xrays.values():
        require_chest(xray)
    require_upright(reference)
    for role in given:
        check_role(role, xrays)
    if seek_pose and reference.is_atlas:
        raise AxonInputError(
            "The patient's pose can only be found with a CT of the same patient. Give that CT, or "
            "use the in-plane registration."
        )


def _fit(pairs: Landmarks, xray: Radiograph, frame: ThoraxFrame) -> LandmarkFit:
    width, height = Pose().geometry(frame, xray.view).extent_mm
    return fit_landmarks(
        pairs.view_points, pairs.image_points, aspect=width / height, kind=pairs.transform
    )
