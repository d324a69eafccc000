"""Totals of blocks: the numbers of one pass, to the last bit, whatever the blocks."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traitcast.profiler.passes.all_rows import RowTotals, count_rows
from traitcast.profiler.profile import profile
from traitcast.profiler.text import distinct, exact_sums
from traitcast.profiler.text.distinct import HashCounts
from traitcast.profiler.text.exact_sums import Moments, PairMoments
from traitcast.profiler.text.histogram import Distribution, ValueCounts

MakeExamples = Callable[..., Any]
numbers = (
    st.floats(min_value=2.0**-200, max_value=2.0**200)
    | st.just(0.0)
    | st.integers(-(10**9), 10**9).map(lambda x: x / 3)
)
texts = st.text(alphabet="ab #@1.\n\u00e9\U0001f600'", max_size=12)


def _counted(texts: HashCounts) -> tuple[list[int], list[int]]:
    blocks = list(texts.blocks())
    return [v for values, _ in blocks for v in values.tolist()], [n for _, counts in blocks for n in counts.tolist()]


def _bytes(totals: RowTotals) -> list[Any]:
    """Everything that traits are made of."""
    found: list[Any] = [totals.rows, totals.log_words, sorted(totals.labels.items())]
    found += [_counted(texts) for texts in (totals.normalised, totals.pairs)]
    kept = totals.kept
    found += [column.tolist() for column in (kept.words, kept.row, kept.segment, kept.rows)]
    rows = totals.labelled
    found += [column.tolist() for column in (rows.labels, rows.fields, rows.options, rows.characters)]
    for name, part in totals.parts.items():
        found += [(t.values.tolist(), t.counts.tolist()) for t in (part.characters, part.runs, part.lines)]
        found.append(_counted(part.texts))
        found += [part.documents, part.blank, part.filled, part.line_characters, part.shares, +part.matches]
        found += [part.points.tolist(), [(s.kind, s.vector.tobytes()) for s in part.sketcher.sketches(name)]]
    return found


@given(
    rows=st.lists(st.tuples(st.lists(texts, max_size=2), st.none() | texts), max_size=14),
    size=st.integers(1, 15),
    seed=st.integers(0, 9),
    held=st.sampled_from([1, 5, distinct.HASHES_IN_MEMORY]),
)
@settings(max_examples=60, deadline=None)
def test_any_blocks_give_the_same_bits(
    make_examples: MakeExamples, rows: list[tuple[list[str], str | None]], size: int, seed: int, held: int
) -> None:
    labels = [("a", "b", None)[i % 3] for i in range(len(rows))]
    table = make_examples([row[0] for row in rows], [row[1] for row in rows], labels=labels).table
    keep = np.flatnonzero(np.random.default_rng(seed).random(len(rows)) < 0.5)
    whole = count_rows(table, keep)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distinct, "HASHES_IN_MEMORY", held)
        assert _bytes(count_rows(table, keep, rows=size)) == _bytes(whole)
    # Associative: the blocks after the first, merged before they follow it.
    first = RowTotals.of(table.slice(0, size), keep[keep < size])
    rest = RowTotals()
    for start in range(size, table.num_rows, size):
        inside = keep[(keep >= start) & (keep < start + size)] - start
        rest.merge(RowTotals.of(table.slice(start, size), inside))
    first.merge(rest)
    assert _bytes(first) == _bytes(whole)


def test_a_profile_does_not_know_its_blocks(make_examples: MakeExamples, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = [[f"Is {i} even?", "say yes\nor no" if i % 3 else ""] for i in range(50)]
    examples = make_examples(prompts, [None if i % 7 == 0 else "yes" if i % 2 else "no way" for i in range(50)])
    whole = profile(examples, rows=20, processes=1)
    monkeypatch.setattr(
        "traitcast.profiler.passes.all_rows.count_rows", lambda table, keep: count_rows(table, keep, rows=7)
    )
    parts = profile(examples, rows=20, processes=1)
    assert (parts.traits, parts.length_histograms, parts.details) == (
        whole.traits,
        whole.length_histograms,
        whole.details,
    )
    for a, b in zip(parts.sketches, whole.sketches, strict=True):
        assert a.vector.tobytes() == b.vector.tobytes()


@given(st.lists(numbers, max_size=40))
def test_totals_and_products_are_exact(values: list[float]) -> None:
    array = np.array(values, dtype=np.float64)
    assert Fraction(exact_sums.exact_sum(array), 1 << exact_sums.UNIT) == sum(map(Fraction, values))
    assert Fraction(exact_sums.exact_dot(array, array), 1 << exact_sums.UNIT) == sum(Fraction(v) ** 2 for v in values)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=40))
def test_means_and_spreads_are_those_of_the_numbers(pairs: list[tuple[int, int]]) -> None:
    values = np.array([a / b if b else math.nan for a, b in pairs])
    moments = Moments()
    moments.add(values)
    found, held = moments.estimate(), values[np.isfinite(values)]
    assert (found.n, found.standard_error) == (len(held), None)
    assert found.value == (pytest.approx(held.mean(), rel=1e-13) if len(held) else None)
    assert found.spread == (pytest.approx(held.std(ddof=1), rel=1e-9, abs=1e-12) if len(held) > 1 else None)


def test_equal_values_have_no_spread_and_no_line() -> None:
    moments, pairs = Moments(), PairMoments()
    moments.add(np.full(1000, 1 / 3))
    assert moments.estimate().spread == 0
    pairs.add(np.full(9, math.log(3)), np.arange(9.0))
    assert pairs.line() is None
    pairs.add(np.arange(9.0), np.arange(9.0))
    assert pairs.line() is not None


@given(st.lists(st.integers(0, 50), min_size=1, max_size=80), st.floats(0, 1))
def test_distributions_are_those_of_the_numbers(values: list[int], q: float) -> None:
    array = np.array(values)
    shape = Distribution(ValueCounts.of(array))
    assert shape.quantile(q) == pytest.approx(np.quantile(array, q), rel=1e-12, abs=1e-12)
    assert shape.deviation == pytest.approx(array.std(), rel=1e-12, abs=1e-12)
    assert shape.mean().value == pytest.approx(array.mean(), rel=1e-14)


@given(st.lists(st.lists(st.integers(0, 20), max_size=30), max_size=8))
def test_tallies_count_whatever_the_blocks(blocks: list[list[int]]) -> None:
    made = ValueCounts()
    for block in blocks:
        made.merge(ValueCounts.of(np.array(block, dtype=np.uint64)))
    everything = np.array([value for block in blocks for value in block], dtype=np.uint64)
    values, counts = np.unique(everything, return_counts=True)
    assert (made.hashes.tolist(), made.counts.tolist(), made.n) == (values.tolist(), counts.tolist(), len(everything))


def test_a_tally_settles_as_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traitcast.profiler.text.histogram._WAITING", 8)
    made = ValueCounts()
    for start in range(0, 90, 3):
        made.add(np.arange(start, start + 5))
    assert made.distinct == 92
    assert made.n == 150


def test_a_huge_cell_takes_less_than_ten_times_its_size() -> None:
    words = " ".join(f"w{i % 997}é" for i in range(1 << 20))
    table = pa.table({"fields": [[words]], "options": pa.nulls(1, pa.list_(pa.string())), "response": ["a"]})
    table = table.append_column("label", pa.nulls(1, pa.string()))
    tracemalloc.start()
    RowTotals.of(table, np.arange(1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = len(words.encode())
    assert peak < 10 * size
