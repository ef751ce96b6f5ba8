"""Checks and converts the options of ``axon drr``: exposure, geometry, size, contrast medium."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from axon_backend.errors import AxonInputError

if TYPE_CHECKING:
    from axon_backend.imaging.ct import CTVolume
    from axon_backend.imaging.frame import ThoraxFrame
    from axon_backend.imaging.view import View
    from axon_backend.physics.exposure import XraySettings
    from axon_backend.physics.geometry import AcquisitionGeometry

# Options of the poly-energetic simulation only, by their name in the namespace.
POLY = (
    "kvp",
    "filtration",
    "anode_angle",
    "anode_side",
    "flat_field",
    "grid",
    "air_gap",
    "scatter",
    "exposure_index",
    "mas",
    "noise",
    "focal_spot",
    "collimation",
    "metal",
    "iodine",
)
ANGLES_DEG, DETECTOR_MM = (-360.0, 360.0), (50.0, 2000.0)


def check_numbers(chosen: argparse.Namespace) -> None:
    """Check the options that can be checked before the CT is read.

    Raises:
        AxonInputError: an option is not a valid number.
    """
    numbers("--angle", chosen.angle, (1, 3), ANGLES_DEG)
    numbers("--detector", chosen.detector, (1, 2), DETECTOR_MM)
    if not all(math.isfinite(mm) for mm in (chosen.sid or 0.0, chosen.sod or 0.0)):
        raise AxonInputError("--sid and --sod must be distances in mm, usually 1800 and 1600.")


def settings_of(chosen: argparse.Namespace) -> XraySettings | None:
    """The exposure settings; None for a mono-energetic DRR."""
    given = [name for name in POLY if getattr(chosen, name) is not None]
    if chosen.physics == "mono":
        if given:
            names = ", ".join("--" + name.replace("_", "-") for name in given)
            raise AxonInputError(
                f"{names} requires --physics poly; a mono-energetic DRR does not use it."
            )
        return None
    from axon_backend.physics.detector import Detector
    from axon_backend.physics.exposure import XraySettings
    from axon_backend.physics.grid import Grid
    from axon_backend.physics.spectrum import Tube

    def some(**values: Any) -> dict[str, Any]:
        return {name: value for name, value in values.items() if value is not None}

    if chosen.mas is not None and chosen.exposure_index is not None:
        raise AxonInputError(
            "--mas and --exposure-index both determine the exposure; give one of them."
        )
    filtration = numbers("--filtration", chosen.filtration, (1, 2))
    collimation = numbers("--collimation", chosen.collimation, (1, 2))
    if chosen.focal_spot is not None and not 0 <= chosen.focal_spot <= 5:
        raise AxonInputError(
            f"--focal-spot is {chosen.focal_spot:g} mm; it must be between 0 and 5."
        )
    return XraySettings(
        tube=Tube(
            **some(
                kvp=chosen.kvp,
                al_mm=filtration[0] if filtration else None,
                cu_mm=filtration[1] if len(filtration) > 1 else None,
                anode_deg=chosen.anode_angle,
            )
        ),
        grid=Grid(**some(ratio=chosen.grid)),
        detector=Detector(**some(focal_spot_mm=chosen.focal_spot)),
        noise=chosen.noise or "poisson",
        collimation_mm=(collimation[0], collimation[-1]) if collimation else None,
        **some(
            anode_side=chosen.anode_side,
            flat_field=chosen.flat_field,
            gap_mm=chosen.air_gap,
            scatter=chosen.scatter,
            exposure_index=chosen.exposure_index,
            mas=chosen.mas,
        ),
    )


def geometry_of(
    chosen: argparse.Namespace, ct: CTVolume, frame: ThoraxFrame, view: View
) -> AcquisitionGeometry:
    """The positions of tube and detector, both outside the patient.

    Raises:
        AxonInputError: a distance is out of range, or tube or detector are within the patient.
    """
    from axon_backend.physics.geometry import DEFAULT_SID_MM, AcquisitionGeometry
    from axon_backend.physics.pose import BEHIND_PATIENT_MM

    sid = DEFAULT_SID_MM if chosen.sid is None else chosen.sid
    sod = sid - BEHIND_PATIENT_MM if chosen.sod is None else chosen.sod
    # The tube must be outside the body, and the detector behind it.
    if not (300 <= sod <= sid <= 10000):
        raise AxonInputError(
            f"The SID is {sid:g} mm and the SOD {sod:g} mm; they must satisfy 300 <= SOD <= SID <= "
            "10000, usually 1600 and 1800."
        )
    geometry = AcquisitionGeometry.of_frame(frame, view, sid_mm=sid, sod_mm=sod)
    detector = numbers("--detector", chosen.detector, (1, 2), DETECTOR_MM)
    if detector:
        geometry = geometry.on_detector(detector[0], detector[-1])
    angles = numbers("--angle", chosen.angle, (1, 3), ANGLES_DEG)
    if angles:
        si, lr, ap = (*angles, 0.0, 0.0)[:3]
        geometry = geometry.rotated(about_lr=lr, about_ap=ap, about_si=si)
    _check_outside(geometry, ct, frame)
    return geometry


def _check_outside(geometry: AcquisitionGeometry, ct: CTVolume, frame: ThoraxFrame) -> None:
    """The renderer's rays start outside the CT and extend to infinity: a tube or a detector within
    the patient would silently be ignored."""
    from axon_backend.physics.pose import BEHIND_PATIENT_MM

    low = np.asarray(ct.origin_mm) - 0.5 * np.asarray(ct.spacing_mm)
    if ((low <= geometry.source_mm) & (geometry.source_mm <= low + ct.size_mm)).all():
        raise AxonInputError(
            f"With an SOD of {geometry.sod_mm:g} mm the tube would be inside the CT; choose a "
            "larger --sod, usually 1600."
        )
    depth = 0.5 * float(np.abs(geometry.ray) @ np.asarray(frame.size_mm))
    behind = geometry.sid_mm - geometry.sod_mm
    if behind < min(depth, BEHIND_PATIENT_MM):
        raise AxonInputError(
            f"With an SID of {geometry.sid_mm:g} mm and an SOD of {geometry.sod_mm:g} mm the "
            f"detector would be inside the chest, which reaches {depth:.0f} mm behind its "
            f"centre; the SID is usually {BEHIND_PATIENT_MM:g} mm more than the SOD."
        )


def size_of(chosen: argparse.Namespace, geometry: AcquisitionGeometry) -> tuple[int, int]:
    """(rows, columns): square by --size, or by the detector's shape and --pixel."""
    width, height = geometry.detector_mm
    if chosen.pixel is not None:
        if chosen.size is not None:
            raise AxonInputError(
                "--pixel and --size both determine the image size; give one of them."
            )
        if not 0.02 <= chosen.pixel <= 50:
            raise AxonInputError(f"--pixel is {chosen.pixel:g} mm; it must be between 0.02 and 50.")
        return round(height / chosen.pixel), round(width / chosen.pixel)
    across = chosen.size or 1024
    return (round(across * height / width) if chosen.detector else across), across


