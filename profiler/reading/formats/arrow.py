"""Parquet and Arrow files as rows, batch by batch, and the class names that the `datasets` library writes into them.

Refuses damaged files, and files that unpack to far more than their size.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from traitcast.profiler.reading.formats.text_lines import (
    Unpacking,
    checked_columns,
    compression,
    open_bytes,
    refuse_misnamed,
)
from traitcast.profiler.reading.source import Row
from traitcast.profiler.roles.values import shorten
from traitcast.warehouse.errors import InputError

_BATCH_ROWS, _FEWEST_ROWS = 1024, 16
_BATCH_BYTES = 1 << 30


def arrow_rows(path: Path, kind: str, columns: Collection[str] | None) -> Iterator[tuple[int, Row]]:
    """(row number from 1, row) of a Parquet or Arrow file. columns: those to read, None for all."""
    with arrow_file(path, kind) as table:
        number, unpacking = 0, Unpacking(path)
        if table.rows is not None:
            # A file of so many rows is refused before it is unpacked.
            Unpacking(path).add(8 * table.rows * max(1, len(table.schema.names)))
        for batch in table.batches(columns):
            unpacking.add(_unpacked_bytes(batch))
            for row in _python_rows(batch, f"{path}: rows {number + 1:,} to {number + batch.num_rows:,}"):
                number += 1
                yield number, row


def _unpacked_bytes(batch: Any) -> int:
    """The size of a record batch when every row has its own copy of what Arrow keeps once, and a word per cell."""
    import pyarrow as pa
    import pyarrow.compute as pc

    total = 8 * batch.num_rows * max(1, batch.num_columns)
    for values in batch.columns:
        total += values.nbytes
        if pa.types.is_dictionary(values.type) and pa.types.is_string(values.type.value_type):
            total += pc.sum(pc.binary_length(values.dictionary).take(values.indices)).as_py() or 0
    return total


def _python_rows(batch: Any, where: str) -> list[Row]:
    """Rows of a record batch. InputError naming the column whose values Python has no type for (the year 100,000)."""
    columns = {}
    for name, values in zip(batch.schema.names, batch.columns, strict=True):
        try:
            columns[name] = _as_text(values).to_pylist()
        except (ValueError, OverflowError, ImportError) as error:
            raise InputError(
                f"{where}: column {shorten(name)} ({values.type}) holds what cannot be read: {error}. Remove the "
                "column, or write it as text"
            ) from error
    if not columns:
        return [{} for _ in range(batch.num_rows)]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _as_text(values: Any) -> Any:
    """A column of binary values that hold UTF-8, as Spark writes texts, as text; any other column as it is."""
    import pyarrow as pa

    wanted = _text_type(values.type)
    if wanted == values.type:
        return values
    try:
        return values.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return values


def _text_type(kind: Any) -> Any:
    """A type with texts in place of binary values, also inside of lists and objects."""
    import pyarrow as pa

    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.large_string()
    if pa.types.is_list(kind):
        return pa.list_(_text_type(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_text_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _text_type(field.type)) for field in kind])
    return kind


def class_names(metadata: bytes | None) -> dict[str, tuple[str, ...]]:
    """ClassLabel names by column, from the schema metadata of the `datasets` library."""
    try:
        features = json.loads(metadata or b"{}").get("info", {}).get("features", {})
        inner = {name: _element(feature) for name, feature in features.items()}
        labelled = {name: f["names"] for name, f in inner.items() if f.get("_type") == "ClassLabel"}
    except (ValueError, AttributeError, KeyError):
        return {}
    return {name: tuple(str(n) for n in names) for name, names in labelled.items() if isinstance(names, list)}


def _element(feature: Any) -> dict[str, Any]:
    """The feature of the elements of a list, in its three spellings; any other feature as it is."""
    if isinstance(feature, list):
        return feature[0] if feature and isinstance(feature[0], dict) else {}
    inner = feature.get("feature")
    return inner if isinstance(inner, dict) else feature


@contextmanager
def arrow_file(path: Path, kind: str) -> Iterator[ArrowFile]:
    """An open Parquet or Arrow file; anything pyarrow objects to becomes an InputError."""
    import pyarrow as pa

    try:
        with open_bytes(path) as stream:
            start = stream.read(64)
        if not start.startswith((b"PAR1", b"ARROW1")):
            refuse_misnamed(start, path)
        with _seekable(path) as source:
            table = ArrowFile(source, kind)
            checked_columns(table.schema.names, f"{path}: the schema")
            yield table
    except (pa.ArrowException, OSError, EOFError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"cannot read {path}: {reason}") from error
        raise InputError(f"{path}: damaged, truncated or no {kind} file ({reason}). Copy or write it again") from error


@contextmanager
def _seekable(path: Path) -> Iterator[Any]:
    """The file for pyarrow, which needs random access: unpacked in memory when it is compressed from outside."""
    import pyarrow as pa

    if compression(path) is None:
        with pa.OSFile(str(path)) as source:
            yield source
    else:
        with open_bytes(path) as stream:
            unpacked = stream.read()
        yield pa.BufferReader(unpacked)


class ArrowFile:
    """Parquet, Arrow file and Arrow stream behind one face."""

    def __init__(self, source: Any, kind: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.rows: int | None = None
        if kind == "parquet":
            self.reader = pq.ParquetFile(source)
            self.schema, self.rows = self.reader.schema_arrow, self.reader.metadata.num_rows
            return
        magic = source.read(6)
        source.seek(0)
        self.reader = pa.ipc.open_file(source) if magic == b"ARROW1" else pa.ipc.open_stream(source)
        self.schema = self.reader.schema

    def batches(self, columns: Collection[str] | None) -> Iterator[Any]:
        """Record batches of at most 1,024 rows with the given columns (those that exist), or all."""
        names = [name for name in self.schema.names if columns is None or name in columns]
        if self.rows is not None:
            yield from self.reader.iter_batches(self._parquet_rows(), columns=names)
            return
        for batch in self._ipc_batches():
            chosen = batch.select(names)
            # Arrow believes the offsets in a file: damaged ones lead anywhere in memory.
            chosen.validate(full=True)
            for start in range(0, chosen.num_rows, _BATCH_ROWS):
                yield chosen.slice(start, _BATCH_ROWS)

    def _parquet_rows(self) -> int:
        """Rows of a batch: fewer where a row group is large, since one text of its dictionary may be in each."""
        about = self.reader.metadata
        # Not the sizes of its columns: pyarrow 26 ends the process when it looks into a damaged one.
        sizes = [about.row_group(group).total_byte_size for group in range(about.num_row_groups)]
        return max(_FEWEST_ROWS, min(_BATCH_ROWS, _BATCH_BYTES // max(1, *sizes, 1)))

    def _ipc_batches(self) -> Iterator[Any]:
        if hasattr(self.reader, "num_record_batches"):
            for index in range(self.reader.num_record_batches):
                yield self.reader.get_batch(index)
        else:
            yield from self.reader
