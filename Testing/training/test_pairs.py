"""Images and volume of a training pair show the same chest, and come from the seed alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from axon_backend.errors import AxonInputError
from axon_backend.imaging.frame import HuWindow, ThoraxFrame, resample_to_frame
from axon_backend.imaging.view import View
from axon_backend.physics.attenuation import AttenuationVolume, hu_to_mu
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import AcquisitionGeometry
from axon_backend.training.data.pairs import NOT_DEFORMED, DeformableCT, Deformation, PairFactory

N = 48


@pytest.fixture(scope="module")
def bent(chest) -> DeformableCT:
    return DeformableCT(chest)


class Factory(PairFactory):
    """A factory of one chest."""

    def __init__(self, bent: DeformableCT, deformation: Deformation | None = None) -> None:
        super().__init__(fine_size=N, view_size=N, deformation=deformation)
        self.bent = bent

    def draw(self, rng):
        return super().draw(self.bent, rng)


@pytest.fixture(scope="module")
def factory(bent) -> Factory:
    return Factory(bent)


def drawn(factory: PairFactory, deformation: Deformation, seed: int = 0):
    kept, factory.deformation = factory.deformation, deformation
    try:
        return factory.draw(np.random.default_rng(seed))
    finally:
        factory.deformation = kept


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_volume_projects_to_the_images(factory, seed):
    """However the chest was deformed: re-render the volume and compare."""
    pair = factory.draw(np.random.default_rng(seed))
    assert pair.volume.shape == (N, N, N) and pair.volume.dtype == np.uint8
    assert pair.views.shape == (2, N, N) and pair.views.dtype == np.float16
    mu = hu_to_mu(HuWindow().to_hu(torch.as_tensor(pair.volume).float() / 127.5 - 1))
    # The beam parameters give the box in units of the SOD; its height does not matter to the
    # image, which is as high as the box.
    sod = 1600.0
    depth, width = 2 * sod * np.abs(pair.beam.astype(float))
    frame = ThoraxFrame((0.0, 0.0, 0.0), (width, depth, 250.0))
    views = (View.pa if pair.beam[0] > 0 else View.ap, View.lateral_left)
    assert pair.beam[1] < 0
    geometries = [AcquisitionGeometry.of_frame(frame, v, sod_mm=sod) for v in views]
    volume = AttenuationVolume(mu, frame.spacing_mm(N), frame.origin_mm(N))
    images = [render_drr(volume, geometry, N).numpy() for geometry in geometries]
    inside = slice(N // 8, -N // 8)  # the image is wider than the box
    for ours, theirs in zip(images, pair.views.astype(float), strict=True):
        r = np.corrcoef(ours[inside, inside].ravel(), theirs[inside, inside].ravel())[0, 1]
        assert r > 0.9
    swapped = np.corrcoef(images[0][inside, inside].ravel(), pair.views[1][inside, inside].ravel())
    assert swapped[0, 1] < 0.9


def test_without_augmentation_the_volume_is_the_ct_in_its_frame(factory, chest):
    pair = drawn(factory, NOT_DEFORMED)
    hu = HuWindow().to_hu(pair.volume.astype(float) / 127.5 - 1)
    expected = resample_to_frame(chest, factory.bent.frame, N)
    assert np.abs(hu - np.clip(expected, -1000, 900)).mean() < 15.0  # one grey level is 7.5 HU
    half_depth = factory.bent.frame.size_mm[1] / 2
    assert half_depth / 1750.0 <= abs(pair.beam[0]) <= half_depth / 1450.0


def test_the_mirror_swaps_left_and_right(factory):
    straight, mirrored = (drawn(factory, replace(NOT_DEFORMED, mirror=m)) for m in (0.0, 1.0))
    a, b = straight.volume.astype(float), mirrored.volume.astype(float)
    assert np.abs(a - b[:, :, ::-1]).mean() < 0.3 * np.abs(a - b).mean()


def test_the_frame_follows_the_lungs_of_a_deformed_chest(factory):
    """A chest made 20 % larger and moved is the same volume: the frame is found by its lungs."""

    class Enlarged(Factory):
        def _warp(self, rng):
            affine, elastic = super()._warp(rng)
            affine = torch.cat([affine[:, :3] / 1.2, torch.full((3, 1), 0.05)], 1)
            return affine, elastic

    enlarged = Enlarged(factory.bent, NOT_DEFORMED)
    a = drawn(factory, NOT_DEFORMED)
    b = enlarged.draw(np.random.default_rng(0))
    assert np.abs(a.volume.astype(float) - b.volume).mean() < 8.0
    # The lungs of a draw are found on a lattice of 0.06 half box sizes.
    assert b.beam == pytest.approx(1.2 * a.beam, rel=0.06)


def test_the_seed_decides_the_pair(factory):
    first, again, other = (factory.draw(np.random.default_rng(s)) for s in (4, 4, 5))
    for name in ("volume", "views", "beam"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))


def test_a_frame_without_lungs_is_refused(chest):
    """Such as that of a data set whose CT was exchanged."""
    away = ThoraxFrame((5000.0, 0.0, 0.0), (300.0, 200.0, 250.0))
    with pytest.raises(AxonInputError, match="phantom: its thorax frame contains no lungs"):
        DeformableCT(chest, away)
