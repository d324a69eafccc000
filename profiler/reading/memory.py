"""Datasets that are in memory: a list of dicts, a frame of pandas or polars, an Arrow table, a `datasets.Dataset`.

Owns telling them apart without importing a library that made none of them. Nothing is copied to disk. Refuses streams
and what has no rows by name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from traitcast.profiler.reading.hub import HubPart
from traitcast.profiler.reading.source import ALL, Row, Source
from traitcast.profiler.roles.values import IN_MEMORY, shorten
from traitcast.warehouse.errors import InputError

_NAME = "data"
_BATCH_ROWS = 1024
_TAKEN = (
    "a path, a hub id, a list of dicts, a pandas or polars frame, an Arrow table, a datasets.Dataset or DatasetDict, "
    "or a dict of those by split"
)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one split as dicts, or an Arrow table of them."""

    split: str
    held: Any
    unit: str = "row"

    @property
    def name(self) -> str:
        return _named(self.split)

    def rows(self, columns: Collection[str] | None = None) -> Iterator[tuple[int, Row]]:
        """(row number from 1, row)."""
        if isinstance(self.held, list):
            for number, row in enumerate(self.held, start=1):
                if not isinstance(row, Mapping):
                    raise InputError(f"{self.name}: row {number} is {shorten(row)}; expected a dict of columns")
                yield number, {name: _plain(value) for name, value in row.items()}
            return
        chosen = [name for name in self.held.column_names if columns is None or name in columns]
        number = 0
        for batch in self.held.select(chosen).to_batches(max_chunksize=_BATCH_ROWS):
            for row in batch.to_pylist():
                number += 1
                yield number, row

    def label_names(self) -> Mapping[str, tuple[str, ...]]:
        """Of the dictionary columns of a table, which pandas calls categories: their values are texts already."""
        return {}

    def count(self) -> int | None:
        """Rows."""
        return len(self.held)

    def estimate(self) -> int | None:
        """Rows."""
        return len(self.held)

    def notes(self) -> Sequence[str]:
        """None."""
        return ()

    def warnings(self) -> Sequence[str]:
        """None."""
        return ()


class _Loaded(HubPart):
    """A `datasets.Dataset`."""

    def __init__(self, split: str, dataset: Any) -> None:
        super().__init__(IN_MEMORY, None, split, None)
        self.loaded = dataset

    @property
    def name(self) -> str:
        return _named(self.split)


def _named(split: str) -> str:
    return IN_MEMORY if split == ALL else f"{IN_MEMORY} ({split})"


def is_in_memory(dataset: Any) -> bool:
    """Whether a dataset is no path and no hub id."""
    return not isinstance(dataset, str) and not hasattr(dataset, "__fspath__")


def memory_source(data: Any) -> Source:
    """The splits of data in memory; a mapping has one for each key. Raises InputError for what has no rows."""
    splits = {str(split): held for split, held in data.items()} if _is_splits(data) else {_split_of(data): data}
    if not splits:
        raise InputError(f"an empty {type(data).__name__} has no split to read")
    return Source(IN_MEMORY, _NAME, {split: (_part(split, held),) for split, held in splits.items()})


def _is_splits(data: Any) -> bool:
    """Whether it is a mapping of splits, and not of columns."""
    if not isinstance(data, Mapping):
        return False
    columns = [name for name, held in data.items() if isinstance(held, Sequence) and held and not _is_rows(held)]
    if columns:
        raise InputError(
            f"a dict of columns ({shorten(columns[0])}) cannot be told from one of splits: pass a frame, such as "
            "pandas.DataFrame(data)"
        )
    return True


def _is_rows(held: Any) -> bool:
    return (isinstance(held, Sequence) and isinstance(held[0], Mapping)) or not isinstance(held, Sequence)


def _split_of(data: Any) -> str:
    """What a `datasets.Dataset` says its split is."""
    split = str(getattr(data, "split", None) or ALL) if _library(data) == "datasets" else ALL
    return split if split.isidentifier() else ALL


def _library(data: Any) -> str:
    return type(data).__module__.split(".")[0]


def _part(split: str, data: Any) -> Rows | _Loaded:
    library = _library(data)
    if isinstance(data, list | tuple):
        return Rows(split, list(data))
    if library == "datasets":
        if hasattr(data, "num_rows"):
            return _Loaded(split, data)
        raise InputError(
            "a stream cannot be read twice: pass some of its rows, as list(dataset.take(2000)), or the hub id with "
            "stream=2000"
        )
    import pyarrow as pa

    if library == "pandas" and hasattr(data, "columns"):
        data = _of_pandas(data)
    elif library == "polars" and hasattr(data, "collect"):
        data = data.collect().to_arrow()
    elif library == "polars" and hasattr(data, "columns"):
        data = data.to_arrow()
    if not isinstance(data, pa.Table):
        raise InputError(f"{type(data).__name__} is no dataset; expected {_TAKEN}")
    return Rows(split, _decoded(data))


def _plain(value: Any) -> Any:
    """A value as Python and JSON have it: scalars and arrays of numpy and torch become numbers and lists."""
    if isinstance(value, dict):
        return {name: _plain(held) for name, held in value.items()}
    if isinstance(value, list):
        return [_plain(held) for held in value]
    return value.tolist() if hasattr(value, "dtype") and hasattr(value, "tolist") else value


def _of_pandas(frame: Any) -> Any:
    """A frame as an Arrow table. Raises InputError, naming the column that Arrow cannot hold."""
    import pyarrow as pa

    if twice := frame.columns[frame.columns.duplicated()].tolist():
        raise InputError(f"the frame has several columns {twice[0]!r}: give each its own name")
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        # Arrow says what it converted first and the column last.
        why, where = str(error.args[0]), re.search(r"column (.+) with type", str(error.args[-1]))
        column = f"column {where[1]!r}" if where else "a column"
        raise InputError(
            f"{column} of the frame cannot be read ({why.rstrip('.')}). Write one kind of value in the whole column"
            + (f", such as frame[{where[1]!r}].astype(str)" if where else "")
        ) from error


def _decoded(table: Any) -> Any:
    """Categories as the texts that they stand for."""
    import pyarrow as pa

    for at, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(at, field.name, table.column(at).cast(field.type.value_type))
    return table
