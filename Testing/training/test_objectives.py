"""The losses of the trainings: what is drawn, what is asked, and that each sample stands alone."""

import math

import pytest
import torch
from training_tiny import tiny

from axon_backend.diffusion.bridge import BrownianBridge
from axon_backend.errors import AxonInputError
from axon_backend.imaging.frame import HuWindow
from axon_backend.methods.axon.config import AxonLoss
from axon_backend.methods.axon.losses import (
    bone_contrast_loss,
    bridge_times,
    corrupt_condition,
    edge_loss,
    voxel_weights,
)
from axon_backend.methods.axon.method import AXON
from axon_backend.methods.axon.train_encoder import encode
from axon_backend.methods.batch import Batch, Draws, ValidationCase
from axon_backend.methods.objective import Objective, mean_metrics, regression_loss
from axon_backend.metrics import compute_metrics
from axon_backend.training.recompute import recompute_blocks

TRAININGS = AXON.info.training_names


def sample(seed: int, single: bool = False) -> Batch:
    """One made-up training sample of the tiny model's sizes."""
    g = torch.Generator().manual_seed(seed)
    fine = torch.nn.functional.interpolate(
        torch.randn(1, 1, 6, 6, 6, generator=g), size=(32,) * 3, mode="trilinear"
    ).clamp(-1, 1)
    chance = torch.rand((1, 7), generator=g, dtype=torch.float64)
    draws = Draws(
        single=torch.tensor([single]),
        t=chance[:, 0],
        t_end=chance[:, 1],
        augmentation=chance[:, 2],
        kind=chance[:, 3],
        crop=chance[:, 4:],
        noise=torch.randn(1, 1, 16, 16, 16, generator=g),
        seeds=torch.tensor([seed + 100]),
    )
    volume = torch.nn.functional.avg_pool3d(fine, 2)
    beam = torch.tensor([[0.07, -0.09]])
    frontal, lateral = fine.mean(3), fine.mean(4)
    clean = torch.cat([frontal, lateral], 1).square()
    return Batch(volume, fine, frontal, lateral, beam, draws, clean)


def objective_of(name: str, *pairs: str) -> Objective:
    torch.manual_seed(0)
    config = tiny(name, pairs=pairs)
    model = AXON.build(config.model).requires_grad_(False)
    objective = config.objective(
        model,
        config.loss,
        single_view=config.data.single_view,
        repeats=bool(config.data.repeat_after),
    )
    with torch.no_grad():  # layers that start at zero would hide what is behind them
        for p in model.parameters():
            if not p.any():
                p.normal_(0, 0.05)
    for network in objective.networks().values():
        network.requires_grad_(True)
    return objective


def gradients(objective: Objective, batch: Batch) -> dict[str, torch.Tensor]:
    """By the parameter's name in the networks, as in ``coarse.net.conv_in.weight``."""
    objective.zero_grad(set_to_none=True)
    objective(batch).backward()
    return {
        f"{network}.{n}": p.grad
        for network in objective.model.config.networks
        for n, p in objective.model.network(network).named_parameters()
        if p.requires_grad
    }


@pytest.mark.parametrize("name", TRAININGS)
def test_the_loss_of_a_batch_is_the_mean_of_its_samples(name):
    """With one view and with two side by side: otherwise processes could not share a batch."""
    objective = objective_of(
        name, "synthesised=1" if name == "sr" else "conditioning_augmentation=0.3"
    )
    parts = [sample(0), sample(1, single=True), sample(2)]
    together = objective(Batch.stack(parts))
    alone = torch.stack([objective(p) for p in parts])
    assert float(alone.detach().std()) > 1e-4
    assert float(together.detach()) == pytest.approx(float(alone.detach().mean()), rel=1e-4)


@pytest.mark.parametrize("name", TRAININGS)
def test_every_weight_that_is_trained_has_a_gradient_whatever_the_views(name):
    for single in (False, True):
        objective = objective_of(name)
        found = gradients(objective, sample(0, single))
        assert found and all(g is not None and torch.isfinite(g).all() for g in found.values())
        trained = {n.split(".")[0] for n in found}
        config = tiny(name)
        assert trained == set(objective.trains(config.model, config.loss))
        frozen = [p for p in objective.parameters() if not p.requires_grad]
        assert all(p.grad is None for p in frozen)


@pytest.mark.parametrize("name", ["coarse", "controlnet", "sr"])
def test_recomputing_changes_memory_and_nothing_else(name):
    batch = sample(0)
    plain, again = objective_of(name), objective_of(name)
    names = list(again.state_dict())
    blocks = recompute_blocks(again.model)
    assert blocks > 5 and list(again.state_dict()) == names
    assert torch.equal(plain(batch), again(batch))

    def kept(objective) -> int:
        total = 0

        def pack(tensor):
            nonlocal total
            total += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            objective(batch)
        return total

    assert kept(again) < 0.8 * kept(plain)
    a, b = gradients(plain, batch), gradients(again, batch)
    assert all(torch.allclose(a[k], b[k], atol=1e-6) for k in a)


