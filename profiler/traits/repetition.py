"""Repetition within a document: lines, runs of words, runs of characters.

Owns what is repeated inside a text, on the sample. Repeated documents are in `profiler.traits.duplicates`, repeated
pairs of words in `profiler.traits.surface`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from traitcast.profiler.text.documents import Documents
from traitcast.profiler.text.estimates import Floats, Ints, ratio
from traitcast.profiler.text.scan import MULTIPLIER, Hashes, code_points, hash_runs, mix
from traitcast.profiler.text.words import Vocabulary, Words

# data-juicer's character_repetition_filter and word_repetition_filter look at runs of 10; five words are Rae et al.'s
# shortest run of which every copy counts.
WINDOW_CHARACTERS = 10
RUN_WORDS = 5
COUNTS = ("characters", "repeated_line_characters", "lines", "bullets", "ellipses", "windows", "distinct_windows")
_BLOCK_CHARACTERS = 1 << 20
_SPACES = (9, 11, 12, 13, 32, 0xA0)
_BULLETS = tuple(map(ord, "-*•‣◦▪–"))
_NEWLINE, _DOT, _ELLIPSIS = 10, ord("."), ord("…")


def count_segments(texts: Sequence[str]) -> Floats:
    """Additive counts of each text, float64 (texts, len(COUNTS)). Blank lines are not counted."""
    result = np.zeros((len(texts), len(COUNTS)))
    for first, last in _blocks(texts):
        points, bounds = code_points(pa.array(texts[first:last], pa.large_string()))
        result[first:last] = np.hstack([_lines(points, bounds), _windows(points, bounds)])
    return result


def _blocks(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Ranges of consecutive texts of about a million characters: windows take some 60 bytes a character."""
    first = size = 0
    for i, text in enumerate(texts):
        if i > first and size + len(text) > _BLOCK_CHARACTERS:
            yield first, i
            first, size = i, 0
        size += len(text)
    if first < len(texts):
        yield first, len(texts)


def _lines(points: npt.NDArray[np.uint32], bounds: Ints) -> Floats:
    """Per segment, float64 (segments, 5): characters of all lines and of lines that occurred before in the segment,
    lines, those that open with a bullet, and those that close with an ellipsis. Spaces are not counted."""
    segments = len(bounds) - 1
    segment = np.repeat(np.arange(segments), np.diff(bounds))
    at = np.flatnonzero((points != _NEWLINE) & ~np.isin(points, _SPACES))
    line = (np.cumsum(points == _NEWLINE) + segment)[at]
    opens = np.flatnonzero(np.diff(line, prepend=-1) > 0)
    starts, ends = at[opens], at[np.append(opens[1:], len(at)) - 1] if len(at) else at
    owner, solid = segment[starts], points[at]
    length = np.diff(np.append(opens, len(at)))
    key = hash_runs(solid, opens) ^ mix(owner.astype(np.uint64)) if len(opens) else np.zeros(0, dtype=np.uint64)
    again = np.ones(len(opens), dtype=bool)
    again[np.unique(key, return_index=True)[1]] = False
    closes = points[ends]
    before = np.maximum(ends - 1, 0), np.maximum(ends - 2, 0)
    dots = (ends - 2 >= starts) & (closes == _DOT) & (points[before[0]] == _DOT) & (points[before[1]] == _DOT)
    marks = (np.isin(points[starts], _BULLETS) & (length > 1), dots | (closes == _ELLIPSIS))
    solids = np.bincount(owner, weights=length, minlength=segments)
    repeated = np.bincount(owner[again], weights=length[again], minlength=segments)
    counted = (np.bincount(owner[mark], minlength=segments) for mark in marks)
    return np.column_stack([solids, repeated, np.bincount(owner, minlength=segments), *counted]).astype(np.float64)


