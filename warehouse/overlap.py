"""Texts that two datasets share, from their sketches."""

from __future__ import annotations

import numpy as np


def shared_texts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Share of the texts of the smaller set that are in the larger one, from bottom-k sketches (Beyer et al. 2007).

    Rows contain the smallest hashes in ascending order, with NaN after the end of a smaller set. Both sketches are
    complete up to the smaller one of their largest hashes. NaN where one has no hash there. Shapes (n, k) -> (n,).
    """
    largest = np.minimum(*(np.where(np.isnan(s[:, -1]), np.inf, s[:, -1]) for s in (a, b)))[:, None]
    a, b = (np.where(s <= largest, s, np.nan) for s in (a, b))
    both = np.sort(np.concatenate([a, b], axis=1), axis=1)
    shared = (both[:, 1:] == both[:, :-1]).sum(axis=1)
    smaller = np.minimum(np.isfinite(a).sum(axis=1), np.isfinite(b).sum(axis=1))
    return np.divide(shared, smaller, out=np.full(len(a), np.nan), where=smaller > 0)
