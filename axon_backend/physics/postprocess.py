"""Post-processing of a clinical radiograph: window, multi-scale and local contrast, tone curve.

Workstations display processed images. Vendors' processing is proprietary in its details but of one
kind: a pyramid of detail layers whose weak contrasts are amplified and whose
strong ones are attenuated (Vuylsteke, Schoeters, SPIE 2167 (1994) 551), local contrast
equalisation (after Pizer and others, CVGIP 39 (1987) 355), and an S-shaped tone curve like that of
film. Everything is differentiable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from axon_backend.errors import AxonInputError


@dataclass(frozen=True)
class Postprocessing:
    """How a log image is post-processed for display.

    Attributes:
        low, high: quantiles of the intensities inside the body that become black and white.
        detail: exponent on the amplitude of detail; 1 leaves it unchanged, 0.6 to 0.8 is usual,
            lower is more strongly processed.
        latitude: factor on structures larger than about a twentieth of the image; below 1 narrows
            the range between lung and mediastinum.
        local: strength of the local contrast equalisation, 0 to 1.
        steepness: slope of the S-curve at its midpoint; 1 is a straight line.
        middle: grey value of the S-curve's midpoint, 0 to 1.

    Raises:
        AxonInputError: the quantiles are not increasing within [0, 1], or a value is out of range.
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
                f"The window's quantiles are {self.low:g} and {self.high:g}; they must be "
                "increasing and between 0 and 1."
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
                    f"The post-processing's {name} is {getattr(self, name):g}; it must be between "
                    f"{low:g} and {high:g}."
                )


# Detail below this contrast (relative to the window) is largely noise, so its gain is capped.
_LEAST_CONTRAST = 0.01
_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def postprocess(
    log: torch.Tensor, processing: Postprocessing | None = None, field: torch.Tensor | None = None
) -> torch.Tensor:
    """Post-process log images as a workstation would.

    Args:
        log: (B, H, W), bright = attenuation.
        processing: the settings; None is the default.
        field: (B, H, W) bool, False where the collimator blocks the beam: black, as under an
            electronic shutter, and ignored by the window.

    Returns:
        (B, H, W) in [0, 1].
    """
    processing = processing or Postprocessing()
    if field is None:
        return torch.stack([_postprocess_one(image, processing, None) for image in log])
    return torch.stack(
        [_postprocess_one(image, processing, mask) for image, mask in zip(log, field, strict=True)]
    )


def _postprocess_one(
    log: torch.Tensor, processing: Postprocessing, field: torch.Tensor | None
) -> torch.Tensor:
    if field is not None and not bool(field.all()) and bool(field.any()):
        log = torch.where(field, log, log[field].mean())
    else:
        field = None
    x = windowed(log, processing.low, processing.high, field)[None, None]
    if processing.detail != 1.0 or processing.latitude != 1.0:
        x = _multi_scale(x, processing.detail, processing.latitude)
    if processing.local > 0:
        x = torch.lerp(x, _equalised(x), processing.local)
    x = windowed(x[0, 0], 0.005, 0.998, field).clamp(0, 1)
    x = s_curve(x, processing.steepness, processing.middle)
    return x if field is None else torch.where(field, x, torch.zeros_like(x))


def windowed(
    image: torch.Tensor, low: float, high: float, field: torch.Tensor | None = None
) -> torch.Tensor:
    """Linear window: two quantiles of the exposed body (in the field, outside the open beam) become
    0 and 1; not clipped above, clipped just below 0."""
    values = image.detach()
    values = values.reshape(-1) if field is None else values[field]
    # The open beam is a peak at the lower end, which carries no information on the body.
    span = values.max() - values.min()
    body = values[values > values.min() + 0.08 * span]
    body = body if body.numel() > 100 else values
    body = body[:: max(1, body.numel() // 32768)]
    ends = torch.quantile(body, torch.tensor([low, high], device=body.device, dtype=body.dtype))
    return ((image - ends[0]) / (ends[1] - ends[0]).clamp_min(1e-6)).clamp_min(-0.1)


def s_curve(x: torch.Tensor, steepness: float, middle: float) -> torch.Tensor:
    """[0, 1] to [0, 1] by a logistic curve through both end points, of slope ``steepness`` at its
    midpoint."""
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
    """Equalise the local mean and standard deviation (over an eighth of the image), like CLAHE."""
    size = max(2, min(x.shape[-2:]) // 8)
    coarse = (max(2, x.shape[-2] // size), max(2, x.shape[-1] // size))

    def local_mean(t: torch.Tensor) -> torch.Tensor:
        small = F.adaptive_avg_pool2d(t, coarse)
        return F.interpolate(small, size=t.shape[-2:], mode="bicubic", align_corners=False)

    mean = local_mean(x)
    spread = local_mean((x - mean) ** 2).clamp_min(0).sqrt()
    typical = spread.detach().mean().clamp_min(1e-6)
    # The gain is limited to three, so that flat regions are not amplified further.
    gain = typical / (spread + typical / 3)
    return x.mean() + 0.5 * (mean - x.mean()) + gain * (x - mean)
