"""What the profiler asks of an engine that reads, counts and parses somewhere else, such as on a Ray cluster.

Without one (None) the same work is done in this process and its workers. The implementation is `profiler.ray.engine`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from traitcast.profiler.parsing.parser import Batch, Counted, Parser
from traitcast.profiler.passes.table import Held
from traitcast.profiler.reading.examples import Tally
from traitcast.profiler.reading.files import FilePart
from traitcast.profiler.roles.spec import DatasetSpec

T = TypeVar("T")


class Engine(Protocol):
    """Where the costly steps of a profile run. The numbers are the same bytes on every engine."""

    def read(
        self, files: Sequence[FilePart], spec: DatasetSpec, on_rows: Callable[[int], None]
    ) -> tuple[Held, str, Tally]:
        """(rows, fingerprint, tally) of files by known roles, as `examples.build_table` gives them."""
        ...

    def on_files(self, files: Sequence[FilePart], work: Callable[[Sequence[FilePart]], T]) -> Iterator[T]:
        """What a module-level function makes of the files, some consecutive ones at a time, in order."""
        ...

    def held(self, table: Any) -> Held:
        """The rows of `Examples.table`, wherever they are."""
        ...

    def count_batches(self, parser: Parser, batches: Iterable[Batch]) -> Iterator[Counted]:
        """The counts of each batch of texts, in order, as `Parser.count_batch` gives them."""
        ...
