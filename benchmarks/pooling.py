"""Whether cells of another matrix help to order sources: `python benchmarks/pooling.py MATRIX OTHER [--metric NAME]`.

For every target of MATRIX, sources are ordered by their mean gain on its other targets, in spreads of the target, and
by the same mean with the targets of OTHER among them. Printed are Spearman's correlations with the measured gains of
the sources that both matrices have, and their difference with a bootstrap over targets.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.reference_matrix import NOWHERE, in_spreads
from traitcast.warehouse.database.warehouse import Warehouse

_DRAWS = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("matrix")
    parser.add_argument("other")
    parser.add_argument("--metric", default="gold_nll")
    parser.add_argument("--warehouse", default=NOWHERE)
    asked = parser.parse_args()
    with Warehouse.open(asked.warehouse, read_only=True) as warehouse:
        pair = [warehouse.cells(name, metric=asked.metric) for name in (asked.matrix, asked.other)]
    sources = sorted(set.intersection(*(set(cells.sources) for cells in pair)))
    targets, elsewhere = (sorted(set(cells.targets)) for cells in pair)
    own, other = (
        in_spreads(cells, sources, names, least=3) for cells, names in zip(pair, (targets, elsewhere), strict=True)
    )
    rows = []
    for j, target in enumerate(targets):
        rest = np.delete(own, j, axis=1)
        # The target itself, measured in the other matrix, is a look at the answer: it counts as another question.
        foreign = other[:, [k for k, name in enumerate(elsewhere) if name != target]]
        orders = np.nanmean(rest, axis=1), np.nanmean(np.hstack([rest, foreign]), axis=1), np.nanmean(foreign, axis=1)
        known = np.isfinite(own[:, j])
        rows.append([spearmanr(order[known], own[known, j]).statistic for order in orders])
    table = np.array(rows)[np.isfinite(rows).all(axis=1)]
    rng = np.random.default_rng(0)
    drawn = table[rng.integers(0, len(table), (_DRAWS, len(table)))].mean(axis=1)
    low, high = np.quantile(drawn[:, 1] - drawn[:, 0], [0.025, 0.975])
    alone, both, only = table.mean(axis=0)
    print(f"{len(sources)} sources, {len(table)} targets of {asked.matrix}, {asked.metric}")
    print(f"alone {alone:.3f}, with {asked.other} {both:.3f}, {asked.other} only {only:.3f}")
    print(f"difference {both - alone:+.3f} [{low:+.3f}, {high:+.3f}]")


if __name__ == "__main__":
    main()
