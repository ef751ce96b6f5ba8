"""Repeat-and-Concatenate: what the network is shown, both networks, both ways of enlarging."""

import pytest
import torch
from made_batches import sample
from torch import nn
from view_beads import bead, near

from axon_backend.errors import AxonInputError
from axon_backend.methods.batch import Batch
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.methods.repeat_concatenate.config import RepeatConcatenateConfig, full
from axon_backend.methods.repeat_concatenate.method import REPEAT_CONCATENATE
from axon_backend.networks.lifting import lift
from axon_backend.training.config import OptimiserSettings
from axon_backend.training.optimiser import Optimiser
from axon_backend.training.plan import resolve

SMALL = RepeatConcatenateConfig(grid=16, view_size=32, channels=(8, 16))
BEAM = torch.tensor([[0.07, -0.09]])


def network(**changes):
    torch.manual_seed(0)
    config = RepeatConcatenateConfig(**{**SMALL.as_dict(), "window": SMALL.window, **changes})
    return REPEAT_CONCATENATE.build(config).network("generator")


def test_a_pixel_is_repeated_along_its_ray_and_nowhere_else():
    n, row, column = 16, 4, 9
    views = RegisteredViews(bead(n, row, column), bead(n, column, row), BEAM)
    frontal, lateral = network().inputs(views)[0]
    ray = near(n, n, row, column, 1.1)
    assert torch.equal(frontal, frontal[:, :1].expand_as(frontal))  # (z, y, x): the same at each y
    assert float(frontal[:, 0][ray].sum()) > 0.5 and not frontal[:, 0][~ray].any()
    ray = near(n, n, column, row, 1.1)
    assert torch.equal(lateral, lateral[..., :1].expand_as(lateral))  # the same at each x
    assert float(lateral[..., 0][ray].sum()) > 0.5 and not lateral[..., 0][~ray].any()


def test_swapped_views_are_swapped_channels_with_y_and_x_swapped():
    a, b = torch.rand(2, 1, 1, 32, 32, generator=torch.Generator().manual_seed(3))
    net = network()
    one, other = (net.inputs(RegisteredViews(*pair, BEAM))[0] for pair in ((a, b), (b, a)))
    assert torch.equal(other, one.flip(0).transpose(-1, -2))


def test_the_frontal_channel_stands_in_for_an_absent_lateral_view():
    a, b = torch.rand(2, 2, 1, 32, 32, generator=torch.Generator().manual_seed(4))
    net, beam = network(), BEAM.expand(2, 2)
    alone = net.inputs(RegisteredViews(a, None, beam))
    assert torch.equal(alone[:, 0], alone[:, 1])
    mixed = net.inputs(RegisteredViews(a, b, beam, torch.tensor([True, False])))
    assert torch.equal(mixed[0], net.inputs(RegisteredViews(a, b, beam))[0])
    assert torch.equal(mixed[1], alone[1])


def test_back_projection_is_the_other_lifting():
    view = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(5))
    shown = network(lifting="backproject").inputs(RegisteredViews(view, None, BEAM))
    assert torch.equal(shown[:, :1], lift(view, 16, True, "backproject", BEAM[:, 0]))
    assert not torch.equal(shown[:, :, :, 0], shown[:, :, :, -1])


@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
def test_only_one_way_of_enlarging_has_transposed_convolutions(upsampling):
    nets = [network(upsampling=upsampling)]
    with torch.device("meta"):
        swin = {"network": "swin_unetr", "grid": 32, "feature_size": 12}
        nets.append(network(upsampling=upsampling, **swin))
    for net in nets:
        found = [m for m in net.modules() if isinstance(m, nn.ConvTranspose3d)]
        assert bool(found) == (upsampling == "transposed")


def test_transposed_convolutions_leave_a_checkerboard_and_resizing_does_not():
    """A constant stays constant away from the borders, whatever the weights, where enlarging treats
    all voxels alike (Odena et al. 2016)."""
    torch.manual_seed(0)
    flat = torch.ones(1, 16, 8, 8, 8)
    inside = (..., *[slice(4, -4)] * 3)
    for upsampling, uniform in (("resize", True), ("transposed", False)):
        net = network(upsampling=upsampling).net
        out = net.grow[0](net.enlarge(flat))[inside]
        assert out.shape[2:] == (8, 8, 8)
        assert bool((out.std((2, 3, 4)) < 1e-6).all()) == uniform


def test_the_loss_is_l2_the_mean_of_its_samples_and_one_step_lowers_it():
    config = resolve("regression", method="repeat_concatenate")
    torch.manual_seed(0)
    model = REPEAT_CONCATENATE.build(SMALL)
    objective = config.objective(model, config.loss, single_view=0.4)
    parts = [sample(0, 16, 32), sample(1, 16, 32, single=True)]
    batch = Batch.stack(parts)
    before = objective(batch)
    error = (model.make(batch.training_views()) - batch.volume).detach()
    assert float(before.detach()) == pytest.approx(float(error.square().mean()))
    alone = [float(objective(part).detach()) for part in parts]
    assert float(before.detach()) == pytest.approx(sum(alone) / 2, rel=1e-5)
    assert alone[0] != pytest.approx(alone[1], rel=1e-3)
    optimiser = Optimiser(list(model.parameters()), OptimiserSettings(lr=1e-3))
    before.backward()
    assert all(p.grad is not None for p in model.parameters())
    optimiser.step()
    assert float(objective(batch).detach()) < float(before.detach())


@pytest.mark.slow
def test_the_swin_unetr_runs_in_both_ways():
    views = RegisteredViews(torch.rand(1, 1, 32, 32), torch.rand(1, 1, 32, 32), BEAM)
    for upsampling in ("resize", "transposed"):
        net = network(network="swin_unetr", grid=64, feature_size=12, upsampling=upsampling).eval()
        with torch.no_grad():
            out = net(views)
        assert out.shape == (1, 1, 64, 64, 64) and torch.isfinite(out).all()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"network": "vgg"}, "network must be one of unet, swin_unetr, got 'vgg'"),
        ({"grid": 18}, "multiple of 4 for this network, got 18"),
        ({"network": "swin_unetr", "grid": 48}, "multiple of 32 for this network, got 48"),
        ({"network": "swin_unetr", "feature_size": 20, "grid": 64}, "multiple of 12, got 20"),
        ({"lifting": "reshape"}, "lifting must be one of repeat, backproject"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        network(**changes)


def test_a_critic_of_small_volumes_is_refused():
    with pytest.raises(AxonInputError, match=r"model.grid is 16; .* at least 24"):
        resolve("critic", method="repeat_concatenate", pairs=["model.grid=16"])


def test_full_size_is_the_papers_network_with_its_parameters():
    assert full().feature_size == 48
    with torch.device("meta"):
        net = REPEAT_CONCATENATE.build(full()).network("generator")
    assert sum(p.numel() for p in net.parameters()) == FULL_PARAMETERS
    assert all(p.is_meta for p in net.parameters())


# MONAI's SwinUNETR of feature size 48 for two channels in and one out.
FULL_PARAMETERS = 62_188_387
