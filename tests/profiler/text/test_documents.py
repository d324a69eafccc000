from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traitcast.profiler.text import documents as segments
from traitcast.profiler.text.documents import (
    documents,
    prompt_segments,
    prompts,
    response_segments,
    responses,
    sum_ranges,
)

ROWS = [["a", "b"], [], ["a"], ["b", "b", "c"]]


def test_distinct_segments_are_kept_once_and_summed_with_multiplicity() -> None:
    found = documents(ROWS)
    assert found.texts == ("a", "b", "c")
    assert [found.segments_of(i) for i in range(4)] == ROWS
    np.testing.assert_array_equal(found.sum(np.array([[1.0], [10.0], [100.0]]))[:, 0], [11, 0, 1, 120])


def test_head_keeps_only_the_segments_it_uses() -> None:
    head = documents(ROWS).head(3)
    assert len(head) == 3
    assert head.texts == ("a", "b")
    assert documents(ROWS).head(99).texts == ("a", "b", "c")
    assert len(documents([]).head(5)) == 0


def test_parts_share_one_list_of_segments_each_cut_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_CHARACTERS", 3)
    parts = {"prompt": documents([["abcd", "x"], ["abce", "yes"]]), "response": documents([["yes"], []])}
    joint, shortened = segments.share_segments(parts)
    assert shortened == {"abcd", "abce"}
    assert joint["prompt"].texts == joint["response"].texts == ("abc", "x", "yes")
    assert [joint["prompt"].segments_of(i) for i in range(2)] == [["abc", "x"], ["abc", "yes"]]
    assert [joint["response"].segments_of(i) for i in range(2)] == [["yes"], []]


def _table(fields: list[list[str] | None], options: list[list[str] | None], response: list[str | None]) -> pa.Table:
    strings = pa.list_(pa.string())
    return pa.table({"fields": pa.array(fields, strings), "options": pa.array(options, strings), "response": response})


def test_options_come_after_the_fields_of_their_row_and_are_never_glued() -> None:
    table = _table([["p", "h"], ["q"], None], [["x", "y"], None, ["z"]], ["x", None, "z"])
    assert [prompts(table).segments_of(i) for i in range(3)] == [["p", "h", "x", "y"], ["q"], ["z"]]
    assert [responses(table).segments_of(i) for i in range(3)] == [["x"], [], ["z"]]


text = st.text(alphabet="ab é\n", max_size=4)
maybe_texts = st.none() | st.lists(text, max_size=3)


@given(st.lists(st.tuples(maybe_texts, maybe_texts, st.none() | text), min_size=1, max_size=8), st.integers(0, 7))
def test_arrow_rows_hold_the_same_segments_as_documents(
    rows: list[tuple[list[str] | None, list[str] | None, str | None]], cut: int
) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    table = _table(*columns)
    table = pa.concat_tables([table.slice(0, cut), table.slice(cut)])  # several chunks, and offsets inside them
    for flat, found in ((prompt_segments(table), prompts(table)), (response_segments(table), responses(table))):
        strings = flat.strings.to_pylist()
        assert len(flat.offsets) == len(rows) + 1
        for i in range(len(rows)):
            assert strings[flat.offsets[i] : flat.offsets[i + 1]] == found.segments_of(i)


def test_sum_ranges_of_nothing() -> None:
    np.testing.assert_array_equal(sum_ranges(np.zeros((0, 2)), np.array([0, 0])), [[0, 0]])
