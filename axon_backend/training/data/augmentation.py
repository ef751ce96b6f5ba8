"""What a clinical X-ray's chain does to a clean projection, at random.

A DRR is a line integral; a film from the archive went through scatter, noise, a tone curve, local
contrast processing, collimation, lead letters and a slightly wrong registration. Training on the
unprocessed DRR alone makes networks that only work on DRRs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.physics.randomise import (
    XrayRanges,
    line_integrals_from_paths,
    paths_from_line_integrals,
    random_xray,
)


@dataclass(frozen=True)
class AppearanceAugmentation:
    """Probabilities and ranges: the one place where the look of training pictures is set.

    Attributes:
        clean: probability of no change at all.
        physical: share of the altered pictures that are exposed by the physics of ``xray`` instead
            of the quick tone changes (gamma, scatter, local contrast, noise). Misregistration,
            letters and collimation follow for both.
        xray: ranges of tube, grid, detector, dose and processing, each with its reason.
        gamma: standard deviation of the log of the tone exponent.
        scatter: largest share of the picture replaced by its blur.
        local_contrast: range of the unsharp-mask gain.
        noise: largest standard deviation of additive noise (picture range is 1).
        misregistration: probability of a small similarity of picture against volume.
        collimation, letters: probabilities.
    """

    clean: float = 0.7
    physical: float = 0.0
    xray: XrayRanges = field(default_factory=XrayRanges)
    gamma: float = 0.3
    scatter: float = 0.5
    local_contrast: tuple[float, float] = (-0.2, 1.2)
    noise: float = 0.04
    misregistration: float = 0.2
    collimation: float = 0.25
    letters: float = 0.3


def gaussian_blur(picture: torch.Tensor, sigma: float) -> torch.Tensor:
    """(B, 1, H, W) blurred with edges replicated; sigma in pixels."""
    radius = max(1, min(int(3 * sigma + 0.5), min(picture.shape[-2:]) - 1))
    t = torch.arange(-radius, radius + 1, dtype=picture.dtype, device=picture.device)
    kernel = torch.exp(-0.5 * (t / sigma) ** 2)
    kernel = (kernel / kernel.sum())[None, None]
    picture = F.pad(picture, (radius, radius, 0, 0), mode="replicate")
    picture = F.conv2d(picture, kernel[:, :, None])
    picture = F.pad(picture, (0, 0, radius, radius), mode="replicate")
    return F.conv2d(picture, kernel[..., None])


def alter(
    picture: torch.Tensor, rng: np.random.Generator, a: AppearanceAugmentation
) -> torch.Tensor:
    """One projection with a random clinical look.

    Args:
        picture: (1, 1, S, S) line integrals of 70 keV, or (1, 4, S, S) path lengths in g/cm^2 of
            ``physics.tissues.TISSUES``, which hold true bone.
        rng: all randomness comes from it.
        a: what may happen.

    Returns:
        (1, 1, S, S) float32, bright = attenuation, any affine scale.
    """
    lines = picture if picture.shape[1] == 1 else line_integrals_from_paths(picture)[:, None]
    if rng.random() < a.clean:
        return lines
    # No number is drawn for what is switched off: settings without physics give the same pictures
    # as before there was any.
    if a.physical > 0 and rng.random() < a.physical:
        paths = paths_from_line_integrals(picture[0, 0]) if picture.shape[1] == 1 else picture[0]
        x = random_xray(paths, rng, a.xray)[None, None]
        x = (x - x.amin()) / (x.amax() - x.amin()).clamp_min(1e-6)
    else:
        x = _quick(lines, rng, a)
    return _film(x, rng, a)


def _quick(
    picture: torch.Tensor, rng: np.random.Generator, a: AppearanceAugmentation
) -> torch.Tensor:
    """Tone, scatter, local contrast, blur and noise by simple operations; about [0, 1]."""
    size = picture.shape[-1]
    low, high = picture.amin(), picture.amax()
    x = (picture - low) / (high - low).clamp_min(1e-6)
    if rng.random() < 0.5:
        share = float(rng.uniform(0, a.scatter))
        x = (1 - share) * x + share * gaussian_blur(x, float(rng.uniform(0.05, 0.15)) * size)
    if rng.random() < 0.5:
        gain = float(rng.uniform(*a.local_contrast))
        x = x + gain * (x - gaussian_blur(x, float(rng.uniform(0.02, 0.12)) * size))
        x = (x - x.amin()) / (x.amax() - x.amin()).clamp_min(1e-6)
    x = x.clamp(0, 1) ** float(np.exp(rng.normal(0, a.gamma)))
    if rng.random() < 0.4:  # an S-shaped film curve
        steep, mid = float(rng.uniform(2, 6)), float(rng.uniform(0.35, 0.65))
        x = torch.sigmoid(steep * (x - mid))
    if rng.random() < 0.4:
        x = gaussian_blur(x, float(rng.uniform(0.3, 1.2)))
    noise = torch.as_tensor(rng.standard_normal(x.shape), dtype=x.dtype)
    x = x + float(rng.uniform(0, a.noise)) * noise
    return x


def _film(x: torch.Tensor, rng: np.random.Generator, a: AppearanceAugmentation) -> torch.Tensor:
    """What happens to any picture: a slightly wrong place, letters, blades."""
    size = x.shape[-1]
    if rng.random() < a.misregistration:
        angle, zoom = np.deg2rad(rng.normal(0, 1.5)), float(np.exp(rng.normal(0, 0.02)))
        c, s = zoom * np.cos(angle), zoom * np.sin(angle)
        theta = torch.tensor(
            [[c, -s, rng.normal(0, 0.02)], [s, c, rng.normal(0, 0.02)]], dtype=x.dtype
        )
        grid = F.affine_grid(theta[None], list(x.shape), align_corners=False)
        x = F.grid_sample(x, grid, align_corners=False, padding_mode="border")
    if rng.random() < a.letters:
        side = int(rng.integers(size // 32, size // 12))
        r, q = int(rng.integers(0, size - side)), int(rng.integers(0, size - side))
        x[..., r : r + side, q : q + side] = float(rng.choice([0.0, 1.0, 1.1]))
    if rng.random() < a.collimation:
        cut = (rng.uniform(0, 0.12, 4) * size).astype(int)
        keep = torch.zeros_like(x, dtype=torch.bool)
        keep[..., cut[0] : size - cut[1], cut[2] : size - cut[3]] = True
        x = torch.where(keep, x, x.amin())
    return x