def test_jointly_the_bridge_teaches_the_encoder_and_its_own_loss_is_weighed():
    def encoder_gradient(*pairs):
        found = gradients(objective_of("coarse", *pairs), sample(0))
        return sum(float(g.square().sum()) for n, g in found.items() if n.startswith("encoder."))

    assert encoder_gradient("end_point=0", "conditioning_augmentation=0") > 0
    assert encoder_gradient("end_point=5") > 4 * encoder_gradient("end_point=0")
    alone = gradients(objective_of("coarse", "joint=false"), sample(0))
    assert not any(n.startswith("encoder.") for n in alone)


def test_a_perfect_bridge_has_no_loss():
    """ysubx asks for F(x) - Y: with F(x) = Y and a network that returns 0 nothing is left."""
    objective = objective_of(
        "coarse", "conditioning_augmentation=0", "end_point=1", "edge=1", "objective=ysubx"
    )
    batch = sample(0)
    objective.model.coarse_diff.encoder.forward = lambda *inputs: batch.volume
    objective.model.coarse_diff.unet.forward = lambda x, t: torch.zeros_like(batch.volume)
    assert float(objective(batch)) == pytest.approx(0, abs=1e-7)


def test_bone_and_what_lies_around_it_weigh_more():
    window = HuWindow(-1000, 900)
    ct = torch.full((1, 1, 9, 9, 9), 40.0)
    ct[..., 4, 4, 4] = 200.0  # half way from soft tissue to bone
    weights = voxel_weights(window.normalise(ct), window, 6.0)
    assert weights.shape == ct.shape
    expected = torch.ones_like(ct)
    expected[..., 2:7, 2:7, 2:7] = 4.0
    assert torch.allclose(weights, expected)
    dense = voxel_weights(window.normalise(ct + 1000), window, 6.0)
    assert torch.allclose(dense, torch.full_like(ct, 7.0))
    assert torch.equal(voxel_weights(window.normalise(ct), window, 0.0), torch.ones_like(ct))


@pytest.mark.parametrize("name", ["encoder", "coarse"])
def test_an_error_in_bone_costs_more_when_bone_weighs_more(name):
    losses = []
    for bone in (0, 6):
        alone = ["joint=false"] if name == "coarse" else []
        objective = objective_of(name, f"bone={bone}", "conditioning_augmentation=0", *alone)
        batch = sample(0)
        batch.volume[...] = 0.5  # 425 HU
        losses.append(float(objective(batch).detach()))
    assert losses[1] == pytest.approx(7 * losses[0], rel=1e-4)


def test_bone_contrast_that_is_missing_costs_its_square_in_the_bridge_s_training():
    """The untrained bridge returns F(x); without bone there, all of the contrast is missing."""
    losses, batch = [], sample(0)
    batch.volume[...] = -0.1
    batch.volume[..., 8, 8] = 0.6
    for weight in (0, 3):
        objective = objective_of(
            "coarse", f"bone_contrast={weight}", "conditioning_augmentation=0", "joint=false"
        )
        objective.model.coarse_diff.unet.forward = lambda x, t: x[:, :1] - x[:, 1:2]
        objective.model.coarse_diff.encoder.forward = lambda *inputs: 0 * batch.volume - 0.1
        losses.append(float(objective(batch).detach()))
    assert losses[1] - losses[0] == pytest.approx(3.0, rel=1e-2)


def test_half_of_the_bone_contrast_costs_a_quarter():
    window = HuWindow(-1000, 900)
    ct = torch.full((2, 1, 16, 16, 16), 40.0)
    ct[0, :, :, 8, 8] = 340.0  # the second has no bone
    half = 40 + 0.5 * (ct - 40)
    loss = bone_contrast_loss(window.normalise(half), window.normalise(ct), window)
    assert float(loss) == pytest.approx(0.25 / 2, rel=1e-3)


def test_the_encoder_sees_each_samples_views_in_their_order():
    encoder = objective_of("encoder").model.coarse_diff.encoder
    parts = [sample(0, True), sample(1), sample(2, True), sample(3)]
    with torch.no_grad():
        together = encode(encoder, Batch.stack(parts))
        alone = torch.cat(
            [encoder(p.frontal, None if p.draws.single else p.lateral, p.beam) for p in parts]
        )
    assert torch.allclose(together, alone, atol=1e-5)


def many_draws(count: int) -> Draws:
    t, t_end = torch.rand(2, count, generator=torch.Generator().manual_seed(0)).double()
    empty = torch.empty(0)
    return Draws(empty, t, t_end, empty, empty, empty, empty, empty)


