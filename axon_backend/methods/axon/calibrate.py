"""Calibration of stage 1's samples on patients that the networks were not trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from axon_backend.diffusion.bridge import BrownianBridge
from axon_backend.diffusion.estimate_error import EstimateError, local_fit, spectrum
from axon_backend.methods.axon.config import AxonConfig, CoarseError
from axon_backend.methods.axon.model import AxonModel
from axon_backend.methods.axon.stage import condition
from axon_backend.methods.batch import Batch

# 1 - alpha_t of the last estimate of a sample: x_t tells enough of Y then that little is missing.
GEOMETRIC_TO = 0.9
# 1 - alpha_t at which the error is measured: half an octave to an octave apart.
REST = (0.001, 0.003, 0.01, 0.03, 0.06, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9)
INFLATIONS = (1.0, 1.5, 2.0, 2.5, 3.0)
SAMPLES = 4


@dataclass(frozen=True)
class Calibrated:
    """One inflation and what the samples are worth with it.

    Attributes:
        inflation: see ``EstimateError``.
        spread_skill: spread over the error of the mean, see ``evaluation.statistics``.
        gained: how much closer the mean of infinitely many samples is than the one-step estimate,
            in dB.
    """

    inflation: float
    spread_skill: float
    gained: float


@torch.inference_mode()
def measure_error(model: AxonModel, batches: Sequence[Batch], single: bool) -> EstimateError:
    """Mean square, spectrum and place of the errors of the bridge's estimates.

    Args:
        model: encoder and bridge.
        batches: one patient each, without draws.
        single: with the frontal view alone.
    """
    coarse, bridge = model.coarse_diff, model.config.bridge
    times = sorted(set(bridge.times_at(torch.tensor(REST)).tolist()), reverse=True)
    squares = [0.0] * len(times)
    estimates, errors = [], []
    for number, batch in enumerate(batches):
        views = model.harmonised(batch.views(single))
        x_T = coarse.x_T(views).float()
        seen = condition(model.config, views, x_T)
        noise = torch.randn(x_T.shape, generator=torch.Generator().manual_seed(number))
        for i, now in enumerate(times):
            t = torch.tensor([now])
            x_t = bridge.q_sample(batch.volume, x_T, t, noise)
            estimate = coarse.predict_x0(x_t, t, x_T, seen).float().clamp(-1, 1)
            error = estimate - batch.volume
            squares[i] += float(error.square().mean()) / len(batches)
            if i == 0:
                estimates.append(estimate)
                errors.append(error)
    a, b = local_fit(torch.cat(estimates), torch.cat(errors))
    alphas = bridge.alpha_t(torch.tensor(times)).flatten().tolist()
    return EstimateError(
        alpha=tuple(round(a, 6) for a in alphas),
        mse=tuple(float(f"{v:.4g}") for v in squares),
        power=tuple(float(f"{v:.4g}") for v in spectrum(torch.cat(errors)[:, 0])),
        local=(float(f"{a:.4g}"), float(f"{b:.4g}")),
    )


@torch.inference_mode()
def judge(
    model: AxonModel,
    bridge: BrownianBridge,
    batches: Sequence[Batch],
    single: bool,
    error: EstimateError,
    steps: int,
) -> Calibrated:
    """What samples with this error are worth, over all patients together."""
    variance = skill = closest = infinite = 0.0
    for batch in batches:
        closer, samples = _drawn(model, bridge, batch, single, error, steps)
        within = float(samples.var(0).mean())
        of_mean = float((samples.mean(0) - batch.volume).square().mean())
        variance += within
        skill += of_mean
        infinite += of_mean - within / SAMPLES
        closest += float((closer - batch.volume).square().mean())
    return Calibrated(
        error.inflation,
        math.sqrt((1 + 1 / SAMPLES) * variance / skill),
        10 * math.log10(closest / infinite),
    )


def _drawn(
    model: AxonModel,
    bridge: BrownianBridge,
    batch: Batch,
    single: bool,
    error: EstimateError,
    steps: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The one-step estimate of a patient, (1, 1, h, h, h), and :data:`SAMPLES` samples of it."""
    coarse, views = model.coarse_diff, model.harmonised(batch.views(single))
    x_T = coarse.x_T(views).float()
    seen = condition(model.config, views, x_T)

    def drawn(count: int, seed: int) -> torch.Tensor:
        sample = bridge.sample(
            lambda x_t, t: coarse.predict_x0(x_t, t, x_T, seen),
            x_T,
            count,
            error=error,
            generator=torch.Generator().manual_seed(seed),
        )
        return sample.clamp(-1, 1).float()

    return drawn(1, 0), torch.stack([drawn(steps, seed) for seed in range(1, SAMPLES + 1)])


def calibrate(
    model: AxonModel,
    batches: Sequence[Batch],
    steps: int,
    tell: Callable[[str], None] = lambda line: None,
) -> AxonConfig:
    """The configuration with the errors of the estimates with one view and with two, each with the
    inflation of :data:`INFLATIONS` that brings spread over skill closest to 1.

    Args:
        model: encoder and bridge.
        batches: one patient each, without draws, that the networks were not trained on.
        steps: sampling steps.
        tell: called with a line on each inflation.
    """
    config = model.config
    bridge = replace(config.bridge, geometric_to=GEOMETRIC_TO)
    found = {}
    for single in (True, False):
        error = measure_error(model, batches, single)
        name, tried = "one view" if single else "two views", []
        for inflation in INFLATIONS:
            inflated = replace(error, inflation=inflation)
            judged = judge(model, bridge, batches, single, inflated, steps)
            tell(
                f"{name}, inflation {inflation:g}: spread / skill {judged.spread_skill:.2f}, the "
                f"mean of all samples {judged.gained:+.2f} dB closer than one step"
            )
            tried.append(judged)
            if judged.spread_skill >= 1:
                break
        best = min(tried, key=lambda one: abs(math.log(one.spread_skill)))
        found[single] = replace(error, inflation=best.inflation)
    return replace(
        config,
        bridge=bridge,
        coarse_error=CoarseError(frontal=found[True], both=found[False]),
        sampling=replace(config.sampling, coarse_draw_steps=steps),
    )
