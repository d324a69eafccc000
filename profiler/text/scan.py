"""One pass over the text of every row, as code points in NumPy: no Python object per row or word.

Owns what a character and a word are for the all-rows traits and the sketches. A word is a whitespace-separated run
with its punctuation removed, apostrophes of contractions kept, empty ones dropped: the rule of textstat's
`list_words` (textstat 0.7.13), so these words are the words of the readability formulas. A row of more than CHUNK_BYTES
is read in pieces that end at white space: PIECE_BYTES without any are several words, and words after the first
ROW_WORDS are counted, but not returned. Refuses to keep text: what leaves is counts and 64-bit hashes, the same on
every machine, process and Python version.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from traitcast.profiler.text.documents import SegmentRows
from traitcast.profiler.text.estimates import Ints

Hashes = npt.NDArray[np.uint64]
# Numbers of rows and segments; of 32 bits where there is one per character.
Places = npt.NDArray[np.signedinteger[Any]]
Points = npt.NDArray[np.uint32]
# Takes the lower-cased code points of consecutive segments, every white space as a space, and the number of the segment
# of each; the pieces of a long segment come as segments of their own.
OnPoints = Callable[[Points, Places], None]

SPACE, WORD, ALPHABETIC, UPPER, DIGIT, PUNCTUATION, SYMBOL, LATIN, UNSPACED, SEEN = (1 << bit for bit in range(10))
COUNTS = (
    "characters",
    "segments",
    "filled",
    "lines",
    "runs",
    "words",
    "word_characters",
    "non_ascii",
    "upper",
    "alphabetic",
    "digit",
    "punctuation",
    "whitespace",
    "symbol",
    "latin",
)
_CLASSES = {
    "upper": UPPER,
    "alphabetic": ALPHABETIC,
    "digit": DIGIT,
    "punctuation": PUNCTUATION,
    "whitespace": SPACE,
    "symbol": SYMBOL,
    "latin": LATIN,
}
# 1 MiB of text makes about 80 MB of temporaries; larger chunks leave the caches and buy nothing.
CHUNK_BYTES = 1 << 20
CHUNK_ROWS = 1 << 14
# Of a row of more than CHUNK_BYTES: a cell of 31 MB in one piece took 1.3 GB.
PIECE_BYTES = 1 << 18
ROW_WORDS = 1 << 19
# A line with more than white space, which is what `str.isspace` says; `\s` of RE2 knows ASCII only.
BLANK = r"\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
_SOLID_LINE = rf"[^\n]*[^{BLANK}][^\n]*"
# Odd, with bits of no pattern (2^64 over the golden ratio): what rolling hashes multiply by.
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
# Letters of scripts that put no space between words, by the start of their Unicode name.
_UNSPACED_NAMES = (
    *("CJK UNIFIED", "CJK COMPATIBILITY", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA"),
    *("THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"),
)
_APOSTROPHE = 39
_MASK = (1 << 64) - 1
_POWERS = 1 << 16


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some consecutive rows, scanned.

    Parameters
    ----------
    first_row
        Where the chunk starts.
    counts : int64 (rows, len(COUNTS))
        `filled` are the segments and `lines` the lines of segments with more than whitespace, `runs` are
        whitespace-separated runs before punctuation is removed.
    row_hash : uint64 (rows,)
        Of the exact text with its segment borders.
    words : uint64 (words,)
        Hashes of the lower-cased words, in order.
    plain_words : uint64 (words,)
        The same without apostrophes, which people write in several ways.
    word_row, word_segment : int32 (words,)
        The row of each word, from `first_row`, and its segment, from 0 in its row.
    characters : uint64 (n,)
        Of the rows with letters of a script without spaces: hashes of these letters and of the words between them.
    character_row : int32 (n,)
        The row of each, from `first_row`.
    """

    first_row: int
    counts: Ints
    row_hash: Hashes
    words: Hashes
    plain_words: Hashes
    word_row: Places
    word_segment: Places
    characters: Hashes
    character_row: Places


