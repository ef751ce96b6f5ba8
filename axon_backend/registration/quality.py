"""How well a placed X-ray agrees with its DRR, in three numbers and one word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from axon_backend.imaging.contrast import local_contrast
from axon_backend.registration.thresholds import OTHER_PATIENT, Limits


@dataclass(frozen=True)
class RegistrationQuality:
    """Scores on the overlap of the two pictures.

    Attributes:
        ncc: normalised cross-correlation after :func:`local_contrast`, 1 = equal.
        gradient_ncc: the same of the gradients, which borders decide.
        mutual_information: in nats, 32 bins, of the unprocessed greys.
        verdict: ``good``, ``fair`` or ``poor``.
        warnings: what the user should look at, in plain words.
        offset: how far a short search by borders moves the picture, in parts of the field's
            width; None where it was not asked.
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
        """Below what any right registration reached, see ``thresholds``."""
        return self.verdict == "poor"


def ncc(a: np.ndarray, b: np.ndarray, valid: np.ndarray) -> float:
    """Pearson's correlation of two pictures over the valid pixels; 0 where either is constant."""
    x, y = a[valid].astype(np.float64), b[valid].astype(np.float64)
    if x.size < 2:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / scale) if scale > 1e-12 else 0.0


def gradient_ncc(a: np.ndarray, b: np.ndarray, valid: np.ndarray) -> float:
    """Mean NCC of the row and the column derivatives at a scale of 1/64 of the width."""
    sigma = a.shape[1] / 64
    inside = ndimage.binary_erosion(valid, iterations=max(1, int(2 * sigma)), border_value=1)
    return float(
        np.mean(
            [
                ncc(
                    ndimage.gaussian_filter(a, sigma, order),
                    ndimage.gaussian_filter(b, sigma, order),
                    inside,
                )
                for order in ((0, 1), (1, 0))
            ]
        )
    )


def mutual_information(a: np.ndarray, b: np.ndarray, valid: np.ndarray, bins: int = 32) -> float:
    """``sum p(a,b) log(p(a,b) / (p(a) p(b)))`` over a joint histogram, in nats; 0 if empty."""
    if valid.sum() < bins:
        return 0.0
    joint = np.histogram2d(a[valid].ravel(), b[valid].ravel(), bins)[0]
    joint /= joint.sum()
    outer = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / outer[seen])).sum())


def assess(
    moved: np.ndarray,
    fixed: np.ndarray,
    valid: np.ndarray,
    warnings: tuple[str, ...] = (),
    limits: Limits = OTHER_PATIENT,
) -> RegistrationQuality:
    """Score a placed X-ray against its DRR; all (N, N) on the same grid.

    A placement some millimetres off still scores high, because chests are smooth: what tells is
    that borders fit better beside it.
    """
    from axon_backend.registration.edges import displacement  # torch: only where it is needed

    a, b = local_contrast(moved, valid), local_contrast(fixed, valid)
    grey, edges = ncc(a, b, valid), gradient_ncc(a, b, valid)
    score, offset = 0.5 * (grey + edges), displacement(moved, fixed, valid)
    notes = list(warnings)
    if score < limits.fair:
        verdict = "poor"
        notes.append(
            f"the registration is poor (score {score:.2f}, below {limits.fair}): the picture and "
            "the reference hardly agree, so do not trust the reconstruction before looking at the "
            "overlay"
        )
    elif offset > limits.offset:
        verdict = "fair"
        notes.append(
            f"the borders fit better {100 * offset:.1f} % of the field's width beside this "
            "placement: look at the overlay"
        )
    else:
        verdict = "good" if score >= limits.good else "fair"
    covered = float(valid.mean())
    if covered < 0.8:
        notes.append(f"the X-ray covers only {100 * covered:.0f} % of the chest's field of view")
    return RegistrationQuality(
        round(grey, 4),
        round(edges, 4),
        round(mutual_information(moved, fixed, valid), 4),
        verdict,
        tuple(notes),
        round(offset, 4),
    )
