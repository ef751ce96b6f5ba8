"""Table 4's variants of stage 2: the Brownian bridge, and the global encoder."""

import json

import pytest
import torch

from axon_backend.diffusion.bridge import OBJECTIVES, BrownianBridge
from axon_backend.methods.axon.config import FINE_DIFF, AxonConfig, Sampling, preview
from axon_backend.methods.axon.method import AXON
from axon_backend.methods.axon.model import AxonModel
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.networks.unet import ControlBranch, DiffusionUNet
from axon_backend.util.run_context import RunContext


def volume(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def fine(
    model: AxonModel, views: RegisteredViews, coarse: torch.Tensor, steps: int = 4, seed: int = 0
) -> torch.Tensor:
    with torch.no_grad():
        return model.fine_diff.run(views, coarse, steps, torch.Generator().manual_seed(seed))


def test_a_configuration_from_before_them_is_the_paper_s_model():
    """Bundles without the new keys load, with the networks that they always had."""
    old = {k: v for k, v in preview().as_dict().items() if k not in ("fine_diff", "global_encoder")}
    assert AxonConfig.from_dict(old) == preview()
    assert preview().networks == ("encoder", "coarse", "prior", "controlnet", "sr")
    with torch.device("meta"):
        model = AXON.build(AxonConfig.from_dict(old))
    assert isinstance(model.fine_diff.controlnet, ControlBranch)
    assert not any("global" in name for name in model.state_dict())


def test_they_travel_in_json_and_are_checked():
    config = AxonConfig(fine_diff="bridge", global_encoder=True)
    assert AxonConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    assert config.networks == ("encoder", "coarse", "controlnet", "sr")
    with pytest.raises(ValueError, match="one of controlnet, bridge, got 'bbdm'"):
        AxonConfig(fine_diff="bbdm")


@pytest.mark.parametrize("kind", FINE_DIFF)
@pytest.mark.parametrize("single", [True, False])
def test_a_global_encoder_changes_nothing_at_the_start_and_something_later(
    tiny, views, kind, single
):
    if single:
        views = RegisteredViews(views.frontal, None, views.beam)
    plain = tiny(fine_diff=kind)
    model = tiny(fine_diff=kind, global_encoder=True)
    found = model.load_state_dict(plain.state_dict(), strict=False)
    assert not found.unexpected_keys
    assert found.missing_keys
    assert all(k.startswith("fine_diff.controlnet.global_encoder.") for k in found.missing_keys)
    last = model.fine_diff.controlnet.global_encoder.head[-1]
    with torch.no_grad():
        for parameter in last.parameters():
            parameter.zero_()
    want = plain.reconstruct(views, context=RunContext(seed=2)).volumes
    got = model.reconstruct(views, context=RunContext(seed=2)).volumes
    assert all(torch.equal(want[stage], got[stage]) for stage in want)
    with torch.no_grad():
        last.bias += 0.5
    assert not torch.allclose(want["fine"], fine_of(model, views))


def fine_of(model: AxonModel, views: RegisteredViews) -> torch.Tensor:
    return model.reconstruct(views, context=RunContext(seed=2)).volumes["fine"]


def test_the_embedding_follows_the_x_rays_not_the_volume(tiny, views):
    """Without the views in the condition, other X-rays reach stage 2 by the embedding alone."""
    other = RegisteredViews(-views.frontal, views.lateral, views.beam)
    for told in (False, True):
        model = tiny(condition_on_views=False, global_encoder=told)
        same = torch.equal(fine(model, views, volume()), fine(model, other, volume()))
        assert same is not told


@pytest.mark.parametrize("steps", [1, 5])
def test_an_untrained_ysubx_bridge_returns_the_coarse_volume(tiny_config, views, steps):
    """MONAI's last convolution starts at zero: the network returns X^ - Y = 0."""
    torch.manual_seed(0)
    config = tiny_config(
        fine_diff="bridge",
        bridge=BrownianBridge(objective="ysubx"),
        sampling=Sampling(fine_draws=2),
    )
    model = AXON.build(config).eval()
    coarse = volume()
    assert torch.allclose(fine(model, views, coarse, steps), coarse, atol=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_perfect_bridge_recovers_the_ct(tiny, views, objective, monkeypatch):
    """A network that returns the objective's very target, from wherever the walk stands."""
    bridge = BrownianBridge(objective=objective)
    model = tiny(fine_diff="bridge", bridge=bridge)
    true, coarse = volume(1), volume(2)

    def answer(x, t, residuals, embedding):
        assert residuals is None and embedding is None
        x_t, seen = x[:, :1], x[:, 1:2]
        assert torch.equal(seen, coarse)  # the condition begins with X^
        m, d = bridge.alpha_t(t), bridge.delta_t(t)
        noise = (x_t - (1 - m) * true - m * coarse) / d.sqrt()
        return bridge.target(true, coarse, t, noise)

    monkeypatch.setattr(model.fine_diff.controlnet, "forward", answer)
    for steps in (1, 6):
        assert torch.allclose(fine(model, views, coarse, steps), true, atol=2e-3)


def test_the_bridge_has_no_prior_and_runs_by_stages(tiny, views, with_sampling):
    model = tiny(fine_diff="bridge")
    assert not model.has_network("prior") and isinstance(model.fine_diff.controlnet, DiffusionUNet)
    seen = []
    with_sampling(model, fine_draws=2)
    out = model.reconstruct(
        views,
        steps={"coarse": 1, "fine": 3},
        context=RunContext(
            progress=lambda stage, done, total, preview: seen.append((stage, done, total))
        ),
    ).volumes
    assert [s for s in seen if s[0] == "fine"] == [("fine", i + 1, 6) for i in range(6)]
    part = model.copy_of_stage("fine")
    assert [n for n in model.config.networks if part.has_network(n)] == ["controlnet"]
    again = part.run_stage("fine", views, out["coarse"], steps=3)
    assert torch.equal(again, out["fine"])
    assert out["sr"].shape == (1, 1, 16, 16, 16)


def test_the_bridge_s_noise_comes_from_the_seed(tiny, views):
    model = tiny(fine_diff="bridge")
    coarse = volume()
    assert torch.equal(fine(model, views, coarse, seed=1), fine(model, views, coarse, seed=1))
    assert not torch.equal(fine(model, views, coarse, seed=1), fine(model, views, coarse, seed=2))
