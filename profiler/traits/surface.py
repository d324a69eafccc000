"""Traits of the surface: characters, duplicates, links, whether a response is a list or a number, what is repeated.

Owns what needs neither a parse nor a readability formula. All-rows traits come from the counts and hashes of
`profiler.text.scan` and from Arrow regular expressions; the others from the words of the sample. Refuses near
duplicates: they are in `profiler.traits.duplicates`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from traitcast.profiler.text.distinct import HashCounts
from traitcast.profiler.text.documents import SegmentRows
from traitcast.profiler.text.estimates import Estimate, Floats, Ints, exact, ratio, undefined
from traitcast.profiler.text.scan import COUNTS, MULTIPLIER, Hashes, hash_runs
from traitcast.profiler.text.words import Vocabulary, Words
from traitcast.profiler.traits.diversity import distinct

CHARACTER_SHARES = ("non_ascii", "digit", "punctuation", "whitespace", "symbol")
# Trait -> the characters counted, and those they are a share of.
SHARES = {f"{name}_share": (name, "characters") for name in CHARACTER_SHARES} | {
    "upper_case_share": ("upper", "alphabetic"),
    "latin_letter_share": ("latin", "alphabetic"),
}
# RE2 syntax. A trait is the share of documents in which the expression is found.
URL = r"(?i)\bhttps?://\S|\bwww\.\S"
MENTION = r"(^|[\s(\"'])@\w"
HASHTAG = r"(^|[\s(\"'])#[A-Za-z]\w"
NUMBER = r"^\s*[-+(]?\s*[$€£]?\s*\d[\d,]*(\.\d+)?(/\d+)?\s*%?\)?\s*\.?\s*$"
LIST = (
    r"(?m)^\s*([-*•]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])\s+\S.*\n(?:.*\n)*?\s*([-*•]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])\s+\S"
)
# Programs, shell commands, SQL, markup and JSON. Each alternative needs syntax, not only a keyword: "from the start"
# and "(a) the fee;" are prose.
CODE = "(?m)" + "|".join(
    (
        "```",
        r"\{\s*$",
        r"^\s*[\])}]+[;,]?\s*$",
        r"=[^\n]*;\s*$|\w\([^\n]*\);\s*$",
        r"\w\([^\n]*\)\s*\{",
        r"^\s*def \w+\(|^\s*class \w+\s*[:({]|\bfunction( \w+)?\(|=>|\blambda \w+:",
        r"^\s*from [\w.]+ import\b|^\s*import \w+(\.\w+)*( as \w+)?\s*;?\s*$|^\s*#include\s*[<\"]",
        r"^\s*(var|let|const|int|float|string) \w+\s*=",
        r"\bprint(ln|f)?\(",
        r"\bSELECT\b.+\bFROM\b|(?i:\bselect\s+(distinct\s+)?(\*|(count|max|min|avg|sum)\s*\(|\w+\.\w+))",
        r"</?[a-z][a-z0-9]*(\s+[a-z-]+=[^<>]*)?\s*/?>",
        r"\s\|\s*(grep|xargs|awk|sed|sort|wc|head|tail|cut|tr|uniq|tee)\b|(^|\s)--?[a-z][\w-]*\s+[\"'./$\d{*]",
        r"\{\s*[\"'][\w-]+[\"']\s*:",
    )
)


def character_shares(counts: npt.NDArray[np.integer]) -> dict[str, Floats]:
    """Character-class shares per document, NaN where it has no such characters. counts: (documents, len(COUNTS))."""
    return {name: _share(counts, *columns) for name, columns in SHARES.items()}


def _share(counts: npt.NDArray[np.integer], part: str, whole: str) -> Floats:
    return ratio(counts[:, COUNTS.index(part)], counts[:, COUNTS.index(whole)])


def duplicate_share(texts: HashCounts) -> Estimate:
    """1 - distinct / rows, from hashes."""
    n = texts.n
    return exact(1 - texts.occurrences().n / n, n) if n else undefined()


def count_matches(rows: SegmentRows, expression: str) -> int:
    """How many documents have a segment in which the expression is found."""
    found = pc.match_substring_regex(rows.strings, expression).to_numpy(zero_copy_only=False)
    return int((np.diff(np.concatenate([[0], np.cumsum(found)])[rows.offsets]) > 0).sum())


def token_shares(alphabetic: Floats, stop: Floats, tokens: Floats) -> dict[str, Floats]:
    """Shares of alphabetic and of stop-word tokens per document, from document sums."""
    return {"alphabetic_token_share": ratio(alphabetic, tokens), "stop_word_share": ratio(stop, tokens)}


def repeated_bigrams(read: Words) -> Floats:
    """Share of the word pairs of each document that occurred before in it, float64 (documents,)."""
    pairs, offsets = _bigrams(read)
    return 1 - ratio(distinct(pairs, offsets), np.diff(offsets))


def _bigrams(read: Words) -> tuple[Ints, Ints]:
    """Numbered word pairs of each document, and their offsets. The last word of a text field starts no pair."""
    ids = read.ids
    opens = np.ones(len(ids), dtype=bool)
    opens[read.borders[1:][np.diff(read.borders) > 0] - 1] = False
    at = np.flatnonzero(opens)
    _, pairs = np.unique(ids[at] * (int(ids.max()) + 1 if len(ids) else 1) + ids[at + 1], return_inverse=True)
    return pairs.astype(np.int64), np.searchsorted(at, read.offsets)


def openings(read: Words, vocabulary: Vocabulary, *, words: int = 3) -> Hashes:
    """A hash of the first three words of each document that long."""
    starts = read.offsets[:-1][read.lengths >= words]
    opening = np.stack([read.ids[starts + k] for k in range(words)], axis=1)
    return hash_runs(vocabulary.hashes[opening].reshape(-1), np.arange(len(starts)) * words)


def common_opening(openings: HashCounts) -> Estimate:
    """Share of documents that open with the most common first words, among documents that long."""
    n = openings.n
    return exact(float(openings.occurrences().values[-1] / n), n) if n else undefined()


def pair_hashes(prompt: Hashes, response: Hashes) -> Hashes:
    """One hash per (prompt, response) row, order kept."""
    return prompt * MULTIPLIER + (response ^ (response >> np.uint64(29)))