def test_times_are_drawn_towards_the_end():
    """P(t < x T) = (1 - p) x^2, and p of all are exactly T - 1; 1 and 0 are uniform."""
    bridge = BrownianBridge()
    t = bridge_times(many_draws(200_000), bridge, AxonLoss(t_power=2.0, p_t_end=0.5))
    assert t.dtype == torch.long and int(t.min()) >= 0 and int(t.max()) == 999
    assert float((t == 999).float().mean()) == pytest.approx(0.5, abs=0.005)
    uniform = bridge_times(many_draws(200_000), bridge, AxonLoss(t_power=1.0, p_t_end=0.0))
    for x in (0.25, 0.5, 0.75):
        assert float((t < x * 1000).float().mean()) == pytest.approx(0.5 * x**2, abs=0.005)
        assert float((uniform < x * 1000).float().mean()) == pytest.approx(x, abs=0.005)


def test_times_are_drawn_as_the_sampler_takes_them():
    """Half of the logarithm of 1 - alpha_t lies below the middle of its range."""
    bridge = BrownianBridge(steps=100_000, geometric_to=0.4)
    t = bridge_times(many_draws(200_000), bridge, AxonLoss(t_geometric=True, p_t_end=0.25))
    rest = 1 - bridge.alpha_t(t).flatten().double()
    assert float((t == 99_999).float().mean()) == pytest.approx(0.25, abs=0.005)
    assert float(rest.max()) == pytest.approx(0.4, rel=1e-3)
    drawn = rest[t < 99_999].log()
    for x in (0.25, 0.5, 0.75):
        at = math.log(0.001) + x * math.log(400)
        assert float((drawn < at).float().mean()) == pytest.approx(x, abs=0.01)


def test_no_augmentation_leaves_the_condition_as_it_is():
    volume = sample(0).volume
    out = corrupt_condition(volume, [torch.Generator().manual_seed(0)], [0.0])
    assert out is volume


def test_augmentation_grows_with_its_strength_and_comes_from_the_generator():
    volume = sample(0).volume

    def change(strength, seed=0):
        out = corrupt_condition(volume, [torch.Generator().manual_seed(seed)], [strength])
        assert out.shape == volume.shape and torch.isfinite(out).all()
        return out - volume

    assert change(0.5).abs().mean() < change(1.0).abs().mean() < change(2.0).abs().mean()
    assert torch.equal(change(1.0), change(1.0))
    assert not torch.equal(change(1.0), change(1.0, seed=1))


def test_the_augmentation_s_grey_error_is_about_what_it_says():
    """On a constant volume only the grey values change: two fields of 0.04 on coarse grids, whose
    enlargement averages neighbours."""
    generators = [torch.Generator().manual_seed(i) for i in range(4)]
    out = corrupt_condition(torch.zeros(4, 1, 32, 32, 32), generators, [1.0] * 4)
    assert 0.02 < float(out.std()) < 0.06


def test_regression_loss_is_l2_and_a_tenth_of_l1():
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0])
    assert float(regression_loss(a, b)) == pytest.approx(2.5 + 0.1 * 1.5)


def test_edge_loss_of_a_ramp_and_of_an_offset():
    """A ramp of slope s along one axis: a third of s. An offset has no edges."""
    ramp = torch.arange(8.0).reshape(1, 1, 8, 1, 1).expand(1, 1, 8, 8, 8)
    zero = torch.zeros(1, 1, 8, 8, 8)
    assert float(edge_loss(0.3 * ramp, zero)) == pytest.approx(0.1)
    assert float(edge_loss(zero + 5, zero)) == 0


def test_clamping_asks_nothing_of_what_lies_beyond():
    """Of a prior that returns the sample itself: where its estimate is beyond 1, no gradient."""
    objective = objective_of("controlnet", "clamp=true", "prediction=sample")
    batch = sample(0)
    seen = torch.full((1, 1, 16, 16, 16), 3.0, requires_grad=True)
    objective.model.fine_diff.prior.forward = lambda *inputs: seen
    objective.model.fine_diff.controlnet.forward = lambda *inputs: ([], None)
    loss = objective(batch)
    assert float(loss.detach()) == pytest.approx(float((1 - batch.volume).square().mean()))
    loss.backward()
    assert not seen.grad.any()


