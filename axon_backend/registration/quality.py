"""How well a registered X-ray agrees with its DRR: three scores and a verdict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from axon_backend.imaging.matching import local_contrast
from axon_backend.registration.edges import displacement
from axon_backend.registration.similarity import gradient_ncc, mutual_information, ncc
from axon_backend.registration.thresholds import OTHER_PATIENT, Limits


@dataclass(frozen=True)
class RegistrationQuality:
    """Scores on the overlap of the two images.

    Attributes:
        ncc: normalised cross-correlation after ``local_contrast``; 1 = identical.
        gradient_ncc: the same for the gradients, which edges dominate.
        mutual_information: of the unprocessed intensities, in nats, with 32 bins.
        verdict: ``good``, ``fair`` or ``poor``.
        warnings: what the user should check, in plain words.
        offset: how far a short local search on edges moves the image, as a fraction of the field's
            width; None if it was not measured.
    """

    ncc: float
    gradient_ncc: float
    mutual_information: float
    verdict: str
    warnings: tuple[str, ...] = ()
    offset: float | None = None

    @property
    def score(self) -> float:
        """Mean of NCC and gradient NCC."""
        return 0.5 * (self.ncc + self.gradient_ncc)

    @property
    def refused(self) -> bool:
        """Whether the verdict is poor: scored below every correct registration, see
        ``thresholds``."""
        return self.verdict == "poor"


def assess(
    moved: np.ndarray,
    fixed: np.ndarray,
    valid: np.ndarray,
    limits: Limits = OTHER_PATIENT,
) -> RegistrationQuality:
    """Score a registered X-ray against its DRR; all (N, N) on the same grid.

    Chests are smooth, so a placement that is off by some millimetres still scores high; it is
    detected if edges fit better nearby.

    Args:
        moved: the X-ray.
        fixed: the DRR.
        valid: mask of the valid pixels of the X-ray.
        limits: thresholds of the verdict.
    """
    a, b = local_contrast(moved, valid), local_contrast(fixed, valid)
    intensity, gradients = ncc(a, b, valid), gradient_ncc(a, b, valid)
    score, offset = 0.5 * (intensity + gradients), displacement(moved, fixed, valid)
    notes: list[str] = []
    if score < limits.fair:
        verdict = "poor"
        notes.append(
            f"the registration is poor (score {score:.2f}, below {limits.fair}): the X-ray and "
            "the reference hardly agree, so check the overlay before trusting the reconstruction"
        )
    elif offset > limits.offset:
        verdict = "fair"
        notes.append(
            f"edges align better {100 * offset:.1f} % of the field's width away from this "
            "placement: check the overlay"
        )
    else:
        verdict = "good" if score >= limits.good else "fair"
    covered = float(valid.mean())
    if covered < 0.8:
        notes.append(f"the X-ray covers only {100 * covered:.0f} % of the chest's field of view")
    return RegistrationQuality(
        round(intensity, 4),
        round(gradients, 4),
        round(mutual_information(moved, fixed, valid), 4),
        verdict,
        tuple(notes),
        round(offset, 4),
    )
