"""The settings of ``axon prepare``, and the ones that a case depends on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from axon_backend.errors import AxonInputError
from axon_backend.imaging.frame import HuWindow
from axon_backend.imaging.view import Stated

# Part of every case's key; increased when the same input gives another result.
CASE_VERSION = 2
GATES = ("fair", "good")


@dataclass(frozen=True)
class PrepareSettings:
    """Options of a prepared data set.

    Attributes:
        seed: random seed of the splits, the variations of DRRs and the registration.
        drrs: DRRs per view; the first is canonical, the others vary slightly.
        turn_deg, shift_mm: standard deviation of the pose of varied DRRs about and along each axis.
        sid_mm: range of the source-to-image distance of varied DRRs.
        voxel_mm: voxel size of the CTs.
        view_size: side of a view in pixels.
        hu_low, hu_high: HU window recorded for training; the CTs keep all their HU.
        gate: lowest verdict of a registration that is accepted without review.
        pose: estimate the patient's pose (six degrees of freedom) and move the CT into it.
        max_days: exclude X-rays taken more days before or after the CT; None: no limit.
        stated: what the user states about X-rays, by ``role`` or ``case/role``; it overrides the
            tags and the image.
        anonymise: number the patients, and do not write names of files or series.
        teacher: folder or name of the bundle that reconstructs patients without a CT from both
            X-rays; None: they are left out.
        teacher_sha256: its hash, by which a case notices another teacher.
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
    teacher: str | None = None
    teacher_sha256: str = ""

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("--seed", self.seed, 0, 2**31 - 1),
            ("--drrs", self.drrs, 1, 100),
            ("--voxel", self.voxel_mm, 0.3, 8.0),
            ("--view-size", self.view_size, 64, 4096),
            ("--max-days", self.max_days or 0, 0, 100_000),
        ):
            if not least <= value <= most:
                raise AxonInputError(f"{name} is {value}; it must be between {least} and {most}.")
        if self.gate not in GATES:
            raise AxonInputError(f"--gate is {self.gate!r}; it must be one of {', '.join(GATES)}.")
        if not self.hu_low < self.hu_high:
            raise AxonInputError(
                f"--window is {self.hu_low:g} to {self.hu_high:g} HU; the second number must be "
                "the higher one."
            )

    @property
    def window(self) -> HuWindow:
        """The HU window as the networks use it."""
        return HuWindow(self.hu_low, self.hu_high)

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON values, for dataset.json."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PrepareSettings:
        """Inverse of :meth:`as_dict`."""
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**given)

    def stated_for(self, case: str, role: str) -> Stated:
        """The statements about an X-ray; those for the case override those for all cases."""
        return {**self.stated.get(role, {}), **self.stated.get(f"{case}/{role}", {})}

    def of_case(self, case: str, pseudo_labelled: bool = False) -> dict[str, Any]:
        """The settings that a case's files depend on: not the window, which is only recorded, nor
        the gate, which is applied when the data set is assembled; nor, with a CT, the teacher."""
        values = self.as_dict()
        values["stated"] = {role: self.stated_for(case, role) for role in ("frontal", "lateral")}
        if ct := self.stated_for(case, "ct"):
            values["stated"]["ct"] = ct
        for name in ("hu_low", "hu_high", "gate", "max_days", "teacher"):
            del values[name]
        if not pseudo_labelled:
            del values["teacher_sha256"]
        return values


def digest(value: Any) -> str:
    """SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
