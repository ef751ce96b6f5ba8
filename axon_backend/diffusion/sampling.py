"""The sampling loop: estimate the clean volume, step to the next time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

# denoise(x_t, t) -> x0_hat, the estimate of the clean volume; t is a (B,) integer tensor.
Denoiser = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
# on_step(done, total, x0_hat) is called after every step; it may raise Cancelled.
OnStep = Callable[[int, int, torch.Tensor], None]
# step(x_t, x0_hat, t, t_next) -> x at t_next.
Step = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def noise_like(x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """Standard normal numbers in the shape, on the device and of the type of ``x``.

    They are drawn on the CPU, so that a seed means the same everywhere. A GPU still computes the
    step before meanwhile, and copies them when it gets there: nobody waits.
    """
    on_gpu = x.device.type == "cuda"
    noise = torch.randn(x.shape, generator=generator, pin_memory=on_gpu)
    return noise.to(x, non_blocking=on_gpu)


def sample_loop(
    denoise: Denoiser,
    x: torch.Tensor,
    timesteps: Sequence[int],
    step: Step,
    on_step: OnStep | None = None,
) -> torch.Tensor:
    """Sample from ``x`` at ``timesteps[0]`` through all times, with one evaluation each.

    Args:
        denoise: see :data:`Denoiser`.
        x: (B, C, h, h, h) at the first time.
        timesteps: decreasing, at least one.
        step: the update from one time to the next; not called after the last.
        on_step: called after every step, for progress and cancellation.

    Returns:
        The last x0_hat, (B, C, h, h, h), not clipped.
    """
    for i, now in enumerate(timesteps):
        t = torch.full((x.shape[0],), now, device=x.device)
        x0_hat = denoise(x, t)
        if on_step is not None:
            on_step(i + 1, len(timesteps), x0_hat)
        if i + 1 == len(timesteps):
            return x0_hat
        x = step(x, x0_hat, t, torch.full_like(t, timesteps[i + 1]))
    raise ValueError("at least one time step is needed")
