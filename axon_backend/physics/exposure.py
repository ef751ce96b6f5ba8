"""From path lengths to the detector signal: the imaging chain of an exposure.

Primary radiation (Beer-Lambert, poly-energetic) times inverse square, heel effect and collimation;
scatter, a blur of that primary; attenuation of both by the grid; quantum noise; blur of
scintillator, pixel and focal spot; electronic noise; flat-field correction; ``-ln``.

Everything except the random numbers is differentiable with respect to the path lengths, hence to
the pose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np
import torch

from axon_backend.errors import AxonInputError
from axon_backend.physics.detector import (
    NATIVE_PIXEL_MM,
    RQA5_PHOTONS,
    Detector,
    blurred,
)
from axon_backend.physics.geometry import AcquisitionGeometry
from axon_backend.physics.grid import Grid
from axon_backend.physics.scatter import scatter_image
from axon_backend.physics.spectrum import Tube
from axon_backend.physics.transmission import Beam, transmission

Side = Literal["top", "bottom", "left", "right"]
Noise = Literal["none", "gaussian", "poisson"]
# A chest attenuates like about 15 cm of water, behind which the mean energy of scatter is taken.
_TYPICAL_PATH = (("water",), (15.0,))
# Scattered photons have lost some 8 of 65 keV (Monte Carlo, 20 cm of water).
_LOST_KEV = 8.0
# Penumbra of the collimator on the isocentre plane, mm.
_PENUMBRA_MM = 3.0


@dataclass(frozen=True)
class XraySettings:
    """Exposure settings. The defaults are those of a chest stand (EUR 16260: 125 kV, grid of ratio
    10 to 12, focal spot up to 1.3 mm, SID 140 to 200 cm).

    Attributes:
        tube, grid, detector: the components.
        anode_side: the side of the image where the anode is; the beam is weaker there.
        flat_field: fraction of heel effect and inverse square that the detector's calibration
            removes, 0 to 1 (film and storage plates: 0).
        scatter: factor on the modelled scatter; 0 switches it off.
        gap_mm: distance from the patient's exit side to the detector.
        exposure_index: 100 times the air kerma in microgray at the detector behind the body (IEC
            62494-1), which the automatic exposure control maintains. Chest: 150 to 400.
        mas: tube load (DICOM ExposureInuAs / 1000), instead of the exposure index.
        noise: ``gaussian`` keeps gradients (reparameterised), ``poisson`` draws counts.
        collimation_mm: width and height of the field on the isocentre plane; None: the whole
            image.
        noise_pixel_mm: side of the detector area whose quanta determine a pixel's noise; None: the
            pixel itself. Smaller where an image was upsampled, or downsampled without averaging.

    Raises:
        AxonInputError: a value is out of range.
    """

    tube: Tube = field(default_factory=Tube)
    grid: Grid = field(default_factory=Grid)
    detector: Detector = field(default_factory=Detector)
    anode_side: Side = "top"
    flat_field: float = 1.0
    scatter: float = 1.0
    gap_mm: float = 50.0
    exposure_index: float = 250.0
    mas: float | None = None
    noise: Noise = "gaussian"
    collimation_mm: tuple[float, float] | None = None
    noise_pixel_mm: float | None = None

    def __post_init__(self) -> None:
        ranges = {
            "flat_field": (0.0, 1.0),
            "scatter": (0.0, 5.0),
            "gap_mm": (0.0, 1000.0),
            "exposure_index": (1.0, 10000.0),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise AxonInputError(
                    f"The X-ray's {name} is {getattr(self, name):g}; it must be between "
                    f"{low:g} and {high:g}."
                )
        if self.mas is not None and not 0.001 <= self.mas <= 1000:
            raise AxonInputError(
                f"The tube load is {self.mas:g} mAs; it must be between 0.001 and 1000."
            )
        if self.collimation_mm is not None and not all(
            20 <= side <= 5000 for side in self.collimation_mm
        ):
            raise AxonInputError(
                f"The collimator's field is {' x '.join(f'{s:g}' for s in self.collimation_mm)} "
                "mm; each side must be between 20 and 5000."
            )
        if self.noise_pixel_mm is not None and not 0.01 <= self.noise_pixel_mm <= 50:
            raise AxonInputError(
                f"The noise pixel is {self.noise_pixel_mm:g} mm; it must be between 0.01 and 50."
            )
        if self.anode_side not in ("top", "bottom", "left", "right"):
            raise AxonInputError(
                f"The anode side is {self.anode_side!r}; it must be top, bottom, left or right."
            )
        if self.noise not in ("none", "gaussian", "poisson"):
            raise AxonInputError(
                f"The noise is {self.noise!r}; it must be none, gaussian or poisson."
            )


@dataclass
class Exposures:
    """A batch of exposures, each (B, H, W), relative to the open beam on the central ray.

    Attributes:
        log: ``-ln`` of the recorded signal after flat-field correction: bright = more attenuation,
            about 0 where nothing is in the beam.
        signal: detector signal, behind the grid, with noise and blur.
        primary, scatter: primary and scattered radiation before the grid.
        field: True where the collimator passes the whole beam.
        mas: tube load of each image.
        spr: scatter-to-primary ratio of each image behind the body, before the grid (of means).
    """

    log: torch.Tensor
    signal: torch.Tensor
    primary: torch.Tensor
    scatter: torch.Tensor
    field: torch.Tensor
    mas: list[float]
    spr: list[float]


@cache
def _open_signal(tube: Tube, detector: Detector, off_axis_deg: float) -> float:
    """Deposited energy per mm^2 and mAs of the open beam along a ray, in arbitrary units."""
    spectrum = tube.spectrum(off_axis_deg)
    energy = spectrum.energy_kev
    return float((spectrum.photons * detector.efficiency(energy)) @ detector.deposit_kev(energy))


@cache
def _beam(tube: Tube, detector: Detector) -> Beam:
    return Beam.of(tube.spectrum(), detector)


@cache
def _counted_per_microgray(detector: Detector) -> float:
    """Quanta detected per mm^2 and microgray of the beam quality RQA5."""
    spectrum = Tube(70.0, 23.5, 0.0).spectrum()
    caught = spectrum.photons @ detector.efficiency(spectrum.energy_kev) / spectrum.photons.sum()
    return RQA5_PHOTONS * float(caught)


def field_map(
    geometry: AcquisitionGeometry, size: tuple[int, int], settings: XraySettings
) -> tuple[np.ndarray, np.ndarray]:
    """The open beam over the image, 1 on the central ray.

    Returns:
        (H, W) inverse square with obliquity (``cos^3``) times heel effect, and (H, W) the
        collimator: 1 in the field, 0 outside.
    """
    height, width = size
    u = ((np.arange(width) + 0.5) / width - 0.5) * geometry.extent_mm[0]
    v = ((np.arange(height) + 0.5) / height - 0.5) * geometry.extent_mm[1]
    cosine = geometry.sod_mm / np.sqrt(geometry.sod_mm**2 + u[None, :] ** 2 + v[:, None] ** 2)
    along = {"top": v[:, None], "bottom": -v[:, None], "left": u[None, :], "right": -u[None, :]}
    # Positive away from the anode.
    off_axis = np.degrees(np.arctan2(along[settings.anode_side], geometry.sod_mm))
    angles = np.linspace(off_axis.min() - 1e-9, off_axis.max() + 1e-9, 9)
    values = [_open_signal(settings.tube, settings.detector, float(round(a, 6))) for a in angles]
    heel = np.interp(off_axis, angles, values) / _open_signal(settings.tube, settings.detector, 0.0)
    blades = np.ones((height, width))
    if settings.collimation_mm is not None:
        for offset, side in zip((u[None, :], v[:, None]), settings.collimation_mm, strict=True):
            blades = blades * np.clip((side / 2 - np.abs(offset)) / _PENUMBRA_MM + 0.5, 0, 1)
    return cosine**3 * heel, blades


def expose(
    paths: torch.Tensor,
    names: Sequence[str],
    geometries: Sequence[AcquisitionGeometry],
    settings: XraySettings | Sequence[XraySettings] | None = None,
    *,
    seeds: Sequence[int] = (0,),
) -> Exposures:
    """Expose a batch of X-rays.

    Args:
        paths: (B, materials, H, W) path lengths in g/cm^2, see ``tissues.tissue_densities``.
        names: of the materials.
        geometries: one per image, or one for all.
        settings: one per image, or one for all; None is the default chest stand.
        seeds: of the noise, one per image. An image depends only on its own seed, so that a batch
            equals its images exposed one by one; a single seed s stands for s, s + 1, ...

    Returns:
        Tensors on the device of ``paths``.

    Raises:
        ValueError: the lengths do not match the batch.
    """
    count = len(paths)
    given = [settings or XraySettings()] if not isinstance(settings, Sequence) else list(settings)
    each = given * count if len(given) == 1 else given
    where = list(geometries) * count if len(geometries) == 1 else list(geometries)
    seed = [seeds[0] + i for i in range(count)] if len(seeds) == 1 else list(seeds)
    if not count == len(each) == len(where) == len(seed) or paths.shape[1] != len(names):
        raise ValueError(
            f"{tuple(paths.shape)} paths do not fit {len(names)} materials, {len(where)} "
            f"geometries, {len(each)} settings and {len(seed)} seeds"
        )
    log, signal, primary, scatter, inside, mas, spr = zip(
        *(_expose_one(*one, names) for one in zip(paths, where, each, seed, strict=True)),
        strict=True,
    )
    return Exposures(
        torch.stack(log),
        torch.stack(signal),
        torch.stack(primary),
        torch.stack(scatter),
        torch.stack(inside),
        list(mas),
        list(spr),
    )


def _expose_one(
    paths: torch.Tensor,
    geometry: AcquisitionGeometry,
    settings: XraySettings,
    seed: int,
    names: Sequence[str],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, float, float]:
    size = (paths.shape[-2], paths.shape[-1])
    beam = _beam(settings.tube, settings.detector)
    pixel_mm = geometry.imager_pixel_mm(*size)
    side = settings.noise_pixel_mm
    area = pixel_mm[0] * pixel_mm[1] if side is None else side**2
    flux, blades = (
        torch.as_tensor(a, dtype=paths.dtype, device=paths.device)
        for a in field_map(geometry, size, settings)
    )
    first, second = transmission(paths, names, beam)
    primary, square = first * flux * blades, second * flux * blades
    attenuation = -torch.log(first.clamp_min(1e-12)) * blades
    inside_kev = beam.mean_kev(*_TYPICAL_PATH)
    scatter = torch.zeros_like(primary)
    if settings.scatter > 0:
        scatter = settings.scatter * scatter_image(
            primary, attenuation, pixel_mm, energy_kev=inside_kev, gap_mm=settings.gap_mm
        )
    inside = blades > 0.999
    body = (attenuation.detach() > 0.3) & inside
    body = body if bool(body.any()) else inside
    spr = float((scatter[body].sum() / primary[body].sum().clamp_min(1e-12)).detach())

    tp = settings.grid.primary(settings.tube.spectrum().filtered("water", 150.0))
    ts = settings.grid.scatter(inside_kev - _LOST_KEV)
    shadow = settings.detector.focal_spot_mm * (geometry.magnification - 1)
    signal = tp * blurred(primary, pixel_mm, shadow_mm=shadow) + ts * scatter
    per_mas = beam.counted * (1000.0 / geometry.sid_mm) ** 2 * area
    if settings.mas is None:
        counted = settings.exposure_index / 100 * _counted_per_microgray(settings.detector) * area
        quanta = counted / max(float(signal[body].detach().median()), 1e-9)
    else:
        quanta = settings.mas * per_mas
    generator = torch.Generator().manual_seed(seed)

    def normal() -> torch.Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float32).to(signal)

    if settings.noise != "none":
        variance = (tp * square + ts * scatter * beam.excess) / quanta
        if settings.noise == "gaussian":
            signal = signal + normal() * variance.clamp_min(1e-20).sqrt()
        else:
            # Equivalent counts, which have this ratio of mean to standard deviation.
            counts = (signal**2 / variance.clamp_min(1e-20)).detach()
            drawn = torch.poisson(counts.cpu().float(), generator=generator).to(signal)
            signal = signal * drawn / counts.clamp_min(1e-6)
    signal = blurred(signal, pixel_mm, mtf50_per_mm=settings.detector.mtf50_per_mm)
    if settings.noise != "none" and settings.detector.electronic_quanta > 0:
        read_out = settings.detector.electronic_quanta * np.sqrt(area) / NATIVE_PIXEL_MM
        signal = signal + normal() * (read_out / quanta)
    # Signals below half a quantum carry no information.
    flat = tp * flux**settings.flat_field
    log = -torch.log((signal / flat).clamp_min(0.5 / max(quanta, 1.0)))
    return log, signal, primary, scatter, inside, quanta / per_mas, spr
