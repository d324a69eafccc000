"""Queries of the user: one statement that reads, an Arrow table out.

Owns which statements may run and which column types leave DuckDB as they are. Refuses everything that writes. The
read-only file and the disabled external access make that safe, and the guard here gives the clear message; where the
query may read other files, the guard is what keeps it from writing them.
"""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import duckdb

from traitcast.warehouse.console import command
from traitcast.warehouse.errors import QueryError

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from duckdb.sqltypes import DuckDBPyType

_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI)
_VIEWS = "profiles, transfer, transfer_matrix, datasets, traits, trait_catalogue, scores, label_counts"

# Parts of a statement's tree that read.
_READING_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
# An EXPLAIN up to what it explains. Blanks only, so that what follows reads alone as it reads after them.
_EXPLAIN = re.compile(
    r"\s*EXPLAIN\s+(?:ANALYZE\b\s*)?(?:\(\s*(?:ANALYZE|FORMAT)\b[\w\s,]*\)\s*)?", re.IGNORECASE | re.ASCII
)
_WRITING = {"COPY", "INSERT", "UPDATE", "DELETE", "MERGE"}
# Functions that run a text, which no tree shows: json_execute_serialized_sql runs a CTE that is a COPY.
_RUNNING = {"QUERY", "JSON_EXECUTE_SERIALIZED_SQL"}
# What the parser takes as blanks, but for the ends of lines, which end comments.
_BLANK = re.compile(r"[^\S\r\n]|[\u200b\u2060\ufeff]")
_STORED = r"""(?i)\b(query|json_execute_serialized_sql)"?\s*\("""

_ONLY_READS = "`traitcast sql` only reads. Use SELECT, DESCRIBE, SUMMARIZE or PIVOT."

_WHOLE = ("tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint", "hugeint")
# What Python, and so JSON and CSV, can hold without loss. Dates do not count: Python's end with the year 9999.
_AS_TEXT = frozenset((*_WHOLE, "boolean", "float", "double", "decimal", "varchar", "uuid", "enum"))
# What Arrow and Parquet hold too. TIME and the rest do not count: DuckDB's 24:00:00, zones of times, months in
# intervals and integers above 128 bits with sign would arrive as something else.
_AS_ARROW = _AS_TEXT | {
    "blob",
    "date",
    "timestamp",
    "timestamp_s",
    "timestamp_ms",
    "timestamp_ns",
    "timestamp with time zone",
}


def run(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    *,
    text: bool = False,
    warehouse: Path | None = None,
    external: bool = False,
) -> pa.Table:
    """Run one statement that reads.

    Types that Arrow and Parquet cannot hold (INTERVAL, UHUGEINT, UNION, ...) come as DuckDB's text, also inside lists,
    structs and maps. Columns with the same name are numbered (a, a_1).

    Parameters
    ----------
    text
        Whether dates, timestamps, times, blobs and keys of maps come as text too, for output as text.
    warehouse
        The file, for the commands that messages suggest.
    external
        Whether the connection may read other files.

    Raises
    ------
    QueryError
        For a statement that writes, is not allowed, or fails.
    """
    statement = _one_reading_statement(sql, warehouse)
    if external and statement.type == duckdb.StatementType.EXPLAIN:
        # EXPLAIN ANALYZE COPY (...) TO 'file' writes, and an EXPLAIN has no tree: what it explains has one.
        _refuse_writing(connection, _explained(statement.query, warehouse), external)
    _refuse_writing(connection, statement, external)
    # A CTE may hold an INSERT, and the shipped data in memory are not a read-only file.
    connection.execute("BEGIN TRANSACTION READ ONLY")
    try:
        relation = connection.sql(statement)
        kept = _AS_TEXT if text else _AS_ARROW
        names = _distinct(relation.columns)
        types = [_portable(kind, kept, text) for kind in relation.types]
        # By position, since columns may share a name.
        columns = [
            f"#{i}" if kind == str(own) else f"CAST(#{i} AS {kind})"
            for i, (kind, own) in enumerate(zip(types, relation.types, strict=True), start=1)
        ]
        if names != relation.columns or any(column.startswith("CAST") for column in columns):
            pairs = zip(columns, names, strict=True)
            relation = relation.project(", ".join(f"{column} AS {_quoted(name)}" for column, name in pairs))
        return relation.to_arrow_table()
    except duckdb.CatalogException as error:
        every = command("sql", "SHOW TABLES", warehouse=warehouse)
        raise QueryError(f"{_told(error)}\nTables and views: {_VIEWS}, ... ({every})") from error
    except duckdb.PermissionException as error:
        raise QueryError(
            f"{_told(error)}\n`traitcast sql` reads the warehouse and nothing else, unless you give --allow-external."
        ) from error
    except (duckdb.InvalidInputException, duckdb.TransactionException, duckdb.BinderException) as error:
        # The tables that users know are views, of which DuckDB says "Can only delete from base table".
        if "read-only" not in str(error) and not str(error).startswith("Binder Error: Can only "):
            raise
        raise QueryError(_ONLY_READS) from error
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        raise QueryError("the result does not fit in memory. Select fewer columns, or add LIMIT.") from error
    except duckdb.Error as error:
        if "requires the extension" not in str(error):
            raise
        raise QueryError(f"{_told(error)}\nExtensions are never loaded: fetch the file, and query the copy.") from error
    finally:
        # A failed statement may have ended the transaction already.
        with suppress(duckdb.Error):
            connection.execute("ROLLBACK")


