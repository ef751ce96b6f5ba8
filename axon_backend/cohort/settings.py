"""What a cohort's studies are reconstructed with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

# Part of every case's key: raised when the same input would come out differently.
CASE_VERSION = 1


@dataclass(frozen=True)
class CohortSettings:
    """The same for every study; the arguments of ``inference.reconstruct`` of these names.

    Attributes:
        bundle: folder or name of the model; None is the shipped one.
        stages, steps, seed, samples, device, register, allow_poor: as in ``reconstruct``.
        keep_stages: also write the volume of every stage.
        report: also write the overview and the report of every study.
        dicom: also write the volume as a CT series, see ``evaluation.case_output.write_case``.
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
        """Plain values, for records."""
        return asdict(self)

    @property
    def of_case(self) -> dict[str, Any]:
        """What the files of a case depend on; the bundle counts by its hash, not by its place."""
        values = self.as_dict()
        del values["bundle"], values["device"]
        return {**values, "version": CASE_VERSION}
