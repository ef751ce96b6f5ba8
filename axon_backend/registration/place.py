"""From an X-ray as it was read to the canonical view image that the networks see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.radiograph import Radiograph
from axon_backend.imaging.view import View
from axon_backend.physics.geometry import FIELD_OF_VIEW
from axon_backend.physics.pose import Pose
from axon_backend.registration.bspline import find_warp
from axon_backend.registration.planar import (
    WORKING_SIZE,
    PlanarRegistration,
    check_picture,
    place_without_registration,
    register_planar,
)
from axon_backend.registration.quality import assess
from axon_backend.registration.reference import Reference
from axon_backend.registration.resample import resample_picture
from axon_backend.registration.search import shrink_to
from axon_backend.registration.thresholds import OTHER_PATIENT, SAME_PATIENT, Limits

# The DRR that an X-ray is registered to; the search works at 256 and below.
REFERENCE_SIZE = 512


@dataclass(frozen=True)
class PlacedView:
    """A registered view.

    Attributes:
        pixels: (S, S) float32 log-linear, on the canonical grid (rows Superior to Inferior,
            columns Right to Left or Anterior to Posterior, 1.1 x the frame).
        valid: (S, S) bool, False where the X-ray shows nothing.
        view: the projection.
        reference: (S, S) DRR it was registered to, on the same grid; None for a DRR input.
        registration: how it was placed, its matrix from the canonical view in [0, 1]^2; None for
            a DRR input.
        size_mm: (width, height) of the thorax frame that the X-ray's pixel size implies, or None.
        warp: (2, S, S) shift right and down in parts of the field, on top of the matrix; None is
            no warp.
    """

    pixels: np.ndarray
    valid: np.ndarray
    view: View
    reference: np.ndarray | None = None
    registration: PlanarRegistration | None = None
    size_mm: tuple[float, float] | None = None
    warp: np.ndarray | None = None

    @classmethod
    def of_drr(cls, picture: np.ndarray, view: View) -> PlacedView:
        """A DRR rendered on the canonical grid is in its place already."""
        return cls(picture, np.ones(picture.shape, bool), view)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know about the registration, in plain words."""
        return () if self.registration is None else self.registration.quality.warnings

    def as_dict(self, role: str) -> dict:
        """The registration's part of ``result.json``."""
        if self.registration is None:
            return {"role": role, "view": self.view.value, "verdict": "rendered in place"}
        r, q = self.registration, self.registration.quality
        return {
            "role": role,
            "view": self.view.value,
            "verdict": q.verdict,
            "ncc": q.ncc,
            "gradient_ncc": q.gradient_ncc,
            "offset": q.offset,
            "mutual_information": q.mutual_information,
            "refused": q.refused,
            "matrix": r.matrix.tolist(),
            "largest_warp": None if self.warp is None else round(float(np.abs(self.warp).max()), 4),
            "warnings": list(q.warnings),
        }


def _placed(
    xray: Radiograph, reference: Reference, found: PlanarRegistration, size: int
) -> PlacedView:
    matrix, quality = found.matrix, found.quality
    # Whoever looks at the placement should know what was assumed about the picture.
    found = replace(found, quality=replace(quality, warnings=(*xray.warnings, *quality.warnings)))
    pixels, valid = resample_picture(xray.pixels, matrix, size)
    size_mm = None
    if xray.pixel_mm is not None:
        columns = np.hypot(matrix[0, 0] * xray.pixel_mm[1], matrix[1, 0] * xray.pixel_mm[0])
        rows = np.hypot(matrix[0, 1] * xray.pixel_mm[1], matrix[1, 1] * xray.pixel_mm[0])
        size_mm = (float(columns / FIELD_OF_VIEW), float(rows / FIELD_OF_VIEW))
    return PlacedView(pixels, valid, xray.view, reference.shown(size), found, size_mm)


def _square_pixels(xray: Radiograph) -> tuple[np.ndarray, np.ndarray]:
    """The picture with square pixels, since a similarity knows one scale only, and the (3, 3) map
    from its pixels (column, row) to those of the X-ray."""
    if xray.pixel_mm is None or abs(xray.pixel_mm[0] / xray.pixel_mm[1] - 1) < 0.005:
        return xray.pixels, np.eye(3)
    shape = [
        round(n * mm / min(xray.pixel_mm))
        for n, mm in zip(xray.pixels.shape, xray.pixel_mm, strict=True)
    ]
    (h, w), (rows, columns) = xray.pixels.shape, shape
    picture = ndimage.zoom(
        xray.pixels, (rows / h, columns / w), order=1, grid_mode=True, mode="nearest"
    )
    sx, sy = w / columns, h / rows
    return picture, np.array([[sx, 0, 0.5 * sx - 0.5], [0, sy, 0.5 * sy - 0.5], [0, 0, 1]])


