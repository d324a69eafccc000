"""The warehouse: one DuckDB file with profiles, scores and predictors, and every SQL statement that touches it.

Refuses files that are not a warehouse or are newer than this version, waits a bounded time for a busy file,
and lets user queries read only. DuckDB allows one read-write process per file.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa

from traitcast.warehouse.console import as_json, command, count, finite, some
from traitcast.warehouse.database import query, schema
from traitcast.warehouse.database import shipped as reference
from traitcast.warehouse.errors import NotProfiledError, QueryError, ScoresError, UserError, WarehouseError, nearest
from traitcast.warehouse.names import LONGEST, check_name, is_name
from traitcast.warehouse.records import (
    Cells,
    LatentRecord,
    LengthBin,
    Matrix,
    PredictorRecord,
    Profile,
    RowResults,
    Sketch,
    Target,
    TraitDefinition,
    TraitMatrix,
    TraitValue,
)

_WAIT_S = 10.0
# DuckDB would fetch an extension from the network for a function it knows by name only.
_CONFIG: dict[str, Any] = {
    "threads": "2",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
# Of files that `traitcast profile` reads, for a hint only.
_DATA_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".ndjson")
_PACKED_SUFFIXES = (".gz", ".zst", ".bz2", ".xz")
_MATRIX_TABLES = (
    *("scores", "predicted_labels", "generations", "adapters"),
    *("targets", "row_traits", "row_scores", "probes", "lineage"),
)
_CELL = ("model", "source", "target", "seed")
# What is stored of single cells beside their scores, and does not outlive another measurement of them.
_CELL_TABLES = ("predicted_labels", "generations", "row_scores")
# Metrics of a measured matrix that fall when things improve.
LESS_IS_BETTER = ("gold_nll", "reference_nll")
_LATENT_TABLES = ("latents", "latent_factors", "latent_scores", "latent_traits")
_LATENT_ORDERS = ("ALL", "factor", "factor, side, score DESC, dataset", "q, p, abs(spearman) DESC, factor, side, trait")
_DATASET_TABLES = ("traits", "label_counts", "length_histograms", "sketches")


class Warehouse:
    """An open warehouse file. Use it as a context manager.

    `open(path)` creates the file with the shipped reference data when it is missing; `open(path,
    read_only=True)` of a missing file gives the reference data in memory and leaves the disk alone.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path | None, asked: Path | None = None) -> None:
        """path: the file, None in memory. asked: the file that was asked for, where it is not there yet."""
        self._connection = connection
        self.path = path
        self._asked = asked or path
        self._external = False

    @classmethod
    def open(
        cls, path: str | Path, *, read_only: bool = False, wait_s: float | None = None, external: bool = False
    ) -> Self:
        """Open `path`, waiting up to `wait_s` seconds (TRAITCAST_WAIT, 10) while another process writes.

        external: let queries of a read-only warehouse read other files too; they write none either way.
        Raises WarehouseError for a busy, foreign, newer or unwritable file.
        """
        file = Path(path)
        if str(path) == ":memory:":
            raise WarehouseError("a warehouse in memory is gone when the command ends. Give --warehouse a file name.")
        wait = _wait_from_environment() if wait_s is None else wait_s
        if read_only and not file.exists():
            warehouse = cls(duckdb.connect(":memory:", config=_CONFIG), None, file)
            warehouse._migrate(0)
            warehouse._install_reference()
            warehouse._external = external
            if not external:  # it is on from the start, and cannot be put on again
                warehouse._connection.execute("SET enable_external_access = false")
            warehouse._connection.execute("SET lock_configuration = true")
            return warehouse
        if not file.exists():
            cls._create(file)
        warehouse = cls(_connect(file, read_only, wait, external), file)
        warehouse._external = external
        try:
            warehouse._check_version(migrate=not read_only)
            if not read_only:
                warehouse._refresh_reference()
        except BaseException:
            warehouse.close()
            raise
        return warehouse

    @classmethod
    def check_place(cls, path: str | Path) -> None:
        """Raise WarehouseError if `path` could not be written later; creates nothing."""
        file = Path(path)
        if not file.parent.is_dir():
            raise WarehouseError(
                f"folder {file.parent} does not exist. Make it, or choose another file with --warehouse FILE."
            )
        if not os.access(file if file.exists() else file.parent, os.W_OK):
            raise WarehouseError(f"{file} cannot be written. Choose another file with --warehouse FILE.")

    @classmethod
    def _create(cls, file: Path) -> None:
        """Make a whole warehouse aside and link it into place, so that nobody ever sees half of one.

        The storage version is one that DuckDB 1.5 can read, whatever DuckDB is installed.
        """
        cls.check_place(file)
        _sweep(file)
        partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
        try:
            with duckdb.connect(":memory:") as memory:
                quoted = str(partial).replace("'", "''")
                memory.execute(f"ATTACH '{quoted}' AS fresh (STORAGE_VERSION '{schema.STORAGE_VERSION}')")
                memory.execute("DETACH fresh")
            with cls(duckdb.connect(str(partial)), file) as warehouse:
                warehouse._migrate(0)
                warehouse._install_reference()
            with suppress(FileExistsError):  # another process was first, and its file is as good
                os.link(partial, file)
        except (duckdb.Error, OSError) as error:
            raise WarehouseError(
                f"cannot create {file} ({_first_line(error)}). Choose another file with --warehouse FILE."
            ) from error
        finally:
            for leftover in (partial, partial.with_name(partial.name + ".wal")):
                leftover.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the lock goes with it."""
        self._connection.close()

    @property
    def place(self) -> Path | None:
        """The file that was asked for, whether it is there yet or not."""
        return self._asked

    # -- opening -------------------------------------------------------------------------------------------

    def _check_version(self, *, migrate: bool) -> None:
        tables = {row[0] for row in self._rows("SELECT table_name FROM information_schema.tables")}
        if "traitcast_meta" not in tables:
            if tables:
                raise WarehouseError(
                    f"{self.path} is a DuckDB file, but not a traitcast warehouse (it holds "
                    f"{some(sorted(tables), 3)}). Choose another file with --warehouse FILE."
                )
            version = 0
        else:
            stored = self._meta("schema_version") or ""
            if not stored.isdecimal():
                raise WarehouseError(
                    f"{self.path} has schema version {stored!r}, which is none: the file is damaged. "
                    "Restore a copy, or choose another file with --warehouse FILE."
                )
            version = int(stored)
        if version > schema.SCHEMA_VERSION:
            raise WarehouseError(
                f"{self.path} has schema version {version}; this traitcast reads up to {schema.SCHEMA_VERSION}. "
                "Upgrade with: pip install --upgrade traitcast"
            )
        if version < schema.SCHEMA_VERSION:
            if not migrate:
                raise WarehouseError(
                    f"{self.path} has schema version {version}, older than {schema.SCHEMA_VERSION}. "
                    f"Any writing command upgrades it, for example: {self._command('profile', 'DATASET')}"
                )
            self._migrate(version)

    def _migrate(self, version: int) -> None:
        with self._transaction():
            schema.migrate(self._connection, version)

    def _refresh_reference(self) -> None:
        if self._meta("reference_version") != reference.version():
            self._install_reference()

    def _install_reference(self) -> None:
        with self._transaction():
            before = self._shipped_values()
            version = reference.install(self._connection, self.catalogue_version() or 0)
            after = self._shipped_values()
            if changed := [name for name, values in before.items() if after.get(name) != values]:
                self._forget_found(changed)
                reference.restore_found(self._connection)
            schema.rebuild_profiles_view(self._connection)
            self._set_meta("reference_version", reference.version())
            if version is not None:
                self._set_meta("catalogue_version", str(version))

    def _shipped_values(self) -> dict[str, Any]:
        """shipped dataset -> a hash of its traits' values."""
        return dict(
            self._rows(
                "SELECT dataset, bit_xor(hash(trait, value)) FROM traits JOIN datasets ON name = dataset "
                "WHERE reference GROUP BY dataset"
            )
        )

    def _meta(self, key: str) -> str | None:
        rows = self._rows("SELECT value FROM traitcast_meta WHERE key = ?", [key])
        return rows[0][0] if rows else None

    def _set_meta(self, key: str, value: str) -> None:
        self._connection.execute("DELETE FROM traitcast_meta WHERE key = ?", [key])
        self._connection.execute("INSERT INTO traitcast_meta VALUES (?, ?)", [key, value])

    # -- plumbing ------------------------------------------------------------------------------------------

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._told():
            return self._connection.execute(sql, list(parameters)).fetchall()

    def _dicts(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        return self._arrow(sql, parameters).to_pylist()

    def _arrow(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        with self._told():
            return self._connection.sql(sql, params=list(parameters) or None).to_arrow_table()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Our own statements fail for one reason only: the file. Say so instead of what DuckDB stumbled over."""
        try:
            yield
        except duckdb.Error as error:
            raise self._damaged(error) from error

    def _damaged(self, error: duckdb.Error) -> WarehouseError:
        if isinstance(error, duckdb.OutOfMemoryException):
            return WarehouseError(f"too little memory to read {self.path} ({_first_line(error)}).")
        return WarehouseError(
            f"{self.path or 'the reference data'} cannot be read ({_first_line(error)}): the file is damaged. "
            "Restore a copy, or start a new one with --warehouse FILE."
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing. Raises WarehouseError if the file is damaged or the disk is full; nothing is changed then."""
        committing = False
        try:
            self._connection.execute("BEGIN")
            yield
            committing = True
            self._connection.execute("COMMIT")
        except BaseException as error:
            # After some failures (a COMMIT that found no space, a damaged block) there is none left to roll back.
            with suppress(duckdb.Error):
                self._connection.execute("ROLLBACK")
            if isinstance(error, duckdb.Error) and (committing or _is_damage(error)):
                raise WarehouseError(
                    f"{self.path} could not be written ({_first_line(error)}); nothing was changed. Check that the "
                    "disk has space; if the file is damaged, restore a copy or choose another with --warehouse FILE."
                ) from error
            raise

    def _insert(self, table: str, rows: pa.Table) -> None:
        self._connection.register("incoming", rows)
        self._connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
        self._connection.unregister("incoming")

    def _merge(self, table: str, rows: pa.Table) -> None:
        """Insert or update `rows` by the natural key of `table`; the last writer wins."""
        keys = schema.NATURAL_KEYS[table]
        others = [name for name in rows.column_names if name not in keys]
        match = " AND ".join(f"t.{key} IS NOT DISTINCT FROM s.{key}" for key in keys)
        update = f"WHEN MATCHED THEN UPDATE SET {', '.join(f'{c} = s.{c}' for c in others)} " if others else ""
        columns = ", ".join(rows.column_names)
        values = ", ".join(f"s.{name}" for name in rows.column_names)
        self._connection.register("incoming", rows)
        self._connection.execute(
            f"MERGE INTO {table} t USING incoming s ON {match} {update}"
            f"WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({values})"
        )
        self._connection.unregister("incoming")

    # -- profiles ------------------------------------------------------------------------------------------

    def sync_catalogue(self, definitions: Sequence[TraitDefinition], version: int) -> None:
        """Make the stored trait catalogue equal the one in code, and rebuild the `profiles` view if it moved."""
        fields = ("trait", "part", "family", "unit", "definition", "source", "low", "high", "tier")
        new = [tuple(getattr(d, name) for name in fields) for d in definitions]
        stored = self._rows(f"SELECT {', '.join(fields)} FROM trait_catalogue ORDER BY position")
        if stored == new and self._meta("catalogue_version") == str(version):
            return
        types = {"low": pa.float64(), "high": pa.float64()}
        columns: dict[str, pa.Array] = {"position": pa.array(range(len(new)), pa.int32())}
        for i, name in enumerate(fields):
            columns[name] = pa.array([row[i] for row in new], types.get(name, pa.string()))
        with self._transaction():
            self._connection.execute("DELETE FROM trait_catalogue")
            self._insert("trait_catalogue", pa.table(columns))
            schema.rebuild_profiles_view(self._connection)
            self._set_meta("catalogue_version", str(version))

    def save_profile(self, profile: Profile) -> None:
        """Store a profile whole, in place of an earlier one of the same name. Raises UserError for a bad name.

        What was found with other values of its traits (evaluations, traits of latent factors) goes with them.
        """
        _check_plain(profile.name, "dataset name")
        with self._transaction():
            if self._is_other(profile):
                self._forget_found([profile.name])
            for table in _DATASET_TABLES:
                self._connection.execute(f"DELETE FROM {table} WHERE dataset = ?", [profile.name])
            self._connection.execute("DELETE FROM datasets WHERE name = ?", [profile.name])
            for table, rows in _profile_tables(profile, self._parts()).items():
                if rows.num_rows:
                    self._insert(table, rows)
            self._connection.execute(
                "UPDATE datasets SET profiled_at = now()::TIMESTAMP WHERE name = ?", [profile.name]
            )

    def _is_other(self, profile: Profile) -> bool:
        """Whether data, family or a trait's value is not what is stored under the profile's name."""
        about = self._rows("SELECT fingerprint, task_type, family FROM datasets WHERE name = ?", [profile.name])
        traits = dict(self._rows("SELECT trait, value FROM traits WHERE dataset = ?", [profile.name]))
        new = {t.trait: t.value for t in profile.traits}
        return about != [(profile.fingerprint, profile.task_type, profile.family)] or traits != new

    def _forget_found(self, datasets: Sequence[str]) -> None:
        """Drop what was found with the traits of datasets, on every matrix that they are in."""
        for table in reference.FOUND:
            self._connection.execute(
                f"DELETE FROM {table} WHERE matrix IN "
                "(SELECT matrix FROM scores WHERE list_contains(?, source) OR list_contains(?, target))",
                [list(datasets), list(datasets)],
            )

    def _parts(self) -> dict[str, str]:
        return dict(self._rows("SELECT trait, part FROM trait_catalogue"))

    def find(self, name: str) -> str | None:
        """`name` if a dataset of that name is profiled, else None."""
        return name if self._rows("SELECT 1 FROM datasets WHERE name = ?", [name]) else None

    def find_origin(self, origin: str) -> str | None:
        """The name of the dataset last profiled from `origin` (an absolute path or a hub id), if any."""
        rows = self._rows(
            "SELECT name FROM datasets WHERE details ->> '$.origin' = ? ORDER BY profiled_at DESC, name LIMIT 1",
            [origin],
        )
        return rows[0][0] if rows else None

    def catalogue_version(self) -> int | None:
        """The version of the stored trait catalogue, None before the first one is stored."""
        stored = self._meta("catalogue_version")
        return int(stored) if stored else None

    def outdated(self, names: Sequence[str] | None = None) -> list[str]:
        """The user's own profiles among `names` (default: all) measured under another catalogue version, in order.

        Shipped profiles are left out: the package renews them, the user cannot.
        """
        rows = self._rows(
            "SELECT name FROM datasets WHERE NOT reference AND (details ->> '$.catalogue_version')::BIGINT <> ? "
            "ORDER BY name",
            [self.catalogue_version()],
        )
        return [name for (name,) in rows if names is None or name in names]

    def languages(self) -> dict[str, str]:
        """dataset -> the language that its spec states; those that state none are left out."""
        return dict(self._rows("SELECT name, language FROM datasets WHERE language IS NOT NULL ORDER BY name"))

    def dataset_names(self) -> list[str]:
        """Names of all profiled datasets, in order."""
        return [row[0] for row in self._rows("SELECT name FROM datasets ORDER BY name")]

    def datasets(self) -> list[dict[str, Any]]:
        """One row per profiled dataset, with the figures one asks for first."""
        return self._dicts(
            "SELECT d.name, d.task_type, d.family, d.language, d.rows, "
            "max(t.value) FILTER (t.trait = 'label_class_count')::BIGINT AS classes, "
            "max(t.value) FILTER (t.trait = 'label_majority_share') AS majority, "
            "max(t.value) FILTER (t.trait = 'prompt_words_mean') AS prompt_words, "
            "max(t.value) FILTER (t.trait = 'response_words_mean') AS response_words, "
            "d.reference, d.fingerprint, (d.details ->> '$.catalogue_version')::BIGINT AS catalogue_version "
            "FROM datasets d LEFT JOIN traits t ON t.dataset = d.name "
            "GROUP BY ALL ORDER BY d.name"
        )

    def profile(self, name: str) -> Profile:
        """The stored profile of `name`. Raises NotProfiledError with the nearest name."""
        rows = self._dicts("SELECT * FROM datasets WHERE name = ?", [name])
        if not rows:
            raise self._not_profiled(name)
        row = rows[0]
        traits = self._rows(
            "SELECT t.trait, t.value, t.standard_error, t.n FROM traits t "
            "LEFT JOIN trait_catalogue c USING (trait) WHERE t.dataset = ? ORDER BY c.position, t.trait",
            [name],
        )
        labels = self._rows("SELECT label, n FROM label_counts WHERE dataset = ? ORDER BY n DESC, label", [name])
        bins = self._rows(
            "SELECT part, unit, low, high, n FROM length_histograms WHERE dataset = ? ORDER BY part, unit, low", [name]
        )
        vectors = self._rows("SELECT part, kind, vector FROM sketches WHERE dataset = ? ORDER BY part, kind", [name])
        return Profile(
            name=row["name"],
            fingerprint=row["fingerprint"],
            task_type=row["task_type"],
            rows=row["rows"],
            traits=tuple(TraitValue(*trait) for trait in traits),
            label_counts=tuple(labels),
            length_histograms=tuple(LengthBin(*values) for values in bins),
            sketches=tuple(Sketch(part, kind, np.asarray(v, dtype=np.float32)) for part, kind, v in vectors),
            family=row["family"],
            language=row["language"],
            licence=row["licence"],
            parent=row["parent"],
            changed=row["changed"],
            details=json.loads(row["details"] or "{}"),
        )

    def _not_profiled(self, name: str) -> NotProfiledError:
        hint = nearest(name, self.dataset_names())
        shown = name if len(name) <= LONGEST else name[:40] + "..."
        words: tuple[str, ...] = ("profile", "DATASET")
        if nearby := _data_named(name):
            words = ("profile", nearby)
        elif is_name(name):
            words = ("profile", "DATASET", "--name", name)
        return NotProfiledError(
            f"no profile of {shown!r} in {self.path or 'the reference data'}{hint} See what is there with: "
            f"{self._command('datasets')}. {f'There is {nearby} here: p' if nearby else 'P'}rofile it with: "
            f"{self._command(*words)}"
        )

    def _command(self, *words: str) -> str:
        return command(*words, warehouse=self._asked)

    def catalogue(self) -> tuple[TraitDefinition, ...]:
        """The trait catalogue as stored, in its order."""
        rows = self._rows(
            "SELECT trait, part, family, unit, definition, source, low, high, tier "
            "FROM trait_catalogue ORDER BY position"
        )
        return tuple(TraitDefinition(*row) for row in rows)

    def trait_matrix(self, names: Sequence[str] | None = None) -> TraitMatrix:
        """Traits of `names` (default: all profiled datasets) as one float64 matrix, NaN where undefined."""
        wanted = list(names) if names is not None else self.dataset_names()
        about = {row[0]: row[1:] for row in self._rows("SELECT name, task_type, family, rows FROM datasets")}
        for name in wanted:
            if name not in about:
                raise self._not_profiled(name)
        definitions = self.catalogue()
        row_of = {name: i for i, name in enumerate(wanted)}
        column_of = {d.trait: j for j, d in enumerate(definitions)}
        values = np.full((len(wanted), len(definitions)), np.nan)
        with self._told():
            table = self._connection.execute(
                "SELECT dataset, trait, value FROM traits WHERE value IS NOT NULL"
            ).fetchnumpy()
        for dataset, trait, value in zip(table["dataset"], table["trait"], table["value"], strict=True):
            i, j = row_of.get(dataset), column_of.get(trait)
            if i is not None and j is not None:
                values[i, j] = value
        return TraitMatrix(
            names=tuple(wanted),
            task_types=tuple(about[name][0] for name in wanted),
            families=tuple(about[name][1] for name in wanted),
            rows=tuple(about[name][2] for name in wanted),
            definitions=definitions,
            values=values,
        )

    def sketches(self) -> dict[tuple[str, str], dict[str, np.ndarray]]:
        """(part, kind) -> dataset -> float32 vector."""
        found: dict[tuple[str, str], dict[str, np.ndarray]] = {}
        for dataset, part, kind, vector in self._rows("SELECT dataset, part, kind, vector FROM sketches ORDER BY ALL"):
            found.setdefault((part, kind), {})[dataset] = np.asarray(vector, dtype=np.float32)
        return found

    def label_counts(self) -> dict[str, dict[str, int]]:
        """dataset -> label -> rows."""
        found: dict[str, dict[str, int]] = {}
        for dataset, label, n in self._rows("SELECT dataset, label, n FROM label_counts ORDER BY ALL"):
            found.setdefault(dataset, {})[label] = n
        return found

    def lineage(self, matrix: str | None = None) -> list[tuple[str, str, str]]:
        """Variants that were made on purpose: (dataset, the parent it was made from, what was changed), once each.

        matrix: as that one was measured with them, or else as they are profiled. None: as they are profiled, or else as
        some matrix was measured with them.
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
        """Matrices with a variant and its parent among their sources, as `lineage` knows variants, in order."""
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

    # -- scores --------------------------------------------------------------------------------------------

    def save_scores(self, matrix: Matrix, rows: pa.Table, side_effects: Mapping[str, pa.Table] | None = None) -> None:
        """Merge score rows (model, source, target, seed, metric, score, n, standard_error) into one matrix.

        side_effects: rows of `predicted_labels`, `generations`, `adapters`, `probes`, `targets`, `row_traits`,
        `row_scores` and `lineage`, without the matrix column. What is stored beside the scores of an earlier
        measurement of the same cells goes, whether it comes again or not. Raises ScoresError as `check_rows` does.
        """
        _check_plain(matrix.matrix, "score set name")
        tables = {"scores": rows, **(side_effects or {})}
        with self._transaction():
            if matrix.matrix in self.shipped("matrices"):
                # Two matrices of one name are not one matrix: the user's takes the place of the shipped one.
                for table in _MATRIX_TABLES:
                    self._connection.execute(f"DELETE FROM {table} WHERE matrix = ?", [matrix.matrix])
            # What was found on other scores says nothing of these.
            for table in ("evaluations", *_LATENT_TABLES, "matrices"):
                self._connection.execute(f"DELETE FROM {table} WHERE matrix = ?", [matrix.matrix])
            self._connection.execute(
                "INSERT INTO matrices (matrix, metric, base, description, reference) VALUES (?, ?, ?, ?, false)",
                [matrix.matrix, matrix.metric, matrix.base, matrix.description],
            )
            if "targets" in tables:
                self._forget_rows(matrix.matrix, tables["targets"], rows)
            self._forget_cells(matrix.matrix, tables)
            for table, content in tables.items():
                named = content.append_column("matrix", pa.array([matrix.matrix] * content.num_rows, pa.string()))
                self._merge(table, named)

    def check_import(self, matrix: str, scores: pa.Table) -> None:
        """Raise ScoresError where imported scores would take the place of measured ones, whose answers would go.

        Not for a shipped matrix: such a one is replaced as a whole.
        """
        if matrix in self.shipped("matrices"):
            return
        keys = ", ".join(_CELL)
        every = " UNION ".join(f"SELECT {keys} FROM {table} WHERE matrix = ?" for table in _CELL_TABLES)
        self._connection.register("incoming", scores.select(list(_CELL)))
        found = self._rows(
            f"SELECT {keys} FROM ({every}) WHERE ({keys}) IN (SELECT ({keys}) FROM incoming)",
            [matrix] * len(_CELL_TABLES),
        )
        self._connection.unregister("incoming")
        if found:
            sources = some(sorted({source or "the untuned model" for _, source, _, _ in found}), 3)
            raise ScoresError(
                f"score set {matrix!r} was measured here, and these scores would take the place of "
                f"{count(len(found), 'cell')} (of {sources}) and of the answers that are stored with them. Keep both: "
                f"{self._command('scores', 'import', 'FILE', '--name', 'NAME')}. Or give the measured one up first: "
                f"{self._command('scores', 'drop', matrix)}"
            )

    def drop_scores(self, names: Sequence[str]) -> list[str]:
        """Remove score sets with all that was measured and found on them: all of them or none.

        Returns the names of predictors that learnt from them, which stay as they are. Raises ScoresError for an unknown
        name, and for one of a shipped score set.
        """
        for name in names:
            self._check_own(name)
        dropped = [list(names)]
        with self._transaction():
            for table, keys in schema.NATURAL_KEYS.items():
                if keys[0] == "matrix":
                    self._connection.execute(f"DELETE FROM {table} WHERE list_contains(?, matrix)", dropped)
        rows = self._rows("SELECT predictor FROM predictors WHERE list_contains(?, matrix) ORDER BY 1", dropped)
        return [predictor for (predictor,) in rows]

    def _check_own(self, matrix: str) -> None:
        """What came with the package would be back with its next version, so it cannot be dropped."""
        if matrix in self.shipped("matrices"):
            raise ScoresError(
                f"{matrix!r} came with traitcast and would come back with its next version, so it is not dropped. "
                "Where it is in the way, choose another score set with --scores NAME."
            )
        if matrix in reference.names("matrices"):
            raise ScoresError(
                f"{matrix!r} is in the place of a shipped score set. Put the shipped one back in place of yours: "
                f"{self._command('scores', 'restore', matrix)}"
            )
        known = [m.matrix for m in self.matrices()]
        if matrix not in known:
            raise _no_scores(matrix, known)

    def check_rows(self, matrix: str, fingerprints: Mapping[str, str], scores: pa.Table) -> list[str]:
        """The targets whose test rows are no longer those that a matrix was measured on, in order.

        fingerprints: target -> that of its test rows now. scores: the cells measured on them. Raises ScoresError where
        stored cells of such a target are not among these: their gains would be over a base on other rows.
        """
        shipped = matrix in self.shipped("matrices")  # such a one is replaced as a whole
        stored = {} if shipped else self.targets(matrix)
        changed = [t for t, now in sorted(fingerprints.items()) if t in stored and stored[t].fingerprint != now]
        if not changed:
            return []
        new = set(zip(*(scores[name].to_pylist() for name in _CELL), strict=True))
        old = self._rows(
            "SELECT DISTINCT model, source, target, seed FROM scores WHERE matrix = ? AND list_contains(?, target) "
            "ORDER BY ALL",
            [matrix, changed],
        )
        if left := [cell for cell in old if cell not in new]:
            sources, targets = (some(sorted({c[at] or "the untuned model" for c in left}), 3) for at in (1, 2))
            raise ScoresError(
                f"score set {matrix!r} was measured on other test rows of {targets}, and "
                f"{count(len(left), 'cell')} of it (of {sources}) would stay, which these scores do not compare "
                f"with. Keep both: {self._command('matrix', 'ingest', '--pack', 'DIR', '--name', 'NAME')}"
            )
        return changed

    def _forget_rows(self, matrix: str, targets: pa.Table, scores: pa.Table) -> None:
        """Row traits that are measured anew go; so does all that was measured on test rows a target no longer has."""
        names = targets["target"].to_pylist()
        fingerprints = dict(zip(names, targets["fingerprint"].to_pylist(), strict=True))
        changed = self.check_rows(matrix, fingerprints, scores)
        for tables, gone in ((("row_traits",), names), (("scores", *_CELL_TABLES), changed)):
            for table in tables:
                self._connection.execute(
                    f"DELETE FROM {table} WHERE matrix = ? AND list_contains(?, target)", [matrix, gone]
                )

    def _forget_cells(self, matrix: str, tables: Mapping[str, pa.Table]) -> None:
        """What is stored beside earlier scores of the same cells is not of these; nor are probes of other weights."""
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
            f"DELETE FROM {table} WHERE matrix = ? AND ({columns}) IN (SELECT ({columns}) FROM incoming)", [matrix]
        )
        self._connection.unregister("incoming")

    def targets(self, matrix: str) -> dict[str, Target]:
        """What is known of the test rows of each target of a matrix, by name; without their traits."""
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
        """target -> trait -> float64 value per test row, NaN where it is undefined. target: only this one's."""
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
        """What cells did on single test rows, and what the untuned model did (source ''), by target.

        source, target: only the cells of this source (and the untuned model's), only those on this target.
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
        """All matrices, the measured and imported ones of the user before the shipped ones."""
        rows = self._rows("SELECT matrix, metric, base, description FROM matrices ORDER BY reference, matrix")
        return [Matrix(*row) for row in rows]

    def cells(
        self,
        matrix: str | None = None,
        model: str | None = None,
        *,
        outcome: str = "gain",
        metric: str | None = None,
    ) -> Cells:
        """The cells of `matrix`, of `model` or of all models. Default: the user's only matrix, else the only shipped
        one that was measured, not imported, and without variants, else the only one.

        outcome: "gain", or a side effect in its place: "label_shift" (%) or "length_shift" (tokens). metric: of the
        gains, instead of the headline. A gain is better for being more: of a metric that falls when things improve
        (`LESS_IS_BETTER`) it is the fall. Raises ScoresError for an unknown or ambiguous matrix, model or metric.
        """
        chosen = self._choose_matrix(matrix)
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
            return columns[name].cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)

        turned = -1.0 if outcome == "gain" and chosen.metric in LESS_IS_BETTER else 1.0
        return Cells(
            matrix=chosen,
            models=tuple(columns["model"].to_pylist()),
            sources=tuple(columns["source"].to_pylist()),
            targets=tuple(columns["target"].to_pylist()),
            seeds=columns["seed"].to_numpy(),
            gain=turned * floats("gain") + 0.0,  # no -0
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
        """The view of that name, of one matrix: model, source, target, gain, standard_error (pp) and `gains`, a list
        with the gain of every seed, in the order of the seeds. Cells without a gain are left out."""
        return self._dicts(
            "SELECT model, source, target, m.gain, m.standard_error, list(t.gain ORDER BY t.seed) AS gains "
            "FROM transfer_matrix m JOIN transfer t USING (matrix, model, source, target) "
            "JOIN matrices USING (matrix, metric) "
            "WHERE matrix = ? AND m.gain IS NOT NULL GROUP BY ALL ORDER BY model, source, target",
            [matrix],
        )

    def side_effects(self, matrix: str) -> list[dict[str, Any]]:
        """The view of that name, of one matrix, as means over the seeds: model, source, target, label_shift (share of
        the predicted labels that moved), length_shift (tokens), seeds."""
        return self._dicts(
            "SELECT model, source, target, avg(label_shift) AS label_shift, avg(length_shift) AS length_shift, "
            "count(*) AS seeds FROM side_effects WHERE matrix = ? GROUP BY ALL ORDER BY model, source, target",
            [matrix],
        )

    def _choose_matrix(self, name: str | None) -> Matrix:
        every = self.matrices()
        if not every:
            raise ScoresError(
                f"the warehouse holds no scores. Add some with: {self._command('scores', 'import', 'FILE')}"
            )
        names = [m.matrix for m in every]
        if name is not None:
            if name not in names and name in reference.names("matrices"):
                raise ScoresError(
                    f"the warehouse holds the reference data of an older traitcast, without {name!r}. Any command that "
                    f"writes brings it up to date, such as: {self._command('scores', 'restore', name)}"
                )
            if name not in names:
                raise _no_scores(name, names)
            return every[names.index(name)]
        shipped = self.shipped("matrices")
        own = [name for name in names if name not in shipped]
        measured = {row[0] for row in self._rows("SELECT matrix FROM adapters EXCEPT SELECT matrix FROM lineage")}
        candidates = own or [name for name in names if name in measured] or names
        if len(candidates) > 1:
            raise ScoresError(f"several score sets: {', '.join(candidates)}. Choose one with --scores NAME.")
        return every[names.index(candidates[0])]

    # -- probes --------------------------------------------------------------------------------------------

    def save_probes(self, rows: pa.Table, *, replace: bool = False) -> None:
        """Merge probes (base, fingerprint, dtype, dataset, trait, value, standard_error, n) that no matrix measured.

        A dataset's earlier ones of the same weights go first; replace: so do all those of the same base.
        """
        with self._transaction():
            self._connection.register("incoming", rows)
            same = "base IN (SELECT base FROM incoming)" if replace else _SAME_PROBED
            self._connection.execute(f"DELETE FROM probes WHERE matrix = '' AND {same}")
            self._connection.unregister("incoming")
            self._insert("probes", rows.append_column("matrix", pa.array([""] * rows.num_rows, pa.string())))

    def probe_fingerprints(self, base: str, *, matrix: str | None = None) -> list[str]:
        """The weights that probes of a base were measured with, in order. matrix: by this one alone."""
        rows = self._rows(
            "SELECT DISTINCT fingerprint FROM probes WHERE base = ? AND (? IS NULL OR matrix = ?) ORDER BY 1",
            [base, matrix, matrix],
        )
        return [fingerprint for (fingerprint,) in rows]

    def probes(self, base: str, fingerprint: str, *, matrix: str = "") -> dict[str, dict[str, float]]:
        """dataset -> probe -> value. Of one measured several times, what `matrix` measured counts first, then what the
        user did with `traitcast probe`, then what other matrices did."""
        found: dict[str, dict[str, float]] = {}
        for dataset, trait, value in self._rows(
            "SELECT dataset, trait, value FROM probes WHERE base = ? AND fingerprint = ? "
            "ORDER BY matrix = ?, matrix = '', matrix DESC, dataset, trait",
            [base, fingerprint, matrix],
        ):
            found.setdefault(dataset, {})[trait] = value
        return found

    def base_scores(self, matrix: str, model: str) -> dict[str, float]:
        """target -> headline score of the untuned model in a matrix, mean over its seeds."""
        return dict(
            self._rows(
                "SELECT target, avg(score) FROM scores JOIN matrices USING (matrix, metric) "
                "WHERE matrix = ? AND model = ? AND source = '' GROUP BY target ORDER BY target",
                [matrix, model],
            )
        )

    # -- what came with the package ---------------------------------------------------------------------------

    def shipped(self, kind: reference.Kind) -> list[str]:
        """Names that are stored as they came with the package, not as the user made them, in order."""
        key = schema.NATURAL_KEYS[kind][0]
        return [name for (name,) in self._rows(f"SELECT {key} FROM {kind} WHERE reference ORDER BY 1")]

    def restore(self, kind: reference.Kind, names: Sequence[str]) -> list[str]:
        """Put what the package ships under these names back in place of the user's own: all of them or none.

        Returns the names that were not as shipped; the others are left alone, with all that was derived from them.

        kind: datasets, matrices or predictors. Of a predictor, stored predictions go with the one that is replaced.
        Raises UserError when the package ships none of such a name.
        """
        shipped = reference.names(kind)
        for name in names:
            if name not in shipped:
                raise UserError(f"traitcast ships no {_KIND_WORDS[kind]} {name!r}{nearest(name, shipped)}")
        replaced = [name for name in names if name not in self.shipped(kind)]
        with self._transaction():
            for name in replaced:
                reference.restore(self._connection, kind, name)
            if kind == "datasets":
                self._forget_found(replaced)
                reference.restore_found(self._connection)
        return replaced

    # -- predictors ----------------------------------------------------------------------------------------

    def save_predictor(self, record: PredictorRecord) -> None:
        """Store a fitted predictor in place of an earlier one of the same name.

        Stored predictions of a predictor that was another go with it. Raises UserError for a bad name.
        """
        _check_plain(record.name, "predictor name")
        with self._transaction():
            stored = self._rows("SELECT fingerprint FROM predictors WHERE predictor = ?", [record.name])
            if stored != [(record.fingerprint,)]:
                for table in ("predictions", "attributions"):
                    self._connection.execute(f"DELETE FROM {table} WHERE predictor = ?", [record.name])
            self._connection.execute("DELETE FROM predictors WHERE predictor = ?", [record.name])
            self._connection.execute(
                "INSERT INTO predictors (predictor, matrix, model, tier, fingerprint, bundle, reference) "
                "VALUES (?, ?, ?, ?, ?, ?, false)",
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
            raise UserError(
                f"no predictor named {name!r}{nearest(name, names)} {known}Make one with: {self._command('fit')}"
            )
        return PredictorRecord(*rows[0])

    def save_predictions(
        self, predictor: str, predictions: Sequence[Mapping[str, Any]], attributions: Sequence[Mapping[str, Any]]
    ) -> None:
        """Merge predictions, and replace the attributions of the pairs that `attributions` names.

        predictions: source, target, gain, low, high, harm, novel. attributions: source, target, trait,
        side, family, value, shap.
        """
        pairs = {(row["source"], row["target"]) for row in attributions}
        with self._transaction():
            if predictions:
                self._merge("predictions", _with_predictor(predictor, predictions, _PREDICTION_TYPES))
            for source, target in sorted(pairs):
                self._connection.execute(
                    "DELETE FROM attributions WHERE predictor = ? AND source = ? AND target = ?",
                    [predictor, source, target],
                )
            if attributions:
                self._insert("attributions", _with_predictor(predictor, attributions, _ATTRIBUTION_TYPES))

    def save_evaluation(
        self, result: Mapping[str, Any], *, model: str | None = None, tier: str = "static", seed: int = 0
    ) -> None:
        """Store what `evaluate` found, in place of the same evaluation made before. result: its JSON contract."""
        key = {"matrix": result["matrix"], "model": model, "protocol": result["protocol"], "tier": tier, "seed": seed}
        found = {"cells": result["cells"], "targets": result["targets"]}
        found |= {name: finite(result["model"][name]["value"]) for name in ("spearman", "rmse")}
        rows = pa.Table.from_pylist([key | found | {"result": as_json(result, indent=None)}], _EVALUATION_TYPES)
        with self._transaction():
            self._merge("evaluations", rows)

    def evaluations(self, matrix: str) -> list[dict[str, Any]]:
        """Stored evaluations on a matrix: model (None: pooled), protocol, tier, seed and result, in that order."""
        rows = self._rows(
            "SELECT model, protocol, tier, seed, result FROM evaluations WHERE matrix = ? ORDER BY ALL", [matrix]
        )
        names = ("model", "protocol", "tier", "seed")
        return [dict(zip(names, row[:4], strict=True)) | {"result": json.loads(row[4])} for row in rows]

    # -- latent factors ------------------------------------------------------------------------------------

    def save_latent(self, record: LatentRecord) -> None:
        """Store the factors of a matrix, model and method in place of earlier ones; new scores take them away."""
        key = {"matrix": record.matrix, "model": record.model, "method": record.method}
        contents = ((record.about,), record.factors, record.scores, record.traits)
        with self._transaction():
            for table, rows in zip(_LATENT_TABLES, contents, strict=True):
                self._connection.execute(
                    f"DELETE FROM {table} WHERE matrix = ? AND model = ? AND method = ?", list(key.values())
                )
                columns = self._connection.sql(f"SELECT * FROM {table} LIMIT 0").to_arrow_table().schema
                self._insert(table, pa.Table.from_pylist([key | finite(row) for row in rows], columns))

    def latent(self, matrix: str, model: str, method: str = "pca") -> LatentRecord:
        """The stored factors of a matrix, model and method. Raises UserError naming `traitcast latent`."""
        about, factors, scores, traits = (
            self._dicts(
                f"SELECT * EXCLUDE (matrix, model, method) FROM {table} "
                f"WHERE matrix = ? AND model = ? AND method = ? ORDER BY {order}",
                [matrix, model, method],
            )
            for table, order in zip(_LATENT_TABLES, _LATENT_ORDERS, strict=True)
        )
        if not about:
            raise UserError(
                f"no factors of {matrix!r}, {model!r} by {method!r} are stored. Find them with: "
                + self._command("latent", "--scores", matrix, "--model", model, "--method", method, "--save")
            )
        return LatentRecord(matrix, model, method, about[0], tuple(factors), tuple(scores), tuple(traits))

    # -- queries -------------------------------------------------------------------------------------------

    def query(self, sql: str, *, text: bool = False) -> pa.Table:
        """Run one reading statement of the user; see `warehouse.database.query.run`.

        The caller opens the warehouse read-only. Raises QueryError for what may not or cannot run.
        """
        try:
            # In a thread, since DuckDB looks for Ctrl-C only between tasks, of which one may take minutes.
            with ThreadPoolExecutor(1) as thread:
                try:
                    return thread.submit(
                        query.run, self._connection, sql, text=text, warehouse=self._asked, external=self._external
                    ).result()
                except KeyboardInterrupt:
                    self._connection.interrupt()
                    raise
        except duckdb.Error as error:
            # With other files in play, what cannot be read is hardly the warehouse, unless its content says so.
            outside = self._external and isinstance(error, duckdb.IOException) and "Corrupt" not in str(error)
            if _is_damage(error) and not outside:
                raise self._damaged(error) from error
            raise QueryError(str(error).strip()) from error

    def export_reference(self, folder: Path) -> None:
        """Write the content of this warehouse as the package's reference files (see `warehouse.database.shipped`)."""
        reference.export(self._connection, folder)


def _no_scores(name: str, known: Sequence[str]) -> ScoresError:
    there = f"There are: {', '.join(known)}." if known else "There are none."
    return ScoresError(f"no scores named {name!r}{nearest(name, known)} {there}")


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
_SAME_PROBED = "(base, fingerprint, dataset) IN (SELECT (base, fingerprint, dataset) FROM incoming)"
_KIND_WORDS: Mapping[reference.Kind, str] = {
    "datasets": "dataset",
    "matrices": "score set",
    "predictors": "predictor",
}
_EVALUATION_TYPES = pa.schema(
    {
        "matrix": pa.string(),
        "model": pa.string(),
        "protocol": pa.string(),
        "tier": pa.string(),
        "seed": pa.int64(),
        "cells": pa.int64(),
        "targets": pa.int64(),
        "spearman": pa.float64(),
        "rmse": pa.float64(),
        "result": pa.string(),
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


def _arrays(column: pa.ChunkedArray) -> list[np.ndarray | None]:
    """Each list of a column as float64, NaN where an element is NULL; None for a list that is."""
    lists = column.cast(pa.list_(pa.float64()))
    return [one.values.to_numpy(zero_copy_only=False) if one.is_valid else None for one in lists]


def _with_predictor(predictor: str, rows: Sequence[Mapping[str, Any]], types: Mapping[str, pa.DataType]) -> pa.Table:
    columns = {name: pa.array([row[name] for row in rows], kind) for name, kind in types.items()}
    return pa.table({"predictor": pa.array([predictor] * len(rows), pa.string()), **columns})


def _profile_tables(profile: Profile, parts: Mapping[str, str]) -> dict[str, pa.Table]:
    """The rows of a profile, table by table, as Arrow."""
    name = profile.name
    unknown = [t.trait for t in profile.traits if t.trait not in parts]
    if unknown:
        raise ValueError(f"traits that are not in the catalogue: {unknown[:5]}; call sync_catalogue first")

    def table(rows: Sequence[Any], columns: Mapping[str, tuple[str | int, pa.DataType]]) -> pa.Table:
        pick = {
            column: pa.array([row[key] if isinstance(key, int) else getattr(row, key) for row in rows], kind)
            for column, (key, kind) in columns.items()
        }
        return pa.table({"dataset": pa.array([name] * len(rows), pa.string()), **pick})

    traits = table(
        profile.traits,
        {
            "trait": ("trait", pa.string()),
            "value": ("value", pa.float64()),
            "standard_error": ("standard_error", pa.float64()),
            "n": ("n", pa.int64()),
        },
    ).append_column("part", pa.array([parts[t.trait] for t in profile.traits], pa.string()))
    datasets = pa.table(
        {
            "name": [name],
            "fingerprint": [profile.fingerprint],
            "task_type": [profile.task_type],
            "rows": pa.array([profile.rows], pa.int64()),
            "family": pa.array([profile.family], pa.string()),
            "language": pa.array([profile.language], pa.string()),
            "licence": pa.array([profile.licence], pa.string()),
            "parent": pa.array([profile.parent], pa.string()),
            "changed": pa.array([profile.changed], pa.string()),
            "details": [json.dumps(profile.details, sort_keys=True, ensure_ascii=False)],
            "reference": [False],
        }
    )
    return {
        "datasets": datasets,
        "traits": traits,
        "label_counts": table(profile.label_counts, {"label": (0, pa.string()), "n": (1, pa.int64())}),
        "length_histograms": table(
            profile.length_histograms,
            {
                "part": ("part", pa.string()),
                "unit": ("unit", pa.string()),
                "low": ("low", pa.int64()),
                "high": ("high", pa.int64()),
                "n": ("n", pa.int64()),
            },
        ),
        "sketches": table(
            profile.sketches,
            {
                "part": ("part", pa.string()),
                "kind": ("kind", pa.string()),
                "vector": ("vector", pa.list_(pa.float32())),
            },
        ),
    }


def _data_named(name: str) -> str | None:
    """A file or folder of the working folder that a profile of that name could be made from, if there is one."""
    if not is_name(name):
        return None
    if Path(name).is_dir():
        return name
    found = (name + suffix + packed for suffix in _DATA_SUFFIXES for packed in ("", *_PACKED_SUFFIXES))
    return next((file for file in found if Path(file).is_file()), None)


def _sweep(file: Path) -> None:
    """Remove what processes left that were killed while they made `file`."""
    for leftover in file.parent.glob(f".{escape(file.name)}.*.partial*"):
        pid = leftover.name.removeprefix(f".{file.name}.").partition(".")[0]
        if not pid.isdecimal():
            continue
        try:
            os.kill(int(pid), 0)
        except (ProcessLookupError, OverflowError):
            leftover.unlink(missing_ok=True)
        except PermissionError:  # it lives, and is another user's
            continue


def _check_plain(name: str, what: str) -> None:
    """What reaches the warehouse is in the form that `check_name` gives; rooms normalise before."""
    if check_name(name, what) != name:
        raise UserError(f"{what} {name!r} is not in Unicode form NFKC. Write it as {check_name(name, what)!r}.")


def _wait_from_environment() -> float:
    text = os.environ.get("TRAITCAST_WAIT") or str(_WAIT_S)
    try:
        wait = float(text)
    except ValueError:
        wait = -1.0
    if not 0 <= wait < 1e6:
        raise WarehouseError(f"TRAITCAST_WAIT is {text!r}; it must be a number of seconds, for example 10.")
    return wait


def _connect(file: Path, read_only: bool, wait_s: float, external: bool = False) -> duckdb.DuckDBPyConnection:
    config = _CONFIG.copy()
    if read_only:
        config |= {"enable_external_access": str(external).lower(), "lock_configuration": "true"}
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return duckdb.connect(str(file), read_only=read_only, config=config)
        except duckdb.Error as error:
            if any(words in str(error) for words in ("Read-only file system", "Permission denied")):
                raise WarehouseError(
                    f"{file} may not be {'read' if read_only else 'written'} ({_first_line(error)}). "
                    "Choose another file with --warehouse FILE."
                ) from error
            if "Could not set lock" not in str(error) and "Conflicting lock" not in str(error):
                raise WarehouseError(
                    f"cannot open {file} as a warehouse ({_first_line(error)}). "
                    "Restore a copy, or choose another file with --warehouse FILE."
                ) from error
            if time.monotonic() >= deadline:
                holder = re.search(r"PID (\d+)", str(error))
                who = f" (process {holder[1]})" if holder else ""
                raise WarehouseError(
                    f"{file} is in use by another process{who}; waited {wait_s:g} s. "
                    "Wait for it to finish, set TRAITCAST_WAIT=SECONDS, or use another file with --warehouse FILE."
                ) from error
        # Short, since many readers in turn leave the file free for moments only.
        time.sleep(0.02)


def _is_damage(error: duckdb.Error) -> bool:
    """Whether the file or the disk is at fault. DuckDB raises the plain base class for a checksum that is wrong."""
    kinds = (duckdb.IOException, duckdb.InternalException, duckdb.FatalException, duckdb.SerializationException)
    return isinstance(error, kinds) or (type(error) is duckdb.Error and "Corrupt" in str(error))


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0].strip().rstrip(".")
