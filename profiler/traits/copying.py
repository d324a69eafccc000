"""How much of a response is copied from its own prompt.

Owns the overlap of the two word sequences of a row: single words, pairs, and the longest run. Refuses overlap between
rows: that is duplication.
"""

from __future__ import annotations

import numpy as np

from traitcast.profiler.text.estimates import Floats, Ints, ratio
from traitcast.profiler.text.scan import MULTIPLIER, Hashes, mix
from traitcast.profiler.text.words import Words


def document_traits(prompt: Words, response: Words) -> dict[str, Floats]:
    """Copied shares of each row.

    Parameters
    ----------
    prompt, response
        Words of the same rows, numbered by one vocabulary.

    Returns
    -------
    dict of str to float64 (rows,)
        By trait name without its part; NaN without words, or without pairs of words, in the response.
    """
    hashed = _Hashed(prompt), _Hashed(response)
    lengths = response.lengths
    pairs = np.full(len(lengths), 2, dtype=np.int64)
    owned, windows = _shared(*hashed, np.ones(len(lengths), dtype=np.int64)), lengths
    owned_pairs, pair_windows = _shared(*hashed, pairs), hashed[1].windows(pairs)[1]
    return {
        "copied_share": ratio(owned, windows),
        "copied_bigram_share": ratio(owned_pairs, pair_windows),
        "copied_span_share": ratio(_longest(*hashed, owned > 0), lengths),
    }


class _Hashed:
    """Words of documents with running hashes, so that any run of n words is hashed in one step."""

    def __init__(self, read: Words) -> None:
        self.read = read
        coded = mix(read.ids.astype(np.uint64) + np.uint64(1))
        self.powers = np.cumprod(np.concatenate([[np.uint64(1)], np.full(len(coded), MULTIPLIER)]), dtype=np.uint64)
        # Hash of the run i..j: (sum of word k times base^k) over base^i; the base is odd, so it can be divided out.
        self.running = np.concatenate([[np.uint64(0)], np.cumsum(coded * self.powers[:-1], dtype=np.uint64)])
        inverse = np.uint64(pow(int(MULTIPLIER), -1, 1 << 64))
        self.inverse = np.cumprod(np.concatenate([[np.uint64(1)], np.full(len(coded), inverse)]), dtype=np.uint64)
        self.owner = np.repeat(np.arange(len(read)), read.lengths)
        # A run ends where its text does: no run joins two texts.
        self.end = np.repeat(read.borders[1:], np.diff(read.borders))

    def windows(self, size: Ints) -> tuple[Hashes, Ints]:
        """Hashes of the runs of size[d] words of each document d, and how many each document has."""
        n = size[self.owner]
        at = np.flatnonzero((n > 0) & (np.arange(len(self.owner)) + n <= self.end))
        owner = self.owner[at]
        hashed = (self.running[at + n[at]] - self.running[at]) * self.inverse[at]
        return mix(hashed * MULTIPLIER + owner.astype(np.uint64)), np.bincount(owner, minlength=len(self.read))


def _shared(prompt: _Hashed, response: _Hashed, size: Ints) -> Ints:
    """Runs of size[d] words of response d that occur in prompt d too."""
    keys, counts = response.windows(size)
    if not len(keys):
        return counts
    found = np.isin(keys, prompt.windows(size)[0])
    return np.diff(np.concatenate([[0], np.cumsum(found)])[np.concatenate([[0], np.cumsum(counts)])])


def _longest(prompt: _Hashed, response: _Hashed, any_word: np.ndarray) -> Floats:
    """Words of the longest run that both have, per document, by bisection: a run of n words contains one of n - 1."""
    low = any_word.astype(np.int64)
    high = np.where(any_word, np.minimum(prompt.read.lengths, response.read.lengths), 0)
    while (open_ := low < high).any():
        middle = np.where(open_, (low + high + 1) // 2, 0)
        found = _shared(prompt, response, middle) > 0
        low, high = np.where(open_ & found, middle, low), np.where(open_ & ~found, middle - 1, high)
    return low.astype(np.float64)
