"""The warehouse: one DuckDB file with profiles, scores and predictors, and every SQL statement that touches it.

Refuses files that are not a warehouse or are newer than this version, waits a bounded time for a busy file,
and lets user queries read only. DuckDB allows one read-write process per file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

import duckdb
import pyarrow as pa

from traitcast.warehouse.database import query, schema, shipped
from traitcast.warehouse.database.connection import CONFIG, connect, first_line, is_damage, sweep, wait_from_environment
from traitcast.warehouse.database.matrices import Matrices
from traitcast.warehouse.database.probes import Probes
from traitcast.warehouse.database.profiles import Profiles
from traitcast.warehouse.database.results import Results
from traitcast.warehouse.database.schema import Kind
from traitcast.warehouse.errors import QueryError, UserError, WarehouseError, nearest, some

_KIND_WORDS: Mapping[Kind, str] = {
    "datasets": "dataset",
    "matrices": "matrix",
    "predictors": "predictor",
}


class Warehouse(Profiles, Matrices, Probes, Results):
    """An open warehouse file. Make one with `Warehouse.open`, and use it as a context manager."""

    @classmethod
    def open(
        cls, path: str | Path, *, read_only: bool = False, wait_s: float | None = None, external: bool = False
    ) -> Self:
        """Open a warehouse.

        Parameters
        ----------
        path
            The file. Opened for writing it is created, with the shipped data, if it does not exist; opened read-only,
            a missing file gives the shipped data in memory.
        wait_s
            Seconds to wait while another process writes. Default: TRAITCAST_WAIT, or 10.
        external
            Whether queries of a read-only warehouse may read other files; they cannot write any.

        Raises
        ------
        WarehouseError
            For a busy, foreign, newer or unwritable file.
        """
        file = Path(path)
        if file.stem in (schema.OWN, schema.SHIPPED):
            raise WarehouseError(f"a warehouse cannot be named {file.name}. Choose another file with --warehouse FILE.")
        if file.exists() and not file.is_file():
            raise WarehouseError(f"{file} is not a file. Choose another one with --warehouse FILE.")
        if (log := file.with_name(f"{file.name}.wal")).exists() and not log.is_file():
            # DuckDB opens it, and waits for ever at a pipe.
            raise WarehouseError(f"{log} is not a file, and the log of {file.name} goes there. Move it away.")
        if str(path) == ":memory:":
            raise WarehouseError(
                "a warehouse in memory would be lost when the command ends. Give --warehouse a file name."
            )
        wait = wait_from_environment() if wait_s is None else wait_s
        if read_only and not file.exists():
            warehouse = cls(duckdb.connect(":memory:", config=CONFIG), None, file)
            warehouse._migrate(0)
            warehouse._install_reference()
            warehouse._external = external
            if not external:  # on by default, and cannot be switched on again
                warehouse._connection.execute("SET enable_external_access = false")
            warehouse._connection.execute("SET lock_configuration = true")
            return warehouse
        if not file.exists():
            cls._create(file)
        warehouse = cls(connect(file, read_only, wait, external), file)
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
    def _create(cls, file: Path) -> None:
        """Create a complete warehouse under another name and link it into place, so that no process sees half of one.

        The storage version does not depend on the installed DuckDB, so that DuckDB 1.5 can read the file.
        """
        cls.check_place(file)
        sweep(file)
        if (log := file.with_name(file.name + ".wal")).exists():
            raise WarehouseError(
                f"{log} is what a killed process had not yet written into {file.name}, which is gone. Put {file.name} "
                f"back beside it, or remove {log}."
            )
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
                f"cannot create {file} ({first_line(error)}). Choose another file with --warehouse FILE."
            ) from error
        finally:
            for leftover in (partial, partial.with_name(partial.name + ".wal")):
                leftover.unlink(missing_ok=True)

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
                    f"{self.path} has schema version {stored!r}, which is not a number: the file is damaged. "
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
        if self._meta("reference_version") != shipped.version():
            self._install_reference()

    def _install_reference(self) -> None:
        with self._transaction():
            version = shipped.install(self._connection, self.catalogue_version() or 0)
            schema.rebuild_profiles_view(self._connection)
            self._set_meta("reference_version", shipped.version())
            if version is not None:
                self._set_meta("catalogue_version", str(version))

    def restore(self, kind: Kind, names: Sequence[str]) -> list[str]:
        """Delete the user's own rows under these names, so that the shipped ones show again: all of them or none.

        Parameters
        ----------
        kind
            datasets, matrices or predictors.
        names
            Names that the package ships.

        Returns
        -------
        list of str
            Names that the user had stored; the others were as shipped already.

        Raises
        ------
        UserError
            If the package ships none of such a name.
        """
        known = shipped.names(kind)
        for name in names:
            if name not in known:
                raise UserError(f"traitcast ships no {_KIND_WORDS[kind]} {name!r}{nearest(name, known)}")
        replaced = [name for name in names if name not in self.shipped(kind)]
        with self._transaction():
            for table, of in schema.DATA.items():
                if of == kind:
                    self._connection.execute(
                        f"DELETE FROM {schema.OWN}.{table} WHERE list_contains(?, {schema.NATURAL_KEYS[table][0]})",
                        [replaced],
                    )
        return replaced

    def contents(self) -> dict[Kind, tuple[int, int]]:
        """Kind -> how many the user stored, and how many are the shipped ones: datasets, matrices, predictors."""
        found = {
            kind: self._rows(f"SELECT count(*) FILTER (NOT reference), count(*) FILTER (reference) FROM {kind}")[0]
            for kind in _KIND_WORDS
        }
        return {kind: (own, shipped) for kind, (own, shipped) in found.items()}

    def query(self, sql: str, *, text: bool = False) -> pa.Table:
        """Run one statement of the user that reads; see `warehouse.database.query.run`.

        The warehouse must be open read-only. Raises QueryError for a statement that is not allowed or fails.
        """
        try:
            # In a thread, since DuckDB looks for Ctrl-C only between tasks, and one task may take minutes.
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
            if is_damage(error) and not outside:
                raise self._damaged(error) from error
            raise QueryError(str(error).strip()) from error
