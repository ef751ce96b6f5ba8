"""Random clinical appearance of a clean projection, as a configured list of transforms.

A DRR shows line integrals; an archived radiograph also has scatter, noise, a tone curve, local
contrast processing, collimation and lead letters, and its registration is slightly off. Networks
trained only on unprocessed DRRs do not generalise to radiographs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.physics.randomise import (
    line_integrals_from_paths,
    paths_from_line_integrals,
    random_xray,
)

# Largest share of the image that is replaced by its blur, and the range of the blur's standard
# deviation in image sides.
SCATTER_SHARE, SCATTER_WIDTH = 0.5, (0.05, 0.15)
# Ranges of the unsharp mask's gain, and of its blur's standard deviation in image sides.
LOCAL_CONTRAST_GAIN, LOCAL_CONTRAST_WIDTH = (-0.2, 1.2), (0.02, 0.12)
# Largest share of the image that is replaced by one of even local contrast, and the range of the
# window's side in image sides.
EVEN_SHARE, EVEN_WINDOW = 1.0, (1 / 16, 1 / 4)
# Largest share of the pixels clipped at each end of the grey scale.
CLIPPED = 0.05
# Standard deviation of the log of the tone exponent.
LOG_GAMMA = 0.3
# Ranges of the S-shaped tone curve.
SIGMOID_SLOPE, SIGMOID_CENTRE = (2.0, 6.0), (0.35, 0.65)
# Range of the standard deviation of the focal spot and detector blur.
BLUR_PIXELS = (0.3, 1.2)
# Largest standard deviation of additive noise (the image's range is 1).
NOISE = 0.04
# Standard deviations of rotation, log of the scale, and shift in half image sides.
MISREGISTRATION_DEG, MISREGISTRATION_SCALE, MISREGISTRATION_SHIFT = 1.5, 0.02, 0.02
# Range of a letter's side in image sides.
LETTER_SIZE = (1 / 32, 1 / 12)
# Largest share of the image that is cut off at each side.
COLLIMATION_CUT = 0.12


@dataclass(frozen=True)
class Probabilities:
    """Probability of each transform for an image that is augmented."""

    scatter: float = 0.5
    local_contrast: float = 0.5
    even_contrast: float = 0.4
    gamma: float = 1.0
    clipping: float = 0.4
    sigmoid: float = 0.4
    blur: float = 0.4
    noise: float = 1.0
    misregistration: float = 0.2
    letters: float = 0.3
    collimation: float = 0.25

    def __post_init__(self) -> None:
        for name, p in vars(self).items():
            if not 0.0 <= p <= 1.0:
                raise ValueError(f"{name} is {p:g}; it is a probability, from 0 to 1")


@dataclass(frozen=True)
class RadiographAugmentation:
    """Augmentation of the appearance of training images.

    Attributes:
        clean: probability that an image is left unchanged.
        physical: share of the augmented images that are simulated physically
            (``physics.randomise``) instead of by the quick transforms (scatter to noise);
            misregistration, letters and collimation follow in both cases.
        p: probability of each transform.
    """

    clean: float = 0.7
    physical: float = 0.0
    p: Probabilities = field(default_factory=Probabilities)


# A transform: (1, 1, S, S) image in about [0, 1], random generator -> image.
Transform = Callable[[torch.Tensor, np.random.Generator], torch.Tensor]


def augment_radiograph(
    image: torch.Tensor, rng: np.random.Generator, a: RadiographAugmentation
) -> torch.Tensor:
    """One projection with a random clinical appearance.

    Args:
        image: (1, 1, S, S) line integrals at 70 keV, or (1, 4, S, S) path lengths in g/cm^2 of
            ``physics.tissues.TISSUES``, which include the true bone.
        rng: source of all randomness.
        a: the augmentation's settings.

    Returns:
        (1, 1, S, S) float32, attenuation bright, on an arbitrary affine scale.
    """
    lines = image if image.shape[1] == 1 else line_integrals_from_paths(image)[:, None]
    if rng.random() < a.clean:
        return lines
    # No number is drawn for a disabled transform, so that settings with physical = 0 give the same
    # images as in versions without it.
    if a.physical > 0 and rng.random() < a.physical:
        paths = paths_from_line_integrals(image[0, 0]) if image.shape[1] == 1 else image[0]
        x = _unit(random_xray(paths, rng)[None, None])
    else:
        x = _apply(QUICK, _unit(lines), rng, a.p)
    return _apply(EXPOSED, x, rng, a.p)


def augment_real(
    image: torch.Tensor, rng: np.random.Generator, a: RadiographAugmentation
) -> torch.Tensor:
    """A registered X-ray with another tone exponent and the :data:`EXPOSED` transforms; no other
    exposure is simulated.

    Arguments and return value as in :func:`augment_radiograph`.
    """
    if rng.random() < a.clean:
        return image
    return _apply((("gamma", gamma), *EXPOSED), _unit(image), rng, a.p)


def _apply(
    transforms: tuple[tuple[str, Transform], ...],
    x: torch.Tensor,
    rng: np.random.Generator,
    probabilities: Probabilities,
) -> torch.Tensor:
    for name, transform in transforms:
        p = getattr(probabilities, name)
        if p >= 1 or (p > 0 and rng.random() < p):
            x = transform(x, rng)
    return x


def _unit(x: torch.Tensor) -> torch.Tensor:
    """Stretched to [0, 1]."""
    low, high = x.amin(), x.amax()
    return (x - low) / (high - low).clamp_min(1e-6)


def gaussian_blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur a (B, 1, H, W) image with a replicated border; sigma in pixels."""
    radius = max(1, min(int(3 * sigma + 0.5), min(image.shape[-2:]) - 1))
    t = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-0.5 * (t / sigma) ** 2)
    kernel = (kernel / kernel.sum())[None, None]
    image = F.pad(image, (radius, radius, 0, 0), mode="replicate")
    image = F.conv2d(image, kernel[:, :, None])
    image = F.pad(image, (0, 0, radius, radius), mode="replicate")
    return F.conv2d(image, kernel[..., None])


