"""X2CT: its three connections, its losses, and one view beside two."""

import pytest
import torch
from made_batches import sample
from view_beads import bead, near

from axon_backend.errors import AxonInputError
from axon_backend.methods.batch import Batch
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.methods.x2ct.config import X2CTConfig, X2CTLoss, full
from axon_backend.methods.x2ct.method import X2CT, CNNObjective, reconstruction_loss
from axon_backend.methods.x2ct.network import Generator, box_view, turned
from axon_backend.training.config import OptimiserSettings
from axon_backend.training.optimiser import Optimiser
from axon_backend.training.plan import resolve

SMALL = X2CTConfig(
    grid=16, view_size=32, stem=8, layers=(1, 1), growth=4, decoder=(8, 8, 4), blocks=(1, 1),
    fused_blocks=(1, 1, 0),
)  # fmt: skip
BEAM = torch.tensor([[0.07, -0.09]])


@pytest.fixture
def net() -> Generator:
    torch.manual_seed(0)
    return X2CT.build(SMALL).network("generator")


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor]:
    a, b = torch.rand(2, 1, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    return a, b


def test_a_view_is_cut_to_the_frame_with_rows_along_z():
    row, column = 6, 21
    image = box_view(bead(32, row, column), 32, 16)[0, 0]
    there = near(16, 32, row, column, 1.1)
    assert image.shape == (16, 16) and float(image[there].sum()) > 0.1 and not image[~there].any()


def test_connection_b_copies_a_pixel_along_the_ray(net):
    """Before the convolution in 3-D all depths are alike."""
    seen = []
    net.frontal.spread[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    net.single(torch.rand(1, 1, 16, 16))
    (copied,) = seen
    assert copied.shape == (1, 4, 16, 16, 16)
    assert torch.equal(copied, copied[:, :, :, :1].expand_as(copied))
    assert float(copied.detach().std((2, 4)).min()) > 0.1


def test_connection_a_and_each_connection_b_reach_the_volume(net, images):
    """Each is a path of its own from the image to the volume."""
    inputs = {}
    modules = {"A": net.frontal.bottom, **{f"B{i}": m for i, m in enumerate(net.frontal.reduce)}}
    for name, module in modules.items():
        module.register_forward_hook(
            lambda _, given, out, name=name: inputs.setdefault(name, out).retain_grad()
        )
    net.single(images[0]).square().sum().backward()
    assert len(inputs) == 3
    assert all(float(out.grad.abs().sum()) > 0 for out in inputs.values())


def test_connection_c_feeds_back_to_both_branches(net, images):
    """The volume of each branch depends on the image of the other, not only that of the fusion."""
    volumes = {}
    for name in ("frontal", "lateral"):
        getattr(net, name).blocks[-1].register_forward_hook(
            lambda _, given, out, name=name: volumes.__setitem__(name, out)
        )
    given = {"frontal": images[0].clone(), "lateral": images[1].clone()}
    for image in given.values():
        image.requires_grad_()
    net.both(given["frontal"], given["lateral"])
    for own, other in (("frontal", "lateral"), ("lateral", "frontal")):
        total = volumes[own].square().sum()
        (gradient,) = torch.autograd.grad(total, given[other], retain_graph=True)
        assert float(gradient.abs().sum()) > 0


def test_swapped_views_swap_y_and_x(net, images):
    """With alike branches, and a fusion that treats y and x alike, nothing else can happen."""
    net.lateral.load_state_dict(net.frontal.state_dict())
    with torch.no_grad():
        for module in (*net.up, *net.blocks, net.head_both):
            for weight in module.parameters():
                if weight.ndim == 5:
                    weight.copy_((weight + weight.transpose(-1, -2)) / 2)
        one, other = net.both(*images), net.both(*images[::-1])
    assert torch.allclose(other, turned(one), atol=1e-4)
    assert float((one - turned(one)).abs().max()) > 0.01


def test_samples_with_one_view_and_with_two_share_a_batch(net):
    views = torch.rand(2, 2, 1, 32, 32, generator=torch.Generator().manual_seed(2))
    beam, both = BEAM.expand(2, 2), RegisteredViews(*views, BEAM.expand(2, 2))
    mixed = net(RegisteredViews(*views, beam, torch.tensor([False, True])))
    alone = net(RegisteredViews(views[0], None, beam))
    assert torch.allclose(mixed[0], alone[0], atol=1e-5)
    assert torch.allclose(mixed[1], net(both)[1], atol=1e-5)
    assert not torch.allclose(mixed[1], alone[1], atol=1e-2)


def test_the_output_is_relu_of_the_unit_range(net, images):
    with torch.no_grad():
        for head in (net.head_single, net.head_both):
            head.weight.zero_()
            for bias, value in ((0.5, 0.0), (-3.0, -1.0), (1.5, 2.0)):
                head.bias.fill_(bias)
                out = net.single(images[0]) if head is net.head_single else net.both(*images)
                assert torch.equal(out, torch.full_like(out, value))


@pytest.mark.parametrize(("kernel", "stable"), [(X2CTConfig().head, True), (7, False)])
def test_a_step_of_the_preview_moves_the_output_by_less_than_half_the_range(kernel, stable):
    """Adam's first step moves each weight and the bias by the learning rate, so an output whose
    c k^3 inputs are 1 moves by c k^3 + 1 of them. Half of [0, 1] puts ReLU out of action."""
    settings = resolve("cnn", method="x2ct").optimiser
    channels = X2CTConfig().decoder[-1]
    head = Generator._head(channels, kernel)
    seen = torch.ones(1, channels, kernel, kernel, kernel)
    middle = (0, 0, *[kernel // 2] * 3)
    optimiser = Optimiser(list(head.parameters()), settings)
    optimiser.set_lr(settings.lr)
    before = head(seen)[middle]
    before.backward()
    optimiser.step()
    moved = float((before - head(seen)[middle]).detach())
    assert moved == pytest.approx((channels * kernel**3 + 1) * settings.lr, rel=0.02)
    assert (moved < 0.5) == stable


def test_the_losses_have_their_closed_form():
    """An offset of 0.4 in [-1, 1] is one of 0.2 in [0, 1], in the volume and in each projection;
    what alternates along every axis is in no projection."""
    loss = X2CTLoss(identity=3.0, projection=5.0)
    target = torch.zeros(2, 1, 4, 4, 4)
    expected = 3.0 * 0.2**2 + 5.0 * 0.2
    assert float(reconstruction_loss(target + 0.4, target, loss)) == pytest.approx(expected)
    i = torch.arange(4)
    board = 0.4 * (-1.0) ** (i[:, None, None] + i[:, None] + i)
    assert float(reconstruction_loss(target + board, target, loss)) == pytest.approx(3.0 * 0.04)


def test_one_step_lowers_the_loss_and_every_weight_takes_part():
    config = resolve("cnn", method="x2ct")
    torch.manual_seed(0)
    model = X2CT.build(SMALL)
    objective = config.objective(model, config.loss, single_view=0.4)
    parts = [sample(0, 16, 32), sample(1, 16, 32, single=True)]
    batch = Batch.stack(parts)
    before = objective(batch)
    alone = [float(objective(part).detach()) for part in parts]
    assert float(before.detach()) == pytest.approx(sum(alone) / 2, rel=1e-4)
    for part in parts:
        model.zero_grad()
        objective(part).backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    optimiser = Optimiser(list(model.parameters()), OptimiserSettings(lr=1e-4))
    optimiser.zero_grad()
    before.backward()
    optimiser.step()
    assert float(objective(batch).detach()) < float(before.detach())


def test_dropout_is_a_function_of_the_sample(net):
    """Each sample's units are left out by its own draws, whatever shares its batch; the others
    count more, and none is left out without draws."""
    together = Batch.stack([sample(0, 16, 32), sample(1, 16, 32)])
    kept = net._kept(together.draws, torch.device("cpu"))
    assert kept.shape == (2, 2, 8 * 4**3) and set(kept.unique().tolist()) == {0.0, 2.0}
    assert 0.4 < float((kept > 0).float().mean()) < 0.6
    assert torch.equal(kept[:, 1:], net._kept(sample(1, 16, 32).draws, torch.device("cpu")))
    assert not torch.equal(kept[0], kept[1]) and net._kept(None, torch.device("cpu")) is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"grid": 18}, "multiple of 4, got 18"),
        ({"head": 4}, "odd number, got 4"),
        ({"blocks": (1,)}, "need 3 decoder, 2 blocks and 3 fused_blocks, got 3, 1, 3"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, says):
    config = X2CTConfig(**{**SMALL.as_dict(), "window": SMALL.window, **changes})
    with pytest.raises(ValueError, match=says):
        X2CT.build(config)
    with pytest.raises(AxonInputError, match=f"model: .*{says}"):
        CNNObjective.check(config, X2CTLoss())


def test_a_discriminator_of_small_volumes_is_refused():
    with pytest.raises(AxonInputError, match=r"model.grid is 16; .* at least 24"):
        resolve("gan", method="x2ct", pairs=["model.grid=16"])


def test_full_size_has_the_papers_levels_and_about_its_parameters():
    """The paper's generator and discriminator: about 72.3 million (Resources/Docs/methods.md)."""
    config = resolve("gan", method="x2ct", preset_name="full")
    assert config.model == full() and config.model.grid == 128 and config.model.head == 7
    assert (config.optimiser.name, config.optimiser.betas) == ("adam", (0.5, 0.99))
    with torch.device("meta"):
        model = X2CT.build(config.model)
        objective = config.objective(model, config.loss, single_view=0.4)
    generator = sum(p.numel() for p in model.parameters())
    assert generator == 56_693_490
    assert generator + sum(p.numel() for p in objective.adversary.parameters()) == 67_749_555
