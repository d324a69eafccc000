"""Rows that say nearly the same as another one, in one dataset or in two.

Owns when two rows are near duplicates: the Jaccard similarity of the pairs of neighbouring words of the whole rows is
`SIMILARITY` or more (`profiler.traits.duplicates`, verified exactly), and so is that of every field: two questions
about one long passage are not the same row. Rows in scripts without spaces are compared as a whole only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from traitcast.profiler.text.documents import prompt_segments
from traitcast.profiler.text.estimates import Ints
from traitcast.profiler.text.kept_words import KeptWords, WordKeeper, concatenate
from traitcast.profiler.text.scan import scan
from traitcast.profiler.traits.duplicates import SIMILARITY, candidates, jaccard, signatures_of, word_pairs

# Rows that are compared, and characters of all of them together: one holds the pairs of 500 MB of short rows at bay,
# the other 150 MB of word hashes.
NEAR_ROWS = 20_000
NEAR_CHARACTERS = 1 << 25


def rows_to_compare(characters: int, rows: int) -> int:
    """How many of some rows with so many characters are compared."""
    return min(rows, NEAR_ROWS, int(NEAR_CHARACTERS * rows / max(characters, 1)))


def words_of(fields: Sequence[Sequence[str]]) -> KeptWords:
    """The words of some rows, each a list of fields."""
    column = pa.array(fields, pa.list_(pa.string()))
    table = pa.table({"fields": column, "options": pa.nulls(len(fields), pa.list_(pa.string()))})
    keeper = WordKeeper(np.arange(len(fields)))
    for chunk in scan(prompt_segments(table)):
        keeper.add(chunk)
    return keeper.kept()


def repeated(kept: KeptWords) -> tuple[Ints, Ints]:
    """Rows that nearly repeat an earlier one, so that without them none does.

    Returns
    -------
    later, earlier : int64 (found,)
        Places among the rows, ascending by the later one; a row is compared with those before it that are kept.
    """
    first, second = _alike(kept)
    order = np.lexsort((first, second))
    gone: dict[int, int] = {}
    for one, other in zip(first[order].tolist(), second[order].tolist(), strict=True):
        if one not in gone:
            gone.setdefault(other, one)
    return np.array(list(gone), dtype=np.int64), np.array(list(gone.values()), dtype=np.int64)


def shared(kept: KeptWords, other: KeptWords) -> tuple[Ints, Ints]:
    """Rows of `kept` that nearly repeat a row of `other`: places in both, each row of `kept` once."""
    known = len(other.rows)
    # Of a group, each row is compared with the first: rows of the other dataset come first.
    first, second = _alike(concatenate([other, kept], [known, len(kept.rows)]), known)
    places, at = np.unique(second, return_index=True)
    return places - known, first[at]


def _alike(kept: KeptWords, known: int | None = None) -> tuple[Ints, Ints]:
    """Pairs of rows that are near duplicates, first < second. known: only pairs across that border."""
    pairs, starts = word_pairs(kept)
    if len(starts) < 3:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    rows = _rows_with_words(kept)
    first, second = candidates(signatures_of(pairs, starts))
    if known is not None:
        across = (rows[first] < known) & (rows[second] >= known)
        first, second = first[across], second[across]
    near = jaccard(pairs, starts, first, second) >= SIMILARITY
    first, second = rows[first[near]], rows[second[near]]
    near = _same_fields(kept, first, second)
    return first[near], second[near]


def _rows_with_words(kept: KeptWords) -> Ints:
    return np.unique(np.concatenate([kept.row, kept.character_row]))


def _same_fields(kept: KeptWords, first: Ints, second: Ints) -> npt.NDArray[np.bool_]:
    """Whether every field of two rows is near that of the other, for rows that are as a whole."""
    same = np.ones(len(first), dtype=bool)
    fields = int(kept.segment.max(initial=0)) + 1
    if fields == 1 or not len(first):
        return same
    unspaced = np.isin(first, kept.character_row) | np.isin(second, kept.character_row)
    place = kept.row.astype(np.int64) * fields + kept.segment
    pairs, starts = word_pairs(replace(kept, row=place, characters=kept.characters[:0], character_row=place[:0]))
    documents = np.unique(place)
    for field in range(fields):
        a, b = first * fields + field, second * fields + field
        at_a, at_b = (np.minimum(np.searchsorted(documents, key), len(documents) - 1) for key in (a, b))
        has_a, has_b = documents[at_a] == a, documents[at_b] == b
        both = np.flatnonzero(has_a & has_b & same)
        near = has_a == has_b
        near[both] = jaccard(pairs, starts, at_a[both], at_b[both]) >= SIMILARITY
        same &= near | unspaced
    return same
