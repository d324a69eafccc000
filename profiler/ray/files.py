"""Files of a dataset, read by the nodes of a Ray cluster.

Owns which files one task reads, how a node knows that it sees the very files, and that rows, fingerprint, tally and
messages are those of one process that reads file after file: what of a file hangs on the files before it (the type of
a label) is judged here, in their order. Rows stay on the cluster; here come, block by block, the bytes that
go into the fingerprint. Refuses to cut a file: a task reads whole ones.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from traitcast.profiler.ray.blocks import TASK_ROWS, Blocks, packed
from traitcast.profiler.reading.examples import Converter, Fingerprint, encoded
from traitcast.profiler.reading.files import FilePart
from traitcast.profiler.reading.formats.text_lines import RATIO_VARIABLE
from traitcast.profiler.reading.labels import Labels
from traitcast.profiler.reading.reader import items
from traitcast.profiler.reading.tally import Tally
from traitcast.profiler.roles.spec import DatasetSpec
from traitcast.warehouse import ray_cluster
from traitcast.warehouse.errors import NotSharedError, UserError

T = TypeVar("T")

# A second of reading or less. Files of less share a task, also because Ray keeps what is below 100 KB in the memory of
# whoever asks, and blocks of many small files would all be.
_TASK_BYTES = 4 << 20
# Of a block's rows as JSON: long texts make a block of fewer rows. It ends with a chunk of `examples`, so it may have
# 12 MB more, and a row.
_BLOCK_BYTES = 16 << 20
_READING = "a file of rows"


@dataclass(frozen=True, slots=True)
class Files:
    """Consecutive files for one task.

    Parameters
    ----------
    sizes
        Their bytes as the asking process sees them, -1 where it could not find out.
    folder
        The working folder of that process.
    ratio
        The value of RATIO_VARIABLE there, "" where it is not set.
    """

    files: tuple[FilePart, ...]
    sizes: tuple[int, ...]
    folder: str
    ratio: str

    def seen(self) -> tuple[FilePart, ...]:
        """The files, on a node. Raises NotSharedError where one is not there, or is another."""
        if os.path.isdir(self.folder):
            # Paths may be relative, and are in messages as they were given.
            os.chdir(self.folder)
        os.environ[RATIO_VARIABLE] = self.ratio
        for file, size in zip(self.files, self.sizes, strict=True):
            found = _size(file)
            if size >= 0 and found != size:
                what = "is not there" if found < 0 else f"has {found:,} bytes and not {size:,}"
                raise NotSharedError(
                    f"{file.name} {what} on node {platform.node()}: with --engine ray the nodes read the files. Put "
                    "them into a folder that all nodes share, by the same path, or leave --engine ray out"
                )
        return self.files


def _size(file: FilePart) -> int:
    try:
        return file.path.stat().st_size
    except OSError:
        return -1


def tasks(files: Sequence[FilePart]) -> Iterator[Files]:
    """What each task reads."""
    some: list[FilePart] = []
    sizes: list[int] = []
    for number, file in enumerate(files, 1):
        some.append(file)
        sizes.append(_size(file))
        if sum(sizes) >= _TASK_BYTES or number == len(files):
            yield Files(tuple(some), tuple(sizes), os.getcwd(), os.environ.get(RATIO_VARIABLE, ""))
            some, sizes = [], []


def on_files(ray: Any, files: Sequence[FilePart], work: Callable[[Sequence[FilePart]], T]) -> Iterator[T]:
    """What a function of a module makes of the files, some consecutive ones at a time, in their order."""
    remote = ray.remote(max_retries=ray_cluster.RETRIES)(_worked)
    return ray_cluster.in_order(ray, lambda some: remote.remote(some, work), tasks(files), _READING)


def _worked(files: Files, work: Callable[[Sequence[FilePart]], Any]) -> Any:
    """A task: what a function makes of some files."""
    return work(files.seen())


@dataclass(frozen=True, slots=True)
class _Block:
    """rows: kept ones. read: rows of the task that were read so far. content: of `encoded`."""

    rows: int
    read: int
    content: bytes


@dataclass(frozen=True, slots=True)
class _End:
    """first: of `Labels`. error: what is wrong with a row of the files, which ended the reading."""

    tally: Tally
    first: tuple[str, str, Any] | None
    error: UserError | None


def read(
    ray: Any,
    files: Sequence[FilePart],
    spec: DatasetSpec,
    on_rows: Callable[[int], None],
    trained: frozenset[str] | None = None,
    watched: frozenset[str] = frozenset(),
) -> tuple[Blocks, str, Tally]:
    """(rows, fingerprint, tally) of files by known roles, as `build_table` gives them. on_rows(read): now and then.
    trained, watched: as `Converter` takes them.

    Raises InputError as reading the files one after the other would.
    """
    # Without a limit on what waits for being taken: tasks that wait would hold the CPU that the next in order needs.
    remote = ray.remote(num_returns="streaming", max_retries=ray_cluster.RETRIES)(read_files)
    fingerprint, labels, tally = Fingerprint(spec), Labels(spec), Tally()
    blocks: list[Any] = []
    sizes: list[int] = []
    given = ray_cluster.handed_over(ray, lambda some: remote.remote(some, spec, trained, watched), tasks(files))
    with closing(given) as streams:
        for stream in streams:
            # A task that fails for good ends with its error, which may come where rows were expected.
            while isinstance(found := ray_cluster.result(ray, next(stream, *blocks[-1:]), _READING), _Block):
                fingerprint.add(found.content)
                blocks.append(next(stream))
                sizes.append(found.rows)
                on_rows(tally.read + found.read)
            # A label of another type comes before anything else that is wrong.
            labels.follow(found.first)
            if found.error is not None:
                raise found.error
            tally.merge(found.tally)
    return Blocks(ray, blocks, np.cumsum([0, *sizes])), str(fingerprint), tally


def read_files(
    files: Files, spec: DatasetSpec, trained: frozenset[str] | None = None, watched: frozenset[str] = frozenset()
) -> Iterator[_Block | bytes | _End]:
    """A task: what `encoded` gives of the rows of some files, a block and then its rows, packed; last its end."""
    converter, error = Converter(spec, trained, watched), None
    seen = files.seen()
    try:
        for batches, content in _blocks(encoded(items(seen, converter), converter.tally, spec)):
            rows = pa.Table.from_batches(batches)
            yield _Block(rows.num_rows, converter.tally.read, content)
            yield packed(rows)
    except UserError as wrong:
        error = wrong
    yield _End(converter.tally, converter.labels.first, error)


def _blocks(chunks: Iterable[tuple[pa.RecordBatch, bytes]]) -> Iterator[tuple[list[pa.RecordBatch], bytes]]:
    """Consecutive chunks, as many as make a block."""
    batches: list[pa.RecordBatch] = []
    contents: list[bytes] = []
    for batch, content in chunks:
        batches.append(batch)
        contents.append(content)
        if sum(b.num_rows for b in batches) >= TASK_ROWS or sum(map(len, contents)) >= _BLOCK_BYTES:
            yield batches, b",".join(contents)
            batches, contents = [], []
    if batches:
        yield batches, b",".join(contents)
