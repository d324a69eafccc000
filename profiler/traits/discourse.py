"""How English texts argue: connectives, hedges, feeling and quantities per hundred words.

Owns the word lists, each with the grammar it was taken from, the reading of the lexicon of VADER (Hutto and Gilbert
2014; MIT licence), in which ten people rated each word from -4 to 4, and finding entries among numbered words. An entry
is one word or several in a row; apostrophes are plain, as in `profiler.text.words`. Refuses meaning: a listed word
counts wherever it occurs, and neither negation nor irony is read. Words that mean too many things ("so", "as", "since",
"like", "that", "then") are left out, or listed only within phrases ("so that", "as a result").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from traitcast.profiler.text.estimates import Floats, Ints, ratio
from traitcast.profiler.text.words import Vocabulary
from traitcast.warehouse.errors import TraitcastError

# Connectives by the senses of the Penn Discourse Treebank (Prasad et al. 2008), after its list of explicit ones and
# Halliday and Hasan 1976; hedges and boosters after Hyland 2005, appendix, without words that are mostly something
# else ("about", "around", "must", "find").
MARKERS: Mapping[str, tuple[str, ...]] = {
    "causal": (
        *("because", "cause", "causes", "caused", "due to", "owing to", "thanks to", "so that", "in order to"),
        *("as a result", "as a consequence", "the reason", "why", "leads to", "led to", "results in", "given that"),
    ),
    "conditional": (
        *("if", "unless", "whether", "otherwise", "suppose", "supposing", "assuming", "assume", "provided that"),
        *("as long as", "in case", "in the event", "only when", "even when"),
    ),
    "contrast": (
        *("but", "however", "although", "though", "nevertheless", "nonetheless", "whereas", "despite", "instead"),
        *("in spite of", "on the other hand", "on the contrary", "in contrast", "by contrast", "rather than", "yet"),
        *("while", "conversely"),
    ),
    "comparison": (
        *("than", "same as", "similar to", "similarly", "likewise", "compared", "comparison", "as well as", "as if"),
        *("equal to", "different from", "twice as", "times as", "as many", "as much", "just like", "more", "less"),
        *("fewer", "most", "least"),
    ),
    "temporal": (
        *("first", "second", "third", "next", "finally", "after", "before", "until", "when", "whenever", "meanwhile"),
        *("during", "later", "earlier", "afterwards", "afterward", "previously", "subsequently", "once", "eventually"),
        *("and then", "at the same time", "followed by", "step"),
    ),
    "additive": (
        *("and", "also", "moreover", "furthermore", "additionally", "besides", "in addition", "too", "plus"),
        *("for example", "for instance", "such as", "including", "in other words", "namely", "specifically"),
    ),
    "conclusion": (
        *("therefore", "thus", "hence", "consequently", "accordingly", "in conclusion", "to conclude", "in summary"),
        *("to sum up", "in short", "overall", "it follows", "this means", "which means", "so the", "we can conclude"),
        *("we get", "the answer is"),
    ),
    "hedge": (
        *("may", "might", "could", "maybe", "perhaps", "possibly", "possible", "probably", "probable", "likely"),
        *("unlikely", "seem", "seems", "seemed", "appear", "appears", "appeared", "suggest", "suggests", "suggested"),
        *("indicate", "indicates", "approximately", "roughly", "relatively", "somewhat", "generally", "usually"),
        *("often", "sometimes", "apparently", "presumably", "almost", "i think", "i believe", "i guess", "in general"),
        *("sort of", "kind of", "tend to", "tends to"),
    ),
    "booster": (
        *("very", "really", "definitely", "certainly", "clearly", "obviously", "always", "never", "absolutely"),
        *("completely", "totally", "extremely", "highly", "undoubtedly", "indeed", "surely", "truly", "entirely"),
        *("of course", "in fact", "no doubt", "without doubt"),
    ),
    "quantifier": (
        *("all", "any", "both", "each", "either", "every", "few", "half", "many", "much", "neither", "none"),
        *("several", "some", "total", "double", "twice", "dozen", "dozens", "hundred", "hundreds", "thousand"),
        *("thousands", "million", "millions", "billion", "billions", "a lot of", "lots of", "plenty of", "a number of"),
        *("at least", "at most", "altogether"),
    ),
    "unit": (
        *("percent", "percentage", "dollar", "dollars", "cent", "cents", "euro", "euros", "pound", "pounds", "usd"),
        *("second", "seconds", "minute", "minutes", "hour", "hours", "day", "days", "week", "weeks", "month", "months"),
        *("year", "years", "inch", "inches", "foot", "feet", "yard", "yards", "mile", "miles", "mm", "cm", "km"),
        *("meter", "meters", "metre", "metres", "kilometer", "kilometers", "kilometre", "kilometres", "gram", "grams"),
        *("kg", "kilogram", "kilograms", "ounce", "ounces", "ton", "tons", "liter", "liters", "litre", "litres"),
        *("gallon", "gallons", "degree", "degrees", "celsius", "fahrenheit", "mph", "kmph", "hz", "watts", "volts"),
    ),
}
# Biber 1988, feature 14: nouns made by these endings; shorter words ("city", "moment") mostly were not made so.
NOMINAL_ENDINGS = ("tion", "tions", "ment", "ments", "ness", "nesses", "ity", "ities")
NOMINAL_LETTERS = 7
# What is known from one word alone, besides the one-word markers.
WORD_CLASSES = ("positive", "negative", "nominalisation", "numeral")
COUNTS = (*MARKERS, *WORD_CLASSES)
# Trait -> the count it is made of.
RATES = {
    **{f"{marker}_marker_rate": marker for marker in list(MARKERS)[:7]},
    "hedge_rate": "hedge",
    "booster_rate": "booster",
    "quantifier_rate": "quantifier",
    "unit_rate": "unit",
    "numeral_rate": "numeral",
    "positive_word_rate": "positive",
    "negative_word_rate": "negative",
    "nominalisation_rate": "nominalisation",
}
# The mean rating from which a word counts: below it readers disagree ("well" 1.1, "number" 0.3).
STRENGTH = 1.5
# More often a preposition than praise.
_NOT_FEELING = frozenset({"like"})
_PLAIN = re.compile(r"[a-z]{3,}")


def count_segments(vocabulary: Vocabulary) -> Floats:
    """Entries of the lists in each segment.

    Parameters
    ----------
    vocabulary
        The words of the segments.

    Returns
    -------
    float64 (segments, len(COUNTS))
        An entry of several words counts once.
    """
    table = np.array([_classes(word) for word in vocabulary.types], dtype=np.int8).reshape(-1, len(COUNTS))
    hits = table[vocabulary.ids]
    number = {word: i for i, word in enumerate(vocabulary.types)}
    ends = np.repeat(vocabulary.offsets[1:], np.diff(vocabulary.offsets))
    for column, entries in enumerate(MARKERS.values()):
        for entry in entries:
            if " " in entry:
                at = _find([number.get(word, -1) for word in entry.split()], vocabulary.ids, ends)
                hits[at, column] += 1
    result = np.zeros((len(vocabulary.offsets) - 1, len(COUNTS)))
    filled = np.flatnonzero(np.diff(vocabulary.offsets) > 0)
    if len(filled):
        result[filled] = np.add.reduceat(hits, vocabulary.offsets[filled], axis=0, dtype=np.int64)
    return result


def _find(wanted: Sequence[int], ids: Ints, ends: Ints) -> Ints:
    """Where these words follow one another within a segment. ends: per word, where its segment ends."""
    if -1 in wanted:
        return np.zeros(0, dtype=np.int64)
    at = np.flatnonzero(ids == wanted[0])
    at = at[at + len(wanted) <= ends[at]]
    for offset, word in enumerate(wanted[1:], start=1):
        at = at[ids[at + offset] == word]
    return at


@cache
def _single_words() -> Mapping[str, npt.NDArray[np.int8]]:
    rows: dict[str, npt.NDArray[np.int8]] = {}
    for column, entries in enumerate(MARKERS.values()):
        for entry in entries:
            if " " not in entry:
                rows.setdefault(entry, np.zeros(len(COUNTS), dtype=np.int8))[column] = 1
    return rows


def _classes(word: str) -> npt.NDArray[np.int8]:
    """One row of flags over COUNTS for a lower-cased word."""
    known = _single_words().get(word)
    row = known.copy() if known is not None else np.zeros(len(COUNTS), dtype=np.int8)
    positive, negative = sentiment_words()
    row[len(MARKERS) :] = (
        word in positive,
        word in negative,
        len(word) >= NOMINAL_LETTERS and word.endswith(NOMINAL_ENDINGS),
        any(character.isdecimal() for character in word),
    )
    return row


def document_traits(sums: Floats, words: Floats) -> dict[str, Floats]:
    """Rates per hundred words.

    Parameters
    ----------
    sums : float64 (documents, len(COUNTS))
        Document sums of `count_segments`.
    words : float64 (documents,)
        Words of each document.

    Returns
    -------
    dict of str to float64 (documents,)
        By trait name without its part; NaN without words.
    """
    return {name: 100.0 * ratio(sums[:, COUNTS.index(count)], words) for name, count in RATES.items()}


@cache
def sentiment_words() -> tuple[frozenset[str], frozenset[str]]:
    """(positive, negative): lower-case words of three letters or more. Raises TraitcastError without the lexicon."""
    spec = find_spec("vaderSentiment")
    if spec is None or not spec.submodule_search_locations:
        raise TraitcastError("the sentiment lexicon is not installed. Install it with `pip install vaderSentiment`")
    path = Path(spec.submodule_search_locations[0]) / "vader_lexicon.txt"
    positive, negative = set(), set()
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition("\t")
        if not _PLAIN.fullmatch(word) or word in _NOT_FEELING:
            continue
        rating = float(rest.split("\t")[0])
        if rating >= STRENGTH:
            positive.add(word)
        elif rating <= -STRENGTH:
            negative.add(word)
    return frozenset(positive), frozenset(negative)


def lexicon_version() -> str:
    """What the word lists were read from, as stored with a profile."""
    return f"vaderSentiment {version('vaderSentiment')}"
