"""The settings of AXON's trainings: ``preview`` for CPUs; ``paper`` (one view) and
``paper_biplanar`` (two views) as the paper states them, as two models."""

from __future__ import annotations

from typing import Any

PREVIEW: dict[str, dict[str, Any]] = {
    # The default is too high for a short training (Testing/benchmarks/README.md).
    "encoder": {"optimiser": {"lr": 8e-4}},
    # 200 samples take a few hundred megabytes of memory and five minutes on two CPU cores.
    "sr": {"data": {"repeat_after": 200}},
}
# Section 4.1 of the paper. It does not state how many gradients are accumulated; here 4.
PAPER_EPOCHS = {"encoder": 90.0, "coarse": 90.0, "prior": 320.0, "controlnet": 150.0, "sr": 56.0}

# DRRs are poly-energetic exposures with scatter, as in DeepDRR.
PHYSICS_ONLY: dict[str, Any] = {
    "clean": 0.0,
    "physical": 1.0,
    "p": {"gamma": 0.0, "misregistration": 0.0, "letters": 0.0, "collimation": 0.0},
}
# The paper has no such network; its presets can be trained with it, too.
HARMONISER: dict[str, Any] = {
    "batch": 4,
    "micro_batch": 4,
    "optimiser": {"lr": 2e-3},
    "data": {
        "blended": 0.5,
        "appearance": {
            "clean": 0.25,
            "p": {
                "scatter": 0.3,
                "local_contrast": 0.6,
                "even_contrast": 0.6,
                "clipping": 0.6,
                "sigmoid": 0.6,
                "blur": 0.2,
                "noise": 0.5,
                "letters": 0.15,
                "collimation": 0.3,
            },
        },
    },
}
PAPER_DEVIATIONS = (
    "The volume is a box around the lungs, not the whole scan: it holds less air, so that PSNR and "
    "SSIM are not on the paper's scale.",
    "The encoder is a U-Net after strided convolutions, with coordinate channels and a bias for "
    "each view; its output is resampled along the beam.",
    "The bridge is sampled from F(x) with the noise of t = T on it, by the update of Zheng et al. "
    "(DBIM); the paper says only that it skips steps as DDIM does.",
    "Sampling steps (10 of the bridge, 50 of the prior) are assumptions: the paper names none.",
    "The prior's noise schedule is scaled-linear from 0.0015 to 0.0195 over 1000 steps; the paper "
    "says DDPM and names no schedule. The bridge's is the paper's: linear, variance factor 1.",
    "SR-Net has 8 channels of growth (ESRGAN has 32), is a residual on trilinear interpolation, "
    "transposes along z only, and is trained on crops of 32^3 with L2 + 0.1 L1.",
    "Gradients are accumulated over 4 batches of 2 and clipped at a norm of 1, and averaged "
    "weights (EMA 0.9999) are used: the paper says that it accumulates, not how often.",
    "DRRs are of this project's renderer with random tube, grid, detector and dose for every draw, "
    "not of DeepDRR; their spectrum is filtered as if all of the patient were soft tissue; a "
    "patient with X-rays is shown with a DRR in half of the draws.",
    "Volumes are clipped to the HU window when they are written and measured, and stage 1's before "
    "stage 2 sees it; stage 2 itself is not clamped.",
)


def recipe(preset: str, training: str) -> dict[str, Any]:
    """Settings that differ from the defaults of ``training.config.TrainConfig``, nested as in its
    YAML."""
    if training == "harmoniser":
        return HARMONISER
    if preset == "preview":
        return PREVIEW.get(training, {})
    exponential = training == "sr"
    return {
        "minutes": None,
        "epochs": PAPER_EPOCHS[training],
        "batch": 8,
        "micro_batch": 2,
        "ema": 0.9999,
        "log_steps": 20,
        "optimiser": {
            "name": "adam",
            "lr": 2e-4 if exponential else 1e-4,
            "schedule": "exponential" if exponential else "constant",
            "warm_up": 0.0,
            "floor": 0.01,
            "weight_decay": 0.0,
        },
        "data": {
            "cache": 4000,
            "blended": 0.0,
            "pseudo_labelled": 0.0,
            "single_view": 1.0 if preset == "paper" else 0.0,
            # The two-view model is trained on patients with both radiographs (149 / 8 / 16).
            "complete_pairs": preset != "paper",
            "deformed": False,  # the paper mentions no augmentation
            "appearance": PHYSICS_ONLY,
        },
        "loss": {
            "end_point": 0.0,
            "t_power": 1.0,
            "p_t_end": 0.0,
            "prior_t_power": 1.0,
            "conditioning_augmentation": 0.0,
            "sampled_condition": True,
            "synthesised": 0.5,
        },
        "validation": {"every_minutes": 60.0},
    }
