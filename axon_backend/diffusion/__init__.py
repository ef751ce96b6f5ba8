"""Diffusion processes: Brownian bridge, Gaussian diffusion, samplers."""
