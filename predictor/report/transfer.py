"""The measured part of the report: gains as heatmaps with similar datasets next to each other, and side effects.

Owns the order of rows and columns, and the compact form of a matrix on the page. Predicts nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from traitcast.predictor.effects.row_gains import paired_errors
from traitcast.predictor.report.datasets import shortened
from traitcast.warehouse.charts import colour_limit
from traitcast.warehouse.console import count

if TYPE_CHECKING:
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.records import Cells, Matrix

# A cell takes about 30 bytes, so this many are 3 MB of the page's 5.
MAX_CELLS = 100_000
_SHOWN = 15
_ROWS_OF_SOURCE = 8
BASES = {
    "untuned": "the untuned model",
    "target mean": "an average source on the same target (the matrix has no score of the untuned model)",
}


def measured(cells: Cells) -> dict[str, dict[str, float]]:
    """Target -> source -> measured outcome, the mean over models of the means over their seeds."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for s, t, m, gain in zip(cells.sources, cells.targets, cells.models, cells.gain, strict=True):
        if s != t and np.isfinite(gain):
            found.setdefault(t, {}).setdefault(s, {}).setdefault(m, []).append(float(gain))
    return {
        target: {s: float(np.mean([np.mean(seeds) for seeds in models.values()])) for s, models in by.items()}
        for target, by in found.items()
    }


def heatmaps(warehouse: Warehouse, matrices: Sequence[Matrix], model: str | None = None) -> list[dict[str, Any]]:
    """One entry per matrix and model: sources and targets in clustered order; gain, error and seeds as nested lists.

    Standard errors are paired where results on single rows are stored; `errors` describes them in words.
    """
    made = []
    for matrix in matrices:
        by_model: dict[str, list[dict[str, Any]]] = {}
        for row in warehouse.transfer_matrix(matrix.matrix):
            if model in (None, row["model"]):
                by_model.setdefault(row["model"], []).append(row)
        for name, rows in by_model.items():
            paired = paired_errors(warehouse, matrix.matrix, name)
            for row in rows:
                row["paired"] = (row["source"], row["target"]) in paired
                row["standard_error"] = paired.get((row["source"], row["target"]), row["standard_error"])
            made.append(_heatmap(matrix, name, rows, warehouse.one_answer_targets(matrix.matrix, name)))
    return made


def _error_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the standard errors of these cells cover, in words."""
    paired = sum(row["paired"] for row in rows)
    known = [row for row in rows if not row["paired"] and row["standard_error"] is not None]
    kinds = [
        (paired, "over test rows, paired with the untuned model, and over seeds where there are several"),
        (
            sum(len(row["gains"]) > 1 for row in known),
            "over seeds and, where those of the scores are known, over test rows, unpaired and so too wide",
        ),
        (sum(len(row["gains"]) == 1 for row in known), "those of the two scores combined, unpaired and so too wide"),
        (len(rows) - paired - len(known), "unknown"),
    ]
    there = [(n, what) for n, what in kinds if n]
    words = [what if len(there) == 1 else f"{what} ({count(n, 'cell')})" for n, what in there]
    return f"Standard errors are {'; '.join(words)}."


def _heatmap(
    matrix: Matrix, model: str, rows: Sequence[Mapping[str, Any]], one_answer: Collection[str]
) -> dict[str, Any]:
    sources, targets = (sorted({row[key] for row in rows}) for key in ("source", "target"))
    at = {(row["source"], row["target"]): row for row in rows}

    def square(key: str) -> np.ndarray:
        every = [[at[s, t][key] if (s, t) in at else None for t in targets] for s in sources]
        return np.array(every, dtype=np.float64)

    gain, error = square("gain"), square("standard_error")
    down, across = clustered(gain), clustered(gain.T)
    sources, targets = [sources[i] for i in down], [targets[j] for j in across]
    seeds = max(len(row["gains"]) for row in rows)
    apart = [row for row in rows if row["source"] != row["target"]]
    found = {
        "matrix": matrix.matrix,
        "model": model,
        "metric": matrix.metric,
        "base": BASES.get(matrix.base, matrix.base),
        "about": matrix.description,
        "sources": sources,
        "targets": targets,
        "gain": _rounded(gain[np.ix_(down, across)]),
        "error": _rounded(error[np.ix_(down, across)]),
        "errors": _error_words(rows),
        "limit": round(colour_limit([abs(row["gain"]) for row in rows]), 3),
        "count": len(rows),
        "seeds": seeds,
        "extremes": _extremes(apart, one_answer),
        "helped": sum(row["gain"] > 0 for row in apart) / max(1, len(apart)),
    }
    if seeds > 1:
        found["each"] = [
            [[round(g, 2) for g in at[s, t]["gains"]] if (s, t) in at else None for t in targets] for s in sources
        ]
    return found


def clustered(gain: np.ndarray) -> list[int]:
    """Row numbers in an order that puts similar rows next to each other: average linkage with optimal leaf order.

    gain: (rows, columns) in pp; an unknown cell counts as the mean of its column. Bar-Joseph et al. 2001.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import pdist

    if len(gain) < 3:
        return list(range(len(gain)))
    known = np.isfinite(gain)
    sums = np.where(known, gain, 0.0).sum(axis=0)
    means = sums / np.maximum(1, known.sum(axis=0))
    # As distances: linkage may take a square table for a distance matrix, and warns.
    apart = pdist(np.where(known, gain, means))
    return [int(i) for i in leaves_list(linkage(apart, "average", optimal_ordering=True))]


