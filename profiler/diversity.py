"""Lexical diversity: how many different words a text, or the whole sample, uses.

Owns type-token measures and their length corrections. Words are numbers here (see `profiler.vocabulary`); nothing is
lemmatised. Refuses values where a measure is known to be unstable: MTLD of a document needs 50 words.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from profiler.balance import entropy
from profiler.estimates import Estimate, Floats, Ints, exact, mean, ratio, undefined
from profiler.segments import sum_ranges
from profiler.vocabulary import Vocabulary, Words

# McCarthy and Jarvis 2010: the TTR at which a stretch of text counts as one factor.
FACTOR_TTR = 0.72
# Below this MTLD is mostly its partial factor (Koizumi and In'nami 2012 advise at least 100, the authors 50 to 100).
MTLD_WORDS = 50
# McCarthy and Jarvis 2007: the sample size of the D measure that HD-D computes exactly.
HDD_DRAWS = 42
# The walk is sequential Python; more words do not move it.
CORPUS_WORDS = 100_000
# Below this Maas' logarithms are mostly rounding: one repeat in four words moves it tenfold.
MAAS_WORDS = 10
# zlib looks back 32 KiB; more text does not move the ratio.
COMPRESSED_BYTES = 200_000


def traits(read: Words, vocabulary: Vocabulary, *, rows: int) -> dict[str, Estimate]:
    """Diversity traits of one part. read: the words of the sampled documents, numbered by `vocabulary`.

    n of the traits of the whole sample: the documents whose words enter.
    """
    ids, offsets = read.ids, read.offsets
    n = read.documents_within(len(ids))
    words = read.lengths.astype(np.float64)
    types = distinct(ids, offsets)
    characters = np.array([len(word) for word in vocabulary.types], dtype=np.float64)[ids]
    walked = ids[:CORPUS_WORDS]
    counts = np.unique(ids, return_counts=True)[1]
    return {
        "type_token_ratio": mean(ratio(types, words), rows=rows),
        "root_type_token_ratio": mean(ratio(types, np.sqrt(words)), rows=rows),
        "mtld": mean(np.array([_document_mtld(ids[a:b]) for a, b in pairwise(offsets.tolist())]), rows=rows),
        "corpus_mtld": exact(_document_mtld(walked), read.documents_within(CORPUS_WORDS)),
        "corpus_hdd": exact(hdd(counts), n),
        "corpus_yule_k": exact(yule_k(counts), n),
        "word_entropy_bits": exact(entropy(counts) if len(ids) else float("nan"), n),
        "maas": mean(_maas(types, words), rows=rows),
        "hapax_share": exact(float((counts == 1).mean()) if len(counts) else float("nan"), n),
        "vocabulary_1k": exact(window_types(ids, 1_000), read.documents_within(len(ids) // 1_000 * 1_000)),
        "vocabulary_10k": exact(window_types(ids[:10_000], 10_000), read.documents_within(10_000)),
        "word_characters_mean": mean(ratio(sum_ranges(characters, offsets), words), rows=rows),
    }


def compression_ratio(texts: Iterable[str]) -> Estimate:
    """Bytes of documents laid end to end over the bytes that zlib (level 6) makes of them."""
    parts, size = [], 0
    for text in texts:
        parts.append(text.encode("utf-8", "replace"))
        size += len(parts[-1]) + 1
        if size >= COMPRESSED_BYTES:
            break
    raw = b"\n".join(parts)[:COMPRESSED_BYTES]
    return exact(len(raw) / len(zlib.compress(raw, 6)), len(parts)) if raw.strip() else undefined(len(parts))


def yule_k(counts: Ints) -> float:
    """Yule's characteristic K (Yule 1944): 10^4 (sum of squared counts - N) / N^2; NaN below two words."""
    total = int(counts.sum())
    return (
        float(1e4 * (float((counts.astype(np.float64) ** 2).sum()) - total) / total**2) if total > 1 else float("nan")
    )


def _maas(types: Floats, words: Floats) -> Floats:
    """Maas' a^2 (Maas 1972): (ln N - ln V) / (ln N)^2, NaN below MAAS_WORDS words."""
    enough = words >= MAAS_WORDS
    n, v = np.log(np.where(enough, words, np.e)), np.log(np.where(enough, types, np.e))
    return np.where(enough, (n - v) / n**2, np.nan)


def distinct(ids: Ints, offsets: Ints) -> Floats:
    """Distinct words of each document."""
    n = len(offsets) - 1
    owner = np.repeat(np.arange(n), np.diff(offsets))
    pairs = np.unique(owner * (int(ids.max()) + 1 if len(ids) else 1) + ids)
    return np.bincount(pairs // (int(ids.max()) + 1 if len(ids) else 1), minlength=n).astype(np.float64)


def _document_mtld(ids: Ints) -> float:
    return mtld(ids.tolist()) if len(ids) >= MTLD_WORDS else float("nan")


def mtld(words: list[int]) -> float:
    """Measure of textual lexical diversity: mean of the forward and the backward walk (McCarthy and Jarvis 2010).

    A text in which no word repeats stays at a TTR of 1, so its factor is only known to be longer than the text. The
    next word is then taken to be a repeat (TTR n / (n + 1)), which puts the text just above all of its length with a
    repeat: NaN would leave out the most diverse documents of all. NaN without words.
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


def hdd(counts: Ints, draws: int = HDD_DRAWS) -> float:
    """HD-D (McCarthy and Jarvis 2007): expected type-token ratio of `draws` words drawn without replacement.

    counts: occurrences of each type. NaN below `draws` words. Each type adds P(drawn at least once) / draws,
    with P(never drawn) = C(N - c, draws) / C(N, draws) as a product over the draws.
    """
    total = int(counts.sum())
    if total < draws:
        return float("nan")
    sizes, types = np.unique(counts, return_counts=True)
    step = np.arange(draws)
    missed = np.prod(np.clip(total - sizes[:, None] - step, 0, None) / (total - step), axis=1)
    return float(((1 - missed) * types).sum() / draws)


def window_types(ids: Ints, size: int) -> float:
    """Mean number of distinct words over consecutive windows of `size` words; NaN when not one window is full."""
    windows = ids[: len(ids) // size * size].reshape(-1, size)
    if not len(windows):
        return float("nan")
    ordered = np.sort(windows, axis=1)
    return float((1 + (np.diff(ordered, axis=1) > 0).sum(axis=1)).mean())
