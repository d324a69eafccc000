"""The open file: its lock, its transactions, and how rows get in and out.

Refuses a place that cannot be written, and waits a bounded time for a busy file. DuckDB allows one read-write process
per file.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from traitcast.warehouse.console import command, quoted
from traitcast.warehouse.database.schema import NATURAL_KEYS, OWN, Kind
from traitcast.warehouse.errors import UserError, WarehouseError
from traitcast.warehouse.files import is_gone
from traitcast.warehouse.names import check_name

_WAIT_S = 10.0
# What DuckDB says of a file that another process has open, and of one that this process has open in another way.
_BUSY = ("Could not set lock", "Conflicting lock", "different configuration")
# DuckDB would fetch an extension from the network for a function it knows by name only.
CONFIG: dict[str, Any] = {
    "threads": "2",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


class Connection:
    """An open warehouse file: transactions, rows in and out. What the rows mean is up to the subclasses."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path | None, asked: Path | None = None) -> None:
        """Wrap a DuckDB connection. path: the file, None in memory. asked: the requested file, if it does not exist."""
        self._connection = connection
        self.path = path
        self._asked = asked or path
        self._external = False

    @classmethod
    def check_place(cls, path: str | Path) -> None:
        """Raise WarehouseError if `path` could not be written later; creates nothing."""
        file = Path(path)
        if not file.parent.is_dir():
            raise WarehouseError(
                f"folder {file.parent} does not exist. Create it, or choose another file with --warehouse FILE."
            )
        if not os.access(file if file.exists() else file.parent, os.W_OK):
            raise WarehouseError(f"{file} cannot be written. Choose another file with --warehouse FILE.")

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
        """The requested file, whether it exists yet or not."""
        return self._asked

    def catalogue_version(self) -> int | None:
        """The version of the stored trait catalogue, None before the first one is stored."""
        stored = self._meta("catalogue_version")
        return int(stored) if stored else None

    def shipped(self, kind: Kind) -> list[str]:
        """Names that came with the package and that the user has not replaced, sorted."""
        key = NATURAL_KEYS[kind][0]
        return [name for (name,) in self._rows(f"SELECT {key} FROM {kind} WHERE reference ORDER BY 1")]

    def _command(self, *words: str) -> str:
        return command(*words, warehouse=self._asked)

    def _meta(self, key: str) -> str | None:
        rows = self._rows("SELECT value FROM traitcast_meta WHERE key = ?", [key])
        return rows[0][0] if rows else None

    def _set_meta(self, key: str, value: str) -> None:
        self._connection.execute("DELETE FROM traitcast_meta WHERE key = ?", [key])
        self._connection.execute("INSERT INTO traitcast_meta VALUES (?, ?)", [key, value])

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
        """Our own statements fail only if the file is damaged: say so instead of repeating DuckDB's error."""
        try:
            yield
        except duckdb.Error as error:
            raise self._damaged(error) from error

    def _damaged(self, error: duckdb.Error) -> WarehouseError:
        if isinstance(error, duckdb.OutOfMemoryException):
            return WarehouseError(f"too little memory to read {self.path} ({first_line(error)}).")
        return WarehouseError(
            f"{self.path or 'the reference data'} cannot be read ({first_line(error)}): the file is damaged. "
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
            # After some failures (a COMMIT without space, a damaged block) no transaction is left to roll back.
            with suppress(duckdb.Error):
                self._connection.execute("ROLLBACK")
            if isinstance(error, duckdb.Error) and (committing or is_damage(error)):
                raise WarehouseError(
                    f"{self.path} could not be written ({first_line(error)}); nothing was changed. Check that the "
                    "disk has space; if the file is damaged, restore a copy or choose another with --warehouse FILE."
                ) from error
            raise

    def _insert(self, table: str, rows: pa.Table) -> None:
        self._connection.register("incoming", rows)
        self._connection.execute(f"INSERT INTO {OWN}.{table} BY NAME SELECT * FROM incoming")
        self._connection.unregister("incoming")

    def _merge(self, table: str, rows: pa.Table) -> None:
        """Insert or update `rows` by the natural key of `table`; the last writer wins."""
        keys = NATURAL_KEYS[table]
        others = [name for name in rows.column_names if name not in keys]
        match = " AND ".join(f"t.{key} IS NOT DISTINCT FROM s.{key}" for key in keys)
        update = f"WHEN MATCHED THEN UPDATE SET {', '.join(f'{c} = s.{c}' for c in others)} " if others else ""
        columns = ", ".join(rows.column_names)
        values = ", ".join(f"s.{name}" for name in rows.column_names)
        self._connection.register("incoming", rows)
        self._connection.execute(
            f"MERGE INTO {OWN}.{table} t USING incoming s ON {match} {update}"
            f"WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({values})"
        )
        self._connection.unregister("incoming")


def check_plain(name: str, what: str) -> None:
    """What reaches the warehouse is in the form that `check_name` gives; rooms normalise before."""
    if check_name(name, what) != name:
        raise UserError(f"{what} {name!r} is not in Unicode normal form NFKC. Write it as {check_name(name, what)!r}.")


def sweep(file: Path) -> None:
    """Remove what processes left that were killed while they made `file`."""
    for leftover in file.parent.glob(f".{escape(file.name)}.*.partial*"):
        if is_gone(leftover.name.removeprefix(f".{file.name}.").partition(".")[0]):
            leftover.unlink(missing_ok=True)


def wait_from_environment() -> float:
    text = os.environ.get("TRAITCAST_WAIT") or str(_WAIT_S)
    try:
        wait = float(text)
    except ValueError:
        wait = -1.0
    if not 0 <= wait < 1e6:
        raise WarehouseError(f"TRAITCAST_WAIT is {text!r}; it must be a number of seconds, for example 10.")
    return wait


def connect(file: Path, read_only: bool, wait_s: float, external: bool = False) -> duckdb.DuckDBPyConnection:
    config = CONFIG.copy()
    if read_only:
        config |= {"enable_external_access": str(external).lower(), "lock_configuration": "true"}
    deadline = time.monotonic() + wait_s
    _check_kind(file)
    while True:
        try:
            return duckdb.connect(str(file), read_only=read_only, config=config)
        except duckdb.Error as error:
            if any(words in str(error) for words in ("Read-only file system", "Permission denied")):
                raise WarehouseError(
                    f"{file} may not be {'read' if read_only else 'written'} ({first_line(error)}). "
                    "Choose another file with --warehouse FILE."
                ) from error
            if not any(words in str(error) for words in _BUSY):
                raise WarehouseError(
                    f"cannot open {file} as a warehouse ({first_line(error)}). "
                    "Restore a copy, or choose another file with --warehouse FILE."
                ) from error
            if time.monotonic() >= deadline:
                holder = re.search(r"PID (\d+)", str(error))
                who = f"another process (process {holder[1]})" if holder else "another process"
                if _BUSY[-1] in str(error):
                    who = "another part of this process"
                raise WarehouseError(
                    f"{file} is in use by {who}; waited {wait_s:g} s. "
                    "Wait for it to finish, set TRAITCAST_WAIT=SECONDS, or use another file with --warehouse FILE."
                ) from error
        # Short, since many readers in turn leave the file free for moments only.
        time.sleep(0.02)


def _check_kind(file: Path) -> None:
    """Refuse what is no DuckDB file: DuckDB opens a table or an SQLite file all the same, as a database of its own."""
    try:
        with file.open("rb") as stream:
            start = stream.read(12)
    except OSError:  # DuckDB says why
        return
    if start[8:] != b"DUCK":
        what = "is empty" if not start else "is not a DuckDB file"
        cure = "Restore a copy, or choose another file with --warehouse FILE."
        if start and file.suffix not in (".duckdb", ".db"):
            cure = f"Choose another file with --warehouse FILE; to profile this one: traitcast profile {quoted(file)}"
        raise WarehouseError(f"{file} {what}, so it is no warehouse of profiles and scores. {cure}")


def is_damage(error: duckdb.Error) -> bool:
    """Whether the file or the disk is at fault. DuckDB raises the plain base class for a checksum that is wrong."""
    kinds = (duckdb.IOException, duckdb.InternalException, duckdb.FatalException, duckdb.SerializationException)
    return isinstance(error, kinds) or (type(error) is duckdb.Error and "Corrupt" in str(error))


def first_line(error: BaseException) -> str:
    return str(error).splitlines()[0].strip().rstrip(".")
