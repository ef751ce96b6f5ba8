"""Adversaries: closed forms with a constant critic, and that one learns to tell volumes apart."""

import pytest
import torch
from made_batches import sample

from axon_backend.methods.adversaries import LeastSquaresAdversary, TransportAdversary
from axon_backend.networks.patch_critic import PatchCritic

OPTIONS = {"channels": 4, "lr": 2e-3, "betas": (0.5, 0.99)}


def adversary(kind, **options):
    torch.manual_seed(0)
    return kind(**OPTIONS, **{"conditional": False, **options})


def test_the_losses_against_a_critic_that_scores_everything_alike():
    """LSGAN: ((c - 1)^2 + c^2) / 2 and (c - 1)^2. Optimal transport: c - c and -c."""
    batch = sample(0, 24, 24)
    for kind, own, others in (
        (LeastSquaresAdversary, 0.5 * (0.6**2 + 0.4**2), 0.36),
        (TransportAdversary, 0.0, -0.4),
    ):
        made = adversary(kind)
        with torch.no_grad():
            made.critic.net[-1].weight.zero_()
            made.critic.net[-1].bias.fill_(0.4)
            assert float(made(batch, batch.volume)) == pytest.approx(own)
            assert float(made.generator_loss(batch, batch.volume)) == pytest.approx(others)


@pytest.mark.parametrize(
    ("kind", "conditional"), [(LeastSquaresAdversary, True), (TransportAdversary, False)]
)
def test_its_loss_separates_cts_from_blurred_ones(kind, conditional):
    made = adversary(kind, conditional=conditional)
    batch = sample(0, 24, 24)
    batch.volume = batch.volume + 0.3 * torch.randn(
        batch.volume.shape, generator=torch.Generator().manual_seed(1)
    )
    blurred = torch.nn.functional.avg_pool3d(batch.volume, 5, 1, 2)
    optimiser = torch.optim.Adam(made.parameters(), lr=2e-3, betas=(0.5, 0.99))
    for _ in range(15):
        optimiser.zero_grad()
        made(batch, blurred).backward()
        optimiser.step()
    with torch.no_grad():
        real, fake = (score.mean() for score in made.scores(batch, batch.volume, blurred))
        assert float(real - fake) > 0.5
        against = [float(made.generator_loss(batch, v)) for v in (batch.volume, blurred)]
    assert against[0] < against[1]


def test_a_conditional_one_sees_the_x_rays_and_another_does_not():
    a, b = sample(0, 24, 24), sample(1, 24, 24)
    for conditional in (True, False):
        made = adversary(LeastSquaresAdversary, conditional=conditional)
        with torch.no_grad():
            one, other = (made.scores(batch, a.volume)[0] for batch in (a, b))
        assert torch.equal(one, other) != conditional


def test_the_critic_has_the_patches_of_patchgan():
    """Three convolutions of stride 2 and two of stride 1, all of kernel 4, see 70 voxels."""
    critic = PatchCritic(1, 2)
    layers = [m for m in critic.net if isinstance(m, torch.nn.Conv3d)]
    assert [m.stride[0] for m in layers] == [2, 2, 2, 1, 1]
    assert [m.out_channels for m in layers] == [2, 4, 8, 16, 1]
    sees, step = 1, 1
    for layer in layers:
        sees += (layer.kernel_size[0] - 1) * step
        step *= layer.stride[0]
    assert sees == 70
    assert critic(torch.zeros(1, 1, 32, 32, 32)).shape == (1, 1, 2, 2, 2)
