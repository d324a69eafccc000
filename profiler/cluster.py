"""The two costly steps of a profile on a Ray cluster: counting blocks of rows, and parsing batches of texts.

Owns how blocks and batches travel. Both are cut as they are without a cluster and put together in the same order, so
a profile has the same bytes. Tasks and no actors: a task that is lost with its node runs again elsewhere, a worker
process loads its pipeline once whatever it is called, and two actors on two CPUs were seen to wait for each other for
ever (ray-project/ray#44687). Refuses to read: rows are read, and their fingerprint is made, by whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from profiler.parse import Batch, Counted, Parser, one_thread
from profiler.totals import BLOCK_ROWS, Totals, block
from warehouse import cluster
from warehouse.errors import TraitcastError

if TYPE_CHECKING:
    from profiler.estimates import Ints

# Handing a task over costs milliseconds; these take about a second each.
_TASK_ROWS = 4 * BLOCK_ROWS
_TASK_BATCHES = 4
# A CPU that waits for its next task is lost.
_AHEAD = 3


@dataclass(frozen=True, slots=True)
class RayEngine:
    """What `profile` asks of a cluster. ray: connected."""

    ray: Any

    @property
    def _waiting(self) -> int:
        return max(4, _AHEAD * int(self.ray.cluster_resources().get("CPU", 1)))

    def count_rows(self, table: pa.Table, keep: Ints) -> Totals:
        """As `totals.count_rows`."""
        remote = self.ray.remote(max_retries=cluster.RETRIES)(_totals)

        def submit(first: int) -> Any:
            rows, kept = block(table, keep, first, _TASK_ROWS)
            return remote.remote(_packed(rows), kept)

        totals = Totals()
        starts = range(0, table.num_rows, _TASK_ROWS)
        for counted in cluster.in_order(self.ray, submit, starts, "a block of rows", waiting=self._waiting):
            totals.merge(counted)
        return totals

    def count_batches(self, parser: Parser, batches: Iterable[Batch]) -> Iterator[Counted]:
        """The counts of each batch, in order, as `Parser.count_batch` gives them."""
        remote = self.ray.remote(max_retries=cluster.RETRIES)(_parsed)

        def submit(some: Sequence[Batch]) -> Any:
            return remote.remote(parser.name, parser.language, parser.model, some)

        left = iter(batches)
        tasks = iter(lambda: list(islice(left, _TASK_BATCHES)), [])
        for counted in cluster.in_order(self.ray, submit, tasks, "a batch of texts", waiting=self._waiting):
            yield from counted


@contextmanager
def engine(address: str | None, say: Callable[[str], None]) -> Iterator[RayEngine]:
    """An engine on the cluster at `address` (see `warehouse.cluster.connected`)."""
    with cluster.connected(address, say) as ray:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        say(f"counting and parsing on {sum(n.get('CPU', 0) for n in nodes):g} CPUs of {len(nodes)} nodes")
        yield RayEngine(ray)


def _packed(table: pa.Table) -> bytes:
    """A slice as bytes: pickled it would take the buffers of the whole table along."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _totals(packed: bytes, keep: Ints) -> Totals:
    """A task: the totals of a block. keep is not written to, which Ray would not allow."""
    return Totals.of(pa.ipc.open_stream(packed).read_all(), keep)


def _parsed(name: str, language: str, model: str, batches: Sequence[Batch]) -> list[Counted]:
    """A task: the counts of some batches, by the very pipeline of whoever asks."""
    parser = Parser.load(name, language)
    if parser.model != model:
        raise TraitcastError(f"a node has {parser.model}, and this machine {model}: install the same on all of them")
    with one_thread():
        return [parser.count_batch(batch) for batch in batches]
