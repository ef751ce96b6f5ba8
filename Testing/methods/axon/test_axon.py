"""The three stages behind one call: seeds, stages, progress, cancelling."""

import pytest
import torch

from axon_backend.errors import Cancelled
from axon_backend.imaging.frame import HuWindow
from axon_backend.methods.axon import INFO
from axon_backend.methods.axon.config import Sampling
from axon_backend.methods.axon.stage import condition
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.util.run_context import RunContext

STAGES = INFO.stage_names


def test_shapes_range_and_seconds(tiny, views):
    out = tiny().reconstruct(views)
    assert tuple(out.volumes) == tuple(out.seconds) == STAGES
    sizes = {"coarse": 8, "fine": 8, "sr": 16}
    for stage, volume in out.volumes.items():
        assert volume.shape == (1, 1, *(sizes[stage],) * 3)
        assert torch.isfinite(volume).all() and volume.abs().max() <= 1
    assert all(s > 0 for s in out.seconds.values())


def test_the_seed_decides_the_volume_bit_for_bit(tiny, views):
    model = tiny(sampling=Sampling(coarse_steps=3, fine_steps=4))
    first, again = (model.reconstruct(views, context=RunContext(seed=7)).volumes for _ in range(2))
    other = model.reconstruct(views, context=RunContext(seed=8)).volumes
    for stage in STAGES:
        assert torch.equal(first[stage], again[stage])
        assert not torch.equal(first[stage], other[stage])


def test_a_single_view_works_and_differs(tiny, views):
    model = tiny()
    one = RegisteredViews(views.frontal, None, views.beam)
    a, b = (model.reconstruct(v).volumes["coarse"] for v in (one, views))
    assert a.shape == b.shape and not torch.equal(a, b)


def test_leaving_a_stage_out_does_not_change_the_others_before_it(tiny, views):
    model = tiny()
    everything = model.reconstruct(views).volumes
    for stages in (("coarse",), ("coarse", "fine")):
        some = model.reconstruct(views, stages=stages).volumes
        assert tuple(some) == stages
        assert all(torch.equal(some[s], everything[s]) for s in stages)
    skipped = model.reconstruct(views, stages=("coarse", "sr")).volumes
    assert torch.equal(skipped["coarse"], everything["coarse"])
    assert skipped["sr"].shape == everything["sr"].shape


def test_wrong_stages_are_refused(tiny, views):
    model = tiny()
    with pytest.raises(ValueError, match="needs stage 'coarse'"):
        model.reconstruct(views, stages=("fine",))
    with pytest.raises(ValueError, match="corse"):
        model.reconstruct(views, stages=("corse",))
    with pytest.raises(ValueError, match="refine"):
        model.reconstruct(views, steps={"refine": 3})


def test_progress_is_told_of_every_step_with_a_preview(tiny, views):
    seen = []
    tiny().reconstruct(
        views,
        steps={"coarse": 2, "fine": 3},
        context=RunContext(
            progress=lambda stage, done, total, preview: seen.append(
                (stage, done, total, tuple(preview.shape[2:]))
            )
        ),
    )
    assert seen == [
        ("coarse", 1, 2, (8, 8, 8)),
        ("coarse", 2, 2, (8, 8, 8)),
        ("fine", 1, 3, (8, 8, 8)),
        ("fine", 2, 3, (8, 8, 8)),
        ("fine", 3, 3, (8, 8, 8)),
        ("sr", 1, 1, (16, 16, 16)),
    ]


@pytest.mark.parametrize(("where", "calls"), [("coarse", (2, 0)), ("fine", (3, 2))])
def test_a_cancel_stops_within_one_step(tiny, views, where, calls):
    model = tiny()
    counted = {"coarse": 0, "prior": 0}
    for name in counted:

        def count(*_, name=name):
            counted[name] += 1

        model.network(name).register_forward_hook(count)

    def progress(stage, done, total, preview):
        if stage == where and done == 2:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        model.reconstruct(views, context=RunContext(progress=progress))
    assert (counted["coarse"], counted["prior"]) == calls


def test_an_early_start_on_the_prior_s_time_axis_stays_near_the_coarse_volume(
    tiny, views, with_sampling
):
    """Shown with a network that adds nothing of its own (v = 0): from pure noise little is left of
    the coarse volume, from a little noise on it nearly everything."""
    model = tiny()
    with torch.no_grad():
        for part in (model.fine_diff.prior, model.fine_diff.controlnet):
            for parameter in part.parameters():
                parameter.zero_()
    coarse = torch.full((1, 1, 8, 8, 8), 0.5)

    def distance(start: float) -> float:
        with_sampling(model, fine_start=start)
        with torch.no_grad():
            fine = model.fine_diff.run(views, coarse, 4, torch.Generator().manual_seed(0))
        return float((fine - coarse).abs().mean())

    assert distance(0.01) < 0.15
    assert distance(1.0) > 0.4


