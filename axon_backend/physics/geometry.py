"""Acquisition geometry of a projection radiograph, in the field's terms.

World coordinates are LPS millimetres. The beam comes from a point source, passes the isocentre
(the centre of the thorax frame) and falls on a flat detector perpendicular to the central ray.
Images are described on the *isocentre plane*, the plane through the isocentre parallel to the
detector, where a pixel has the size of the anatomy it shows; the detector's own pixel is larger by
the magnification SID / SOD.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.view import OBLIQUE_DEG, View

DEFAULT_SID_MM = 1800.0
DEFAULT_SOD_MM = 1600.0
# A view image covers this many times the thorax box: the side of the chest nearer the tube is
# magnified and would otherwise be cropped.
FIELD_OF_VIEW = 1.1

# Unit vectors in LPS: direction of the central ray (source -> detector), of the image's columns
# (viewer's left to right) and of its rows (top to bottom).
_AXES = {
    View.pa: ((0, -1, 0), (1, 0, 0), (0, 0, -1)),
    View.ap: ((0, 1, 0), (1, 0, 0), (0, 0, -1)),
    View.lateral_left: ((1, 0, 0), (0, 1, 0), (0, 0, -1)),
    View.lateral_right: ((-1, 0, 0), (0, 1, 0), (0, 0, -1)),
}


def rotation_matrix(about_lr: float, about_ap: float, about_si: float) -> np.ndarray:
    """(3, 3) rotation ``R_SI R_AP R_LR``: by degrees about the LPS axes x, y, z in that order,
    right-handed."""
    ax, ay, az = (math.radians(a) for a in (about_lr, about_ap, about_si))
    rx = np.array([[1, 0, 0], [0, math.cos(ax), -math.sin(ax)], [0, math.sin(ax), math.cos(ax)]])
    ry = np.array([[math.cos(ay), 0, math.sin(ay)], [0, 1, 0], [-math.sin(ay), 0, math.cos(ay)]])
    rz = np.array([[math.cos(az), -math.sin(az), 0], [math.sin(az), math.cos(az), 0], [0, 0, 1]])
    return rz @ ry @ rx


@dataclass(frozen=True)
class AcquisitionGeometry:
    """Geometry of one exposure.

    Attributes:
        isocentre_mm: LPS point that projects to the centre of the image.
        ray, column, row: unit vectors (LPS) of the central ray and of the image's axes.
        extent_mm: width and height of the image on the isocentre plane.
        sid_mm: source to image (detector) distance.
        sod_mm: source to object (isocentre) distance.
    """

    isocentre_mm: tuple[float, float, float]
    ray: tuple[float, float, float]
    column: tuple[float, float, float]
    row: tuple[float, float, float]
    extent_mm: tuple[float, float]
    sid_mm: float = DEFAULT_SID_MM
    sod_mm: float = DEFAULT_SOD_MM

    def __post_init__(self) -> None:
        if not 0 < self.sod_mm <= self.sid_mm:
            raise ValueError(f"need 0 < SOD <= SID, got SOD {self.sod_mm} and SID {self.sid_mm}")

    @property
    def source_mm(self) -> np.ndarray:
        """LPS position of the focal spot."""
        return np.asarray(self.isocentre_mm) - self.sod_mm * np.asarray(self.ray)

    @property
    def magnification(self) -> float:
        """SID / SOD: the length on the detector of a unit length at the isocentre."""
        return self.sid_mm / self.sod_mm

    @property
    def detector_mm(self) -> tuple[float, float]:
        """Width and height of the detector that the image fills."""
        width, height = self.extent_mm
        return width * self.magnification, height * self.magnification

    def imager_pixel_mm(self, height: int, width: int) -> tuple[float, float]:
        """(row, column) size of a pixel on the detector, DICOM's ImagerPixelSpacing."""
        return self.detector_mm[1] / height, self.detector_mm[0] / width

    def on_detector(self, width_mm: float, height_mm: float) -> AcquisitionGeometry:
        """The same exposure on a detector of another size, centred on the central ray."""
        m = self.magnification
        return replace(self, extent_mm=(width_mm / m, height_mm / m))

    @classmethod
    def of_frame(
        cls,
        frame: ThoraxFrame,
        view: View,
        *,
        sid_mm: float = DEFAULT_SID_MM,
        sod_mm: float = DEFAULT_SOD_MM,
        field_of_view: float = FIELD_OF_VIEW,
    ) -> AcquisitionGeometry:
        """The canonical exposure of a thorax frame (see the conventions of the module)."""
        ray, column, row = _AXES[View(view)]
        width = frame.size_mm[0] if View(view).is_frontal else frame.size_mm[1]
        extent = (field_of_view * width, field_of_view * frame.size_mm[2])
        return cls(frame.center_mm, ray, column, row, extent, sid_mm, sod_mm)

    def rotated(
        self, about_lr: float = 0.0, about_ap: float = 0.0, about_si: float = 0.0
    ) -> AcquisitionGeometry:
        """The same exposure with source and detector rotated about the isocentre.

        Angles in degrees about the patient's left-right, antero-posterior and superior-inferior
        axes (LPS x, y, z), applied in that order.
        """
        turn = np.eye(4)
        turn[:3, :3] = rotation_matrix(about_lr, about_ap, about_si)
        isocentre = np.asarray(self.isocentre_mm)
        turn[:3, 3] = isocentre - turn[:3, :3] @ isocentre
        return self.moved(turn)

    def moved(self, matrix: np.ndarray) -> AcquisitionGeometry:
        """The same exposure with source and detector moved rigidly.

        Args:
            matrix: (4, 4) rigid motion in LPS millimetres, applied to source, isocentre and
                detector.

        An X-ray depends only on the position of patient and tube relative to each other: with
        ``P`` the motion of the CT, ``geometry.moved(inv(P))`` shows the unmoved CT as ``geometry``
        shows the moved one.

        Raises:
            ValueError: ``matrix`` is not a rigid motion (it scales, shears or mirrors).
        """
        matrix = np.asarray(matrix, dtype=np.float64)
        turn = matrix[:3, :3]
        rigid = (
            matrix.shape == (4, 4)
            and np.allclose(turn @ turn.T, np.eye(3), atol=1e-6)
            and np.linalg.det(turn) > 0
            and np.allclose(matrix[3], (0, 0, 0, 1))
        )
        if not rigid:
            raise ValueError(f"the motion of source and detector must be rigid, got {matrix}")
        ray, column, row = (tuple(turn @ np.asarray(v)) for v in (self.ray, self.column, self.row))
        isocentre = turn @ np.asarray(self.isocentre_mm) + matrix[:3, 3]
        return replace(self, isocentre_mm=tuple(isocentre), ray=ray, column=column, row=row)

    def pixel_centres(self, height: int, width: int) -> np.ndarray:
        """LPS positions (height, width, 3) of the pixel centres on the isocentre plane."""
        u = ((np.arange(width) + 0.5) / width - 0.5) * self.extent_mm[0]
        v = ((np.arange(height) + 0.5) / height - 0.5) * self.extent_mm[1]
        return (
            np.asarray(self.isocentre_mm)
            + v[:, None, None] * np.asarray(self.row)
            + u[None, :, None] * np.asarray(self.column)
        )

    def project(self, points_mm: np.ndarray) -> np.ndarray:
        """Image coordinates in [0, 1] (..., 2 = column, row) of LPS points (..., 3)."""
        rel = np.asarray(points_mm) - self.source_mm
        depth = rel @ np.asarray(self.ray)
        scale = self.sod_mm / depth
        u = (rel @ np.asarray(self.column)) * scale / self.extent_mm[0] + 0.5
        v = (rel @ np.asarray(self.row)) * scale / self.extent_mm[1] + 0.5
        return np.stack([u, v], -1)


