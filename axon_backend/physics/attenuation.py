"""From Hounsfield units to linear attenuation, mono-energetic."""

from __future__ import annotations

from axon_backend.imaging.frame import Array

# Linear attenuation of water at 70 keV, 1/mm (NIST XCOM: 0.1948 cm^2/g at 1 g/cm^3 rounded to
# the tissue value used across the DRR literature).
MU_WATER_PER_MM = 0.0195
# Bone attenuates more than its HU (measured near 70 keV effective) says when the beam is softer;
# 1 means strictly mono-energetic.
BONE_THRESHOLD_HU = 150.0


def hu_to_mu(hu: Array, bone_gain: float = 1.0) -> Array:
    """HU -> linear attenuation in 1/mm: ``mu = mu_water (1 + HU / 1000)``, not below 0.

    ``bone_gain`` multiplies what lies above :data:`BONE_THRESHOLD_HU`, a one-parameter stand-in
    for another tube voltage. Accepts numpy arrays and torch tensors of any shape.
    """
    if bone_gain != 1.0:
        hu = hu + (bone_gain - 1.0) * (hu - BONE_THRESHOLD_HU).clip(min=0.0)
    return (1.0 + hu / 1000.0).clip(min=0.0) * MU_WATER_PER_MM
