"""Grids against closed forms; scatter against followed photons and sums."""

import math

import numpy as np
import pytest
import torch

from axon_backend.errors import AxonInputError
from axon_backend.physics.grid import NO_GRID, Grid
from axon_backend.physics.materials import attenuation_per_cm
from axon_backend.physics.scatter import (
    lambert_spot,
    scatter_fraction,
    scatter_image,
    spot_height_mm,
)
from axon_backend.physics.spectrum import Spectrum, Tube


def test_primary_of_a_grid_in_closed_form():
    """Interspace times its aluminium; lead 2.6 mm high lets nothing through."""
    grid = Grid(12, 40, 0.036)
    height = 12 * (0.25 - 0.036)
    assert grid.height_mm == pytest.approx(height)
    mu = float(attenuation_per_cm("aluminium", np.array(60.0)))
    expected = (1 - 0.144) * math.exp(-mu * height / 10)
    assert grid.primary(Spectrum.mono(60.0)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("ratio", [5, 8, 12])
def test_thin_strips_that_absorb_all_pass_what_an_endless_slot_does(ratio, monkeypatch):
    """Hottel's crossed strings: sqrt(1 + r^2) - r; strips of 1/500 of the period, nothing
    between."""
    monkeypatch.setattr(
        "axon_backend.physics.grid.attenuation_per_cm",
        lambda name, energy: np.array(1e6 if name == "lead" else 0.0),
    )
    found = Grid(ratio, 2, 0.01).scatter(60.0)
    assert found == pytest.approx(math.sqrt(1 + ratio**2) - ratio, rel=0.05)


def test_a_higher_ratio_passes_less_scatter_and_a_little_less_primary():
    beam = Tube(100).spectrum().filtered("water", 200)
    grids = [Grid(r) for r in (5, 8, 10, 12, 15)]
    scatter = [g.scatter(55.0) for g in grids]
    primary = [g.primary(beam) for g in grids]
    assert np.all(np.diff(scatter) < 0) and np.all(np.diff(primary) < 0)
    # As catalogues have them: 60 to 80 % of the primary, 3 to 25 % of the scatter.
    assert min(primary) > 0.6 and max(primary) < 0.82
    assert min(scatter) > 0.02 and max(scatter) < 0.25


def test_the_bucky_factor_is_that_of_chest_grids():
    """Grids of 12:1 ask for 4 to 7 times the exposure where there is much scatter."""
    grid, spr = Grid(), 5.0
    primary = grid.primary(Tube(120).spectrum().filtered("water", 200))
    assert 4 < (1 + spr) / (primary + spr * grid.scatter(55.0)) < 7


def test_no_grid_lets_everything_through():
    assert NO_GRID.primary(Tube().spectrum()) == 1 and NO_GRID.scatter(55.0) == 1


@pytest.mark.parametrize("wrong", [{"ratio": 1}, {"ratio": 40}, {"lead_mm": 0.3}])
def test_grids_that_do_not_exist_are_refused(wrong):
    with pytest.raises(AxonInputError):
        Grid(**wrong)


@pytest.mark.parametrize(
    ("kev", "cm", "gap_cm", "radius_cm", "followed"),
    # Photons followed through water: Resources/Tables/scatter_constants.py.
    [
        (65, 10, 0, 17, 1.48),
        (65, 20, 0, 17, 3.32),
        (65, 20, 0, 10, 2.45),
        (65, 20, 10, 17, 2.14),
        (65, 20, 20, 17, 1.26),
        (50, 20, 0, 17, 2.40),
        (80, 15, 5, 22, 2.81),
    ],
)
def test_ratio_of_scatter_to_primary_behind_water(kev, cm, gap_cm, radius_cm, followed):
    """A round field on a slab: the image's middle."""
    rate = {50: 0.2076, 65: 0.1867, 80: 0.1755}[kev]
    n, mm = 150, 4.0
    x = (np.arange(n) + 0.5 - n / 2) * mm
    disc = torch.as_tensor(np.hypot(x[:, None], x[None, :]) <= 10 * radius_cm).float()
    p = rate * cm
    primary, attenuation = disc * math.exp(-p), disc * p
    found = scatter_image(primary, attenuation, (mm, mm), energy_kev=kev, gap_mm=10.0 * gap_cm)
    ratio = float(found[n // 2, n // 2]) / math.exp(-p)
    assert ratio == pytest.approx(followed, rel=0.15)


def test_the_spot_holds_everything_on_a_large_grid():
    """Closed form: within radius R lies R^2 / (R^2 + h^2)."""
    spot = lambert_spot(50.0, 5.0, 200)
    x = torch.arange(-200, 201) * 5.0
    r = (x[:, None] ** 2 + x[None, :] ** 2).sqrt()
    for radius in (50.0, 150.0, 600.0):
        inside = float(spot[r <= radius].sum())
        assert inside == pytest.approx(radius**2 / (radius**2 + 50**2), rel=0.03)
    assert float(spot.sum()) == pytest.approx(1, abs=0.01)


def test_more_tissue_scatters_more_and_a_gap_spreads_it():
    p = torch.tensor([1.0, 2.0, 4.0])
    total = scatter_fraction(p, 60.0)
    assert (total.diff() > 0).all() and (total / p).diff().min() > 0
    assert spot_height_mm(200, 0) < spot_height_mm(200, 100) < spot_height_mm(200, 300)
    assert spot_height_mm(100, 0) < spot_height_mm(250, 0)


def test_scatter_is_even_where_the_primary_has_an_edge():
    """A thick half beside a thin one: far more scatter than primary behind the thick half."""
    attenuation = torch.full((80, 80), 2.0)
    attenuation[:, 40:] = 6.0
    primary = torch.exp(-attenuation)
    found = scatter_image(primary, attenuation, (5.0, 5.0), energy_kev=60.0, gap_mm=50.0)
    assert float(found[40, 55] / primary[40, 55]) > 5
    assert float(found[40, 20] / primary[40, 20]) < 2
    step = found[40].diff().abs().max() / found[40].max()
    assert float(step) < 0.05


def test_scatter_of_half_the_pixels_is_the_same():
    x = torch.linspace(-1, 1, 128)
    attenuation = 4 * torch.exp(-(x[:, None] ** 2 + x[None, :] ** 2))
    fine = scatter_image(
        torch.exp(-attenuation), attenuation, (3.0, 3.0), energy_kev=60.0, gap_mm=50.0
    )
    half = torch.nn.functional.avg_pool2d(attenuation[None, None], 2)[0, 0]
    coarse = scatter_image(torch.exp(-half), half, (6.0, 6.0), energy_kev=60.0, gap_mm=50.0)
    pooled = torch.nn.functional.avg_pool2d(fine[None, None], 2)[0, 0]
    assert torch.allclose(pooled, coarse, rtol=0.03, atol=1e-3)
