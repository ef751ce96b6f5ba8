"""Agreement of two pictures in torch, differentiable: what the pose is found by.

The same measures as in ``quality``, which scores the result: correlation of locally normalised
pictures and of their derivatives.
"""

from __future__ import annotations

from functools import lru_cache

import torch

# Slopes are held below this many times their root mean square.
LIMIT = 1.5


def local_contrast(
    picture: torch.Tensor, weight: torch.Tensor, sigma: float | None = None
) -> torch.Tensor:
    """(H, W) -> zero local mean and unit local deviation where ``weight`` (H, W) is not 0.

    See ``quality.local_contrast``: the window has the deviation ``sigma`` pixels, by default 1/8
    of the width.
    """
    sigma = picture.shape[1] / 8 if sigma is None else sigma
    half = round(0.5 * 6**0.5 * sigma)
    down, across = (_box_twice(n, half).to(picture) for n in picture.shape)

    def smooth(a: torch.Tensor) -> torch.Tensor:
        return down @ a @ across.T

    total = smooth(weight) + 1e-6
    mean = smooth(picture * weight) / total
    variance = (smooth((picture - mean) ** 2 * weight) / total).clamp_min(0)
    return (picture - mean) / torch.sqrt(variance + 1e-8) * weight


@lru_cache
def _box_twice(n: int, half: int) -> torch.Tensor:
    """(n, n): two box filters of 2 half + 1 pixels in turn, nearly a Gaussian, zero outside. At
    the sizes compared a product with a full matrix is quicker than any filter."""
    i = torch.arange(n)
    box = ((i[:, None] - i[None]).abs() <= half).float() / (2 * half + 1)
    return box @ box


def ncc(a: torch.Tensor, b: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Pearson's correlation of two pictures, each pixel counted by its weight."""
    total = weight.sum().clamp_min(1e-6)
    a = a - (a * weight).sum() / total
    b = b - (b * weight).sum() / total
    scale = ((a * a * weight).sum() * (b * b * weight).sum()).clamp_min(1e-12).sqrt()
    return (a * b * weight).sum() / scale


def agreement(moving: torch.Tensor, fixed: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean of NCC and gradient NCC of two pictures after :func:`local_contrast`, in [-1, 1]."""
    grey = ncc(moving, fixed, weight)
    down, across = weight[1:] * weight[:-1], weight[:, 1:] * weight[:, :-1]
    rows = ncc(moving.diff(dim=0), fixed.diff(dim=0), down)
    columns = ncc(moving.diff(dim=1), fixed.diff(dim=1), across)
    return 0.5 * grey + 0.25 * (rows + columns)


def border_agreement(
    moving: torch.Tensor, fixed: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Correlation of the limited derivatives of two pictures, in [-1, 1].

    Unlike the greys, borders stay where they are when scatter, beam hardening or a tone curve
    change a picture: this has its maximum at the truth, and decides the last millimetres.
    """
    down, across = weight[1:] * weight[:-1], weight[:, 1:] * weight[:, :-1]
    rows = ncc(_limited(moving.diff(dim=0), down), _limited(fixed.diff(dim=0), down), down)
    columns = ncc(_limited(moving.diff(dim=1), across), _limited(fixed.diff(dim=1), across), across)
    return 0.5 * (rows + columns)


def _limited(slope: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Slopes far above the usual count as if they were smaller: letters, wires and the like."""
    square = (slope * slope * weight).sum() / weight.sum().clamp_min(1)
    usual = square.clamp_min(1e-12).sqrt()  # in this order: the root's slope at 0 is infinite
    return torch.tanh(slope / (LIMIT * usual))
