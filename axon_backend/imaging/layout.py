"""The orientation of the chest in an image, by comparison with mean chests and by a network.

The network of ``content.py`` and the means here estimate it independently, and their evidence is
added up. Two means represent all chests: the frontal one, made symmetric so that it ignores the
sides, and the lateral one. Both are searched for in the image by normalised cross-correlation of
local contrast, over scales and aspect ratios, in all eight orientations. The means are rotated, not
the image, which is shrunk and filtered once for each size. Left and right of a frontal image are
decided by a linear discriminant of the difference between a chest and its mirror image (heart,
aortic arch, stomach, diaphragm).

Measured by ``Testing/benchmarks/content.py``; counts are in ``Testing/benchmarks/README.md``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from axon_backend.imaging.content import CHEST, Content, see
from axon_backend.imaging.matching import local_contrast, shrink_by
from axon_backend.imaging.polarity import UNCLEAR, bones_are_bright
from axon_backend.imaging.template_search import GRID, Match, Place, best_places, template_of
from axon_backend.imaging.turn import TURNS, Turn

MEANS = Path(__file__).with_name("mean_chests.json")
# Approximate number of pixels along the image's longer side: none of the scales below needs more.
THUMBNAIL = 256
# Sides of the field of view as fractions of the image's longer side, and its aspect ratios (width
# over height) by view: chests are wider than the mean, or deeper.
_SCALES = tuple(np.exp(np.linspace(np.log(0.62), np.log(1.45), 6)))
_STRETCHES = {True: (1.0, 1.18), False: (0.85, 1.0)}
# Weights of the evidence for an orientation, in natural log-odds: the agreement (NCC) with a mean;
# the sides of a frontal image, per standard deviation (see `sidedness`) and at most; the network's
# result, at most; and the orientation as given. Chosen on the validation data.
PER_NCC, PER_DEVIATION, MOST_OF_SIDES, MOST_OF_NETWORK, AS_GIVEN = 75.0, 4.0, 3.0, 6.0, 1.0
# Probabilities of another orientation (or view) from which the user is warned, and from which the
# image is reoriented.
DOUBT, CERTAIN = 0.8, 0.98
# Probabilities of the other view from which an image is refused: of all evidence, and by the
# network alone. The network gives none of the 834 frontal and 803 lateral images of the train and
# validation splits a probability of the other view above 0.1.
OTHER_VIEW, OTHER_VIEW_SEEN = 0.999, 0.98
# Margin of the chest that its placement may miss, and maximum offset of its axis of symmetry.
_EDGE, _MOST_AWAY = 6, 6


@dataclass(frozen=True)
class Layout:
    """The orientation found in an image.

    Attributes:
        turn: the turn that makes it upright.
        probability: probability of that turn.
        frontal: whether it was given as a frontal view.
        other: probability that it is the other view, if that is likely; else None.
        other_seen: the same by the network alone.
    """

    turn: Turn
    probability: float
    frontal: bool
    other: float | None = None
    other_seen: float = 0.0

    @property
    def certain(self) -> bool:
        """Whether the turn is certain enough to be applied."""
        return self.other is None and self.turn != Turn() and self.probability >= CERTAIN

    @property
    def sides_only(self) -> bool:
        """Whether it is a frontal image that is only mirrored, which only its sides reveal."""
        return self.frontal and self.turn == Turn(0, True)

    @property
    def is_other_view(self) -> bool:
        """Whether it is certainly the other view."""
        return self.other is not None and self.other >= CERTAIN

    @property
    def contradicts_view(self) -> bool:
        """Whether it is so clearly the other view that it is refused."""
        return (self.other or 0.0) >= OTHER_VIEW and self.other_seen >= OTHER_VIEW_SEEN

    @property
    def looks(self) -> str | None:
        """How the image looks, if other than as it was given; else None."""
        if self.other is not None:
            name = "lateral" if self.frontal else "frontal"
            return f"like a {name} view (probability {self.other:.2f})"
        if self.turn == Turn():
            return None
        words = self.turn.words(self.frontal)
        if self.sides_only:
            words += " by heart and diaphragm"
        return f"{words} (probability {self.probability:.2f})"


def recognise(
    pixels: np.ndarray,
    frontal: bool,
    bright: bool | None = True,
    content: Content | None = None,
) -> Layout:
    """Find the orientation of a chest X-ray.

    Args:
        pixels: (H, W), not inverted unless ``bright`` is None.
        frontal: whether it was given as a frontal (else as a lateral) X-ray.
        bright: whether bones are bright; None if unknown: each orientation is then evaluated with
            the polarity that it implies (see ``polarity``).
        content: the network's result for ``pixels``; by default it is computed.

    Returns:
        The turn that makes the image upright, with its probability. An image that is not a chest
        X-ray is not turned.
    """
    content = see(pixels) if content is None else content
    if content.chest < CHEST:
        return Layout(Turn(), 1.0, frontal)
    small = thumbnail(pixels)
    found = _matches(small)

    def is_dark(turn: Turn, frontal: bool) -> bool:
        if bright is not None:
            return False
        return bones_are_bright(turn(small), frontal, content.dark) < -UNCLEAR

    def agreement(turn: Turn, frontal: bool) -> float:
        # The frontal mean is symmetric: mirroring is decided by the sides only.
        match = found[frontal, turn.quarters, turn.mirrored and not frontal]
        return match.dark if is_dark(turn, frontal) else match.bright.score

    scores = {turn: agreement(turn, frontal) for turn in _TURNS_OF[frontal]}
    best = max(scores, key=lambda turn: scores[turn])
    other = max(agreement(turn, not frontal) for turn in _TURNS_OF[not frontal])
    views = np.array([scores[best], other]) * PER_NCC
    seen = content.upright.sum(1)
    views += _opinion(seen if frontal else seen[::-1])
    view = _probability(views)[1]
    if view >= DOUBT:
        by_network = 1 - content.frontal if frontal else content.frontal
        return Layout(Turn(), 1.0, frontal, float(view), by_network)
    sides = 0.0
    if frontal:
        upright = best(small)
        sides = PER_DEVIATION * sidedness(-upright if is_dark(best, True) else upright)
        sides = float(np.clip(sides, -MOST_OF_SIDES, MOST_OF_SIDES))
    evidence = _opinion(content.upright[0 if frontal else 1])
    for k, turn in enumerate(TURNS):
        ncc = scores[Turn(turn.quarters) if frontal else turn]
        evidence[k] += PER_NCC * ncc - (sides if turn.mirrored else 0.0)
        evidence[k] += AS_GIVEN if turn == Turn() else 0.0
    shares = _probability(evidence)
    k = int(shares.argmax())
    if TURNS[k] == Turn() or shares[k] < DOUBT:
        return Layout(Turn(), float(shares[TURNS.index(Turn())]), frontal)
    return Layout(TURNS[k], float(shares[k]), frontal)


def _opinion(probabilities: np.ndarray) -> np.ndarray:
    """Logarithms, at most MOST_OF_NETWORK below the largest: the network was trained on
    projections, so its result must not overrule all other evidence."""
    logs = np.log(probabilities + 1e-12)
    return np.maximum(logs, logs.max() - MOST_OF_NETWORK)


def _probability(evidence: np.ndarray) -> np.ndarray:
    shares = np.exp(evidence - evidence.max())
    return shares / shares.sum()


# The turns that the means distinguish.
_TURNS_OF = {
    True: tuple(Turn(quarters) for quarters in range(4)),
    False: tuple(Turn(quarters, mirrored) for quarters in range(4) for mirrored in (False, True)),
}


@cache
def means() -> dict[str, np.ndarray]:
    """``frontal``, ``lateral`` (GRID, GRID) and ``sides``, see the file."""
    record = json.loads(MEANS.read_text(encoding="utf-8"))
    names = ("frontal", "lateral", "sides")
    return {name: np.asarray(record[name], np.float32) for name in names}


def thumbnail(image: np.ndarray, side: int = THUMBNAIL) -> np.ndarray:
    """(H, W) shrunk by a whole number to about ``side`` pixels."""
    return shrink_by(image, max(1, round(max(image.shape) / side)))


_Key = tuple[bool, int, bool]  # frontal, quarters, mirrored


@cache
def _templates() -> dict[_Key, np.ndarray]:
    """The means as they appear in images that need each turn; zero mean, unit norm."""
    made: dict[_Key, np.ndarray] = {}
    for frontal, name in ((True, "frontal"), (False, "lateral")):
        middle = template_of(means()[name])
        for quarters in range(4):
            for mirrored in (False,) if frontal else (False, True):
                upright = middle[:, ::-1] if mirrored else middle
                made[frontal, quarters, mirrored] = np.rot90(upright, -quarters)
    return made


def _matches(image: np.ndarray, only: _Key | None = None) -> dict[_Key, Match]:
    """The best match of each mean in the image (H, W) in each orientation, or in ``only`` one."""
    templates, long_side = _templates(), max(image.shape)
    if only is not None:
        templates = {only: templates[only]}
    best: dict[_Key, Match] = {}
    every = sorted({s for some in _STRETCHES.values() for one in some for s in (one, 1 / one)})
    for scale in _SCALES:
        for stretch in every:
            size = (scale * long_side / stretch**0.5, scale * long_side * stretch**0.5)
            keys = [key for key in templates if _tried(key, stretch)]
            if not keys:
                continue
            for key, match in best_places(image, size, {k: templates[k] for k in keys}).items():
                old = best.get(key)
                if old is not None:
                    place = max(old.bright, match.bright, key=lambda p: p.score)
                    match = Match(place, max(old.dark, match.dark))
                best[key] = match
    return best


def _tried(key: _Key, stretch: float) -> bool:
    """Whether an aspect ratio is tried for an orientation; after a quarter turn, width and height
    are swapped."""
    upright = stretch if key[1] % 2 == 0 else 1 / stretch
    return any(abs(upright - s) < 1e-6 for s in _STRETCHES[key[0]])


def side_difference(image: np.ndarray) -> np.ndarray:
    """(26, 13) difference between an upright frontal chest and its mirror image about the line of
    best symmetry, left half of the image; mirroring the image only changes its sign."""
    upright = (True, 0, False)
    chest = local_contrast(_cut(image, _matches(image, upright)[upright].bright))
    inner = GRID - 2 * _EDGE
    best, found = -np.inf, np.zeros((inner, inner), np.float32)
    for angle in (-6, -3, 0, 3, 6):
        turned = chest
        if angle:
            turned = ndimage.rotate(chest, angle, reshape=False, order=1, mode="nearest")
        for away in range(-_MOST_AWAY, _MOST_AWAY + 1):
            part = turned[_EDGE : _EDGE + inner, _EDGE + away : _EDGE + away + inner]
            symmetry = float((part * part[:, ::-1]).sum() / (part**2).sum().clip(1e-6))
            if symmetry > best:
                best, found = symmetry, part
    small = found.reshape(inner // 2, 2, inner // 2, 2).mean((1, 3))
    return (small - small[:, ::-1])[:, : inner // 4]


def _cut(image: np.ndarray, place: Place) -> np.ndarray:
    """The field of view at a place, (GRID, GRID)."""
    step = [s / GRID for s in place.size]
    smooth = ndimage.gaussian_filter(
        image.astype(np.float32), [0.5 * max(0.0, s * s - 1) ** 0.5 for s in step]
    )
    first = [m - 0.5 * s + 0.5 * d for m, s, d in zip(place.middle, place.size, step, strict=True)]
    return ndimage.affine_transform(
        smooth, step, first, output_shape=(GRID, GRID), order=1, mode="nearest"
    )


def sidedness(image: np.ndarray) -> float:
    """Above 0 if the sides of a frontal image are as usual, below 0 if it looks mirrored, in
    standard deviations over patients. Mirroring the image changes the sign."""
    difference = side_difference(image)
    size = np.linalg.norm(difference)
    return float((difference * means()["sides"]).sum() / size) if size > 1e-9 else 0.0
