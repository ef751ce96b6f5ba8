"""Whether a CT has the orientation stated in its header, determined from its own projections.

A CT whose header is wrong by a reflection (upside down, front to back, mirrored) registers and
looks like any other. The network of ``content.py`` classifies its frontal and lateral projections,
in which the eight reflections differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from PIL import Image

from axon_backend.imaging.content import CHEST, Content, see
from axon_backend.imaging.layout import recognise
from axon_backend.imaging.turn import TURNS, Turn

_STEP_MM = 3.0  # of the projections
_CERTAIN = 0.9  # probability from which an axis counts as reversed
_LUNG_HU = (-980.0, -600.0)
_MARGIN = 0.15  # shown above and below the lungs, as a share of their height

Flips = tuple[bool, bool, bool]  # along x, y, z


@dataclass(frozen=True)
class CTLayout:
    """The orientation found in a CT.

    Attributes:
        flips: the axes (x, y, z) along which it is reversed.
        confirmed: whether comparison with the mean chests also finds it upside down or front to
            back.
    """

    flips: Flips
    confirmed: bool = False

    @property
    def looks(self) -> str | None:
        """The apparent orientation, such as ``upside down``; None if it is correct."""
        x, y, z = self.flips
        said = ["upside down"] if z else []
        if x and y:
            said.append("rotated by 180 degrees about its long axis")
        elif x:
            said.append("mirrored (left and right exchanged)")
        elif y:
            said.append("reversed (front and back exchanged)")
        return " and ".join(said) or None


UPRIGHT = CTLayout((False, False, False))


def recognise_ct(hu: np.ndarray, spacing_mm: tuple[float, float, float]) -> CTLayout:
    """Find the orientation of a chest CT.

    Args:
        hu: [z, y, x], to Superior, Posterior and Left by its header.
        spacing_mm: (x, y, z).
    """
    frontal, lateral = projections(hu, spacing_mm)
    front, side = see(frontal), see(lateral)
    if min(front.chest, side.chest) < CHEST:
        return UPRIGHT
    chances = reversed_axes(front, side)
    x, y, z = (bool(chance >= _CERTAIN) for chance in chances)
    if not (x or y or z):
        return UPRIGHT
    confirmed = recognise(lateral, False, content=side).turn == _turn(y, z) if y or z else False
    return CTLayout((x, y, z), confirmed)


def reversed_axes(front: Content, side: Content) -> np.ndarray:
    """(3,) probabilities that x, y and z are reversed, from the network's results for both
    projections."""
    states = list(product((False, True), repeat=3))
    share = np.array([
        front.upright[0, TURNS.index(_turn(x, z))] * side.upright[1, TURNS.index(_turn(y, z))]
        for x, y, z in states
    ])  # fmt: skip
    share = share + 1e-12
    return share @ np.array(states) / share.sum()


def projections(
    hu: np.ndarray, spacing_mm: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Frontal and lateral parallel projection around the lungs, in the display orientation."""
    steps = [max(1, int(_STEP_MM / mm)) for mm in spacing_mm[::-1]]
    part = hu[:: steps[0], :: steps[1], :: steps[2]]
    size = [n * s * mm for n, s, mm in zip(part.shape, steps, spacing_mm[::-1], strict=True)]
    lung = ((part > _LUNG_HU[0]) & (part < _LUNG_HU[1])).mean((1, 2))
    levels = np.flatnonzero(lung > 0.15 * max(float(lung.max()), 1e-6))
    room = round(_MARGIN * (levels[-1] - levels[0] + 1))
    first, last = max(0, levels[0] - room), levels[-1] + 1 + room
    line = np.clip(part[first:last], -1000, 2500) + 1000
    height = size[0] * len(line) / part.shape[0]
    return (
        _square(line.sum(1)[::-1], height, size[2]),
        _square(line.sum(2)[::-1], height, size[1]),
    )


def _square(image: np.ndarray, height_mm: float, width_mm: float) -> np.ndarray:
    """Resample to square pixels."""
    size = (max(8, round(width_mm / _STEP_MM)), max(8, round(height_mm / _STEP_MM)))
    pixels = Image.fromarray(np.ascontiguousarray(image, np.float32))
    return np.asarray(pixels.resize(size, Image.Resampling.BILINEAR))


def _turn(mirrored: bool, upside_down: bool) -> Turn:
    """The turn that undoes a horizontal and a vertical reflection of an image."""
    return Turn(2, not mirrored) if upside_down else Turn(0, mirrored)
