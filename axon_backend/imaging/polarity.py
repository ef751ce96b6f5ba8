"""Whether bones are bright, from the layout of a chest X-ray, independent of its grey scale.

In both frontal and lateral radiographs the middle (mediastinum, spine, heart) attenuates more than
the lungs, the abdomen more than the lungs, and the body more than the air in the upper corners.
Grey values are first replaced by their ranks, so that only the order of greys counts: a negated
image gets the negated score, and window and gamma have no effect.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

_SIDE = 64  # pixels; the image is reduced to this
_OFF_CENTRE = (-0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15)  # of the width
# Natural log-odds per unit of the score, {frontal: value}: from training and validation data, both
# unchanged and with the wide borders of photographs, for which the layout is unreliable.
_PER_SCORE = {True: 1.5, False: 3.0}
_SUREST = 1e-6  # smallest probability that is distinguished from 0
UNCLEAR = 0.3  # scores of smaller magnitude are inconclusive
CERTAIN = 1.5  # overrides tags; X-rays without borders score at least 3.4


def bones_are_bright(pixels: np.ndarray, frontal: bool, dark: float) -> float:
    """The score of `bone_brightness` plus the evidence of the network of ``content.py``; ``dark``
    is its probability that bones are dark."""
    dark = min(max(dark, _SUREST), 1 - _SUREST)
    opinion = float(np.log(1 - dark) - np.log(dark))
    return bone_brightness(pixels, frontal) + opinion / _PER_SCORE[frontal]


def bone_brightness(pixels: np.ndarray, frontal: bool = True) -> float:
    """Score of a chest X-ray [row, col]: positive when bones are bright, about -3 to 3.

    The image must be upright and free of uniform borders.
    """
    small = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32))
    values = np.asarray(small.resize((_SIDE, _SIDE), Image.Resampling.BOX))
    span = float(values.max() - values.min()) or 1.0
    grey, group = np.unique(((values - values.min()) / span).round(6), return_inverse=True)
    # Mid-ranks: equal greys share a rank, so the score is odd under inversion.
    counts = np.bincount(group.ravel(), minlength=len(grey))
    middle = np.cumsum(counts) - counts / 2
    ranks = (middle[group.ravel()] / values.size * 2 - 1).reshape(values.shape)

    def mean(top: float, bottom: float, left: float, right: float) -> float:
        rows = slice(int(top * _SIDE), int(bottom * _SIDE))
        return float(ranks[rows, int(left * _SIDE) : int(right * _SIDE)].mean())

    corners = (mean(0, 0.08, 0, 0.12) + mean(0, 0.08, 0.88, 1)) / 2
    bottom = mean(0.88, 1, 0.25, 0.75)
    if frontal:
        scores = []
        for aside in _OFF_CENTRE:
            centre = mean(0.25, 0.75, 0.45 + aside, 0.58 + aside)
            right = mean(0.25, 0.65, 0.2 + aside, 0.36 + aside)
            left = mean(0.25, 0.65, 0.64 + aside, 0.8 + aside)
            lungs = (right + left) / 2
            scores.append((centre - lungs) + 0.5 * (bottom - lungs) + 0.5 * (centre - corners))
        # The patient is at the position with the strongest contrast between spine and lungs.
        return max(scores, key=abs)
    body = mean(0.3, 0.9, 0.3, 0.75)
    sides = (mean(0, 1, 0, 0.05) + mean(0, 1, 0.95, 1)) / 2
    return (body - corners) + 0.5 * (body - sides) + 0.5 * (bottom - corners)
