"""Measures the ground-truth transfer matrix."""
