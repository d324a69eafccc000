"""The costly steps of a profile on a Ray cluster: reading files, counting blocks of rows, parsing batches of texts.

Owns the connection, and how batches travel. Files are read as in `profiler.ray.files`, rows lie as in
`profiler.ray.blocks`. All are cut and put together so that a profile has the same bytes as without a cluster. Tasks
and no actors: a task that is lost with its node runs again elsewhere, a worker process loads its pipeline once whatever
it is called, and two actors on two CPUs were seen to wait for each other for ever (ray-project/ray#44687). It reads
files only: a hub dataset is read by the process that asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, TypeVar

from traitcast.profiler.parsing.parser import BatchCounts, Parser, TextBatch, one_thread
from traitcast.profiler.passes.table import RowTable
from traitcast.profiler.ray import files as cluster_reading
from traitcast.profiler.ray.blocks import Blocks, Shipped
from traitcast.profiler.reading.files import FilePart
from traitcast.profiler.reading.tally import Tally
from traitcast.profiler.roles.spec import DatasetSpec
from traitcast.warehouse import ray_cluster
from traitcast.warehouse.errors import TraitcastError

T = TypeVar("T")

# Handing a task over costs milliseconds; this takes about a second.
_TASK_BATCHES = 4


@dataclass
class RayEngine:
    """What reading and `profile` ask of a cluster. connect: gives Ray, connected; it is called when the first of it is
    asked, so that a mistake in a file's name or roles is reported without a cluster."""

    connect: Callable[[], Any]

    @cached_property
    def ray(self) -> Any:
        """Ray, connected."""
        return self.connect()

    def read(
        self,
        files: Sequence[FilePart],
        spec: DatasetSpec,
        on_rows: Callable[[int], None],
        trained: frozenset[str] | None,
        watched: frozenset[str],
    ) -> tuple[Blocks, str, Tally]:
        """As `cluster_reading.read`."""
        return cluster_reading.read(self.ray, files, spec, on_rows, trained, watched)

    def on_files(self, files: Sequence[FilePart], work: Callable[[Sequence[FilePart]], T]) -> Iterator[T]:
        """As `cluster_reading.on_files`."""
        return cluster_reading.on_files(self.ray, files, work)

    def row_table(self, table: Any) -> RowTable:
        """The rows of `Examples.table`, wherever they are, counted on the cluster."""
        return table if isinstance(table, Blocks) else Shipped(table, self.ray)

    def count_batches(self, parser: Parser, batches: Iterable[TextBatch]) -> Iterator[BatchCounts]:
        """The counts of each batch, in order, as `Parser.count_batch` gives them."""
        remote = self.ray.remote(max_retries=ray_cluster.RETRIES)(_parsed)

        def submit(some: Sequence[TextBatch]) -> Any:
            return remote.remote(parser.name, parser.language, parser.model, some)

        left = iter(batches)
        tasks = iter(lambda: list(islice(left, _TASK_BATCHES)), [])
        for counted in ray_cluster.in_order(self.ray, submit, tasks, "a batch of texts"):
            yield from counted


@contextmanager
def engine(address: str | None, say: Callable[[str], None]) -> Iterator[RayEngine]:
    """An engine on the cluster at `address` (see `warehouse.ray_cluster.connected`)."""
    with ExitStack() as stack:

        def connect() -> Any:
            ray = stack.enter_context(ray_cluster.connected(address, say))
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            say(f"reading, counting and parsing on {sum(n.get('CPU', 0) for n in nodes):g} CPUs of {len(nodes)} nodes")
            return ray

        yield RayEngine(connect)


def _parsed(name: str, language: str, model: str, batches: Sequence[TextBatch]) -> list[BatchCounts]:
    """A task: the counts of some batches, by the pipeline of the process that asks."""
    parser = Parser.load(name, language)
    if parser.model != model:
        raise TraitcastError(f"a node has {parser.model}, and this machine {model}: install the same on all of them")
    with one_thread():
        return [parser.count_batch(batch) for batch in batches]
