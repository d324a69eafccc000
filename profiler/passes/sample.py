"""The sampled rows, block by block: read, parsed, and summed to documents.

Owns what a block is, which of its texts are parsed, and summing their counts to documents. Batches of the next blocks
are handed out while a block waits for its own, so that no process is idle at the end of one. A text of an earlier block
is not parsed again if it is among the first KNOWN_TEXTS. Refuses to keep a text beyond its block.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from traitcast.profiler.parsing import parser as parse
from traitcast.profiler.passes.table import RowTable, row_table
from traitcast.profiler.text.documents import Documents, prompts, responses, share_segments
from traitcast.profiler.text.estimates import Floats, Ints
from traitcast.profiler.text.words import Vocabulary, Words, read_words
from traitcast.profiler.traits import discourse, readability

# A default sample is one block. The parse of one token in a million depends on what is parsed together with it.
BLOCK_ROWS = 1 << 12
# Texts whose counts are kept for the blocks that follow, 600 bytes each: contexts of several questions, labels.
KNOWN_TEXTS = 1 << 16

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SampledPart:
    """One part (prompt or response) of some sampled rows, as sums over the segments of each document.

    Parameters
    ----------
    exists : bool (documents,)
        Whether the row has the part.
    documents
        Their texts.
    parsed : float64 (documents, len(parser.COUNTS)) or None
        None where nothing was parsed.
    entities : float64 (documents with entities, len(linguistic.ENTITY_COUNTS)) or None
        Of the first documents, as many as the entity recogniser saw.
    readability : float64 (documents, len(readability.COUNTS))
    markers : float64 (documents, len(discourse.COUNTS))
    words
        Their words.
    """

    exists: Flags
    documents: Documents
    parsed: Floats | None
    entities: Floats | None
    readability: Floats
    markers: Floats
    words: Words

    def count(self, name: str) -> Floats:
        """One of `parser.COUNTS` of each drawn row, float64 (documents,), NaN where the row has no such part."""
        assert self.parsed is not None
        return np.where(self.exists, self.parsed[:, parse.COUNTS.index(name)], np.nan)


@dataclass(frozen=True, slots=True)
class SampleBlock:
    """Some consecutive sampled rows.

    Parameters
    ----------
    parts
        "prompt" and "response".
    vocabulary
        The words of both.
    shortened
        Digests of the texts that were cut to SEGMENT_CHARACTERS.
    """

    parts: Mapping[str, SampledPart]
    vocabulary: Vocabulary
    shortened: frozenset[bytes]


def sample_blocks(
    table: pa.Table | RowTable,
    order: npt.NDArray[np.integer],
    parser: parse.Parser | None,
    *,
    entity_rows: int = 0,
    processes: int | None = None,
    run: parse.Runner | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[SampleBlock]:
    """The rows of a table in an order, BLOCK_ROWS at a time; one empty block where there are none.

    Parameters
    ----------
    table
        The rows, as `Examples.table` or a `RowTable`.
    order : whole numbers (rows,)
        Numbers of the rows.
    parser
        None counts no tokens.
    entity_rows
        How many of the first rows the entity recogniser sees.
    processes
        By default as many free cores as the amount of text is worth.
    run
        Counts batches, in order, instead of processes of this machine.
    on_progress
        Called with the number of rows parsed so far, and of all rows.
    """
    known = _KnownTexts()
    read = (
        _PendingBlock(rows, parser, known, max(entity_rows - number * BLOCK_ROWS, 0))
        for number, rows in enumerate(row_table(table).batches(order, BLOCK_ROWS))
    )
    if parser is None:
        yield from (block.finished() for block in read)
        return
    head = next(read)
    waiting: deque[_PendingBlock] = deque()
    if processes is None:
        processes = parse.processes_for(head.characters * -(-len(order) // BLOCK_ROWS))
    if len(order) <= BLOCK_ROWS:
        processes = min(processes, len(head.batches))
    every = chain([head], read)
    del head

    def batches() -> Iterator[parse.TextBatch]:
        for block in every:
            waiting.append(block)
            yield from block.batches

    done = 0
    for counted in run(parser, batches()) if run else parser.run(batches(), processes):
        # Rows without any text have no batch.
        while not waiting[0].batches:
            done += waiting[0].rows
            yield waiting.popleft().finished()
        block = waiting[0]
        block.take(counted)
        if on_progress:
            on_progress(done + block.rows * block.taken // len(block.batches), len(order))
        if block.taken == len(block.batches):
            done += block.rows
            yield waiting.popleft().finished()
    yield from (block.finished() for block in waiting)


class _PendingBlock:
    """A block that was read and waits for the counts of its batches."""

    def __init__(self, rows: pa.Table, parser: parse.Parser | None, known: _KnownTexts, entity_rows: int) -> None:
        joint, shortened = share_segments({"prompt": prompts(rows), "response": responses(rows)})
        self.rows, self.taken, self.batches = rows.num_rows, 0, list[parse.TextBatch]()
        self._documents, self._entity_rows, self._known = joint, min(entity_rows, rows.num_rows), known
        self._texts = joint["prompt"].texts
        self._shortened = frozenset(map(_digest, shortened))
        self._counts: parse.SegmentCounts | None = None
        if parser is not None:
            self._prepare(parser)

    def _prepare(self, parser: parse.Parser) -> None:
        entities = np.zeros(len(self._texts), dtype=bool)
        if parser.recognises_entities:
            for documents in self._documents.values():
                entities[documents.index[: documents.offsets[self._entity_rows]]] = True
        self._place, new = self._known.places(self._texts)
        self._parsed = new | entities
        # Blocks are given back as their batches are: one without any would wait, and those after it too.
        self._parsed[:1] = True
        self._counts = parse.SegmentCounts.zeros(entities)
        self.batches = parse.make_batches(self._texts, entities, self._parsed)

    @property
    def characters(self) -> int:
        return sum(len(text) for batch in self.batches for text in batch.texts)

    def take(self, counted: parse.BatchCounts) -> None:
        """Take the counts of the next batch."""
        assert self._counts is not None
        self._counts.add(self.batches[self.taken], counted)
        self.taken += 1

    def finished(self) -> SampleBlock:
        """The block, once all of its batches were taken and the blocks before it are finished."""
        if self._counts is not None:
            self._known.complete(self._place, self._parsed, self._counts.counts)
        vocabulary = read_words(self._texts)
        readable, listed = readability.count_segments(self._texts, vocabulary), discourse.count_segments(vocabulary)
        parts = {
            part: SampledPart(
                exists=np.diff(documents.offsets) > 0,
                documents=documents,
                parsed=documents.sum(self._counts.counts) if self._counts else None,
                entities=documents.head(self._entity_rows).sum(self._counts.entities) if self._counts else None,
                readability=documents.sum(readable),
                markers=documents.sum(listed),
                words=vocabulary.of_documents(documents),
            )
            for part, documents in self._documents.items()
        }
        return SampleBlock(parts, vocabulary, self._shortened)


class _KnownTexts:
    """Counts of the first KNOWN_TEXTS texts that were parsed, by a digest of the text."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        # Memory that is not written to is not taken.
        self._counts = np.zeros((KNOWN_TEXTS, len(parse.COUNTS)))

    def places(self, texts: Sequence[str]) -> tuple[Ints, Flags]:
        """Where the counts of each text are, or will be, -1 where there is no room; and which texts are new."""
        before = len(self._places)
        found = np.full(len(texts), -1, dtype=np.int64)
        for i, text in enumerate(texts):
            key = _digest(text)
            if len(self._places) < KNOWN_TEXTS:
                found[i] = self._places.setdefault(key, len(self._places))
            else:
                found[i] = self._places.get(key, -1)
        return found, (found < 0) | (found >= before)

    def complete(self, place: Ints, parsed: Flags, counts: Floats) -> None:
        """Keep the counts of texts that were parsed, and fill in those of the others."""
        kept = parsed & (place >= 0)
        self._counts[place[kept]] = counts[kept]
        counts[~parsed] = self._counts[place[~parsed]]


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()
