"""Probes: what the untuned model makes of a dataset, as numbers that are stored like traits.

Owns their formulas over a scored cell of the base, the way from a finished matrix to them (its base cells are there
anyway), and the run over a sample of any other dataset. It scores nothing itself: cells come from `training.run`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from traitcast.training.plan.pack import Pack
from traitcast.training.plan.prompts import Row, Task
from traitcast.training.results import shards
from traitcast.training.results.cells import HEADLINE, Cell, cell_metrics, choices
from traitcast.training.results.metrics import Metric, log_shares, mean
from traitcast.training.results.tables import model_name

if TYPE_CHECKING:
    import pyarrow as pa


COLUMNS: Mapping[str, str] = {
    **dict.fromkeys(("base", "fingerprint", "dtype", "dataset", "trait"), "string"),
    "value": "float64",
    "standard_error": "float64",
    "n": "int64",
}


def probes_of(cell: Cell, task: Task, rows: Sequence[Row]) -> list[Metric]:
    """The probes of `warehouse.probes.PROBES` that a cell of the base gives, with standard errors over its rows.

    Those of options are of classification and multiple choice, those of lengths of generation.
    """
    headline = next(m for m in cell_metrics(cell, task, rows) if m.metric == HEADLINE)
    found = [Metric("score", headline.value, headline.standard_error, headline.n)]
    found += _of_options(cell, task, rows) if cell.loglikelihoods is not None else _of_texts(cell)
    return [Metric(f"probe_{m.metric}", m.value, m.standard_error, m.n) for m in found]


def _of_options(cell: Cell, task: Task, rows: Sequence[Row]) -> list[Metric]:
    sums = [np.asarray(row, dtype=np.float64) for row in cell.loglikelihoods or []]
    gold, tokens = np.asarray(cell.gold or [], dtype=np.int64), cell.answer_tokens or []
    shares = [log_shares(row) for row in sums]
    picks = choices(cell, task, rows)
    classes = len(task.labels) or max(map(len, sums), default=0)
    said, true = (np.bincount(x[x >= 0], minlength=classes) / max(len(x), 1) for x in (picks, gold))
    top = float(said.max(initial=0.0))
    n = len(sums)
    return [
        _mean("response_nll", [-row[g] / max(t[g], 1) for row, g, t in zip(sums, gold, tokens, strict=True)]),
        _mean("gold_nll", [-row[g] for row, g in zip(shares, gold, strict=True)]),
        _mean("option_entropy", [_entropy(row) for row in shares]),
        Metric("predicted_majority_share", top, math.sqrt(top * (1 - top) / n) if n else math.nan, n),
        Metric("label_shift", float(np.abs(said - true).sum()) / 2, math.nan, n),
    ]


def _of_texts(cell: Cell) -> list[Metric]:
    reference = np.asarray(cell.reference_tokens or [], dtype=np.float64)
    written = np.asarray(cell.output_tokens or [], dtype=np.float64)
    return [
        _mean("response_nll", np.asarray(cell.reference_nll or [], dtype=np.float64) / np.maximum(reference, 1)),
        _mean("output_tokens_mean", written),
        _mean("length_ratio", np.log1p(written) - np.log1p(reference)),
    ]


def _entropy(shares: np.ndarray) -> float:
    """Entropy over its maximum; NaN for a single option, which cannot be uncertain."""
    if len(shares) < 2:
        return math.nan
    p = np.exp(shares)
    return float(-(p * np.where(p > 0, shares, 0.0)).sum() / math.log(len(shares)))


def _mean(name: str, values: Sequence[float] | np.ndarray) -> Metric:
    """Over the rows where it is defined."""
    array = np.asarray(values, dtype=np.float64)
    return mean(name, array[np.isfinite(array)])


def table(pack: Pack, names: Mapping[str, str] | None = None) -> pa.Table:
    """The probes of all targets of a pack whose base is scored, a row per dataset and probe.

    names: target -> name to store it under (default: its own). Undefined probes are left out.
    """
    import pyarrow as pa

    found: list[dict[str, Any]] = []
    for cell in base_cells(pack):
        packed = pack.rows(cell.target)
        where = {
            "base": model_name(pack),
            "fingerprint": cell.base_fingerprint,
            "dtype": cell.dtype,
            "dataset": (names or {}).get(cell.target, cell.target),
        }
        for m in probes_of(cell, packed.task, packed.test):
            if not math.isnan(m.value):
                error = None if math.isnan(m.standard_error) else m.standard_error
                found.append({**where, "trait": m.metric, "value": m.value, "standard_error": error, "n": m.n})
    found.sort(key=lambda row: (row["dataset"], row["trait"]))
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()])
    return pa.Table.from_pylist(found, schema=schema)


def base_cells(pack: Pack) -> Iterator[Cell]:
    """The cells of the untuned model; shards are checked as `shards.walk` does."""
    base = {cell.key for cell in shards.thin(pack) if cell.source is None}
    for path, keep in shards.checked(pack, content=True):
        # Most shards hold none, and what they measured need not be read.
        if mine := keep & base:
            yield from (Cell(**row) for row in shards.cell_table(path, mine, text=False).to_pylist())
