"""What a pass over all rows keeps of a part beyond counts: hashes of whole texts, and the words of some rows.

Owns the normalised text of a document (its words in lower case, without punctuation, apostrophes, spaces and borders of
fields: two documents that differ in nothing else are one), and `KeptWords`, the words of up to KEPT_ROWS random rows as
hashes, by which near duplicates and shortcuts are found without text. Refuses to keep more: memory is bounded by
KEPT_ROWS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from traitcast.profiler.text.estimates import Ints
from traitcast.profiler.text.scan import Chunk, Hashes, Places, hash_runs

# Shares of near duplicates fall with the rows that are seen; more than this cost seconds.
KEPT_ROWS = 20_000


def _no_hashes() -> Hashes:
    return np.zeros(0, dtype=np.uint64)


def _no_places() -> Places:
    return np.zeros(0, dtype=np.int32)


@dataclass(frozen=True, slots=True)
class KeptWords:
    """Words of some rows.

    Parameters
    ----------
    words : uint64 (words,)
        Hashes, in order.
    row : int32 (words,)
        The place of each word's row in `rows`, ascending.
    segment : int32 (words,)
        Its text field or option, from 0.
    rows : int64 (rows,)
        Ascending row numbers, those of rows without words included.
    characters, character_row : uint64, int32 (n,)
        As `words` and `row`, of the rows with letters of a script without spaces, each such letter being a word.
    """

    words: Hashes
    row: Places
    segment: Places
    rows: Ints
    characters: Hashes = field(default_factory=_no_hashes)
    character_row: Places = field(default_factory=_no_places)


class WordKeeper:
    """Collects the words of some rows, chunk by chunk.

    Parameters
    ----------
    keep : int64 (rows,)
        Numbers of the rows, ascending.
    """

    def __init__(self, keep: Ints) -> None:
        self._keep = keep
        self._found: list[tuple[Hashes, Places, Places]] = []
        self._characters: list[tuple[Hashes, Places]] = []

    def add(self, chunk: Chunk) -> None:
        """Take one chunk of scanned rows."""
        rows = chunk.first_row + np.arange(len(chunk.counts))
        place, kept = np.searchsorted(self._keep, rows).astype(np.int32), np.isin(rows, self._keep)
        words = slice(None) if kept.all() else kept[chunk.word_row]
        self._found.append((chunk.words[words], place[chunk.word_row[words]], chunk.word_segment[words]))
        if len(chunk.characters):
            letters = kept[chunk.character_row]
            self._characters.append((chunk.characters[letters], place[chunk.character_row[letters]]))

    def kept(self) -> KeptWords:
        """The words of the rows to keep."""
        nothing = (_no_hashes(), _no_places(), _no_places())
        words, row, segment = (np.concatenate(parts) for parts in zip(nothing, *self._found, strict=True))
        characters, owner = (np.concatenate(parts) for parts in zip(nothing[:2], *self._characters, strict=True))
        return KeptWords(words, row, segment, self._keep, characters, owner)


def concatenate(blocks: Sequence[KeptWords], sizes: Sequence[int]) -> KeptWords:
    """What was kept of consecutive blocks of rows, as of one.

    Parameters
    ----------
    blocks
        In the order of their rows.
    sizes
        Rows of each block, those that were not kept included.
    """
    places = np.cumsum([0, *(len(block.rows) for block in blocks)])[:-1]
    starts = np.cumsum([0, *sizes])[:-1]
    return KeptWords(
        np.concatenate([_no_hashes(), *(block.words for block in blocks)]),
        np.concatenate([_no_places(), *(b.row + int(place) for b, place in zip(blocks, places, strict=True))]),
        np.concatenate([_no_places(), *(block.segment for block in blocks)]),
        np.concatenate(
            [np.zeros(0, dtype=np.int64), *(b.rows + start for b, start in zip(blocks, starts, strict=True))]
        ),
        np.concatenate([_no_hashes(), *(block.characters for block in blocks)]),
        np.concatenate(
            [_no_places(), *(b.character_row + int(place) for b, place in zip(blocks, places, strict=True))]
        ),
    )


def document_hashes(chunk: Chunk) -> Hashes:
    """One hash per document with a word, of its words alone: "Don't!" and "DON'T" have the same."""
    return hash_runs(chunk.plain_words, np.flatnonzero(np.diff(chunk.word_row, prepend=-1) > 0))
