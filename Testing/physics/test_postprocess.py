"""Processing for the eye: monotone, bounded, local."""

import numpy as np
import pytest
import torch

from axon_backend.errors import AxonInputError
from axon_backend.physics.postprocess import Postprocessing, postprocess, s_curve, windowed

LINEAR = Postprocessing(low=0.0, high=1.0, detail=1.0, latitude=1.0, local=0.0, steepness=1.0)


def chest(size: int = 128) -> torch.Tensor:
    """Something with an open border, two dark lungs and fine lines, (1, size, size)."""
    x = torch.linspace(-1, 1, size)
    body = 5 * torch.exp(-3 * (x[None, :] ** 4 + 0.3 * x[:, None] ** 4))
    lungs = sum(
        torch.exp(-20 * ((x[None, :] - c) ** 2 + 0.5 * x[:, None] ** 2)) for c in (-0.4, 0.4)
    )
    ribs = 0.03 * torch.sin(90 * x[:, None]) * lungs
    return (body * (1 - 0.6 * lungs) + ribs)[None]


def test_a_linear_look_is_linear():
    image = chest()
    shown = postprocess(image, LINEAR)[0]
    inside = (shown > 0.01) & (shown < 0.99)
    r = np.corrcoef(image[0][inside], shown[inside])[0, 1]
    assert r > 0.999999


def test_images_lie_between_black_and_white_and_keep_their_polarity():
    for look in (Postprocessing(), Postprocessing(detail=0.4, local=1.0, steepness=4.0)):
        shown = postprocess(chest(), look)
        assert shown.shape == chest().shape and float(shown.min()) >= 0 and float(shown.max()) <= 1
        assert torch.isfinite(shown).all()
        assert float(shown[0, 64, 64]) > float(shown[0, 64, 38])  # mediastinum over lung


def test_gain_and_offset_of_the_recording_do_not_show():
    a, b = (postprocess(p) for p in (chest(), 3.7 * chest() + 12))
    assert torch.allclose(a, b, atol=1e-4)


def test_the_window_puts_its_quantiles_at_black_and_white():
    values = torch.linspace(0, 10, 10_001).reshape(137, 73)
    out = windowed(values, 0.1, 0.9).reshape(-1)
    # What is above 8 % of the range counts as body: 0.8 to 10.
    low, high = 0.8 + 0.1 * 9.2, 0.8 + 0.9 * 9.2
    at = [int(round(v * 1000)) for v in (low, high)]
    assert out[at].numpy() == pytest.approx([0, 1], abs=2e-3)


def ribs_over_step(detail: float, latitude: float) -> float:
    """Fine lines in the lung against the difference of mediastinum and lung."""
    look = Postprocessing(low=0, high=1, detail=detail, latitude=latitude, local=0, steepness=1)
    shown = postprocess(chest(), look)[0]
    column = shown[44:86, 38]
    wave = column[4:-4] - torch.nn.functional.avg_pool1d(column[None], 9, 1)[0]
    return float(wave.std() / (shown[60:68, 60:68].mean() - shown[60:68, 34:42].mean()))


def test_detail_below_one_raises_weak_contrast_over_strong():
    assert ribs_over_step(0.6, 1.0) > 1.2 * ribs_over_step(1.0, 1.0)


def test_latitude_brings_light_and_dark_regions_together():
    assert ribs_over_step(0.8, 0.5) > 1.2 * ribs_over_step(0.8, 1.0)


def test_s_curve_passes_its_ends_and_rises():
    x = torch.linspace(0, 1, 101)
    for steepness, middle in ((1.0, 0.5), (2.0, 0.5), (3.0, 0.3)):
        y = s_curve(x, steepness, middle)
        assert y[[0, -1]].tolist() == pytest.approx([0, 1], abs=1e-6)
        assert (y.diff() > 0).all()
    assert float(s_curve(torch.tensor([0.49, 0.51]), 3.0, 0.5).diff()) > 2 * 0.02


def test_outside_the_field_is_black_and_has_no_say():
    image = chest()
    field = torch.zeros_like(image, dtype=torch.bool)
    field[:, 16:112, 16:112] = True
    one = postprocess(image, Postprocessing(), field)
    two = postprocess(torch.where(field, image, torch.tensor(50.0)), Postprocessing(), field)
    assert float(one[~field].max()) == 0
    assert torch.allclose(one, two, atol=1e-6)
    assert float(one[field].max()) > 0.9


def test_each_image_by_itself_and_gradients_flow():
    both = postprocess(torch.cat([chest(), 5 - chest()]))
    assert torch.allclose(both[:1], postprocess(chest()))
    image = chest(64).requires_grad_()
    (gradient,) = torch.autograd.grad(postprocess(image).sum(), image)
    assert torch.isfinite(gradient).all() and float(gradient.abs().sum()) > 0


@pytest.mark.parametrize("wrong", [{"low": 0.9, "high": 0.1}, {"detail": 0}, {"local": 2}])
def test_looks_that_make_no_sense_are_refused(wrong):
    with pytest.raises(AxonInputError):
        Postprocessing(**wrong)
