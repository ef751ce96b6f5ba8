"""From an X-ray as read to the canonical view image that the networks take."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.matching import shrink_to
from axon_backend.imaging.radiograph import Radiograph
from axon_backend.imaging.view import View
from axon_backend.physics.geometry import FIELD_OF_VIEW
from axon_backend.physics.pose import Pose
from axon_backend.registration.bspline import find_warp
from axon_backend.registration.planar import (
    WORKING_SIZE,
    PlanarRegistration,
    check_image,
    register_planar,
    whole_image_placement,
)
from axon_backend.registration.quality import assess
from axon_backend.registration.reference import Reference
from axon_backend.registration.resample import resample_image
from axon_backend.registration.thresholds import OTHER_PATIENT, SAME_PATIENT, Limits

# Side of the DRR that an X-ray is registered to; the search works at 256 pixels and less.
REFERENCE_SIZE = 512


@dataclass(frozen=True)
class PlacedView:
    """A registered view.

    Attributes:
        pixels: (S, S) float32 log-linear, on the canonical grid (rows Superior to Inferior,
            columns Right to Left or Anterior to Posterior, 1.1 x the frame).
        valid: (S, S) bool, False outside the X-ray, and under marks that hide it.
        view: the projection.
        reference: (S, S) DRR it was registered to, on the same grid; None for a DRR input.
        registration: the placement, its matrix from the canonical view in [0, 1]^2, and its
            quality; None for a DRR input.
        size_mm: (width, height) of the thorax frame that the X-ray's pixel size implies, or None.
        warp: (2, S, S) displacement to the right and down as a fraction of the field, on top of
            the matrix; None: no deformation.
    """

    pixels: np.ndarray
    valid: np.ndarray
    view: View
    reference: np.ndarray | None = None
    registration: PlanarRegistration | None = None
    size_mm: tuple[float, float] | None = None
    warp: np.ndarray | None = None

    @classmethod
    def from_drr(cls, image: np.ndarray, view: View) -> PlacedView:
        """A DRR rendered on the canonical grid needs no registration."""
        return cls(image, np.ones(image.shape, bool), view)

    @property
    def covered(self) -> np.ndarray:
        """(S, S) bool, True inside the X-ray. Unlike ``valid``, it includes marks, whose pixels
        are filled from their surroundings: the networks were trained with missing pixels only at
        the edge of the field."""
        found: np.ndarray = ndimage.binary_fill_holes(self.valid)
        return found

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings for the user about the registration, in plain words."""
        return () if self.registration is None else self.registration.quality.warnings

    def as_dict(self, role: str) -> dict:
        """The entry of ``result.json``."""
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
    # The assumptions about the image matter when the registration is checked.
    found = replace(found, quality=replace(quality, warnings=(*xray.warnings, *quality.warnings)))
    pixels, valid = resample_image(xray.pixels, matrix, size, valid=xray.valid)
    size_mm = None
    if xray.pixel_mm is not None:
        columns = np.hypot(matrix[0, 0] * xray.pixel_mm[1], matrix[1, 0] * xray.pixel_mm[0])
        rows = np.hypot(matrix[0, 1] * xray.pixel_mm[1], matrix[1, 1] * xray.pixel_mm[0])
        size_mm = (float(columns / FIELD_OF_VIEW), float(rows / FIELD_OF_VIEW))
    return PlacedView(pixels, valid, xray.view, reference.shown(size), found, size_mm)


def _square_pixels(xray: Radiograph) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """The X-ray and its mask resampled to square pixels, since a similarity has only one scale,
    and the (3, 3) map from these pixels (column, row) to those of the X-ray."""
    if xray.pixel_mm is None or abs(xray.pixel_mm[0] / xray.pixel_mm[1] - 1) < 0.005:
        return xray.pixels, xray.valid, np.eye(3)
    shape = [
        round(n * mm / min(xray.pixel_mm))
        for n, mm in zip(xray.pixels.shape, xray.pixel_mm, strict=True)
    ]
    (h, w), (rows, columns) = xray.pixels.shape, shape
    factors = (rows / h, columns / w)
    image = ndimage.zoom(xray.pixels, factors, order=1, grid_mode=True, mode="nearest")
    valid = None
    if xray.valid is not None:
        weight = xray.valid.astype(np.float32)
        valid = ndimage.zoom(weight, factors, order=1, grid_mode=True, mode="nearest") > 0.99
    sx, sy = w / columns, h / rows
    return image, valid, np.array([[sx, 0, 0.5 * sx - 0.5], [0, sy, 0.5 * sy - 0.5], [0, 0, 1]])


