"""AXON: CoarseDiff, FineDiff and SR-Net behind one object (paper, section 3)."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from axon_backend.diffusion.bridge import BrownianBridge, OnStep
from axon_backend.diffusion.gaussian import GaussianDiffusion, sampler
from axon_backend.imaging.frame import HuWindow
from axon_backend.methods.protocol import Progress, RegisteredViews, StageVolumes
from axon_backend.networks.blocks import channels_last
from axon_backend.networks.encoder import EncoderConfig, LiftingEncoder
from axon_backend.networks.lifting import back_project, back_project_residuals
from axon_backend.networks.precision import autocast
from axon_backend.networks.srnet import SRConfig, SRNet
from axon_backend.networks.unet import ControlBranch, DiffusionUNet, UNetConfig

STAGES = ("coarse", "fine", "sr")


@dataclass(frozen=True)
class Sampling:
    """How the two diffusion stages are sampled; the defaults travel with a bundle.

    Attributes:
        coarse_steps, coarse_eta: of the bridge.
        fine_steps, fine_sampler, fine_eta: of the prior.
        fine_start: where on the prior's time axis stage 2 starts, in (0, 1]. 1 starts from pure
            noise (the paper); less starts from the coarse volume with that much noise on it.
        fine_draws: stage 2 is the mean over that many draws of its noise: what the draws agree on
            stays, what is noise goes.
        fine_scale: factor on the ControlNet's residuals.
        fine_detail: how much of what stage 2 changed is kept: ``X + detail (Y - X)``.
    """

    coarse_steps: int = 10
    coarse_eta: float = 1.0
    fine_steps: int = 15
    fine_sampler: str = "ddim"
    fine_eta: float = 0.0
    fine_start: float = 1.0
    fine_draws: int = 1
    fine_scale: float = 1.0
    fine_detail: float = 1.0


@dataclass(frozen=True)
class AxonConfig:
    """Everything that makes an AXON model besides its weights.

    ``see_views``: beside F(x) and X^, the bridge and the ControlNet see the back-projected X-rays
    and the back-projected difference between the X-rays and the projections of F(x) or X^.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    coarse: UNetConfig = field(default_factory=UNetConfig)
    bridge: BrownianBridge = field(default_factory=BrownianBridge)
    prior: UNetConfig = field(default_factory=UNetConfig)
    diffusion: GaussianDiffusion = field(default_factory=GaussianDiffusion)
    sr: SRConfig = field(default_factory=SRConfig)
    sampling: Sampling = field(default_factory=Sampling)
    window: HuWindow = field(default_factory=HuWindow)
    see_views: bool = True

    def as_dict(self) -> dict:
        """Plain types, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> AxonConfig:
        """The inverse of :meth:`as_dict`; unknown keys are an error."""
        parts = {
            "encoder": EncoderConfig,
            "coarse": UNetConfig,
            "bridge": BrownianBridge,
            "prior": UNetConfig,
            "diffusion": GaussianDiffusion,
            "sr": SRConfig,
            "sampling": Sampling,
            "window": HuWindow,
        }
        built = {}
        for key, value in values.items():
            if key in parts:
                fields = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
                built[key] = parts[key](**fields)
            else:
                built[key] = value
        return cls(**built)


def preview() -> AxonConfig:
    """The shipped model: 64^3 -> 128^3, made for CPUs."""
    # ysubx: an untrained bridge returns F(x) from any number of steps, so that a short training can
    # only add to it; grad has to learn to remove the bridge's own noise first.
    return AxonConfig(
        bridge=BrownianBridge(variance=0.1, objective="ysubx"),
        sampling=Sampling(coarse_steps=1, fine_steps=1, fine_start=0.06, fine_draws=4),
    )


def paper() -> AxonConfig:
    """The paper's model: 1024^2 -> 128^3 -> 256^3, 64 base channels, attention at 16^3 and 8^3."""
    unet = UNetConfig(
        channels=(64, 128, 192, 256, 256),
        attention=(False, False, False, True, True),
        blocks=1,
        patch=1,
        groups=32,
        head_channels=64,
    )
    return AxonConfig(
        encoder=EncoderConfig(
            size=128,
            view_size=1024,
            channels=(16, 32, 64, 128, 192, 256),
            features=1,
            lifting="reshape",
            trunk=(),
            from_mean=False,
        ),
        coarse=unet,
        bridge=BrownianBridge(variance=1.0),
        prior=unet,
        diffusion=GaussianDiffusion(prediction="epsilon"),
        sr=SRConfig(gamma=2),
        sampling=Sampling(fine_steps=50),
        window=HuWindow(-100.0, 900.0),
        see_views=False,
    )


def _shifted(on_step: OnStep, before: int, total: int, i: int, n: int, x: torch.Tensor) -> None:
    """Count the steps of one draw among those of all."""
    on_step(before + i, total, x)


PRESETS = {"preview": preview, "paper": paper}


