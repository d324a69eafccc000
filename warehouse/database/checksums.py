"""A checksum per table, which is made by reading every value: what is damaged shows, and copies can be compared.

DuckDB checks the blocks that a query reads, so a file that opens may still hold a table that does not.
"""

from __future__ import annotations

from dataclasses import dataclass

from traitcast.warehouse.database.connection import Connection
from traitcast.warehouse.errors import WarehouseError


@dataclass(frozen=True, slots=True)
class TableCheck:
    """One table.

    Attributes
    ----------
    table
        Its schema and name.
    rows
        How many it has; None where it cannot be read.
    checksum
        Of all values, whatever the order of the rows: equal for equal tables, on every machine. None where it cannot
        be read.
    problem
        Why it cannot be read; None where it can.
    """

    table: str
    rows: int | None
    checksum: str | None
    problem: str | None = None


def check_tables(warehouse: Connection) -> tuple[TableCheck, ...]:
    """Read every table of a warehouse, the shipped ones too, in the order of their names.

    Raises
    ------
    WarehouseError
        The file is so damaged that it does not say which tables it has. Of a damaged table see `TableCheck.problem`.
    """
    names = "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal ORDER BY ALL"
    return tuple(_checked(warehouse, f"{of}.{table}") for of, table in warehouse._rows(names))


def _checked(warehouse: Connection, table: str) -> TableCheck:
    # Hashes of whole rows, put together by sum and exclusive or, which no order changes.
    hashes = f"SELECT md5_number(t::VARCHAR) AS whole, md5_number_lower(t::VARCHAR)::HUGEINT AS lower FROM {table} t"
    try:
        ((rows, whole, lower),) = warehouse._rows(f"SELECT count(*), bit_xor(whole), sum(lower) FROM ({hashes})")
    except WarehouseError as error:
        return TableCheck(table, None, None, str(error))
    return TableCheck(table, rows, f"{int(whole or 0):032x}{int(lower or 0) % 2**64:016x}")
