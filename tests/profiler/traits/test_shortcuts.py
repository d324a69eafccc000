from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_mutual_info_score

from traitcast.profiler.passes.all_rows import count_rows
from traitcast.profiler.text.estimates import Estimate
from traitcast.profiler.traits import shortcuts
from traitcast.profiler.traits.catalogue import BY_NAME

MakeExamples = Callable[..., Any]
N = 400


@pytest.fixture
def measure(make_examples: MakeExamples) -> Callable[..., dict[str, Estimate]]:
    def run(*args: Any, **named: Any) -> dict[str, Estimate]:
        table = make_examples(*args, **named).table
        totals = count_rows(table, np.arange(table.num_rows))
        return shortcuts.traits(totals.kept, totals.labelled, seed=0)

    return run


Measure = Callable[..., dict[str, Estimate]]


def test_what_gives_the_label_away_explains_all_of_it(measure: Measure) -> None:
    labels = ["yes" if i % 2 else "no" for i in range(N)]
    fillers = [f"w{i}" for i in range(N)]
    by_length = measure([["x " * (3 if label == "yes" else 9)] for label in labels], labels, labels=labels)
    assert by_length["length_information"].value == pytest.approx(1)
    first = [[f"{'Surely' if y == 'yes' else 'Hardly'} {w}"] for y, w in zip(labels, fillers, strict=True)]
    by_first = measure(first, labels, labels=labels)
    assert by_first["first_word_information"].value == pytest.approx(1)
    assert by_first["length_information"].value == 0
    assert by_first["word_association"].value == pytest.approx(1)
    assert by_first["word_rule_gain"].value == pytest.approx(0.5, abs=0.06)
    assert by_first["overlap_information"].value is None
    assert by_first["first_word_information"].n == N
    pairs = [[f"a {w} sleeps", f"a {w if y == 'yes' else 'dog'} sleeps"] for y, w in zip(labels, fillers, strict=True)]
    assert measure(pairs, labels, labels=labels)["overlap_information"].value == pytest.approx(1)


def test_chance_explains_nothing(measure: Measure) -> None:
    rng = np.random.default_rng(0)
    prompts = [[" ".join(f"w{k}" for k in rng.integers(0, 30, rng.integers(2, 20))), "w1 w2"] for _ in range(N)]
    labels = [f"c{k}" for k in rng.integers(0, 12, N)]
    found = measure(prompts, labels, labels=labels)
    for name in ("length_information", "first_word_information", "overlap_information"):
        value = found[name].value
        assert value is not None
        assert value < 0.02
    assert found["word_rule_gain"].value == pytest.approx(0, abs=0.03)


def test_one_word_rule_by_hand(measure: Measure) -> None:
    """ "not" stands in 100 of 400 rows, all of them "no"; of the others 200 are "yes"."""
    labels = ["no"] * 200 + ["yes"] * 200
    prompts = [["it is not so"]] * 100 + [["it is so"]] * 300
    found = measure(prompts, labels, labels=labels)
    assert found["word_rule_gain"].value == pytest.approx(0.75 - 0.5, abs=0.06)
    # p = 100/400, p(not) = 100/400, p(no) = 1/2: ln 2 / ln 4.
    assert found["word_association"].value == pytest.approx(0.5)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=30, max_size=200))
def test_information_against_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    groups, labels = (np.array(column) for column in zip(*pairs, strict=True))
    labels = np.unique(labels, return_inverse=True)[1]
    found = shortcuts.information(groups, labels, np.random.default_rng(0)).value
    if len(set(labels.tolist())) == 1:
        assert found is None
    elif len(set(groups.tolist())) == 1:
        assert found == pytest.approx(0, abs=1e-9)
    else:
        # (I - E) / (H(label) - E): scikit-learn's with the label alone in the denominator, E exact.
        h = shortcuts._entropy(np.bincount(labels))
        other = shortcuts._entropy(np.bincount(groups))
        exact = adjusted_mutual_info_score(labels, groups, average_method="min" if h < other else "max")
        assert found == pytest.approx(max(0.0, exact), abs=0.12)


