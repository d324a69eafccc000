"""Syllables by rules of spelling, against a dictionary's pronunciations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traitcast.profiler.traits.syllables import SYLLABLE_CHARACTERS, count_syllables

# By a dictionary's pronunciation; the first three were 1 by hyphenation.
KNOWN = {
    1: "a the cat eye made walked called league whale clothes vague strength can't we're",
    2: "about very over any city movie being table acre wanted boxes quiet science mayor fluid poem didn't it'll tv",
    3: "area video idea various studying happier element dna",
    4: "available american algorithm cooperate necessary evaluate january situation economic society",
    5: "association curiosity possibility university",
    6: "extraordinarily responsibility",
}


@pytest.mark.parametrize(("word", "count"), [(word, n) for n, words in KNOWN.items() for word in words.split()])
def test_known_words(word: str, count: int) -> None:
    assert count_syllables(word) == count


@pytest.mark.parametrize("word", ["", "1", "x17", "2021", "é", "中文", "😀", "_", "'"])
def test_what_is_no_word_has_one_syllable(word: str) -> None:
    assert count_syllables(word) == 1


@given(st.text(max_size=80))
def test_any_text_has_at_least_one_and_at_most_one_a_letter(word: str) -> None:
    assert 1 <= count_syllables(word) <= max(3, 3 * len(word))


def test_a_word_of_a_megabyte_is_quick() -> None:
    assert count_syllables("ba" * 500_000) == count_syllables("ba" * (SYLLABLE_CHARACTERS // 2))
