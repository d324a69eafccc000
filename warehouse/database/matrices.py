"""Transfer matrices in the warehouse: scores and gains, side effects, results on single test rows, and probes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from traitcast.warehouse.console import count
from traitcast.warehouse.database import schema, shipped
from traitcast.warehouse.database.connection import Connection, check_plain
from traitcast.warehouse.database.schema import OWN, SHIPPED
from traitcast.warehouse.errors import ScoresError, nearest, some
from traitcast.warehouse.records import Cells, Matrix, RowResults, Target

_MATRIX_TABLES = (
    *("scores", "predicted_labels", "generations", "adapters"),
    *("targets", "row_traits", "row_scores", "probes", "lineage"),
)
_CELL = ("model", "source", "target", "seed")
# Tables of single cells other than scores; their rows go when the cell is measured again.
_CELL_TABLES = ("predicted_labels", "generations", "row_scores")
_OUTCOMES = {
    "gain": "SELECT model, source, target, seed, gain, standard_error, score, base_score FROM transfer "
    "WHERE matrix = ? AND metric = ? AND (? IS NULL OR model = ?) ORDER BY model, source, target, seed",
    **{
        name: f"SELECT model, source, target, seed, {scale} * {name} AS gain, NULL AS standard_error, NULL AS score, "
        f"NULL AS base_score FROM side_effects WHERE matrix = ? AND ? IS NOT NULL AND (? IS NULL OR model = ?) "
        f"AND {name} IS NOT NULL ORDER BY model, source, target, seed"
        for name, scale in (("label_shift", 100), ("length_shift", 1))
    },
}


class Matrices(Connection):
    """What is stored of matrices."""

    def save_scores(self, matrix: Matrix, rows: pa.Table, side_effects: Mapping[str, pa.Table] | None = None) -> None:
        """Merge scores and side effects into a matrix.

        What is stored of an earlier measurement of the same cells is dropped, whether it comes again or not.

        Parameters
        ----------
        rows
            Columns model, source, target, seed, metric, score, n and standard_error.
        side_effects
            Rows of `predicted_labels`, `generations`, `adapters`, `probes`, `targets`, `row_traits`, `row_scores` and
            `lineage`, by table, without the column `matrix`.

        Raises
        ------
        ScoresError
            As `check_rows`, and for a number that is infinite or not a number.
        """
        check_plain(matrix.matrix, "matrix name")
        tables = {"scores": rows, **(side_effects or {})}
        for table, content in tables.items():
            _refuse_endless(table, content)
        with self._transaction():
            self._connection.execute(f"DELETE FROM {OWN}.matrices WHERE matrix = ?", [matrix.matrix])
            self._connection.execute(
                f"INSERT INTO {OWN}.matrices (matrix, metric, base, description) VALUES (?, ?, ?, ?)",
                [matrix.matrix, matrix.metric, matrix.base, matrix.description],
            )
            if "targets" in tables:
                self._forget_rows(matrix.matrix, tables["targets"], rows)
            self._forget_cells(matrix.matrix, tables)
            for table, content in tables.items():
                named = content.append_column("matrix", pa.array([matrix.matrix] * content.num_rows, pa.string()))
                self._merge(table, named)

    def rows_beyond(self, matrix: str, rows: pa.Table) -> int:
        """How many stored scores of a matrix are not among `rows`: those of earlier imports, or of another recipe."""
        self._connection.register("incoming", rows)
        beyond = f"SELECT count(*) FROM {OWN}.scores ANTI JOIN incoming USING (model, source, target, seed, metric)"
        found = self._rows(f"{beyond} WHERE matrix = ?", [matrix])
        self._connection.unregister("incoming")
        return int(found[0][0])

    def check_import(self, matrix: str, scores: pa.Table) -> None:
        """Raise ScoresError if imported scores would replace cells measured here, and so drop their answers.

        Cells of a shipped matrix do not count: it is hidden as a whole.
        """
        keys = ", ".join(_CELL)
        every = " UNION ".join(f"SELECT {keys} FROM {OWN}.{table} WHERE matrix = ?" for table in _CELL_TABLES)
        self._connection.register("incoming", scores.select(list(_CELL)))
        found = self._rows(
            f"SELECT {keys} FROM ({every}) WHERE ({keys}) IN (SELECT ({keys}) FROM incoming)",
            [matrix] * len(_CELL_TABLES),
        )
        self._connection.unregister("incoming")
        if found:
            sources = some(sorted({source or "the untuned model" for _, source, _, _ in found}), 3)
            raise ScoresError(
                f"matrix {matrix!r} was measured here, and these scores would replace "
                f"{count(len(found), 'cell')} (of {sources}) and of the answers that are stored with them. Keep both: "
                f"{self._command('scores', 'import', 'FILE', '--name', 'NAME')}. Or drop the measured one first: "
                f"{self._command('scores', 'drop', matrix)}"
            )

    def drop_scores(self, names: Sequence[str]) -> list[str]:
        """Remove the user's matrices with everything found on them: all of them or none.

        Returns
        -------
        list of str
            Names of predictors that were fitted to them; these stay.

        Raises
        ------
        ScoresError
            For an unknown name and for a shipped matrix.
        """
        for name in names:
            self._check_own(name)
        dropped = [list(names)]
        with self._transaction():
            for table, keys in schema.NATURAL_KEYS.items():
                if keys[0] == "matrix":
                    self._connection.execute(f"DELETE FROM {OWN}.{table} WHERE list_contains(?, matrix)", dropped)
        rows = self._rows("SELECT predictor FROM predictors WHERE list_contains(?, matrix) ORDER BY 1", dropped)
        return [predictor for (predictor,) in rows]

    def _check_own(self, matrix: str) -> None:
        """What came with the package would be back with its next version, so it cannot be dropped."""
        if matrix in self.shipped("matrices"):
            raise ScoresError(
                f"{matrix!r} came with traitcast and would come back with the next version, so it cannot be dropped. "
                "To use another matrix, give --matrix NAME."
            )
        if matrix in shipped.names("matrices"):
            raise ScoresError(
                f"{matrix!r} replaces a shipped matrix. Bring the shipped one back: "
                f"{self._command('scores', 'restore', matrix)}"
            )
        known = [m.matrix for m in self.matrices()]
        if matrix not in known:
            raise _no_scores(matrix, known)

    def check_rows(self, matrix: str, fingerprints: Mapping[str, str], scores: pa.Table) -> list[str]:
        """Targets whose test rows differ from those that a matrix was measured on, sorted.

        Parameters
        ----------
        fingerprints
            The fingerprint of the test rows of each target now.
        scores
            The cells measured on them.

        Raises
        ------
        ScoresError
            If stored cells of such a target are not among `scores`: their gains would be over a base on other rows.
        """
        # Not of a shipped matrix, which is hidden as a whole.
        stored = dict(self._rows(f"SELECT target, fingerprint FROM {OWN}.targets WHERE matrix = ?", [matrix]))
        changed = [t for t, now in sorted(fingerprints.items()) if stored.get(t, now) != now]
        if not changed:
            return []
        new = set(zip(*(scores[name].to_pylist() for name in _CELL), strict=True))
        old = self._rows(
            f"SELECT DISTINCT model, source, target, seed FROM {OWN}.scores "
            "WHERE matrix = ? AND list_contains(?, target) ORDER BY ALL",
            [matrix, changed],
        )
        if left := [cell for cell in old if cell not in new]:
            sources, targets = (some(sorted({c[at] or "the untuned model" for c in left}), 3) for at in (1, 2))
            raise ScoresError(
                f"matrix {matrix!r} was measured on other test rows of {targets}, and "
                f"{count(len(left), 'cell')} of it (of {sources}) would stay, which these scores do not compare "
                f"with. Keep both: {self._command('matrix', 'ingest', '--pack', 'DIR', '--name', 'NAME')}"
            )
        return changed

    def _forget_rows(self, matrix: str, targets: pa.Table, scores: pa.Table) -> None:
        """Drop row traits that are replaced, and all that was measured on test rows that a target no longer has."""
        names = targets["target"].to_pylist()
        fingerprints = dict(zip(names, targets["fingerprint"].to_pylist(), strict=True))
        changed = self.check_rows(matrix, fingerprints, scores)
        for tables, gone in ((("row_traits",), names), (("scores", *_CELL_TABLES), changed)):
            for table in tables:
                self._connection.execute(
                    f"DELETE FROM {OWN}.{table} WHERE matrix = ? AND list_contains(?, target)", [matrix, gone]
                )

    def _forget_cells(self, matrix: str, tables: Mapping[str, pa.Table]) -> None:
        """Drop what is stored of an earlier measurement of the same cells, and probes of other weights."""
        for table in _CELL_TABLES:
            for name in ("scores", table):
                if name in tables:
                    self._forget_known(matrix, table, _CELL, tables[name])
        if "lineage" in tables:
            sources = tables["scores"].select(["source"]).rename_columns(["dataset"])
            self._forget_known(matrix, "lineage", ("dataset",), sources)
        if "probes" in tables:
            self._forget_known(matrix, "probes", ("base", "dataset"), tables["probes"])

    def _forget_known(self, matrix: str, table: str, keys: Sequence[str], rows: pa.Table) -> None:
        """Drop the rows of a matrix's table whose `keys` are among those of `rows`."""
        self._connection.register("incoming", rows.select(list(keys)))
        columns = ", ".join(keys)
        self._connection.execute(
            f"DELETE FROM {OWN}.{table} WHERE matrix = ? AND ({columns}) IN (SELECT ({columns}) FROM incoming)",
            [matrix],
        )
        self._connection.unregister("incoming")

    def lineage(self, matrix: str | None = None) -> list[tuple[str, str, str]]:
        """Variants of datasets as (dataset, parent, what was changed), each once.

        matrix: the lineage stored with this matrix comes first, then that of the profiles. None: that of the profiles
        comes first, then that of any matrix.
        """
        return self._rows(
            "SELECT dataset, parent, changed FROM ("
            "SELECT dataset, parent, changed, 0 AS place, matrix FROM lineage WHERE matrix = ? "
            "UNION ALL SELECT name, parent, coalesce(changed, ''), 1, '' FROM datasets WHERE parent IS NOT NULL "
            "UNION ALL SELECT dataset, parent, changed, 2, matrix FROM lineage WHERE ? IS NULL"
            ") QUALIFY row_number() OVER (PARTITION BY dataset ORDER BY place, matrix) = 1 ORDER BY dataset",
            [matrix, matrix],
        )

    def varied(self) -> list[str]:
        """Names of matrices with a variant and its parent among their sources, sorted."""
        return [
            row[0]
            for row in self._rows(
                "WITH made AS (SELECT matrix, dataset, parent FROM lineage UNION "
                "SELECT matrix, name, parent FROM datasets, matrices WHERE parent IS NOT NULL) "
                "SELECT DISTINCT matrix FROM made "
                "WHERE (matrix, dataset) IN (SELECT (matrix, source) FROM scores) "
                "AND (matrix, parent) IN (SELECT (matrix, source) FROM scores) ORDER BY 1"
            )
        ]

    def targets(self, matrix: str) -> dict[str, Target]:
        """The test rows of each target of a matrix, by name, without their traits."""
        rows = self._rows(
            "SELECT target, task_type, metric, fingerprint, rows, labels, gold, catalogue_version, parsed "
            "FROM targets WHERE matrix = ? ORDER BY target",
            [matrix],
        )
        return {
            name: Target(
                target=name,
                task_type=task_type,
                metric=metric,
                fingerprint=fingerprint,
                rows=count,
                labels=tuple(labels),
                gold=None if gold is None else np.asarray(gold, np.int64),
                catalogue_version=version,
                parsed=parsed,
            )
            for name, task_type, metric, fingerprint, count, labels, gold, version, parsed in rows
        }

    def row_traits(self, matrix: str, target: str | None = None) -> dict[str, dict[str, np.ndarray]]:
        """Traits of the test rows by target and trait: float64 (rows,), NaN where undefined. target: only its rows."""
        found: dict[str, dict[str, np.ndarray]] = {}
        for name, trait, value in self._rows(
            "SELECT target, trait, value FROM row_traits WHERE matrix = ? AND (? IS NULL OR target = ?) "
            "ORDER BY target, trait",
            [matrix, target, target],
        ):
            found.setdefault(name, {})[trait] = np.array(value, dtype=np.float64)
        return found

    def row_results(
        self, matrix: str, model: str, *, source: str | None = None, target: str | None = None
    ) -> list[RowResults]:
        """Results of cells on single test rows, and of the untuned model (source ''), by target.

        source: only the cells of this source and of the untuned model. target: only cells on this target.
        """
        found = self._arrow(
            "SELECT source, target, seed, score, predicted, output_tokens, finished, has_number FROM row_scores "
            "WHERE matrix = ? AND model = ? AND (? IS NULL OR source IN ('', ?)) AND (? IS NULL OR target = ?) "
            "ORDER BY target, source, seed",
            [matrix, model, source, source, target, target],
        )
        keys = (found[name].to_pylist() for name in ("source", "target", "seed"))
        results = (_arrays(column) for column in found.columns[3:])
        return [RowResults(*cell) for cell in zip(*keys, *results, strict=True)]

    def predicted_labels(self, matrix: str, model: str, source: str) -> list[tuple[str, str, int, str, str, int]]:
        """(target, source, seed, gold, predicted, rows) of a source's cells and of the untuned model's (source '')."""
        return self._rows(
            "SELECT target, source, seed, gold, predicted, n FROM predicted_labels "
            "WHERE matrix = ? AND model = ? AND source IN ('', ?) ORDER BY ALL",
            [matrix, model, source],
        )

    def generations(self, matrix: str, model: str, source: str) -> list[dict[str, Any]]:
        """Rows of `generations` of a source's cells and of the untuned model's (source ''), by target."""
        return self._dicts(
            "SELECT * EXCLUDE (matrix, model) FROM generations "
            "WHERE matrix = ? AND model = ? AND source IN ('', ?) ORDER BY target, source, seed",
            [matrix, model, source],
        )

    def matrices(self) -> list[Matrix]:
        """All matrices, those of the user before the shipped ones."""
        rows = self._rows("SELECT matrix, metric, base, description FROM matrices ORDER BY reference, matrix")
        return [Matrix(*row) for row in rows]

    def own_matrices(self) -> list[Matrix]:
        """The matrices that did not come with traitcast."""
        shipped = set(self.shipped("matrices"))
        return [matrix for matrix in self.matrices() if matrix.matrix not in shipped]

    def scored(self, matrix: str) -> dict[tuple[str, str, str, int], dict[str, float]]:
        """Scores by metric of each (model, source, target, seed) of a matrix."""
        found: dict[tuple[str, str, str, int], dict[str, float]] = {}
        sql = "SELECT model, source, target, seed, metric, score FROM scores WHERE matrix = ?"
        for model, source, target, seed, metric, score in self._rows(sql, [matrix]):
            found.setdefault((model, source, target, seed), {})[metric] = score
        return found

    def cells(
        self,
        matrix: str | None = None,
        model: str | None = None,
        *,
        outcome: str = "gain",
        metric: str | None = None,
    ) -> Cells:
        """The cells of a matrix, column by column.

        Parameters
        ----------
        matrix
            Default: the user's only matrix, else the shipped one that was measured, has no variants and taught the
            shipped predictor, else the only one.
        model
            Only the cells of this model.
        outcome
            "gain", or a side effect instead: "label_shift" (%) or "length_shift" (tokens).
        metric
            The metric of the gains, instead of the headline. A gain is better when it is higher: for metrics that fall
            as things improve (`schema.LESS_IS_BETTER`) it is the fall.

        Raises
        ------
        ScoresError
            For an unknown or ambiguous matrix, model or metric.
        """
        chosen = self.choose_matrix(matrix)
        if metric is not None:
            self._check_metric(chosen.matrix, metric)
            chosen = dataclasses.replace(chosen, metric=metric)
        models = [
            row[0]
            for row in self._rows("SELECT DISTINCT model FROM scores WHERE matrix = ? ORDER BY 1", [chosen.matrix])
        ]
        if model is not None and model not in models:
            raise ScoresError(
                f"matrix {chosen.matrix!r} has no model {model!r}{nearest(model, models)} It has: {', '.join(models)}."
            )
        columns = self._arrow(_OUTCOMES[outcome], [chosen.matrix, chosen.metric, model, model])
        if outcome != "gain" and not columns.num_rows:
            raise ScoresError(
                f"matrix {chosen.matrix!r} holds no {outcome}: only a measured one does. Measure one with: "
                f"{self._command('matrix', 'ingest', '--pack', 'DIR')}"
            )

        def floats(name: str) -> np.ndarray:
            values = columns[name].cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
            # An older version let infinite scores in.
            return np.where(np.isfinite(values), values, np.nan)

        return Cells(
            matrix=chosen,
            models=tuple(columns["model"].to_pylist()),
            sources=tuple(columns["source"].to_pylist()),
            targets=tuple(columns["target"].to_pylist()),
            seeds=columns["seed"].to_numpy(),
            gain=floats("gain") + 0.0,  # no -0
            standard_error=floats("standard_error"),
            score=floats("score"),
            base_score=floats("base_score"),
        )

    def _check_metric(self, matrix: str, metric: str) -> None:
        known = [
            row[0] for row in self._rows("SELECT DISTINCT metric FROM scores WHERE matrix = ? ORDER BY 1", [matrix])
        ]
        if metric not in known:
            raise ScoresError(
                f"matrix {matrix!r} has no metric {metric!r}{nearest(metric, known)} It has: {', '.join(known)}."
            )

    def transfer_matrix(self, matrix: str) -> list[dict[str, Any]]:
        """Mean gains of a matrix over seeds, cells without a gain left out.

        Returns
        -------
        list of dict
            model, source, target, gain and standard_error in pp, and gains: the gain of every seed, by seed.
        """
        return self._dicts(
            "SELECT model, source, target, m.gain, m.standard_error, list(t.gain ORDER BY t.seed) AS gains "
            "FROM transfer_matrix m JOIN transfer t USING (matrix, model, source, target) "
            "JOIN matrices USING (matrix, metric) "
            "WHERE matrix = ? AND isfinite(m.gain) GROUP BY ALL ORDER BY model, source, target",
            [matrix],
        )

    def one_answer_targets(self, matrix: str, model: str) -> set[str]:
        """Targets on which the untuned model gave the same label to every row."""
        rows = self._rows(
            "SELECT target FROM predicted_labels WHERE matrix = ? AND model = ? AND source = '' "
            "GROUP BY target HAVING count(DISTINCT predicted) = 1",
            [matrix, model],
        )
        return {target for (target,) in rows}

    def side_effects(self, matrix: str) -> list[dict[str, Any]]:
        """Side effects of a matrix, as means over seeds.

        Returns
        -------
        list of dict
            model, source, target, label_shift (the share of predicted labels that moved), length_shift (tokens), seeds.
        """
        return self._dicts(
            "SELECT model, source, target, avg(label_shift) AS label_shift, avg(length_shift) AS length_shift, "
            "count(*) AS seeds FROM side_effects WHERE matrix = ? GROUP BY ALL ORDER BY model, source, target",
            [matrix],
        )

    def choose_matrix(self, name: str | None) -> Matrix:
        """The matrix of that name; the default as in `cells`. Raises ScoresError where it is unknown or ambiguous."""
        every = self.matrices()
        if not every:
            raise ScoresError(
                f"the warehouse holds no scores. Add some with: {self._command('scores', 'import', 'FILE')}"
            )
        names = [m.matrix for m in every]
        if name is not None:
            if name not in names and name in shipped.names("matrices"):
                raise ScoresError(
                    f"the warehouse holds the reference data of an older traitcast, without {name!r}. Any command that "
                    f"writes brings it up to date, such as: {self._command('scores', 'restore', name)}"
                )
            if name not in names and set(map(str.strip, name.split(","))) <= set(names):
                raise ScoresError(f"one matrix at a time, not {name!r}. Choose one with --matrix NAME.")
            if name not in names:
                raise _no_scores(name, names)
            return every[names.index(name)]
        came = self.shipped("matrices")
        own = [name for name in names if name not in came]
        measured = {row[0] for row in self._rows("SELECT matrix FROM adapters EXCEPT SELECT matrix FROM lineage")}
        learnt = {row[0] for row in self._rows(f"SELECT matrix FROM {SHIPPED}.predictors WHERE matrix IS NOT NULL")}
        candidates = own or [name for name in names if name in measured] or names
        candidates = candidates if own else [name for name in candidates if name in learnt] or candidates
        if len(candidates) > 1:
            raise ScoresError(f"several matrices: {', '.join(candidates)}. Choose one with --matrix NAME.")
        return every[names.index(candidates[0])]

    def base_scores(self, matrix: str, model: str) -> dict[str, float]:
        """target -> headline score of the untuned model in a matrix, mean over its seeds."""
        return dict(
            self._rows(
                "SELECT target, avg(score) FROM scores JOIN matrices USING (matrix, metric) "
                "WHERE matrix = ? AND model = ? AND source = '' GROUP BY target ORDER BY target",
                [matrix, model],
            )
        )


def _no_scores(name: str, known: Sequence[str]) -> ScoresError:
    there = f"There are: {', '.join(known)}." if known else "There are none."
    return ScoresError(f"no matrix named {name!r}{nearest(name, known)} {there}")


def _arrays(column: pa.ChunkedArray) -> list[np.ndarray | None]:
    """Each list of a column as float64, NaN where an element is NULL or infinite; None for a list that is NULL."""
    lists = column.cast(pa.list_(pa.float64()))
    found = [one.values.to_numpy(zero_copy_only=False) if one.is_valid else None for one in lists]
    return [None if one is None else np.where(np.isfinite(one), one, np.nan) for one in found]


def _refuse_endless(table: str, content: pa.Table) -> None:
    """Raise ScoresError for a number that is infinite or not a number: any mean over it would be undefined."""
    for name, column in zip(content.column_names, content.columns, strict=True):
        values = column.combine_chunks()
        if pa.types.is_list(values.type):
            values = values.flatten()
        if pa.types.is_floating(values.type) and pc.any(pc.invert(pc.is_finite(values))).as_py():
            raise ScoresError(
                f"{table}: column {name} holds a number that is infinite or not a number. Leave such rows out, or "
                "leave the cell empty where it is not known."
            )
