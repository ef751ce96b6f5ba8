"""Is the picture the right way round? Compared with mean chests, and answered in words.

Two means stand for all chests: the frontal one, made symmetric so that it does not care about
sides, and the lateral one. The coarse search looks for both in the picture and in its turns; each
finds its own placement, so a registration that went astray does not matter. Left and right of a
frontal picture are told by the mean difference of a chest to its mirror image (heart, aortic arch,
stomach, diaphragm), a matched filter.

Measured by ``Testing/benchmarks/orientation.py`` on 41 clinical frontal X-rays, their turned and
mirrored copies, and DRRs of the side; the counts are in ``Testing/benchmarks/README.md``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from axon_backend.errors import Cancelled
from axon_backend.registration.resample import resample_image
from axon_backend.registration.search import SCALES, Start, find_chest
from axon_backend.registration.similarity import local_contrast

MEANS = Path(__file__).with_name("mean_chests.json")
# Another turn must fit better by this much of NCC, another view by this much, before the user is
# told; and a frontal picture must resemble the mirrored mean by this correlation of differences.
TURN_MARGIN, VIEW_MARGIN, MIRRORED = 0.03, 0.03, 0.15
# Proportions that are tried: chests are wider than the mean, or deeper.
_STRETCHES = {True: (1.0, 1.18), False: (0.85, 1.0)}
# Without a stated view the reference decides, by this margin.
MARGIN = 0.08
_TURNS = (
    "",
    "turned by 90 degrees to the right",
    "turned by 180 degrees",
    "turned by 90 degrees to the left",
)
# A thumbnail of the chest, without the outer part that its placement may miss.
_THUMB, _EDGE, _MOST_AWAY = 64, 6, 6


@dataclass(frozen=True)
class Recognised:
    """What the picture looks like instead.

    Attributes:
        name: in words, as ``upside down`` or ``a lateral view``.
        score, given: agreement as that, and as what it was given for.
    """

    name: str
    score: float
    given: float

    @property
    def warning(self) -> str:
        """For the user."""
        return (
            f"the X-ray looks {self.name} (agreement {self.score:.2f}, as given "
            f"{self.given:.2f}): check its orientation"
        )


@cache
def means() -> dict[str, np.ndarray]:
    """``frontal``, ``lateral`` (GRID, GRID) and ``sides``, see the file."""
    record = json.loads(MEANS.read_text(encoding="utf-8"))
    names = ("frontal", "lateral", "sides")
    return {name: np.asarray(record[name], np.float32) for name in names}


def thumbnail(picture: np.ndarray, side: int = 384) -> np.ndarray:
    """(H, W) shrunk by a whole number to about ``side`` pixels."""
    factor = max(1, round(max(picture.shape) / side))
    h, w = (n // factor * factor for n in picture.shape)
    small = picture[:h, :w].reshape(h // factor, factor, w // factor, factor)
    return small.mean((1, 3), dtype=np.float32)


def _search(picture: np.ndarray, mean: np.ndarray, frontal: bool) -> Start:
    return find_chest(picture, mean, 1, scales=SCALES[::2], stretches=_STRETCHES[frontal])[0]


def side_difference(picture: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(26, 13) difference of a frontal chest to its mirror image about the line of best symmetry,
    left half of the picture; mirroring the picture changes its sign only.

    ``mean`` (GRID, GRID) is the symmetric frontal mean that the chest is found by.
    """
    matrix = _search(picture, mean, True).matrix()
    chest = local_contrast(resample_image(picture, matrix, _THUMB)[0])
    inner = _THUMB - 2 * _EDGE
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


def sidedness(picture: np.ndarray) -> float:
    """-1 to 1: above 0 where the sides of a frontal picture are as usual, below 0 where it looks
    mirrored. Mirroring changes the sign."""
    difference, mean = side_difference(picture, means()["frontal"]), means()["sides"]
    scale = np.linalg.norm(difference) * np.linalg.norm(mean)
    return float((difference * mean).sum() / scale) if scale > 1e-9 else 0.0


