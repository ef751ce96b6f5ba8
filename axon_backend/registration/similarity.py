"""Similarity of two images of the same anatomy, independent of their grey scales.

The search, which needs gradients, and the score of its result share one definition: like
``imaging.matching.local_contrast``, :func:`ncc` takes NumPy arrays or torch tensors, for which it
is differentiable.
"""

from __future__ import annotations

from typing import Any, overload

import numpy as np
import torch
from scipy import ndimage

# Gradients are compressed towards this many times their root mean square.
GRADIENT_LIMIT = 1.5


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
    """Mean NCC of the row and column derivatives by Gaussians with a standard deviation of 1/64 of
    the width; all (H, W), ``valid`` is a mask."""
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

    Scatter, beam hardening or a tone curve change intensities but do not move edges, so the maximum
    is at the true alignment; it determines the last millimetres.
    """
    down, across = weight[1:] * weight[:-1], weight[:, 1:] * weight[:, :-1]
    rows = ncc(compressed(moving.diff(dim=0), down), compressed(fixed.diff(dim=0), down), down)
    columns = ncc(
        compressed(moving.diff(dim=1), across), compressed(fixed.diff(dim=1), across), across
    )
    return 0.5 * (rows + columns)


def compressed(gradient: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Limit gradients far above the root mean square (letters, wires) by a tanh."""
    square = (gradient * gradient * weight).sum() / weight.sum().clamp_min(1)
    rms = square.clamp_min(1e-12).sqrt()  # in this order: the root's derivative at 0 is infinite
    return torch.tanh(gradient / (GRADIENT_LIMIT * rms))