class Axon(nn.Module):
    """The five networks and how they are run. Implements :class:`methods.protocol.Reconstructor`.

    Args:
        config: architecture, schedules and sampling defaults.
    """

    name = "axon"

    def __init__(self, config: AxonConfig) -> None:
        super().__init__()
        self.config = config
        extra = 4 if config.see_views else 0
        self.encoder = LiftingEncoder(config.encoder)
        self.coarse = DiffusionUNet(config.coarse, in_channels=2 + extra)
        self.prior = DiffusionUNet(config.prior, in_channels=1)
        self.controlnet = ControlBranch(config.prior, condition_channels=1 + extra)
        self.sr = SRNet(config.sr)
        channels_last(self)

    PARTS = ("encoder", "coarse", "prior", "controlnet", "sr")

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def condition(self, views: RegisteredViews, volume: torch.Tensor) -> torch.Tensor:
        """The volume that conditions a stage, with the X-rays and what it misses of them if
        configured: (B, 1 or 5, h, h, h)."""
        if not self.config.see_views:
            return volume
        both = [v for v in (views.frontal, views.lateral) if v is not None]
        size = volume.shape[-1]
        spread = back_project(both, size, views.beam)
        wrong = back_project_residuals(volume, both, views.beam)
        return torch.cat([volume, spread, wrong], 1)

    def end_point(self, views: RegisteredViews) -> torch.Tensor:
        """F(x), (B, 1, h, h, h)."""
        with autocast(self.device):
            return self.encoder(views.frontal, views.lateral, views.beam)

    def coarse_estimate(
        self, x: torch.Tensor, t: torch.Tensor, end: torch.Tensor, condition: torch.Tensor
    ) -> torch.Tensor:
        """The bridge network's estimate of Y at x_t."""
        with autocast(self.device):
            output = self.coarse(torch.cat([x, condition], 1), t)
        return self.config.bridge.estimate(output, x, end, t)

    def fine_estimate(
        self, y: torch.Tensor, t: torch.Tensor, condition: torch.Tensor, scale: float = 1.0
    ) -> torch.Tensor:
        """The prior's estimate of Y at y_t, steered by the ControlNet."""
        with autocast(self.device):
            down, middle = self.controlnet(y, t, condition)
            if scale != 1.0:
                down, middle = [scale * d for d in down], scale * middle
            output = self.prior(y, t, (down, middle))
        return self.config.diffusion.estimate(output, y, t)

    def run_coarse(
        self,
        views: RegisteredViews,
        steps: int,
        generator: torch.Generator,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        """Stage 1, CoarseDiff: X^, clipped to [-1, 1]."""
        end = self.end_point(views)
        condition = self.condition(views, end)
        sample = self.config.bridge.sample(
            lambda x, t: self.coarse_estimate(x, t, end, condition),
            end,
            steps,
            eta=self.config.sampling.coarse_eta,
            generator=generator,
            on_step=on_step,
        )
        return sample.clamp(-1, 1)

    def run_fine(
        self,
        views: RegisteredViews,
        coarse: torch.Tensor,
        steps: int,
        generator: torch.Generator,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        """Stage 2, FineDiff: Y^, clipped to [-1, 1]."""
        s, diffusion = self.config.sampling, self.config.diffusion
        condition = self.condition(views, coarse)
        times = diffusion.times(steps, s.fine_start)
        first = torch.full((coarse.shape[0],), times[0], device=coarse.device)
        total = len(times) * s.fine_draws
        mean = torch.zeros_like(coarse)
        for draw in range(s.fine_draws):
            noise = torch.randn(coarse.shape, generator=generator).to(coarse)
            start = noise if s.fine_start >= 1.0 else diffusion.diffuse(coarse, first, noise)
            mean += sampler(s.fine_sampler)(
                diffusion,
                lambda y, t: self.fine_estimate(y, t, condition, s.fine_scale).clamp(-1.2, 1.2),
                start,
                times,
                eta=s.fine_eta,
                generator=generator,
                on_step=on_step and partial(_shifted, on_step, draw * len(times), total),
            )
        sample = mean / s.fine_draws
        return (coarse + s.fine_detail * (sample - coarse)).clamp(-1, 1)

    def run_sr(self, volume: torch.Tensor) -> torch.Tensor:
        """Stage 3, SR-Net: the volume on a grid gamma times as fine, clipped to [-1, 1]."""
        with autocast(self.device):
            return self.sr(volume).clamp(-1, 1)

    @torch.inference_mode()
    def reconstruct(
        self,
        views: RegisteredViews,
        *,
        stages: tuple[str, ...] = STAGES,
        steps: dict[str, int] | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> StageVolumes:
        """Run the stages asked for; see :class:`methods.protocol.Reconstructor`.

        Each stage draws from its own generator, seeded with ``seed`` and the stage's number, so
        that leaving a later stage out does not change an earlier one.
        """
        unknown = {*stages, *(steps or {})} - set(STAGES)
        if unknown:
            raise ValueError(f"stages are {STAGES}, got {sorted(unknown)}")
        steps = steps or {}
        s = self.config.sampling
        views = views.to(self.device)
        result = StageVolumes()
        volume: torch.Tensor | None = None

        def notify(stage: str) -> OnStep | None:
            if progress is None:
                return None
            return lambda done, total, guess: progress(stage, done, total, guess)

        for number, stage in enumerate(STAGES):
            if stage not in stages:
                continue
            generator = torch.Generator().manual_seed(seed * len(STAGES) + number)
            began = time.perf_counter()
            if stage == "coarse":
                count = steps.get("coarse", s.coarse_steps)
                volume = self.run_coarse(views, count, generator, notify(stage))
            elif volume is None:
                raise ValueError(f"stage {stage!r} needs stage 'coarse' before it")
            elif stage == "fine":
                count = steps.get("fine", s.fine_steps)
                volume = self.run_fine(views, volume, count, generator, notify(stage))
            else:
                volume = self.run_sr(volume)
                if progress is not None:
                    progress(stage, 1, 1, volume)
            result.volumes[stage] = volume
            result.seconds[stage] = time.perf_counter() - began
        return result

    def with_sampling(self, **changes: Any) -> Axon:
        """The same weights with other sampling settings (this object is changed and returned)."""
        self.config = replace(self.config, sampling=replace(self.config.sampling, **changes))
        return self
