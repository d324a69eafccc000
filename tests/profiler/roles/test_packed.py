"""Lists in cells of text: whatever library printed them, they are the same lists, or stay the text that they are."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traitcast.profiler.roles.packed import is_flattened, unpacked

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(texts, min_size=1, max_size=60))
def test_texts_are_found_again_however_they_were_printed(items: list[str]) -> None:
    array = np.array(items, dtype=object)
    as_json = (json.dumps(items), json.dumps(items, ensure_ascii=False))
    for printed in (*as_json, repr(items), repr(tuple(items)), str(array), repr(array)):
        assert unpacked(printed) == items


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=60))
def test_integers_are_found_again(items: list[int]) -> None:
    for printed in (json.dumps(items), str(np.array(items)), repr(np.array(items)), repr([np.int64(i) for i in items])):
        assert unpacked(printed) == items


@given(st.lists(st.lists(texts, min_size=1, max_size=4), min_size=2, max_size=4))
def test_arrays_in_arrays(items: list[list[str]]) -> None:
    outer = np.empty(len(items), dtype=object)
    outer[:] = [np.array(item, dtype=object) for item in items]
    assert unpacked(str(outer)) == items
    answers = {"text": np.array(items[0], dtype=object), "answer_start": np.arange(len(items[0]))}
    assert unpacked(str(answers)) == {"text": items[0], "answer_start": list(range(len(items[0])))}


@pytest.mark.parametrize(
    ("printed", "read"),
    [
        ("[1. 0.5]", [1.0, 0.5]),
        ("[True False]", [True, False]),
        ("[None 'a' nan]", [None, "a", None]),
        ("[b'a' b'b']", ["a", "b"]),
        ("[np.str_('a'), np.str_('b')]", ["a", "b"]),
        ("{'a'}", ["a"]),
        ("[]", []),
        ("{}", {}),
        ("array([], dtype=float64)", []),
        ("[['a' 'b']\n ['c' 'd']]", [["a", "b"], ["c", "d"]]),
    ],
)
def test_what_numpy_and_python_print(printed: str, read: Any) -> None:
    assert unpacked(printed) == read


@pytest.mark.parametrize(
    "printed",
    [
        "['a' 'b', 'c']",  # Python would join the first two
        "['a''b']",
        "[1-2]",
        "[joy anger]",
        "[1 2 ... 9]",
        "[1, 2",
        "[open('x')]",
        "[a]",
        "{'a': 1 'b': 2}",
        "[" * 5000,
        "[laughs] and goes on",
        "('tis the season)",
        '("Hello")',
        '("Hello", he said)',
        "",
        "plain",
    ],
)
def test_what_cannot_be_read_back_stays_text(printed: str) -> None:
    assert unpacked(printed) == printed


@given(st.text("[]{}()'\",: .abN01\\\n", max_size=40))
def test_any_text_is_read_or_kept(text: str) -> None:
    found = unpacked(text)
    assert found == text if isinstance(found, str) else isinstance(found, list | dict)


def test_flattened_lists_are_known() -> None:
    assert all(map(is_flattened, ("[joy anger]", "[joy, anger]", "[1 2 ... 9]", "['a' 'b', 'c']")))
    assert not any(map(is_flattened, ("[CLS]", "joy anger", "[a] or b", "", None, 3)))
