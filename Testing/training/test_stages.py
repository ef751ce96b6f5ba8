"""The stage trainers: what they draw, and that each changes its own network only."""

import copy
import itertools

import pytest
import torch

from axon_backend.methods.axon import Axon
from axon_backend.training.coarse import AT_THE_END, blur_of_trust, draw_times, train_coarse
from axon_backend.training.encoder import mean_figures, regression_loss, train_encoder
from axon_backend.training.fine import train_controlnet, train_prior
from axon_backend.training.sr import train_sr

TRAINERS = {
    "encoder": train_encoder,
    "coarse": train_coarse,
    "prior": train_prior,
    "controlnet": train_controlnet,
    "sr": train_sr,
}


@pytest.mark.parametrize("stage", TRAINERS)
def test_a_stage_trains_its_own_network_and_no_other(stage, model, case, batch, tmp_path):
    before = {part: copy.deepcopy(getattr(model, part).state_dict()) for part in Axon.PARTS}
    trained = getattr(model, stage).train()
    TRAINERS[stage](
        model.encoder if stage == "encoder" else model,
        batches=itertools.repeat(batch),
        cases=[case],
        folder=tmp_path,
        minutes=0.005,
        rng=torch.Generator().manual_seed(0),
    )
    assert getattr(model, stage) is trained
    for part in Axon.PARTS:
        after = getattr(model, part).state_dict()
        same = all(torch.equal(after[k], v) for k, v in before[part].items())
        assert same == (part != stage), part
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert best.keys() == before[stage].keys()
    assert all(torch.isfinite(v).all() for v in best.values())


def test_times_are_drawn_towards_the_end():
    """P(t < x T) = (1 - p) x^2, and p of all are exactly T - 1."""
    t = draw_times(200_000, 1000, torch.Generator().manual_seed(0))
    assert t.dtype == torch.long and int(t.min()) >= 0 and int(t.max()) == 999
    assert float((t == 999).float().mean()) == pytest.approx(AT_THE_END, abs=0.005)
    for x in (0.25, 0.5, 0.75):
        share = float((t < x * 1000).float().mean())
        assert share == pytest.approx((1 - AT_THE_END) * x**2, abs=0.005)


def test_no_doubt_leaves_the_volume_as_it_is(batch):
    out = blur_of_trust(batch.volume, torch.Generator().manual_seed(0), 0.0)
    assert torch.allclose(out, batch.volume, atol=1e-5)


def test_doubt_grows_with_its_strength_and_comes_from_the_seed(batch):
    def change(strength, seed=0):
        out = blur_of_trust(batch.volume, torch.Generator().manual_seed(seed), strength)
        assert out.shape == batch.volume.shape and torch.isfinite(out).all()
        return out - batch.volume

    assert change(0.5).abs().mean() < change(1.0).abs().mean() < change(2.0).abs().mean()
    assert torch.equal(change(1.0), change(1.0))
    assert not torch.equal(change(1.0), change(1.0, seed=1))


def test_doubt_s_grey_error_is_about_what_it_says():
    """On a constant volume only the grey values change: two fields of 0.04 on coarse grids, whose
    enlargement averages neighbours."""
    out = blur_of_trust(torch.zeros(4, 1, 32, 32, 32), torch.Generator().manual_seed(0), 1.0)
    assert 0.02 < float(out.std()) < 0.06


def test_regression_loss_is_l2_and_a_tenth_of_l1():
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0])
    assert float(regression_loss(a, b)) == pytest.approx(2.5 + 0.1 * 1.5)


def test_mean_figures():
    assert mean_figures([{"a": 1.0, "b": 4.0}, {"a": 3.0, "b": 0.0}]) == {"a": 2.0, "b": 2.0}