def scatter(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Scattered radiation: a share of the image is replaced by its blur."""
    share = float(rng.uniform(0, SCATTER_SHARE))
    width = float(rng.uniform(*SCATTER_WIDTH)) * x.shape[-1]
    return (1 - share) * x + share * gaussian_blur(x, width)


def local_contrast(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A workstation's unsharp mask."""
    gain = float(rng.uniform(*LOCAL_CONTRAST_GAIN))
    width = float(rng.uniform(*LOCAL_CONTRAST_WIDTH)) * x.shape[-1]
    return _unit(x + gain * (x - gaussian_blur(x, width)))


def even_contrast(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A workstation's adaptive equalisation: local mean and standard deviation become those of the
    whole image, in a share of it."""
    share = float(rng.uniform(0, EVEN_SHARE))
    width = float(rng.uniform(*EVEN_WINDOW)) * x.shape[-1] / 2
    mean = gaussian_blur(x, width)
    deviation = (gaussian_blur(x.square(), width) - mean.square()).clamp_min(0).sqrt()
    whole = x.std()
    even = (x - mean) / (deviation + 0.1 * whole).clamp_min(1e-6) * whole + x.mean()
    return _unit((1 - share) * x + share * even)


def clipping(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Blackened and burnt-out areas: both ends of the grey scale are cut."""
    low, high = rng.uniform(0, CLIPPED, 2)
    ends = torch.quantile(x.flatten(), torch.tensor([low, 1 - high], dtype=x.dtype))
    return _unit(x.clamp(ends[0], ends[1]))


def gamma(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A random tone exponent."""
    return x.clamp(0, 1) ** float(np.exp(rng.normal(0, LOG_GAMMA)))


def sigmoid(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """The S-shaped curve of film."""
    slope, centre = float(rng.uniform(*SIGMOID_SLOPE)), float(rng.uniform(*SIGMOID_CENTRE))
    return torch.sigmoid(slope * (x - centre))


def blur(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Blur of focal spot and detector."""
    return gaussian_blur(x, float(rng.uniform(*BLUR_PIXELS)))


def noise(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """White Gaussian noise."""
    values = torch.as_tensor(rng.standard_normal(x.shape), dtype=x.dtype)
    return x + float(rng.uniform(0, NOISE)) * values


def misregistration(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A small similarity transform of the image against the volume."""
    angle = np.deg2rad(rng.normal(0, MISREGISTRATION_DEG))
    scale = float(np.exp(rng.normal(0, MISREGISTRATION_SCALE)))
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    shift = MISREGISTRATION_SHIFT
    theta = torch.tensor(
        [[c, -s, rng.normal(0, shift)], [s, c, rng.normal(0, shift)]], dtype=x.dtype
    )
    grid = F.affine_grid(theta[None], list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False, padding_mode="border")


def letters(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A lead letter or a burned-in label, as a square of one grey level."""
    size = x.shape[-1]
    low, high = (int(size * part + 1e-9) for part in LETTER_SIZE)
    side = int(rng.integers(low, high))
    row, column = int(rng.integers(0, size - side)), int(rng.integers(0, size - side))
    x[..., row : row + side, column : column + side] = float(rng.choice([0.0, 1.0, 1.1]))
    return x


def collimation(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Collimator blades at the four sides."""
    size = x.shape[-1]
    cut = (rng.uniform(0, COLLIMATION_CUT, 4) * size).astype(int)
    keep = torch.zeros_like(x, dtype=torch.bool)
    keep[..., cut[0] : size - cut[1], cut[2] : size - cut[3]] = True
    return torch.where(keep, x, x.amin())


QUICK: tuple[tuple[str, Transform], ...] = (
    ("scatter", scatter),
    ("local_contrast", local_contrast),
    ("even_contrast", even_contrast),
    ("gamma", gamma),
    ("clipping", clipping),
    ("sigmoid", sigmoid),
    ("blur", blur),
    ("noise", noise),
)
"""Tone, contrast and noise of a radiograph by simple operations, in this order."""

EXPOSED: tuple[tuple[str, Transform], ...] = (
    ("misregistration", misregistration),
    ("letters", letters),
    ("collimation", collimation),
)
"""Transforms of any image, rendered or real, in this order."""
