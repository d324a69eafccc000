"""Documents and the segments they are made of.

A document is one row's prompt (its text fields, then its options, each a segment of its own, never glued) or its
response (one segment). Owns finding the distinct segments, so that a label repeated ten thousand times is counted
once, the length at which a sampled segment is cut, and summing what was counted per segment to documents. Refuses to
know what is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from traitcast.profiler.text.estimates import Floats, Ints

# A megabyte in one cell would cost minutes of parsing while it is one document among thousands. Words, syllables and
# tokens are divided by the parser's sentences, so every sampled text is cut once, here.
SEGMENT_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class Documents:
    """Documents as lists of distinct segments.

    Parameters
    ----------
    texts
        The distinct segments, in order of first appearance.
    index : int64 (entries,)
        Which segment each entry is.
    offsets : int64 (documents + 1,)
        Document d owns index[offsets[d]:offsets[d + 1]].
    """

    texts: tuple[str, ...]
    index: Ints
    offsets: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def sum(self, per_segment: npt.NDArray[np.generic]) -> Floats:
        """Sums over the segments of each document.

        Parameters
        ----------
        per_segment : numbers (segments, ...)

        Returns
        -------
        float64 (documents, ...)
            0 for a document without segments.
        """
        entries = np.asarray(per_segment, dtype=np.float64)[self.index]
        return sum_ranges(entries, self.offsets)

    def used(self) -> Ints:
        """Numbers of the segments of these documents, ascending: parts share one list of segments."""
        return np.unique(self.index)

    def segments_of(self, document: int) -> list[str]:
        """The segments of one document, in order."""
        return [self.texts[i] for i in self.index[self.offsets[document] : self.offsets[document + 1]]]

    def joined(self) -> Iterator[str]:
        """The documents in order, the segments of each joined by line breaks."""
        return ("\n".join(self.segments_of(document)) for document in range(len(self)))

    def head(self, count: int) -> Documents:
        """The first `count` documents, with only the segments they use."""
        offsets = self.offsets[: count + 1]
        index = self.index[: offsets[-1]]
        used = int(index.max()) + 1 if len(index) else 0  # first-appearance order: a prefix of texts is enough
        return Documents(self.texts[:used], index, offsets)


def sum_ranges(entries: npt.NDArray[np.generic], offsets: Ints) -> Floats:
    """Sums of ranges of entries.

    Parameters
    ----------
    entries : numbers (entries, ...)
    offsets : int64 (ranges + 1,)

    Returns
    -------
    float64 (ranges, ...)
        The sum of entries[offsets[i]:offsets[i + 1]], 0 for an empty range.
    """
    values = np.asarray(entries, dtype=np.float64)
    result = np.zeros((len(offsets) - 1, *values.shape[1:]))
    filled = np.flatnonzero(np.diff(offsets) > 0)
    if len(filled):
        result[filled] = np.add.reduceat(values, offsets[filled], axis=0)
    return result


def documents(rows: Sequence[Sequence[str]]) -> Documents:
    """Build documents from the segments of each row."""
    ids: dict[str, int] = {}
    index = [ids.setdefault(segment, len(ids)) for row in rows for segment in row]
    offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    return Documents(tuple(ids), np.asarray(index, dtype=np.int64), offsets)


def prompts(table: pa.Table) -> Documents:
    """The prompts of a table with columns `fields` and `options` (lists of strings; nulls hold no segment)."""
    fields = table.column("fields").to_pylist()
    options = table.column("options").to_pylist()
    return documents(
        [[s for s in [*(f or ()), *(o or ())] if s is not None] for f, o in zip(fields, options, strict=True)]
    )


def responses(table: pa.Table) -> Documents:
    """The responses of a table with a string column `response` (a null response holds no segment)."""
    return documents([[r] if r is not None else [] for r in table.column("response").to_pylist()])


def share_segments(parts: Mapping[str, Documents]) -> tuple[dict[str, Documents], frozenset[str]]:
    """The documents of all parts over one list of segments: options hold the right answer, so parts share segments.

    Parameters
    ----------
    parts
        Documents by part, each with segments of its own.

    Returns
    -------
    parts : dict of str to Documents
        With the same `texts`, each cut to SEGMENT_CHARACTERS.
    shortened : frozenset of str
        The segments that were cut, in full.
    """
    ids: dict[str, int] = {}
    place = {
        part: np.array([ids.setdefault(text[:SEGMENT_CHARACTERS], len(ids)) for text in d.texts], dtype=np.int64)
        for part, d in parts.items()
    }
    shortened = frozenset(text for d in parts.values() for text in d.texts if len(text) > SEGMENT_CHARACTERS)
    texts = tuple(ids)
    return {part: Documents(texts, place[part][d.index], d.offsets) for part, d in parts.items()}, shortened


@dataclass(frozen=True, slots=True)
class SegmentRows:
    """Segments of many rows as Arrow strings, one after another, duplicates included: for passes over every row.

    Parameters
    ----------
    strings : large_string array
        Without nulls.
    offsets : int64 (rows + 1,)
        Row r owns strings[offsets[r]:offsets[r + 1]].
    """

    strings: pa.Array
    offsets: Ints


def prompt_segments(table: pa.Table) -> SegmentRows:
    """Every text field, then every option, of each row."""
    fields, field_offsets = _flat(table.column("fields"))
    options, option_offsets = _flat(table.column("options"))
    offsets = field_offsets + option_offsets
    if len(options) == 0:
        return SegmentRows(fields, offsets)
    rows = len(offsets) - 1
    owner = np.concatenate([np.repeat(np.arange(rows), np.diff(o)) for o in (field_offsets, option_offsets)])
    order = np.argsort(owner, kind="stable")  # stable: fields stay before options
    return SegmentRows(pa.concat_arrays([fields, options]).take(pa.array(order)), offsets)


def response_segments(table: pa.Table) -> SegmentRows:
    """The response of each row; a row without one has no segment."""
    column = table.column("response")
    return SegmentRows(_large(column.chunks).drop_null(), _edges(column.is_valid().to_numpy().astype(np.int64)))


def _flat(column: pa.ChunkedArray) -> tuple[pa.Array, Ints]:
    """A list<string> column as its non-null strings and int64 row offsets."""
    strings = _large([chunk.flatten() for chunk in column.chunks])
    offsets = _edges(pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64))
    if not strings.null_count:
        return strings, offsets
    valid = _edges(strings.is_valid().to_numpy(zero_copy_only=False).astype(np.int64))
    return strings.drop_null(), valid[offsets]


def _large(chunks: Sequence[pa.Array]) -> pa.Array:
    """One array of large_string: 32-bit offsets end at 2 GiB, and a dataset may be longer than any of its chunks."""
    large = [pc.cast(chunk, pa.large_string()) for chunk in chunks]
    return large[0] if len(large) == 1 else pa.concat_arrays([pa.array([], pa.large_string()), *large])


def _edges(lengths: Ints) -> Ints:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
