"""The patient's pose in six degrees of freedom, from one or two registered X-rays and the CT.

DRRs of the CT are rendered in a trial pose and compared with the X-rays; the renderer provides the
gradient of their similarity with respect to the pose (as in DiffDRR, Gopalakrishnan and Golland
2022), which Adam follows from several starting points, coarse to fine. Both views share one pose:
they show one patient in one position.

The in-plane placement of an X-ray was found, or set by hand, before the pose was known: a leaning
patient then looks like a rotated radiograph, and the two views contradict each other. A registered
X-ray may therefore rotate, scale and shift in its plane during the search.

The source-to-image distance (SID) is usually known. If it is not, it can be estimated as well: the
nearer the tube, the more the near side of the patient is magnified relative to the far side. A
change of the distance by ten per cent moves the boundary of the chest by no more than 1 mm, so the
SID is optimised only when the pose is nearly right; before that it would diverge.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.drr import render_drr
from axon_backend.physics.pose import Pose
from axon_backend.registration.adam import Adam
from axon_backend.registration.place import PlacedView
from axon_backend.registration.planar import WORKING_SIZE, check_image
from axon_backend.registration.pose_similarity import PoseSimilarity, planar_matrix
from axon_backend.registration.quality import RegistrationQuality, assess
from axon_backend.registration.resample import resample_image
from axon_backend.registration.thresholds import SAME_PATIENT
from axon_backend.registration.unknowns import Unknowns

# Range of the random starting points around the given one, tried at the coarsest level (degrees,
# mm).
REACH = (10.0, 10.0, 10.0, 30.0, 30.0, 30.0)
CANDIDATES = 64


@dataclass(frozen=True)
class Level:
    """One resolution of the search: pixels along each side of the images, voxels along the longest
    side of the volume, number of best poses that are continued, steps, initial learning rate
    (units), whether only edges are compared, and whether the SID is optimised if it is to be
    estimated."""

    pixels: int
    voxels: int
    follow: int
    steps: int
    lr: float
    edges: bool = False
    sid: bool = False


LEVELS = (
    Level(48, 64, 4, 30, 1.0),
    Level(96, 64, 2, 20, 0.4),
    Level(160, 96, 1, 15, 0.15, sid=True),
    Level(192, 128, 1, 15, 0.1, edges=True, sid=True),
)


@dataclass(frozen=True)
class PoseRegistration:
    """Result of a pose search.

    Attributes:
        pose: the best pose found, or the start if none was better.
        quality: by role, the agreement of the X-ray with the DRR in that pose.
        history: (step, similarity): the best similarity so far at that step's resolution, in
            [-1, 1]; it may drop when the resolution changes.
        improved: False if the start was kept.
        matrices: by role, (3, 3) placements that belong to the pose, like
            ``PlacedView.registration.matrix``, of the X-rays that moved in their plane.
    """

    pose: Pose
    quality: dict[str, RegistrationQuality]
    history: list[tuple[int, float]]
    improved: bool = True
    matrices: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know, in plain words."""
        notes = [f"{role}: {w}" for role, q in self.quality.items() for w in q.warnings]
        if not self.improved:
            notes.append("no pose was found that fits better than the initial one")
        return tuple(notes)