def recognise(
    picture: np.ndarray, frontal: bool, cancelled: Callable[[], bool] | None = None
) -> Recognised | None:
    """What a picture shows if not what it was given as; None where nothing speaks against that.

    Args:
        picture: (H, W) X-ray, bright = bone; a :func:`thumbnail` will do.
        frontal: it was given as a frontal (else a lateral) X-ray, the right way round.
        cancelled: asked before every turn.

    Raises:
        Cancelled: ``cancelled()`` was true.
    """
    scores: dict[tuple[bool, int, bool], float] = {}
    for turn in range(4):
        if cancelled is not None and cancelled():
            raise Cancelled("stopped while the X-ray's orientation was checked")
        turned = np.rot90(picture, turn)
        for mirrored in (False, True):
            one = np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)
            if not mirrored:  # the frontal mean is symmetric
                scores[True, turn, False] = _search(one, means()["frontal"], True).score
            scores[False, turn, mirrored] = _search(one, means()["lateral"], False).score
    given = scores[frontal, 0, False]
    own = {k: s for k, s in scores.items() if k[0] == frontal}
    (_, turn, mirrored), best = max(own.items(), key=lambda item: item[1])
    if (turn or mirrored) and best < given + TURN_MARGIN:
        turn, mirrored, best = 0, False, given
    other = max(s for k, s in scores.items() if k[0] != frontal)
    if other > best + VIEW_MARGIN:
        return Recognised("like a lateral view" if frontal else "like a frontal view", other, given)
    if frontal:
        sides = sidedness(np.ascontiguousarray(np.rot90(picture, turn)))
        if sides < -MIRRORED:
            # Upside down is a mirror image turned by half; the others have no usual name.
            name = {0: "mirrored (left and right exchanged)", 2: "upside down"}.get(
                turn, f"mirrored and {_TURNS[turn]}"
            )
            return Recognised(name, *((-sides, sides) if turn == 0 else (best, given)))
    elif mirrored:
        name = {0: "mirrored (front and back exchanged)", 2: "upside down"}.get(
            turn, f"mirrored and {_TURNS[turn]}"
        )
        return Recognised(name, best, given)
    return Recognised(_TURNS[turn], best, given) if turn else None


_OTHERS = {
    "upside down": lambda a: a[::-1],
    "turned by 180 degrees": lambda a: a[::-1, ::-1],
    "turned by 90 degrees to the left": lambda a: np.rot90(a, -1),
    "turned by 90 degrees to the right": lambda a: np.rot90(a, 1),
    "mirrored (left and right exchanged)": lambda a: a[:, ::-1],
    "inverted (dark bones)": lambda a: -a,
}


def orientation_scores(moving: np.ndarray, fixed: np.ndarray) -> dict[str, float]:
    """Best NCC of the coarse search for a reference in the picture as it is (``as given``), in
    the other orientations, and with its greys inverted."""
    scores = {}
    for name, turn in {"as given": lambda a: a, **_OTHERS}.items():
        turned = np.ascontiguousarray(turn(moving))
        scores[name] = find_chest(turned, fixed, 1, scales=SCALES[::2])[0].score
    return scores


def orientation_warnings(
    moving: np.ndarray,
    fixed: np.ndarray,
    frontal: bool | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[str, ...]:
    """One sentence if another orientation fits clearly better; nothing is changed.

    ``moving`` (H, W) is the X-ray, ``fixed`` (N, N) the reference. With the view stated
    (``frontal``), the mean chests decide, else the reference.
    """
    if frontal is not None:
        found = recognise(moving, frontal, cancelled)
        if found is not None:
            return (found.warning,)
        as_given, dark = (
            find_chest(sign * moving, fixed, 1, scales=SCALES[::2])[0].score for sign in (1, -1)
        )
        scores = {"as given": as_given, "inverted (dark bones)": dark}
    else:
        scores = orientation_scores(moving, fixed)
    name, score = max(scores.items(), key=lambda item: item[1])
    if name == "as given" or score < scores["as given"] + MARGIN:
        return ()
    return (Recognised(name, score, scores["as given"]).warning,)
