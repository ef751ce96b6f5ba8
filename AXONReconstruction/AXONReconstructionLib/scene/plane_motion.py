"""Moving a flat picture in its own plane: shift, turn and size, as 4 x 4 matrices.

All points are RAS millimetres of the world. A placement ``T`` (4, 4) carries the X-ray's node to
the world; the start placement ``T0`` puts the picture, unturned and in its own size, into the
middle of the field. What the user sees as numbers is the motion between them, ``D = T T0^-1``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Field:
    """The computed radiograph's place: what turning and sizing are about.

    Attributes:
        centre: (3,) its middle.
        right, up: (3,) unit vectors, the viewer's right and the top of the picture.
    """

    centre: np.ndarray
    right: np.ndarray
    up: np.ndarray

    @property
    def basis(self) -> np.ndarray:
        """(3, 2) right and up as columns."""
        return np.stack([self.right, self.up], 1)


@dataclass(frozen=True)
class Figures:
    """A motion in numbers: millimetres, degrees (clockwise as seen), per cent."""

    across: float = 0.0
    up: float = 0.0
    turn: float = 0.0
    size: float = 100.0


def startPlacement(pictureCentre, field: Field) -> np.ndarray:
    """(4, 4) that shifts a picture, its middle at (3,) `pictureCentre`, to the field's middle."""
    placement = np.eye(4)
    placement[:3, 3] = field.centre - np.asarray(pictureCentre, float)
    return placement


def figuresOf(placement: np.ndarray, start: np.ndarray, field: Field) -> Figures:
    """What a placement is, seen from the start placement.

    Shift is where the start's middle went. Turn is the rotation of the polar decomposition and
    size the square root of the area's ratio, so that a stretch or a shear changes neither.
    """
    motion = placement @ np.linalg.inv(start)
    basis = field.basis
    across, up = basis.T @ (_apply(motion, field.centre) - field.centre)
    a = basis.T @ motion[:3, :3] @ basis
    turn = -np.degrees(np.arctan2(a[1, 0] - a[0, 1], a[0, 0] + a[1, 1]))
    size = 100.0 * np.sqrt(abs(np.linalg.det(a)))
    return Figures(float(across), float(up), float(turn), float(size))


def moved(
    placement: np.ndarray,
    field: Field,
    across: float = 0.0,
    up: float = 0.0,
    turn: float = 0.0,
    ratio: float = 1.0,
) -> np.ndarray:
    """A placement after a further motion: turned (degrees clockwise) and sized about the field's
    middle, then shifted (mm)."""
    angle = -np.radians(turn)
    a = ratio * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return _planar(a, np.array([across, up]), field) @ placement


def flattened(placement: np.ndarray, start: np.ndarray, field: Field) -> np.ndarray:
    """The placement without what leaves the plane: tilts, and shifts towards the viewer."""
    motion = placement @ np.linalg.inv(start)
    basis = field.basis
    shift = basis.T @ (_apply(motion, field.centre) - field.centre)
    return _planar(basis.T @ motion[:3, :3] @ basis, shift, field) @ start


def _planar(a: np.ndarray, shift: np.ndarray, field: Field) -> np.ndarray:
    """(2, 2) about the field's middle and (2,) shift as a (4, 4); the plane's normal stays."""
    basis = field.basis
    normal = np.cross(field.right, field.up)
    matrix = np.eye(4)
    matrix[:3, :3] = basis @ a @ basis.T + np.outer(normal, normal)
    matrix[:3, 3] = field.centre + basis @ shift - matrix[:3, :3] @ field.centre
    return matrix


def _apply(matrix: np.ndarray, point: np.ndarray) -> np.ndarray:
    return matrix[:3, :3] @ point + matrix[:3, 3]
