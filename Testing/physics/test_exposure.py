"""The chain of an exposure: statistics, geometry, grid, heel, seeds, gradients."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from axon_backend.errors import AxonInputError
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.detector import RQA5_PHOTONS, Detector, blurred
from axon_backend.physics.drr import Rays, render_drr
from axon_backend.physics.exposure import XraySettings, expose, field_map
from axon_backend.physics.geometry import AcquisitionGeometry
from axon_backend.physics.grid import NO_GRID, Grid
from axon_backend.physics.spectrum import Tube
from axon_backend.physics.transmission import Beam, transmission

AXES = ((0, -1, 0), (1, 0, 0), (0, 0, -1))
GEOMETRY = AcquisitionGeometry((0, 0, 0), *AXES, (300.0, 300.0))
NAMES = ("soft", "bone")
# The detector without blur: one pixel tells nothing of the next.
SHARP = Detector(mtf50_per_mm=1e6, electronic_quanta=0.0, focal_spot_mm=0.0)
PLAIN = XraySettings(grid=NO_GRID, scatter=0.0, noise="none", detector=SHARP)


def slab(cm: float, size: int = 96, bone: float = 0.0) -> torch.Tensor:
    return torch.stack([torch.full((size, size), 1.06 * cm), torch.full((size, size), bone)])[None]


def ball(size: int = 64) -> torch.Tensor:
    """Path lengths of a smooth body (1, 2, size, size) in g/cm^2."""
    x = torch.linspace(-1, 1, size)
    r2 = x[:, None] ** 2 + x[None, :] ** 2
    return torch.stack([18 * torch.exp(-2 * r2), 2 * torch.exp(-20 * r2)])[None]


def narrow(size: int = 96) -> AcquisitionGeometry:
    """So small a field that inverse square and heel do not show; 0.15 mm pixels."""
    m = GEOMETRY.magnification
    return replace(GEOMETRY, extent_mm=(0.15 * size / m, 0.15 * size / m))


def deviation(paths: torch.Tensor, geometry: AcquisitionGeometry, settings: XraySettings) -> float:
    """Of the noise alone."""
    noisy, clean = (
        expose(paths, NAMES, [geometry], s, seeds=[1]).signal
        for s in (settings, replace(settings, noise="none"))
    )
    return float((noisy - clean).std())


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
def test_photon_statistics_behind_a_slab(noise):
    """Of quanta of one energy the variance is the mean; of many it is the beam's second moment."""
    settings = replace(PLAIN, noise=noise, mas=0.5)
    size = 160
    taken = expose(slab(10.0, size), NAMES, [narrow(size)], settings, seeds=[3])
    clean = expose(slab(10.0, size), NAMES, [narrow(size)], replace(settings, noise="none"))
    beam = Beam.of(settings.tube.spectrum(), SHARP)
    quanta = 0.5 * beam.counted * (1000 / 1800) ** 2 * 0.15**2
    mean = float(clean.signal.mean())
    first, second = (float(m.mean()) for m in transmission(slab(10.0, 2)[0], NAMES, beam))
    assert mean == pytest.approx(first, rel=1e-3)
    assert float(taken.signal.mean()) == pytest.approx(mean, rel=4 / np.sqrt(quanta * mean) / size)
    # 25600 samples: the variance is known to 0.9 %.
    assert float(taken.signal.var()) == pytest.approx(second / quanta, rel=0.03)
    # Counts: variance over mean, in quanta, is 1 but for the spread of energies.
    counts = taken.signal * quanta
    assert float(counts.var() / counts.mean()) == pytest.approx(second / first, rel=0.03)
    assert 1.0 < second / first < 1.3


def test_four_times_the_exposure_halves_the_noise():
    noise = [deviation(slab(10.0), narrow(), replace(PLAIN, noise="gaussian", mas=m))
             for m in (1.0, 4.0)]  # fmt: skip
    assert noise[0] / noise[1] == pytest.approx(2.0, rel=1e-3)


