from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import textstat
from textstat.backend import counts, metrics

from traitcast.profiler.text.words import read_words
from traitcast.profiler.traits import readability

# In each of these textstat's regular expression finds the sentences that a person would.
TEXTS = (
    "The cat sat on the mat. It was extraordinarily comfortable there! Would you have guessed that?",
    "Readability formulas approximate comprehension difficulty using surface characteristics. They don't see meaning.",
    "A well-known author's unbelievable autobiography sold 3,500 copies in Birmingham. Nobody bought the sequel.",
)
LANGUAGE = "en_US"


@pytest.fixture
def without_cmudict(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """textstat's own numbers for words outside cmudict: the dictionary itself would be fetched from the network."""
    import textstat.backend.counts._count_syllables as module

    monkeypatch.setattr(module, "get_cmudict", lambda lang: None)
    _forget()
    yield
    _forget()


def _forget() -> None:
    """Empty textstat's caches, so that no number survives the patch."""
    for module in (counts, metrics):
        for name in dir(module):
            clear = getattr(getattr(module, name), "cache_clear", None)
            if clear:
                clear()


def _traits(text: str, sentences: int) -> dict[str, float]:
    sums = readability.count_segments([text], read_words([text]))
    found = readability.document_traits(sums, np.array([float(sentences)]))
    return {name: float(values[0]) for name, values in found.items()}


@pytest.mark.usefixtures("without_cmudict")
@pytest.mark.parametrize("text", TEXTS)
def test_formulas_against_textstat_with_its_sentence_count(text: str) -> None:
    found = _traits(text, counts.count_sentences(text))
    assert found["flesch_reading_ease"] == pytest.approx(metrics.flesch_reading_ease(text, LANGUAGE))
    assert found["flesch_kincaid_grade"] == pytest.approx(metrics.flesch_kincaid_grade(text, LANGUAGE))
    assert found["gunning_fog"] == pytest.approx(metrics.gunning_fog(text, LANGUAGE))
    assert found["automated_readability_index"] == pytest.approx(metrics.automated_readability_index(text))
    assert found["coleman_liau"] == pytest.approx(metrics.coleman_liau_index(text))
    assert found["lix"] == pytest.approx(metrics.lix(text))
    assert found["rix"] == pytest.approx(metrics.rix(text))
    difficult = counts.count_difficult_words(text, LANGUAGE, syllable_threshold=0)
    assert found["unlisted_word_share"] == pytest.approx(difficult / counts.count_words(text))
    assert found["syllables_per_word"] == pytest.approx(metrics.syllables_per_word(text, LANGUAGE))
    assert found["sentence_words_mean"] == pytest.approx(metrics.words_per_sentence(text))


@pytest.mark.usefixtures("without_cmudict")
def test_smog_against_textstat_from_three_sentences_on() -> None:
    assert counts.count_sentences(TEXTS[0]) == 3
    assert _traits(TEXTS[0], 3)["smog"] == pytest.approx(metrics.smog_index(TEXTS[0], LANGUAGE))
    assert math.isnan(_traits(TEXTS[1], 2)["smog"])


def test_flesch_by_hand() -> None:
    # 6 words of one syllable in 2 sentences.
    found = _traits("The cat sat. The dog ran.", 2)
    assert found["flesch_reading_ease"] == pytest.approx(206.835 - 1.015 * 3 - 84.6)
    assert found["flesch_kincaid_grade"] == pytest.approx(0.39 * 3 + 11.8 - 15.59)
    assert found["lix"] == 3
    assert found["unlisted_word_share"] == 0


@pytest.mark.parametrize("text", ["", "#", "...", " \n"])
def test_no_word_means_undefined(text: str) -> None:
    found = _traits(text, 1)
    assert all(math.isnan(value) for value in found.values()), found


@pytest.mark.parametrize(
    ("word", "count"),
    [("", 1), ("a", 1), ("cat", 1), ("table", 2), ("hyphenation", 3), ("extraordinarily", 6), ("x" * 1_000_000, 1)],
)
def test_syllables_of_known_words(word: str, count: int) -> None:
    assert readability.count_syllables(word) == count


def test_counts_are_additive_over_segments() -> None:
    joined = " ".join(TEXTS)
    one = readability.count_segments([joined], read_words([joined]))
    many = readability.count_segments(TEXTS, read_words(TEXTS))
    np.testing.assert_allclose(many.sum(axis=0), one[0])


def test_a_word_of_a_megabyte_is_quick() -> None:
    assert readability.count_syllables("ba" * 500_000) == readability.count_syllables("ba" * 32)


def test_the_version_of_textstat_that_the_catalogue_cites() -> None:
    assert textstat.__version__[:2] == (0, 7)