def test_without_clamping_stage_two_leaves_the_window_and_is_measured_there():
    """A network whose estimate of the CT is -1.4 everywhere, of a CT that is -1 and 0.2."""
    volume = torch.full((1, 1, 16, 16, 16), -1.0)
    volume[..., 8:] = 0.2
    batch = sample(0)
    case = ValidationCase(
        "c", Batch(volume, batch.fine, batch.frontal, batch.lateral, batch.beam), None
    )
    for limit, lowest in (("1", -1.0), ("0", -1.4)):
        objective = objective_of("controlnet", f"model.sampling.fine_clamp={limit}")
        stage = objective.model.fine_diff
        stage.x0_of = lambda output, y_t, t, seen: torch.full_like(y_t, -1.4)
        with torch.no_grad():
            measured = objective.measure(case)
        assert torch.allclose(measured.sample, torch.full((16,) * 3, lowest))
        # Differences on [0, 1]: clipped 0 and 0.6, as it is 0.2 and 0.8.
        assert measured.metrics["v2_fine_psnr"] == pytest.approx(-10 * math.log10(0.18))
        unclipped = measured.metrics.get("v2_fine_unclipped_psnr")
        assert unclipped == (None if limit == "1" else pytest.approx(-10 * math.log10(0.34)))
    with pytest.raises(AxonInputError, match="fine_clamp must be 0 or more, got -1"):
        objective_of("controlnet", "model.sampling.fine_clamp=-1")


def test_without_a_bridge_stage_two_starts_from_the_end_point():
    """The paper's "FineDiff only": no bridge is needed, or run."""
    objective = objective_of("controlnet", "coarse_steps=0", "tta_shifts=1")
    model = objective.model
    needed = objective.needs(model.config, objective.loss)
    assert "coarse" not in needed
    model.keep_networks({*needed, "controlnet"})
    assert not model.has_network("coarse")
    assert torch.isfinite(objective(sample(0)))
    case = ValidationCase("c", sample(1), None)
    row = objective.measure(case).metrics
    end = model.coarse_diff.x_T(case.batch.views()).clamp(-1, 1)
    volumes = ((end[0, 0].detach() + 1) / 2, (case.batch.volume[0, 0] + 1) / 2)
    direct = compute_metrics(*volumes, names=("psnr",))["psnr"]
    assert row["v2_coarse_psnr"] == pytest.approx(direct)


def test_sr_sees_true_volumes_or_reconstructions_as_the_share_says():
    batch = Batch.stack([sample(i) for i in range(8)])
    true = objective_of("sr", "synthesised=0").inputs(batch)
    assert torch.equal(true, batch.volume)
    made = objective_of("sr", "synthesised=1").inputs(batch)
    assert not any(torch.equal(a, b) for a, b in zip(made, batch.volume, strict=True))
    some = objective_of("sr", "synthesised=0.5").inputs(batch)
    kept = [torch.equal(a, b) for a, b in zip(some, batch.volume, strict=True)]
    assert kept == [bool(c >= 0.5) for c in batch.draws.kind]


def test_sr_reconstructs_a_sample_that_comes_again_only_once():
    """The second time no network but SR-Net runs, and the input differs by its errors alone."""
    objective = objective_of("sr", "synthesised=1", "repeat_after=3", "conditioning_augmentation=0")
    batch = sample(5)
    first = objective.inputs(batch)
    kept = objective.inputs(batch)
    assert torch.equal(first, kept)
    for name in ("encoder", "coarse", "prior"):
        objective.model.network(name).forward = lambda *inputs: pytest.fail("computed again")
    assert torch.equal(objective.inputs(batch), kept)
    wrong = objective_of("sr", "synthesised=1", "repeat_after=3", "conditioning_augmentation=0.5")
    one = wrong.inputs(batch)
    batch.draws.augmentation = 1 - batch.draws.augmentation
    assert not torch.equal(wrong.inputs(batch), one)
    # Without repetition nothing is kept.
    new = objective_of("sr", "synthesised=1", "repeat_after=0", "conditioning_augmentation=0")
    assert torch.allclose(new.inputs(batch), first, atol=2e-3) and not new._kept


def test_sr_crops_belong_together():
    """An SR-Net that enlarges by repeating gives no loss on volumes made by repeating."""
    objective = objective_of("sr", "synthesised=0")
    batch = sample(0)
    batch.fine = (
        batch.volume.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
    )
    seen = []

    def enlarge(low):
        seen.append(low.shape[-1])
        return low.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)

    objective.model.super_resolution.network.forward = enlarge
    assert float(objective(batch)) == 0 and seen == [8]


def test_both_views_count_when_both_are_trained():
    shares = {share: objective_of("encoder", f"single_view={share}") for share in (0.0, 0.4, 1.0)}
    weighed = {share: objective.weigh(20.0, 18.0) for share, objective in shares.items()}
    assert weighed == {0.0: 20.0, 0.4: 29.0, 1.0: 18.0}


def test_mean_metrics():
    assert mean_metrics([{"a": 1.0, "b": 4.0}, {"a": 3.0, "b": 0.0}]) == {"a": 2.0, "b": 2.0}