def scan(rows: SegmentRows, on_points: OnPoints | None = None) -> Iterator[Chunk]:
    """Scan rows in chunks of CHUNK_BYTES and CHUNK_ROWS at most. A single row that is longer is one chunk.

    on_points: called with the characters of each chunk before the chunk is returned.
    """
    strings = pc.cast(rows.strings, pa.large_string())
    sizes = pc.binary_length(strings).to_numpy(zero_copy_only=False)
    edges = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])[rows.offsets]
    first, total = 0, len(rows.offsets) - 1
    while first < total:
        last = int(np.searchsorted(edges, edges[first] + CHUNK_BYTES, side="right")) - 1
        last = min(max(first + 1, last), first + CHUNK_ROWS, total)
        long = edges[last] - edges[first] > CHUNK_BYTES  # and so one row
        yield (_scan_long if long else _scan_chunk)(strings, rows.offsets, first, last, on_points)
        first = last


def _scan_long(strings: pa.Array, row_offsets: Ints, first: int, last: int, on_points: OnPoints | None) -> Chunk:
    """One row of more than CHUNK_BYTES."""
    texts = strings.slice(row_offsets[first], row_offsets[last] - row_offsets[first])
    row_hash, counts = _long_hash(texts), np.zeros((1, len(COUNTS)), dtype=np.int64)
    words, plain, split = ([np.zeros(0, dtype=np.uint64)] for _ in range(3))
    segments, unspaced, marked = [np.zeros(0, dtype=np.int32)], False, False
    for piece, owner in _pieces(texts):
        part = _scan_chunk(piece, np.array([0, len(piece)]), 0, 1, on_points)
        counts += part.counts
        room = ROW_WORDS - sum(map(len, words))
        words.append(part.words[:room])
        plain.append(part.plain_words[:room])
        marked |= part.plain_words is not part.words
        segments.append(owner[part.word_segment[:room]].astype(np.int32))
        # Where a row has letters of a script without spaces, all of it is split.
        unspaced |= len(part.characters) > 0
        split.append((part.characters if len(part.characters) else part.words)[: ROW_WORDS - sum(map(len, split))])
    lines = pc.count_substring_regex(texts, _SOLID_LINE).to_numpy(zero_copy_only=False)
    for name, count in (("segments", len(texts)), ("filled", (lines > 0).sum()), ("lines", lines.sum())):
        counts[:, COUNTS.index(name)] = count
    every, characters = np.concatenate(words), np.concatenate(split if unspaced else split[:1])
    return Chunk(
        first_row=first,
        counts=counts,
        row_hash=row_hash,
        words=every,
        plain_words=np.concatenate(plain) if marked else every,
        word_row=np.zeros(len(every), dtype=np.int32),
        word_segment=np.concatenate(segments),
        characters=characters,
        character_row=np.zeros(len(characters), dtype=np.int32),
    )