def test_the_exposure_index_is_the_dose_behind_the_body():
    """EI 200: 2 microgray, so many detected quanta per mm^2 as of the beam RQA5."""
    settings = replace(PLAIN, exposure_index=200.0)
    taken = expose(slab(12.0), NAMES, [narrow()], settings)
    beam = Beam.of(settings.tube.spectrum(), SHARP)
    open_quanta = taken.mas[0] * beam.counted * (1000 / 1800) ** 2
    behind = open_quanta * float(taken.signal.median())
    rqa5 = Tube(70, 23.5, 0.0).spectrum()
    caught = float(rqa5.photons @ SHARP.efficiency(rqa5.energy_kev) / rqa5.photons.sum())
    assert behind == pytest.approx(2 * RQA5_PHOTONS * caught, rel=1e-3)


def test_the_tube_load_of_a_chest_is_that_of_a_clinic():
    """1 to 5 mAs at 120 kV with a grid for 15 cm of tissue at EI 250."""
    taken = expose(slab(15.0), NAMES, [GEOMETRY], XraySettings(noise="none"))
    assert 1 < taken.mas[0] < 5


def test_a_grid_takes_its_shares_and_the_bucky_factor_follows():
    without = expose(ball(), NAMES, [GEOMETRY], replace(PLAIN, scatter=1.0))
    grid = Grid(10)
    behind = expose(ball(), NAMES, [GEOMETRY], replace(PLAIN, scatter=1.0, grid=grid))
    beam = PLAIN.tube.spectrum().filtered("water", 150)
    tp = grid.primary(beam)
    assert torch.allclose(behind.primary, without.primary)
    rest = (behind.signal - tp * behind.primary) / behind.scatter
    middle = rest[0, 20:44, 20:44]
    assert float(middle.std() / middle.mean()) < 0.01  # one share of scatter everywhere
    ts = float(middle.mean())
    assert 0.02 < ts < 0.15
    spr = float(without.scatter[0, 32, 32] / without.primary[0, 32, 32])
    ratio = float(without.signal[0, 32, 32] / behind.signal[0, 32, 32])
    assert ratio == pytest.approx((1 + spr) / (tp + ts * spr), rel=0.01)
    # For the detector's same dose the tube must give more, by the factor of the median pixel.
    assert 1 / tp < behind.mas[0] / without.mas[0] < ratio


def test_scatter_takes_contrast_and_a_grid_gives_it_back():
    def contrast(settings: XraySettings) -> float:
        log = expose(ball(), NAMES, [GEOMETRY], settings).log[0]
        return float(log[32, 32] - log[32, 8])

    bare = contrast(PLAIN)
    veiled = contrast(replace(PLAIN, scatter=1.0))
    cleaned = contrast(replace(PLAIN, scatter=1.0, grid=Grid(12)))
    assert veiled < 0.7 * bare and veiled < cleaned < bare


@pytest.mark.parametrize(
    ("side", "weak", "strong"),
    [
        ("top", (0, 32), (-1, 32)),
        ("bottom", (-1, 32), (0, 32)),
        ("left", (32, 0), (32, -1)),
        ("right", (32, -1), (32, 0)),
    ],
)
def test_the_anode_s_side_is_darker(side, weak, strong):
    wide = replace(GEOMETRY, extent_mm=(400.0, 400.0))
    settings = replace(PLAIN, anode_side=side, flat_field=0.0)
    flux, _ = field_map(wide, (64, 64), settings)
    assert flux[weak] < 0.95 * flux[strong]
    # Less signal is a higher "attenuation" where nothing stands in the beam.
    log = expose(torch.zeros(1, 2, 64, 64), NAMES, [wide], settings).log[0]
    assert float(log[weak]) > float(log[strong]) + 0.05
    flat = expose(torch.zeros(1, 2, 64, 64), NAMES, [wide], replace(settings, flat_field=1.0))
    assert torch.allclose(flat.log, torch.zeros(()), atol=5e-3)


