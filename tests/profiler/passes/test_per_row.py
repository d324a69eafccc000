"""Traits of single rows are the profile's own, before it averages them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from traitcast.profiler.passes.per_row import PARSED_TRAITS, ROW_TRAITS, row_traits
from traitcast.profiler.profile import profile
from traitcast.profiler.traits.catalogue import BY_NAME, ENGLISH, needs

MakeExamples = Callable[..., Any]
PROMPTS = [
    ["The film was not good, and nobody laughed?", "It cost $ 12 on Monday."],
    ["Why did she leave? He might never know."],
    ["#"],
    [""],
    ["word"],
    ["🙂 🙂"],
    ["If 3 + 4 = 7, then what is 7 - 4?\nAnswer with one number."],
]
RESPONSES = ["yes", "Because of the rain, she left. It was late.", "", "no", "#", "🙂", "It is 7 - 4 = 3"]


def test_their_mean_is_the_trait_of_the_dataset(make_examples: MakeExamples) -> None:
    examples = make_examples(PROMPTS, RESPONSES)
    values = {t.trait: t.value for t in profile(examples, processes=1).traits}
    found = row_traits(examples.table, processes=1)
    assert set(found) == {
        f"{part}_{name}" for traits in (ROW_TRAITS, PARSED_TRAITS) for part, names in traits.items() for name in names
    }
    for name, per_row in found.items():
        assert (per_row.shape, per_row.dtype) == ((len(PROMPTS),), np.float64), name
        expected = values[name]
        if np.isnan(per_row).all():
            assert expected is None, name
        else:
            assert np.nanmean(per_row) == pytest.approx(expected, rel=1e-9), name


def test_a_row_has_its_own_value_whatever_stands_beside_it(make_examples: MakeExamples) -> None:
    together = row_traits(make_examples(PROMPTS, RESPONSES).table, processes=1)
    for at in range(len(PROMPTS)):
        alone = row_traits(make_examples(PROMPTS[at : at + 1], RESPONSES[at : at + 1]).table, processes=1)
        for name, value in alone.items():
            np.testing.assert_allclose(value[0], together[name][at], rtol=1e-9, err_msg=f"{name} of row {at}")


def test_without_the_parser_and_without_english(make_examples: MakeExamples) -> None:
    table = make_examples(PROMPTS, RESPONSES).table
    quick = row_traits(table, parsed=False)
    assert set(quick) == {f"{part}_{name}" for part, names in ROW_TRAITS.items() for name in names}
    foreign = row_traits(table, language="de")
    assert foreign
    assert not any((needs(BY_NAME[name]) == ENGLISH) for name in foreign)
    assert set(foreign) < set(quick)


def test_no_rows(make_examples: MakeExamples) -> None:
    assert all(value.shape == (0,) for value in row_traits(make_examples([], []).table).values())
