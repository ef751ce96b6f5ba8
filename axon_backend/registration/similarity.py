"""How well two images of one anatomy agree, whatever their grey scales.

One definition serves the search, which needs gradients, and the score of its result:
:func:`local_contrast` and :func:`ncc` take NumPy arrays or torch tensors, which stay
differentiable.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, overload

import numpy as np
import torch
from scipy import ndimage

# Gradients are compressed towards this many times their root mean square.
GRADIENT_LIMIT = 1.5


@overload
def local_contrast(
    image: np.ndarray, valid: np.ndarray | None = None, sigma: float | None = None
) -> np.ndarray: ...
@overload
def local_contrast(
    image: torch.Tensor, valid: torch.Tensor | None = None, sigma: float | None = None
) -> torch.Tensor: ...
def local_contrast(image: Any, valid: Any = None, sigma: float | None = None) -> Any:
    """Normalise an image to zero local mean and unit local standard deviation.

    This takes the grey scale, the exposure and slow variations out of a comparison.

    Args:
        image: (H, W).
        valid: (H, W) mask or weight; pixels of weight 0 are ignored and become 0. None: all count.
        sigma: standard deviation of the window in pixels; None is 1/8 of the width.

    Returns:
        (H, W): float32 for an array, the image's own type for a tensor.
    """
    # Two box filters, nearly a Gaussian: their cost does not grow with the width.
    half = round(0.5 * 6**0.5 * (image.shape[1] / 8 if sigma is None else sigma))
    root: Callable[[Any], Any] = torch.sqrt
    if isinstance(image, np.ndarray):
        root = np.sqrt
        weight = np.ones(image.shape, np.float32) if valid is None else valid.astype(np.float32)

        def smooth(a: Any) -> Any:
            once = ndimage.uniform_filter(a, 2 * half + 1, mode="constant")
            return ndimage.uniform_filter(once, 2 * half + 1, mode="constant")
    else:
        weight = torch.ones_like(image) if valid is None else valid
        down, across = (_box_filter_twice(n, half).to(image) for n in image.shape)

        def smooth(a: Any) -> Any:
            return down @ a @ across.T

    total = smooth(weight) + 1e-6
    mean = smooth(image * weight) / total
    variance = (smooth((image - mean) ** 2 * weight) / total).clip(0)
    normalised = (image - mean) / root(variance + 1e-8) * weight
    return normalised.astype(np.float32) if isinstance(image, np.ndarray) else normalised


@lru_cache
def _box_filter_twice(n: int, half: int) -> torch.Tensor:
    """(n, n) two box filters of ``2 half + 1`` pixels as one matrix, zero outside: at the sizes
    that a search compares, a product with a full matrix is faster than any filter."""
    i = torch.arange(n)
    box = ((i[:, None] - i[None]).abs() <= half).float() / (2 * half + 1)
    return box @ box


@overload
def ncc(a: np.ndarray, b: np.ndarray, valid: np.ndarray) -> float: ...
@overload
def ncc(a: torch.Tensor, b: torch.Tensor, valid: torch.Tensor) -> torch.Tensor: ...
def ncc(a: Any, b: Any, valid: Any) -> Any:
    """Normalised cross-correlation (Pearson's) of two images; 0 where either is constant.

    Args:
        a, b: (H, W).
        valid: (H, W): the mask of an array, the weight of each pixel of a tensor.

    Returns:
        [-1, 1]: a float, computed in double precision, for arrays; a scalar tensor for tensors.
    """
    arrays = isinstance(a, np.ndarray)
    if arrays:
        a, b = (image[valid].astype(np.float64) for image in (a, b))
        valid = np.ones(a.shape)
    total = valid.sum().clip(1e-6)
    a, b = (image - (image * valid).sum() / total for image in (a, b))
    square = ((a * a * valid).sum() * (b * b * valid).sum()).clip(1e-12)
    value = (a * b * valid).sum() / square**0.5 if arrays else (a * b * valid).sum() / square.sqrt()
    return float(value) if arrays else value


def gradient_ncc(a: np.ndarray, b: np.ndarray, valid: np.ndarray) -> float:
    """Mean NCC of the row and the column derivatives of Gaussians, whose standard deviation is 1/64
    of the width; all (H, W), ``valid`` a mask."""
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


def combined_ncc(moving: torch.Tensor, fixed: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean of the intensity NCC and the gradient NCC (finite differences) of two images after
    :func:`local_contrast`, in [-1, 1]; all (H, W)."""
    intensity = ncc(moving, fixed, weight)
    down, across = weight[1:] * weight[:-1], weight[:, 1:] * weight[:, :-1]
    rows = ncc(moving.diff(dim=0), fixed.diff(dim=0), down)
    columns = ncc(moving.diff(dim=1), fixed.diff(dim=1), across)
    return 0.5 * intensity + 0.25 * (rows + columns)


def edge_ncc(moving: torch.Tensor, fixed: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Gradient NCC of two images with compressed gradients, in [-1, 1]; all (H, W).

    Edges stay where they are when scatter, beam hardening or a tone curve change the intensities,
    so this has its maximum at the true alignment; it decides the last millimetres.
    """
    down, across = weight[1:] * weight[:-1], weight[:, 1:] * weight[:, :-1]
    rows = ncc(_compressed(moving.diff(dim=0), down), _compressed(fixed.diff(dim=0), down), down)
    columns = ncc(
        _compressed(moving.diff(dim=1), across), _compressed(fixed.diff(dim=1), across), across
    )
    return 0.5 * (rows + columns)


def _compressed(gradient: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Gradients far above the root mean square (letters, wires) are held back by a tanh."""
    square = (gradient * gradient * weight).sum() / weight.sum().clamp_min(1)
    rms = square.clamp_min(1e-12).sqrt()  # in this order: the root's derivative at 0 is infinite
    return torch.tanh(gradient / (GRADIENT_LIMIT * rms))
