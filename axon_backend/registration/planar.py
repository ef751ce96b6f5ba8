"""2-D registration of an X-ray to a DRR: coarse search, then refinement.

A clinical X-ray and a DRR share the anatomy but not the grey scale, so the refinement maximises
mutual information (Mattes et al. 2003, SimpleITK) and, against another patient's DRR, also the
correlation of locally normalised images. Each step is kept only if the images then agree better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from axon_backend.errors import AxonInputError
from axon_backend.imaging.matching import local_contrast, shrink_by, shrink_to
from axon_backend.imaging.radiograph import MIN_PIXELS
from axon_backend.registration.edges import refine_edges
from axon_backend.registration.quality import RegistrationQuality, assess
from axon_backend.registration.resample import resample_image
from axon_backend.registration.search import find_chest
from axon_backend.registration.similarity import gradient_ncc, ncc
from axon_backend.registration.stoppable import execute
from axon_backend.registration.thresholds import OTHER_PATIENT, Limits

# Pixels along each side of the reference and, approximately, of the X-ray during the search.
WORKING_SIZE, IMAGE_SIZE = 256, 384
# Metrics that refine each transform. Between patients MI drifts, so the correlation of local
# contrast competes with it; for the same patient MI is the more accurate of the two.
METRICS = {"similarity": ("mattes",), "affine": ("mattes", "correlation")}
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


def _refine(
    moving: np.ndarray,
    fixed: np.ndarray,
    start: np.ndarray,
    kind: str,
    metric: str,
    shrink: list[int],
    seed: int,
    cancelled: Callable[[], bool] | None,
    valid: np.ndarray | None,
) -> np.ndarray:
    """Refine a placement by ``mattes`` or ``correlation``, coarse to fine over ``shrink``; returns
    the new matrix."""
    n = fixed.shape[0]
    long_side = float(max(moving.shape))
    if metric == "correlation":
        field = float(np.sqrt(abs(np.linalg.det(start[:2, :2]))))
        moving, fixed = local_contrast(moving, valid, sigma=field / 8), local_contrast(fixed)
    # Both images in units of about one field of view, so that one step size suits all.
    target = sitk.GetImageFromArray(fixed.astype(np.float32))
    target.SetSpacing((1 / n, 1 / n))
    target.SetOrigin((0.5 / n, 0.5 / n))
    image = sitk.GetImageFromArray(moving.astype(np.float32))
    image.SetSpacing((1 / long_side,) * 2)
    first = np.diag([1 / long_side, 1 / long_side, 1.0]) @ start
    mask = None
    if valid is not None:
        mask = sitk.GetImageFromArray(valid.astype(np.uint8))
        mask.CopyInformation(image)
    transform: sitk.Similarity2DTransform | sitk.AffineTransform
    if kind == "similarity":
        transform = sitk.Similarity2DTransform()
        scale = float(np.sqrt(abs(np.linalg.det(first[:2, :2]))))
        transform.SetCenter((0.5, 0.5))
        transform.SetAngle(float(np.arctan2(first[1, 0], first[0, 0])))
        transform.SetScale(scale)
    else:
        transform = sitk.AffineTransform(2)
        transform.SetCenter((0.5, 0.5))
        transform.SetMatrix(first[:2, :2].ravel().tolist())
    middle = np.array([0.5, 0.5])
    transform.SetTranslation((first[:2, :2] @ middle + first[:2, 2] - middle).tolist())

    method = sitk.ImageRegistrationMethod()
    # One work unit: sums are reproducible, on any machine.
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    if metric == "mattes":
        method.SetMetricAsMattesMutualInformation(32)
    else:
        method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.5, seed=seed + 1)
    if mask is not None:
        method.SetMetricMovingMask(mask)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(0.02, 1e-4, 60, 0.6, 1e-8)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(shrink)
    method.SetSmoothingSigmasPerLevel([k / n for k in shrink])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(transform, inPlace=True)
    if not execute(method, target, image, cancelled, "the X-ray was being registered"):
        return start
    origin = np.array(transform.TransformPoint((0.0, 0.0)))
    columns = [np.array(transform.TransformPoint(p)) - origin for p in ((1.0, 0.0), (0.0, 1.0))]
    matrix = np.eye(3)
    matrix[:2, 0], matrix[:2, 1], matrix[:2, 2] = columns[0], columns[1], origin
    return np.diag([long_side, long_side, 1.0]) @ matrix


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
    seed: int = 0,
    limits: Limits = OTHER_PATIENT,
    valid: np.ndarray | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> PlanarRegistration:
    """Find the reference's field of view in an X-ray.

    Args:
        moving: (H, W) X-ray, log-linear, bright = bone, right way up.
        fixed: (N, N) DRR of the CT or of the atlas with square pixels.
        transform: ``similarity`` (same patient) or ``affine`` (proportions may differ).
        seed: seed of the metric's sampling; the same seed gives the same result.
        limits: thresholds of the verdict.
        valid: (H, W) bool, False where a mark hides the X-ray; None: all pixels are valid.
        cancelled: checked before every step of the search.

    Returns:
        The placement with its quality. A poor one is returned too, with a warning.

    Raises:
        AxonInputError: one of the images is blank, too small or not finite.
        Cancelled: ``cancelled()`` was true.
    """
    if transform not in METRICS:
        raise ValueError(f"transform must be one of {tuple(METRICS)}, got {transform!r}")
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

    def refined(placements: list[np.ndarray], shrink: list[int]) -> list[np.ndarray]:
        return [
            _refine(small, target, m, transform, metric, shrink, seed, cancelled, shown)
            for m in placements
            for metric in METRICS[transform]
        ]

    stretches = STRETCHES if transform == "affine" else (1.0,)
    starts = [
        s.matrix() for s in find_chest(small, target, stretches=stretches, cancelled=cancelled)
    ]
    best = best_of(starts + refined(starts, [4, 2]))
    best = best_of([best, *refined([best], [2, 1])])
    sharper = refine_edges(
        small, target, best, transform=transform, valid=shown, cancelled=cancelled
    )
    # Edges differ between patients, so intensities count as well.
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
