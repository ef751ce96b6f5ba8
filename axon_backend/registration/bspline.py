"""A mild deformation of a registered X-ray onto its reference, for differences in breathing, arm
position or body shape.

Off by default: a deformation that fits better may also hide errors. It is kept mild in two ways:
few control points (cells of a quarter of the field), none displaced by more than 3 % of the field's
width. A uniform cubic B-spline whose control points move by less than 0.48 of a cell does not fold
(Choi and Lee, "Injectivity conditions of 2D and 3D uniform cubic B-spline functions", Graphical
Models 62 (2000) 411); 3 % of the width is 0.12 of a cell.

The metric is the correlation of local contrast: the mutual information of whole images deforms them
to compensate for scatter and heel effect.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import SimpleITK as sitk

from axon_backend.imaging.matching import local_contrast
from axon_backend.registration.stoppable import execute

CELLS = 4
# Limit of local contrast, in standard deviations: letters and wires must not outweigh bones.
LIMIT = 2.0
# Largest displacement of a control point, as a fraction of the field's width.
MOST = 0.03
ITERATIONS = 30


def find_warp(
    moved: np.ndarray,
    fixed: np.ndarray,
    valid: np.ndarray,
    *,
    seed: int = 0,
    cancelled: Callable[[], bool] | None = None,
) -> np.ndarray:
    """Find the displacement of each point of the field by correlation of local contrast.

    Args:
        moved: (N, N) registered X-ray.
        fixed: (N, N) its reference, on the same grid.
        valid: (N, N) bool, False outside the X-ray.
        seed: seed of the metric's sampling.
        cancelled: checked before every step.

    Returns:
        (2, N, N) float32 displacement to the right and down, as a fraction of the field's width:
        the point ``(x, y)`` of the field shows what the registered X-ray has at ``(x, y)`` plus
        the displacement. Zero if the optimiser failed.

    Raises:
        Cancelled: ``cancelled()`` was true.
    """
    n = fixed.shape[0]
    itk_images = []
    for image, seen in ((fixed, None), (moved, valid)):
        itk_image = sitk.GetImageFromArray(np.clip(local_contrast(image, seen), -LIMIT, LIMIT))
        itk_image.SetSpacing((1 / n, 1 / n))
        itk_image.SetOrigin((0.5 / n, 0.5 / n))
        itk_images.append(itk_image)
    target, moving = itk_images
    mask = sitk.GetImageFromArray(valid.astype(np.uint8))
    mask.CopyInformation(moving)
    warp = sitk.BSplineTransformInitializer(target, [CELLS, CELLS], 3)
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsCorrelation()
    method.SetMetricMovingMask(mask)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.3, seed=seed + 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsLBFGSB(
        gradientConvergenceTolerance=1e-5,
        numberOfIterations=ITERATIONS,
        lowerBound=-MOST,
        upperBound=MOST,
    )
    method.SetShrinkFactorsPerLevel([2])
    method.SetSmoothingSigmasPerLevel([2 / n])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(warp, inPlace=True)
    if not execute(method, target, moving, cancelled, "the X-ray was deformed"):
        warp.SetParameters([0.0] * len(warp.GetParameters()))
    field = sitk.TransformToDisplacementField(
        warp, sitk.sitkVectorFloat64, (n, n), target.GetOrigin(), target.GetSpacing()
    )
    return np.moveaxis(sitk.GetArrayFromImage(field), -1, 0).astype(np.float32)
