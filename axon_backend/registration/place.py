"""From an X-ray as it was read to the canonical view image that the networks see."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.radiograph import Radiograph
from axon_backend.imaging.view import View
from axon_backend.physics.attenuation import hu_to_mu
from axon_backend.physics.drr import render
from axon_backend.physics.geometry import FIELD_OF_VIEW, AcquisitionGeometry
from axon_backend.registration.planar import (
    PlanarRegistration,
    check_picture,
    place_without_registration,
    register_planar,
)
from axon_backend.registration.resample import resample_picture

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
    """

    pixels: np.ndarray
    valid: np.ndarray
    view: View
    reference: np.ndarray | None = None
    registration: PlanarRegistration | None = None
    size_mm: tuple[float, float] | None = None

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
            "mutual_information": q.mutual_information,
            "matrix": r.matrix.tolist(),
            "warnings": list(q.warnings),
        }


def place_view(
    xray: Radiograph,
    reference: CTVolume,
    frame: ThoraxFrame,
    *,
    size: int = 1024,
    register: bool = True,
    stretch: bool = False,
    seed: int = 0,
) -> PlacedView:
    """Bring an X-ray onto the canonical view image of a frame.

    The search runs on a square field with square pixels (a similarity must not be distorted by
    the frame's proportions); its result is carried over to the canonical grid.

    Args:
        xray: the X-ray, right way up.
        reference: the patient's CT or the atlas, whose DRR is the target.
        frame: of the reference.
        size: side of the result.
        register: search; False takes the picture as covering the field of view.
        stretch: allow width and height to scale differently (affine); for the atlas, whose
            proportions are not the patient's.
        seed: of the metric's sampling.

    Raises:
        AxonInputError: the X-ray is blank, too small or not finite, or the frame does not meet
            the reference.
    """
    canonical = AcquisitionGeometry.of_frame(frame, xray.view)
    width, height = canonical.extent_mm
    side = max(width, height)
    square = AcquisitionGeometry(
        canonical.isocentre_mm, canonical.ray, canonical.column, canonical.row, (side, side)
    )
    with torch.inference_mode():
        mu = hu_to_mu(torch.as_tensor(np.asarray(reference.hu, np.float32)))
        drr = render(mu, reference.origin_mm, reference.spacing_mm, [square], REFERENCE_SIZE)
    target = drr[0].numpy()
    check_picture(xray.pixels, xray.source or "The X-ray")
    check_picture(target, "The reference's DRR (does the frame lie in the CT?)")
    # Canonical [0, 1]^2 -> the square field's [0, 1]^2 -> the DRR's pixels.
    sx, sy = width / side, height / side
    to_square = np.array([[sx, 0, 0.5 - 0.5 * sx], [0, sy, 0.5 - 0.5 * sy], [0, 0, 1]])
    to_pixels = place_without_registration(target).matrix
    shown, _ = resample_picture(target, to_pixels @ to_square, size)
    if register:
        kind = "affine" if stretch else "similarity"
        found = register_planar(xray.pixels, target, transform=kind, seed=seed)
        found = replace(found, matrix=found.matrix @ to_square)
    else:
        found = place_without_registration(xray.pixels)
    matrix = found.matrix
    pixels, valid = resample_picture(xray.pixels, matrix, size)
    size_mm = None
    if xray.pixel_mm is not None:
        columns = np.hypot(matrix[0, 0] * xray.pixel_mm[1], matrix[1, 0] * xray.pixel_mm[0])
        rows = np.hypot(matrix[0, 1] * xray.pixel_mm[1], matrix[1, 1] * xray.pixel_mm[0])
        size_mm = (float(columns / FIELD_OF_VIEW), float(rows / FIELD_OF_VIEW))
    return PlacedView(pixels, valid, xray.view, shown, found, size_mm)
