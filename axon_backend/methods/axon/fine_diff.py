"""Stage 2, FineDiff: from X^ to the CT (paper, section 3.2).

Two classes with one interface: the prior steered by a ControlNet, and a second Brownian bridge
(Table 4, "BBDM"). Both take a global embedding of the X-rays if ``AxonConfig.global_encoder``.
"""

from __future__ import annotations

from abc import abstractmethod

import torch

from axon_backend.diffusion.gaussian import ddim
from axon_backend.diffusion.sampling import Denoiser, OnStep, noise_like
from axon_backend.methods.axon.config import AxonConfig, AxonLoss
from axon_backend.methods.axon.losses import bridge_times
from axon_backend.methods.axon.stage import StageModule, batched, condition, count_steps
from axon_backend.methods.batch import Draws
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.networks.precision import Precision
from axon_backend.networks.unet import ControlBranch, DiffusionUNet


class FineDiff(StageModule):
    """Stage 2: the network "controlnet" and how it is run.

    Attributes:
        controlnet: takes y_t, the condition and, if there is one, the global embedding.
    """

    controlnet: ControlBranch | DiffusionUNet

    def global_embedding(self, views: RegisteredViews) -> torch.Tensor | None:
        """The global encoder's embedding of the X-rays, (B, width); None without one."""
        if self.controlnet.global_encoder is None:
            return None
        return self.controlnet.global_encoder(views.both, views.has_lateral)

    def prepared(self, condition: torch.Tensor) -> torch.Tensor:
        """X^ and the other channels that steer the network, (B, c, h, h, h), as the methods below
        take the ``condition``: what does not depend on the time is computed here, once for a
        volume."""
        return condition

    @abstractmethod
    def output(
        self,
        y_t: torch.Tensor,
        t: torch.Tensor,
        condition: torch.Tensor,
        embedding: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The network's output at y_t, (B, 1, h, h, h)."""

    @abstractmethod
    def x0_of(
        self, output: torch.Tensor, y_t: torch.Tensor, t: torch.Tensor, condition: torch.Tensor
    ) -> torch.Tensor:
        """The estimate of Y from the network's output at y_t."""

    @abstractmethod
    def training_times(self, draws: Draws, loss: AxonLoss) -> torch.Tensor:
        """(B,) times of a training step, over the range that sampling visits; on the CPU."""

    @abstractmethod
    def noised(
        self, y: torch.Tensor, coarse: torch.Tensor, t: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """y_t for Y, X^ and e of shape (B, 1, h, h, h), and the network's training target at
        y_t."""

    @abstractmethod
    def sample(
        self,
        denoise: Denoiser,
        coarse: torch.Tensor,
        steps: int,
        generator: torch.Generator,
        on_step: OnStep | None,
    ) -> torch.Tensor:
        """One draw of Y^ from X^."""

    @abstractmethod
    def evaluations(self, steps: int) -> int:
        """Number of evaluations of the network in one draw of ``steps`` steps."""

    def predict_x0(
        self,
        y_t: torch.Tensor,
        t: torch.Tensor,
        condition: torch.Tensor,
        embedding: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The estimate of Y at y_t."""
        with self.autocast():
            output = self.output(y_t, t, condition, embedding)
        return self.x0_of(output, y_t, t, condition)

    def run(
        self,
        views: RegisteredViews,
        coarse: torch.Tensor,
        steps: int,
        generator: torch.Generator,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        """Y^, (B, 1, h, h, h), clipped to [-1, 1] unless ``fine_clamp`` is 0: the mean over
        ``fine_draws`` draws."""
        s = self.config.sampling
        steered_by = condition(self.config, views, coarse)
        with self.autocast():
            embedding = self.global_embedding(views)
            seen = self.prepared(steered_by)
        each = self.evaluations(steps)
        # As in stage 1: more steps draw a sample, and the mean of several would hide how much they
        # differ.
        draws = s.fine_draws if steps <= s.fine_steps else 1

        def sampled(runs: int, before: int) -> torch.Tensor:
            """That many draws as a batch; ``before`` it, so many were made."""

            def repeated(x: torch.Tensor) -> torch.Tensor:
                return x.repeat(runs, *[1] * (x.ndim - 1)) if runs > 1 else x

            known = None if embedding is None else repeated(embedding)
            repeated_seen = repeated(seen)

            def denoise(y_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
                x0_hat = self.predict_x0(y_t, t, repeated_seen, known)
                return x0_hat.clamp(-s.fine_clamp, s.fine_clamp) if s.fine_clamp else x0_hat

            counted = count_steps(on_step, before * each, each * draws, runs)
            return self.sample(denoise, repeated(coarse), steps, generator, counted)

        def one_by_one() -> torch.Tensor:
            mean = torch.zeros_like(coarse)
            for draw in range(draws):
                mean += sampled(1, draw)
            return mean / draws

        if draws == 1 or len(coarse) > 1:
            sample = one_by_one()
        else:
            sample = batched(
                lambda: sampled(draws, 0).mean(0, keepdim=True),
                one_by_one,
                coarse.device,
                generator,
            )
        # Written as X^ plus a change, for the same rounding as when the shipped weights were
        # measured.
        fine = coarse + (sample - coarse)
        return fine.clamp(-1, 1) if s.fine_clamp else fine


class ControlNetFineDiff(FineDiff):
    """The frozen unconditional prior, steered by a ControlNet on X^ (the paper).

    Args:
        config: the model's configuration.
        precision: the model's precision.
    """

    controlnet: ControlBranch

    def __init__(self, config: AxonConfig, precision: Precision) -> None:
        super().__init__(config, precision)
        side = config.view_size if config.global_encoder else 0
        self.prior = DiffusionUNet(config.prior, in_channels=1)
        self.controlnet = ControlBranch(config.prior, config.condition_channels, view_side=side)

    def prepared(self, condition: torch.Tensor) -> torch.Tensor:
        return self.controlnet.embed(condition)

    def output(
        self,
        y_t: torch.Tensor,
        t: torch.Tensor,
        condition: torch.Tensor,
        embedding: torch.Tensor | None = None,
    ) -> torch.Tensor:
        down, middle = self.controlnet(y_t, t, condition, embedding)
        return self.prior(y_t, t, (down, middle))

    def x0_of(
        self, output: torch.Tensor, y_t: torch.Tensor, t: torch.Tensor, condition: torch.Tensor
    ) -> torch.Tensor:
        return self.config.diffusion.predict_x0(output, y_t, t)

    def training_times(self, draws: Draws, loss: AxonLoss) -> torch.Tensor:
        last = max(1, round(self.config.sampling.fine_start * (self.config.diffusion.steps - 1)))
        return ((last + 1) * draws.t).long()

    def noised(
        self, y: torch.Tensor, coarse: torch.Tensor, t: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        diffusion = self.config.diffusion
        return diffusion.q_sample(y, t, noise), diffusion.target(y, t, noise)

    def _timesteps(self, steps: int) -> list[int]:
        return self.config.diffusion.timesteps(steps, self.config.sampling.fine_start)

    def evaluations(self, steps: int) -> int:
        return len(self._timesteps(steps))

    def sample(
        self,
        denoise: Denoiser,
        coarse: torch.Tensor,
        steps: int,
        generator: torch.Generator,
        on_step: OnStep | None,
    ) -> torch.Tensor:
        diffusion, timesteps = self.config.diffusion, self._timesteps(steps)
        y_t = noise_like(coarse, generator)
        if self.config.sampling.fine_start < 1.0:
            t = torch.full((coarse.shape[0],), timesteps[0], device=coarse.device)
            y_t = diffusion.q_sample(coarse, t, y_t)
        return ddim(diffusion, denoise, y_t, timesteps, on_step=on_step)


class BridgeFineDiff(FineDiff):
    """A second Brownian bridge, from X^ to the CT (Table 4, "BBDM"); there is no prior.

    Args:
        config: the model's configuration.
        precision: the model's precision.
    """

    controlnet: DiffusionUNet

    def __init__(self, config: AxonConfig, precision: Precision) -> None:
        super().__init__(config, precision)
        side = config.view_size if config.global_encoder else 0
        channels = 1 + config.condition_channels
        self.controlnet = DiffusionUNet(config.prior, channels, view_side=side)

    def output(
        self,
        y_t: torch.Tensor,
        t: torch.Tensor,
        condition: torch.Tensor,
        embedding: torch.Tensor | None = None,
    ) -> torch.Tensor:
        return self.controlnet(torch.cat([y_t, condition], 1), t, None, embedding)

    def x0_of(
        self, output: torch.Tensor, y_t: torch.Tensor, t: torch.Tensor, condition: torch.Tensor
    ) -> torch.Tensor:
        # Its first channel is X^, where this bridge starts.
        return self.config.bridge.predict_x0(output, y_t, condition[:, :1], t)

    def training_times(self, draws: Draws, loss: AxonLoss) -> torch.Tensor:
        return bridge_times(draws, self.config.bridge, loss)

    def noised(
        self, y: torch.Tensor, coarse: torch.Tensor, t: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        bridge = self.config.bridge
        return bridge.q_sample(y, coarse, t, noise), bridge.target(y, coarse, t, noise)

    def evaluations(self, steps: int) -> int:
        return len(self.config.bridge.timesteps(steps))

    def sample(
        self,
        denoise: Denoiser,
        coarse: torch.Tensor,
        steps: int,
        generator: torch.Generator,
        on_step: OnStep | None,
    ) -> torch.Tensor:
        return self.config.bridge.sample(
            denoise, coarse, steps, eta=0.0, generator=generator, on_step=on_step
        )


def fine_diff(config: AxonConfig, precision: Precision) -> FineDiff:
    """Stage 2 of the class ``config.fine_diff``."""
    kinds = {"controlnet": ControlNetFineDiff, "bridge": BridgeFineDiff}
    return kinds[config.fine_diff](config, precision)
