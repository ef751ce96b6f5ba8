"""Execution of SimpleITK registrations that can be cancelled between iterations."""

from __future__ import annotations

from collections.abc import Callable

import SimpleITK as sitk

from axon_backend.errors import Cancelled


def execute(
    method: sitk.ImageRegistrationMethod,
    fixed: sitk.Image,
    moving: sitk.Image,
    cancelled: Callable[[], bool] | None,
    doing: str,
) -> bool:
    """Run a configured registration.

    Args:
        method: the registration; its initial transform is optimised in place.
        fixed: the fixed image.
        moving: the moving image.
        cancelled: checked after every iteration and at the end.
        doing: the activity, for the message, as in "stopped while the X-ray was deformed".

    Returns:
        False if the optimiser failed, for example because the images hardly overlap; the
        transform is then undefined.

    Raises:
        Cancelled: ``cancelled()`` was true.
    """
    stopped = []
    if cancelled is not None:

        def stop_if_asked() -> None:
            if cancelled():
                stopped.append(True)
                method.StopRegistration()

        method.AddCommand(sitk.sitkIterationEvent, stop_if_asked)
    found = True
    try:
        method.Execute(fixed, moving)
    except RuntimeError:
        found = False
    if stopped or (cancelled is not None and cancelled()):
        raise Cancelled(f"stopped while {doing}")
    return found