def beam_parameter(frame_depth_mm: float, sod_mm: float, view: View) -> float:
    """Half the frame's depth over the SOD, signed: magnification at depth w in [-1, 1] along the
    array axis (y for frontal, x for lateral) is ``1 / (1 - beam * w)``.

    Positive when the source is on the side the axis points to (PA: posterior; RL: left).
    """
    sign = 1.0 if View(view) in (View.pa, View.lateral_right) else -1.0
    return sign * 0.5 * frame_depth_mm / sod_mm


def view_position(geometry: AcquisitionGeometry) -> str:
    """DICOM's ViewPosition: PA, AP, LL, RL; RAO, LAO, RPO, LPO (the side nearest the detector) when
    the beam is more than 20 degrees away from these; OBLIQUE when it is angled that far cranially
    or caudally."""
    base = {
        View.pa: (0, -1),
        View.ap: (0, 1),
        View.lateral_left: (1, 0),
        View.lateral_right: (-1, 0),
    }
    across, along = geometry.ray[0], geometry.ray[1]
    if abs(geometry.ray[2]) > np.sin(np.radians(OBLIQUE_DEG)):
        return "OBLIQUE"
    length = float(np.hypot(across, along))
    for one, (x, y) in base.items():
        if (across * x + along * y) / length >= np.cos(np.radians(OBLIQUE_DEG)):
            return one.value.upper()
    return ("L" if across > 0 else "R") + ("P" if along > 0 else "A") + "O"
