from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from profiler import surface
from profiler.scan import scan
from profiler.segments import Rows, documents
from profiler.vocabulary import read_words


def _rows(rows: list[list[str]]) -> Rows:
    offsets = np.cumsum([0, *(len(row) for row in rows)]).astype(np.int64)
    return Rows(pa.array([text for row in rows for text in row], pa.string()), offsets)


@pytest.mark.parametrize(
    ("expression", "found", "not_found"),
    [
        (surface.URL, ["see https://a.b/c", "WWW.example.org"], ["http is a protocol", "awww."]),
        (surface.MENTION, ["@user hi", 'he said "@you"'], ["a@b.org", "@ home"]),
        (surface.HASHTAG, ["#MeToo", "so (#sad)"], ["# heading", "#1", "C#sharp"]),
        (surface.NUMBER, ["42", " -3.5 ", "$1,200", "7/8", "80 %", "12."], ["", "a1", "4 apples", "1 2", "#### 4"]),
        (
            surface.LIST,
            ["- a\n- b", "1. x\n2. y", "a) x\n\n(b) y", "Here:\n* x\ntext\n* y"],
            ["- a", "1.5\n2.5", "a-b\nc-d"],
        ),
        (
            surface.CODE,
            [
                "```\nx\n```",
                "int x = 1;\n",
                "def f(x):",
                "import numpy as np",
                "SELECT a FROM b",
                "select singer.name group by x",
                '<a href="x">y</a>',
                "ls | grep x",
                "find . -name '*.c'",
                "f(x);",
                "if (x) {",
                "}",
                '{"year": 1}',
            ],
            [
                "",
                "A sentence; and another;",
                "Choose from the list.",
                "from the start, import duties rose",
                "a < b and c > d",
                "groups (<or =10 cm vs>10 cm)",
                "Call me (now); or later.",
                "select one from the list",
                "well - known, -ish",
            ],
        ),
    ],
)
def test_expressions_by_hand(expression: str, found: list[str], not_found: list[str]) -> None:
    for text in found:
        assert surface.match_share(_rows([[text]]), expression).value == 1, text
    for text in not_found:
        assert surface.match_share(_rows([[text]]), expression).value == 0, text


def test_match_share_is_over_documents_that_exist() -> None:
    rows = _rows([["x", "www.a.b", "www.c.d"], [], ["y"]])
    estimate = surface.match_share(rows, surface.URL)
    assert (estimate.value, estimate.n) == (0.5, 2)
    assert surface.match_share(_rows([[]]), surface.URL).value is None
    assert surface.match_share(_rows([]), surface.URL).value is None


def test_character_shares_by_hand() -> None:
    (chunk,) = scan(_rows([["Ab1!", " é"], ["...."], [""]]))
    found = surface.character_traits(chunk.counts)
    assert found["digit_share"].value == pytest.approx((1 / 6 + 0) / 2)
    assert found["punctuation_share"].value == pytest.approx((1 / 6 + 1) / 2)
    assert found["non_ascii_share"].value == pytest.approx((1 / 6 + 0) / 2)
    assert found["whitespace_share"].value == pytest.approx((1 / 6 + 0) / 2)
    assert found["upper_case_share"].value == pytest.approx(1 / 3)
    assert found["upper_case_share"].n == 1
    assert (found["latin_letter_share"].value, found["symbol_share"].value) == (1, 0)
    assert found["digit_share"].standard_error is None


def test_duplicates() -> None:
    hashes = np.array([1, 2, 1, 1], dtype=np.uint64)
    assert surface.duplicate_share(hashes).value == 0.5
    assert surface.duplicate_share(hashes[:0]).value is None
    pairs = surface.pair_hashes(hashes, np.array([5, 5, 5, 6], dtype=np.uint64))
    assert surface.duplicate_share(pairs).value == 0.25
    swapped = surface.pair_hashes(np.array([1, 2], dtype=np.uint64), np.array([2, 1], dtype=np.uint64))
    assert surface.duplicate_share(swapped).value == 0


def test_repetition_by_hand() -> None:
    docs = documents([["a b a b a"], ["a b c"], ["a b c d"], ["x"], [""]])
    found = surface.repetition_traits(read_words(docs.texts).of_documents(docs), rows=5)
    assert found["repeated_bigram_share"].value == pytest.approx((0.5 + 0 + 0) / 3)  # a b, b a of four pairs
    assert found["repeated_bigram_share"].n == 3
    assert found["common_opening_share"].value == pytest.approx(2 / 3)


def test_no_word_pair_joins_two_texts() -> None:
    # Glued, "b a" would repeat in the first and be a second pair of the last; "x y" does repeat, in two texts.
    docs = documents([["a b", "a b a"], ["", "x y", "", "x y", ""], ["no", "yes"]])
    found = surface.repetition_traits(read_words(docs.texts).of_documents(docs), rows=3)["repeated_bigram_share"]
    assert (found.value, found.n) == (pytest.approx((1 / 3 + 1 / 2) / 2), 2)


def test_nothing_at_all() -> None:
    docs = documents([])
    read = read_words(docs.texts).of_documents(docs)
    found = surface.repetition_traits(read, rows=0)
    assert {e.value for e in found.values()} == {None}
