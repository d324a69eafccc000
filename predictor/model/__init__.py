"""Pair features, the boosted trees, intervals and novelty."""