def test_the_correction_for_chance_hardly_depends_on_its_shuffles() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 60)
    groups = np.where(rng.random(60) < 0.6, labels, rng.integers(0, 6, 60))
    found = [shortcuts.information(groups, labels, np.random.default_rng(seed)).value for seed in range(60)]
    # Ten shuffles vary by .007, a single one by .021.
    assert np.std(np.array(found, dtype=np.float64)) < 0.012


def test_options_by_hand(measure: Measure) -> None:
    found = measure(
        [["Which bird swims?"], ["Which is red?"], ["What is hot?"]],
        ["a penguin bird", "a tomato", "fire"],
        labels=["1", "0", "0"],
        options=[["a cat", "a penguin bird"], ["a tomato", "a cucumber"], ["fire", "ices"]],
    )
    # Longest: right, wrong, a tie of two; overlapping: right ("bird"), ties in the others.
    assert found["longest_option_gain"].value == pytest.approx((1 + 0 + 0.5) / 3 - 0.5)
    assert found["overlapping_option_gain"].value == pytest.approx((1 + 0.5 + 0.5) / 3 - 0.5)
    assert found["longest_option_gain"].n == 3


def test_without_labels_or_with_one_class_nothing_is_defined(measure: Measure) -> None:
    assert {e.value for e in measure([["a"]] * 30, ["x"] * 30).values()} == {None}
    assert {e.value for e in measure([["a"]] * 30, ["x"] * 30, labels=["x"] * 30).values()} == {None}
    assert {e.value for e in measure([["a"]], ["x"], labels=["x"]).values()} == {None}


def test_rows_without_label_words_or_options_are_left_out(measure: Measure) -> None:
    labels: list[str | None] = ["0", "1", None] * 20
    prompts = [["Which?"] if i % 5 else [""] for i in range(60)]
    options = [["a", "bb"] if i % 4 else None for i in range(60)]
    found = measure(prompts, ["a"] * 60, labels=labels, options=options)
    assert found["longest_option_gain"].n == sum(1 for i in range(60) if labels[i] is not None and i % 4)
    assert found["length_information"].n == 40


def test_what_is_kept_of_rows_is_theirs(make_examples: MakeExamples) -> None:
    table = make_examples(
        [["a", "b"], ["c"], ["d"]],
        ["x"] * 3,
        labels=["1", None, "0"],
        options=[["a", "caf\u00e9"], ["no"], None],
    ).table
    # Of several chunks, as files give them.
    table = pa.concat_tables([table, table.slice(1), table])
    for keep in ([], [2], [0, 1, 3, 5, 7]):
        found, rows = (
            shortcuts.LabelledRows.of(table, np.array(keep, dtype=np.int64)),
            table.take(pa.array(keep, pa.int64())),
        )
        options = [options or [] for options in rows["options"].to_pylist()]
        assert found.labels.to_pylist() == rows["label"].to_pylist()
        assert found.fields.tolist() == [len(fields) for fields in rows["fields"].to_pylist()]
        assert found.options.tolist() == [len(some) for some in options]
        assert found.characters.tolist() == [len(option) for some in options for option in some]


def test_the_rule_table_in_blocks_is_the_whole_table(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    word, label = rng.integers(0, 50, 900), rng.integers(0, 4, 900)
    labels, inside = rng.integers(0, 4, 300), np.ones(900, dtype=bool)
    whole = shortcuts._best_rule(word, label, inside, labels)
    monkeypatch.setattr(shortcuts, "TABLE_CELLS", 12)
    assert shortcuts._best_rule(word, label, inside, labels) == whole


def test_the_definition_states_the_shuffles_that_are_made() -> None:
    stated = BY_NAME["label_length_information"].definition
    assert f"its mean over {shortcuts.SHUFFLES} shuffles of the labels" in stated
