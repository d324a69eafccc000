from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tests.profiler.conftest import averaged
from traitcast.profiler.text.distinct import HashCounts
from traitcast.profiler.text.documents import Documents, SegmentRows, documents
from traitcast.profiler.text.estimates import Estimate
from traitcast.profiler.text.scan import scan
from traitcast.profiler.text.words import read_words
from traitcast.profiler.traits import surface


def _rows(rows: list[list[str]]) -> SegmentRows:
    offsets = np.cumsum([0, *(len(row) for row in rows)]).astype(np.int64)
    return SegmentRows(pa.array([text for row in rows for text in row], pa.string()), offsets)


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
        assert surface.count_matches(_rows([[text]]), expression) == 1, text
    for text in not_found:
        assert surface.count_matches(_rows([[text]]), expression) == 0, text


def test_matches_are_documents() -> None:
    assert surface.count_matches(_rows([["x", "www.a.b", "www.c.d"], [], ["y"]]), surface.URL) == 1
    assert surface.count_matches(_rows([[]]), surface.URL) == 0
    assert surface.count_matches(_rows([]), surface.URL) == 0


def test_character_shares_by_hand() -> None:
    (chunk,) = scan(_rows([["Ab1!", " é"], ["...."], [""]]))
    nan = float("nan")
    expected = {
        "digit_share": (1 / 6, 0, nan),
        "punctuation_share": (1 / 6, 1, nan),
        "non_ascii_share": (1 / 6, 0, nan),
        "whitespace_share": (1 / 6, 0, nan),
        "upper_case_share": (1 / 3, nan, nan),
        "latin_letter_share": (1, nan, nan),
        "symbol_share": (0, 0, nan),
    }
    found = {name: values.tolist() for name, values in surface.character_shares(chunk.counts).items()}
    assert found == {name: pytest.approx(values, nan_ok=True) for name, values in expected.items()}


def test_duplicates() -> None:
    hashes = np.array([1, 2, 1, 1], dtype=np.uint64)
    assert surface.duplicate_share(HashCounts.of(hashes)).value == 0.5
    assert surface.duplicate_share(HashCounts()).value is None
    pairs = surface.pair_hashes(hashes, np.array([5, 5, 5, 6], dtype=np.uint64))
    assert surface.duplicate_share(HashCounts.of(pairs)).value == 0.25
    swapped = surface.pair_hashes(np.array([1, 2], dtype=np.uint64), np.array([2, 1], dtype=np.uint64))
    assert surface.duplicate_share(HashCounts.of(swapped)).value == 0


def _repetition(docs: Documents) -> dict[str, Estimate]:
    vocabulary = read_words(docs.texts)
    read = vocabulary.of_documents(docs)
    openings = HashCounts.of(surface.openings(read, vocabulary))
    return averaged({"repeated_bigram_share": surface.repeated_bigrams(read)}, len(docs)) | {
        "common_opening_share": surface.common_opening(openings)
    }


def test_repetition_by_hand() -> None:
    docs = documents([["a b a b a"], ["a b c"], ["a b c d"], ["x"], [""]])
    found = _repetition(docs)
    assert found["repeated_bigram_share"].value == pytest.approx((0.5 + 0 + 0) / 3)  # a b, b a of four pairs
    assert found["repeated_bigram_share"].n == 3
    assert found["common_opening_share"].value == pytest.approx(2 / 3)


def test_no_word_pair_joins_two_texts() -> None:
    # Glued, "b a" would repeat in the first and be a second pair of the last; "x y" does repeat, in two texts.
    docs = documents([["a b", "a b a"], ["", "x y", "", "x y", ""], ["no", "yes"]])
    found = _repetition(docs)["repeated_bigram_share"]
    assert (found.value, found.n) == (pytest.approx((1 / 3 + 1 / 2) / 2), 2)


def test_nothing_at_all() -> None:
    docs = documents([])
    assert {e.value for e in _repetition(docs).values()} == {None}
