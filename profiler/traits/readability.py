"""The classic readability formulas, from counts.

Owns easy words and long words per distinct word, the counts per segment and the formulas, which are those of textstat
0.7.13 with two differences. Sentences are the dependency parser's, not those of textstat's regular expression.
Syllables are counted by `profiler.traits.syllables`: textstat takes them from cmudict, which has to be downloaded, and
hyphenates other words, which finds one syllable in "about", "area" and "very".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from traitcast.profiler.text.documents import sum_ranges
from traitcast.profiler.text.estimates import Floats, ratio
from traitcast.profiler.text.words import Vocabulary
from traitcast.profiler.traits.syllables import count_syllables

WORD_COUNTS = ("words", "letters", "syllables", "polysyllables", "unlisted", "complex", "long")
COUNTS = (*WORD_COUNTS, "runs", "characters")

_NOT_WORD = re.compile(r"\W")


def count_segments(texts: Sequence[str], vocabulary: Vocabulary) -> Floats:
    """Additive counts of each segment.

    Parameters
    ----------
    texts
        The segments.
    vocabulary
        Their words.

    Returns
    -------
    float64 (segments, len(COUNTS))
    """
    table = np.array([_word_counts(word) for word in vocabulary.types], dtype=np.float64).reshape(-1, len(WORD_COUNTS))
    counts = sum_ranges(table[vocabulary.ids], vocabulary.offsets)
    runs = [text.split() for text in texts]
    characters = [sum(map(len, run)) for run in runs]
    return np.column_stack([counts, [len(run) for run in runs], characters])


def document_traits(sums: Floats, sentences: Floats) -> dict[str, Floats]:
    """Readability of each document.

    Parameters
    ----------
    sums : float64 (documents, len(COUNTS))
        Document sums of `count_segments`.
    sentences : float64 (documents,)
        By the dependency parser.

    Returns
    -------
    dict of str to float64 (documents,)
        By trait name without its part; NaN without words.
    """
    c = {name: sums[:, column] for column, name in enumerate(COUNTS)}
    words = c["words"]
    # A document of marks only has no words to read.
    sentence_words = np.where(words > 0, ratio(words, sentences), np.nan)
    syllables = ratio(c["syllables"], words)
    unlisted = ratio(c["unlisted"], words)
    # SMOG was normed on 30 sentences and means little below three (McLaughlin 1969).
    polysyllables = np.where(sentences >= 3, ratio(c["polysyllables"], sentences), np.nan)
    return {
        "flesch_reading_ease": 206.835 - 1.015 * sentence_words - 84.6 * syllables,
        "flesch_kincaid_grade": 0.39 * sentence_words + 11.8 * syllables - 15.59,
        "gunning_fog": 0.4 * (sentence_words + 100 * ratio(c["complex"], words)),
        "smog": 1.043 * np.sqrt(30 * polysyllables) + 3.1291,
        "automated_readability_index": 4.71 * ratio(c["characters"], c["runs"]) + 0.5 * sentence_words - 21.43,
        "coleman_liau": 5.8 * ratio(c["letters"], words) - 29.6 * ratio(sentences, words) - 15.8,
        "lix": sentence_words + 100 * ratio(c["long"], words),
        "rix": np.where(words > 0, ratio(c["long"], sentences), np.nan),
        "unlisted_word_share": unlisted,
        "syllables_per_word": syllables,
        "sentence_words_mean": sentence_words,
    }


# A third of a kilobyte each.
@lru_cache(maxsize=1 << 16)
def _word_counts(word: str) -> tuple[int, ...]:
    """WORD_COUNTS of one lower-cased word."""
    letters = len(_NOT_WORD.sub("", word))
    count = count_syllables(word)
    unlisted = word not in _easy_words()
    return 1, letters, count, count >= 3, unlisted, unlisted and count >= 3, letters > 6


@lru_cache(maxsize=1)
def _easy_words() -> frozenset[str]:
    from textstat.backend.utils import get_lang_easy_words

    return frozenset(get_lang_easy_words("en_US"))
