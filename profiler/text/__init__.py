"""Counting, hashing and sketching of texts."""
