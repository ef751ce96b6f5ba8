"""What a pose search looks for, as one row of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from axon_backend.registration.place import PlacedView

# One unit of each parameter: a degree or 1.5 % moves the edge of a chest by about 2 mm too.
UNITS = (1.0, 1.0, 1.0, 2.0, 2.0, 2.0)
# Along a beam that no other view crosses: 16 mm nearer make the chest 1 % larger.
DEPTH_UNIT = 16.0
PLANAR_UNITS = (1.0, 1.5, 2.0, 2.0)
# Of the logarithm of the tube's distance: half as far moves edges by some millimetres.
SID_UNIT = 0.4
# No patient stands further from the canonical pose; a search that ends there went astray.
MOST_TURN_DEG, MOST_SHIFT_MM = 30.0, 100.0
# Where chests are taken from: a bedside film at little less than 1 m, a wall stand at 2 m or more.
SID_RANGE_MM = (800.0, 2600.0)


@dataclass(frozen=True)
class Unknowns:
    """What is sought, in one row of numbers: the pose's six, four for each X-ray that is free to
    move in its plane, and the logarithm of how much farther the tube stands."""

    placed: Mapping[str, PlacedView]
    free: tuple[str, ...]
    sid_mm: float
    find_sid: bool

    @property
    def units(self) -> list[float]:
        """One unit of each."""
        units = list(UNITS)
        beams = {4 if view.view.is_frontal else 3 for view in self.placed.values()}
        if len(beams) == 1:
            units[beams.pop()] = DEPTH_UNIT
        return [*units, *(PLANAR_UNITS * len(self.free)), *((SID_UNIT,) * self.find_sid)]

    def split(
        self, values: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """The pose (6,), the movement (4,) of each free X-ray, the factor on the distance."""
        shifts = values[6 : 6 + 4 * len(self.free)].split(4) if self.free else ()
        farther = torch.ones((), device=values.device)
        if self.find_sid:
            least, most = (math.log(bound / self.sid_mm) for bound in SID_RANGE_MM)
            farther = values[-1].clamp(least, most).exp()
        return values[:6], dict(zip(self.free, shifts, strict=True)), farther

    def plausible(self, values: torch.Tensor) -> bool:
        """False for a pose that no patient takes."""
        turn, shift = values[:3].abs().max(), values[3:6].abs().max()
        return bool(turn <= MOST_TURN_DEG and shift <= MOST_SHIFT_MM)
