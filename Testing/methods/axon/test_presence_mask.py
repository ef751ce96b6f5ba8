"""Samples with and without a lateral view in one batch: each is answered as if it were alone."""

import pytest
import torch

from axon_backend.methods.axon.model import AxonModel
from axon_backend.methods.axon.stage import condition
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.networks.lifting import LIFTINGS

PRESENT = torch.tensor([True, False, True, False])


@pytest.fixture
def mixed() -> RegisteredViews:
    """Four samples, two of them without a lateral view; something else lies in its place."""
    generator = torch.Generator().manual_seed(3)
    frontal, lateral = torch.rand(2, 4, 1, 16, 16, generator=generator) * 2 - 1
    beam = torch.rand(4, 2, generator=generator) * 0.2 - 0.1
    return RegisteredViews(frontal, lateral, beam, PRESENT)


def with_other_absent(views: RegisteredViews) -> RegisteredViews:
    """The same, with other numbers where a lateral view is absent."""
    lateral = torch.where(PRESENT[:, None, None, None], views.lateral, 9 * views.lateral + 5)
    return RegisteredViews(views.frontal, lateral, views.beam, PRESENT)


def end_points(model: AxonModel, views: RegisteredViews) -> torch.Tensor:
    encoder = model.coarse_diff.encoder
    with torch.no_grad():
        return encoder(views.frontal, views.lateral, views.beam, views.has_lateral)


def test_split_gives_each_sample_its_own_views(mixed):
    parts = mixed.split()
    assert [p.lateral is not None for p in parts] == PRESENT.tolist()
    assert all(p.has_lateral is None and len(p.frontal) == 1 for p in parts)
    assert torch.equal(torch.cat([p.frontal for p in parts]), mixed.frontal)
    assert torch.equal(torch.cat([p.beam for p in parts]), mixed.beam)
    assert torch.equal(parts[2].lateral, mixed.lateral[2:3])


@pytest.mark.parametrize("trunk", [(8, 16), ()])
@pytest.mark.parametrize("lifting", LIFTINGS)
def test_the_encoder(tiny, tiny_config, mixed, lifting, trunk):
    from dataclasses import replace

    encoder = replace(tiny_config().encoder, lifting=lifting, trunk=trunk)
    model = tiny(encoder=encoder)
    together = end_points(model, mixed)
    alone = torch.cat([end_points(model, part) for part in mixed.split()])
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.equal(together, end_points(model, with_other_absent(mixed)))
    # The lateral views that are there count.
    without = RegisteredViews(mixed.frontal, None, mixed.beam)
    differs = (end_points(model, without) - together).abs().amax((1, 2, 3, 4)) > 1e-4
    assert torch.equal(differs, PRESENT)


def test_the_condition(tiny_config, mixed):
    config = tiny_config()
    volume = torch.rand(4, 1, 8, 8, 8, generator=torch.Generator().manual_seed(4)) * 2 - 1
    together = condition(config, mixed, volume)
    alone = torch.cat(
        [condition(config, p, volume[i : i + 1]) for i, p in enumerate(mixed.split())]
    )
    assert torch.allclose(together, alone, atol=1e-6)
    # Channels: volume, both views, both residuals.
    assert not together[~PRESENT][:, [2, 4]].any() and together[PRESENT][:, [2, 4]].any()


@pytest.mark.parametrize("kind", ["controlnet", "bridge"])
def test_stage_two_with_a_global_encoder(tiny, mixed, kind):
    model = tiny(fine_diff=kind, global_encoder=True)
    generator = torch.Generator().manual_seed(5)
    y_t, x = torch.rand(2, 4, 1, 8, 8, 8, generator=generator) * 2 - 1
    t = torch.tensor([10, 300, 600, 900])

    def estimate(views: RegisteredViews, which: slice) -> torch.Tensor:
        fine = model.fine_diff
        with torch.no_grad():
            seen = fine.prepared(condition(model.config, views, x[which]))
            output = fine.output(y_t[which], t[which], seen, fine.global_embedding(views))
            return fine.x0_of(output, y_t[which], t[which], seen)

    together = estimate(mixed, slice(None))
    alone = [estimate(part, slice(i, i + 1)) for i, part in enumerate(mixed.split())]
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)
