"""Latent factors of a transfer matrix."""
