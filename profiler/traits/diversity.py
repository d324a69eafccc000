"""Lexical diversity: how many different words a text, or the whole sample, uses.

Owns type-token measures and their length corrections. Words are numbers here (see `profiler.text.words`); nothing is
lemmatised. Refuses values where a measure is known to be unstable: MTLD of a document needs 50 words.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from traitcast.profiler.text.distinct import HashCounts
from traitcast.profiler.text.documents import sum_ranges
from traitcast.profiler.text.estimates import Estimate, Floats, Ints, exact, ratio, undefined
from traitcast.profiler.text.scan import Hashes
from traitcast.profiler.text.words import Vocabulary, Words
from traitcast.profiler.traits.balance import entropy

# McCarthy and Jarvis 2010: the TTR at which a stretch of text counts as one factor.
FACTOR_TTR = 0.72
# Below this MTLD is mostly its partial factor (Koizumi and In'nami 2012 advise at least 100, the authors 50 to 100).
MTLD_WORDS = 50
# McCarthy and Jarvis 2007: the sample size of the D measure that HD-D computes exactly.
HDD_DRAWS = 42
# The walk is sequential Python; more words do not move it.
CORPUS_WORDS = 100_000
WINDOW_WORDS = 1_000
# Below this Maas' logarithms are mostly rounding: one repeat in four words moves it tenfold.
MAAS_WORDS = 10
# zlib looks back 32 KiB; more text does not move the ratio.
COMPRESSED_BYTES = 200_000


def document_traits(read: Words, vocabulary: Vocabulary) -> dict[str, Floats]:
    """Lexical diversity of each document.

    Parameters
    ----------
    read
        The words of documents.
    vocabulary
        By which they are numbered.

    Returns
    -------
    dict of str to float64 (documents,)
        By trait name without its part, NaN where undefined.
    """
    ids, offsets = read.ids, read.offsets
    words = read.lengths.astype(np.float64)
    types = distinct(ids, offsets)
    characters = np.array([len(word) for word in vocabulary.types], dtype=np.float64)[ids]
    return {
        "type_token_ratio": ratio(types, words),
        "root_type_token_ratio": ratio(types, np.sqrt(words)),
        "mtld": np.array([_document_mtld(ids[a:b].tolist()) for a, b in pairwise(offsets.tolist())]),
        "maas": _maas(types, words),
        "word_characters_mean": ratio(sum_ranges(characters, offsets), words),
    }


class Corpus:
    """The words of all sampled documents of one part as one text.

    It keeps how often each word occurs, the first CORPUS_WORDS in order, and the number of distinct words in each
    window of WINDOW_WORDS.
    """

    def __init__(self) -> None:
        self._words = HashCounts()
        self._first = _Stretch()
        # What follows the last full window.
        self._open = _Stretch()
        self._windows = self._types = self._documents = 0

    def add(self, read: Words, vocabulary: Vocabulary) -> None:
        """Take the words of the next documents."""
        hashes = vocabulary.hashes[read.ids]
        starts = read.offsets[:-1][read.lengths > 0]
        self._words.add(hashes)
        self._documents += len(starts)
        self._first = self._first.followed(hashes, starts).within(CORPUS_WORDS)
        stretch = self._open.followed(hashes, starts)
        types = window_types(stretch.words, WINDOW_WORDS)
        self._windows += len(types)
        self._types += int(types.sum())
        self._open = stretch.after(len(types) * WINDOW_WORDS)

    def traits(self) -> dict[str, Estimate]:
        """Traits of the whole sample. n: the documents whose words enter."""
        n = self._documents
        often = self._words.occurrences()
        counts, multiplicity = often.values.astype(np.int64), often.counts
        first, tens = self._first, self._first.within(10_000)
        vocabulary = self._types / self._windows if self._windows else float("nan")
        in_ten = window_types(tens.words, 10_000)
        return {
            "corpus_mtld": exact(_document_mtld(first.words.tolist()), len(first.starts)),
            "corpus_hdd": exact(hdd(counts, multiplicity), n),
            "corpus_yule_k": exact(yule_k(counts, multiplicity), n),
            "word_entropy_bits": exact(entropy(counts, multiplicity) if n else float("nan"), n),
            "hapax_share": exact(float(multiplicity[counts == 1].sum() / multiplicity.sum()) if n else float("nan"), n),
            "vocabulary_1k": exact(vocabulary, n - len(self._open.starts)),
            "vocabulary_10k": exact(float(in_ten[0]) if len(in_ten) else float("nan"), len(tens.starts)),
        }


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Consecutive words. starts: where the documents that have a word start in them."""

    words: Hashes = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    starts: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def followed(self, words: Hashes, starts: Ints) -> _Stretch:
        return _Stretch(np.concatenate([self.words, words]), np.concatenate([self.starts, starts + len(self.words)]))

    def within(self, count: int) -> _Stretch:
        return _Stretch(self.words[:count].copy(), self.starts[self.starts < count])

    def after(self, count: int) -> _Stretch:
        return _Stretch(self.words[count:].copy(), self.starts[self.starts >= count] - count)


