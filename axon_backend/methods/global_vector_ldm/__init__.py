"""Latent diffusion conditioned by one vector for each X-ray, after X-ray2CTPA (Cahan et al. 2025).

X-ray2CTPA stands on two frozen networks whose weights are not ours to ship, the VAE of SDXL and
MedCLIP. Here an autoencoder and an X-ray encoder of our own are trained instead, so results are not
those of X-ray2CTPA, and the method has a name of its own.
"""

from axon_backend.methods.info import MethodInfo, StageInfo, TrainingInfo

INFO = MethodInfo(
    name="global_vector_ldm",
    label="Global-vector latent diffusion",
    summary="a latent diffusion that is told of each X-ray by one vector, without positions.",
    stages=(StageInfo("latent", "Latent diffusion", "sampled volume"),),
    trainings=(
        TrainingInfo(
            "autoencoder",
            "Autoencoder",
            "Compresses CTs to latents, without X-rays. Needs nothing before it.",
            takes_minutes=20,
        ),
        TrainingInfo(
            "latent",
            "Latent diffusion",
            "X-ray encoder and denoiser together. Needs the autoencoder.",
        ),
    ),
    implementation="axon_backend.methods.global_vector_ldm.method:GLOBAL_VECTOR_LDM",
    presets=("preview", "full"),
)
