"""What a pass over all rows keeps of a part beyond counts: hashes of whole texts, and the words of some rows.

Owns the normalised text of a document (its words in lower case, without punctuation, spaces and borders of fields:
two documents that differ in nothing else are one), and `Kept`, the words of up to KEPT_ROWS random rows as hashes, by which
near-duplicates and shortcuts are found without text. Refuses to keep more: memory is bounded by KEPT_ROWS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from traitcast.profiler.text.estimates import Ints
from traitcast.profiler.text.scan import Chunk, Hashes, hash_runs

# Shares of near-duplicates fall with the rows that are seen; more than this cost seconds.
KEPT_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class KeptWords:
    """Words of some rows. words: uint64 hashes; row: int64, the place of each word's row in `rows`, non-decreasing;
    segment: int64, its text field or option, from 0. rows: int64, ascending row numbers; those without words too."""

    words: Hashes
    row: Ints
    segment: Ints
    rows: Ints


class WordKeeper:
    """Collects the words of the rows to keep, chunk by chunk. keep: their numbers, ascending."""

    def __init__(self, keep: Ints) -> None:
        self._keep = keep
        self._found: list[tuple[Hashes, Ints, Ints]] = []

    def add(self, chunk: Chunk) -> None:
        """Take one chunk of scanned rows."""
        row = chunk.word_row + chunk.first_row
        place = np.searchsorted(self._keep, row)
        kept = np.zeros(len(row), dtype=bool)
        inside = place < len(self._keep)
        kept[inside] = self._keep[place[inside]] == row[inside]
        self._found.append((chunk.words[kept], place[kept], chunk.word_segment[kept]))

    def kept(self) -> KeptWords:
        """The words of the rows to keep."""
        empty = (np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
        words, row, segment = (np.concatenate(parts) for parts in zip(empty, *self._found, strict=True))
        return KeptWords(words, row, segment, self._keep)


def concatenate(blocks: Sequence[KeptWords], sizes: Sequence[int]) -> KeptWords:
    """What was kept of consecutive blocks of rows, as of one. sizes: rows of each block."""
    places = np.cumsum([0, *(len(block.rows) for block in blocks)])
    starts = np.cumsum([0, *sizes])
    empty = np.zeros(0, dtype=np.int64)
    return KeptWords(
        np.concatenate([np.zeros(0, dtype=np.uint64), *(block.words for block in blocks)]),
        np.concatenate([empty, *(b.row + place for b, place in zip(blocks, places[:-1], strict=True))]),
        np.concatenate([empty, *(block.segment for block in blocks)]),
        np.concatenate([empty, *(b.rows + start for b, start in zip(blocks, starts[:-1], strict=True))]),
    )


def document_hashes(chunk: Chunk) -> Hashes:
    """One hash per document with a word, of its words alone."""
    return hash_runs(chunk.words, np.flatnonzero(np.diff(chunk.word_row, prepend=-1) > 0))
