from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.profiler.conftest import averaged
from traitcast.profiler.text.documents import documents
from traitcast.profiler.text.words import read_words
from traitcast.profiler.traits import repetition


def _traits(rows: list[list[str]]) -> dict[str, float | None]:
    docs = documents(rows)
    vocabulary = read_words(docs.texts)
    found = averaged(repetition.document_traits(docs, vocabulary.of_documents(docs), vocabulary), len(rows))
    return {name: estimate.value for name, estimate in found.items()}


@pytest.mark.parametrize(
    ("texts", "trait", "expected"),
    [
        (["ab c\n\n ab c \nde"], "repeated_line_share", 3 / 8),
        (["same\n", "same"], "repeated_line_share", 0),
        (["- a\n* b\ntext\n-"], "bullet_line_share", 2 / 4),
        (["a...\nb…\nc..\n..."], "ellipsis_line_share", 3 / 4),
        (["a" * 12], "repeated_character_share", 2 / 3),
        (["abcdefghij"], "repeated_character_share", 0),
        (["short"], "repeated_character_share", None),
        (["a b c d e a b c d e"], "repeated_run_share", 1 / 6),
        (["a b c d"], "repeated_run_share", None),
        (["no way no way x"], "top_bigram_share", 2 * 5 / 11),
        (["all words differ"], "top_bigram_share", 0),
        (["no no no no"], "top_bigram_share", 1),
        (["word"], "top_bigram_share", None),
    ],
)
def test_by_hand(texts: list[str], trait: str, expected: float | None) -> None:
    assert _traits([texts])[trait] == (None if expected is None else pytest.approx(expected))


def test_nothing_to_repeat() -> None:
    for rows in ([], [[]], [[""]], [["  \n "]]):
        assert set(_traits(rows).values()) == {None}


def _expected(text: str) -> list[float]:
    lines = ["".join(c for c in line if c not in " \t") for line in text.split("\n")]
    lines = [line for line in lines if line]
    repeated = sum(len(line) for i, line in enumerate(lines) if line in lines[:i])
    windows = [text[i : i + 10] for i in range(len(text) - 9)]
    return [sum(map(len, lines)), repeated, len(lines), len(windows), len(set(windows))]


@given(st.lists(st.text(alphabet="ab \n", max_size=40), max_size=6), st.integers(1, 60))
def test_counts_against_plain_python_in_blocks_of_any_size(texts: list[str], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repetition, "_BLOCK_CHARACTERS", block)
        found = repetition.count_segments(texts)
    at = [repetition.COUNTS.index(c) for c in ("characters", "repeated_line_characters", "lines")]
    at += [repetition.COUNTS.index(c) for c in ("windows", "distinct_windows")]
    np.testing.assert_array_equal(found[:, at], np.array([_expected(t) for t in texts]).reshape(-1, 5))


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=14).map(" ".join), min_size=1, max_size=4))
def test_runs_against_plain_python(texts: list[str]) -> None:
    shares, tops = [], []
    for text in texts:
        read = text.split()
        runs = [tuple(read[i : i + 5]) for i in range(len(read) - 4)]
        pairs = Counter(pairwise(read))
        shares += [1 - len(set(runs)) / len(runs)] if runs else []
        tops += [min(1.0, max(2 * n if n > 1 else 0 for n in pairs.values()) / len(read))] if pairs else []
    found = _traits([[text] for text in texts])
    assert found["repeated_run_share"] == (pytest.approx(np.mean(shares)) if shares else None)
    assert found["top_bigram_share"] == (pytest.approx(np.mean(tops)) if tops else None)


def test_the_word_share_follows_data_juicer_s_sample() -> None:
    """Its word_repetition_filter with runs of 5 counts every copy; ours counts all but the first."""
    text = "one two three four five " * 3
    runs = Counter(tuple(text.split()[i : i + 5]) for i in range(11))
    assert sum(n for n in runs.values() if n > 1) / 11 == 1
    assert _traits([[text]])["repeated_run_share"] == pytest.approx(1 - len(runs) / 11)
