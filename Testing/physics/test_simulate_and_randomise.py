"""From a CT to an X-ray; X-rays at random."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.view import View
from axon_backend.physics.attenuation import MU_WATER_PER_MM
from axon_backend.physics.drr import render_drr
from axon_backend.physics.exposure import XraySettings
from axon_backend.physics.geometry import AcquisitionGeometry
from axon_backend.physics.materials import attenuation_per_cm
from axon_backend.physics.randomise import (
    XrayRanges,
    draw_settings,
    line_integrals_from_paths,
    paths_from_line_integrals,
    random_xray,
)
from axon_backend.physics.simulate import XraySimulator
from axon_backend.physics.tissues import TISSUES

WATER_70 = float(attenuation_per_cm("water", np.array(70.0))) / 10


@pytest.fixture(scope="module")
def body() -> CTVolume:
    """Soft tissue with two lungs and a spine, 5 mm voxels."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (60, 44, 64)), indexing="ij")
    hu = np.full(z.shape, -1000.0, np.float32)
    hu[x**2 + y**2 < 0.9] = 40.0
    for side in (-0.45, 0.45):
        hu[((x - side) / 0.3) ** 2 + (y / 0.6) ** 2 + (z / 0.8) ** 2 < 1] = -820.0
    hu[(x**2 + (y - 0.6) ** 2) < 0.02] = 600.0
    return CTVolume(hu, (5.0, 5.0, 5.0), (-157.5, -107.5, -147.5))


def test_paths_weighted_at_the_ct_s_energy_are_the_mono_energetic_drr(body, frame):
    """Up to water's attenuation, for which the old constant is rounded."""
    geometry = AcquisitionGeometry.of_frame(frame, View.pa)
    simulator = XraySimulator(body)
    paths = simulator.paths([geometry], 48)
    assert paths.shape == (1, 4, 48, 48) and simulator.names == TISSUES
    mono = render_drr(body, AcquisitionGeometry.of_frame(frame, View.pa), 48).numpy()
    found = line_integrals_from_paths(paths)[0].numpy()
    assert found == pytest.approx(mono * WATER_70 / MU_WATER_PER_MM, abs=5e-3)


def test_several_volumes_at_once_are_each_by_itself(body, frame):
    densities = XraySimulator(body).densities
    for view in (View.pa, View.lateral_left):
        geometry = AcquisitionGeometry.of_frame(frame, view)
        together = render_drr(densities, geometry, (20, 30))
        assert together.shape == (4, 20, 30)
        for channel, mu in zip(together, densities.mu, strict=True):
            alone = render_drr(replace(densities, mu=mu), geometry, (20, 30))
            assert torch.allclose(channel, alone, rtol=1e-5, atol=1e-5)


def test_a_radiograph_of_the_body(body, frame):
    geometries = [AcquisitionGeometry.of_frame(frame, v) for v in (View.ap, View.lateral_right)]
    taken = XraySimulator(body).take(geometries, 64, XraySettings(), seeds=[1])
    assert taken.log.shape == (2, 64, 64) and torch.isfinite(taken.log).all()
    frontal = taken.log[0]
    assert float(frontal[32, 32]) > float(frontal[32, 18]) > float(frontal[32, 1])
    assert all(0.1 < m < 50 for m in taken.mas) and all(0.2 < s < 5 for s in taken.spr)


def test_the_lateral_needs_more_than_the_frontal(body, frame):
    geometries = [AcquisitionGeometry.of_frame(frame, v) for v in (View.pa, View.lateral_left)]
    taken = XraySimulator(body).take(geometries, 64, XraySettings(noise="none"))
    assert taken.mas[1] > 1.3 * taken.mas[0]


def paths(size: int = 64) -> torch.Tensor:
    x = torch.linspace(-1, 1, size)
    r2 = x[:, None] ** 2 + x[None, :] ** 2
    soft, bone = 18 * torch.exp(-2 * r2), 2 * torch.exp(-30 * x[None, :] ** 2 - 0 * r2)
    return torch.stack([torch.zeros_like(soft), torch.zeros_like(soft), soft, bone])


def test_lines_to_paths_and_back():
    lines = paths()[2]
    again = line_integrals_from_paths(paths_from_line_integrals(lines))
    assert torch.allclose(again, lines, rtol=1e-5)


def test_random_xrays_come_from_the_generator_and_differ():
    ranges = XrayRanges()
    one, again, other = (random_xray(paths(), np.random.default_rng(s), ranges) for s in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)
    for seed in range(25):
        x = random_xray(paths(48), np.random.default_rng(seed), ranges)
        assert x.shape == (48, 48) and torch.isfinite(x).all()


def test_settings_lie_in_their_ranges_and_fill_them():
    ranges, rng = XrayRanges(), np.random.default_rng(0)
    drawn = [draw_settings(ranges, rng, (330.0, 330.0)) for _ in range(400)]
    kvp = [s.tube.kvp for s, _ in drawn]
    assert ranges.kvp[0] <= min(kvp) < 65 and 145 < max(kvp) <= ranges.kvp[1]
    index = np.log([s.exposure_index for s, _ in drawn])
    assert np.median(index) == pytest.approx(np.mean(np.log(ranges.exposure_index)), abs=0.2)
    assert np.mean([s.grid.ratio > 0 for s, _ in drawn]) == pytest.approx(ranges.grid, abs=0.07)
    assert np.mean([s.tube.cu_mm > 0 for s, _ in drawn]) == pytest.approx(ranges.copper, abs=0.07)
    assert np.mean([look is not None for _, look in drawn]) == pytest.approx(0.8, abs=0.07)
    held = [s.collimation_mm is not None for s, _ in drawn]
    assert np.mean(held) == pytest.approx(ranges.collimation, abs=0.07)


def test_changing_one_range_leaves_the_others_draws():
    wide, fixed = XrayRanges(), replace(XrayRanges(), kvp=(100.0, 100.0), grid=0.0, copper=0.0)
    (a, look_a), (b, look_b) = (
        draw_settings(r, np.random.default_rng(7), (330.0, 330.0)) for r in (wide, fixed)
    )
    assert b.tube.kvp == 100 and b.grid.ratio == 0
    assert a.detector == b.detector and a.gap_mm == b.gap_mm and look_a == look_b


def test_every_range_has_its_reason():
    for one in fields(XrayRanges):
        assert one.name in XrayRanges.__doc__