def register_pose(
    placed: Mapping[str, PlacedView],
    ct: CTVolume,
    frame: ThoraxFrame,
    *,
    start: Pose | None = None,
    progress: Callable[[int, int, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    hold: Collection[str] = (),
    find_sid: bool = False,
) -> PoseRegistration:
    """Find the patient's pose.

    Args:
        placed: one or two views on the canonical grid, by role. Two perpendicular views determine
            all six degrees of freedom; a single view leaves the depth along the beam
            unconstrained.
        ct: the patient's CT.
        frame: the CT's thorax frame.
        start: centre of the search; its SID is kept unless ``find_sid``. None is the pose of the
            CT.
        progress: called as ``progress(step, total, similarity)`` after every step.
        cancelled: checked before every step; True raises :class:`Cancelled`.
        seed: seed of the random starting points; the same seed reproduces the pose on the same
            machine.
        device: device to compute on.
        hold: roles of X-rays whose placement must not change; that of a DRR never does.
        find_sid: also estimate the SID, within :data:`unknowns.SID_RANGE_MM`; it is assumed to be
            the same for both views.

    Returns:
        The pose with its quality. A poor one is returned too, with a warning.

    Raises:
        AxonInputError: there is no view, one is blank, or the frame is outside the CT.
        Cancelled: ``cancelled()`` was true.
    """
    if not placed:
        raise AxonInputError("There is no X-ray to find the pose from. Load one and register it.")
    for role, view in placed.items():
        check_image(view.pixels, f"The {role} X-ray")
        if not view.valid.any():
            raise AxonInputError(
                f"The {role} X-ray lies outside the chest's field of view. Move it back first."
            )
    start = start or Pose()
    free = [r for r, view in placed.items() if view.registration is not None and r not in hold]
    search = Unknowns(placed, tuple(free), start.sid_mm, find_sid)
    units = torch.tensor(search.units, device=device)
    first = torch.zeros(len(units), device=device)
    first[:6] = torch.tensor([*start.rotation_deg, *start.translation_mm], device=device)
    first = first / units
    full = AttenuationVolume.from_ct(ct, device)
    volumes = {n: full.downsampled(n) for n in {level.voxels for level in LEVELS}}
    check_image(
        render_drr(volumes[LEVELS[0].voxels], start.geometry(frame, view.view), 64).cpu().numpy(),
        "The CT's DRR (does the frame lie in the CT, and the CT in the beam?)",
    )
    steps = _Steps(progress, cancelled)

    def similarity_at(level: Level) -> _Similarity:
        objectives = {
            role: PoseSimilarity(
                view, volumes[level.voxels], frame, start.sid_mm, level.pixels, level.edges
            )
            for role, view in placed.items()
        }

        def score_of(x: torch.Tensor) -> torch.Tensor:
            pose, shifts, sid_scale = search.split(x * units)
            if not level.sid:
                sid_scale = sid_scale.detach()
            return torch.stack(
                [e.similarity(pose, shifts.get(r), sid_scale) for r, e in objectives.items()]
            ).mean()

        return score_of

    score_of = similarity_at(LEVELS[0])
    # X-rays that are already in place determine the patient's position.
    reach = REACH if len(free) < len(placed) else (*REACH[:3], 0.0, 0.0, 0.0)
    candidates = []
    for offset in np.random.default_rng(seed).uniform(-1, 1, (CANDIDATES, 6)) * reach:
        steps.begin()
        x = first.clone()
        x[:6] += torch.as_tensor(offset, dtype=x.dtype, device=device) / units[:6]
        with torch.no_grad():
            candidates.append((float(score_of(x)), x))
        steps.end(candidates[-1][0])
    # The given start is always continued, however good the random ones are.
    starts = [first, *(x for _, x in sorted(candidates, key=_by_score))]
    for level in LEVELS:
        score_of = similarity_at(level)
        found = [_climb(score_of, x, level, steps) for x in starts[: level.follow]]
        kept = [x for _, x in sorted(found, key=_by_score) if search.plausible(x * units)]
        starts = kept or [first]
        steps.best = -1.0  # similarities of the next resolution are not comparable
    with torch.no_grad():
        improved = bool(score_of(starts[0]) > score_of(first))
    found_pose, found_shifts, sid_scale = search.split((starts[0] if improved else first) * units)
    values, sid_mm = found_pose.tolist(), float(sid_scale) * start.sid_mm
    pose = Pose(tuple(values[:3]), tuple(values[3:]), sid_mm) if improved else start
    back = {role: _back(shift, pose, frame, placed[role]) for role, shift in found_shifts.items()}
    matrices = {
        role: view.registration.matrix @ back[role]
        for role, view in placed.items()
        if role in back and view.registration is not None
    }
    quality = {role: _quality(v, full, frame, pose, back.get(role)) for role, v in placed.items()}
    return PoseRegistration(pose, quality, steps.history, improved, matrices)


_Similarity = Callable[[torch.Tensor], torch.Tensor]


class _Steps:
    """Counts and reports the steps, and raises Cancelled between two of them on request."""

    def __init__(
        self,
        progress: Callable[[int, int, float], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self.progress, self.cancelled = progress, cancelled
        self.total = CANDIDATES + sum(level.follow * level.steps for level in LEVELS)
        self.history: list[tuple[int, float]] = []
        self.best = -1.0

    def begin(self) -> None:
        if self.cancelled is not None and self.cancelled():
            raise Cancelled(f"stopped before step {len(self.history) + 1} of {self.total}")

    def end(self, score: float) -> None:
        self.best = max(self.best, score)
        self.history.append((len(self.history) + 1, self.best))
        if self.progress is not None:
            self.progress(len(self.history), self.total, self.best)


def _by_score(found: tuple[float, torch.Tensor]) -> float:
    return -found[0]


def _climb(
    score_of: _Similarity, start: torch.Tensor, level: Level, steps: _Steps
) -> tuple[float, torch.Tensor]:
    """The best parameters visited by Adam, with their score."""
    adam = Adam(start, level.lr, level.steps, least=0.1)
    for _ in range(level.steps):
        steps.begin()
        score = adam.step(score_of)
        steps.end(-1.0 if score is None else score)
    return adam.best


def _back(shift: torch.Tensor, pose: Pose, frame: ThoraxFrame, placed: PlacedView) -> np.ndarray:
    """(3, 3), canonical view in [0, 1]^2 -> position in the registered image, in [0, 1]^2."""
    width, height = pose.geometry(frame, placed.view).extent_mm
    to_mm = np.array([[width, 0, -width / 2], [0, height, -height / 2], [0, 0, 1]])
    moved = planar_matrix(shift.double()).cpu().numpy()
    return np.linalg.inv(to_mm) @ np.linalg.inv(moved) @ to_mm


def _quality(
    placed: PlacedView,
    full: AttenuationVolume,
    frame: ThoraxFrame,
    pose: Pose,
    back: np.ndarray | None,
) -> RegistrationQuality:
    drr = render_drr(full, pose.geometry(frame, placed.view), WORKING_SIZE).cpu().numpy()
    n = placed.pixels.shape[0]
    matrix = np.array([[n, 0, -0.5], [0, n, -0.5], [0, 0, 1.0]])
    if back is not None:
        matrix = matrix @ back
    pixels, inside = resample_image(placed.pixels, matrix, WORKING_SIZE)
    valid = resample_image(placed.valid.astype(np.float32), matrix, WORKING_SIZE)[0] > 0.99
    return assess(pixels, drr, valid & inside, limits=SAME_PATIENT)
