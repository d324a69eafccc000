"""The rows of a dataset with roles applied, wherever they lie: what a profile asks of them.

Owns the few questions (`RowTable`) and their answers for a table of this process. Rows on a cluster answer them in
`profiler.ray.blocks`. Refuses to hand out the whole table: whoever asks gets some rows, or what was made of blocks.
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
    """Rows with the columns of `Examples.table`."""

    @property
    def num_rows(self) -> int: ...

    def take(self, numbers: npt.NDArray[np.integer]) -> pa.Table:
        """Some rows, in the order of their numbers."""
        ...

    def batches(self, order: npt.NDArray[np.integer], rows: int) -> Iterator[pa.Table]:
        """The rows of an order, so many at a time; one table without rows where the order is empty."""
        ...

    def map_blocks(self, work: Callable[[pa.Table], T]) -> Iterator[T]:
        """What a function of a module makes of each block, in the order of the rows. Blocks are of any size."""
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
        """As `RowTable.batches`, read as it is asked for."""
        return (self.take(order[first : first + rows]) for first in range(0, max(len(order), 1), rows))

    def map_blocks(self, work: Callable[[pa.Table], T]) -> Iterator[T]:
        """As `RowTable.map_blocks`, a record batch at a time."""
        import pyarrow as pa

        return (work(pa.Table.from_batches([batch])) for batch in self.table.to_batches())

    def totals(self, keep: Ints) -> RowTotals:
        """As `totals.count_rows`."""
        from traitcast.profiler.passes.all_rows import count_rows

        return count_rows(self.table, keep)


def row_table(table: Any) -> RowTable:
    """The rows of `Examples.table`, which is a table of this process or is held already."""
    import pyarrow as pa

    return LocalRows(table) if isinstance(table, pa.Table) else table
