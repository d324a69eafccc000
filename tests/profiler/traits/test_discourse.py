from __future__ import annotations

import numpy as np
import pytest

from traitcast.profiler.text.documents import documents
from traitcast.profiler.text.words import read_words, words
from traitcast.profiler.traits import discourse


def _rates(*texts: str) -> dict[str, float]:
    """Rates of one document of these texts."""
    docs = documents([list(texts)])
    vocabulary = read_words(docs.texts)
    sums = docs.sum(discourse.count_segments(vocabulary))
    found = discourse.document_traits(sums, vocabulary.of_documents(docs).lengths.astype(np.float64))
    return {name: float(values[0]) for name, values in found.items()}


EXAMPLES = [
    ("I left because it rained.", "causal_marker_rate", 1, 5),
    ("As a result, we lost due to rain.", "causal_marker_rate", 2, 8),
    ("If you ask, tell me whether it works.", "conditional_marker_rate", 2, 8),
    ("Small but good. On the other hand, it's dear.", "contrast_marker_rate", 2, 9),
    ("He is taller than me, twice as tall.", "comparison_marker_rate", 2, 8),
    ("First wash it, then dry it after lunch.", "temporal_marker_rate", 2, 8),
    ("Salt and pepper, such as this.", "additive_marker_rate", 2, 6),
    ("Therefore the sum is 5.", "conclusion_marker_rate", 1, 5),
    ("It may seem odd in general.", "hedge_rate", 3, 6),
    ("Of course this is very clearly wrong.", "booster_rate", 3, 7),
    ("Each of the several boxes holds a lot of tea.", "quantifier_rate", 3, 10),
    ("She ran 5 miles in 40 minutes.", "unit_rate", 2, 7),
    ("She ran 5 miles in 40min.", "numeral_rate", 2, 6),
    ("A wonderful, happy film with an awful end.", "positive_word_rate", 2, 8),
    ("A wonderful, happy film with an awful end.", "negative_word_rate", 1, 8),
    ("The development of a city needs attention and happiness.", "nominalisation_rate", 3, 9),
]


@pytest.mark.parametrize(("text", "trait", "markers", "of"), EXAMPLES)
def test_by_hand(text: str, trait: str, markers: int, of: int) -> None:
    assert len(words(text)) == of
    assert _rates(text)[trait] == pytest.approx(100 * markers / of)


def test_every_trait_has_a_hand_checked_example() -> None:
    assert set(discourse.RATES) == {trait for _, trait, _, _ in EXAMPLES}


def test_an_entry_of_several_words_does_not_cross_texts() -> None:
    assert _rates("it came as a", "result of rain")["causal_marker_rate"] == 0
    assert _rates("it came", "as a result")["causal_marker_rate"] == pytest.approx(100 / 5)


def test_no_entry_holds_another_of_its_list() -> None:
    for entries in discourse.MARKERS.values():
        assert len(set(entries)) == len(entries)
        assert not [(a, b) for a in entries for b in entries if a != b and f" {b} " in f" {a} "]
        assert all(" ".join(words(entry)) == entry for entry in entries)


def test_no_word_means_undefined() -> None:
    assert np.isnan(list(_rates("?!").values())).all()


def test_the_sentiment_lists_are_those_of_vader() -> None:
    positive, negative = discourse.sentiment_words()
    assert (len(positive), len(negative)) == (1788, 2218)
    assert not positive & negative
    assert {"good", "happy"} <= positive - negative
    assert {"bad", "war"} <= negative - positive
    assert "like" not in positive | negative
    assert discourse.lexicon_version().startswith("vaderSentiment ")