def test_a_steeper_anode_has_a_stronger_heel():
    wide = replace(GEOMETRY, extent_mm=(400.0, 400.0))

    def fall(angle: float) -> float:
        flux, _ = field_map(wide, (9, 9), replace(PLAIN, tube=Tube(anode_deg=angle)))
        return float(flux[0, 4] / flux[8, 4])

    assert fall(8) < fall(12) < fall(16) < 1


def test_inverse_square_and_obliquity():
    """A pixel at angle t from the central ray: cos^2 for the distance, cos for its tilt. Across
    the anode's axis the heel effect has no part."""
    flux, _ = field_map(replace(GEOMETRY, extent_mm=(600.0, 2.0)), (1, 3), PLAIN)
    cosine = 1600 / np.hypot(1600, 200.0)
    assert flux[0] == pytest.approx([cosine**3, 1, cosine**3], rel=1e-3)


def test_the_same_tube_load_gives_a_quarter_at_twice_the_distance():
    """Quanta, hence noise: sigma doubles with the distance (pixels as large on the detector)."""
    noise = []
    for factor in (1, 2):
        far = AcquisitionGeometry((0, 0, 0), *AXES, (12.8, 12.8), 900.0 * factor, 800.0 * factor)
        noise.append(deviation(slab(5.0), far, replace(PLAIN, noise="gaussian", mas=1.0)))
    assert noise[1] / noise[0] == pytest.approx(2, rel=0.01)


def test_collimation_keeps_the_field_and_its_scatter_falls():
    small = replace(PLAIN, scatter=1.0, collimation_mm=(100.0, 150.0))
    taken = expose(slab(15.0), NAMES, [GEOMETRY], small)
    whole = expose(slab(15.0), NAMES, [GEOMETRY], replace(small, collimation_mm=None))
    rows, columns = taken.field[0].any(1).sum(), taken.field[0].any(0).sum()
    assert int(rows) == pytest.approx(150 / 300 * 96, abs=2)
    assert int(columns) == pytest.approx(100 / 300 * 96, abs=2)
    assert torch.equal(taken.primary[taken.field], whole.primary[taken.field])
    assert float(taken.primary[0, 2, 2]) == 0 and float(taken.scatter[0, 2, 2]) > 0
    assert taken.spr[0] < 0.8 * whole.spr[0]


def test_magnification_is_sid_over_sod():
    """A ball of 20 mm at the isocentre: its shadow on the detector is 20 mm SID / SOD."""
    n = 81
    axis = (torch.arange(n, dtype=torch.float64) - 40) * 1.0
    r = (axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2).sqrt()
    volume = (10.5 - r).clamp(0, 1)
    for sid, sod in ((1800.0, 1600.0), (1000.0, 500.0)):
        geometry = AcquisitionGeometry((0, 0, 0), *AXES, (60.0, 60.0), sid, sod)
        image = render_drr(AttenuationVolume(volume, (1.0,) * 3, (-40.0,) * 3), geometry, 400)
        across = int((image[200] > 0.5 * 10).sum())  # chords longer than half the radius
        row_mm, column_mm = geometry.imager_pixel_mm(400, 400)
        # A chord of 5 mm lies at sqrt(10^2 - 2.5^2) from the middle.
        true = 2 * np.sqrt(10**2 - 2.5**2) * sid / sod
        assert across * column_mm == pytest.approx(true, rel=0.02)
        assert geometry.magnification == sid / sod and row_mm == column_mm
        on = geometry.on_detector(430.0, 350.0)
        assert on.detector_mm == pytest.approx((430.0, 350.0))


