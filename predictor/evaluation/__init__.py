"""Held-out protocols, metrics, baselines and resampling."""
