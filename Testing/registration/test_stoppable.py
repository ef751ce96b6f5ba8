"""A registration by SimpleITK: stopped at the wished step, and told apart from one that fails."""

import numpy as np
import pytest
import SimpleITK as sitk

from axon_backend.errors import Cancelled
from axon_backend.registration.stoppable import execute


def blob(x: float) -> sitk.Image:
    columns, rows = np.meshgrid(np.arange(64), np.arange(64))
    pixels = np.exp(-((columns - x) ** 2 + (rows - 32) ** 2) / 200).astype(np.float32)
    return sitk.GetImageFromArray(pixels)


def method_with(transform: sitk.Transform) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMeanSquares()
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, 100)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetInitialTransform(transform, inPlace=True)
    return method


def test_a_shift_is_found():
    shift = sitk.TranslationTransform(2)
    doing = "it was tested"
    assert execute(method_with(shift), blob(32), blob(35), lambda: False, doing)
    assert shift.GetOffset() == pytest.approx((3, 0), abs=0.01)


def test_it_stops_at_the_step_that_was_cancelled():
    asked = []
    method = method_with(sitk.TranslationTransform(2))

    def cancelled() -> bool:
        asked.append(method.GetOptimizerIteration())
        return len(asked) >= 3

    with pytest.raises(Cancelled, match="stopped while it was tested"):
        execute(method, blob(32), blob(48), cancelled, "it was tested")
    assert asked[:3] == [0, 1, 2] and set(asked) == {0, 1, 2}


def test_images_without_overlap_give_nothing():
    far = blob(32)
    far.SetOrigin((1000.0, 0.0))
    method = method_with(sitk.TranslationTransform(2))
    method.SetMetricAsMattesMutualInformation(16)
    assert not execute(method, blob(32), far, None, "it was tested")
