"""Rows on a Ray cluster, in blocks, and what a profile asks of them (`profiler.passes.table.RowTable`).

Owns how rows travel: as bytes of an Arrow stream, a block to the task that works on it, and sampled rows, brought into
their order in steps, to the process that asks. Blocks stay where they are; only what was made of them comes here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from traitcast.profiler.passes.all_rows import BLOCK_ROWS, RowTotals, slice_rows
from traitcast.profiler.passes.table import LocalRows
from traitcast.profiler.reading.examples import table_schema
from traitcast.profiler.text.estimates import Ints
from traitcast.warehouse import ray_cluster

T = TypeVar("T")
Numbers = npt.NDArray[np.integer]

# Handing a task over costs milliseconds; these take about a second.
TASK_ROWS = 4 * BLOCK_ROWS
# Pieces that a task takes apart, and that it makes: 10^9 rows are in order after five such steps, and each holds no
# more than these blocks twice. A block has 28 MB and a row at most, of which files allow 32 MB, and pieces of a random
# order are about as large: a column of eight is far below the 2 GB that 32-bit offsets of Arrow reach.
_WAYS = 8
_PLACE = "place"
_COUNTING, _SAMPLING = "a block of rows", "a part of the sample"


@dataclass(frozen=True, slots=True)
class Blocks:
    """ray: connected. blocks: references to packed tables. starts: int64 (blocks + 1,), the row each begins with."""

    ray: Any
    blocks: Sequence[Any]
    starts: Ints

    @property
    def num_rows(self) -> int:
        return int(self.starts[-1])

    def take(self, numbers: Numbers) -> pa.Table:
        """As `RowTable.take`."""
        (found,) = self.batches(numbers, max(len(numbers), 1))
        return found

    def batches(self, order: Numbers, rows: int) -> Iterator[pa.Table]:
        """As `RowTable.batches`."""
        if len(order):
            return self._walk(self._taken(order), 0, len(order), rows)
        return iter([table_schema().empty_table()])

    def map_blocks(self, work: Callable[[pa.Table], T]) -> Iterator[T]:
        """As `RowTable.map_blocks`."""
        remote = self._remote(_made)
        return ray_cluster.in_order(self.ray, lambda ref: remote.remote(ref, work), self.blocks, _COUNTING)

    def totals(self, keep: Ints) -> RowTotals:
        """As `RowTable.totals`."""
        remote, inside = self._remote(totals_of), np.searchsorted(keep, self.starts)
        orders = zip(self.blocks, self.starts.tolist(), pairwise(inside.tolist()), strict=False)
        return merged(
            ray_cluster.in_order(self.ray, lambda o: remote.remote(o[0], keep[slice(*o[2])] - o[1]), orders, _COUNTING)
        )

    def _remote(self, work: Callable[..., Any]) -> Any:
        return self.ray.remote(max_retries=ray_cluster.RETRIES)(work)

    def _taken(self, order: Numbers) -> list[Any]:
        """References to the rows of an order that each block holds, with their places in it."""
        remote, back = self._remote(_taken), np.argsort(order, kind="stable")
        # As a type of one size: else the search makes a copy of the order in the larger one, 8 bytes a row.
        inside = np.searchsorted(order, self.starts.astype(order.dtype), sorter=back)
        place = np.int32 if len(order) < 1 << 31 else np.int64

        def submit(number: int) -> list[Any]:
            places = back[inside[number] : inside[number + 1]]
            numbers = (order[places] - self.starts[number]).astype(np.int32)
            return [remote.remote(self.blocks[number], numbers, places.astype(place))]

        return [ref for (ref,) in ray_cluster.begun(self.ray, submit, np.flatnonzero(np.diff(inside)).tolist())]

    def _walk(self, pieces: list[Any], first: int, last: int, rows: int) -> Iterator[pa.Table]:
        """The rows at the places first to last, which the pieces hold in any order, so many at a time."""
        if last - first <= rows:
            yield _joined(ray_cluster.result(self.ray, pieces, _SAMPLING)).drop_columns([_PLACE])
            return
        step = rows * -(-(last - first) // (rows * _WAYS))
        edges = np.array([*range(first, last, step), last])
        remote = self._remote(_split).options(num_returns=len(edges) - 1)
        groups = [pieces[at : at + _WAYS] for at in range(0, len(pieces), _WAYS)]
        split = ray_cluster.begun(self.ray, lambda some: remote.remote(edges, *some), groups)
        # What is not needed any more is let go, so that the cluster may.
        del pieces[:], groups
        for low, high in pairwise(edges.tolist()):
            yield from self._walk([made.pop(0) for made in split], low, high, rows)


@dataclass(frozen=True, slots=True)
class Shipped(LocalRows):
    """A table of this process whose rows are counted on a cluster. ray: connected."""

    ray: Any

    def totals(self, keep: Ints) -> RowTotals:
        """As `RowTable.totals`."""
        remote = self.ray.remote(max_retries=ray_cluster.RETRIES)(totals_of)

        def submit(first: int) -> Any:
            rows, kept = slice_rows(self.table, keep, first, TASK_ROWS)
            return remote.remote(packed(rows), kept)

        return merged(ray_cluster.in_order(self.ray, submit, range(0, self.num_rows, TASK_ROWS), _COUNTING))


def merged(blocks: Iterator[RowTotals]) -> RowTotals:
    """The totals of consecutive blocks."""
    totals = RowTotals()
    for counted in blocks:
        totals.merge(counted)
    return totals


def packed(table: pa.Table) -> bytes:
    """Numbers as bytes: pickled, a slice would take the buffers of the whole table along."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def unpacked(content: bytes) -> pa.Table:
    """What was packed."""
    return pa.ipc.open_stream(content).read_all()


def totals_of(content: bytes, keep: Ints) -> RowTotals:
    """A task: the totals of a block. keep is not written to, which Ray would not allow."""
    return RowTotals.of(unpacked(content), keep)


def _made(content: bytes, work: Callable[[pa.Table], Any]) -> Any:
    """A task: what a function makes of a block."""
    return work(unpacked(content))


def _taken(content: bytes, numbers: Numbers, places: Numbers) -> bytes:
    """A task: some rows of a block, and the place of each in the sample."""
    return packed(unpacked(content).take(pa.array(numbers)).append_column(_PLACE, pa.array(places)))


def _split(edges: Ints, *pieces: bytes) -> tuple[bytes, ...]:
    """A task: the rows of some pieces by place, from one edge to the next."""
    table = _joined(pieces)
    places = table[_PLACE].to_numpy()
    cuts = np.searchsorted(places, edges.astype(places.dtype)).tolist()
    return tuple(packed(table.slice(low, high - low)) for low, high in pairwise(cuts))


def _joined(pieces: Sequence[bytes]) -> pa.Table:
    """The rows of some pieces, by place."""
    table = pa.concat_tables([unpacked(piece) for piece in pieces])
    return table.take(pa.array(np.argsort(table[_PLACE].to_numpy())))