class Compression:
    """The first documents, laid end to end, as far as they are compressed."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, texts: Iterable[str]) -> None:
        """Take the next documents, up to COMPRESSED_BYTES in all."""
        if self._size >= COMPRESSED_BYTES:
            return
        for text in texts:
            self._parts.append(text.encode("utf-8", "replace"))
            self._size += len(self._parts[-1]) + 1
            if self._size >= COMPRESSED_BYTES:
                return

    def ratio(self) -> Estimate:
        """Bytes of the documents over the bytes that zlib (level 6) makes of them."""
        n, raw = len(self._parts), b"\n".join(self._parts)[:COMPRESSED_BYTES]
        return exact(len(raw) / len(zlib.compress(raw, 6)), n) if raw.strip() else undefined(n)


def yule_k(counts: Ints, multiplicity: Ints | int = 1) -> float:
    """Yule's characteristic K (Yule 1944): 10^4 (sum of squared counts - N) / N^2.

    Parameters
    ----------
    counts : int64 (n,)
        How often a word occurs.
    multiplicity : int64 (n,) or int
        How many words have each count.

    Returns
    -------
    float
        NaN below two words.
    """
    total = int((counts * multiplicity).sum())
    squares = float((counts.astype(np.float64) ** 2 * multiplicity).sum())
    return float(1e4 * (squares - total) / total**2) if total > 1 else float("nan")


def _maas(types: Floats, words: Floats) -> Floats:
    """Maas' a^2 (Maas 1972): (ln N - ln V) / (ln N)^2, NaN below MAAS_WORDS words."""
    enough = words >= MAAS_WORDS
    n, v = np.log(np.where(enough, words, np.e)), np.log(np.where(enough, types, np.e))
    return np.where(enough, (n - v) / n**2, np.nan)


def distinct(ids: Ints, offsets: Ints) -> Floats:
    """Distinct words of each document, float64 (documents,). ids, offsets: as in `Words`."""
    n = len(offsets) - 1
    owner = np.repeat(np.arange(n), np.diff(offsets))
    pairs = np.unique(owner * (int(ids.max()) + 1 if len(ids) else 1) + ids)
    return np.bincount(pairs // (int(ids.max()) + 1 if len(ids) else 1), minlength=n).astype(np.float64)


def _document_mtld(words: list[int]) -> float:
    return mtld(words) if len(words) >= MTLD_WORDS else float("nan")


def mtld(words: list[int]) -> float:
    """Measure of textual lexical diversity: mean of the forward and the backward walk (McCarthy and Jarvis 2010).

    A text in which no word repeats stays at a type-token ratio of 1, so its factor is only known to be longer than the
    text. The next word is then taken to be a repeat (a ratio of n / (n + 1)), which places the text just above all
    texts of its length with a repeat: NaN would leave out the most diverse documents.

    Parameters
    ----------
    words
        Numbers of the words of a text, in order.

    Returns
    -------
    float
        Words per factor; NaN without words.
    """
    if not words:
        return float("nan")
    return 0.5 * (_walk(words) + _walk(words[::-1]))


def _walk(words: list[int]) -> float:
    """Words per factor in one direction, the unfinished factor counted by how far its TTR has fallen."""
    factors = 0.0
    seen: set[int] = set()
    length = 0
    for word in words:
        seen.add(word)
        length += 1
        if len(seen) <= FACTOR_TTR * length:
            factors += 1
            seen.clear()
            length = 0
    if length:
        factors += (1 - len(seen) / length) / (1 - FACTOR_TTR)
    return len(words) / (factors or 1 / (len(words) + 1) / (1 - FACTOR_TTR))


def hdd(counts: Ints, multiplicity: Ints | int = 1, *, draws: int = HDD_DRAWS) -> float:
    """HD-D (McCarthy and Jarvis 2007): expected type-token ratio of words drawn without replacement.

    Each type adds P(drawn at least once) / draws, with P(never drawn) = C(N - c, draws) / C(N, draws) as a product over
    the draws.

    Parameters
    ----------
    counts : int64 (n,)
        How often a type occurs.
    multiplicity : int64 (n,) or int
        How many types have each count.
    draws
        Words drawn; 42 is the sample size of the D measure that HD-D computes exactly.

    Returns
    -------
    float
        NaN below `draws` words.
    """
    total = int((counts * multiplicity).sum())
    if total < draws:
        return float("nan")
    step = np.arange(draws)
    missed = np.prod(np.clip(total - counts[:, None] - step, 0, None) / (total - step), axis=1)
    return float(((1 - missed) * multiplicity).sum() / draws)


def window_types(words: npt.NDArray[np.integer], size: int) -> Ints:
    """Distinct words of consecutive windows of `size` words, without the words after the last full window."""
    ordered = np.sort(words[: len(words) // size * size].reshape(-1, size), axis=1)
    return 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)
