"""Latent diffusion conditioned on one vector per X-ray, after X-ray2CTPA (Cahan et al. 2025).

X-ray2CTPA uses two frozen networks whose weights we cannot distribute, the VAE of SDXL and MedCLIP.
Here an autoencoder and an X-ray encoder are trained instead; the results are therefore not those of
X-ray2CTPA, and the method has its own name.
"""

from axon_backend.methods.info import MethodInfo, StageInfo, TrainingInfo

INFO = MethodInfo(
    name="global_vector_ldm",
    label="Global-vector latent diffusion",
    summary="a latent diffusion conditioned on one vector per X-ray, without positions.",
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
