"""SimpleITK's registration, which can be stopped between two of its steps."""

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
    """Run a registration that is all set up.

    Args:
        method: its initial transform, which it changes in place.
        fixed: image.
        moving: image.
        cancelled: asked after every step, and at the end.
        doing: what is cut short, as in "stopped while the X-ray was warped".

    Returns:
        False where it found nothing: the images have hardly anything in common, say. The
        transform may then be anywhere.

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
