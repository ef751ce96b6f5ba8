"""Beer and Lambert through slabs, beam hardening."""

import numpy as np
import pytest
import torch

from axon_backend.physics.detector import Detector
from axon_backend.physics.materials import mass_attenuation
from axon_backend.physics.spectrum import Spectrum, Tube
from axon_backend.physics.transmission import Beam, transmission


@pytest.mark.parametrize("energy", [40.0, 60.0, 100.0])
def test_one_energy_through_water_and_bone(energy):
    """exp(-mu x), with NIST's mu, through 20 cm of water and 2 cm of cortical bone."""
    beam = Beam.of(Spectrum.mono(energy), Detector())
    paths = torch.tensor([[20.0, 0.0, 20.0], [0.0, 2 * 1.92, 2 * 1.92]], dtype=torch.float64)
    first, second = transmission(paths, ("water", "bone"), beam)
    nist = {40.0: (0.2683, 0.6655), 60.0: (0.2059, 0.3148), 100.0: (0.1707, 0.1855)}[energy]
    exponent = np.array([20 * nist[0], 3.84 * nist[1], 20 * nist[0] + 3.84 * nist[1]])
    assert -first.log().numpy() == pytest.approx(exponent, rel=0.02)
    assert torch.allclose(first, second)  # every photon leaves the same energy


def test_two_energies_in_closed_form():
    """Equal numbers at 50 and 100 keV, energy counted without loss."""
    beam = Beam.of(Spectrum(np.array([50.0, 100.0]), np.array([1.0, 1.0])), None, bin_kev=1)
    path = 15.0
    t = np.exp(-mass_attenuation("water", np.array([50.0, 100.0])) * path)
    first, second = transmission(torch.tensor([[path]], dtype=torch.float64), ("water",), beam)
    assert float(first[0]) == pytest.approx((50 * t[0] + 100 * t[1]) / 150, rel=1e-12)
    # E e^2 T / (mean e * sum e)
    assert float(second[0]) == pytest.approx((2500 * t[0] + 10000 * t[1]) / (75 * 150), rel=1e-12)
    assert beam.excess == pytest.approx(12500 / 11250)
    assert beam.mean_kev(("water",), (path,)) == pytest.approx(
        (2500 * t[0] + 10000 * t[1]) / (50 * t[0] + 100 * t[1])
    )


def test_nothing_in_the_beam_is_one():
    beam = Beam.of(Tube().spectrum(), Detector())
    first, second = transmission(torch.zeros(3, 2, 2), ("soft", "bone", "fat"), beam)
    assert torch.allclose(first, torch.ones(2, 2))
    assert torch.allclose(second, torch.full((2, 2), beam.excess))


@pytest.mark.parametrize("name", ["water", "bone"])
def test_a_thick_layer_hardens_the_beam(name):
    beam = Beam.of(Tube(120, 2.5, 0.0).spectrum(), Detector())
    grams = torch.tensor([[0.5, 2.0, 5.0, 10.0, 20.0]], dtype=torch.float64)
    first, _ = transmission(grams, (name,), beam)
    effective = (-first.log() / grams[0]).numpy()
    assert np.all(np.diff(effective) < 0)
    means = [beam.mean_kev((name,), (float(g),)) for g in grams[0]]
    assert np.all(np.diff(means) > 0)


def test_bone_hardens_more_than_water_of_the_same_weight():
    beam = Beam.of(Tube(80, 2.5, 0.0).spectrum(), Detector())
    assert beam.mean_kev(("bone",), (5.0,)) > beam.mean_kev(("water",), (5.0,)) + 1


def test_a_higher_voltage_shows_less_bone():
    def bone_over_soft(kvp: float) -> float:
        beam = Beam.of(Tube(kvp).spectrum(), Detector())
        background = torch.tensor([[15.0, 15.0, 16.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
        log = -transmission(background, ("soft", "bone"), beam)[0].log()
        return float((log[1] - log[0]) / (log[2] - log[0]))

    assert bone_over_soft(60) > bone_over_soft(90) > bone_over_soft(120) > 1


def test_joining_two_energies_changes_little():
    spectrum = Tube(110).spectrum()
    paths = torch.tensor([[0.0, 10.0, 25.0], [0.0, 1.0, 5.0]], dtype=torch.float64)
    fine, coarse = (
        transmission(paths, ("soft", "bone"), Beam.of(spectrum, Detector(), bin_kev=n))
        for n in (1, 2)
    )
    for a, b in zip(fine, coarse, strict=True):
        assert a.log().numpy() == pytest.approx(b.log().numpy(), abs=3e-3)


def test_the_order_and_number_of_pixels_do_not_matter():
    """More pixels than are computed at a time."""
    generator = torch.Generator().manual_seed(0)
    paths = torch.rand(2, 130, 150, generator=generator) * 10
    beam = Beam.of(Tube().spectrum(), Detector())
    whole, _ = transmission(paths, ("soft", "bone"), beam)
    corner, _ = transmission(paths[:, 100:, 140:], ("soft", "bone"), beam)
    assert whole.shape == (130, 150) and torch.allclose(whole[100:, 140:], corner, rtol=1e-5)


def test_gradient_of_the_transmission():
    beam = Beam.of(Tube().spectrum(), Detector(), bin_kev=10)
    paths = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: transmission(p, ("soft", "bone"), beam), paths)


def test_csi_stops_what_its_mass_says():
    """1 - exp(-mu/rho m): NIST's mass attenuation of CsI is 7.92 at 60 and 2.04 at 100 keV."""
    caught = Detector(csi_mg_cm2=200.0).efficiency(np.array([60.0, 100.0]))
    assert caught == pytest.approx(1 - np.exp(-0.2 * np.array([7.92, 2.04])), rel=0.02)
    # It leaves no more energy than it had.
    deposit = Detector().deposit_kev(np.array([30.0, 60.0, 100.0]))
    assert np.all(deposit < [30, 60, 100]) and np.all(deposit > [25, 50, 80])
