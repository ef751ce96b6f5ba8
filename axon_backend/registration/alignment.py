"""Alignment of two images in the plane by Gauss-Newton steps on their normalised correlation.

The correlation of two images whose grey scales differ is maximised as a least-squares problem (ECC,
Evangelidis and Psarakis, IEEE PAMI 30 (2008) 1858), with the roles of the images exchanged (inverse
compositional, Baker and Matthews, IJCV 56 (2004) 221): the derivatives are those of the reference,
which does not move, so each step costs one resampling of the X-ray. Steps that do not raise the
score are shortened (Levenberg-Marquardt). Where gradient descent takes 60 steps, this takes ten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.errors import Cancelled
from axon_backend.imaging.matching import local_contrast, shrink_to
from axon_backend.registration.similarity import compressed

# One unit of each parameter moves the boundary of the field by about half a per cent of its width:
# rotation (radians), log scale, shift right, shift down; then aspect ratio, and shear.
UNITS = (0.01, 0.01, 0.005, 0.005, 0.01, 0.01)
FREE = {"similarity": 4, "affine": 6}
# What of the images is correlated, and with which weight: intensities, and derivatives down and
# across; of edges, the derivatives alone, compressed.
WEIGHTS = {"contrast": (0.5, 0.25, 0.25), "edges": (0.5, 0.5)}
# If the X-ray covers less than this fraction of the field, its placement is not determined.
LEAST_SHOWN = {"contrast": 0.5, "edges": 0.2}
# Pixels of the X-ray for one of the grid.
OVERSAMPLED = 1.5
# No step is longer (units): the derivatives are valid nearby only.
LONGEST = 8.0
# Damping of the first step, its smallest value, and the one at which the search gives up.
DAMPING, LEAST_DAMPING, MOST_DAMPING = 0.05, 0.01, 50.0
# The score falls by this times the squared shear, the cosine of the angle between the axes. Chests
# differ in proportions but not in shear, which however makes anything else resemble a chest.
SHEAR_PENALTY = 6.0
# A correlation below this counts as this: the steps of a hardly correlated pair would be too long.
LEAST_NCC = 0.4


def movement(parameters: torch.Tensor) -> torch.Tensor:
    """(3, 3) map of the field [0, 1]^2 about its centre, for (4,) or (6,) parameters in units."""
    values = parameters * parameters.new_tensor(UNITS[: len(parameters)])
    turn, size = values[0], torch.exp(values[1])
    c, s = size * turn.cos(), size * turn.sin()
    linear = torch.stack([torch.stack([c, -s]), torch.stack([s, c])])
    if len(values) == 6:
        one, stretch = torch.ones_like(c), torch.exp(0.5 * values[4])
        warp = [torch.stack([stretch, values[5]]), torch.stack([0 * one, one / stretch])]
        linear = linear @ torch.stack(warp)
    middle = parameters.new_tensor([0.5, 0.5])
    shift = middle + values[2:4] - linear @ middle
    top = torch.cat([linear, shift[:, None]], 1)
    return torch.cat([top, top.new_tensor([[0.0, 0.0, 1.0]])])


@dataclass(frozen=True)
class _Target:
    """The reference where the X-ray covers it: each (C, N) or (C, N, P) for C features of N pixels
    and P parameters; centred, weighted, of unit norm.

    Attributes:
        covered: (n, n) weight of each pixel of the field, 0 or 1.
        weights: (C, N) the same for each feature.
        features: (C, N).
        derivatives: (C, N, P) of ``features``, by the parameters.
        normal: (P, P) matrix of the least-squares problem.
    """

    covered: torch.Tensor
    weights: torch.Tensor
    features: torch.Tensor
    derivatives: torch.Tensor
    normal: torch.Tensor


@dataclass(frozen=True)
class _State:
    """The score of a placement, and the sides of the equation for the step from there."""

    score: float
    normal: torch.Tensor
    gradient: torch.Tensor


class Alignment:
    """An X-ray and its reference at one resolution.

    Args:
        moving: (H, W) X-ray.
        fixed: (N, N) reference over its field [0, 1]^2.
        start: (3, 3), field -> pixels (column, row) of ``moving``; how large the field is there.
        pixels: side of the grid over the field on which the images are compared.
        transform: ``similarity`` or ``affine``.
        features: ``contrast`` (intensities and gradients after ``local_contrast``) or ``edges``
            (gradients compressed, so that letters and wires count no more than ribs).
        valid: (H, W) bool, False where ``moving`` has no content.
    """

    def __init__(
        self,
        moving: np.ndarray,
        fixed: np.ndarray,
        start: np.ndarray,
        pixels: int,
        *,
        transform: str,
        features: str,
        valid: np.ndarray | None = None,
    ) -> None:
        self._features, self._free, n = features, FREE[transform], pixels
        shown = np.ones(moving.shape, np.float32) if valid is None else valid.astype(np.float32)
        field = float(np.sqrt(abs(np.linalg.det(start[:2, :2]))))
        shrink = OVERSAMPLED * n / field
        h, w = moving.shape
        if shrink < 1:
            small = max(1, round(h * shrink)), max(1, round(w * shrink))
            moving, shown = shrink_to(moving, *small), shrink_to(shown, *small)
        self._image = torch.as_tensor(moving.astype(np.float32))
        self._shown = torch.as_tensor(shown)
        self._fixed = torch.as_tensor(shrink_to(fixed, n, n))
        at = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        y, x = torch.meshgrid(at, at, indexing="ij")
        self._field = torch.stack([x, y, torch.ones_like(x)], -1)
        # Pixel (column, row) -> grid_sample's [-1, 1].
        self._to_grid = np.array([[2 / w, 0, 1 / w - 1], [0, 2 / h, 1 / h - 1], [0, 0, 1]])
        self._weights = torch.tensor(WEIGHTS[features])
        self._derivatives = self._central_differences()
        # For one coverage: mostly that of the step before.
        self._target: _Target | None = None

    def climb(
        self,
        start: np.ndarray,
        steps: int,
        tolerance: float,
        cancelled: Callable[[], bool] | None = None,
    ) -> tuple[float, np.ndarray]:
        """Move a placement to the nearest maximum of the score.

        Args:
            start: (3, 3), field -> pixels (column, row) of the X-ray.
            steps: largest number of steps.
            tolerance: a step shorter than this (units) is the last.
            cancelled: checked before every step.

        Returns:
            The score, at most 1 (the correlation, reduced by what the X-ray does not cover and by
            the shear), and the (3, 3) placement; ``start`` if no step improved on it. The score is
            -1 if the X-ray covers too little.

        Raises:
            Cancelled: ``cancelled()`` was true.
        """
        best, state = start, self._at(start)
        if state is None:
            return -1.0, start
        damping = DAMPING
        for _ in range(steps):
            if cancelled is not None and cancelled():
                raise Cancelled("stopped during the registration")
            diagonal = state.normal.diagonal()
            damped = state.normal + torch.diag(diagonal * damping + 1e-9)
            step = torch.linalg.solve(damped, state.gradient)
            length = float(step.abs().max())
            if length < tolerance:
                break
            step *= min(1.0, LONGEST / length)
            # The reference moved by the step would lie as the X-ray does now.
            there = best @ np.linalg.inv(movement(step).numpy())
            found = self._at(there)
            if found is not None and found.score > state.score:
                best, state, damping = there, found, max(LEAST_DAMPING, damping / 3)
            elif damping < MOST_DAMPING:
                damping *= 6
            else:
                break
        return state.score, best

    def _central_differences(self) -> torch.Tensor:
        """(C, N, P) derivatives of the reference's features by the parameters."""
        to_grid = np.array([[2.0, 0, -1], [0, 2, -1], [0, 0, 1]])
        everywhere = torch.ones_like(self._fixed)
        found = []
        for number in range(self._free):
            step = torch.zeros(self._free, dtype=torch.float64)
            step[number] = 0.5
            moved = [
                self._compared(_sample(self._fixed, self._field, to_grid @ m), everywhere)
                for m in (movement(step).numpy(), movement(-step).numpy())
            ]
            found.append(moved[0] - moved[1])
        return torch.stack(found, -1)

    def _compared(self, image: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """(C, N) features of an image (n, n)."""
        contrast = local_contrast(image, weight)
        down, across = F.pad(contrast.diff(dim=0), (0, 0, 0, 1)), F.pad(contrast.diff(), (0, 1))
        if self._features == "contrast":
            return torch.stack([contrast, down, across]).flatten(1)
        pairs = zip((down, across), _of_differences(weight), strict=True)
        return torch.stack([compressed(slope, seen) for slope, seen in pairs]).flatten(1)

    def _covered(self, weight: torch.Tensor) -> _Target:
        """The reference where the X-ray covers it."""
        down, across = _of_differences(weight)
        each = [down, across] if self._features == "edges" else [weight, down, across]
        weights = torch.stack(each).flatten(1)
        features, norm = _normalised(self._compared(self._fixed, weight), weights)
        total = weights.sum(1)[:, None, None].clamp_min(1)
        mean = (self._derivatives * weights[..., None]).sum(1, keepdim=True) / total
        slopes = (self._derivatives - mean) * weights[..., None] / norm[..., None]
        # A step that only changes the norm does not change the correlation.
        along = (features[..., None] * slopes).sum(1, keepdim=True)
        slopes = slopes - features[..., None] * along
        normal = torch.einsum("c,cni,cnj->ij", self._weights, slopes, slopes).double()
        return _Target(weight, weights, features, slopes, normal)

    def _at(self, matrix: np.ndarray) -> _State | None:
        """The state at a placement; None if the X-ray covers too little of the field."""
        to_grid = self._to_grid @ matrix
        weight = (_sample(self._shown, self._field, to_grid, "zeros") > 0.99).float()
        covered = float(weight.mean())
        if covered < LEAST_SHOWN[self._features]:
            return None
        target = self._target
        if target is None or not torch.equal(weight, target.covered):
            target = self._target = self._covered(weight)
        image = _sample(self._image, self._field, to_grid)
        found, _ = _normalised(self._compared(image, weight), target.weights)
        ncc = float((found * target.features).sum(1) @ self._weights)
        gradient = torch.einsum("c,cni,cn->i", self._weights, target.derivatives, found).double()
        score = ncc * (0.5 + 0.5 * covered) if ncc > 0 else ncc
        normal = target.normal * max(LEAST_NCC, ncc)
        if self._free == 6:  # a step of one unit takes UNITS[5] from the shear
            x, y = matrix[:2, 0], matrix[:2, 1]
            shear = float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))
            score -= SHEAR_PENALTY * shear**2
            gradient[5] += 2 * SHEAR_PENALTY * UNITS[5] * shear
            normal[5, 5] += 2 * SHEAR_PENALTY * UNITS[5] ** 2
        return _State(score, normal, gradient)


def _sample(
    image: torch.Tensor, field: torch.Tensor, to_grid: np.ndarray, outside: str = "border"
) -> torch.Tensor:
    """(n, n) an image sampled where ``to_grid`` maps the points of the field."""
    grid = (field @ torch.as_tensor(to_grid).T)[None, ..., :2].float()
    return F.grid_sample(image[None, None], grid, align_corners=False, padding_mode=outside)[0, 0]


def _of_differences(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The weights of the differences down and across, 0 in the last row and column."""
    down, across = weight[1:] * weight[:-1], weight[:, 1:] * weight[:, :-1]
    return F.pad(down, (0, 0, 0, 1)), F.pad(across, (0, 1))


def _normalised(values: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each feature (C, N) centred, weighted and of unit norm; and the norms (C, 1)."""
    total = weights.sum(1, keepdim=True).clamp_min(1)
    centred = (values - (values * weights).sum(1, keepdim=True) / total) * weights
    norm = centred.norm(dim=1, keepdim=True).clamp_min(1e-6)
    return centred / norm, norm