def _pieces(texts: pa.Array) -> Iterator[tuple[pa.Array, Ints]]:
    """Texts laid end to end, cut into pieces of PIECE_BYTES at most: the texts of a piece, and the number of each."""
    _, positions, data = texts.buffers()
    edges = np.frombuffer(positions, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    first = edges[0]
    while first < edges[-1]:
        last = _piece_end(data, edges, int(first))
        bounds = np.concatenate([[first], edges[(edges > first) & (edges < last)], [last]])
        piece = pa.Array.from_buffers(pa.large_string(), len(bounds) - 1, [None, pa.py_buffer(bounds), data])
        yield piece, np.searchsorted(edges, bounds[:-1], side="right") - 1
        first = last


def _piece_end(data: pa.Buffer, edges: Ints, first: int) -> int:
    """Where a piece ends: behind white space or at the end of a text, else between two characters."""
    last = first + PIECE_BYTES
    if last >= edges[-1]:
        return int(edges[-1])
    block = data[first:last].to_pybytes()
    blank = first + 1 + max(block.rfind(space) for space in (b" ", b"\n", b"\t"))
    found = max(blank, int(edges[np.searchsorted(edges, last, side="right") - 1]))
    if found > first:
        return found
    while data[last] & 0xC0 == 0x80:  # inside a character of UTF-8
        last -= 1
    return last


def _long_hash(texts: pa.Array) -> Hashes:
    """`_row_hashes` of one row."""
    lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
    bounds = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    segments = np.zeros(len(texts), dtype=np.uint64)
    points = (code_points(piece)[0] for piece, _ in _pieces(texts))
    segments[lengths > 0] = _hash_blocks(points, bounds[:-1][lengths > 0], int(bounds[-1]))
    return hash_runs(segments, np.zeros(1, dtype=np.int64))


def _scan_chunk(strings: pa.Array, row_offsets: Ints, first: int, last: int, on_points: OnPoints | None) -> Chunk:
    offsets = row_offsets[first : last + 1] - row_offsets[first]
    points, bounds = code_points(strings.slice(row_offsets[first], offsets[-1]))
    flags, lower = _classify(points)
    # Of 32 bits, as all that is held per character: one row may be a book.
    segment = np.repeat(np.arange(len(bounds) - 1, dtype=np.int32), np.diff(bounds))
    row = np.repeat(np.arange(last - first, dtype=np.int32), np.diff(offsets))
    runs, kept, word_starts = _words(points, flags, bounds)
    row_bounds = bounds[offsets]
    counts = {
        "characters": np.diff(row_bounds),
        "segments": np.diff(offsets),
        "non_ascii": _count(points > 127, row_bounds),
        **{name: _count(flags & flag, row_bounds) for name, flag in _CLASSES.items()},
    }
    filled, lines = _lines(points, flags, segment)
    counts["filled"] = np.bincount(row[segment[filled]], minlength=last - first)
    counts["lines"] = np.bincount(row[segment[lines]], minlength=last - first)
    counts["runs"] = np.bincount(row[segment[runs]], minlength=last - first)
    word_row = row[segment[word_starts]]
    counts["words"] = np.bincount(word_row, minlength=last - first)
    kept_at = np.flatnonzero(kept)
    letters, letter_row = lower[kept_at], row[segment[kept_at]]
    opens = np.searchsorted(kept_at, word_starts)
    counts["word_characters"] = np.bincount(letter_row, minlength=last - first)
    words = hash_runs(letters, opens)
    characters, character_row = _split_unspaced(letters, opens, (flags[kept_at] & UNSPACED) > 0, letter_row)
    if on_points is not None:
        on_points(np.where(flags & SPACE, np.uint32(32), lower), segment)
    return Chunk(
        first_row=first,
        counts=np.column_stack([counts[name] for name in COUNTS]).astype(np.int64),
        row_hash=_row_hashes(points, bounds, offsets),
        words=words,
        plain_words=_without_apostrophes(words, letters, opens),
        word_row=word_row,
        word_segment=(segment[word_starts] - offsets[word_row]).astype(np.int32),
        characters=characters,
        character_row=character_row,
    )


def _without_apostrophes(words: Hashes, letters: npt.NDArray[np.uint32], opens: Ints) -> Hashes:
    """Hashes of the words without apostrophes. letters: of all words end to end; opens: where each word starts."""
    marks = np.flatnonzero(letters == _APOSTROPHE)
    if not len(marks):
        return words
    owner = np.repeat(np.arange(len(opens)), np.diff(np.append(opens, len(letters))))
    marked = np.unique(owner[marks])
    left = np.flatnonzero(np.isin(owner, marked) & (letters != _APOSTROPHE))
    plain = words.copy()
    plain[marked] = hash_runs(letters[left], np.flatnonzero(np.diff(owner[left], prepend=-1) > 0))
    return plain


def _split_unspaced(
    letters: npt.NDArray[np.uint32], opens: Ints, unspaced: npt.NDArray[np.bool_], row: Places
) -> tuple[Hashes, Places]:
    """`Chunk.characters` and their rows. unspaced: which letters are of such a script; row: of each letter."""
    if not unspaced.any():
        return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int32)
    starts = unspaced.copy()
    starts[1:] |= unspaced[:-1]
    starts[opens] = True
    at = np.flatnonzero(starts)
    inside = np.isin(row[at], row[unspaced])
    return hash_runs(letters, at)[inside], row[at][inside]


