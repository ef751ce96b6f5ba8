"""Configurations, and the paper's preset, built on the meta device where weights cost nothing."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from axon_backend.diffusion.bridge import BrownianBridge
from axon_backend.imaging.frame import HuWindow
from axon_backend.methods.axon.config import PRESETS, AxonConfig, paper, preview
from axon_backend.methods.axon.method import AXON
from axon_backend.methods.axon.model import AxonModel
from axon_backend.methods.axon.stage import condition
from axon_backend.methods.protocol import RegisteredViews


def millions(module: nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


@pytest.fixture(scope="module")
def paper_model() -> AxonModel:
    with torch.device("meta"):
        return AXON.build(paper())


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_configuration_survives_json(preset):
    config = replace(
        PRESETS[preset](),
        window=HuWindow(-100.0, 900.0),
        bridge=BrownianBridge(variance=0.3, objective="noise"),
    )
    assert AxonConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config


def test_unknown_settings_are_refused():
    values = preview().as_dict()
    with pytest.raises(TypeError, match="colour"):
        AxonConfig.from_dict(values | {"colour": 1})
    values["encoder"]["depth"] = 3
    with pytest.raises(TypeError, match="depth"):
        AxonConfig.from_dict(values)


def test_the_paper_preset_is_the_paper_s_architecture(paper_model):
    config = paper_model.config
    assert (config.encoder.size, config.encoder.view_size, config.sr.gamma) == (128, 1024, 2)
    assert config.coarse.channels[0] == 64 and config.coarse.patch == 1
    # Attention at 16^3 and 8^3.
    sides = [128 >> level for level, on in enumerate(config.coarse.attention) if on]
    assert sides == [16, 8]
    fusion = paper_model.coarse_diff.encoder.fusion
    assert (fusion.skip.in_channels, fusion.skip.out_channels) == (2, 1)
    assert config.bridge.objective == "grad" and config.diffusion.prediction == "epsilon"


def test_the_paper_preset_turns_1024_squared_into_128_and_256_cubed(paper_model):
    meta, config = torch.device("meta"), paper_model.config
    with torch.no_grad():
        front, side = (torch.zeros(1, 1, 1024, 1024, device=meta) for _ in range(2))
        beam = torch.zeros(1, 2, device=meta)
        views = RegisteredViews(front, side, beam)
        end = paper_model.coarse_diff.encoder(front, side, beam)
        assert end.shape == (1, 1, 128, 128, 128)
        assert paper_model.coarse_diff.encoder(front, None, beam).shape == end.shape
        t = torch.zeros(1, dtype=torch.long, device=meta)
        seen = condition(config, views, end)
        assert seen.shape == end.shape
        assert paper_model.coarse_diff.unet(torch.cat([end, seen], 1), t).shape == end.shape
        branch = paper_model.fine_diff.controlnet
        residuals = branch(end, t, branch.embed(seen))
        assert paper_model.fine_diff.prior(end, t, residuals).shape == end.shape
        assert paper_model.super_resolution.network(end).shape == (1, 1, 256, 256, 256)


def test_sizes_of_the_networks(paper_model):
    sizes = {part: millions(paper_model.network(part)) for part in paper_model.config.networks}
    # The bridge sees one channel more than the prior: 64 x 27 weights of its first convolution.
    assert sizes["coarse"] - sizes["prior"] == pytest.approx(64 * 27 / 1e6, abs=1e-9)
    assert 20 < sizes["prior"] < 120
    assert 0.3 * sizes["prior"] < sizes["controlnet"] < 0.7 * sizes["prior"]
    assert 1 < sizes["encoder"] < 30
    assert sizes["sr"] < 1


def test_the_preview_fits_the_repository():
    with torch.device("meta"):
        model = AXON.build(preview())
    assert sum(millions(model.network(part)) for part in model.config.networks) == pytest.approx(
        millions(model)
    )
    assert millions(model) * 4 < 80  # MB of float32, of a repository under 100 MB
