"""The display orientation of a view, head up, its grey levels, and the HU windows of volumes.

Frontal: columns grow to the patient's Left. Lateral: columns grow to Posterior. Rows grow to the
Feet in both.
"""

from __future__ import annotations

import numpy as np

# Name, lowest and highest displayed HU.
WINDOWS = (("Lung", -1350, 150), ("Soft tissue", -160, 240), ("Bone", -200, 900))

_AXIS = {"L": "x", "R": "x", "A": "y", "P": "y", "H": "z", "F": "z"}


def belongs(orientation: tuple[str, str], frontal: bool) -> bool:
    """Whether a PatientOrientation fits the view: one axis along the body, the other across it."""
    axes = {_AXIS.get(code.strip().upper()[:1]) for code in orientation}
    return axes == {"z", "x" if frontal else "y"}


def is_upright(orientation: tuple[str, str]) -> bool:
    """Whether a PatientOrientation is that of an upright plane: one axis along the body, the other
    across it."""
    axes = [_AXIS.get(code.strip().upper()[:1]) for code in orientation]
    return "z" in axes and None not in axes and axes[0] != axes[1]


def turn_to_display(
    pixels: np.ndarray,
    pixel_mm: tuple[float, float] | None,
    orientation: tuple[str, str],
    frontal: bool,
) -> tuple[np.ndarray, tuple[float, float] | None, str | None]:
    """Reorient [row, col] by DICOM PatientOrientation (0020,0020).

    `orientation` is (direction in which the column index grows, direction in which the row index
    grows), each of L R A P H F; of compound codes (LA) the first letter counts. Returns pixels,
    (row, col) pixel size and a note on what was done, or None if nothing was. Codes that do not fit
    the view are ignored, with a note.
    """
    across, down = (code.strip().upper()[:1] for code in orientation)
    stated = "\\".join(orientation)
    wanted = "L" if frontal else "P"
    swap = _AXIS.get(across) == "z"
    if swap:
        across, down = down, across
    if not belongs(orientation, frontal):
        return pixels, pixel_mm, f"PatientOrientation {stated} does not fit the view: ignored"
    if swap:
        pixels = pixels.T
        pixel_mm = (pixel_mm[1], pixel_mm[0]) if pixel_mm else None
    if across != wanted:
        pixels = pixels[:, ::-1]
    if down == "H":
        pixels = pixels[::-1]
    if not swap and across == wanted and down == "F":
        return pixels, pixel_mm, None
    note = f"the image was turned to the display orientation (PatientOrientation {stated})"
    return np.ascontiguousarray(pixels), pixel_mm, note


def orientation_of_cosines(cosines: np.ndarray) -> tuple[str, str]:
    """PatientOrientation letters for an ImageOrientationPatient (six LPS direction cosines)."""

    def letter(vector: np.ndarray) -> str:
        axis = int(np.abs(vector).argmax())
        return ("RAF", "LPH")[int(vector[axis] > 0)][axis]

    return letter(np.asarray(cosines)[:3]), letter(np.asarray(cosines)[3:])


def grey(pixels: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """Log-linear pixels (H, W) as float from 0 (black) to 1, with outliers clipped, and black where
    not ``valid``."""
    inside = pixels if valid is None else pixels[valid]
    if inside.size == 0:
        return np.zeros(pixels.shape, np.float32)
    low, high = np.percentile(inside, (0.5, 99.8))
    shown = np.clip((pixels - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    return shown if valid is None else np.where(valid, shown, 0)
