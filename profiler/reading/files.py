"""One data file, whatever its format, as rows: JSON Lines, JSON, CSV, TSV, Parquet, Arrow.

Owns parsing and its messages (file, line, column). Text formats stream line by line; Parquet and Arrow stream
batch by batch. What a row means is not known here.
"""

from __future__ import annotations

import csv
import json
import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from traitcast.profiler.reading.json_rows import document_rows, json_lines
from traitcast.profiler.reading.source import Part, Row
from traitcast.profiler.reading.text_lines import (
    COMPRESSIONS,
    MAX_LINE_BYTES,
    Unpacking,
    compression,
    open_bytes,
    read_lines,
    refuse_misnamed,
)
from traitcast.profiler.roles.values import listed, shorten
from traitcast.warehouse.errors import InputError

FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
ACCEPTED = f"{', '.join(FORMATS)} (each also with {', '.join(COMPRESSIONS)})"

# A table wider than this is a matrix of features; rows of text have a handful of columns.
MAX_COLUMNS = 4096

_BATCH_ROWS, _FEWEST_ROWS = 1024, 16
_BATCH_BYTES = 1 << 30
_GLANCE_BYTES = 1 << 20


def data_format(path: Path) -> str | None:
    """The format that a file name states, None for a name that states none."""
    plain = path.with_suffix("") if compression(path) else path
    return FORMATS.get(plain.suffix.lower())


@dataclass(frozen=True)
class FilePart:
    """One data file. `format` is one of the values of FORMATS."""

    path: Path
    format: str

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def unit(self) -> str:
        return "line" if self.format in ("jsonl", "csv", "tsv") else "row"

    def rows(self, columns: Collection[str] | None = None) -> Iterator[tuple[int, Row]]:
        """(line or row number from 1, row) in order. Raises InputError naming the file and the place."""
        if self.format == "jsonl":
            return json_lines(self.path)
        if self.format == "json":
            return document_rows(self.path)
        if self.format in ("csv", "tsv"):
            return separated_rows(self.path, self.format)
        return self._arrow_rows(columns)

    def label_names(self) -> Mapping[str, tuple[str, ...]]:
        """Class names that the `datasets` library wrote into the schema of a Parquet or Arrow file."""
        if self.format not in ("parquet", "arrow"):
            return {}
        with _arrow_file(self) as table:
            return class_names((table.schema.metadata or {}).get(b"huggingface"))

    def count(self) -> int | None:
        """Rows of a Parquet file, from its footer; None for other formats."""
        if self.format != "parquet" or compression(self.path):
            return None
        with _arrow_file(self) as table:
            return table.rows

    def estimate(self) -> int | None:
        """Rows of a Parquet file; of lines of text, by the line ends in the first megabyte."""
        if self.format not in ("jsonl", "csv", "tsv") or compression(self.path):
            return self.count()
        with self.path.open("rb") as file:
            start = file.read(_GLANCE_BYTES)
        return round(self.path.stat().st_size * start.count(b"\n") / len(start)) if start else 0

    def notes(self) -> list[str]:
        """Which separator was taken, where the file name does not say."""
        if self.format != "csv":
            return []
        separator = _separator(self.path, self.format)
        return [] if separator == "," else [f"{self.path.name}: columns are separated by {separator!r}"]

    def _arrow_rows(self, columns: Collection[str] | None) -> Iterator[tuple[int, Row]]:
        with _arrow_file(self) as table:
            number, unpacking = 0, Unpacking(self.path)
            for batch in table.batches(columns):
                unpacking.add(_unpacked_bytes(batch))
                for row in _python_rows(batch, f"{self.path}: rows {number + 1:,} to {number + batch.num_rows:,}"):
                    number += 1
                    yield number, row


def files_of(parts: Sequence[Part]) -> tuple[FilePart, ...]:
    """The parts, if all of them are files, which others can read too; else none."""
    files = tuple(part for part in parts if isinstance(part, FilePart))
    return files if len(files) == len(parts) else ()


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
            columns[name] = values.to_pylist()
        except (ValueError, OverflowError, ImportError) as error:
            raise InputError(
                f"{where}: column {shorten(name)} ({values.type}) holds what cannot be read: {error}. Remove the "
                "column, or write it as text"
            ) from error
    if not columns:
        return [{} for _ in range(batch.num_rows)]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


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


