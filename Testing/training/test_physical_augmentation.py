"""Radiographs exposed by the physics, as training sees them."""

import numpy as np
import pytest
import torch

from axon_backend.physics.randomise import line_integrals_from_paths
from axon_backend.training.data.augmentation import (
    Probabilities,
    RadiographAugmentation,
    augment_radiograph,
)
from axon_backend.training.settings import apply_pairs

UNCUT = Probabilities(misregistration=0.0, letters=0.0, collimation=0.0)
NOISELESS = Probabilities(noise=0.0, misregistration=0.0, letters=0.0, collimation=0.0)
PHYSICAL = RadiographAugmentation(clean=0.0, physical=1.0, p=UNCUT)


def lines(size: int = 64) -> torch.Tensor:
    """Line integrals with a wide body, (1, 1, size, size)."""
    x = torch.linspace(-1, 1, size)
    return (4 * torch.exp(-2 * (x[None, :] ** 4 + 0.5 * x[:, None] ** 2)))[None, None]


def test_shapes_seeds_and_the_original_is_left_alone():
    before = lines()
    kept = before.clone()
    first, again, other = (
        augment_radiograph(before, np.random.default_rng(s), PHYSICAL) for s in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == before.shape and first.dtype == torch.float32
    assert torch.equal(before, kept)


def test_bright_stays_bright():
    rng = np.random.default_rng(0)
    r = [
        np.corrcoef(lines().ravel(), augment_radiograph(lines(), rng, PHYSICAL).ravel())[0, 1]
        for _ in range(30)
    ]
    assert np.median(r) > 0.8 and min(r) > 0.2


def test_path_lengths_are_taken_as_they_are():
    """Four materials: true bone; without a change they give their line integrals."""
    soft = lines()[:, 0] * 4
    paths = torch.stack([0 * soft, 0 * soft, soft, 0.1 * soft], 1)
    same = augment_radiograph(paths, np.random.default_rng(0), RadiographAugmentation(clean=1.0))
    assert torch.allclose(same[0, 0], line_integrals_from_paths(paths)[0])
    changed = augment_radiograph(paths, np.random.default_rng(0), PHYSICAL)
    assert changed.shape == (1, 1, 64, 64) and torch.isfinite(changed).all()


def test_off_by_default_and_set_by_name():
    assert RadiographAugmentation().physical == 0
    chosen = apply_pairs(RadiographAugmentation(), ["physical=0.5", "p.letters=0"])
    assert chosen.physical == 0.5 and chosen.p.letters == 0.0


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_decides_which_kind(share):
    """The quick kind leaves open air at one value; the physics adds quanta to it."""
    augmentation = RadiographAugmentation(clean=0, physical=share, p=NOISELESS)
    flat = torch.zeros(1, 1, 64, 64)
    flat[..., 20:44] = 2.0
    noisy = 0
    for seed in range(10):
        after = augment_radiograph(flat, np.random.default_rng(seed), augmentation)[0, 0]
        noisy += float(after[10:50, 30:34].diff(dim=0).abs().max()) > 1e-5
    assert noisy == (10 if share else 0)
