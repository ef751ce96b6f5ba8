"""Registration by pairs of landmarks placed by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from axon_backend.errors import AxonInputError

KINDS = ("auto", "similarity", "affine")
# "auto" chooses the affine map if its leave-one-out error is below this fraction of the
# similarity's: points placed by hand are never exact, and two more degrees of freedom always fit
# them more closely.
CLEARLY_BETTER = 0.8


@dataclass(frozen=True)
class LandmarkFit:
    """The placement determined by landmarks.

    Attributes:
        matrix: (3, 3), canonical view in [0, 1]^2 (x to the viewer's right, y down) -> pixels
            (column, row) of the image.
        rms_px: root mean square distance of the landmarks after the fit, in pixels.
        kind: ``similarity`` or ``affine``.
        residuals_px: (n,) distance of each pair; a large one marks a pair to check.
    """

    matrix: np.ndarray
    rms_px: float
    kind: str
    residuals_px: np.ndarray = field(default_factory=lambda: np.zeros(0))


def fit_landmarks(
    view_points: np.ndarray,
    image_points: np.ndarray,
    *,
    aspect: float,
    kind: str = "auto",
) -> LandmarkFit:
    """Least-squares placement of an X-ray from pairs of points.

    Args:
        view_points: (n, 2) points of the canonical view, (x, y) in [0, 1]^2.
        image_points: (n, 2) the same points in the X-ray, pixels (column, row).
        aspect: width over height of the canonical view in millimetres, so that a similarity
            preserves angles in millimetres.
        kind: ``similarity`` (translation, rotation, scale; 2 pairs or more), ``affine`` (also
            aspect ratio and shear; 3 or more), or ``auto``: affine with at least 4 pairs if its
            leave-one-out error is clearly smaller, otherwise similarity.

    Raises:
        AxonInputError: there are too few pairs, a coordinate is not finite, points coincide or lie
            on one line, or the pairs fit only a mirrored image.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
    if not (np.isfinite(aspect) and aspect > 0):
        raise ValueError(f"aspect must be positive, got {aspect}")
    view = np.asarray(view_points, dtype=np.float64).reshape(-1, 2)
    image = np.asarray(image_points, dtype=np.float64).reshape(-1, 2)
    _check(view, image, 3 if kind == "affine" else 2)
    # x in units of the view's height: square, as similarities need it.
    square = view * (aspect, 1.0)
    if kind == "auto":
        better = len(view) > 3 and not _on_a_line(square)
        if better:
            affine, similar = (_leave_one_out(square, image, k) for k in ("affine", "similarity"))
            better = affine < CLEARLY_BETTER * similar - 1e-3  # pixels: ignore rounding errors
        kind = "affine" if better else "similarity"
    if kind == "affine" and _on_a_line(square):
        raise AxonInputError(
            "The landmarks lie on one line; an affine placement needs points off that "
            "line. Add a pair."
        )
    matrix = _fit(square, image, kind)
    mirrored = _rms(square * (-1.0, 1.0), image, "similarity")
    if mirrored < 0.5 * _rms(square, image, "similarity"):
        raise AxonInputError(
            "The landmarks fit only a mirrored X-ray: check that the pairs are in the same order "
            "and that left and right are not exchanged."
        )
    away = np.linalg.norm(_apply(matrix, square) - image, axis=1)
    matrix = matrix @ np.diag([aspect, 1.0, 1.0])
    return LandmarkFit(matrix, float(np.sqrt((away**2).mean())), kind, away)


def _check(view: np.ndarray, image: np.ndarray, least: int) -> None:
    if len(view) != len(image):
        raise AxonInputError(
            f"There are {len(view)} landmarks in the reference and {len(image)} in the X-ray; "
            "they must be in pairs. Add the missing points or delete the extra ones."
        )
    if len(view) < least:
        raise AxonInputError(
            f"{len(view)} landmark pair{'s are' if len(view) != 1 else ' is'} set; at least "
            f"{least} are needed. Add more pairs, far apart."
        )
    if not (np.isfinite(view).all() and np.isfinite(image).all()):
        raise AxonInputError("A landmark has no position. Place it or delete it.")
    for points, where in ((view, "reference"), (image, "X-ray")):
        spread = np.ptp(points, axis=0).max()
        if spread <= 1e-6 * max(1.0, float(np.abs(points).max())):
            raise AxonInputError(f"All landmarks in the {where} lie at one point. Move them apart.")


def _on_a_line(points: np.ndarray) -> bool:
    spread = np.linalg.svd(points - points.mean(0), compute_uv=False)
    return bool(spread[1] < 1e-3 * spread[0])


def _fit(square: np.ndarray, image: np.ndarray, kind: str) -> np.ndarray:
    """(3, 3) least squares; a similarity is ``u = a x - b y + c``, ``v = b x + a y + d``."""
    x, y = square.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    matrix = np.eye(3)
    if kind == "affine":
        solution = np.linalg.lstsq(np.stack([x, y, one], 1), image, rcond=None)[0]
        matrix[:2] = solution.T
        return matrix
    rows = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    a, b, c, d = np.linalg.lstsq(rows, image.T.ravel(), rcond=None)[0]
    matrix[:2] = [[a, -b, c], [b, a, d]]
    return matrix


def _rms(square: np.ndarray, image: np.ndarray, kind: str) -> float:
    away = _apply(_fit(square, image, kind), square) - image
    return float(np.sqrt((away**2).sum(1).mean()))


def _leave_one_out(square: np.ndarray, image: np.ndarray, kind: str) -> float:
    """Leave-one-out error: RMS distance, in pixels, of each pair from the fit of all others."""
    errors = []
    for i in range(len(square)):
        others = np.arange(len(square)) != i
        if kind == "affine" and _on_a_line(square[others]):
            return np.inf
        matrix = _fit(square[others], image[others], kind)
        errors.append(((_apply(matrix, square[i]) - image[i]) ** 2).sum())
    return float(np.sqrt(np.mean(errors)))


def _apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:2, :2].T + matrix[:2, 2]
