from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.conftest import load_benchmark
from traitcast.profiler.traits.catalogue import CATALOGUE


@pytest.fixture(scope="module")
def redundancy() -> ModuleType:
    return load_benchmark("redundancy")


@given(st.lists(st.integers(0, 9), min_size=2, max_size=30))
def test_ranks_against_scipy(redundancy: ModuleType, values: list[int]) -> None:
    np.testing.assert_allclose(redundancy.average_ranks(np.array(values)), stats.rankdata(values))


def test_twins_are_reported_with_their_reason_and_accidents_are_not(redundancy: ModuleType) -> None:
    rng = np.random.default_rng(0)
    x, y, z = rng.normal(size=(3, 40))
    sparse = np.where(np.arange(40) == 7, 100.0, 0.0)
    columns = {
        "prompt_words_mean": x,
        "prompt_tokens_mean": 2 * x + 1,
        "prompt_url_share": np.exp(3 * y),
        "prompt_code_share": y,
        "response_pos_verb_share": z,
        "response_pos_noun_share": -z,
        "prompt_pos_verb_share": z + 3 * x,
        "prompt_pos_noun_share": x + 3 * y,
        "prompt_cloze_share": sparse,
        "prompt_hashtag_share": sparse,
    }
    found = redundancy.report(tuple(columns), np.column_stack(list(columns.values())), 0.98)
    by_pair = {pair[:2]: pair for pair in found}
    assert set(by_pair) == {
        ("prompt_words_mean", "prompt_tokens_mean"),
        ("prompt_url_share", "prompt_code_share"),
        ("response_pos_verb_share", "response_pos_noun_share"),
    }
    assert by_pair["prompt_words_mean", "prompt_tokens_mean"].reason is not None
    urls = by_pair["prompt_url_share", "prompt_code_share"]
    assert (urls.reason, round(urls.spearman, 6)) == (None, 1)
    assert urls.pearson < 0.98
    assert by_pair["response_pos_verb_share", "response_pos_noun_share"].reason == "the same two differ in prompts"


def test_reasons_name_traits_that_exist(redundancy: ModuleType) -> None:
    names = {definition.trait.removeprefix(f"{definition.part}_") for definition in CATALOGUE}
    for reason, kin in redundancy.KIN:
        assert kin <= names, (reason, kin - names)
        assert len(kin) > 1
    assert redundancy.kin_reason("prompt_words_q05", "prompt_tokens_mean") == redundancy.KIN[0][0]
    assert redundancy.kin_reason("prompt_words_q05", "response_tokens_mean") is None
    assert redundancy.kin_reason("prompt_words_q05", "prompt_url_share") is None
