"""Numbers of single texts, and which of them are far out."""

from __future__ import annotations

import random
import string
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from traitcast.profiler.findings import odd

THERE = "It was a long way to the old mill behind the river"


def percents(*texts: str | None) -> dict[str, list[int]]:
    return {name: values.tolist() for name, values in odd.percents(pa.array(texts, pa.string())).items()}


def counted(text: str) -> dict[str, float]:
    """The same by a loop over the characters."""
    solid = [char for char in text if not char.isspace()]
    raw = text.encode()
    return {
        "digits": sum(char in string.digits for char in solid),
        "symbols": sum(char in string.punctuation for char in solid),
        "capitals": sum(char in string.ascii_uppercase for char in solid),
        "beyond_ascii": sum(not char.isascii() for char in solid),
        "runs": sum(a == b and a > 32 for a, b in pairwise(raw)),
        "solid": len(solid),
    }


def test_shares_are_those_of_a_loop_over_the_characters() -> None:
    rng = random.Random(0)
    letters = string.printable.replace("\x0b", "").replace("\x0c", "") + "äé中я😀"
    texts = ["".join(rng.choices(letters, k=rng.randint(0, 300))) for _ in range(60)]
    found = percents(*texts)
    for row, text in enumerate(texts):
        expected = counted(text)
        for name in ("digits", "symbols", "capitals", "beyond_ascii", "runs"):
            if expected["solid"] < odd.ODD_CHARACTERS:
                assert found[name][row] == odd.UNKNOWN
            else:
                assert found[name][row] == int(100 * expected[name] / expected["solid"]), (name, text)


def test_only_the_first_thousand_bytes_are_looked_at() -> None:
    (capitals,) = percents("a" * 900 + "A" * 5000)["capitals"]
    assert capitals == 10


def test_a_slice_is_read_as_such() -> None:
    whole = pa.array(["x" * 40, "1" * 40, None, "A" * 40, "."])
    assert odd.percents(whole.slice(1, 3))["digits"].tolist() == [100, odd.UNKNOWN, 0]


@pytest.mark.parametrize("text", [None, "", "#", "word", "😀", " \n"])
def test_what_is_too_short_has_no_numbers(text: str | None) -> None:
    assert all(values == [odd.UNKNOWN] for values in percents(text).values())


def test_repetition_is_that_of_the_last_words() -> None:
    loop = THERE + " and then we went on" * 40
    assert percents(loop, THERE, " ".join(str(n) for n in range(80)))["repetition"] == [92, odd.UNKNOWN, 0]


def rows_found(texts: list[str], *, left_out: tuple[int, ...] = ()) -> Any:
    skipped = np.zeros(len(texts), dtype=bool)
    skipped[list(left_out)] = True
    return odd.odd(odd.percents(pa.array(texts)), np.arange(len(texts)), "prompt", skipped)


def test_odd_rows_name_their_number() -> None:
    texts = [f"{THERE} number {n}" for n in range(300)]
    texts[7], texts[9] = THERE.upper(), "+-+|-+-+ " * 12
    finding = rows_found(texts)
    assert finding.rows.tolist() == [8, 10]
    assert finding.detail == (
        "1 in punctuation and symbols (row 10: 100 %, the median 0 %); "
        "1 in capital letters (row 8: 100 %, the median 2 %)"
    )
    assert rows_found(texts, left_out=(7, 9)) is None


def test_what_many_rows_have_is_not_odd() -> None:
    texts = [THERE.upper() if n % 20 == 0 else THERE for n in range(300)]
    assert rows_found(texts) is None
    assert rows_found([THERE, THERE.upper()]) is None


def test_a_loop_is_odd_among_short_texts() -> None:
    finding = rows_found([*["yes"] * 60, "I am sorry. " * 40])
    assert finding.detail == "1 in words that repeat earlier ones (row 61: 95 %, the median 10 %)"


def test_a_field_stands_for_its_row() -> None:
    texts = [text for _ in range(80) for text in (THERE, THERE)]
    texts[5] = THERE.upper()
    finding = odd.odd(odd.percents(pa.array(texts)), np.repeat(np.arange(80), 2), "prompt", np.zeros(80, dtype=bool))
    assert finding is not None
    assert (finding.rows.tolist(), finding.of) == ([3], 80)