def place_view(
    xray: Radiograph,
    reference: CTVolume,
    frame: ThoraxFrame,
    *,
    size: int = 1024,
    register: bool = True,
    stretch: bool = False,
    seed: int = 0,
    pose: Pose | None = None,
    warp: bool = False,
    cancelled: Callable[[], bool] | None = None,
) -> PlacedView:
    """Bring an X-ray onto the canonical view image of a frame by searching for it.

    Args:
        xray: the X-ray, right way up.
        reference: the patient's CT or the atlas, whose DRR is the target.
        frame: of the reference.
        size: side of the result.
        register: search; False takes the picture as covering the field of view.
        stretch: allow width and height to scale differently (affine); for the atlas, whose
            proportions are not the patient's.
        seed: of the metric's sampling.
        pose: how the patient stood; the DRR is rendered so. None is the CT as it lies.
        warp: also bend the X-ray gently onto the reference (B-spline), where that fits better.
        cancelled: asked before every step of the search.

    Raises:
        AxonInputError: the X-ray is blank, too small or not finite, or the frame does not meet
            the reference.
        Cancelled: ``cancelled()`` was true.
    """
    check_picture(xray.pixels, xray.source or "The X-ray")
    target = Reference.of_ct(reference, frame, xray.view, pose, REFERENCE_SIZE)
    if register:
        kind = "affine" if stretch else "similarity"
        picture, to_xray = _square_pixels(xray)
        found = register_planar(
            picture,
            target.picture,
            transform=kind,
            seed=seed,
            limits=_limits(reference),
            cancelled=cancelled,
        )
        found = replace(found, matrix=to_xray @ found.matrix @ target.to_square)
    else:
        found = place_without_registration(xray.pixels)
    placed = _placed(xray, target, found, size)
    if not (warp and register):
        return placed
    return _warped(xray, placed, target, _limits(reference), seed, cancelled)


def _warped(
    xray: Radiograph,
    placed: PlacedView,
    reference: Reference,
    limits: Limits,
    seed: int,
    cancelled: Callable[[], bool] | None,
) -> PlacedView:
    """With a gentle warp, where it fits better."""
    assert placed.registration is not None
    found, size = placed.registration, placed.pixels.shape[0]
    fixed = reference.shown(WORKING_SIZE)
    before = resample_picture(xray.pixels, found.matrix, WORKING_SIZE)
    shift = find_warp(before[0], fixed, before[1], seed=seed, cancelled=cancelled)
    after = resample_picture(xray.pixels, found.matrix, WORKING_SIZE, shift)
    old, new = (assess(p, fixed, valid, limits=limits) for p, valid in (before, after))
    if new.score <= old.score:
        return placed
    quality = replace(new, warnings=(*xray.warnings, *new.warnings))
    factor = size / WORKING_SIZE
    fine = ndimage.zoom(shift, (1, factor, factor), order=1, grid_mode=True, mode="nearest")
    pixels, valid = resample_picture(xray.pixels, found.matrix, size, fine)
    return replace(
        placed,
        pixels=pixels,
        valid=valid,
        warp=fine,
        registration=replace(found, quality=quality),
    )


def place_with(
    xray: Radiograph,
    reference: CTVolume,
    frame: ThoraxFrame,
    matrix: np.ndarray,
    *,
    pose: Pose | None = None,
    size: int = 1024,
) -> PlacedView:
    """Bring an X-ray onto the canonical view image by a placement that is known; no search.

    Args:
        xray: the X-ray, right way up.
        reference: the patient's CT or the atlas, whose DRR it is compared with.
        frame: of the reference.
        matrix: (3, 3), canonical view in [0, 1]^2 (x to the viewer's right, y down) -> pixels
            (column, row) of ``xray.pixels``; what ``PlacedView.registration.matrix`` holds.
        pose: how the patient stood; None is the CT as it lies.
        size: side of the result. The quality is assessed at 256 pixels, so 256 is the quick way
            to a read-out.

    Raises:
        AxonInputError: the X-ray or the matrix cannot be used, or the frame does not meet the
            reference.
    """
    check_picture(xray.pixels, xray.source or "The X-ray")
    matrix = check_placement(matrix)
    side = REFERENCE_SIZE if size > WORKING_SIZE else WORKING_SIZE
    target = Reference.of_ct(reference, frame, xray.view, pose, side)
    fixed = shrink_to(target.picture, WORKING_SIZE, WORKING_SIZE)
    on_square = matrix @ np.linalg.inv(target.to_square)
    moved, valid = resample_picture(xray.pixels, on_square, WORKING_SIZE)
    quality = assess(moved, fixed, valid, limits=_limits(reference))
    return _placed(xray, target, PlanarRegistration(matrix, quality), size)


def _limits(reference: CTVolume) -> Limits:
    return OTHER_PATIENT if reference.source == "atlas" else SAME_PATIENT


def check_placement(matrix: np.ndarray) -> np.ndarray:
    """The (3, 3) placement as float64.

    Raises:
        AxonInputError: it is no affine map of the plane that keeps left and right.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise AxonInputError(
            f"The placement is not a 3 x 3 matrix of finite numbers (shape {matrix.shape}). Reset "
            "the registration."
        )
    if not np.allclose(matrix[2], (0, 0, 1)):
        raise AxonInputError(
            f"The placement's last row is {matrix[2].tolist()}; it is 0, 0, 1. Reset the "
            "registration."
        )
    area = np.linalg.det(matrix[:2, :2])
    if area < 0:
        raise AxonInputError(
            "The placement mirrors the X-ray: left and right would be exchanged. Reset the "
            "registration; if the picture itself is mirrored, correct the picture."
        )
    if area < 1:
        raise AxonInputError(
            "The placement shrinks the whole field of view to less than a pixel of the X-ray. "
            "Reset the registration."
        )
    return matrix
