"""AXON: CoarseDiff, FineDiff and SR-Net (Rath et al. 2026, arXiv:2603.26509)."""

from axon_backend.methods.info import MethodInfo, StageInfo, TrainingInfo

INFO = MethodInfo(
    name="axon",
    label="AXON",
    summary=(
        "a Brownian bridge from the lifted X-rays, a diffusion prior steered by a ControlNet, and "
        "super-resolution."
    ),
    stages=(
        StageInfo("coarse", "CoarseDiff", "coarse volume"),
        StageInfo("fine", "FineDiff", "fine volume", needs="coarse"),
        StageInfo(
            "sr", "SR-Net", "super-resolution", needs="coarse", takes_steps=False, in_slabs=True
        ),
    ),
    trainings=(
        TrainingInfo(
            "encoder",
            "Encoder alone",
            "Lifts the X-rays to a volume, without diffusion: a good start for CoarseDiff. Needs "
            "nothing before it.",
        ),
        TrainingInfo(
            "coarse",
            "CoarseDiff (encoder and bridge)",
            "Stage 1: from the X-rays to the coarse volume. Needs nothing before it.",
        ),
        TrainingInfo(
            "prior",
            "Prior (DDPM)",
            "Learns what chests look like, from the CTs alone. Needs nothing before it.",
        ),
        TrainingInfo(
            "controlnet",
            "FineDiff (ControlNet on the prior)",
            "Stage 2: steers the prior by the coarse volume. Needs CoarseDiff and the prior.",
        ),
        TrainingInfo(
            "sr",
            "SR-Net",
            "Stage 3: doubles the resolution. Needs CoarseDiff and FineDiff, whose volumes it "
            "learns from.",
        ),
        TrainingInfo(
            "harmoniser",
            "Harmoniser of the X-rays",
            "Optional: brings X-rays of any grey scale to that of DRRs, before all other networks. "
            "Needs nothing before it.",
        ),
    ),
    implementation="axon_backend.methods.axon.method:AXON",
    presets=("preview", "paper", "paper_biplanar"),
)
