"""Calibration of stage 1's samples: what is measured of a bridge whose errors are known."""

from dataclasses import replace

import pytest
import torch

from axon_backend.diffusion.bridge import BrownianBridge
from axon_backend.methods.axon.calibrate import GEOMETRIC_TO, INFLATIONS, measure_error
from axon_backend.methods.axon.coarse_diff import CoarseDiff
from axon_backend.methods.axon.config import CoarseError
from axon_backend.methods.axon.method import AXON
from axon_backend.methods.batch import Batch
from axon_backend.networks.encoder import EncoderConfig

GRID, SPREAD = 16, 0.2


@pytest.fixture
def model(tiny):
    return tiny(
        encoder=EncoderConfig(
            size=GRID, view_size=32, channels=(8, 16, 16), features=2, trunk=(8, 16)
        ),
        bridge=BrownianBridge(variance=0.01, objective="ysubx"),
    )


@pytest.fixture
def batches(made):
    """Patients whose voxels are normal around a mean of zero, unlike anything in their X-rays."""
    found = []
    for seed in range(3):
        batch = made(seed, GRID, 32)
        noise = torch.randn(batch.volume.shape, generator=torch.Generator().manual_seed(seed + 90))
        found.append(Batch(SPREAD * noise, batch.fine, batch.frontal, batch.lateral, batch.beam))
    return found


@pytest.fixture
def made():
    from made_batches import sample

    return sample


def left(bridge: BrownianBridge, t: torch.Tensor) -> torch.Tensor:
    """Variance of Y given x_t."""
    m, d = bridge.alpha_t(t), bridge.delta_t(t)
    return SPREAD**2 * d / ((1 - m) ** 2 * SPREAD**2 + d)


@pytest.fixture
def exact(monkeypatch):
    """CoarseDiff's estimate is the posterior mean of such patients."""

    def predict_x0(self, x_t, t, x_T, condition):
        m, d = self.config.bridge.alpha_t(t), self.config.bridge.delta_t(t)
        gain = (1 - m) * SPREAD**2 / ((1 - m) ** 2 * SPREAD**2 + d)
        return gain * (x_t - m * x_T)

    monkeypatch.setattr(CoarseDiff, "predict_x0", predict_x0)


@pytest.mark.parametrize("single", [True, False])
def test_the_error_of_the_estimates_is_measured(model, batches, exact, single):
    error = measure_error(model, batches, single)
    bridge = model.config.bridge
    assert error.alpha[0] == pytest.approx(0.999) and error.alpha[-1] == pytest.approx(
        0.1, abs=0.01
    )
    for alpha, mse in zip(error.alpha, error.mse, strict=True):
        t = torch.tensor([round((alpha - 0.001) / 0.998 * 999)])
        assert mse == pytest.approx(float(left(bridge, t)), rel=0.05)
    flat = [p / error.power[-1] for p in error.power[2:]]
    assert flat == pytest.approx([1.0] * len(flat), rel=0.5), "white, like the patients"
    assert len(error.power) == 5  # 0, 1, 2, 4 and 8 cycles per side


def test_a_perfect_bridge_needs_no_inflation_and_is_calibrated(model, batches, exact):
    lines = []
    config = AXON.calibrated(model, batches, 10, lines.append)
    assert config.bridge == replace(model.config.bridge, geometric_to=GEOMETRIC_TO)
    assert config.sampling.coarse_draw_steps == 10 and AXON.draw_steps(config) == {"coarse": 10}
    assert AXON.draw_steps(model.config) == {}
    first = next(line for line in lines if line.startswith("two views, inflation 1:"))
    ratio = float(first.partition("skill ")[2].partition(",")[0])
    assert ratio == pytest.approx(0.97, abs=0.04)  # the last estimate averages over the rest
    assert {config.coarse_error.frontal.inflation, config.coarse_error.both.inflation} <= set(
        INFLATIONS
    )
    model.config = model.coarse_diff.config = config
    assert model.coarse_diff._error(batches[0].views(single=True)) is config.coarse_error.frontal
    assert model.coarse_diff._error(batches[0].views()) is config.coarse_error.both


def test_the_errors_survive_the_configuration_s_json(model, batches, exact):
    config = AXON.calibrated(model, batches[:1], 3, lambda line: None)
    again = type(config).from_dict(config.as_dict())
    assert again == config and again.coarse_error != CoarseError()


def test_without_a_bridge_there_is_nothing_to_calibrate(model, batches, with_sampling):
    assert AXON.calibrated(with_sampling(model, coarse_steps=0), batches, 3, print) is None
