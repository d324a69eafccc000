"""The rows of a dataset with roles applied, in this process or on a cluster.

Owns the interface (`RowTable`) and its implementation for a table of this process; `profiler.ray.blocks` implements it
for rows on a cluster. Refuses to hand out the whole table: callers get some rows, or what was made of blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from traitcast.profiler.passes.all_rows import RowTotals
    from traitcast.profiler.text.estimates import Ints

T = TypeVar("T")


class RowTable(Protocol):
    """Rows with the columns of `Examples.table`, wherever they are."""

    @property
    def num_rows(self) -> int: ...

    def take(self, numbers: npt.NDArray[np.integer]) -> pa.Table:
        """Some rows, in the order of `numbers`."""
        ...

    def batches(self, order: npt.NDArray[np.integer], rows: int) -> Iterator[pa.Table]:
        """The rows that `order` numbers, in that order, `rows` at a time; one empty table for an empty order."""
        ...

    def map_blocks(self, work: Callable[[pa.Table], T]) -> Iterator[T]:
        """The results of a module-level function on each block of rows, in order. Blocks are of any size."""
        ...

    def totals(self, keep: Ints) -> RowTotals:
        """The totals of all rows. keep: as in `RowTotals.of`."""
        ...


@dataclass(frozen=True, slots=True)
class LocalRows:
    """A table in the memory of this process, or mapped into it."""

    table: pa.Table

    @property
    def num_rows(self) -> int:
        return int(self.table.num_rows)

    def take(self, numbers: npt.NDArray[np.integer]) -> pa.Table:
        """As `spool.rows_at`."""
        from traitcast.profiler.text.spool import rows_at

        return rows_at(self.table, numbers)

    def batches(self, order: npt.NDArray[np.integer], rows: int) -> Iterator[pa.Table]:
        """As `RowTable.batches`, lazily."""
        return (self.take(order[first : first + rows]) for first in range(0, max(len(order), 1), rows))

    def map_blocks(self, work: Callable[[pa.Table], T]) -> Iterator[T]:
        """As `RowTable.map_blocks`, a record batch at a time."""
        import pyarrow as pa

        return (work(pa.Table.from_batches([batch])) for batch in self.table.to_batches())

    def totals(self, keep: Ints) -> RowTotals:
        """As `all_rows.count_rows`."""
        from traitcast.profiler.passes.all_rows import count_rows

        return count_rows(self.table, keep)


def row_table(table: Any) -> RowTable:
    """`Examples.table` as a `RowTable`: a table of this process, or rows that are on a cluster already."""
    import pyarrow as pa

    return LocalRows(table) if isinstance(table, pa.Table) else table
