"""MONAI's U-Net and ControlNet in our wrapping."""

import copy

import pytest
import torch

from axon_backend.networks.unet import ControlBranch, DiffusionUNet, UNetConfig


def config(patch: int) -> UNetConfig:
    return UNetConfig(
        channels=(8, 16), attention=(False, True), patch=patch, groups=4, head_channels=8
    )


def shaken_prior(patch: int) -> DiffusionUNet:
    """A prior that does not return zero (MONAI's last layer starts at zero)."""
    torch.manual_seed(0)
    prior = DiffusionUNet(config(patch)).eval()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return prior


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    y = torch.randn(2, 1, 8, 8, 8, generator=generator)
    return y, torch.tensor([3, 700]), torch.randn(2, 3, 8, 8, 8, generator=generator)


@pytest.mark.parametrize("patch", [1, 2])
@torch.no_grad()
def test_size_and_dependence_on_time(patch):
    prior = shaken_prior(patch)
    y, t, _ = inputs()
    out = prior(y, t)
    assert out.shape == y.shape and out.dtype == torch.float32 and out.any()
    assert not torch.allclose(out, prior(y, t.flip(0)))


@pytest.mark.parametrize("patch", [1, 2])
@torch.no_grad()
def test_an_untrained_controlnet_leaves_the_prior_alone(patch):
    prior = shaken_prior(patch)
    branch = ControlBranch(config(patch), condition_channels=3).eval()
    branch.copy_from(prior)
    y, t, condition = inputs()
    down, middle = branch(y, t, branch.embed(condition))
    assert not middle.any() and not any(d.any() for d in down)
    assert torch.equal(prior(y, t, (down, middle)), prior(y, t))


def test_copy_from_copies_the_encoder_and_the_middle():
    prior = shaken_prior(2)
    branch = ControlBranch(config(2), condition_channels=3)
    own_before = {k: v.clone() for k, v in branch.net.state_dict().items()}
    branch.copy_from(prior)
    theirs, ours = prior.net.state_dict(), branch.net.state_dict()
    shared = [k for k in ours if k.startswith(("conv_in", "time_embed", "down_blocks", "middle"))]
    assert {k.split(".")[0] for k in shared} == {
        "conv_in",
        "time_embed",
        "down_blocks",
        "middle_block",
    }
    assert all(torch.equal(ours[k], theirs[k]) for k in shared)
    control = [k for k in ours if k.startswith("controlnet")]
    assert control and all(torch.equal(ours[k], own_before[k]) for k in control)


def test_copy_from_a_stranger_is_refused():
    class Stranger:
        net = torch.nn.Linear(2, 2)

    with pytest.raises(ValueError, match="no layer in common"):
        ControlBranch(config(2)).copy_from(Stranger())


def test_a_controlnet_step_moves_the_branch_and_not_the_prior():
    prior = shaken_prior(2).requires_grad_(False)
    branch = ControlBranch(config(2), condition_channels=3)
    branch.copy_from(prior)
    before = copy.deepcopy(prior.state_dict()), copy.deepcopy(branch.state_dict())
    optimiser = torch.optim.AdamW(branch.parameters(), lr=1e-2, weight_decay=0.0)
    y, t, condition = inputs()
    losses = []
    for _ in range(3):
        loss = (prior(y, t, branch(y, t, branch.embed(condition))) - 1).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert all(torch.equal(v, before[0][k]) for k, v in prior.state_dict().items())
    moved = {k for k, v in branch.state_dict().items() if not torch.equal(v, before[1][k])}
    assert any("controlnet_mid_block" in k for k in moved)
    assert any("controlnet_cond_embedding" in k for k in moved)
    assert losses[-1] < losses[0]
