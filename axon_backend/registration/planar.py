"""2-D registration of an X-ray to a DRR: coarse search, then refinement.

A clinical X-ray and a DRR share the anatomy but not the grey scale, so the refinement maximises the
correlation of locally normalised images and of their gradients, from several starting points and
coarse to fine. Edges decide the last millimetres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from axon_backend.errors import AxonInputError
from axon_backend.imaging.matching import local_contrast, shrink_by, shrink_to
from axon_backend.imaging.radiograph import MIN_PIXELS
from axon_backend.registration.alignment import FREE, Alignment
from axon_backend.registration.edges import LEVELS, ROUGH_LEVELS, refine_edges
from axon_backend.registration.quality import RegistrationQuality, assess
from axon_backend.registration.resample import resample_image
from axon_backend.registration.search import find_chest
from axon_backend.registration.similarity import gradient_ncc, ncc
from axon_backend.registration.thresholds import OTHER_PATIENT, Limits

# Pixels along each side of the reference and, approximately, of the X-ray during the search.
WORKING_SIZE, IMAGE_SIZE = 256, 384
# Starting points from the coarse localisation, and how many of the placements found from there are
# refined; pixels along each side of the field in either search.
STARTS, KEPT = 4, 2
COARSE, FINE = 48, 128
STEPS = 20
# A step that moves the boundary of the field by less than 0.025 % of its width is the last (units).
TOLERANCE = 0.05
# Largest rotation, aspect ratio and shear of a chest relative to the reference.
MAX_ROTATION_DEG, MAX_STRETCH, MAX_SHEAR = 20.0, 1.4, 0.12
# Aspect ratios tried in the search for another patient's chest.
STRETCHES = (0.85, 1.0, 1.18, 1.35)


@dataclass(frozen=True)
class PlanarRegistration:
    """Placement of the reference's field of view in an X-ray.

    Attributes:
        matrix: (3, 3), field of view in [0, 1]^2 (x to the viewer's right, y down) -> pixel
            coordinates (column, row) of the X-ray.
        quality: scores and warnings.
        rotation_deg: rotation of the X-ray relative to the reference, positive clockwise as
            displayed.
    """

    matrix: np.ndarray
    quality: RegistrationQuality

    @property
    def rotation_deg(self) -> float:
        """Rotation part of the matrix."""
        return float(np.degrees(np.arctan2(self.matrix[1, 0], self.matrix[0, 0])))


def _score(
    moving: np.ndarray, fixed: np.ndarray, matrix: np.ndarray, shown: np.ndarray | None = None
) -> float:
    """Mean of NCC and gradient NCC at a placement, reduced if the X-ray covers less of the field;
    ``shown`` is the X-ray's mask of valid pixels."""
    moved, valid = resample_image(moving, matrix, fixed.shape[0], valid=shown)
    if valid.mean() < 0.4:
        return -1.0
    a, b = local_contrast(moved, valid), local_contrast(fixed, valid)
    agreement = 0.5 * (ncc(a, b, valid) + gradient_ncc(a, b, valid))
    return agreement * float(0.5 + 0.5 * valid.mean())


def _plausible(matrix: np.ndarray) -> bool:
    x, y = matrix[:2, 0], matrix[:2, 1]
    stretch = np.linalg.norm(x) / np.linalg.norm(y)
    shear = abs(x @ y) / (np.linalg.norm(x) * np.linalg.norm(y))
    turn = abs(np.degrees(np.arctan2(x[1], x[0])))
    upright = np.linalg.det(matrix[:2, :2]) > 0
    return bool(
        upright
        and turn <= MAX_ROTATION_DEG
        and 1 / MAX_STRETCH <= stretch <= MAX_STRETCH
        and shear <= MAX_SHEAR
    )


def _aligned(
    moving: np.ndarray,
    fixed: np.ndarray,
    start: np.ndarray,
    pixels: int,
    transform: str,
    valid: np.ndarray | None,
    cancelled: Callable[[], bool] | None,
) -> tuple[float, np.ndarray]:
    """The score and the placement that a search from ``start`` ends at."""
    images = Alignment(
        moving, fixed, start, pixels, transform=transform, features="contrast", valid=valid
    )
    score, found = images.climb(start, STEPS, TOLERANCE, cancelled)
    return (score, found) if _plausible(found) else (-1.0, start)


def _different(placements: list[np.ndarray], most: int) -> list[np.ndarray]:
    """The first few of those that are not the same within 2 % of the field."""
    kept: list[np.ndarray] = []
    for matrix in placements:
        away = [np.abs(np.linalg.inv(other) @ matrix - np.eye(3)).max() for other in kept]
        if all(distance > 0.02 for distance in away):
            kept.append(matrix)
    return kept[:most]


def check_image(image: np.ndarray, name: str) -> None:
    """Refuse an image that cannot be registered.

    Raises:
        AxonInputError: ``image`` is not (H, W), is too small, blank or not finite.
    """
    if image.ndim != 2 or min(image.shape) < MIN_PIXELS:
        raise AxonInputError(
            f"{name} has the shape {image.shape}; registration needs an image of at least "
            f"{MIN_PIXELS} x {MIN_PIXELS} pixels. Provide it at full size."
        )
    if not np.isfinite(image).all():
        raise AxonInputError(
            f"{name} contains values that are not finite (NaN or infinity). Replace them and try "
            "again."
        )
    if np.ptp(image) <= 1e-6 * max(1e-6, float(np.abs(image).max())):
        raise AxonInputError(
            f"{name} is blank: every pixel is {float(image.flat[0]):g}. Provide an image "
            "of the chest."
        )


def register_planar(
    moving: np.ndarray,
    fixed: np.ndarray,
    *,
    transform: str = "similarity",
    limits: Limits = OTHER_PATIENT,
    valid: np.ndarray | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> PlanarRegistration:
    """Find the reference's field of view in an X-ray.

    Args:
        moving: (H, W) X-ray, log-linear, bright = bone, right way up.
        fixed: (N, N) DRR of the CT or of the atlas with square pixels.
        transform: ``similarity`` (same patient) or ``affine`` (proportions may differ).
        limits: thresholds of the verdict.
        valid: (H, W) bool, False where a mark hides the X-ray; None: all pixels are valid.
        cancelled: checked before every step of the search.

    Returns:
        The placement with its quality. A poor one is returned too, with a warning.

    Raises:
        AxonInputError: one of the images is blank, too small or not finite.
        Cancelled: ``cancelled()`` was true.
    """
    if transform not in FREE:
        raise ValueError(f"transform must be one of {tuple(FREE)}, got {transform!r}")
    moving, fixed = np.asarray(moving), np.asarray(fixed)
    check_image(moving, "The X-ray")
    check_image(fixed, "The reference's DRR")
    # Work at about the reference's working resolution: smaller images, same field.
    factor = max(1, round(max(moving.shape) / IMAGE_SIZE))
    small = shrink_by(moving, factor)
    shown = None if valid is None else shrink_by(valid.astype(np.float32), factor) > 0.99
    target = shrink_to(fixed, WORKING_SIZE, WORKING_SIZE)
    coarse = shrink_to(target, WORKING_SIZE // 2, WORKING_SIZE // 2)

    def best_of(candidates: list[np.ndarray]) -> np.ndarray:
        return max(
            candidates, key=lambda m: _score(small, coarse, m, shown) if _plausible(m) else -np.inf
        )

    def aligned(starts: list[np.ndarray], pixels: int) -> list[np.ndarray]:
        """Where searches from these placements end, best first."""
        found = [_aligned(small, target, m, pixels, transform, shown, cancelled) for m in starts]
        return [m for _, m in sorted(found, key=lambda f: -f[0])]

    stretches = STRETCHES if transform == "affine" else (1.0,)
    places = find_chest(small, target, STARTS, stretches=stretches, cancelled=cancelled)
    near = _different(aligned([place.matrix() for place in places], COARSE), KEPT)
    best = best_of(aligned(near, FINE))
    # Edges differ between patients, so intensities count as well. Those of one patient's images are
    # the same, while noise and collimation may draw the correlation of intensities away from them:
    # there, the search for edges also starts from where the intensities were hardly looked at.
    starts = [(best, LEVELS)]
    if transform == "similarity":
        starts += [(matrix, ROUGH_LEVELS) for matrix in near[:1]]
    sharper = refine_edges(
        small, target, *starts, transform=transform, valid=shown, cancelled=cancelled
    )
    if transform == "affine":
        best = best_of([best, sharper])
    elif _plausible(sharper):
        best = sharper
    moved, inside = resample_image(small, best, WORKING_SIZE, valid=shown)
    quality = assess(moved, target, inside, limits=limits)
    # Pixel (i) of the shrunk image covers pixels factor * i ... of the full one.
    lift = np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1]])
    return PlanarRegistration(lift @ best, quality)


def whole_image_placement(moving: np.ndarray) -> PlanarRegistration:
    """The placement of an unregistered image: its whole area is the field of view."""
    h, w = moving.shape
    matrix = np.array([[w, 0, -0.5], [0, h, -0.5], [0, 0, 1.0]])
    quality = RegistrationQuality(
        0.0, 0.0, 0.0, "not registered", ("the X-ray was assumed to be in place already",)
    )
    return PlanarRegistration(matrix, quality)