def place_by_search(
    xray: Radiograph,
    reference: CTVolume,
    frame: ThoraxFrame,
    *,
    size: int = 1024,
    search: bool = True,
    affine: bool = False,
    seed: int = 0,
    pose: Pose | None = None,
    warp: bool = False,
    cancelled: Callable[[], bool] | None = None,
) -> PlacedView:
    """Register an X-ray to the canonical view image of a frame by a search.

    Args:
        xray: the X-ray, right way up.
        reference: the patient's CT or the atlas, whose DRR is the target.
        frame: the reference's thorax frame.
        size: side of the result.
        search: False assumes that the image covers exactly the field of view.
        affine: let width and height scale differently; for the atlas, whose proportions are not
            the patient's.
        seed: seed of the deformation's sampling.
        pose: the patient's pose, in which the DRR is rendered. None is the pose of the CT.
        warp: also deform the X-ray slightly onto the reference (B-spline), if that fits better.
        cancelled: checked before every step of the search.

    Raises:
        AxonInputError: the X-ray is blank, too small or not finite, or the frame does not overlap
            the reference.
        Cancelled: ``cancelled()`` was true.
    """
    check_image(xray.pixels, xray.source or "The X-ray")
    target = Reference.from_ct(reference, frame, xray.view, pose, REFERENCE_SIZE)
    if search:
        kind = "affine" if affine else "similarity"
        image, valid, to_xray = _square_pixels(xray)
        found = register_planar(
            image,
            target.image,
            transform=kind,
            limits=_limits(reference),
            valid=valid,
            cancelled=cancelled,
        )
        found = replace(found, matrix=to_xray @ found.matrix @ target.to_square)
    else:
        found = whole_image_placement(xray.pixels)
    placed = _placed(xray, target, found, size)
    if not (warp and search):
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
    """Deform the view mildly if that fits better, else return it unchanged."""
    assert placed.registration is not None
    found, size = placed.registration, placed.pixels.shape[0]
    fixed = reference.shown(WORKING_SIZE)
    before = resample_image(xray.pixels, found.matrix, WORKING_SIZE, valid=xray.valid)
    shift = find_warp(before[0], fixed, before[1], seed=seed, cancelled=cancelled)
    after = resample_image(xray.pixels, found.matrix, WORKING_SIZE, shift, xray.valid)
    old, new = (assess(p, fixed, valid, limits=limits) for p, valid in (before, after))
    if new.score <= old.score:
        return placed
    quality = replace(new, warnings=(*xray.warnings, *new.warnings))
    factor = size / WORKING_SIZE
    fine = ndimage.zoom(shift, (1, factor, factor), order=1, grid_mode=True, mode="nearest")
    pixels, valid = resample_image(xray.pixels, found.matrix, size, fine, xray.valid)
    return replace(
        placed,
        pixels=pixels,
        valid=valid,
        warp=fine,
        registration=replace(found, quality=quality),
    )


def place_by_matrix(
    xray: Radiograph,
    reference: CTVolume,
    frame: ThoraxFrame,
    matrix: np.ndarray,
    *,
    pose: Pose | None = None,
    size: int = 1024,
) -> PlacedView:
    """Register an X-ray to the canonical view image by a known placement, without a search.

    Args:
        xray: the X-ray, right way up.
        reference: the patient's CT or the atlas, whose DRR it is compared with.
        frame: the reference's thorax frame.
        matrix: (3, 3), canonical view in [0, 1]^2 (x to the viewer's right, y down) -> pixels
            (column, row) of ``xray.pixels``, like ``PlacedView.registration.matrix``.
        pose: the patient's pose; None is the pose of the CT.
        size: side of the result. The quality is assessed at 256 pixels, so 256 is enough if only
            the scores are needed.

    Raises:
        AxonInputError: the X-ray or the matrix cannot be used, or the frame does not overlap the
            reference.
    """
    check_image(xray.pixels, xray.source or "The X-ray")
    matrix = check_placement(matrix)
    side = REFERENCE_SIZE if size > WORKING_SIZE else WORKING_SIZE
    target = Reference.from_ct(reference, frame, xray.view, pose, side)
    fixed = shrink_to(target.image, WORKING_SIZE, WORKING_SIZE)
    on_square = matrix @ np.linalg.inv(target.to_square)
    moved, valid = resample_image(xray.pixels, on_square, WORKING_SIZE, valid=xray.valid)
    quality = assess(moved, fixed, valid, limits=_limits(reference))
    return _placed(xray, target, PlanarRegistration(matrix, quality), size)


def _limits(reference: CTVolume) -> Limits:
    return OTHER_PATIENT if reference.is_atlas else SAME_PATIENT


def check_role(role: str, xrays: Collection[str]) -> None:
    """Raise AxonInputError for a placement (or landmarks) of an X-ray that is not in the case."""
    if role not in xrays:
        raise AxonInputError(
            f"A placement was given for the {role} X-ray, but the X-rays of this case are: "
            f"{', '.join(xrays) or 'none'}. Leave the placement out or give that X-ray."
        )


def check_placement(matrix: np.ndarray) -> np.ndarray:
    """Check a (3, 3) placement and return it as float64.

    Raises:
        AxonInputError: the matrix is not an affine map of the plane, mirrors the image, or maps
            the field to less than a pixel.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise AxonInputError(
            f"The placement is not a 3 x 3 matrix of finite numbers (shape {matrix.shape}). Reset "
            "the registration."
        )
    if not np.allclose(matrix[2], (0, 0, 1)):
        raise AxonInputError(
            f"The placement's last row is {matrix[2].tolist()}; it must be 0, 0, 1. Reset the "
            "registration."
        )
    area = np.linalg.det(matrix[:2, :2])
    if area < 0:
        raise AxonInputError(
            "The placement mirrors the X-ray: left and right would be exchanged. Reset the "
            "registration; if the X-ray itself is mirrored, correct it."
        )
    if area < 1:
        raise AxonInputError(
            "The placement maps the whole field of view to less than one pixel of the X-ray. "
            "Reset the registration."
        )
    return matrix
