"""The settings of ``axon prepare``, and those that a case depends on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from axon_backend.errors import AxonInputError
from axon_backend.imaging.frame import HuWindow
from axon_backend.imaging.view import Stated

# Part of every case's key: raised when the same input would come out differently.
CASE_VERSION = 2
GATES = ("fair", "good")


@dataclass(frozen=True)
class PrepareSettings:
    """Options of a prepared data set.

    Attributes:
        seed: of the splits, the DRRs' variations and the registration.
        drrs: DRRs of each view; the first is canonical, further ones vary a little.
        turn_deg, shift_mm: standard deviation of the varied DRRs' pose about and along each axis.
        sid_mm: range of the varied DRRs' tube distance.
        voxel_mm: voxel size of the CTs.
        view_size: pixels along each side of a view.
        hu_low, hu_high: the HU window that is recorded for training; the CTs keep all their HU.
        gate: the least verdict of a registration that is accepted without a person.
        pose: find the patient's pose in six degrees of freedom and move the CT into it.
        max_days: X-rays further from the CT are left out; None takes the nearest.
        stated: polarity and orientation of X-rays by ``role`` or ``case/role``, which overrule the
            tags and the image.
        anonymise: number the patients, and write no name of a file or series.
    """

    seed: int = 0
    drrs: int = 1
    turn_deg: float = 2.0
    shift_mm: float = 5.0
    sid_mm: tuple[float, float] = (1650.0, 1950.0)
    voxel_mm: float = 1.0
    view_size: int = 1024
    hu_low: float = -1000.0
    hu_high: float = 900.0
    gate: str = "fair"
    pose: bool = False
    stated: dict[str, Stated] = field(default_factory=dict)
    max_days: int | None = None
    anonymise: bool = False

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("--seed", self.seed, 0, 2**31 - 1),
            ("--drrs", self.drrs, 1, 100),
            ("--voxel", self.voxel_mm, 0.3, 8.0),
            ("--view-size", self.view_size, 64, 4096),
            ("--max-days", self.max_days or 0, 0, 100_000),
        ):
            if not least <= value <= most:
                raise AxonInputError(f"{name} is {value}; it lies between {least} and {most}.")
        if self.gate not in GATES:
            raise AxonInputError(f"--gate is {self.gate!r}; it is one of {', '.join(GATES)}.")
        if not self.hu_low < self.hu_high:
            raise AxonInputError(
                f"--window is {self.hu_low:g} to {self.hu_high:g} HU; the second number is the "
                "higher one."
            )

    @property
    def window(self) -> HuWindow:
        """The HU window as the networks use it."""
        return HuWindow(self.hu_low, self.hu_high)

    def as_dict(self) -> dict[str, Any]:
        """For dataset.json."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PrepareSettings:
        """From :meth:`as_dict`."""
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**given)

    def stated_for(self, case: str, role: str) -> Stated:
        """What is stated about an X-ray; an entry for the case overrides one for all cases."""
        return {**self.stated.get(role, {}), **self.stated.get(f"{case}/{role}", {})}

    def of_case(self, case: str) -> dict[str, Any]:
        """The settings that a case's files depend on: without the window, which is only noted,
        and the gate, which is applied when the data set is put together."""
        values = self.as_dict()
        values["stated"] = {role: self.stated_for(case, role) for role in ("frontal", "lateral")}
        if ct := self.stated_for(case, "ct"):
            values["stated"]["ct"] = ct
        for name in ("hu_low", "hu_high", "gate", "max_days"):
            del values[name]
        return values


def digest(value: Any) -> str:
    """SHA-256 of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
