"""The settings of ``axon cohort reconstruct``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

# Part of every case's key; increased when the same input gives another result.
CASE_VERSION = 2


@dataclass(frozen=True)
class CohortSettings:
    """Settings that apply to every study.

    Attributes:
        bundle: folder or name of the model; None: the shipped one.
        stages, steps, seed, samples, device, register, allow_poor: see ``inference.reconstruct``.
        keep_stages: also write the volume of every stage.
        report: also write the overview and the report of every study.
        dicom: also write the volume as a CT series; see ``evaluation.case_output.write_case``.
    """

    bundle: str | None = None
    stages: tuple[str, ...] | None = None
    steps: tuple[int, ...] | None = None
    seed: int = 0
    samples: int = 1
    device: str = "auto"
    register: bool = True
    allow_poor: bool = False
    keep_stages: bool = False
    report: bool = True
    dicom: Literal["anonymous", "identified"] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values, for records."""
        return asdict(self)

    @property
    def of_case(self) -> dict[str, Any]:
        """The settings that the files of a case depend on, without the bundle, which is identified
        by its hash instead."""
        values = self.as_dict()
        del values["bundle"], values["device"]
        return {**values, "version": CASE_VERSION}
