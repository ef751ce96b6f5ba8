"""Geometry of the single-slice volumes of the scene (X-rays, DRRs), in RAS millimetres."""

from __future__ import annotations

import numpy as np
import slicer

from AXONReconstructionLib.scene.plane_motion import Field
from AXONReconstructionLib.scene.volumes import ijkToWorld


def sizeOf(node) -> tuple[int, int]:
    """(columns, rows)."""
    return node.GetImageData().GetDimensions()[:2]


def localCentre(node) -> np.ndarray:
    """(3,) centre of an image, without its transforms."""
    columns, rows = sizeOf(node)
    middle = [(columns - 1) / 2, (rows - 1) / 2, 0.0, 1.0]
    return (ijkToWorld(node, withTransform=False) @ middle)[:3]


def fieldOf(drr) -> Field:
    """The field of a DRR."""
    matrix = ijkToWorld(drr)
    columns, rows = sizeOf(drr)
    centre = (matrix @ [(columns - 1) / 2, (rows - 1) / 2, 0.0, 1.0])[:3]
    right, down = (matrix[:3, i] / np.linalg.norm(matrix[:3, i]) for i in (0, 1))
    return Field(centre, right, -down)


def imageFromField(xray, drr) -> np.ndarray:
    """(3, 3): the field in [0, 1]^2 (x to the viewer's right, y down) to the X-ray's (column, row)
    at its current placement, which is projected onto the field if it lies outside its plane."""
    columns, rows = sizeOf(drr)
    unit = np.array([[columns, 0, -0.5], [0, rows, -0.5], [0, 0, 0], [0, 0, 1.0]])
    toField = np.linalg.inv(ijkToWorld(drr)) @ ijkToWorld(xray)
    flat = np.array([toField[0, [0, 1, 3]], toField[1, [0, 1, 3]], [0, 0, 1]])
    return np.linalg.inv(flat) @ unit[[0, 1, 3]]


def setMatrix(transform, matrix: np.ndarray) -> None:
    """Set the (4, 4) transform-to-world matrix of a linear transform node."""
    slicer.util.updateTransformMatrixFromArray(transform, np.asarray(matrix, float), toWorld=True)


def matrixOfTransform(transform) -> np.ndarray:
    """(4, 4) transform-to-world matrix of a linear transform node."""
    return slicer.util.arrayFromTransformMatrix(transform, toWorld=True)