def test_the_detector_s_mtf():
    """A sine of 1 per mm loses what the curves say; the mean stays."""
    pixel, n = 0.1, 400
    x = (torch.arange(n, dtype=torch.float64) + 0.5) * pixel
    wave = (1 + 0.5 * torch.sin(2 * np.pi * x))[None].repeat(64, 1)
    light, shadow = 1 / (1 + 1 / 1.3**2), np.sinc(0.1) * np.sinc(0.125)
    for blur, expected in (
        ({"mtf50_per_mm": 1.3}, light),
        ({"shadow_mm": 0.125}, shadow),
        ({"mtf50_per_mm": 1.3, "shadow_mm": 0.125}, light * shadow),
    ):
        seen = blurred(wave, (pixel, pixel), **blur)
        middle = seen[32, 100:300]
        assert float(middle.max() - middle.min()) == pytest.approx(expected, rel=0.01)
        assert float(seen.mean()) == pytest.approx(1, abs=1e-3)


def test_a_seed_decides_and_a_batch_is_its_images_one_by_one():
    paths = torch.cat([ball(), 0.5 * ball(), 1.2 * ball()])
    settings = [XraySettings(), XraySettings(tube=Tube(80), noise="poisson"), XraySettings(mas=2.0)]
    geometries = [GEOMETRY, replace(GEOMETRY, sid_mm=1500.0, sod_mm=1300.0), GEOMETRY]
    batch = expose(paths, NAMES, geometries, settings, seeds=[5, 6, 7])
    for i in range(3):
        one = expose(paths[i : i + 1], NAMES, [geometries[i]], settings[i], seeds=[5 + i])
        assert torch.equal(batch.log[i], one.log[0]) and batch.mas[i] == one.mas[0]
    again = expose(paths, NAMES, geometries, settings, seeds=[5])  # 5, 6, 7
    assert torch.equal(batch.log, again.log)
    other = expose(paths, NAMES, geometries, settings, seeds=[8])
    assert not torch.equal(batch.log[0], other.log[0])


def test_lists_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        expose(ball(), NAMES, [GEOMETRY, GEOMETRY], seeds=[0])
    with pytest.raises(ValueError, match="do not fit"):
        expose(ball(), ("soft",), [GEOMETRY])


@pytest.mark.parametrize(
    "wrong",
    [{"exposure_index": 0}, {"mas": 0}, {"scatter": -1}, {"noise": "loud"}, {"anode_side": "up"},
     {"flat_field": 2}, {"collimation_mm": (0, 100)}, {"collimation_mm": (100, float("nan"))},
     {"noise_pixel_mm": 0}, {"mas": float("nan")}],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(AxonInputError):
        XraySettings(**wrong)


def test_gradient_of_the_pose_is_that_of_finite_differences(blobs):
    """Through ray casting, spectrum, scatter, grid, noise, blur and logarithm."""
    volume, origin, spacing = blobs
    densities = AttenuationVolume(torch.stack([volume * 40, volume * 4]), spacing, origin)
    points = torch.as_tensor(GEOMETRY.pixel_centres(24, 24))
    weights = torch.rand(24, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    # The grid and exposure as in a clinic; the exposure by tube load, so that no median hides.
    settings = XraySettings(mas=2.0, noise="gaussian")

    def value(shift: torch.Tensor) -> torch.Tensor:
        source = torch.as_tensor(GEOMETRY.source_mm) + shift
        paths = render_drr(densities, Rays(source, points + shift, axis=1)) / 10
        log = expose(paths[None], NAMES, [GEOMETRY], settings, seeds=[4]).log[0]
        return (log * weights).sum()

    shift = torch.tensor([3.1, 0.7, -2.3], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(value(shift), shift)
    for axis in (0, 2):
        move = torch.zeros(3, dtype=torch.float64)
        move[axis] = 1e-3
        with torch.no_grad():
            difference = float(value(shift + move) - value(shift - move)) / 2e-3
        assert float(gradient[axis]) == pytest.approx(difference, rel=0.02)
        assert abs(difference) > 0.01
