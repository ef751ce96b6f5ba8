"""Attenuation against printed tables; the soft split of the HU scale."""

import numpy as np
import pytest
import torch

from axon_backend.physics.attenuation import MU_WATER_PER_MM, hu_to_mu
from axon_backend.physics.materials import attenuation_per_cm, mass_attenuation, material
from axon_backend.physics.tissues import mass_density, tissue_densities, tissue_shares

# NIST XAAMDI (Hubbell and Seltzer), cm^2/g, at 20, 60 and 100 keV.
NIST = {
    "water": (0.8096, 0.2059, 0.1707),
    "bone": (4.001, 0.3148, 0.1855),
    "fat": (0.5677, 0.1974, 0.1688),
    "lung": (0.8316, 0.2053, 0.1695),
    "aluminium": (3.441, 0.2778, 0.1704),
    "lead": (86.36, 5.021, 5.549),
}


@pytest.mark.parametrize("name", NIST)
def test_mass_attenuation_is_that_of_nist(name):
    found = mass_attenuation(name, np.array([20.0, 60.0, 100.0]))
    assert found == pytest.approx(np.array(NIST[name]), rel=0.025)


def test_air_takes_up_energy_as_nist_says():
    found = mass_attenuation("air", np.array([20.0, 60.0, 100.0]), transfer=True)
    assert found == pytest.approx(np.array([0.5389, 0.03041, 0.02325]), rel=0.02)


@pytest.mark.parametrize("name", ["lung", "fat", "soft", "bone", "iodine", "water", "air", "csi"])
def test_compositions_sum_to_one(name):
    assert sum(share for _, share in material(name).composition) == pytest.approx(1, abs=2e-3)
    assert material(name).source


def test_energies_outside_the_table_are_refused():
    with pytest.raises(ValueError, match="10 to 150 keV"):
        mass_attenuation("water", np.array([60.0, 151.0]))


def test_shares_are_smooth_and_sum_to_one():
    hu = torch.arange(-1100, 3400, 0.5, dtype=torch.float64)
    mask = torch.linspace(0, 1, len(hu), dtype=torch.float64)
    for shares in (tissue_shares(hu), tissue_shares(hu, iodine=mask, metal=True)):
        stack = torch.stack(list(shares.values()))
        assert torch.allclose(stack.sum(0), torch.ones_like(hu), atol=1e-12)
        assert stack.min() > -1e-12 and stack.max() < 1 + 1e-12
        # No jump, in the shares or in their slopes.
        assert stack.diff(dim=1).abs().max() < 0.01
        assert stack.diff(dim=1).diff(dim=1).abs().max() < 5e-4


@pytest.mark.parametrize(
    ("hu", "name"), [(-1024, "air"), (-800, "lung"), (-100, "fat"), (50, "soft"), (1700, "bone")]
)
def test_typical_values_are_one_tissue(hu, name):
    shares = tissue_shares(torch.tensor([float(hu)]))
    assert float(shares[name]) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("name", ["fat", "soft", "bone"])
def test_a_pure_tissue_gets_its_density_back(name):
    """ICRU's tissue at its CT value weighs what ICRU says."""
    at_ct = np.array(70.0)
    hu = 1000 * (attenuation_per_cm(name, at_ct) / attenuation_per_cm("water", at_ct) - 1)
    value = torch.tensor([float(hu)], dtype=torch.float64)
    shares = tissue_shares(value)
    assert float(shares[name]) > 0.97
    assert float(mass_density(value, shares)) == pytest.approx(material(name).density, rel=0.01)


def test_density_rises_with_the_ct_value():
    hu = torch.arange(-1000, 3000, 1.0, dtype=torch.float64)
    density = mass_density(hu, tissue_shares(hu))
    assert (density.diff() > -1e-4).all() and float(density[0]) == 0
    assert float(density[1000]) == pytest.approx(1.0, abs=0.03)  # 0 HU


def test_at_the_ct_s_energy_the_tissues_give_back_the_ct():
    generator = torch.Generator().manual_seed(0)
    hu = torch.rand(5, 6, 7, generator=generator, dtype=torch.float64) * 2900 - 900
    iodine = torch.rand(5, 6, 7, generator=generator, dtype=torch.float64)
    expected = hu_to_mu(hu) / MU_WATER_PER_MM * float(attenuation_per_cm("water", np.array(70.0)))
    for names, parts in (
        tissue_densities(hu, slices=2),
        tissue_densities(hu, iodine=iodine, metal=True),
    ):
        mu = sum(
            float(mass_attenuation(n, np.array(70.0))) * p
            for n, p in zip(names, parts, strict=True)
        )
        # Lung of -900 HU may be part air, which has no path of its own.
        assert torch.allclose(mu, expected, atol=1e-3)


def test_contrast_medium_is_not_bone_where_the_mask_says_so():
    hu = torch.full((1, 1, 2), 400.0)
    mask = torch.tensor([[[0.0, 1.0]]])
    names, parts = tissue_densities(hu, iodine=mask)
    part = dict(zip(names, parts[:, 0, 0], strict=True))
    assert part["bone"][0] > 0.2 and part["bone"][1] == 0
    assert part["iodine"][0] == 0 and part["iodine"][1] > 0.1
    # At 40 keV, just above its edge, iodine attenuates more than bone of the same CT value.
    at_40 = {n: float(mass_attenuation(n, np.array(40.0))) for n in names}
    mu = sum(at_40[n] * part[n] for n in names)
    assert mu[1] > 1.1 * mu[0]
