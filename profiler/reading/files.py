"""One data file of any format as rows: JSON Lines, JSON, CSV, TSV, Parquet, Arrow.

Owns parsing and its messages (file, line, column). Text formats stream line by line; Parquet and Arrow stream
batch by batch. What a row means is not known here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from traitcast.profiler.reading.formats.arrow import arrow_file, arrow_rows, class_names
from traitcast.profiler.reading.formats.json_rows import document_rows, json_lines
from traitcast.profiler.reading.formats.separated import Dialect, dialect_of, separated_rows
from traitcast.profiler.reading.formats.text_lines import COMPRESSIONS, compression
from traitcast.profiler.reading.source import Part, Row

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

_GLANCE_BYTES = 1 << 20


def data_format(path: Path) -> str | None:
    """The format that a file name states, None for a name that states none."""
    plain = path.with_suffix("") if compression(path) else path
    return FORMATS.get(plain.suffix.lower())


@dataclass(frozen=True)
class FilePart:
    """One data file.

    Parameters
    ----------
    format
        One of the values of FORMATS.
    delimiter, quote
        What the user states about a CSV or TSV file, as `formats.separated.dialect_of` takes it.
    """

    path: Path
    format: str
    delimiter: str | None = None
    quote: str | None = None

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
            return separated_rows(self.path, self.format, self.dialect)
        return arrow_rows(self.path, self.format, columns)

    @property
    def dialect(self) -> Dialect:
        """Of a CSV or TSV file."""
        return dialect_of(self.path, self.format, self.delimiter, self.quote)

    def label_names(self) -> Mapping[str, tuple[str, ...]]:
        """Class names that the `datasets` library wrote into the schema of a Parquet or Arrow file."""
        if self.format not in ("parquet", "arrow"):
            return {}
        with arrow_file(self.path, self.format) as table:
            return class_names((table.schema.metadata or {}).get(b"huggingface"))

    def count(self) -> int | None:
        """Rows of a Parquet file, from its footer; None for other formats."""
        if self.format != "parquet" or compression(self.path):
            return None
        with arrow_file(self.path, self.format) as table:
            return table.rows

    def estimate(self) -> int | None:
        """Rows of a Parquet file; of lines of text, by the line ends in the first megabyte."""
        if self.format not in ("jsonl", "csv", "tsv") or compression(self.path):
            return self.count()
        with self.path.open("rb") as file:
            start = file.read(_GLANCE_BYTES)
        return round(self.path.stat().st_size * start.count(b"\n") / len(start)) if start else 0

    def notes(self) -> Sequence[str]:
        """What was decided about the file that its name does not say."""
        return self.dialect.notes if self.format in ("csv", "tsv") else ()

    def warnings(self) -> Sequence[str]:
        """What may be wrong with the file although it could be read."""
        return self.dialect.warnings if self.format in ("csv", "tsv") else ()


def files_of(parts: Sequence[Part]) -> tuple[FilePart, ...]:
    """The parts, if all of them are files, which others can read too; else none."""
    files = tuple(part for part in parts if isinstance(part, FilePart))
    return files if len(files) == len(parts) else ()
