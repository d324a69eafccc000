"""What a matrix holds of single test rows: their results in every cell, and the rows themselves as numbers.

Owns the tables `row_scores`, `targets` and `row_traits`. A cell is one line whose columns are lists, by position of the
test row: 84 x 84 x 3 cells of 200 rows are 4 million results. Refuses text: what leaves are scores, positions of
labels, lengths, and traits that the profiler measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from traitcast.training.results import metrics
from traitcast.warehouse.records import Target

if TYPE_CHECKING:
    import pyarrow as pa

    from traitcast.training.plan.pack import Pack, Packed
    from traitcast.training.plan.prompts import Row, Task
    from traitcast.training.results.cells import Cell

NUMERIC = "numeric_match"
COLUMNS: Mapping[str, str] = {
    "score": "float32",
    "predicted": "int16",
    "output_tokens": "int32",
    "finished": "bool",
    "has_number": "bool",
}
"""Columns of `row_scores` besides the cell's own: lists with a value per test row."""

SCHEMA: Mapping[str, str] = {
    "model": "string",
    "source": "string",
    "target": "string",
    "seed": "int64",
    **{name: f"list<{kind}>" for name, kind in COLUMNS.items()},
}

Values = np.ndarray | None


class RowScores:
    """Collects the cells of a matrix row by row, in arrays: as Python numbers a large matrix would take gigabytes."""

    def __init__(self) -> None:
        self._cells: list[tuple[dict[str, Any], dict[str, Values]]] = []

    def add(self, where: Mapping[str, Any], cell: Cell, task: Task, picks: Values) -> None:
        """where: model, source, target and seed as the other tables have them. picks: the options chosen, None for a
        generation. A failed cell has no rows."""
        if not cell.failed:
            self._cells.append((dict(where), row_results(cell, task, picks)))

    def table(self) -> pa.Table:
        """One line per cell, ordered by source, seed and target."""
        import pyarrow as pa

        cells = sorted(self._cells, key=lambda found: [found[0][name] for name in ("source", "seed", "target")])
        columns = {
            name: pa.array([where[name] for where, _ in cells], pa.type_for_alias(kind))
            for name, kind in SCHEMA.items()
            if name not in COLUMNS
        }
        columns |= {name: _lists([values[name] for _, values in cells], kind) for name, kind in COLUMNS.items()}
        return pa.table(columns)


def row_results(cell: Cell, task: Task, picks: Values) -> dict[str, Values]:
    """COLUMNS of one cell: arrays (rows,), None where a cell has no such thing.

    score is the headline metric of the row. predicted: position of the label or option chosen, -1 for none.
    has_number is known only where an answer has to be a number, and the texts are there.
    """
    found: dict[str, Values] = dict.fromkeys(COLUMNS)
    if picks is not None:
        return found | {"score": picks == np.asarray(cell.gold), "predicted": picks}
    found["score"] = np.asarray(getattr(cell, task.metric) or [], dtype=np.float64)
    found["output_tokens"] = np.asarray(cell.output_tokens or [], dtype=np.int64)
    found["finished"] = np.asarray(cell.finished or [], dtype=bool)
    if task.metric == NUMERIC and cell.outputs is not None:
        found["has_number"] = np.array([metrics.last_number(text) is not None for text in cell.outputs], dtype=bool)
    return found


def _lists(values: Sequence[Values], kind: str) -> pa.Array:
    import pyarrow as pa

    present = [value for value in values if value is not None]
    flat = np.concatenate(present) if present else np.zeros(0)
    offsets = np.concatenate([[0], np.cumsum([0 if value is None else len(value) for value in values])])
    missing, item = pa.array([value is None for value in values], pa.bool_()), pa.type_for_alias(kind)
    # NaN, where a trait is undefined, becomes NULL.
    content = pa.array(flat.astype(item.to_pandas_dtype()), item, from_pandas=True)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), content, mask=missing)


def needs_text(pack: Pack) -> bool:
    """Whether some result needs the generated texts, and not only the numbers of a shard."""
    return any(pack.recipe.datasets[name].metric == NUMERIC for name in pack.recipe.targets)


def describe(
    pack: Pack,
    known: Mapping[str, Target],
    languages: Mapping[str, str | None],
    *,
    traits: bool = True,
    parsed: bool,
    on_target: Callable[[str], None] | None = None,
) -> dict[str, pa.Table]:
    """Tables `targets` and `row_traits` of the targets that are not known yet, or not under this trait catalogue.

    Parameters
    ----------
    known
        Targets that are stored already.
    languages
        Of targets whose data state one.
    traits
        False: table `targets` alone, of targets whose test rows are not stored yet.
    parsed
        Also measure the traits that need the parser.
    on_target
        Called with the name of each target of the pack before it is measured.
    """
    from traitcast.profiler.traits import catalogue

    targets, found = [], []
    for name in pack.recipe.targets:
        if on_target:
            on_target(name)
        entry, before = pack.recipe.datasets[name], known.get(name)
        if before is not None and before.fingerprint == entry.test_fingerprint:
            measured = before.catalogue_version == catalogue.VERSION and (before.parsed or not parsed)
            if measured or not traits:
                continue
        packed = pack.rows(name)
        if traits:
            targets.append(_target(packed, entry.test_fingerprint, catalogue.VERSION, parsed))
            found += [(name, *one) for one in _traits(packed.test, languages.get(name), parsed).items()]
        else:
            targets.append(_target(packed, entry.test_fingerprint, None, None))
    return {"targets": _target_table(targets), "row_traits": _trait_table(found)}


def _target(packed: Packed, fingerprint: str, version: int | None, parsed: bool | None) -> Target:
    task, rows = packed.task, packed.test
    gold = np.array([row.gold for row in rows], dtype=np.int64) if task.has_options else None
    return Target(task.name, task.task_type, task.metric, fingerprint, len(rows), task.labels, gold, version, parsed)


def _traits(rows: Sequence[Row], language: str | None, parsed: bool) -> dict[str, np.ndarray]:
    import pyarrow as pa

    from traitcast.profiler.passes.per_row import row_traits

    table = pa.table(
        {
            "fields": pa.array([list(row.fields) for row in rows], pa.list_(pa.string())),
            "options": pa.array([list(row.options) or None for row in rows], pa.list_(pa.string())),
            "response": pa.array([row.response for row in rows], pa.string()),
        }
    )
    return row_traits(table, language=language, parsed=parsed)


def _target_table(targets: Iterable[Target]) -> pa.Table:
    import pyarrow as pa

    kinds = {
        **dict.fromkeys(("target", "task_type", "metric", "fingerprint"), pa.string()),
        "rows": pa.int64(),
        "labels": pa.list_(pa.string()),
        "gold": pa.list_(pa.int16()),
        "catalogue_version": pa.int64(),
        "parsed": pa.bool_(),
    }
    listed = list(targets)
    return pa.table({name: pa.array([getattr(t, name) for t in listed], kind) for name, kind in kinds.items()})


def _trait_table(traits: Sequence[tuple[str, str, np.ndarray]]) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {
            "target": pa.array([target for target, _, _ in traits], pa.string()),
            "trait": pa.array([trait for _, trait, _ in traits], pa.string()),
            "value": _lists([value for _, _, value in traits], "float32"),
        }
    )
