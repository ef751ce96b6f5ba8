"""The appearance of training radiographs: augmentation, standardising, batches."""

import numpy as np
import pytest
import torch

from axon_backend.imaging.standardise import LIMIT, standardise_view
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import AcquisitionGeometry
from axon_backend.training.data.augmentation import (
    CLIPPED,
    Probabilities,
    RadiographAugmentation,
    augment_radiograph,
    clipping,
    even_contrast,
    gaussian_blur,
)
from axon_backend.training.data.batch import blend, collate
from axon_backend.training.data.pairs import TrainingPair
from axon_backend.training.data.samples import Samples


def image(size: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 1, size, size, generator=generator)
    return gaussian_blur(noise, 3.0) * 8 + torch.linspace(0, 2, size)


@pytest.mark.parametrize("size", [64, 128])
def test_augmented_images_keep_their_shape_and_stay_finite(size):
    before = image(size)
    kept = before.clone()
    for seed in range(40):
        after = augment_radiograph(
            before, np.random.default_rng(seed), RadiographAugmentation(clean=0.0)
        )
        assert after.shape == before.shape and after.dtype == torch.float32
        assert torch.isfinite(after).all()
        assert not torch.equal(after, before)
    assert torch.equal(before, kept)  # and the original is left as it was


def test_augmented_images_come_from_the_seed():
    augmentation = RadiographAugmentation(clean=0.0)
    first, again, other = (
        augment_radiograph(image(), np.random.default_rng(s), augmentation) for s in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_clean_is_the_share_left_alone():
    before = image()
    assert torch.equal(
        augment_radiograph(before, np.random.default_rng(0), RadiographAugmentation(clean=1.0)),
        before,
    )
    rng = np.random.default_rng(0)
    share = np.mean(
        [augment_radiograph(before, rng, RadiographAugmentation()) is before for _ in range(300)]
    )
    assert share == pytest.approx(RadiographAugmentation().clean, abs=0.1)


def test_most_augmented_images_still_look_like_the_original():
    before, rng = image(), np.random.default_rng(0)
    p = Probabilities(collimation=0.0, letters=0.0, misregistration=0.0)
    quiet = RadiographAugmentation(clean=0.0, p=p)
    r = [
        np.corrcoef(before.numpy().ravel(), augment_radiograph(before, rng, quiet).numpy().ravel())[
            0, 1
        ]
        for _ in range(40)
    ]
    assert np.median(r) > 0.85 and min(r) > 0.3


def test_even_contrast_makes_faint_detail_as_strong_as_the_rest():
    """The right half has a tenth of the left half's detail."""
    detail = image(128) - gaussian_blur(image(128), 8.0)
    x = torch.where(torch.arange(128) < 64, detail, 0.1 * detail)
    x = (x - x.min()) / (x.max() - x.min())

    class Whole:
        """All of the image is replaced, by windows of 1/8 of its side."""

        values = iter((1.0, 1 / 8))

        def uniform(self, low, high):
            return next(self.values)

    after = even_contrast(x, Whole())
    left, right = slice(16, 48), slice(80, 112)
    ratio = [float(v[..., right].std() / v[..., left].std()) for v in (x, after)]
    assert ratio[0] == pytest.approx(0.1, abs=0.03) and ratio[1] > 0.4
    assert (float(after.min()), float(after.max())) == (0.0, 1.0)


def test_clipping_cuts_both_ends_of_the_grey_scale():
    before = image(128)
    for seed in range(5):
        after = clipping(before, np.random.default_rng(seed))
        low, high = np.random.default_rng(seed).uniform(0, CLIPPED, 2)
        assert float((after == 0).float().mean()) == pytest.approx(low, abs=0.002)
        assert float((after == 1).float().mean()) == pytest.approx(high, abs=0.002)
        inside = (after > 0) & (after < 1)
        assert np.corrcoef(before[inside], after[inside])[0, 1] > 0.9999


def test_blur_keeps_the_mean_of_a_constant_and_widens_a_point():
    assert torch.allclose(gaussian_blur(torch.full((1, 1, 9, 9), 3.0), 2.0), torch.tensor(3.0))
    point = torch.zeros(1, 1, 41, 41)
    point[..., 20, 20] = 1
    row = gaussian_blur(point, 3.0)[0, 0].sum(0)
    place = torch.arange(41.0) - 20
    assert float(row.sum()) == pytest.approx(1.0, abs=1e-5)
    assert float((row * place**2).sum()) == pytest.approx(9.0, rel=0.05)


def test_standardising_removes_gain_and_offset():
    view = image()
    once = standardise_view(view)
    assert torch.allclose(standardise_view(37.0 * view - 500.0), once, atol=1e-4)
    assert once.dtype == torch.float32 and once.abs().max() <= LIMIT
    inside = view[(once > -1) & (once < 1)].numel() / view.numel()
    assert inside == pytest.approx(0.98, abs=0.01)  # between the quantiles


def test_standardising_sees_only_the_valid_part():
    view = image()
    valid = torch.ones_like(view, dtype=torch.bool)
    valid[..., :20] = False
    spoiled = torch.where(valid, view, torch.full_like(view, 1e4))
    a, b = standardise_view(view, valid), standardise_view(spoiled, valid)
    assert torch.equal(a, b)
    assert (a[~valid] == -1).all() and (a[valid] > -1).any()


def test_each_image_of_a_batch_is_standardised_by_itself():
    view = image()
    both = standardise_view(torch.cat([view, 5 * view.flip(-1)]))
    assert torch.allclose(both[1], both[0].flip(-1), atol=1e-4)


def test_a_flat_image_stays_finite():
    assert torch.isfinite(standardise_view(torch.full((1, 1, 8, 8), 4.0))).all()


def pair(seed: int) -> TrainingPair:
    rng = np.random.default_rng(seed)
    return TrainingPair(
        rng.integers(0, 256, (8, 8, 8), dtype=np.uint8),
        rng.random((2, 32, 32)).astype(np.float16),
        np.array([0.07, -0.09], np.float32),
    )


def test_collate_maps_bytes_to_the_unit_range_and_keeps_the_views_apart():
    pairs = [pair(0), pair(1)]
    batch = collate(pairs)
    assert batch.fine.shape == (2, 1, 8, 8, 8) and batch.volume.shape == (2, 1, 4, 4, 4)
    assert batch.frontal.shape == batch.lateral.shape == (2, 1, 32, 32)
    expected = torch.as_tensor(pairs[1].volume).float() / 255 * 2 - 1
    assert torch.allclose(batch.fine[1, 0], expected, atol=1e-6)
    assert float(batch.volume[0, 0, 0, 0, 0]) == pytest.approx(
        float(batch.fine[0, 0, :2, :2, :2].mean()), abs=1e-6
    )
    view = torch.as_tensor(pairs[1].views.astype(np.float32))
    assert torch.allclose(batch.lateral[1:], standardise_view(view[None, 1:]))
    assert torch.allclose(batch.beam, torch.tensor([[0.07, -0.09]] * 2))


def test_the_image_of_a_blend_is_the_blend_of_the_images(chest):
    """A radiograph is linear in the attenuation: a quarter of a chest, three quarters of its
    mirror image."""
    axes = (0, -1, 0), (1, 0, 0), (0, 0, -1)
    geometry = AcquisitionGeometry((0, 0, 0), *axes, (400, 400))
    volume = np.rint(np.clip((chest.hu + 1000) / 1900, 0, 1) * 255).astype(np.uint8)

    def radiograph(grey: np.ndarray) -> np.ndarray:
        mu = torch.as_tensor(grey.astype(np.float32)) * 1e-4
        volume = AttenuationVolume(mu, chest.spacing_mm, chest.origin_mm)
        return render_drr(volume, geometry, 48)[None].numpy()

    a, b = (
        TrainingPair(v, radiograph(v).repeat(2, 0), np.array([0.07, -0.09]))
        for v in (volume, volume[..., ::-1].copy())
    )
    made = blend(a, b, 0.25)
    assert np.abs(made.views[:1] - radiograph(made.volume)).max() < 0.01 * made.views.max()
    assert np.abs(made.views - a.views).max() > 0.1 * made.views.max()


def test_only_images_of_the_same_view_are_blended():
    """AP and PA magnify opposite sides of the chest; half of a and half of b is neither."""
    pairs = [pair(seed) for seed in range(4)]
    for ap in pairs[2:]:
        ap.beam = ap.beam * np.float32([-1, 1])
    originals = {round(float(p.beam[0]), 5) for p in pairs}

    class Four:
        with_real, cases, pseudo_labelled = (), (0,), ()

        def rendered(self, number):
            return pairs[number]

    samples = Samples(
        Four(),
        seed=0,
        cache=4,
        blended=1.0,
        real=None,
        single_view=0.0,
        appearance=RadiographAugmentation(),
    )
    found = [samples.pair(i)[0] for i in range(20)]
    assert {round(float(p.beam[0]), 5) for p in found} == originals
    assert len({p.volume.tobytes() for p in found}) > 4  # and not only the four as they were
