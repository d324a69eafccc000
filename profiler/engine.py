"""What the profiler asks of an engine that reads, counts and parses somewhere else, such as on a Ray cluster.

Without one (None) the same work is done in this process and its workers. The implementation is `profiler.ray.engine`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from traitcast.profiler.parsing.parser import BatchCounts, Parser, TextBatch
from traitcast.profiler.passes.table import RowTable
from traitcast.profiler.roles.spec import DatasetSpec

T = TypeVar("T")
# A `reading.files.FilePart`, and a `reading.examples.Tally`: the reader, which asks an engine, is above this module.
FilePart: TypeAlias = Any
Tally: TypeAlias = Any


class Engine(Protocol):
    """Where the costly steps of a profile run. The numbers are the same bytes on every engine."""

    def read(
        self,
        files: Sequence[FilePart],
        spec: DatasetSpec,
        on_rows: Callable[[int], None],
        trained: frozenset[str] | None,
        watched: frozenset[str],
    ) -> tuple[RowTable, str, Tally]:
        """(rows, fingerprint, tally) of files by known roles, as `examples.build_table` gives them.

        trained, watched: as `examples.Converter` takes them.
        """
        ...

    def on_files(self, files: Sequence[FilePart], work: Callable[[Sequence[FilePart]], T]) -> Iterator[T]:
        """What a module-level function makes of the files, some consecutive ones at a time, in order."""
        ...

    def row_table(self, table: Any) -> RowTable:
        """The rows of `Examples.table`, wherever they are."""
        ...

    def count_batches(self, parser: Parser, batches: Iterable[TextBatch]) -> Iterator[BatchCounts]:
        """The counts of each batch of texts, in order, as `Parser.count_batch` gives them."""
        ...