def _one_reading_statement(sql: str, warehouse: Path | None) -> duckdb.Statement:
    if not sql.isascii() and any("\ud800" <= char <= "\udfff" for char in sql):
        raise QueryError("cannot parse the query: it holds bytes that are not UTF-8. Write it in UTF-8.")
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryError(f"cannot parse the query: {error}") from error
    if len(statements) != 1:
        example = command("sql", "SELECT * FROM profiles", warehouse=warehouse)
        raise QueryError(f"give one statement, not {len(statements)}. Example: {example}")
    try:
        kind = statements[0].type
    except ValueError:  # a kind that DuckDB's own Python package does not list, such as UPDATE EXTENSIONS
        raise QueryError(_ONLY_READS) from None
    if kind not in _READING:
        raise QueryError(f"{kind.name} is not allowed: {_ONLY_READS}")
    return statements[0]


def _explained(sql: str, warehouse: Path | None) -> duckdb.Statement:
    """The SELECT that an EXPLAIN explains. Raises QueryError if it is anything else, or there is a comment."""
    start = _EXPLAIN.match(sql)
    comments = any(kind == duckdb.token_type.comment for _, kind in duckdb.tokenize(sql))
    if start and not comments:
        explained = _one_reading_statement(sql[start.end() :], warehouse)
        if explained.type == duckdb.StatementType.SELECT:
            return explained
    raise QueryError("with --allow-external, EXPLAIN explains one SELECT, without comments.")


def _refuse_writing(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement, external: bool) -> None:
    """Raise QueryError if a part of a reading statement writes: a CTE may be a COPY, an INSERT, a DELETE."""
    if statement.type == duckdb.StatementType.MULTI:
        # A PIVOT, which has no tree: so by its words, where one that writes may be the name of a column at worst.
        tokens = _tokens(statement.query) if external else []
        if found := set(tokens) & _WRITING:
            raise QueryError(
                f"a PIVOT with {', '.join(sorted(found))} is not allowed: {_ONLY_READS} In double quotes it is a name."
            )
        # A column may have the name of a function; a function may be in double quotes.
        called = {name.strip('"') for name, after in pairwise(tokens) if after.startswith("(")}
        _refuse_running(connection, called, external)
    elif statement.type == duckdb.StatementType.SELECT:
        try:
            ((tree,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [statement.query]).fetchall()
        except duckdb.Error:  # too deep a tree
            tree = ""
        # A quotation mark of the user's own text is escaped in JSON.
        nodes = set(re.findall(r'(?<!\\)"type":"(\w+_NODE)"', tree))
        if nodes - _READING_NODES or (external and not nodes):
            raise QueryError(_ONLY_READS)
        _refuse_running(connection, set(re.findall(r'(?<!\\)"FUNCTION_NAME":"(\w+)"', tree.upper())), external)


def _refuse_running(connection: duckdb.DuckDBPyConnection, names: set[str], external: bool) -> None:
    """Raise QueryError where files may be written and a statement, view or macro calls what runs a text as SQL."""
    if not external:
        return
    stored = connection.execute(
        "SELECT view_name FROM duckdb_views() WHERE NOT internal AND regexp_matches(sql, $pattern) UNION ALL "
        "SELECT function_name FROM duckdb_functions() "
        "WHERE NOT internal AND regexp_matches(macro_definition, $pattern)",
        {"pattern": _STORED},
    ).fetchone()
    if stored is not None:
        raise QueryError(
            f"{stored[0]!r}, which is stored in the warehouse, runs text as SQL. Leave out --allow-external."
        )
    if found := names & _RUNNING:
        raise QueryError(f"{min(found).lower()}() runs text as SQL, and is not allowed with --allow-external.")


def _tokens(sql: str) -> list[str]:
    """The parts of a statement in capitals, without comments; texts and quoted names are in their quotes."""
    # The tokenizer takes as letters some characters that the parser takes as blanks.
    raw = _BLANK.sub(" ", sql).encode()
    tokens = duckdb.tokenize(raw.decode())
    ends = [start for start, _ in tokens[1:]] + [len(raw)]
    return [
        raw[start:end].decode(errors="replace").strip().upper()
        for (start, kind), end in zip(tokens, ends, strict=True)
        if kind != duckdb.token_type.comment
    ]


def _portable(kind: DuckDBPyType, kept: frozenset[str], text: bool) -> str:
    """The SQL type as which a column of type `kind` leaves DuckDB: itself, with VARCHAR for what is not kept."""

    def inner(child: Any) -> str:
        return _portable(child, kept, text)

    if kind.id == "struct" and kind.children:
        fields = (
            f"{_quoted(name or f'element{i}')} {inner(child)}" for i, (name, child) in enumerate(kind.children, 1)
        )
        return f"STRUCT({', '.join(fields)})"
    if kind.id == "map":
        key, value = (child for _, child in kind.children)
        # JSON has text keys only, and a Python mapping no lists as keys.
        return f"MAP({'VARCHAR' if text else inner(key)}, {inner(value)})"
    if kind.id == "list":
        return f"{inner(kind.children[0][1])}[]"
    if kind.id == "array":
        return f"{inner(kind.children[0][1])}[{kind.children[1][1]}]"
    return str(kind) if kind.id in kept else "VARCHAR"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _distinct(names: list[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        candidate, k = name, 0
        while candidate in found:
            k += 1
            candidate = f"{name}_{k}"
        found.append(candidate)
    return found


def _told(error: duckdb.Error) -> str:
    """What DuckDB says, less the advice to install extensions, which cannot be followed here."""
    return str(error).split("\n\nPlease try installing")[0].strip()
