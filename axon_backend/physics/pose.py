"""The patient's pose in the beam: six degrees of freedom and the source-to-image distance.

A pose maps a point of the CT to its position in the canonical beam frame, in which source and
detector are fixed (``AcquisitionGeometry.of_frame``). Both are LPS millimetres. With ``c`` the
thorax frame's centre, ``x' = R (x - c) + c + t`` and ``R = R_SI R_AP R_LR``. Angles follow the
right-hand rule about the LPS axes, which means

===================== ============================== =====================================
positive              the patient                    the image
===================== ============================== =====================================
LR rotation (about x) bows: the head tips forwards   lateral: the top turns to the viewer's left
AP rotation (about y) leans: the head tips to the    frontal: the top turns to the viewer's right
                      patient's left                 (clockwise)
SI rotation (about z) turns the front of the body    frontal: what lies in front (sternum, heart)
                      to the patient's left          moves to the viewer's right
x translation         moves to the patient's left    frontal: moves to the viewer's right
y translation         moves backwards                lateral: moves to the viewer's right
z translation         moves up                       both: moves up
===================== ============================== =====================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from axon_backend.errors import AxonInputError
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.view import View
from axon_backend.physics.geometry import (
    DEFAULT_SID_MM,
    DEFAULT_SOD_MM,
    AcquisitionGeometry,
    rotation_matrix,
)

# From the centre of the chest to the detector, whatever the SID.
BEHIND_PATIENT_MM = DEFAULT_SID_MM - DEFAULT_SOD_MM
# The focal spot must be well outside the body.
LEAST_SID_MM = 600.0
# Chest radiographs are not taken from further away; a larger number is a wrong unit.
MOST_SID_MM = 10000.0

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Pose:
    """Position of the patient and distance of the tube.

    Attributes:
        rotation_deg: about the left-right, antero-posterior and superior-inferior axes (LPS x, y,
            z) through the frame's centre, applied in that order; degrees.
        translation_mm: LPS x, y, z, after the rotation.
        sid_mm: source to image distance; the SOD is 200 mm less.

    Raises:
        AxonInputError: a number is not finite, or the SID is out of range.
    """

    rotation_deg: Triple = (0.0, 0.0, 0.0)
    translation_mm: Triple = (0.0, 0.0, 0.0)
    sid_mm: float = DEFAULT_SID_MM

    def __post_init__(self) -> None:
        for name in ("rotation_deg", "translation_mm"):
            values = tuple(float(v) for v in getattr(self, name))
            if len(values) != 3 or not all(map(math.isfinite, values)):
                raise AxonInputError(
                    f"The pose's {name} is {values}; it must be three finite numbers. "
                    "Reset the pose."
                )
            object.__setattr__(self, name, values)
        object.__setattr__(self, "sid_mm", float(self.sid_mm))
        if not LEAST_SID_MM <= self.sid_mm <= MOST_SID_MM:
            raise AxonInputError(
                f"The source-to-image distance (SID) is {self.sid_mm:g} mm; it must be between "
                f"{LEAST_SID_MM:g} and {MOST_SID_MM:g} mm, usually {DEFAULT_SID_MM:g} mm."
            )

    def matrix(self, centre_mm: Triple | np.ndarray) -> np.ndarray:
        """(4, 4) float64: a CT point (x, y, z, 1) to the canonical beam frame, LPS mm.

        ``centre_mm`` is the centre of rotation, normally that of the thorax frame.
        """
        centre = np.asarray(centre_mm, dtype=np.float64)
        matrix = np.eye(4)
        matrix[:3, :3] = rotation_matrix(*self.rotation_deg)
        matrix[:3, 3] = centre + self.translation_mm - matrix[:3, :3] @ centre
        return matrix

    def geometry(self, frame: ThoraxFrame, view: View) -> AcquisitionGeometry:
        """The exposure that shows the unmoved CT as the canonical one shows the moved CT."""
        canonical = AcquisitionGeometry.of_frame(
            frame, view, sid_mm=self.sid_mm, sod_mm=self.sid_mm - BEHIND_PATIENT_MM
        )
        if not self.moves_patient:
            return canonical
        return canonical.moved(np.linalg.inv(self.matrix(frame.center_mm)))

    @property
    def moves_patient(self) -> bool:
        """Whether any rotation or translation is not zero."""
        return any(self.rotation_deg) or any(self.translation_mm)

    @property
    def is_identity(self) -> bool:
        """Whether this is the canonical pose at the canonical distance."""
        return not self.moves_patient and self.sid_mm == DEFAULT_SID_MM

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the attributes by name, tuples as lists."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Pose:
        """From :meth:`as_dict`; missing entries take their defaults.

        Raises:
            AxonInputError: a name is unknown or a value is not a number.
        """
        known = {f.name for f in fields(cls)}
        try:
            unknown = sorted(set(values) - known)
            if unknown:
                raise AxonInputError(
                    f"The pose has no {', '.join(unknown)}; it has {', '.join(sorted(known))}."
                )
            given: dict[str, Any] = {
                k: float(v) if k == "sid_mm" else tuple(v) for k, v in values.items()
            }
            return cls(**given)
        except AxonInputError:
            raise
        except (TypeError, ValueError) as error:
            raise AxonInputError(
                f"The pose {values!r} cannot be read ({error}); it must hold three angles, three "
                "translations and a distance. Reset the pose."
            ) from None
