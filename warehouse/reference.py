"""The reference data that ships with the package: profiles of public datasets, published or measured
matrices, and the default predictor. Numbers only, as Parquet; never a text of a dataset.

Owns the files under `reference/`: how they are written from a warehouse and read into one.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from warehouse.schema import NATURAL_KEYS

if TYPE_CHECKING:
    import duckdb


def folder() -> Path:
    """Where the shipped files are; TRAITCAST_REFERENCE names another folder (an empty one: no reference)."""
    return Path(os.environ.get("TRAITCAST_REFERENCE") or Path(__file__).parent / "reference")


# Tables that travel with the package. Those in _OWNED have no `reference` column of their own: their rows
# belong to the dataset or matrix named by the column given here.
_FLAGGED = ("datasets", "matrices", "predictors")
_OWNED = {
    "traits": ("dataset", "datasets", "name"),
    "label_counts": ("dataset", "datasets", "name"),
    "length_histograms": ("dataset", "datasets", "name"),
    "sketches": ("dataset", "datasets", "name"),
    "scores": ("matrix", "matrices", "matrix"),
    "predicted_labels": ("matrix", "matrices", "matrix"),
    "generations": ("matrix", "matrices", "matrix"),
    "adapters": ("matrix", "matrices", "matrix"),
}


def version() -> str:
    """A hash over the shipped files; empty when the package carries none."""
    digest = hashlib.blake2b(digest_size=8)
    files = sorted(folder().glob("*.parquet"))
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest() if files else ""


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Put the shipped rows into an open warehouse, replacing older reference rows and nothing of the user's.

    A dataset, matrix or predictor that the user stored under the same name stays as it is. The caller
    holds the transaction.
    """
    import pyarrow.parquet as pq

    for child, (column, parent, key) in _OWNED.items():
        connection.execute(f"DELETE FROM {child} WHERE {column} IN (SELECT {key} FROM {parent} WHERE reference)")
    for table in _FLAGGED:
        connection.execute(f"DELETE FROM {table} WHERE reference")
    kept = {
        table: [row[0] for row in connection.execute(f"SELECT {NATURAL_KEYS[table][0]} FROM {table}").fetchall()]
        for table in _FLAGGED
    }
    for table in ("trait_catalogue", *_OWNED, *_FLAGGED):
        file = folder() / f"{table}.parquet"
        if not file.exists():
            continue
        connection.register("incoming", pq.read_table(file))
        if table == "trait_catalogue":
            if not connection.execute("SELECT count(*) FROM trait_catalogue").fetchall()[0][0]:
                connection.execute("INSERT INTO trait_catalogue BY NAME SELECT * FROM incoming")
        else:
            column, parent, _ = _OWNED.get(table, (NATURAL_KEYS[table][0], table, ""))
            names = kept[parent]
            connection.execute(
                f"INSERT INTO {table} BY NAME SELECT * FROM incoming WHERE NOT list_contains(?::VARCHAR[], {column})",
                [names],
            )
        connection.unregister("incoming")


def export(connection: duckdb.DuckDBPyConnection, destination: Path) -> None:
    """Write every dataset, matrix and predictor of a warehouse as reference files into `destination`.

    Rows are ordered by their natural key and carry no time stamp and no local path, so that the same
    warehouse content gives the same bytes.
    """
    import pyarrow.parquet as pq

    destination.mkdir(parents=True, exist_ok=True)
    for table in ("trait_catalogue", *_OWNED, *_FLAGGED):
        select = "*"
        if table in _FLAGGED:
            select = "* REPLACE (true AS reference)"
        if table == "datasets":
            # These two are paths of the machine that profiled.
            select = (
                "* REPLACE (true AS reference, NULL::TIMESTAMP AS profiled_at, "
                'json_merge_patch(details, \'{"origin": null, "spec": null}\') AS details)'
            )
        order = "position" if table == "trait_catalogue" else ", ".join(NATURAL_KEYS[table])
        rows = connection.sql(f"SELECT {select} FROM {table} ORDER BY {order}").to_arrow_table()
        if rows.num_rows:
            pq.write_table(rows, destination / f"{table}.parquet", compression="zstd", compression_level=19)


def main(warehouse_path: str, destination: str) -> None:
    """`python -m warehouse.reference WAREHOUSE FOLDER`: make the reference files of a release."""
    from warehouse.store import Warehouse

    if not Path(warehouse_path).is_file():
        raise SystemExit(f"no warehouse file {warehouse_path}; make it with: make reference")
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        warehouse.export_reference(Path(destination))


if __name__ == "__main__":
    main(*sys.argv[1:])