def test_without_residuals_the_prior_is_alone(tiny, views):
    model = tiny()
    y, t = torch.randn(1, 1, 8, 8, 8), torch.tensor([500])
    seen = condition(model.config, views, torch.zeros_like(y))
    with torch.no_grad():
        seen = model.fine_diff.prepared(seen)
        steered = model.fine_diff.predict_x0(y, t, seen)
        for parameter in model.fine_diff.controlnet.parameters():
            parameter.zero_()
        alone = model.fine_diff.predict_x0(y, t, seen)
        with torch.autocast("cpu", torch.bfloat16):
            output = model.fine_diff.prior(y, t)
    assert torch.equal(alone, model.config.diffusion.predict_x0(output, y, t))
    assert not torch.allclose(steered, alone)


def test_the_condition_is_embedded_once_for_all_steps(tiny, views):
    model = tiny()
    fine, y = model.fine_diff, torch.randn(1, 1, 8, 8, 8)
    passes = []
    layer = fine.controlnet.net.controlnet_cond_embedding.conv_in
    layer.register_forward_hook(lambda *_: passes.append(1))
    with torch.no_grad():
        fine.run(views, torch.zeros_like(y), 4, torch.Generator().manual_seed(0))
    assert len(passes) == 1


@pytest.mark.parametrize("see", [True, False])
def test_the_condition_holds_the_views_if_configured(tiny, views, see):
    model = tiny(condition_on_views=see)
    seen = condition(model.config, views, torch.zeros(1, 1, 8, 8, 8))
    assert seen.shape[1] == (5 if see else 1)
    assert model.reconstruct(views).volumes["fine"].shape == (1, 1, 8, 8, 8)


def test_a_model_can_be_trained_after_it_has_reconstructed(tiny, views):
    """Nothing that was made in inference mode may stay behind in the model."""
    model = tiny(window=HuWindow(-100.0, 900.0))
    model.reconstruct(views)
    y, t = torch.randn(1, 1, 8, 8, 8), torch.tensor([500])
    seen = model.fine_diff.prepared(condition(model.config, views, torch.zeros_like(y)))
    model.fine_diff.predict_x0(y, t, seen).square().mean().backward()
    assert any(p.grad is not None and p.grad.any() for p in model.fine_diff.controlnet.parameters())


def test_sr_scale_lies_between_trilinear_enlargement_and_the_network(tiny, with_sampling):
    """Cells of one voxel leave nothing that SR-Net adds, cells of the whole volume all but the
    mean, and no cells all."""
    model = tiny()
    low = torch.rand(1, 1, 8, 8, 8) - 0.5
    with torch.inference_mode():
        full, one, whole = (
            with_sampling(model, sr_scale=s).super_resolution.run(low) for s in (0, 1, 16)
        )
    plain = torch.nn.functional.interpolate(low, scale_factor=2, mode="trilinear")
    assert torch.allclose(one, plain.to(one), atol=0.01) and not torch.allclose(full, plain)
    assert torch.allclose(whole, full - (full - plain).mean(), atol=0.01)


def test_sr_scale_leaves_local_means_to_the_stages_before(tiny, with_sampling):
    """A network that only lifts the grey level changes nothing; its fine detail stays."""
    model = tiny()
    low = torch.rand(1, 1, 8, 8, 8) - 0.5
    with torch.inference_mode():
        full = model.super_resolution.run(low)
        kept = with_sampling(model, sr_scale=4).super_resolution.run(low)
        for parameter in model.super_resolution.network.parameters():
            parameter.zero_()
        none = with_sampling(model, sr_scale=0).super_resolution.run(low)
        list(model.super_resolution.network.parameters())[-1].fill_(0.2)
        lifted = model.super_resolution.run(low)
        flat = with_sampling(model, sr_scale=4).super_resolution.run(low)
    assert torch.allclose(lifted, none + 0.2, atol=2e-3)  # bfloat16
    assert torch.allclose(flat, none, atol=2e-3)
    assert not torch.allclose(kept, full) and not torch.allclose(kept, none)


@pytest.mark.parametrize("scale", [-1, 3])
def test_an_sr_scale_that_does_not_divide_the_output_is_refused(tiny, scale):
    with pytest.raises(ValueError, match="sr_scale"):
        tiny(sampling=Sampling(sr_scale=scale))
