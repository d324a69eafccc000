"""What a pass over all rows keeps of a part beyond counts: hashes of whole texts, and the words of some rows.

Owns the normalised text of a document (its words in lower case, without punctuation, spaces and borders of fields:
two documents that differ in nothing else are one), and `Kept`, the words of up to ROWS random rows as hashes, by which
near-duplicates and shortcuts are found without text. Refuses to keep more: memory is bounded by ROWS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from profiler.estimates import Ints
from profiler.scan import Chunk, Hashes, hash_runs

# Shares of near-duplicates fall with the rows that are seen; more than this cost seconds.
ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Kept:
    """Words of some rows. words: uint64 hashes; row: int64, the place of each word's row in `rows`, non-decreasing;
    segment: int64, its text field or option, from 0. rows: int64, ascending row numbers; those without words too."""

    words: Hashes
    row: Ints
    segment: Ints
    rows: Ints


class Keeper:
    """Collects document hashes of all rows, and the words of the rows to keep, chunk by chunk."""

    def __init__(self, total: int, keep: npt.NDArray[np.bool_]) -> None:
        self.texts: Hashes = np.zeros(total, dtype=np.uint64)
        self._keep = keep
        self._place = np.cumsum(keep) - 1
        self._found: list[tuple[Hashes, Ints, Ints]] = []

    def add(self, chunk: Chunk) -> None:
        """Take one chunk of scanned rows."""
        row = chunk.word_row + chunk.first_row
        opens = np.flatnonzero(np.diff(chunk.word_row, prepend=-1) > 0)
        self.texts[row[opens]] = hash_runs(chunk.words, opens)
        kept = self._keep[row]
        self._found.append((chunk.words[kept], self._place[row[kept]], chunk.word_segment[kept]))

    def kept(self) -> Kept:
        """The words of the rows to keep."""
        empty = (np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
        words, row, segment = (np.concatenate(parts) for parts in zip(empty, *self._found, strict=True))
        return Kept(words, row, segment, np.flatnonzero(self._keep))
