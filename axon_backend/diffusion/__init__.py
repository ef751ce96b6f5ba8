"""The equations: Brownian bridge, Gaussian diffusion, samplers."""