def _windows(points: npt.NDArray[np.uint32], bounds: Ints) -> Floats:
    """Per segment, float64 (segments, 2): runs of WINDOW_CHARACTERS characters, and the distinct ones."""
    segments = len(bounds) - 1
    fits = np.diff(bounds) >= WINDOW_CHARACTERS
    windows = np.where(fits, np.diff(bounds) - WINDOW_CHARACTERS + 1, 0)
    if not fits.any():
        return np.column_stack([windows, np.zeros(segments)])
    hashed = np.zeros(len(points) - WINDOW_CHARACTERS + 1, dtype=np.uint64)
    for k in range(WINDOW_CHARACTERS):
        hashed = hashed * MULTIPLIER + points[k : len(hashed) + k] + np.uint64(1)
    segment = np.repeat(np.arange(segments), np.diff(bounds))[: len(hashed)]
    inside = np.flatnonzero(np.arange(len(hashed)) + WINDOW_CHARACTERS <= bounds[1:][segment])
    _, first = np.unique(mix(hashed[inside]) ^ mix(segment[inside].astype(np.uint64)), return_index=True)
    return np.column_stack([windows, np.bincount(segment[inside[first]], minlength=segments)]).astype(np.float64)


def document_traits(documents: Documents, read: Words, vocabulary: Vocabulary) -> dict[str, Floats]:
    """Repetition within each document.

    Parameters
    ----------
    documents
        Their texts.
    read
        Their words.
    vocabulary
        By which the words are numbered.

    Returns
    -------
    dict of str to float64 (documents,)
        By trait name without its part, NaN where undefined.
    """
    used = documents.used()
    counts = np.zeros((len(documents.texts), len(COUNTS)))
    counts[used] = count_segments([documents.texts[i] for i in used.tolist()])
    sums = dict(zip(COUNTS, documents.sum(counts).T, strict=True))
    return {
        "repeated_line_share": ratio(sums["repeated_line_characters"], sums["characters"]),
        "bullet_line_share": ratio(sums["bullets"], sums["lines"]),
        "ellipsis_line_share": ratio(sums["ellipses"], sums["lines"]),
        "repeated_character_share": 1 - ratio(sums["distinct_windows"], sums["windows"]),
        "repeated_run_share": _repeated_runs(read),
        "top_bigram_share": _top_bigram(read, vocabulary),
    }


def runs_of(read: Words, size: int) -> tuple[Ints, Hashes, Ints]:
    """The runs of `size` consecutive words of every document; no run joins two texts.

    Returns
    -------
    starts : int64 (runs,)
        The first word of each run, as a place in `read.ids`.
    hashes : uint64 (runs,)
        Of the run and its document.
    documents : int64 (runs,)
    """
    ends = np.repeat(read.borders[1:], np.diff(read.borders))
    at = np.flatnonzero(np.arange(len(read.ids)) + size <= ends)
    owner = np.repeat(np.arange(len(read)), read.lengths)[at]
    coded = mix(read.ids.astype(np.uint64) + np.uint64(1))
    hashed = mix(owner.astype(np.uint64))
    for k in range(size):
        hashed = hashed * MULTIPLIER + coded[at + k]
    return at, mix(hashed), owner


def _repeated_runs(read: Words) -> Floats:
    """1 - distinct / all runs of RUN_WORDS words, per document."""
    _, keys, owner = runs_of(read, RUN_WORDS)
    first = np.unique(keys, return_index=True)[1]
    n = len(read)
    return 1 - ratio(np.bincount(owner[first], minlength=n), np.bincount(owner, minlength=n))


def _top_bigram(read: Words, vocabulary: Vocabulary) -> Floats:
    """Share of a document's word characters in its most frequent word pair, 0 where no pair comes twice."""
    at, keys, owner = runs_of(read, 2)
    n = len(read)
    characters = np.array([len(word) for word in vocabulary.types], dtype=np.int64)[read.ids]
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    weight = np.where(counts > 1, counts * (characters[at[first]] + characters[at[first] + 1]), 0)
    top = np.zeros(n)
    np.maximum.at(top, owner[first], weight)
    total = np.bincount(np.repeat(np.arange(n), read.lengths), weights=characters, minlength=n)
    # A pair that overlaps itself ("no no no") is counted at every place where it occurs.
    return np.where(np.bincount(owner, minlength=n) > 0, np.minimum(ratio(top, total), 1.0), np.nan)
