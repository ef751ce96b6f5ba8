"""A model with a harmoniser: its networks see harmonised X-rays, and it can be trained alone."""

from dataclasses import replace

import pytest
import torch

from axon_backend.errors import AxonInputError
from axon_backend.methods.axon.config import AxonLoss
from axon_backend.methods.axon.method import AXON
from axon_backend.methods.axon.train_harmoniser import HarmoniserObjective
from axon_backend.methods.batch import Batch, ValidationCase
from axon_backend.util.run_context import RunContext


@pytest.fixture
def model(tiny):
    return tiny(harmoniser=(8, 16))


def run(model, views, volume=None):
    stage = "coarse" if volume is None else "fine"
    return model.run_stage(stage, views, volume, context=RunContext(seed=3))


def test_stages_1_and_2_see_the_harmonised_views(model, views):
    seen = model.harmonised(views)
    assert not torch.allclose(seen.frontal, views.frontal)
    assert not torch.allclose(seen.lateral, views.lateral)
    assert torch.equal(seen.beam, views.beam)
    alone = model.harmonised(replace(views, lateral=None))
    assert alone.lateral is None and torch.equal(alone.frontal, seen.frontal)
    coarse = run(model, views)
    fine = run(model, views, coarse)
    network, model.harmoniser = model.harmoniser, None
    assert torch.equal(model.harmonised(views).frontal, views.frontal)
    assert torch.equal(run(model, seen), coarse) and not torch.allclose(run(model, views), coarse)
    assert torch.equal(run(model, seen, coarse), fine)
    model.harmoniser = network
    stage = model.copy_of_stage("coarse")
    assert torch.equal(run(stage, views), coarse)


def test_a_model_without_one_has_no_such_network(tiny, views):
    model = tiny()
    assert "harmoniser" not in model.config.networks and not model.has_network("harmoniser")
    assert model.harmonised(views) is views
    assert HarmoniserObjective.trains(model.config, AxonLoss()) == ()
    completed = HarmoniserObjective.completed(model.config)
    assert HarmoniserObjective.trains(completed, AxonLoss()) == ("harmoniser",)
    assert HarmoniserObjective.completed(replace(completed, harmoniser=(8,))).harmoniser == (8,)


@pytest.mark.parametrize(
    ("channels", "why"),
    [((0,), "at least one"), ((-4, 8), "at least one"), ((8,) * 5, "5 levels; X-rays of 16 x 16")],
)
def test_channels_that_do_not_fit_are_named(tiny_config, channels, why):
    HarmoniserObjective.check(tiny_config(harmoniser=(8,) * 4), AxonLoss())
    with pytest.raises(AxonInputError, match=rf"model\.harmoniser is \[.*{why}"):
        HarmoniserObjective.check(tiny_config(harmoniser=channels), AxonLoss())


def test_only_its_own_run_decides_that_a_bundle_has_it(tiny_config):
    with_it, without = tiny_config(harmoniser=(8, 16)), tiny_config()
    assert AXON.merge(without, "harmoniser", with_it) == with_it
    assert AXON.merge(without, "encoder", with_it) == without
    assert AXON.networks_of(without, "coarse") == ("encoder", "coarse")
    assert AXON.networks_of(with_it, "coarse") == ("harmoniser", "encoder", "coarse")
    assert AXON.networks_of(with_it, "sr") == ("sr",)
    assert AXON.network_formats(with_it).keys() == set(with_it.networks)


def test_it_learns_to_undo_a_tone_curve(tiny_config):
    torch.manual_seed(0)
    model = AXON.build(tiny_config(harmoniser=(8, 16)))
    objective = HarmoniserObjective(model, AxonLoss(), single_view=0.0)
    assert objective.networks().keys() == {"harmoniser"}

    def batch(seed: int) -> Batch:
        clean = torch.rand(4, 2, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        seen = ((clean + 1) / 2).sqrt() * 2 - 1
        volume = torch.zeros(4, 1, 8, 8, 8)
        beam = torch.zeros(4, 2)
        return Batch(volume, volume, seen[:, :1], seen[:, 1:], beam, clean=clean)

    case = ValidationCase("a", batch(99), None)
    with torch.no_grad():
        before = objective.measure(case)
    assert before.sample is None
    assert before.metrics["rmse"] == pytest.approx(before.metrics["rmse_before"])
    optimiser = torch.optim.Adam(model.harmoniser.parameters(), 5e-3)
    for step in range(60):
        optimiser.zero_grad()
        objective(batch(step)).backward()
        optimiser.step()
    with torch.no_grad():
        after = objective.measure(case).metrics
    assert after["rmse_before"] == before.metrics["rmse_before"]
    assert after["rmse"] < 0.5 * after["rmse_before"]
    assert objective.score(after) == after["rmse"]
