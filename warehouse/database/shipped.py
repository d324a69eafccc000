"""The reference data that ships with the package: profiles of public datasets, published or measured
matrices, and the default predictor. Numbers only, as Parquet; never a text of a dataset.

Owns the files under `reference/`: how they are written from a warehouse and read into one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from traitcast.warehouse.database.schema import FOUND, NATURAL_KEYS, Kind
from traitcast.warehouse.errors import WarehouseError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


def folder() -> Path:
    """Where the shipped files are; TRAITCAST_REFERENCE names another folder (an empty one: no reference)."""
    return Path(os.environ.get("TRAITCAST_REFERENCE") or Path(__file__).parents[1] / "reference")


# Tables that travel with the package. Those in OWNED have no `reference` column of their own: their rows
# belong to the dataset or matrix named by the column given here.
FLAGGED = ("datasets", "matrices", "predictors")
OWNED = {
    "traits": ("dataset", "datasets", "name"),
    "label_counts": ("dataset", "datasets", "name"),
    "length_histograms": ("dataset", "datasets", "name"),
    "sketches": ("dataset", "datasets", "name"),
    "scores": ("matrix", "matrices", "matrix"),
    "predicted_labels": ("matrix", "matrices", "matrix"),
    "generations": ("matrix", "matrices", "matrix"),
    "adapters": ("matrix", "matrices", "matrix"),
    "evaluations": ("matrix", "matrices", "matrix"),
    "latents": ("matrix", "matrices", "matrix"),
    "latent_factors": ("matrix", "matrices", "matrix"),
    "latent_scores": ("matrix", "matrices", "matrix"),
    "latent_traits": ("matrix", "matrices", "matrix"),
    "probes": ("matrix", "matrices", "matrix"),
    "lineage": ("matrix", "matrices", "matrix"),
    "targets": ("matrix", "matrices", "matrix"),
    "row_traits": ("matrix", "matrices", "matrix"),
    "row_scores": ("matrix", "matrices", "matrix"),
}

_AS_FOUND = (
    "matrix NOT IN (SELECT matrix FROM scores JOIN datasets d ON d.name IN (source, target) WHERE NOT d.reference)"
)


def names(kind: Kind) -> list[str]:
    """What the package ships of one kind, by name."""
    rows = _read(kind)
    return [] if rows is None else sorted(rows[NATURAL_KEYS[kind][0]].to_pylist())


def restore(connection: duckdb.DuckDBPyConnection, kind: Kind, name: str) -> None:
    """Put the shipped rows of one dataset, matrix or predictor in place of whatever is stored under its name.

    The caller holds the transaction, and has seen `name` in `names(kind)`.
    """
    key = NATURAL_KEYS[kind][0]
    owned = {table: column for table, (column, parent, _) in OWNED.items() if parent == kind}
    if kind == "predictors":
        for child in ("predictions", "attributions"):
            connection.execute(f"DELETE FROM {child} WHERE predictor = ?", [name])
    for table, column in {**owned, kind: key}.items():
        connection.execute(f"DELETE FROM {table} WHERE {column} = ?", [name])
        as_found = f" AND {_AS_FOUND}" if table in FOUND else ""
        _put_back(connection, table, f"{column} = ?{as_found}", [name])


def restore_found(connection: duckdb.DuckDBPyConnection) -> None:
    """Put back what the package found with traits, of shipped matrices that lost it and whose datasets are all shipped.

    The caller holds the transaction.
    """
    shipped = "matrix IN (SELECT matrix FROM matrices WHERE reference)"
    for table in FOUND:
        _put_back(connection, table, f"{shipped} AND matrix NOT IN (SELECT matrix FROM {table}) AND {_AS_FOUND}")


def _put_back(connection: duckdb.DuckDBPyConnection, table: str, where: str, parameters: Sequence[str] = ()) -> None:
    """Insert those shipped rows of a table that meet a condition."""
    rows = _read(table)
    if rows is not None:
        connection.register("incoming", rows)
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming WHERE {where}", list(parameters))
        connection.unregister("incoming")


def version() -> str:
    """A hash over the shipped files; empty when the package carries none."""
    digest = hashlib.blake2b(digest_size=8)
    files = sorted(folder().glob("*.parquet"))
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest() if files else ""


def install(connection: duckdb.DuckDBPyConnection, catalogue_version: int) -> int | None:
    """Put the shipped rows into an open warehouse, replacing older reference rows and nothing of the user's.

    A dataset, matrix or predictor that the user stored under the same name stays as it is. Stored predictions of
    a shipped predictor go with it. catalogue_version: that of the stored trait catalogue, 0 for none; a shipped
    catalogue that is not older takes its place. Returns the catalogue version now stored if it did. The caller
    holds the transaction. Raises WarehouseError if a shipped file is damaged.
    """
    for child, (column, parent, key) in OWNED.items():
        connection.execute(f"DELETE FROM {child} WHERE {column} IN (SELECT {key} FROM {parent} WHERE reference)")
    for child in ("predictions", "attributions"):
        connection.execute(f"DELETE FROM {child} WHERE predictor IN (SELECT predictor FROM predictors WHERE reference)")
    for table in FLAGGED:
        connection.execute(f"DELETE FROM {table} WHERE reference")
    for table in (*OWNED, *FLAGGED):
        _put_back(connection, table, _not_the_users(table))
    return _install_catalogue(connection, catalogue_version)


def _not_the_users(table: str) -> str:
    """SQL: the row's dataset, matrix or predictor is not one that the user stored."""
    column, parent, key = OWNED.get(table, (NATURAL_KEYS[table][0], table, NATURAL_KEYS[table][0]))
    own = f"{column} NOT IN (SELECT {key} FROM {parent} WHERE NOT reference)"
    return f"{own} AND {_AS_FOUND}" if table in FOUND else own


def _install_catalogue(connection: duckdb.DuckDBPyConnection, stored: int) -> int | None:
    """The catalogue's version is that under which the shipped profiles were measured."""
    catalogue, datasets = _read("trait_catalogue"), _read("datasets")
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


def _read(table: str) -> pa.Table | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = folder() / f"{table}.parquet"
    if not file.exists():
        return None
    try:
        return pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise WarehouseError(
            f"the reference data of traitcast is damaged ({file.name}: {str(error).splitlines()[0]}). "
            "Install it again: pip install --force-reinstall traitcast"
        ) from error
