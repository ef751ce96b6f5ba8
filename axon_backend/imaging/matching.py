"""Tools to compare two X-rays: normalisation of the grey scale, downsampling, correlation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from scipy import fft, ndimage

if TYPE_CHECKING:
    import torch


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

    This removes the influence of grey scale, exposure and slow variations on a comparison.

    Args:
        image: (H, W).
        valid: (H, W) mask or weight; pixels of weight 0 are ignored and become 0. None: all valid.
        sigma: standard deviation of the window in pixels; None is 1/8 of the width.

    Returns:
        (H, W): float32 for an array, the image's own type for a tensor.
    """
    # Two box filters approximate a Gaussian; their cost does not depend on the width.
    half = round(0.5 * 6**0.5 * (image.shape[1] / 8 if sigma is None else sigma))
    root: Callable[[Any], Any] = np.sqrt
    if isinstance(image, np.ndarray):
        weight = np.ones(image.shape, np.float32) if valid is None else valid.astype(np.float32)

        def smooth(a: Any) -> Any:
            once = ndimage.uniform_filter(a, 2 * half + 1, mode="constant")
            return ndimage.uniform_filter(once, 2 * half + 1, mode="constant")
    else:
        import torch  # not imported when an X-ray is only read

        root = torch.sqrt
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
    """(n, n) two box filters of ``2 half + 1`` pixels as one matrix, zero outside: at the image
    sizes of a search, the product with a full matrix is faster than a filter."""
    import torch

    i = torch.arange(n)
    box = ((i[:, None] - i[None]).abs() <= half).float() / (2 * half + 1)
    return box @ box


def shrink_by(image: np.ndarray, factor: int) -> np.ndarray:
    """(H, W) to (H // factor, W // factor), float32: means of blocks of ``factor`` x ``factor``
    pixels; rows and columns of incomplete blocks are dropped."""
    h, w = (n // factor for n in image.shape)
    blocks = image[: h * factor, : w * factor].reshape(h, factor, w, factor)
    return blocks.mean((1, 3), dtype=np.float32)


def shrink_to(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Low-pass filter (H, W) and resample it to (rows, columns), float32."""
    down, across = (_shrink(n, m) for n, m in zip(image.shape, (rows, columns), strict=True))
    return down @ image.astype(np.float32) @ across.T


@lru_cache(maxsize=8)  # hundreds of them would take tens of megabytes
def _shrink(n: int, m: int) -> np.ndarray:
    """(m, n) Gaussian filter (reflected at the ends) and linear interpolation, as one matrix: a
    search shrinks the same image to many sizes, and only the samples needed are computed."""
    sigma = max(0.0, 0.5 * n / m - 0.5)
    reach = int(4 * sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offsets / max(sigma, 1e-9)) ** 2)
    at = np.clip((np.arange(m) + 0.5) * n / m - 0.5, 0, n - 1)
    below = np.floor(at).astype(int)
    matrix = np.zeros((m, n))
    sample = np.arange(m)[:, None]
    for start, weight in ((below, 1 - (at - below)), (np.minimum(below + 1, n - 1), at - below)):
        column = (start[:, None] + offsets) % (2 * n)
        column = np.where(column < n, column, 2 * n - 1 - column)
        np.add.at(matrix, (sample, column), weight[:, None] * kernel / kernel.sum())
    return matrix.astype(np.float32)


def correlate(image: np.ndarray, templates: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For each template, the sums of its products with every part of an image of its size."""
    shape = [fft.next_fast_len(n, real=True) for n in image.shape]
    spectrum, found = fft.rfft2(image, shape), []
    for template in templates:
        product = fft.irfft2(spectrum * np.conj(fft.rfft2(template, shape)), shape)
        rows, columns = (n - m + 1 for n, m in zip(image.shape, template.shape, strict=True))
        found.append(product[:rows, :columns])
    return found


def box_sum(image: np.ndarray, side: int) -> np.ndarray:
    """Sums over every square of ``side`` pixels that fits in an image, by an integral image."""
    c = np.pad(image.cumsum(0, dtype=np.float64).cumsum(1), ((1, 0), (1, 0)))
    return c[side:, side:] - c[:-side, side:] - c[side:, :-side] + c[:-side, :-side]
