"""Gains over the test rows that they were scored on: the rows of a cell paired with those of the untuned model.

Owns which results on single rows belong to a gain: none, where the scores were stored again without rows. Statistics
are in `predictor.effects.paired_tests`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from traitcast.predictor.effects.paired_tests import Floats, mean_change

if TYPE_CHECKING:
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.records import Cells, RowResults

Pair = tuple["RowResults", list["RowResults"]]
# Row results are stored in single precision, which a mean keeps to 1e-7; one answer of a million is more than this.
_SAME = 5e-7


def by_cell(results: Iterable[RowResults]) -> dict[tuple[str, str], list[RowResults]]:
    """(source, target) -> the results of its seeds; source '': of the untuned model."""
    found: dict[tuple[str, str], list[RowResults]] = {}
    for one in results:
        found.setdefault((one.source, one.target), []).append(one)
    return found


def stored_pair(
    base: Sequence[RowResults] | None, tuned: Sequence[RowResults] | None, cells: Cells, at: Sequence[int]
) -> Pair | None:
    """Rows of the untuned model and of every seed of one (source, target).

    Parameters
    ----------
    base, tuned
        Stored results on single rows, before and after tuning.
    cells, at
        All cells, and the positions of this pair's seeds among them.

    Returns
    -------
    Pair or None
        None where a seed has no rows, or other rows than the untuned model. Whether the rows average to the scores is
        not checked; `scored_pair` does.
    """
    seeds = [int(cells.seeds[i]) for i in at]
    if not base or not tuned or sorted(r.seed for r in tuned) != sorted(seeds):
        return None
    return (
        (base[0], list(tuned)) if len({len(r.score) for r in (base[0], *tuned)}) == 1 and len(base[0].score) else None
    )


def scored_pair(
    base: Sequence[RowResults] | None, tuned: Sequence[RowResults] | None, cells: Cells, at: Sequence[int]
) -> Pair | None:
    """As `stored_pair`, but None where the rows do not average to the scores."""
    pair = stored_pair(base, tuned, cells, at)
    if pair is None:
        return None
    means = [float(cell.score.mean()) for cell in (pair[0], *pair[1])]
    scores = [float(cells.base_score[list(at)].mean()), *cells.score[list(at)]]
    return pair if np.allclose(means, scores, rtol=0, atol=_SAME) else None


def differences(pair: Pair, name: str) -> Floats:
    """A column of `RowResults` after tuning minus before, (seeds, rows)."""
    base, tuned = pair
    return np.stack([getattr(cell, name) for cell in tuned]) - getattr(base, name)


def paired_errors(warehouse: Warehouse, matrix: str, model: str) -> dict[tuple[str, str], float]:
    """Standard errors of gains over test rows and seeds (with one seed, over rows).

    Returns
    -------
    dict
        (source, target) -> standard error, pp; only for cells with results on single rows.
    """
    cells = warehouse.cells(matrix, model)
    seeds: dict[str, dict[str, list[int]]] = {}
    for i, (source, target) in enumerate(zip(cells.sources, cells.targets, strict=True)):
        seeds.setdefault(target, {}).setdefault(source, []).append(i)
    found = {}
    for target, sources in seeds.items():  # all rows of a large matrix take hundreds of megabytes
        rows = by_cell(warehouse.row_results(matrix, model, target=target))
        for source, at in sources.items():
            pair = scored_pair(rows.get(("", target)), rows.get((source, target)), cells, at)
            error = math.nan if pair is None else mean_change(100.0 * differences(pair, "score")).standard_error
            if math.isfinite(error):
                found[source, target] = error
    return found
