"""The long tables that leave a pack: scores, predicted labels, generated lengths and adapters."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from traitcast.training.plan.pack import Pack
from traitcast.training.results import row_tables
from traitcast.training.results.cells import Cell, cell_metrics, choices, confusion
from traitcast.training.results.shards import records
from traitcast.warehouse.console import warn
from traitcast.warehouse.errors import InputError
from traitcast.warehouse.files import read_small

if TYPE_CHECKING:
    import pyarrow as pa

_WHERE = {"model": "string", "source": "string", "target": "string", "seed": "int64"}
TABLES: dict[str, Mapping[str, str]] = {
    "scores": {**_WHERE, "metric": "string", "score": "float64", "n": "int64", "standard_error": "float64"},
    "predicted_labels": {**_WHERE, "gold": "string", "predicted": "string", "n": "int64"},
    "generations": {
        **_WHERE,
        "n": "int64",
        "tokens_mean": "float64",
        "tokens_p10": "float64",
        "tokens_p50": "float64",
        "tokens_p90": "float64",
        "finished": "float64",
        "empty": "float64",
    },
    "adapters": {
        "model": "string",
        "source": "string",
        "seed": "int64",
        "adapter": "string",
        "rank": "int64",
        "steps": "int64",
        "rows": "int64",
        "tokens": "int64",
        "final_loss": "float64",
        "failed_at": "int64",
    },
}
"""Columns of the long tables that `matrix ingest` hands to the warehouse."""


def model_name(pack: Pack) -> str:
    """What results call the base model: a hub id or name as it is, a folder by its last part."""
    base = pack.recipe.base
    return Path(base).name if base.count("/") != 1 or base[0] in "./~" else base


def long_tables(pack: Pack, cells: Iterable[Cell]) -> dict[str, pa.Table]:
    """What the warehouse keeps of cells.

    Returns
    -------
    dict
        Tables `scores`, `predicted_labels`, `generations` and `adapters` with the columns of `TABLES`, and
        `row_scores`. A base cell has source "" and seed 0. Quantiles of generated lengths are in tokens.
    """
    import pyarrow as pa

    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    by_row = row_tables.RowScores()
    packed = {name: pack.rows(name) for name in pack.recipe.targets}
    counts: Counter[str | None] = Counter()
    for cell in cells:
        counts[cell.adapter] += 1
        model, target = model_name(pack), packed[cell.target]
        where = {"model": model, "source": cell.source or "", "target": cell.target, "seed": max(cell.seed, 0)}
        for m in cell_metrics(cell, target.task, target.test):
            if not math.isfinite(m.value):  # of a model whose numbers overflowed
                continue
            error = None if np.isnan(m.standard_error) else m.standard_error
            rows["scores"].append({**where, "metric": m.metric, "score": m.value, "n": m.n, "standard_error": error})
        picks = None if cell.loglikelihoods is None else choices(cell, target.task, target.test)
        for gold, predicted, n in confusion(cell, target.task, picks):
            rows["predicted_labels"].append({**where, "gold": gold, "predicted": predicted, "n": n})
        if cell.output_tokens:
            rows["generations"].append({**where, **_lengths(cell)})
        by_row.add(where, cell, target.task, picks)
    for found in rows.values():
        found.sort(key=lambda row: (row["source"], row["seed"], row["target"]))
    rows["adapters"] = _adapters(pack, counts)
    found_tables = {
        name: pa.Table.from_pylist(rows[name], schema=pa.schema(_types(columns))) for name, columns in TABLES.items()
    }
    return found_tables | {"row_scores": by_row.table()}


def _types(columns: Mapping[str, str]) -> list[Any]:
    import pyarrow as pa

    return [(name, pa.type_for_alias(kind)) for name, kind in columns.items()]


def _lengths(cell: Cell) -> dict[str, float]:
    sizes = np.asarray(cell.output_tokens, dtype=np.float64)
    low, middle, high = np.quantile(sizes, [0.1, 0.5, 0.9])
    return {
        "n": len(sizes),
        "tokens_mean": float(sizes.mean()),
        "tokens_p10": float(low),
        "tokens_p50": float(middle),
        "tokens_p90": float(high),
        "finished": float(np.mean(cell.finished or [])),
        "empty": float(np.mean(sizes == 0)),
    }


def _adapters(pack: Pack, cells: Mapping[str | None, int]) -> list[dict[str, Any]]:
    """Rows of the adapters table, from the records that training left. cells: how many an adapter has; of two adapters
    of different precision the one with more of them counts."""
    found = []
    for path in records(pack):
        try:
            found.append(_record(path, pack))
        except (InputError, ValueError, RecursionError) as error:
            warn(f"left out: adapter record {path}: {error}")
    found.sort(key=lambda record: cells.get(record["adapter"], 0))
    last = {(record["source"], record["seed"]): record for record in found}
    return [{"model": model_name(pack), **record} for _, record in sorted(last.items())]


def _record(path: Path, pack: Pack) -> dict[str, Any]:
    """What training left of one adapter: columns of the table. Raises ValueError where it is not such a record."""
    content = json.loads(read_small(path, "the record of an adapter", InputError))
    if not isinstance(content, dict):
        raise ValueError("it does not hold an object")
    json.dumps(content, ensure_ascii=False).encode()  # JSON may hold half of a character, which has no bytes
    record = {name: content.get(name) for name in TABLES["adapters"] if name != "model"}
    for name, value in record.items():
        kind = TABLES["adapters"][name]
        if value is None and name in ("final_loss", "failed_at"):
            continue
        if kind == "string":
            fine = isinstance(value, str)
        else:
            whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
            fine = whole or (kind == "float64" and isinstance(value, float) and math.isfinite(value))
        if not fine:
            raise ValueError(f"{name} is {str(value)[:40]!r}, not a {kind}")
    if (record["source"], record["seed"]) not in {job for group in pack.recipe.groups for job in group}:
        raise ValueError(f"source {record['source']!r} with seed {record['seed']} is not one of the pack")
    return record
