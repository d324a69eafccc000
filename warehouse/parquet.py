"""Parquet files that are held whole, with a limit: a hundred kilobytes can hold a billion rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from traitcast.warehouse.files import check_regular

if TYPE_CHECKING:
    import pyarrow as pa

MAX_COLUMNS = 4096


def read_parquet(path: Path, columns: Sequence[str] | None = None, *, most_rows: int) -> pa.Table:
    """The columns of a Parquet file, all of them for None.

    Raises
    ------
    OSError
        It cannot be read, or is no regular file.
    ValueError
        It is damaged (`pyarrow.ArrowInvalid` is one), has more than `most_rows` rows or MAX_COLUMNS columns.
    KeyError
        It lacks a column.
    """
    import pyarrow.parquet as pq

    check_regular(path)
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        about = file.metadata
        for n, most, what in ((about.num_rows, most_rows, "rows"), (about.num_columns, MAX_COLUMNS, "columns")):
            if n > most:
                raise ValueError(f"it has {n:,} {what}, more than {most:,}")
        table = file.read(columns=None if columns is None else list(columns))
    return table if columns is None else table.select(list(columns))
