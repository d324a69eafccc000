"""Keys of many texts at once are those of each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traitcast.profiler.text import keys
from traitcast.profiler.text.keys import NO_WORDS, conflicts, exact_key, words_key, words_keys

texts = st.lists(
    st.text("aB 9.,'-\n\t\x0b\x1c\0\x85\u00e9\u2019\u4e2d\U0001f600", max_size=8) | st.text(max_size=5), max_size=6
)


@given(texts)
def test_many_at_once_are_as_one_by_one(some: list[str]) -> None:
    assert words_keys(some).tolist() == [words_key([text]) for text in some]


@given(texts)
def test_pieces_of_long_texts_do_not_change_the_keys(some: list[str]) -> None:
    whole = [words_key(some), exact_key(some, "a b"), *words_keys(some)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "_PIECE", 1)
        assert [words_key(some), exact_key(some, "a b"), *words_keys(some)] == whole


def test_case_punctuation_and_spaces_do_not_matter() -> None:
    found = words_keys(["Don't go!", "don t  GO", "don't stop", "...", ""])
    assert found[0] == found[1] != found[2]
    assert found[3] == found[4] == NO_WORDS


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 2)), max_size=12))
def test_conflicts_are_equal_keys_with_different_values(rows: list[tuple[int, int]]) -> None:
    each = np.array([key for key, _ in rows], dtype=np.uint64)
    values = np.array([value for _, value in rows], dtype=np.int64)
    expected = [key != 0 and value >= 0 and len({v for k, v in rows if k == key and v >= 0}) > 1 for key, value in rows]
    assert conflicts(each, values).tolist() == expected
