"""Rows that are unlike all others: far longer or shorter, or made of digits, symbols, capitals or repetition.

Owns the numbers that are taken of a text and how far out one has to be. Every number is compared with its own median
over the dataset, so that code among code and capitals among capitals are not odd.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from traitcast.profiler.findings.checks import Finding, found
from traitcast.profiler.text.estimates import Ints

OUTLYING, FAR, OUTLIER_ROWS, OUTLIER_SHARE = 6.0, 3.0, 50, 0.02
# Robust z of a share, and the least spread it is divided by: of most datasets the median share of digits is 0.
ODD_Z, LEAST_SPREAD = 6.0, 2.0
# The scale of a normal distribution from its median absolute deviation.
_MAD = 1.4826
# Where more texts than this are odd in the same number, they are a second kind of text.
ODD_SHARE, ODD_ROWS = 0.01, 2
# Bytes without white space from which a share says something, and words for repetition.
ODD_CHARACTERS, REPEATED_WORDS = 25, 24
# Six counts in one 64-bit sum: ten bits each, so a text is looked at up to here.
_BITS, _BYTES = 10, 1000
# The words that are looked at for repetition are the last ones: a model that loops does so to the end.
_LAST_WORDS, _LAST_CHARACTERS = 64, 800
# Percent of a text without enough characters or words.
UNKNOWN = 255

Percents = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Number:
    """A number of a text.

    words: of what a text has much. far: percentage points above the median that are odd. usual: the median where few
    texts are long enough to have one, None where these are not judged.
    """

    words: str
    far: float
    usual: float | None = None


NUMBERS = {
    "digits": Number("digits", 35),
    "symbols": Number("punctuation and symbols", 40),
    "capitals": Number("capital letters", 60),
    "beyond_ascii": Number("characters beyond ASCII", 40),
    "runs": Number("characters that repeat the one before", 40),
    "repetition": Number("words that repeat earlier ones", 50, 10.0),
}
_COUNTED = ("digits", "symbols", "capitals", "beyond_ascii", "space", "runs")


def percents(texts: pa.Array) -> dict[str, Percents]:
    """Each of `NUMBERS` for every text, in percent; `UNKNOWN` for nulls and texts of few characters.

    All but repetition are shares of the characters of the first 1,000 bytes, white space left out.
    """
    if texts.null_count == len(texts):
        return {name: np.full(len(texts), UNKNOWN, dtype=np.uint8) for name in NUMBERS}
    filled = pc.binary_slice(pc.fill_null(texts, "").cast(pa.large_binary()), 0, _BYTES)
    edges = np.frombuffer(filled.buffers()[1], dtype=np.int64)[filled.offset : filled.offset + len(filled) + 1]
    data = filled.buffers()[2]
    raw = np.frombuffer(data, dtype=np.uint8)[: edges[-1]] if data is not None else np.zeros(0, dtype=np.uint8)
    values = _kinds()[raw]
    same = (raw[1:] == raw[:-1]) & (raw[1:] > 32)
    borders = edges[(edges > 0) & (edges < len(raw))]
    same[borders - 1] = False
    values[1:] += same.astype(np.uint64) << np.uint64(_BITS * _COUNTED.index("runs"))
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(values, dtype=np.uint64)])
    starts, ends = edges[:-1], edges[1:]
    packed = sums[ends] - sums[starts]
    mask = np.uint64((1 << _BITS) - 1)
    counts = {name: (packed >> np.uint64(_BITS * at)) & mask for at, name in enumerate(_COUNTED)}
    # The bytes of a character after its first are counted nowhere else.
    solid = (ends - starts) - counts.pop("space").astype(np.int64) - _following(raw, starts, ends)
    enough = solid >= ODD_CHARACTERS
    found = {
        name: np.where(enough, np.minimum(100.0 * count / np.maximum(solid, 1), 100), UNKNOWN).astype(np.uint8)
        for name, count in counts.items()
    }
    return found | {"repetition": _repetition(texts)}


def _following(raw: npt.NDArray[np.uint8], starts: Ints, ends: Ints) -> Ints:
    """Bytes of each text that are not the first of their character."""
    at = np.flatnonzero((raw & 0xC0) == 0x80)
    return np.searchsorted(at, ends) - np.searchsorted(at, starts)


@cache
def _kinds() -> npt.NDArray[np.uint64]:
    """What each byte adds to the packed sum of `_COUNTED`."""
    bits = np.zeros(256, dtype=np.uint64)

    def add(name: str, points: range | list[int]) -> None:
        bits[list(points)] = np.uint64(1) << np.uint64(_BITS * _COUNTED.index(name))

    add("symbols", range(33, 127))
    add("digits", range(48, 58))
    add("capitals", range(65, 91))
    bits[97:123] = 0
    add("beyond_ascii", range(0xC0, 0x100))
    add("space", [*range(9, 14), *range(28, 33)])
    return bits


def _repetition(texts: pa.Array) -> Percents:
    found = np.full(len(texts), UNKNOWN, dtype=np.uint8)
    # Words of fewer than five letters and a space are hardly the rule.
    long = np.asarray(pc.fill_null(pc.greater_equal(pc.binary_length(texts), 6 * REPEATED_WORDS), False))
    at = np.flatnonzero(long)
    ends = pc.utf8_slice_codeunits(texts.take(pa.array(at)), -_LAST_CHARACTERS)
    for row, text in zip(at.tolist(), ends.to_pylist(), strict=True):
        words = text.split()[-_LAST_WORDS:]
        if len(words) >= REPEATED_WORDS:
            found[row] = round(100 * (1 - len(set(words)) / len(words)))
    return found


def odd(numbers: Mapping[str, Percents], owner: Ints, part: str, left_out: npt.NDArray[np.bool_]) -> Finding | None:
    """Rows of which one of `NUMBERS` is far above the others'.

    Parameters
    ----------
    numbers
        What `percents` gives, a value per text.
    owner : int64 (texts,)
        The row of each text.
    part
        `prompt` or `response`.
    left_out
        Rows that are not marked, since another finding says why they are odd.
    """
    hits, told = np.zeros(len(left_out), dtype=bool), []
    for name, number in NUMBERS.items():
        values = numbers[name]
        known = values != UNKNOWN
        median, spread = number.usual, LEAST_SPREAD
        if known.sum() >= OUTLIER_ROWS:
            median = float(np.median(values[known]))
            spread = max(_MAD * float(np.median(np.abs(values[known] - median))), LEAST_SPREAD)
        if median is None:
            continue
        far = known & (values - median > max(ODD_Z * spread, number.far)) & ~left_out[owner]
        if not far.any() or far.sum() > max(ODD_SHARE * len(values), ODD_ROWS):
            continue
        top = int(np.argmax(np.where(far, values, 0)))
        odd_rows = np.unique(owner[far])
        told.append(
            f"{len(odd_rows):,} in {number.words} (row {owner[top] + 1}: {values[top]} %, the median {median:.0f} %)"
        )
        hits[odd_rows] = True
    there = len(np.unique(owner[numbers["symbols"] != UNKNOWN]))
    return found("odd_rows", part, hits, of=there, detail="; ".join(told))


def lengths(characters: npt.NDArray[np.int32], part: str) -> Finding | None:
    """Texts `FAR` times as long or short as the median, with a robust z of the log length beyond `OUTLYING`.

    The z is by the median and the median absolute deviation. Where more than `OUTLIER_SHARE` are, the lengths have
    several modes, and none of them is a fault.
    """
    there = characters > 0
    if there.sum() < OUTLIER_ROWS:
        return None
    logs = np.log(np.maximum(characters, 1))
    median = np.median(logs[there])
    # Of texts of nearly one length, any other one would be out.
    spread = max(_MAD * np.median(np.abs(logs[there] - median)), 0.05)
    away = np.where(there, logs - median, 0)
    hits = (np.abs(away) > OUTLYING * spread) & (np.abs(away) >= np.log(FAR))
    if hits.sum() > OUTLIER_SHARE * there.sum():
        return None
    long, short = int((hits & (away > 0)).sum()), int((hits & (away < 0)).sum())
    usual = f"the median has {np.median(characters[there]):,.0f} characters, the longest {characters.max():,}"
    return found("length_outlier", part, hits, of=int(there.sum()), detail=f"{long} long, {short} short; {usual}")
