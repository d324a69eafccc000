from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traitcast.profiler.syllables import SYLLABLE_CHARACTERS, syllables


@pytest.mark.parametrize(
    ("word", "count"),
    [("", 1), ("a", 1), ("cat", 1), ("table", 2), ("hyphenation", 3), ("extraordinarily", 6), ("x" * 1_000_000, 1)],
)
def test_known_words(word: str, count: int) -> None:
    assert syllables(word) == count


@given(st.one_of(st.text(max_size=80), st.text("abcdefghijklmnopqrstuvwxyz'-.", max_size=80)))
def test_equal_to_pyphen(word: str) -> None:
    from textstat.backend.utils import get_pyphen

    assert syllables(word) == len(get_pyphen("en_US").positions(word[:SYLLABLE_CHARACTERS])) + 1