def code_points(texts: pa.Array) -> tuple[npt.NDArray[np.uint32], Ints]:
    """The code points of texts laid end to end.

    Parameters
    ----------
    texts : large_string array
        Without nulls.

    Returns
    -------
    points : uint32 (characters,)
    bounds : int64 (texts + 1,)
        Where each text starts in `points`, and the end.
    """
    bounds = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum(pc.utf8_length(texts).to_numpy(zero_copy_only=False), out=bounds[1:])
    _, positions, data = texts.buffers()
    if len(texts) == 0 or data is None:
        return np.zeros(0, dtype=np.uint32), bounds
    edges = np.frombuffer(positions, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    text = data[int(edges[0]) : int(edges[-1])].to_pybytes().decode("utf-8")
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32), bounds


def _count(marks: npt.NDArray[np.generic], bounds: Ints) -> Ints:
    """How many marked characters lie in bounds[i]:bounds[i + 1]."""
    return np.diff(np.searchsorted(np.flatnonzero(marks), bounds))


@cache
def _tables() -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint32]]:
    """Flags and lower case by code point, filled as code points are first met (SEEN marks the filled ones)."""
    return np.zeros(0x110000, dtype=np.uint16), np.arange(0x110000, dtype=np.uint32)


def _classify(points: npt.NDArray[np.uint32]) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint32]]:
    flags, lower = _tables()
    found = flags[points]
    if not found.all():
        for point in np.unique(points[found == 0]).tolist():
            flags[point], lower[point] = _character(point)
        found = flags[points]
    return found, lower[points]


def _character(point: int) -> tuple[int, int]:
    """Flags of one code point and its lower case (itself where lower case is longer than one code point)."""
    character = chr(point)
    flags = SEEN
    flags |= SPACE * character.isspace() | ALPHABETIC * character.isalpha()
    # Circled letters and Roman numerals are upper case to Python and no letters: a share of letters would pass 1.
    flags |= UPPER * (character.isupper() and character.isalpha())
    flags |= WORD * (character.isalnum() or character == "_")  # what `\w` matches
    category = unicodedata.category(character)
    flags |= DIGIT * (category == "Nd") | PUNCTUATION * (category[0] == "P") | SYMBOL * (category[0] == "S")
    # Only letters carry their script in their name; no table of scripts comes with Python.
    name = unicodedata.name(character, "") if character.isalpha() else ""
    flags |= LATIN * name.startswith("LATIN") | UNSPACED * name.startswith(_UNSPACED_NAMES)
    lower = character.lower()
    return flags, ord(lower) if len(lower) == 1 else point


def _lines(points: npt.NDArray[np.uint32], flags: npt.NDArray[np.uint16], segment: Places) -> tuple[Ints, Ints]:
    """Positions of the first character that is not whitespace of each segment, and of each line of a segment."""
    solid = np.flatnonzero((flags & SPACE) == 0)
    opens_segment = np.diff(segment[solid], prepend=-1) > 0
    opens_line = np.diff(np.cumsum(points == 10, dtype=np.int32)[solid], prepend=-1) > 0
    return solid[opens_segment], solid[opens_segment | opens_line]


def _words(
    points: npt.NDArray[np.uint32], flags: npt.NDArray[np.uint16], bounds: Ints
) -> tuple[Ints, npt.NDArray[np.bool_], Ints]:
    """Where whitespace-separated runs start, which characters words keep, and where words start (all by position)."""
    solid = (flags & SPACE) == 0
    run_start = solid.copy()
    run_start[1:] &= ~solid[:-1]
    edges = bounds[(bounds > 0) & (bounds < len(points))]
    run_start[edges] = solid[edges]
    kept = ((flags & WORD) > 0) | _contractions(points, bounds)
    kept_at = np.flatnonzero(kept)
    run_of_kept = np.cumsum(run_start, dtype=np.int32)[kept_at]
    first_of_run = np.diff(run_of_kept, prepend=0) > 0
    return np.flatnonzero(run_start), kept, kept_at[first_of_run]


