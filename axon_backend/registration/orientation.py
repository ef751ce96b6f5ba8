"""Is the picture the right way round? Asked of the coarse search, answered in words."""

from __future__ import annotations

import numpy as np

from axon_backend.registration.search import SCALES, find_chest

# Another orientation must fit better by this much of NCC before the user is told. Of 42 clinical
# frontal X-rays against the mean of other patients, turning makes 33 (upside down), 35 (180
# degrees), 39 (90 degrees) and 40 (inverted) noticed, mirroring only one; one false alarm, on a
# chest too opaque to register.
MARGIN = 0.08

_OTHERS = {
    "upside down": lambda a: a[::-1],
    "turned by 180 degrees": lambda a: a[::-1, ::-1],
    "turned by 90 degrees to the left": lambda a: np.rot90(a, -1),
    "turned by 90 degrees to the right": lambda a: np.rot90(a, 1),
    "mirrored (left and right exchanged)": lambda a: a[:, ::-1],
    "inverted (dark bones)": lambda a: -a,
}


def orientation_scores(moving: np.ndarray, fixed: np.ndarray) -> dict[str, float]:
    """Best NCC of the coarse search in the picture as it is (``as given``), in the other
    orientations, and with its greys inverted. Each orientation finds its own placement, so a
    registration that went astray does not matter."""
    scores = {}
    for name, turn in {"as given": lambda a: a, **_OTHERS}.items():
        turned = np.ascontiguousarray(turn(moving))
        scores[name] = find_chest(turned, fixed, 1, scales=SCALES[::2])[0].score
    return scores


def orientation_warnings(moving: np.ndarray, fixed: np.ndarray) -> tuple[str, ...]:
    """One sentence if another orientation fits clearly better; nothing is changed.

    ``moving`` (H, W) is the X-ray, ``fixed`` (N, N) the reference. The heart and the aortic arch
    tell left from right, which is little to go by: a mirrored picture is flagged only where the
    difference is clear.
    """
    scores = orientation_scores(moving, fixed)
    name, score = max(scores.items(), key=lambda item: item[1])
    if name == "as given" or score < scores["as given"] + MARGIN:
        return ()
    return (
        f"the X-ray looks {name} (agreement {score:.2f}, as given {scores['as given']:.2f}): "
        "check its orientation",
    )
