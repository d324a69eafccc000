"""The reference data that ships with the package: profiles of public datasets, published or measured
matrices, and the default predictor. Numbers only, as Parquet; never a text of a dataset.

Owns the files under `reference/`: how they are written from a warehouse and read into one.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from traitcast.warehouse.database.schema import DATA, NATURAL_KEYS, OWN, RESULTS, SHIPPED, Kind, inputs_sql
from traitcast.warehouse.errors import WarehouseError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


def folder() -> Path:
    """Where the shipped files are; TRAITCAST_REFERENCE names another folder (an empty one: no reference)."""
    return Path(os.environ.get("TRAITCAST_REFERENCE") or Path(__file__).parents[1] / "reference")


def names(kind: Kind) -> list[str]:
    """What the package ships of one kind, by name."""
    rows = read(kind)
    return [] if rows is None else sorted(rows[NATURAL_KEYS[kind][0]].to_pylist())


def version() -> str:
    """A hash over the shipped files; empty when the package carries none."""
    digest = hashlib.blake2b(digest_size=8)
    files = sorted(folder().glob("*.parquet"))
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest() if files else ""


def install(connection: duckdb.DuckDBPyConnection, catalogue_version: int) -> int | None:
    """Put the shipped rows into an open warehouse in place of those of another version of the package.

    The caller holds the transaction.

    Parameters
    ----------
    catalogue_version
        The version of the stored trait catalogue, 0 for none. A shipped catalogue that is not older replaces it.

    Returns
    -------
    int or None
        The version of the trait catalogue that is stored now, None where the stored one stayed.

    Raises
    ------
    WarehouseError
        If a shipped file is damaged.
    """
    for table in (*DATA, *RESULTS):
        connection.execute(f"DELETE FROM {SHIPPED}.{table}")
        rows = read(table)
        if rows is not None:
            connection.register("incoming", rows)
            connection.execute(f"INSERT INTO {SHIPPED}.{table} BY NAME SELECT * FROM incoming")
            connection.unregister("incoming")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE found_with AS {inputs_sql(SHIPPED)}")
    for table, column in RESULTS.items():
        connection.execute(
            f"UPDATE {SHIPPED}.{table} SET input = i.{column} FROM found_with i WHERE i.matrix = {table}.matrix"
        )
        # A result that the package brings replaces an equal one of the user.
        same = " AND ".join(f"o.{key} IS NOT DISTINCT FROM s.{key}" for key in (*NATURAL_KEYS[table], "input"))
        connection.execute(f"DELETE FROM {OWN}.{table} o USING {SHIPPED}.{table} s WHERE {same}")
    connection.execute("DROP TABLE found_with")
    return _install_catalogue(connection, catalogue_version)


def _install_catalogue(connection: duckdb.DuckDBPyConnection, stored: int) -> int | None:
    """The catalogue's version is that under which the shipped profiles were measured."""
    catalogue, datasets = read("trait_catalogue"), read("datasets")
    if catalogue is None or datasets is None:
        return None
    versions = [json.loads(details or "{}").get("catalogue_version", 0) for details in datasets["details"].to_pylist()]
    if max(versions, default=0) < stored:
        return None
    connection.execute("DELETE FROM trait_catalogue")
    connection.register("incoming", catalogue)
    connection.execute("INSERT INTO trait_catalogue BY NAME SELECT * FROM incoming")
    connection.unregister("incoming")
    return max(versions, default=0)


def read(table: str) -> pa.Table | None:
    """The shipped rows of one table; None where there are none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = folder() / f"{table}.parquet"
    if not file.exists():
        return None
    try:
        rows = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise WarehouseError(
            f"the reference data of traitcast is damaged ({file.name}: {str(error).splitlines()[0]}). "
            "Install it again: pip install --force-reinstall traitcast"
        ) from error
    # Files of earlier releases have this flag.
    return rows.drop_columns(["reference"]) if "reference" in rows.column_names else rows