def _contractions(points: npt.NDArray[np.uint32], bounds: Ints) -> npt.NDArray[np.bool_]:
    """Apostrophes that textstat keeps: those before t, s, d, ve, ll or re in the same segment."""
    result = np.zeros(len(points), dtype=bool)
    at = np.flatnonzero(points == _APOSTROPHE)
    if not len(at):
        return result
    end = bounds[np.searchsorted(bounds, at, side="right")]
    padded = np.concatenate([points, np.zeros(2, dtype=np.uint32)])
    one = np.where(at + 1 < end, padded[at + 1], 0)
    two = np.where(at + 2 < end, padded[at + 2], 0)
    pairs = [(one == ord(a)) & (two == ord(b)) for a, b in ("ve", "ll", "re")]
    result[at] = np.isin(one, [ord(c) for c in "tsd"]) | np.logical_or.reduce(pairs)
    return result


@cache
def _powers() -> Hashes:
    """Powers of an odd base modulo 2**64."""
    powers = [1]
    for _ in range(_POWERS - 1):
        powers.append(powers[-1] * int(MULTIPLIER) & _MASK)
    return np.array(powers, dtype=np.uint64)


def mix(values: Hashes) -> Hashes:
    """The splitmix64 finaliser (Steele, Lea and Flood 2014): spreads every input bit over all 64 bits."""
    mixed = np.array(values, dtype=np.uint64, order="C")
    flat = mixed.reshape(-1)
    # Block by block and in place: there may be a hash for each word of a book.
    for first in range(0, flat.size, CHUNK_BYTES):
        x = flat[first : first + CHUNK_BYTES]
        x ^= x >> np.uint64(30)
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(27)
        x *= np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return mixed


def hash_runs(values: npt.NDArray[np.generic], starts: Ints) -> Hashes:
    """One hash per run values[starts[i]:starts[i + 1]]: a polynomial modulo 2**64, then mixed.

    Parameters
    ----------
    values : whole numbers (n,)
        Below 2**64 - 1.
    starts : int64 (runs,)
        Ascending, so that no run is empty; the last run goes on to the end.

    Returns
    -------
    uint64 (runs,)
        The same on every machine.
    """
    if not len(starts):
        return np.zeros(0, dtype=np.uint64)
    # Block by block: the temporaries take 40 bytes a value.
    blocks = (values[first : first + CHUNK_BYTES] for first in range(0, len(values), CHUNK_BYTES))
    return _hash_blocks(blocks, starts, len(values))


def _hash_blocks(blocks: Iterable[npt.NDArray[np.generic]], starts: Ints, total: int) -> Hashes:
    """`hash_runs` of `total` values that come block by block: sums modulo 2**64 do not depend on the order."""
    lengths = np.diff(np.append(starts, total))
    sums = np.zeros(len(starts), dtype=np.uint64)
    powers, first = _powers(), 0
    for block in blocks:
        runs = slice(int(np.searchsorted(starts, first, "right")) - 1, int(np.searchsorted(starts, first + len(block))))
        opens = np.maximum(starts[runs] - first, 0)
        position = np.arange(first, first + len(block)) - np.repeat(starts[runs], np.diff(opens, append=len(block)))
        weight = powers[position % _POWERS]
        far = position >= _POWERS
        if far.any():
            weight[far] *= mix((position[far] // _POWERS).astype(np.uint64)) | np.uint64(1)
        sums[runs] += np.add.reduceat((block.astype(np.uint64) + np.uint64(1)) * weight, opens)
        first += len(block)
    return mix(sums ^ mix(lengths.astype(np.uint64)))


def _row_hashes(points: npt.NDArray[np.uint32], bounds: Ints, offsets: Ints) -> Hashes:
    """A hash of the exact segments of each row, in order; rows without segments share one value."""
    segment_hash = np.zeros(len(bounds) - 1, dtype=np.uint64)
    filled = np.flatnonzero(np.diff(bounds) > 0)
    segment_hash[filled] = hash_runs(points, bounds[filled])
    rows = np.zeros(len(offsets) - 1, dtype=np.uint64)
    owning = np.flatnonzero(np.diff(offsets) > 0)
    rows[owning] = hash_runs(segment_hash, offsets[owning])
    return rows
