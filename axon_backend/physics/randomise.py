"""Domain randomisation of radiographs: every exposure setting drawn at random.

A network trained on one kind of radiograph fails on others. The ranges are those of chest stands,
mobile units and archives; the reason for each is given beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from axon_backend.physics.detector import Detector
from axon_backend.physics.exposure import Side, XraySettings, expose
from axon_backend.physics.geometry import AcquisitionGeometry
from axon_backend.physics.grid import Grid
from axon_backend.physics.materials import mass_attenuation
from axon_backend.physics.postprocess import Postprocessing, postprocess
from axon_backend.physics.spectrum import Tube
from axon_backend.physics.tissues import CT_KEV, TISSUES

Range = tuple[float, float]
_SIDES: tuple[Side, ...] = ("top", "bottom", "left", "right")


@dataclass(frozen=True)
class XrayRanges:
    """Ranges (uniform unless stated otherwise) and probabilities.

    Attributes:
        kvp: 60 kV is used for infants and some mobile units, 80 to 100 for bedside chests without
            a grid, 110 to 150 for chest stands (EUR 16260: 125).
        al_mm: IEC 60601-1-3 requires 2.5 mm in total; tubes have up to 4.
        cu_mm, copper: thickness of added copper, and the probability that there is any: common
            collimators offer 0.1 to 0.3 mm; about half of the chest stands use it.
        anode_deg: 12 is usual, 8 to 16 are on the market.
        anode_top: probability that the anode is at the top of the image (the usual mounting of a
            stand); otherwise any side, as with mobile units and rotated plates.
        flat_field: 1 for flat panels at the distance they were calibrated for, 0 for storage
            plates and film, in between for other distances.
        grid, grid_ratio: probability of a grid (chest stands have one, mobile units seldom), and
            6 to 15 as on the market (EUR 16260: 10 to 12).
        strips_per_cm: 40 is usual, fine grids have up to 70.
        scatter: factor on the model, whose error against a Monte Carlo simulation is 20 %; larger
            values for scatter from the tube housing and table.
        gap_mm: from contact through a grid's cover to the air-gap technique.
        exposure_index: log-uniform. 100 to 800 covers clinical variation (AAPM TG 116: a factor
            of 2 either way is common); from 80 for low dose.
        noise_pixel_mm: log-uniform. From a 1024-pixel view without averaging to full averaging
            over a coarse grid.
        poisson: probability that noise is drawn as counts.
        csi_mg_cm2: 400 to 700 um of needles; low values represent storage plates too.
        mtf50_per_mm: 1 for thick screens and plates, 2 for structured CsI, Samei and Flynn 2003.
        electronic_quanta: 1 to 5 by generation of panels.
        focal_spot_mm: 0.6 and 1.2 are the two spots of most tubes.
        collimation, collimated: probability that the collimator is visible in the image, and the
            fraction of each side that is exposed. Most clinical images are cropped to the field.
        shutter: probability that the collimator's shadow is blackened; otherwise it is white, like
            unexposed film.
        processed: probability of a workstation's post-processing; otherwise only a linear window
            of the log image, as in raw exports.
        low, high: quantiles that become black and white.
        detail, latitude, local, steepness, middle: see ``Postprocessing``; from nearly linear to
            visibly overprocessed. Vendors' defaults lie in between.
    """

    kvp: Range = (60.0, 150.0)
    al_mm: Range = (2.5, 4.0)
    cu_mm: Range = (0.1, 0.3)
    copper: float = 0.4
    anode_deg: Range = (8.0, 16.0)
    anode_top: float = 0.6
    flat_field: Range = (0.0, 1.0)
    grid: float = 0.6
    grid_ratio: Range = (6.0, 15.0)
    strips_per_cm: Range = (40.0, 70.0)
    scatter: Range = (0.6, 1.6)
    gap_mm: Range = (10.0, 200.0)
    exposure_index: Range = (80.0, 800.0)
    noise_pixel_mm: Range = (0.35, 2.0)
    poisson: float = 0.2
    csi_mg_cm2: Range = (100.0, 220.0)
    mtf50_per_mm: Range = (0.9, 2.0)
    electronic_quanta: Range = (1.0, 5.0)
    focal_spot_mm: Range = (0.6, 1.3)
    collimation: float = 0.25
    collimated: Range = (0.75, 1.0)
    shutter: float = 0.7
    processed: float = 0.8
    low: Range = (0.0, 0.06)
    high: Range = (0.96, 1.0)
    detail: Range = (0.5, 1.0)
    latitude: Range = (0.4, 1.0)
    local: Range = (0.0, 0.6)
    steepness: Range = (1.0, 2.5)
    middle: Range = (0.35, 0.65)


def draw_settings(
    ranges: XrayRanges, rng: np.random.Generator, extent_mm: tuple[float, float]
) -> tuple[XraySettings, Postprocessing | None]:
    """Draw an exposure and its post-processing (None: a linear window only).

    ``extent_mm`` is the size of the image on the isocentre plane, which the collimator refers to.
    All randomness comes from ``rng``, and always the same number of draws, so that changing one
    range does not change what the others draw.
    """
    r = ranges

    def uniform(low_high: Range) -> float:
        return float(low_high[0] + (low_high[1] - low_high[0]) * rng.random())

    def log_uniform(low_high: Range) -> float:
        return float(np.exp(uniform((np.log(low_high[0]), np.log(low_high[1])))))

    def chance(share: float) -> bool:
        return bool(rng.random() < share)

    kvp, al_mm, cu_mm = uniform(r.kvp), uniform(r.al_mm), uniform(r.cu_mm)
    copper = chance(r.copper)
    tube = Tube(kvp, al_mm, cu_mm if copper else 0.0, uniform(r.anode_deg))
    anode_top, side = chance(r.anode_top), _SIDES[int(4 * rng.random())]
    has_grid, ratio, strips = chance(r.grid), uniform(r.grid_ratio), uniform(r.strips_per_cm)
    # Finer grids have thinner strips: the interspace keeps its fraction of the area.
    grid = Grid(ratio if has_grid else 0.0, strips, 1.44 / strips)
    detector = Detector(
        uniform(r.csi_mg_cm2),
        uniform(r.mtf50_per_mm),
        uniform(r.electronic_quanta),
        uniform(r.focal_spot_mm),
    )
    collimated = chance(r.collimation)
    blades = (extent_mm[0] * uniform(r.collimated), extent_mm[1] * uniform(r.collimated))
    settings = XraySettings(
        tube=tube,
        grid=grid,
        detector=detector,
        anode_side="top" if anode_top else side,
        flat_field=uniform(r.flat_field),
        scatter=uniform(r.scatter),
        gap_mm=uniform(r.gap_mm),
        exposure_index=log_uniform(r.exposure_index),
        noise="poisson" if chance(r.poisson) else "gaussian",
        collimation_mm=blades if collimated else None,
        noise_pixel_mm=log_uniform(r.noise_pixel_mm),
    )
    processed = chance(r.processed)
    processing = Postprocessing(
        low=uniform(r.low),
        high=uniform(r.high),
        detail=uniform(r.detail),
        latitude=uniform(r.latitude),
        local=uniform(r.local),
        steepness=uniform(r.steepness),
        middle=uniform(r.middle),
    )
    return settings, processing if processed else None


def paths_from_line_integrals(lines: torch.Tensor) -> torch.Tensor:
    """Path lengths (..., 4, H, W) in g/cm^2 of ``TISSUES`` for line integrals (..., H, W) at
    70 keV, on the assumption that everything is soft tissue.

    For four patients in both views, the resulting log image differs from that of the four true path
    lengths by 1.5 to 2.5 % of the image's standard deviation at 120 kV and by 6 to 11 % at 60 kV;
    estimating the fraction of bone, constant or from fine detail, did not improve this. Bone is 2
    to 5 % of the attenuation of a chest.
    """
    soft = lines / float(mass_attenuation("soft", np.array(CT_KEV)))
    empty = torch.zeros_like(soft)
    return torch.stack([soft if name == "soft" else empty for name in TISSUES], -3)


def line_integrals_from_paths(paths: torch.Tensor, names: Sequence[str] = TISSUES) -> torch.Tensor:
    """Line integrals (..., H, W) at 70 keV, equal to those of ``hu_to_mu``, from path lengths
    (..., M, H, W) in g/cm^2 (up to the rounding of the attenuation of water there: 0.0195 versus
    0.0193 per mm)."""
    at_ct = [float(mass_attenuation(name, np.array(CT_KEV))) for name in names]
    weights = torch.tensor(at_ct, dtype=paths.dtype, device=paths.device)
    return (paths * weights[:, None, None]).sum(-3)


def random_xray(
    paths: torch.Tensor,
    rng: np.random.Generator,
    ranges: XrayRanges | None = None,
    *,
    extent_mm: tuple[float, float] = (330.0, 330.0),
    names: Sequence[str] = TISSUES,
) -> torch.Tensor:
    """Simulate a random clinical radiograph.

    Args:
        paths: (materials, H, W) path lengths in g/cm^2.
        rng: the only source of randomness.
        ranges: ranges of the settings; by default those of :class:`XrayRanges`.
        extent_mm: width and height of the image at the isocentre; by default those of a thorax
            view.
        names: names of the materials.

    Returns:
        (H, W), bright = more attenuation, on an arbitrary affine scale.
    """
    ranges = ranges or XrayRanges()
    settings, processing = draw_settings(ranges, rng, extent_mm)
    # Only sizes matter: the exposure does not depend on where the patient is.
    geometry = AcquisitionGeometry((0, 0, 0), (0, -1, 0), (1, 0, 0), (0, 0, -1), extent_mm)
    seed = int(rng.integers(2**31))
    taken = expose(paths[None], names, [geometry], settings, seeds=[seed])
    x = taken.log if processing is None else postprocess(taken.log, processing, taken.field)
    seen = x[taken.field]
    shade = seen.min() if rng.random() < ranges.shutter else seen.max()
    return torch.where(taken.field, x, shade)[0]
