"""The look of a clinical picture: window, multi-scale and local contrast, tone curve.

What a workstation shows is not what the detector recorded. Vendors' processing is secret in its
details and alike in kind: a pyramid of detail layers whose weak contrasts are raised and whose
strong ones are held back (Vuylsteke, Schoeters, SPIE 2167 (1994) 551), contrast equalised by
neighbourhood (after Pizer and others, CVGIP 39 (1987) 355), and an S-shaped curve as film had.
Everything is differentiable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from axon_backend.errors import AxonInputError


@dataclass(frozen=True)
class Look:
    """How a log picture is shown.

    Attributes:
        low, high: quantiles of the picture inside the body that become black and white.
        detail: exponent on the strength of detail, 1 leaves it, 0.6 to 0.8 is usual, lower is
            more processed.
        latitude: factor on what is larger than about a twentieth of the picture; below 1 brings
            lung and mediastinum together.
        local: 0 to 1, how far local contrast is made equal everywhere.
        steepness: of the S-curve at its middle, 1 is a straight line.
        middle: the grey of the S-curve's middle, 0 to 1.

    Raises:
        AxonInputError: quantiles that do not rise from 0 to 1, or another value out of range.
    """

    low: float = 0.02
    high: float = 0.995
    detail: float = 0.7
    latitude: float = 0.7
    local: float = 0.3
    steepness: float = 1.4
    middle: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1:
            raise AxonInputError(
                f"The window's quantiles are {self.low:g} and {self.high:g}; they rise within 0 "
                "and 1."
            )
        limits = {
            "detail": (0.3, 1.5),
            "latitude": (0.2, 2.0),
            "local": (0.0, 1.0),
            "steepness": (1.0, 6.0),
            "middle": (0.0, 1.0),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise AxonInputError(
                    f"The look's {name} is {getattr(self, name):g}; it is between {low:g} and "
                    f"{high:g}."
                )


# Detail below this contrast (in the window's range) is noise as much as anatomy: not raised more.
_LEAST_CONTRAST = 0.01
_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def clinical_look(
    log: torch.Tensor, look: Look | None = None, field: torch.Tensor | None = None
) -> torch.Tensor:
    """Log pictures as a workstation would show them.

    Args:
        log: (B, H, W), bright = attenuation.
        look: the processing.
        field: (B, H, W) bool, False outside the collimator's blades: black, as under an electronic
            shutter, and without a say in the window.

    Returns:
        (B, H, W) in [0, 1].
    """
    look = look or Look()
    if field is None:
        return torch.stack([_look_of_one(picture, look, None) for picture in log])
    return torch.stack(
        [_look_of_one(picture, look, mask) for picture, mask in zip(log, field, strict=True)]
    )


def _look_of_one(log: torch.Tensor, look: Look, field: torch.Tensor | None) -> torch.Tensor:
    if field is not None and not bool(field.all()) and bool(field.any()):
        log = torch.where(field, log, log[field].mean())
    else:
        field = None
    x = windowed(log, look.low, look.high, field)[None, None]
    if look.detail != 1.0 or look.latitude != 1.0:
        x = _multi_scale(x, look.detail, look.latitude)
    if look.local > 0:
        x = torch.lerp(x, _equalised(x), look.local)
    x = windowed(x[0, 0], 0.005, 0.998, field).clamp(0, 1)
    x = s_curve(x, look.steepness, look.middle)
    return x if field is None else torch.where(field, x, torch.zeros_like(x))


def windowed(
    picture: torch.Tensor, low: float, high: float, field: torch.Tensor | None = None
) -> torch.Tensor:
    """Linear, so that two quantiles of what is in the field and not open beam become 0 and 1; not
    clipped above, held just below 0."""
    values = picture.detach()
    values = values.reshape(-1) if field is None else values[field]
    # Open beam makes a spike at the lower end that says nothing on the body.
    span = values.max() - values.min()
    body = values[values > values.min() + 0.08 * span]
    body = body if body.numel() > 100 else values
    body = body[:: max(1, body.numel() // 32768)]
    ends = torch.quantile(body, torch.tensor([low, high], device=body.device, dtype=body.dtype))
    return ((picture - ends[0]) / (ends[1] - ends[0]).clamp_min(1e-6)).clamp_min(-0.1)


def s_curve(x: torch.Tensor, steepness: float, middle: float) -> torch.Tensor:
    """[0, 1] to [0, 1] by a logistic curve through both ends, ``steepness`` at its middle."""
    if steepness <= 1.0:
        return x
    k = 4.0 * steepness * 0.75
    ends = torch.sigmoid(torch.tensor([-k * middle, k * (1 - middle)], dtype=x.dtype))
    low, high = float(ends[0]), float(ends[1])
    return (torch.sigmoid(k * (x - middle)) - low) / (high - low)


def _smooth(x: torch.Tensor) -> torch.Tensor:
    kernel = x.new_tensor(_BINOMIAL)[None, None]
    x = F.conv2d(F.pad(x, (0, 0, 2, 2), mode="reflect"), kernel[..., None])
    return F.conv2d(F.pad(x, (2, 2, 0, 0), mode="reflect"), kernel[:, :, None])


def _multi_scale(x: torch.Tensor, exponent: float, latitude: float) -> torch.Tensor:
    """Laplacian pyramid with a power law on the detail of each layer."""
    details: list[torch.Tensor] = []
    while min(x.shape[-2:]) >= 16:
        small = _smooth(x)[..., ::2, ::2]
        up = F.interpolate(small, size=x.shape[-2:], mode="bilinear", align_corners=False)
        details.append(x - up)
        x = small
    x = x.mean() + latitude * (x - x.mean())
    for layer in reversed(details):
        x = F.interpolate(x, size=layer.shape[-2:], mode="bilinear", align_corners=False)
        strength = (layer**2 + _LEAST_CONTRAST**2).sqrt()
        coarse = min(max((7 - math.log2(min(layer.shape[-2:]))) / 3, 0.0), 1.0)  # 16: 1, 128: 0
        x = x + latitude**coarse * layer * (strength / 0.15) ** (exponent - 1)
    return x


def _equalised(x: torch.Tensor) -> torch.Tensor:
    """Mean and spread by neighbourhood (an eighth of the picture) made alike, as CLAHE does."""
    size = max(2, min(x.shape[-2:]) // 8)
    coarse = (max(2, x.shape[-2] // size), max(2, x.shape[-1] // size))

    def local_mean(t: torch.Tensor) -> torch.Tensor:
        small = F.adaptive_avg_pool2d(t, coarse)
        return F.interpolate(small, size=t.shape[-2:], mode="bicubic", align_corners=False)

    mean = local_mean(x)
    spread = local_mean((x - mean) ** 2).clamp_min(0).sqrt()
    typical = spread.detach().mean().clamp_min(1e-6)
    # The limit: flat neighbourhoods are not raised beyond three times.
    gain = typical / (spread + typical / 3)
    return x.mean() + 0.5 * (mean - x.mean()) + gain * (x - mean)
