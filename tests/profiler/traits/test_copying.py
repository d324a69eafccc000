from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.profiler.conftest import averaged
from traitcast.profiler.text.documents import documents, share_segments
from traitcast.profiler.text.estimates import Estimate
from traitcast.profiler.text.words import read_words, words
from traitcast.profiler.traits import copying

Rows = list[tuple[list[str], list[str]]]


def _copied(rows: Rows) -> dict[str, Estimate]:
    joint, _ = share_segments({"prompt": documents([p for p, _ in rows]), "response": documents([r for _, r in rows])})
    vocabulary = read_words(joint["prompt"].texts)
    parts = [vocabulary.of_documents(joint[part]) for part in ("prompt", "response")]
    return averaged(copying.document_traits(*parts), len(rows))


def test_by_hand() -> None:
    found = _copied([(["the red cat", "or dog"], ["The dog barks at the red cat!"]), (["a b"], ["cat"])])
    assert found["copied_share"].value == pytest.approx((5 / 7 + 0) / 2)
    assert (found["copied_bigram_share"].value, found["copied_bigram_share"].n) == (pytest.approx(2 / 6), 1)
    assert found["copied_span_share"].value == pytest.approx((3 / 7 + 0) / 2)


def test_neither_pairs_nor_runs_join_texts_or_rows() -> None:
    found = _copied([(["x", "y"], ["x y"]), (["p q"], ["y p"])])
    assert found["copied_bigram_share"].value == 0
    assert found["copied_span_share"].value == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_nothing_at_all() -> None:
    rows: list[Rows] = [[], [(["a"], [])], [([], [""])]]
    assert {e.value for case in rows for e in _copied(case).values()} == {None}


def _longest(prompt: list[str], response: list[str]) -> int:
    """The longest common run by trying all of them."""
    held = {tuple(p.split()[i:j]) for p in prompt for i in range(len(p.split())) for j in range(len(p.split()) + 1)}
    runs = (tuple(r.split()[i:j]) for r in response for i in range(len(r.split())) for j in range(len(r.split()) + 1))
    return max((len(run) for run in runs if run in held), default=0)


_TEXT = st.lists(st.sampled_from("abc"), max_size=9).map(" ".join)


@given(st.lists(st.tuples(st.lists(_TEXT, max_size=2), st.lists(_TEXT, min_size=1, max_size=1)), max_size=4))
def test_the_longest_run_against_trying_all(rows: Rows) -> None:
    shares = [_longest(p, r) / len(words(r[0])) for p, r in rows if words(r[0])]
    found = _copied(rows)["copied_span_share"]
    assert found.value == (pytest.approx(np.mean(shares)) if shares else None)
