"""Makes the reference files of a release from a warehouse. For maintainers: no command of users runs it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import duckdb
import pyarrow.parquet as pq

from traitcast.warehouse.database import shipped
from traitcast.warehouse.database.schema import DATA, NATURAL_KEYS, OWN, RESULTS, Kind
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import WarehouseError


def export(warehouse: Warehouse, destination: Path) -> None:
    """Write every dataset, matrix and predictor of a warehouse as reference files into `destination`.

    Rows are ordered by their natural key and carry no time stamp and no local path, so that the same
    warehouse content gives the same bytes.
    """
    destination.mkdir(parents=True, exist_ok=True)
    for table in ("trait_catalogue", *DATA, *RESULTS):
        select = "* EXCLUDE (reference)" if table in get_args(Kind) else "*"
        if table == "datasets":
            # These two are paths of the machine that profiled.
            select += (
                " REPLACE (NULL::TIMESTAMP AS profiled_at, "
                'json_merge_patch(details, \'{"origin": null, "spec": null}\') AS details)'
            )
        order = "position" if table == "trait_catalogue" else ", ".join(NATURAL_KEYS[table])
        rows = warehouse._connection.sql(f"SELECT {select} FROM {table} ORDER BY {order}").to_arrow_table()
        if rows.num_rows:
            pq.write_table(rows, destination / f"{table}.parquet", compression="zstd", compression_level=19)


def carry(connection: duckdb.DuckDBPyConnection, matrix: str) -> None:
    """Put a shipped matrix into the warehouse that the next release is made from: measuring it again takes a device.

    Raises WarehouseError for one that is not shipped. The caller holds the transaction.
    """
    if matrix not in shipped.names("matrices"):
        raise WarehouseError(
            f"{shipped.folder()} holds no matrix {matrix!r}; it has: {', '.join(shipped.names('matrices')) or 'none'}"
        )
    for table, kind in DATA.items():
        rows = shipped.read(table) if kind == "matrices" else None
        if rows is not None:
            connection.execute(f"DELETE FROM {OWN}.{table} WHERE matrix = ?", [matrix])
            connection.register("incoming", rows)
            connection.execute(f"INSERT INTO {OWN}.{table} BY NAME SELECT * FROM incoming WHERE matrix = ?", [matrix])
            connection.unregister("incoming")


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the reference files of a release, or put a matrix that ships now into the warehouse that they will be made
    from: `python -m traitcast.warehouse.database.release WAREHOUSE (--into FOLDER | --carry MATRIX)`."""
    parser = argparse.ArgumentParser(prog="python -m traitcast.warehouse.database.release")
    parser.add_argument("warehouse", type=Path)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--into", type=Path, metavar="FOLDER")
    what.add_argument("--carry", metavar="MATRIX")
    asked = parser.parse_args(arguments)
    if not asked.warehouse.is_file():
        raise SystemExit(f"no warehouse file {asked.warehouse}; make it with: make reference")
    if asked.carry:
        # Not through Warehouse.open, which would install all that ships.
        with duckdb.connect(asked.warehouse) as connection:
            connection.begin()
            carry(connection, asked.carry)
            connection.commit()
        return
    with Warehouse.open(asked.warehouse, read_only=True) as warehouse:
        export(warehouse, asked.into)


if __name__ == "__main__":
    main()
