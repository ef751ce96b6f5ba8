"""The parameters of a pose search, as one vector."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from axon_backend.registration.place import PlacedView

# One unit of each parameter: one degree, or 1.5 %, also moves the boundary of a chest by some 2 mm.
UNITS = (1.0, 1.0, 1.0, 2.0, 2.0, 2.0)
# Along the beam of a single view: 16 mm change the size of the chest by 1 %.
DEPTH_UNIT = 16.0
PLANAR_UNITS = (1.0, 1.5, 2.0, 2.0)
# Unit of the logarithm of the SID: halving the SID moves edges by some millimetres.
SID_UNIT = 0.4
# A pose beyond these is implausible: the search diverged.
MOST_TURN_DEG, MOST_SHIFT_MM = 30.0, 100.0
# Clinical range: a bedside radiograph at little less than 1 m, a wall stand at 2 m or more.
SID_RANGE_MM = (800.0, 2600.0)


@dataclass(frozen=True)
class Unknowns:
    """The parameter vector: six for the pose, four for each X-ray that may move in its plane, and,
    if the SID is estimated, the logarithm of the factor on it."""

    placed: Mapping[str, PlacedView]
    free: tuple[str, ...]
    sid_mm: float
    find_sid: bool

    @property
    def units(self) -> list[float]:
        """One unit of each parameter."""
        units = list(UNITS)
        beams = {4 if view.view.is_frontal else 3 for view in self.placed.values()}
        if len(beams) == 1:
            units[beams.pop()] = DEPTH_UNIT
        return [*units, *(PLANAR_UNITS * len(self.free)), *((SID_UNIT,) * self.find_sid)]

    def split(
        self, values: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """The pose (6,), the in-plane motion (4,) of each free X-ray, the factor on the SID."""
        shifts = values[6 : 6 + 4 * len(self.free)].split(4) if self.free else ()
        sid_scale = torch.ones((), device=values.device)
        if self.find_sid:
            least, most = (math.log(bound / self.sid_mm) for bound in SID_RANGE_MM)
            sid_scale = values[-1].clamp(least, most).exp()
        return values[:6], dict(zip(self.free, shifts, strict=True)), sid_scale

    def plausible(self, values: torch.Tensor) -> bool:
        """False if the search has diverged."""
        turn, shift = values[:3].abs().max(), values[3:6].abs().max()
        return bool(turn <= MOST_TURN_DEG and shift <= MOST_SHIFT_MM)
