"""Is the picture the right way round? Asked after placing, answered in words."""

from __future__ import annotations

import numpy as np

from axon_backend.registration.quality import local_contrast, ncc

# Another orientation must agree better by this much of NCC before the user is told.
MARGIN = 0.08

_OTHERS = {
    "upside down": lambda a: a[::-1],
    "turned by 180 degrees": lambda a: a[::-1, ::-1],
    "turned by 90 degrees to the left": lambda a: np.rot90(a, -1),
    "turned by 90 degrees to the right": lambda a: np.rot90(a, 1),
    "mirrored (left and right exchanged)": lambda a: a[:, ::-1],
}


def orientation_scores(
    moved: np.ndarray, fixed: np.ndarray, valid: np.ndarray
) -> dict[str, float]:
    """NCC of the placed picture with the reference as it is (``as given``), in the other
    orientations, and with its greys inverted."""
    a, b = local_contrast(moved, valid), local_contrast(fixed)
    scores = {"as given": ncc(a, b, valid)}
    for name, turn in _OTHERS.items():
        scores[name] = ncc(np.ascontiguousarray(turn(a)), b, np.ascontiguousarray(turn(valid)))
    scores["inverted (dark bones)"] = -scores["as given"]
    return scores


def orientation_warnings(
    moved: np.ndarray, fixed: np.ndarray, valid: np.ndarray
) -> tuple[str, ...]:
    """One sentence if another orientation agrees clearly better; nothing is changed.

    All pictures (N, N) on one grid. The heart and the aortic arch tell left from right, which is
    little to go by: a mirrored picture is flagged only where the difference is clear.
    """
    scores = orientation_scores(moved, fixed, valid)
    name, score = max(scores.items(), key=lambda item: item[1])
    if name == "as given" or score < scores["as given"] + MARGIN:
        return ()
    return (
        f"the X-ray looks {name} (agreement {score:.2f}, as given {scores['as given']:.2f}): "
        "check its orientation",
    )
