"""Fixed-size vectors by which two datasets are compared without their text.

Owns the sketches, over all rows. Per part: `words_minhash`: 256 minima over the set of words, each as a float32 in
[0, 1). `words_hashed`: share of documents that use a word of each of 1,024 buckets. `trigrams_hashed`: distribution
of character trigrams over 1,024 buckets, summing to 1; a text field is read with a space before and after it (as
scikit-learn's `char_wb` does with words), so that "5" and "no" have trigrams too. Only blank text has none.
`texts_bottom`: the 1,024 smallest hashes of texts of four words or more, each as a float32 in [0, 1), ascending, then
NaN where there are fewer: a bottom-k sketch, in which a text that two datasets share has the same value in both,
whatever their sizes. A text is one field or option, its words in lower case without punctuation: pairs of sentences
drawn otherwise still share their sentences. Hashes are those of `profiler.text.scan`: stable across machines. Refuses
to compare: that is the predictor's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from traitcast.profiler.text.estimates import Ints
from traitcast.profiler.text.scan import CHUNK_BYTES, COUNTS, Chunk, Hashes, Places, Points, hash_runs, mix
from traitcast.warehouse.records import Sketch

MINIMA = 256
BUCKETS = 1024
TEXTS = 1024
# Shorter texts are shared by datasets that have nothing to do with each other: "What is it?".
TEXT_WORDS = 4
KINDS = ("words_minhash", "words_hashed", "trigrams_hashed", "texts_bottom")
_SPACE = 32
_SEEDS = mix(np.arange(1, MINIMA + 1, dtype=np.uint64))
# Distinct words are merged when this many are waiting, so memory follows the vocabulary and not the text.
_PENDING = 1 << 20


class Sketcher:
    """Collects the sketches of one part, chunk by chunk."""

    def __init__(self) -> None:
        self._minima = np.full(MINIMA, np.iinfo(np.uint64).max, dtype=np.uint64)
        self._pending: list[Hashes] = []
        self._waiting = 0
        self._documents = np.zeros(BUCKETS, dtype=np.int64)
        self._trigrams = np.zeros(BUCKETS, dtype=np.int64)
        self._texts: Hashes = np.zeros(0, dtype=np.uint64)
        self._rows = 0

    def add(self, chunk: Chunk) -> None:
        """Take one chunk of scanned rows."""
        self._rows += int((chunk.counts[:, COUNTS.index("segments")] > 0).sum())
        self._pending.append(np.unique(chunk.words))
        self._waiting += len(self._pending[-1])
        if self._waiting > _PENDING:
            self._take_minima()
        rows = len(chunk.counts)
        for first in range(0, rows, 2048):
            inside = slice(*np.searchsorted(chunk.word_row, [first, first + 2048]))
            used = np.zeros((min(2048, rows - first), BUCKETS), dtype=bool)
            used[chunk.word_row[inside] - first, (chunk.words[inside] >> np.uint64(54)).astype(np.int64)] = True
            self._documents += used.sum(axis=0)
        self._texts = np.unique(np.concatenate([self._texts, text_hashes(chunk)]))[:TEXTS]

    def add_points(self, points: Points, segment: Places) -> None:
        """Take the characters of one chunk, as `scan` gives them to its `on_points`."""
        self._trigrams += trigram_buckets(points, segment)

    def merge(self, other: Sketcher) -> None:
        """Take what another one took."""
        self._pending += other._pending
        self._waiting += other._waiting
        if self._waiting > _PENDING:
            self._take_minima()
        # Arrays of another process may not be written to.
        self._minima = np.minimum(self._minima, other._minima)
        self._documents = self._documents + other._documents
        self._trigrams = self._trigrams + other._trigrams
        self._texts = np.unique(np.concatenate([self._texts, other._texts]))[:TEXTS]
        self._rows += other._rows

    def _take_minima(self) -> None:
        words = np.unique(np.concatenate(self._pending)) if self._pending else np.zeros(0, dtype=np.uint64)
        self._pending, self._waiting = [], 0
        for first in range(0, len(words), 4096):
            block = words[first : first + 4096]
            hashed = mix(block[None, :] ^ _SEEDS[:, None])
            self._minima = np.minimum(self._minima, hashed.min(axis=1))

    def sketches(self, part: str) -> tuple[Sketch, ...]:
        """The sketches of what was added; none of a kind that saw nothing."""
        self._take_minima()
        result = []
        if self._documents.any():
            result.append(Sketch(part, "words_minhash", to_unit_interval(self._minima)))
            shares = self._documents / max(self._rows, 1)
            result.append(Sketch(part, "words_hashed", shares.astype(np.float32)))
        if self._trigrams.any():
            shares = self._trigrams / self._trigrams.sum()
            result.append(Sketch(part, "trigrams_hashed", shares.astype(np.float32)))
        if len(self._texts):
            vector = np.full(TEXTS, np.nan, dtype=np.float32)
            vector[: len(self._texts)] = to_unit_interval(self._texts)
            result.append(Sketch(part, "texts_bottom", vector))
        return tuple(result)


def text_hashes(chunk: Chunk) -> Hashes:
    """One hash per text of TEXT_WORDS words or more, from its words."""
    borders = (np.diff(chunk.word_row, prepend=-1) != 0) | (np.diff(chunk.word_segment, prepend=-1) != 0)
    opens = np.flatnonzero(borders)
    hashes = hash_runs(chunk.words, opens)
    return hashes[np.diff(opens, append=len(chunk.words)) >= TEXT_WORDS]


def to_unit_interval(hashes: Hashes) -> npt.NDArray[np.float32]:
    """64-bit hashes as float32 in [0, 1). Small ones, which minima are, keep 24 significant bits."""
    below_one = np.nextafter(np.float32(1), np.float32(0))
    return np.minimum((hashes.astype(np.float64) / 2.0**64).astype(np.float32), below_one)


def trigram_buckets(points: Points, segment: Places) -> Ints:
    """Counts of hashed character trigrams inside segments padded by a space on both sides, int64 (BUCKETS,)."""
    whole, owners = _padded(points, segment)
    counts = np.zeros(BUCKETS, dtype=np.int64)
    for first in range(0, len(whole) - 2, CHUNK_BYTES):
        inside = slice(first, first + CHUNK_BYTES + 2)
        points, owner = whole[inside].astype(np.uint64), owners[inside]
        codes = (points[:-2] << np.uint64(42)) | (points[1:-1] << np.uint64(21)) | points[2:]
        same = owner[:-2] == owner[2:]
        counts += np.bincount((mix(codes[same]) >> np.uint64(54)).astype(np.int64), minlength=BUCKETS)
    return counts


def _padded(points: Points, segment: Places) -> tuple[Points, npt.NDArray[np.int32]]:
    """Code points of the segments that are not blank, a space before and after each, and the number of the segment."""
    lengths = np.bincount(segment)
    solid = np.bincount(segment[points != _SPACE], minlength=len(lengths))
    inside = (solid > 0)[segment]
    lengths = lengths[solid > 0] + 2
    owner = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    padded = np.full(len(owner), _SPACE, dtype=np.uint32)
    own = np.ones(len(owner), dtype=bool)
    ends = np.cumsum(lengths)
    own[ends - 1] = own[ends - lengths] = False
    padded[own] = points[inside]
    return padded, owner
