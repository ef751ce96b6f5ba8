"""In-plane motion of a 2-D image: translation, rotation and scale as 4 x 4 matrices.

All points are RAS millimetres in world coordinates. A placement ``T`` (4, 4) maps the X-ray's node
to the world; the initial placement ``T0`` centres the image on the field, unrotated and unscaled.
The sliders show the motion between them, ``D = T T0^-1``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Field:
    """Position of the DRR: rotation and scale are about its centre.

    Attributes:
        centre: (3,).
        right, up: (3,) unit vectors towards the viewer's right and the top of the image.
    """

    centre: np.ndarray
    right: np.ndarray
    up: np.ndarray

    @property
    def basis(self) -> np.ndarray:
        """(3, 2) right and up as columns."""
        return np.stack([self.right, self.up], 1)


@dataclass(frozen=True)
class PlanarMotion:
    """Parameters of a motion, as shown by the sliders.

    Attributes:
        horizontal, vertical: translation to the viewer's right and upwards, in millimetres.
        rotation: degrees, clockwise as seen by the viewer.
        scale: per cent.
    """

    horizontal: float = 0.0
    vertical: float = 0.0
    rotation: float = 0.0
    scale: float = 100.0


def startPlacement(imageCentre: ArrayLike, field: Field) -> np.ndarray:
    """(4, 4) translation of an image with centre (3,) `imageCentre` to the centre of the field."""
    placement = np.eye(4)
    placement[:3, 3] = field.centre - np.asarray(imageCentre, float)
    return placement


def motionOf(placement: np.ndarray, start: np.ndarray, field: Field) -> PlanarMotion:
    """The motion from the initial placement to a placement.

    The translation is that of the initial centre. The rotation is that of the polar decomposition
    and the scale the square root of the area ratio, so that stretch and shear affect neither.
    """
    motion = placement @ np.linalg.inv(start)
    basis = field.basis
    horizontal, vertical = basis.T @ (_apply(motion, field.centre) - field.centre)
    a = basis.T @ motion[:3, :3] @ basis
    rotation = -np.degrees(np.arctan2(a[1, 0] - a[0, 1], a[0, 0] + a[1, 1]))
    scale = 100.0 * np.sqrt(abs(np.linalg.det(a)))
    return PlanarMotion(float(horizontal), float(vertical), float(rotation), float(scale))


def moved(
    placement: np.ndarray,
    field: Field,
    horizontal: float = 0.0,
    vertical: float = 0.0,
    rotation: float = 0.0,
    factor: float = 1.0,
) -> np.ndarray:
    """A placement after a further motion: rotated (degrees clockwise) and scaled by a factor about
    the centre of the field, then translated (mm)."""
    angle = -np.radians(rotation)
    a = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return _planar(a, np.array([horizontal, vertical]), field) @ placement


def flattened(placement: np.ndarray, start: np.ndarray, field: Field) -> np.ndarray:
    """The placement without out-of-plane motion: tilt, and translation towards the viewer."""
    motion = placement @ np.linalg.inv(start)
    basis = field.basis
    shift = basis.T @ (_apply(motion, field.centre) - field.centre)
    return _planar(basis.T @ motion[:3, :3] @ basis, shift, field) @ start


def _planar(a: np.ndarray, shift: np.ndarray, field: Field) -> np.ndarray:
    """(4, 4) of a (2, 2) matrix about the centre of the field and a (2,) shift in its plane."""
    basis = field.basis
    normal = np.cross(field.right, field.up)
    matrix = np.eye(4)
    matrix[:3, :3] = basis @ a @ basis.T + np.outer(normal, normal)
    matrix[:3, 3] = field.centre + basis @ shift - matrix[:3, :3] @ field.centre
    return matrix


def _apply(matrix: np.ndarray, point: np.ndarray) -> np.ndarray:
    return matrix[:3, :3] @ point + matrix[:3, 3]