def numbers(
    option: str,
    text: str | None,
    counts: tuple[int, int],
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> list[float]:
    """Parse ``1,2.5`` as numbers.

    Raises:
        AxonInputError: there are too few or too many, or one is not a number or out of ``limits``.
    """
    if text is None:
        return []
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not counts[0] <= len(values) <= counts[1] or not all(math.isfinite(v) for v in values):
        raise AxonInputError(
            f"{option} is {text!r}; give {counts[0]} to {counts[1]} numbers separated by commas."
        )
    if not all(limits[0] <= v <= limits[1] for v in values):
        raise AxonInputError(
            f"{option} is {text}; each number must be between {limits[0]:g} and {limits[1]:g}."
        )
    return values


def read_mask(path: str, ct: CTVolume) -> np.ndarray:
    """(Z, Y, X) in [0, 1], from a volume file on the CT's grid.

    Raises:
        AxonInputError: there is no such file, it is not a volume on that grid, or its values are
            not in [0, 1].
    """
    from axon_backend.imaging.formats import find_format, list_formats, volume_formats
    from axon_backend.imaging.grid import to_lps_grid
    from axon_backend.imaging.volume_file import load_volume

    file = Path(path)
    format = find_format(file) if file.is_file() else None
    if format is None or format.read_volume is None:
        raise AxonInputError(
            f"--iodine is {path}, which is not a volume file ({list_formats(volume_formats())}). "
            "Give a mask on the CT's grid, for example a segmentation of the heart and its vessels."
        )
    volume = load_volume(file)
    if volume.channels > 1 or volume.voxels.ndim != 3:
        raise AxonInputError(
            f"{file.name} is not a scalar volume; a mask has one number per voxel."
        )
    mask, spacing, origin, _ = to_lps_grid(volume.voxels, volume.affine, 0.0)
    close = np.allclose(spacing, ct.spacing_mm, rtol=1e-3) and np.allclose(
        origin, ct.origin_mm, atol=0.1 * min(ct.spacing_mm)
    )
    if mask.shape != ct.hu.shape or not close:
        raise AxonInputError(
            f"{file.name} has {' x '.join(map(str, mask.shape))} voxels and is not on the grid of "
            f"the CT, which has {' x '.join(map(str, ct.hu.shape))}. Resample the mask to the CT."
        )
    if not (np.isfinite(mask).all() and mask.min() >= 0 and mask.max() <= 1):
        raise AxonInputError(
            f"{file.name} contains values from {mask.min():g} to {mask.max():g}; a mask is 0 "
            "outside and 1 inside."
        )
    return mask
