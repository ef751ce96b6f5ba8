"""Every method learns two patients by heart, from both views and from the frontal one alone: a
reconstruction from a patient's X-rays must be that patient, not the other and not their mean.

If the X-rays are dropped, cut off from their gradient, normalised away or not used in sampling, the
loss falls all the same, but the volumes of both patients are alike.
"""

from dataclasses import replace

import pytest
import torch
from made_batches import sample

from axon_backend.diffusion.from_noise import NoiseSampling
from axon_backend.methods import registry
from axon_backend.methods.axon.config import AxonConfig, Sampling
from axon_backend.methods.batch import Batch
from axon_backend.methods.diffux2ct.config import (
    DecoderConfig,
    DenoiserConfig,
    DiffuX2CTConfig,
    TriPlaneConfig,
)
from axon_backend.methods.global_vector_ldm.config import (
    AutoencoderConfig,
    GlobalVectorConfig,
    LatentUNetConfig,
    ViewEncoderConfig,
)
from axon_backend.methods.repeat_concatenate.config import RepeatConcatenateConfig
from axon_backend.methods.x2ct.config import X2CTConfig
from axon_backend.networks.encoder import EncoderConfig
from axon_backend.networks.srnet import SRConfig
from axon_backend.networks.unet import UNetConfig
from axon_backend.training.config import OptimiserSettings
from axon_backend.training.optimiser import Optimiser
from axon_backend.util.run_context import RunContext

UNET = UNetConfig(channels=(16, 32), attention=(False, True), patch=2, groups=4, head_channels=8)
FEW = NoiseSampling(steps=5)
# {method: (configuration, its trainings in order with their numbers of steps)}.
SMALL = {
    "repeat_concatenate": (
        RepeatConcatenateConfig(grid=16, view_size=32, channels=(8, 16)),
        {"regression": 40},
    ),
    "x2ct": (
        X2CTConfig(
            grid=16, view_size=32, stem=8, layers=(1, 1), growth=8, decoder=(16, 8, 8),
            blocks=(1, 1), fused_blocks=(1, 1, 0), dropout=0.0,
        ),
        {"cnn": 80},
    ),
    "diffux2ct": (
        DiffuX2CTConfig(
            size=16,
            tri_plane=TriPlaneConfig(
                view_size=32, size=16, channels=(8, 16), planes=8, rank=4, axial=(8, 8)
            ),
            decoder=DecoderConfig(features=8, hidden=16, frequencies=2),
            denoiser=DenoiserConfig(
                channels=(16, 32), windows=(0, 2), patch=2, groups=4, head_channels=8
            ),
            sampling=FEW,
        ),
        {"diffusion": 100},
    ),
    "global_vector_ldm": (
        GlobalVectorConfig(
            size=16,
            autoencoder=AutoencoderConfig(channels=(16, 32), latents=4, patch=2, groups=4),
            view_encoder=ViewEncoderConfig(view_size=32, channels=(8, 16), width=32),
            denoiser=LatentUNetConfig(
                channels=(16, 32), attention=(False, True), groups=4, head_channels=8
            ),
            sampling=replace(FEW, clamp=0.0),
        ),
        {"autoencoder": 40, "latent": 70},
    ),
    "axon": (
        AxonConfig(
            encoder=EncoderConfig(
                size=16, view_size=32, channels=(8, 16, 16), features=2, trunk=(8, 16)
            ),
            coarse=UNET,
            prior=UNET,
            sr=SRConfig(features=4, blocks=1, growth=2),
            sampling=Sampling(coarse_steps=3),
        ),
        {"coarse": 40},
    ),
}  # fmt: skip


def drawn_anew(pairs: Batch, step: int) -> Batch:
    """The pairs with the random numbers of a training step; the lateral view is withheld in every
    other one."""
    parts = [sample(1000 + 2 * step + i, 16, 32, single=step % 2 == 1) for i in range(len(pairs))]
    return replace(pairs, draws=Batch.stack(parts).draws)


SLOW = [pytest.mark.slow]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=SLOW if n in ("axon", "diffux2ct") else []) for n in SMALL]
)
def test_a_reconstruction_is_of_its_own_patient(name):
    config, trainings = SMALL[name]
    method = registry.load(name)
    torch.manual_seed(0)
    model = method.build(config)
    pairs = Batch.stack([sample(i, 16, 32) for i in range(2)])
    for training, steps in trainings.items():
        objective = method.objectives[training](model, method.loss_settings(), single_view=0.5)
        model.requires_grad_(False)
        parameters = []
        for network in objective.networks().values():
            parameters += list(network.requires_grad_(True).parameters())
        optimiser = Optimiser(parameters, OptimiserSettings())
        model.train()
        for step in range(steps):
            optimiser.set_lr(5e-3 * (1 - step / steps))
            optimiser.zero_grad()
            objective(drawn_anew(pairs, step)).backward()
            optimiser.step()
    model.eval()
    for single in (False, True):
        views = pairs.views(single).split()
        stage = method.info.stage_names[0]
        made = [model.run_stage(stage, one, None, context=RunContext(seed=3)) for one in views]
        errors = [[float((v - y).square().mean()) for y in pairs.volume[:, None]] for v in made]
        for own, other in ((errors[0][0], errors[0][1]), (errors[1][1], errors[1][0])):
            assert own < 0.5 * other, (single, own, other)