def _extremes(rows: Sequence[Mapping[str, Any]], one_answer: Collection[str]) -> list[dict[str, Any]]:
    """The targets that gained and lost most, each once with the source that did it, the largest first.

    one_answer: targets on which the untuned model answers every row alike, so that any tuning moves the score.
    """
    ordered = sorted(rows, key=lambda row: (row["gain"], row["source"], row["target"]))
    best = _once([row for row in reversed(ordered) if row["gain"] > 0])
    worst = _once([row for row in ordered if row["gain"] < 0])
    keys = ("source", "target", "gain", "standard_error")
    return [
        {key: row[key] for key in keys} | {"seeds": len(row["gains"]), "one_answer": row["target"] in one_answer}
        for row in (*best, *worst)
    ]


def _once(ordered: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    first: dict[str, Mapping[str, Any]] = {}
    for row in ordered:
        first.setdefault(row["target"], row)
    return list(first.values())[:_SHOWN]


def shifts(warehouse: Warehouse, matrices: Sequence[Matrix], model: str | None = None) -> list[dict[str, Any]]:
    """Per matrix and model with such results: the cells with the largest shifts of labels and of answer lengths."""
    made = []
    for matrix in matrices:
        rows = warehouse.side_effects(matrix.matrix)
        for name in dict.fromkeys(row["model"] for row in rows):
            if model is not None and name != model:
                continue
            mine = [row for row in rows if row["model"] == name]
            made.append(
                {"matrix": matrix.matrix, "model": name, "cells": len(mine)}
                | {key: _largest(mine, key) for key in ("label_shift", "length_shift")}
            )
    return made


def of_source(warehouse: Warehouse, shown: Mapping[str, Any], source: str) -> dict[str, Any]:
    """What `traitcast effects` reports on one source of a matrix and model: its sentence, tables and notes."""
    from traitcast.predictor.effects.side_effects import effects

    found = effects(warehouse, source, matrix=shown["matrix"], model=shown["model"])
    tables = [
        {"title": title, "head": list(rows[0]), "rows": [[_cell(row.get(key)) for key in rows[0]] for row in rows]}
        for title, rows in found.tables(_ROWS_OF_SOURCE)
    ]
    return {"source": source, "sentence": found.sentence, "tables": tables, "notes": list(found.notes)}


def _cell(value: Any) -> Any:
    return shortened(value) if isinstance(value, str) else value


def _largest(rows: Sequence[Mapping[str, Any]], key: str) -> list[dict[str, Any]]:
    """The cells of the largest changes, one for each target: a weak target is moved by everything."""
    known = [row for row in rows if row[key]]
    ordered = sorted(known, key=lambda row: (-abs(row[key]), row["source"], row["target"]))
    first = {row["target"]: row for row in reversed(ordered)}
    shown = [row for row in ordered if first[row["target"]] is row][:_SHOWN]
    return [{name: row[name] for name in ("source", "target", key, "seeds")} for row in shown]


def _rounded(values: np.ndarray) -> list[list[float | None]]:
    """To two digits: more than the standard errors justify."""
    return [[None if np.isnan(v) else round(float(v), 2) for v in row] for row in values]
