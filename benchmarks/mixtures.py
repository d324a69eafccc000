"""Does the weighted mean of its parents' gains predict the gain of a mixture?

    traitcast mix data/sst2 data/trec --into mixtures/sst2_trec --rows 2000        # and others
    traitcast matrix plan --pack mixed ...; traitcast matrix run --pack mixed; traitcast matrix ingest --pack mixed
    python benchmarks/mixtures.py --warehouse traitcast.duckdb --mixtures mixed --parents smollm2_84 mixtures/*/

Both matrices have to be of one recipe. A row per metric, over the cells (mixture, target) of which every parent was
measured on the target too. `rho`: Spearman's correlation of the measured gains with the weighted means, over all cells,
over those whose target is no parent, and over these after the mean of the target is taken off both. `off`: mean
absolute difference, in hundredths of the metric; `apart`: that of the two parents of a mixture; `beyond`: share of the
cells that gain more than the better or less than the worse parent.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from scipy.stats import spearmanr

from traitcast.profiler.roles.spec import load_spec
from traitcast.warehouse.console import table
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import ScoresError

METRICS = ("score", "gold_nll", "gold_nll_calibrated")
Gains = Mapping[tuple[str, str], float]


def gains(warehouse: Warehouse, matrix: str, metric: str) -> Gains:
    """(source, target) -> gain of seed 0, in hundredths; more is better."""
    cells = warehouse.cells(matrix, metric=metric)
    rows = zip(cells.sources, cells.targets, cells.seeds, cells.gain, strict=True)
    return {(source, target): float(gain) for source, target, seed, gain in rows if seed == 0 and np.isfinite(gain)}


def row_of(metric: str, mixed: Gains, single: Gains, shares: Mapping[str, Mapping[str, float]]) -> dict[str, object]:
    """The row of one metric."""
    found = []
    for (name, target), gain in mixed.items():
        parents = shares.get(name, {})
        if parents and all((parent, target) in single for parent in parents):
            each = np.array([single[parent, target] for parent in parents])
            mean = each @ np.array(list(parents.values()))
            found.append((target, gain, mean, each.min(), each.max(), target in parents))
    if len(found) < 3:
        raise ScoresError(f"{metric}: only {len(found)} cells have all of their parents")
    targets = np.unique([target for target, *_ in found], return_inverse=True)[1]
    gain, mean, low, high, own = np.array([numbers for _, *numbers in found], dtype=np.float64).T
    other = own == 0
    left = [centred(values[other], targets[other]) for values in (gain, mean)]
    return {
        "metric": metric,
        "cells": len(found),
        "rho": float(spearmanr(gain, mean).statistic),
        "rho, no parent": float(spearmanr(gain[other], mean[other]).statistic),
        "rho, within targets": float(spearmanr(*left).statistic),
        "off": float(np.abs(gain - mean).mean()),
        "apart": float((high - low).mean()),
        "beyond": float(((gain > high) | (gain < low)).mean()),
    }


def centred(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Values less the mean of their group."""
    mean = np.bincount(group, values) / np.maximum(np.bincount(group), 1)
    return np.asarray(values - mean[group])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warehouse", type=Path, required=True)
    parser.add_argument("--mixtures", required=True, metavar="MATRIX")
    parser.add_argument("--parents", required=True, metavar="MATRIX")
    parser.add_argument("folders", nargs="+", type=Path)
    asked = parser.parse_args()
    specs = [load_spec(folder / "dataset.yaml") for folder in asked.folders]
    shares = {str(spec.name): {part.name: part.share for part in spec.mixture} for spec in specs}
    with Warehouse.open(asked.warehouse, read_only=True) as warehouse:
        rows = [
            row_of(metric, *(gains(warehouse, name, metric) for name in (asked.mixtures, asked.parents)), shares)
            for metric in METRICS
        ]
    print(table(rows))


if __name__ == "__main__":
    main()
