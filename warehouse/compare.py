"""Two profiles side by side, sorted by how far apart they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from traitcast.warehouse.records import TraitMatrix


def compare_profiles(matrix: TraitMatrix, first: str, second: str) -> list[dict[str, Any]]:
    """One row per trait that both datasets have: trait, value of `first` and `second`, standardised difference, ...

    The difference (first - second) is divided by the standard deviation of the trait over all datasets of
    `matrix` that have it, and NaN where fewer than three do or all are equal; such rows come last.
    """
    a = matrix.values[matrix.names.index(first)]
    b = matrix.values[matrix.names.index(second)]
    known = np.isfinite(matrix.values)
    enough = known.sum(axis=0) >= 3
    spread = np.full(len(matrix.definitions), np.nan)
    spread[enough] = np.nanstd(matrix.values[:, enough], axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        standardised = np.where(spread > 0, (a - b) / spread, np.nan)
    both = np.flatnonzero(np.isfinite(a) & np.isfinite(b))
    order = sorted(both, key=lambda j: (-np.nan_to_num(abs(standardised[j]), nan=-1.0), j))
    return [
        {
            "trait": matrix.definitions[j].trait,
            "first": float(a[j]),
            "second": float(b[j]),
            "standardised_difference": float(standardised[j]),
            "unit": matrix.definitions[j].unit,
            "family": matrix.definitions[j].family,
        }
        for j in order
    ]
