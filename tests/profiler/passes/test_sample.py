"""Blocks of sampled rows: the same numbers whatever their size, and no text beyond its block."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traitcast.profiler.parsing import parser as parse
from traitcast.profiler.parsing.parser import BatchCounts, Parser, TextBatch
from traitcast.profiler.passes import sample
from traitcast.profiler.passes.sample import sample_blocks
from traitcast.profiler.passes.sample_traits import SampleTotals
from traitcast.profiler.profile import profile

MakeExamples = Callable[..., Any]
TEXTS = (
    *(
        "",
        "#",
        "The cat sat on the mat.",
        "A dog, a cat and 3 birds!",
        "Why did he leave?\nIt was late.",
        "word",
        "\U0001f600",
    ),
    *(
        "It was not so good: in 1969 she went to Paris.",
        "the the the",
        "- one\n- two\n- one",
        "a b c d e f g h i j k " * 6,
    ),
)
rows = st.lists(
    st.tuples(st.lists(st.sampled_from(TEXTS), max_size=2), st.none() | st.sampled_from(TEXTS)), min_size=1, max_size=12
)


def _totals(table: Any, parser: Parser | None, *, entity_rows: int = 0) -> dict[str, Any]:
    order = np.random.default_rng(0).permutation(table.num_rows)
    found = SampleTotals.of(sample_blocks(table, order, parser, entity_rows=entity_rows, processes=1))
    return found.traits(table.num_rows + 5)


@given(
    rows=rows,
    size=st.integers(1, 12),
    entity_rows=st.integers(0, 12),
    known=st.sampled_from([0, 3, sample.KNOWN_TEXTS]),
)
@settings(max_examples=25, deadline=None)
def test_blocks_of_any_size_give_the_same_bits(
    make_examples: MakeExamples,
    parser: Parser,
    rows: list[tuple[list[str], str | None]],
    size: int,
    entity_rows: int,
    known: int,
) -> None:
    table = make_examples([row[0] for row in rows], [row[1] for row in rows]).table
    whole = _totals(table, parser, entity_rows=entity_rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "BLOCK_ROWS", size)
        patch.setattr(sample, "KNOWN_TEXTS", known)
        assert _totals(table, parser, entity_rows=entity_rows) == whole


@given(rows=rows, size=st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_so_they_do_where_nothing_is_parsed(
    make_examples: MakeExamples, rows: list[tuple[list[str], str | None]], size: int
) -> None:
    table = make_examples([row[0] for row in rows], [row[1] for row in rows]).table
    whole = _totals(table, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "BLOCK_ROWS", size)
        assert _totals(table, None) == whole


def test_a_profile_does_not_know_the_blocks_of_its_sample_nor_its_processes(
    make_examples: MakeExamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [[f"The {'old ' * (i % 7)}man number {i % 50} went to Rome, didn't he? " * 3] for i in range(90)]
    examples = make_examples(prompts, [("He did.", "No.", None)[i % 3] for i in range(90)])
    whole = profile(examples, rows=80, entity_rows=30, processes=1)
    monkeypatch.setattr(sample, "BLOCK_ROWS", 17)
    for processes in (1, 2):
        found = profile(examples, rows=80, entity_rows=30, processes=processes)
        assert (found.traits, found.details) == (whole.traits, whole.details)


def test_a_text_that_was_parsed_is_not_parsed_again(
    make_examples: MakeExamples, parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "BLOCK_ROWS", 10)
    table = make_examples([["A long story.", f"Question {i % 20}?"] for i in range(60)], ["yes"] * 60).table
    seen: list[str] = []

    def run(parser: Parser, batches: Iterator[TextBatch]) -> Iterator[BatchCounts]:
        for batch in batches:
            seen.extend(batch.texts)
            yield parser.count_batch(batch)

    assert len(list(sample_blocks(table, np.arange(60), parser, run=run))) == 6
    # Each block hands one text over, so that it is given back in its turn.
    assert len(seen) == 22 + 5
    assert set(seen) == {"A long story.", "yes", *(f"Question {i}?" for i in range(20))}


def test_blocks_are_let_go_one_after_the_other(make_examples: MakeExamples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "BLOCK_ROWS", 5)
    table = make_examples([[f"prompt {i}"] for i in range(40)], ["yes"] * 40).table
    alive: list[weakref.ref[Any]] = []
    for block in sample_blocks(table, np.arange(40), None):
        alive.append(weakref.ref(block.vocabulary.ids))
        gc.collect()
        assert sum(ref() is not None for ref in alive) <= 2
    assert len(alive) == 8


def test_blocks_without_text_come_back_too(
    make_examples: MakeExamples, parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "BLOCK_ROWS", 2)
    empty: list[list[str]] = [[], []]
    table = make_examples([*empty, ["a"], ["b"], *empty], [None, None, "x", None, None, None]).table
    found = list(sample_blocks(table, np.arange(6), parser))
    assert [block.parts["prompt"].exists.tolist() for block in found] == [[False] * 2, [True] * 2, [False] * 2]
    (nothing,) = sample_blocks(table.slice(0, 0), np.arange(0), parser)
    assert len(nothing.parts["prompt"].documents) == 0


def test_progress_reaches_the_end_and_never_goes_back(
    make_examples: MakeExamples, parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parse, "BATCH_CHARACTERS", 100)
    monkeypatch.setattr(sample, "BLOCK_ROWS", 30)
    table = make_examples([[f"Sentence number {i} talks about cats."] for i in range(80)], [None] * 80).table
    seen: list[tuple[int, int]] = []
    list(sample_blocks(table, np.arange(80), parser, entity_rows=40, on_progress=lambda *at: seen.append(at)))
    assert seen == sorted(seen)
    assert len(seen) > 20
    assert seen[-1] == (80, 80)
