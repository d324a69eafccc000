from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import textstat
from textstat.backend import counts, metrics

from traitcast.profiler.text.words import read_words
from traitcast.profiler.traits import readability
from traitcast.profiler.traits.syllables import count_syllables

# In each of these textstat's regular expression finds the sentences that a person would.
TEXTS = (
    "The cat sat on the mat. It was extraordinarily comfortable there! Would you have guessed that?",
    "Readability formulas approximate comprehension difficulty using surface characteristics. They don't see meaning.",
    "A well-known author's unbelievable autobiography sold 3,500 copies in Birmingham. Nobody bought the sequel.",
)
LANGUAGE = "en_US"


class _Pronunciations(dict[str, list[list[str]]]):
    """cmudict, which has to be downloaded, with our count of syllables for every word."""

    def __contains__(self, word: object) -> bool:
        return True

    def __getitem__(self, word: str) -> list[list[str]]:
        return [["AH0"] * count_syllables(word)]

    def get(self, word: str, default: object = None) -> list[list[str]]:  # type: ignore[override]
        return self[word]


@pytest.fixture
def our_syllables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """textstat's formulas on our syllables."""
    import textstat.backend.counts._count_syllables as module

    monkeypatch.setattr(module, "get_cmudict", lambda lang: _Pronunciations())
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


@pytest.mark.usefixtures("our_syllables")
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


@pytest.mark.usefixtures("our_syllables")
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


def test_counts_are_additive_over_segments() -> None:
    joined = " ".join(TEXTS)
    one = readability.count_segments([joined], read_words([joined]))
    many = readability.count_segments(TEXTS, read_words(TEXTS))
    np.testing.assert_allclose(many.sum(axis=0), one[0])


def test_the_version_of_textstat_that_the_catalogue_cites() -> None:
    assert textstat.__version__[:2] == (0, 7)
