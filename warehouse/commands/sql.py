"""`traitcast sql`: a query of the user, printed or written to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from traitcast.warehouse.console import (
    as_csv,
    as_json,
    as_jsonl,
    count,
    emit,
    format_option,
    report_errors,
    say,
    warehouse_option,
)
from traitcast.warehouse.errors import QueryError
from traitcast.warehouse.files import check_output, replaced

if TYPE_CHECKING:
    import pyarrow as pa


_OTHER_OUTPUT = "Choose another file with --output."
_FILE_SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")


@click.command()
@click.argument("query")
@click.option("--output", type=click.Path(dir_okay=False), help="Write to FILE (.csv, .json, .jsonl or .parquet).")
@click.option("--allow-external", is_flag=True, help="Let the query read other files, as in FROM 'mine.csv'.")
@warehouse_option
@format_option("table", "csv", "json", "jsonl")
@report_errors
def sql(query: str, output: str | None, allow_external: bool, warehouse_path: str, output_format: str) -> None:
    """Run one read-only SQL statement over the warehouse.

    \b
    Examples:
      traitcast sql "SELECT * FROM profiles" --output profiles.parquet
      traitcast sql "SELECT name, label_majority_share FROM profiles
                     WHERE label_majority_share > .8 AND response_tokens_mean < 3"
      traitcast sql "SELECT trait, unit, definition FROM trait_catalogue" --format csv
    """
    from traitcast.warehouse.database.warehouse import Warehouse

    destination = Path(output) if output else None
    if destination and destination.suffix not in _FILE_SUFFIXES:
        raise QueryError(f"cannot write {destination.name!r}: --output ends in one of {', '.join(_FILE_SUFFIXES)}.")
    if destination:
        check_output(destination, cure=_OTHER_OUTPUT)
    with Warehouse.open(warehouse_path, read_only=True, external=allow_external) as warehouse:
        result = warehouse.query(query, text=destination is None or destination.suffix != ".parquet")
    if destination:
        _write(result, destination)
        say(f"wrote {count(result.num_rows, 'row')} to {destination}")
    else:
        emit(_rows(result), output_format, result.column_names)
        if output_format == "table":
            say(count(result.num_rows, "row"))


def _write(result: pa.Table, destination: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with replaced(destination, cure=_OTHER_OUTPUT, error=QueryError) as file:
            if destination.suffix == ".parquet":
                pq.write_table(result, file)
            else:
                file.write(_text(result, destination.suffix).encode())
    except pa.ArrowException as error:  # lists of NULLs, before pyarrow 25
        raise QueryError(
            f"cannot write {destination} ({error}). CAST the column to VARCHAR, or choose a .json file with --output."
        ) from error


def _text(result: pa.Table, suffix: str) -> str:
    rows = _rows(result)
    if suffix == ".csv":
        return as_csv(rows, result.column_names)
    return as_jsonl(rows) if suffix == ".jsonl" else as_json(rows) + "\n"


def _rows(result: pa.Table) -> list[dict[str, Any]]:
    return result.to_pylist(maps_as_pydicts="strict")