def separated_rows(path: Path, kind: str) -> Iterator[tuple[int, Row]]:
    """Rows of a CSV or TSV file with a header line; every row must have as many cells as the header."""
    csv.field_size_limit(MAX_LINE_BYTES)
    separator = _separator(path, kind)
    quoted = kind == "csv" or _tsv_is_quoted(path)
    lines = (line for _, line in read_lines(path))
    if quoted:
        reader = csv.reader(lines, delimiter=separator, strict=True)
    else:
        reader = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE, strict=True)
    header: list[str] | None = None
    start = 1
    try:
        for cells in reader:
            if header is None:
                # Excel writes the separator above the header.
                header = _header(cells, path, kind) if cells and cells[0].lower() != "sep=" else None
            elif cells:
                if len(cells) != len(header):
                    raise InputError(_ragged(path, start, cells, header, separator))
                yield start, dict(zip(header, cells, strict=True))
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}: line {start}: broken {kind.upper()}: {_csv_words(error, path)}") from error


def _ragged(path: Path, number: int, cells: list[str], header: list[str], separator: str) -> str:
    hint = f"A cell that contains {separator!r} must be quoted"
    if len(cells) == len(header) - 1 and header[-1] == _unnamed(len(header)):
        hint = f"The last column has no name: remove the {separator!r} at the end of the header"
    elif len(cells) < len(header):
        hint = f"Write empty cells too, with their {separator!r}"
    return (
        f"{path}: line {number} has {len(cells)} cells, but the header has {len(header)} ({listed(header, 12)}). {hint}"
    )


def _csv_words(error: csv.Error, path: Path) -> str:
    """What is wrong and what to do, in words that do not come from the csv module where those mislead."""
    if "new-line character" in str(error):
        new = f"tr '\\r' '\\n' < {shlex.quote(path.name)} > new-file"
        return f"a carriage return stands where no line feed follows. If lines end so, convert them: {new}"
    return f'{error}. A cell with a quote in it is written "like ""this"""'


def _unnamed(number: int) -> str:
    return f"column_{number}"


def _header(cells: list[str], path: Path, kind: str) -> list[str]:
    if cells[0].lstrip().startswith(("{", "[{")):
        raise InputError(f"{path}: line 1 is JSON, not a header; name the file .jsonl or .json")
    if kind == "tsv" and len(cells) == 1 and ("," in cells[0] or ";" in cells[0]):
        raise InputError(
            f"{path}: no tab in the header {shorten(cells[0])}; a file with other separators is named .csv"
        )
    names = [cell.strip() or _unnamed(number) for number, cell in enumerate(cells, 1)]
    return checked_columns(names, f"{path}: the header")


def checked_columns(names: list[str], where: str) -> list[str]:
    """Column names, refused when one repeats or there are too many."""
    if len(names) > MAX_COLUMNS:
        raise InputError(f"{where} has {len(names):,} columns; a text dataset has at most {MAX_COLUMNS:,}")
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise InputError(f"{where} has the duplicate column name {shorten(repeated[0])}; rename one of the columns")
    return names


def _separator(path: Path, kind: str) -> str:
    """Tab for TSV. For CSV the comma, unless only another separator splits the header."""
    if kind == "tsv":
        return "\t"
    first = next((line for _, line in read_lines(path) if not line.isspace()), "")
    if first.lower().startswith("sep=") and len(first.strip()) == 5:
        return first.strip()[-1]
    return next((mark for mark in (",", ";", "\t", "|") if mark in first), ",")


def _tsv_is_quoted(path: Path, records: int = 1000) -> bool:
    """Whether a TSV quotes cells as CSV does. Many (GLUE's) write quotes as plain characters instead: read as
    quotes those swallow line ends, so the cells of a row no longer match the header."""
    reader = csv.reader((line for _, line in read_lines(path)), delimiter="\t", strict=True)
    try:
        widths = {len(cells) for cells in islice(reader, records) if cells}
    except csv.Error:
        return False
    return len(widths) <= 1


@contextmanager
def _arrow_file(part: FilePart) -> Iterator[_ArrowFile]:
    """An open Parquet or Arrow file; anything pyarrow objects to becomes an InputError."""
    import pyarrow as pa

    try:
        with open_bytes(part.path) as stream:
            start = stream.read(64)
        if not start.startswith((b"PAR1", b"ARROW1")):
            refuse_misnamed(start, part.path)
        with _seekable(part.path) as source:
            table = _ArrowFile(source, part.format)
            checked_columns(table.schema.names, f"{part.path}: the schema")
            yield table
    except (pa.ArrowException, OSError, EOFError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"cannot read {part.path}: {reason}") from error
        raise InputError(
            f"{part.path}: damaged, truncated or no {part.format} file ({reason}). Copy or write it again"
        ) from error


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


class _ArrowFile:
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
        """Rows of a batch: fewer where a row group is large, since one text of its dictionary may stand in each."""
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
