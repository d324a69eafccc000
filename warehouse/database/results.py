"""What was learned from matrices: predictors with their predictions, evaluations, and latent factors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from traitcast.warehouse.database.connection import Connection, check_plain
from traitcast.warehouse.database.schema import LATENT_TABLES, NATURAL_KEYS, OWN, RESULTS
from traitcast.warehouse.errors import UserError, nearest
from traitcast.warehouse.layout import as_json, finite
from traitcast.warehouse.records import LatentRecord, PredictorRecord

_LATENT_ORDERS = ("ALL", "factor", "factor, side, score DESC, dataset", "q, p, abs(spearman) DESC, factor, side, trait")
_EVALUATION_TYPES = pa.schema(
    {
        "matrix": pa.string(),
        "model": pa.string(),
        "protocol": pa.string(),
        "tier": pa.string(),
        "seed": pa.int64(),
        "outcome": pa.string(),
        "metric": pa.string(),
        "cells": pa.int64(),
        "targets": pa.int64(),
        "spearman": pa.float64(),
        "rmse": pa.float64(),
        "result": pa.string(),
        "input": pa.string(),
    }
)
_PREDICTION_TYPES = {
    "source": pa.string(),
    "target": pa.string(),
    "gain": pa.float64(),
    "low": pa.float64(),
    "high": pa.float64(),
    "harm": pa.float64(),
    "novel": pa.bool_(),
}
_ATTRIBUTION_TYPES = {
    "source": pa.string(),
    "target": pa.string(),
    "trait": pa.string(),
    "side": pa.string(),
    "family": pa.string(),
    "value": pa.float64(),
    "shap": pa.float64(),
}


class Results(Connection):
    """What is stored of predictors, evaluations and latent factors."""

    def save_predictor(self, record: PredictorRecord) -> None:
        """Store a fitted predictor in place of an earlier one of the same name. Raises UserError for a bad name."""
        check_plain(record.name, "predictor name")
        with self._transaction():
            self._connection.execute(f"DELETE FROM {OWN}.predictors WHERE predictor = ?", [record.name])
            self._connection.execute(
                f"INSERT INTO {OWN}.predictors (predictor, matrix, model, tier, fingerprint, bundle) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                [record.name, record.matrix, record.model, record.tier, record.fingerprint, record.bundle],
            )

    def predictor(self, name: str = "default") -> PredictorRecord:
        """The stored predictor `name`. Raises UserError naming `traitcast fit` when there is none."""
        rows = self._rows(
            "SELECT predictor, matrix, model, tier, fingerprint, bundle FROM predictors WHERE predictor = ?", [name]
        )
        if not rows:
            names = [row[0] for row in self._rows("SELECT predictor FROM predictors ORDER BY 1")]
            known = f"There are: {', '.join(names)}. " if names else ""
            make = self._command("fit", "--matrix", "NAME", *(() if name == "default" else ("--name", name)))
            raise UserError(f"no predictor named {name!r}{nearest(name, names)} {known}Make one with: {make}")
        return PredictorRecord(*rows[0])

    def save_predictions(
        self, predictor: str, predictions: Sequence[Mapping[str, Any]], attributions: Sequence[Mapping[str, Any]]
    ) -> None:
        """Merge predictions, and replace the attributions of the pairs that `attributions` names.

        Parameters
        ----------
        predictions
            source, target, gain, low and high (in the unit of the predictor's outcome), harm (a probability), novel.
        attributions
            source, target, trait, side, family, value, shap (in the same unit).
        """
        pairs = {(row["source"], row["target"]) for row in attributions}
        stored = self._rows("SELECT fingerprint FROM predictors WHERE predictor = ?", [predictor])
        key = {"predictor": predictor, "input": stored[0][0] if stored else None}
        with self._transaction():
            if predictions:
                self._merge("predictions", _table(predictions, _PREDICTION_TYPES, key))
            for source, target in sorted(pairs):
                self._connection.execute(
                    f"DELETE FROM {OWN}.attributions WHERE predictor = ? AND source = ? AND target = ?",
                    [predictor, source, target],
                )
            if attributions:
                self._insert("attributions", _table(attributions, _ATTRIBUTION_TYPES, key))

    def save_evaluation(
        self,
        result: Mapping[str, Any],
        *,
        model: str | None = None,
        tier: str = "static",
        seed: int = 0,
        outcome: str = "gain",
        metric: str | None = None,
    ) -> None:
        """Store an evaluation in place of an earlier one of the same settings.

        Parameters
        ----------
        result
            As `traitcast evaluate --format json` prints it.
        metric
            Of the gains; None for the headline metric of the matrix.
        """
        key = {"matrix": result["matrix"], "model": model, "protocol": result["protocol"], "tier": tier, "seed": seed}
        key |= {"outcome": outcome, "metric": metric}
        found = {"cells": result["cells"], "targets": result["targets"]}
        found |= {name: finite(result["model"][name]["value"]) for name in ("spearman", "rmse")}
        found |= {"result": as_json(result, indent=None), "input": self._input("evaluations", result["matrix"])}
        rows = pa.Table.from_pylist([key | found], _EVALUATION_TYPES)
        with self._transaction():
            self._merge("evaluations", rows)

    def _input(self, table: str, matrix: str) -> str | None:
        """The fingerprint of what results of a table are found with on a matrix."""
        rows = self._rows(f"SELECT {RESULTS[table]} FROM inputs WHERE matrix = ?", [matrix])
        return rows[0][0] if rows else None

    def evaluations(self, matrix: str) -> list[dict[str, Any]]:
        """Stored evaluations on a matrix: model (None: pooled), protocol, tier, seed, outcome, metric and result."""
        names = NATURAL_KEYS["evaluations"][1:]
        found = self._dicts(
            f"SELECT {', '.join(names)}, result FROM evaluations WHERE matrix = ? ORDER BY ALL", [matrix]
        )
        return [row | {"result": json.loads(row["result"])} for row in found]

    def save_latent(self, record: LatentRecord) -> None:
        """Store the factors of a matrix, model and method in place of earlier ones."""
        key = {"matrix": record.matrix, "model": record.model, "method": record.method}
        contents = ((record.about,), record.factors, record.scores, record.traits)
        with self._transaction():
            for table, rows in zip(LATENT_TABLES, contents, strict=True):
                self._connection.execute(
                    f"DELETE FROM {OWN}.{table} WHERE matrix = ? AND model = ? AND method = ?", list(key.values())
                )
                columns = self._connection.sql(f"SELECT * FROM {OWN}.{table} LIMIT 0").to_arrow_table().schema
                found = {**key, "input": self._input(table, record.matrix)}
                self._insert(table, pa.Table.from_pylist([found | finite(row) for row in rows], columns))

    def latent(self, matrix: str, model: str, method: str = "pca") -> LatentRecord:
        """The stored factors of a matrix, model and method. Raises UserError naming `traitcast latent`."""
        about, factors, scores, traits = (
            self._dicts(
                f"SELECT * EXCLUDE (matrix, model, method) FROM {table} "
                f"WHERE matrix = ? AND model = ? AND method = ? ORDER BY {order}",
                [matrix, model, method],
            )
            for table, order in zip(LATENT_TABLES, _LATENT_ORDERS, strict=True)
        )
        if not about:
            raise UserError(
                f"no factors of {matrix!r}, {model!r} by {method!r} are stored. Find them with: "
                + self._command("latent", "--matrix", matrix, "--model", model, "--method", method, "--save")
            )
        return LatentRecord(matrix, model, method, about[0], tuple(factors), tuple(scores), tuple(traits))


def _table(
    rows: Sequence[Mapping[str, Any]], types: Mapping[str, pa.DataType], key: Mapping[str, str | None]
) -> pa.Table:
    """Rows as Arrow, with the columns of `key` in each."""
    columns = {name: pa.array([row[name] for row in rows], kind) for name, kind in types.items()}
    return pa.table({**{name: pa.array([value] * len(rows), pa.string()) for name, value in key.items()}, **columns})
