"""Percentiles and unusual traits against SciPy, and how `show` tells them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

import traitcast.cli
from tests.conftest import DEFINITIONS, make_profile
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.percentiles import (
    MIN_ALIKE,
    MIN_PROFILES,
    among,
    compare_profiles,
    in_unit,
    in_words,
    kin,
    meaning,
    most_unusual,
    standings,
)
from traitcast.warehouse.records import Profile, TraitMatrix

N = 40


@pytest.fixture(scope="module")
def reference() -> TraitMatrix:
    """Classes and words rise together; tokens repeat the words; majority is drawn by itself and has gaps."""
    rng = np.random.default_rng(0)
    values = rng.normal(50, 10, (N, 5)).round()
    values[:, 4] = values[:, 3] * 1.3
    values[:, 1] = rng.uniform(0, 1, N).round(2)
    values[:5, 1] = np.nan
    names = tuple(f"d{i}" for i in range(N))
    return TraitMatrix(
        names, ("generation", "multiple_choice") * (N // 2), (None,) * N, (100,) * N, DEFINITIONS, values
    )


def outlier(values: tuple[float | None, ...], name: str = "mine", labels: tuple[tuple[str, int], ...] = ()) -> Profile:
    return make_profile(name, values, labels)


def test_percentiles_are_those_of_scipy(reference: TraitMatrix) -> None:
    profile = outlier((50.0, 0.5, 45.0, 1000.0, -1.0))
    found = standings(profile, reference)
    for j, trait in enumerate(profile.traits):
        column = reference.values[:, j]
        known = column[np.isfinite(column)]
        assert trait.value is not None
        standing = found[trait.trait]
        assert standing.percentile == pytest.approx(stats.percentileofscore(known, trait.value, kind="mean"))
        assert standing.median == np.median(known)
        expected = (trait.value - np.median(known)) / stats.median_abs_deviation(known, scale="normal")
        assert standing.distance == pytest.approx(expected, rel=1e-3)
        assert standing.n == len(known)


def test_a_dataset_is_not_compared_with_itself(reference: TraitMatrix) -> None:
    profile = outlier((50.0, 0.5, 45.0, 60.0, 70.0), name="d7")
    assert {s.n for s in standings(profile, reference).values()} == {N - 1, N - 6}


def test_undefined_traits_and_small_references_have_no_standing(reference: TraitMatrix) -> None:
    assert "label_class_count" not in standings(outlier((None, 0.5, 45.0, 60.0, 70.0)), reference)
    few = replace(reference, values=reference.values[: MIN_PROFILES - 1], names=reference.names[: MIN_PROFILES - 1])
    assert standings(outlier((50.0, 0.5, 45.0, 60.0, 70.0)), few) == {}


def test_a_dataset_is_compared_with_its_like(reference: TraitMatrix) -> None:
    profile = outlier((50.0, 0.5, 45.0, 60.0, 70.0), name="d7")
    kinds = (profile.task_type,) * (MIN_ALIKE + 8) + ("multiple_choice",) * (N - MIN_ALIKE - 8)
    mixed = replace(reference, task_types=kinds)
    alike = kin(profile, mixed)
    assert alike.names == tuple(f"d{i}" for i in range(MIN_ALIKE + 8) if i != 7)
    assert among(profile, alike) == f"{MIN_ALIKE + 7} public {profile.task_type} datasets"
    found = standings(profile, alike)
    column = np.delete(reference.values[: MIN_ALIKE + 8, 2], 7)
    assert found["prompt_words_mean"].percentile == pytest.approx(stats.percentileofscore(column, 45.0, kind="mean"))
    assert in_words(found["prompt_words_mean"]).endswith(f"of 17 {profile.task_type} datasets")
    few = replace(reference, task_types=(profile.task_type,) * MIN_ALIKE + ("multiple_choice",) * (N - MIN_ALIKE))
    assert len(kin(profile, few).names) == N - 1, "nine others of its kind are too few"
    assert among(profile, kin(profile, few)) == f"{N - 1} public datasets"


def test_unusual_traits_are_far_out_and_tell_different_stories(reference: TraitMatrix) -> None:
    profile = outlier((50.0, 0.5, 500.0, 1000.0, 1300.0))
    found = standings(profile, reference)
    # The tokens say what the words have said.
    names = [standing.trait.trait for standing in most_unusual(profile, found, reference)]
    assert names == ["response_words_mean", "prompt_words_mean"]
    assert abs(stats.spearmanr(reference.values[:, 3], reference.values[:, 4]).statistic) > 0.8
    assert abs(stats.spearmanr(reference.values[:, 2], reference.values[:, 3]).statistic) < 0.8
    assert len(most_unusual(profile, found, reference, count=1)) == 1
    usual = outlier((50.0, 0.5, 50.0, 50.0, 65.0))
    assert most_unusual(usual, standings(usual, reference), reference) == []


def test_differences_that_repeat_one_above_or_say_nothing_come_last(reference: TraitMatrix) -> None:
    a = outlier((50.0, 0.5, 45.0, 90.0, 117.0), "a")
    b = outlier((20.0, 0.8, 50.0, 30.0, 39.0), "b")
    noisy = replace(a, traits=tuple(replace(t, standard_error=3.0) for t in a.traits))
    rows = compare_profiles(reference, a, b)
    spread = np.nanstd(reference.values, axis=0, ddof=1)
    assert rows[0]["trait"] == "response_words_mean"
    assert rows[0]["standardised_difference"] == pytest.approx(60 / spread[3])
    assert [row["trait"] for row in rows if row["repeats"]] == ["response_tokens_mean"]
    assert rows[-1]["repeats"] == "response_words_mean"
    last = compare_profiles(reference, noisy, b)[-2:]
    assert {row["trait"] for row in last} == {"label_majority_share", "prompt_words_mean"}
    assert all(row["unclear"] for row in last)
    flat = reference.values.copy()
    flat[:, 1] = 0.5
    flat[0, 1] = 0.501
    share = next(
        r for r in compare_profiles(replace(reference, values=flat), a, b) if r["trait"] == "label_majority_share"
    )
    assert share["standardised_difference"] == pytest.approx(-30), "of a share at least a percentage point"
    equal = compare_profiles(replace(reference, values=np.ones((N, 5))), a, b)
    assert [row["trait"] for row in equal] == [d.trait for d in DEFINITIONS], "in the order of the catalogue"


def test_words(reference: TraitMatrix) -> None:
    found = standings(outlier((50.0, 1.0, 0.0, 1000.0, 70.0)), reference)
    assert in_words(found["response_words_mean"]).endswith("higher than all 40 reference datasets")
    assert in_words(found["prompt_words_mean"]).startswith("0 words (median ")
    assert in_words(found["prompt_words_mean"]).endswith("lower than all 40 reference datasets")
    assert in_words(found["label_majority_share"]).startswith("100 % (median ")
    for definition, short in (
        ("Share of tokens (non-space) tagged ADJ: adjectives.", "Share of tokens tagged ADJ"),
        ("0.4 (words/sentence + 100 complex/words).", "0.4 (words/sentence + 100 complex/words)"),
        ("5.5 % quantile of words.", "5.5 % quantile of words"),
    ):
        assert meaning(replace(DEFINITIONS[0], definition=definition)) == short


def test_show_tells_what_is_unusual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the reference data that ships, with a profile made of two of its datasets."""
    monkeypatch.setenv("TRAITCAST_WAREHOUSE", str(tmp_path / "none.duckdb"))

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(traitcast.cli.cli, ["show", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    with Warehouse.open(tmp_path / "none.duckdb", read_only=True) as warehouse:
        if "gsm8k" not in warehouse.dataset_names():
            pytest.skip("no reference data ships with this checkout")
    text = run("gsm8k")
    assert "What is unusual about it, among 22 public generation datasets:\n  response_" in text
    assert "higher than all 22 generation datasets. " in " ".join(text.split())
    found = json.loads(run("gsm8k", "--format", "json"))
    assert len(found["compared_with"]) == 22
    assert "gsm8k" not in found["compared_with"]
    assert len(found["unusual"]) == 10
    percentiles = {row["trait"]: row["percentile"] for row in found["traits"]}
    assert percentiles["response_tokens_mean"] == 100.0
    assert percentiles["label_class_count"] is None
    assert all(min(p, 100 - p) <= 10 for p in (row["percentile"] for row in found["unusual"]))
    assert "response_pos_adj_share" not in run("sst2").split("\n\n")[1]


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (0.118, "share", "11.8 %"),
        (19.0, "words", "19 words"),
        (8.25, "grade", "grade 8.25"),
        (1.5, "ratio", "1.5"),
        (0.31, "accuracy", "0.31"),
        (2.0, "", "2"),
    ],
)
def test_a_unit_is_written_only_where_it_is_one(value: float, unit: str, written: str) -> None:
    assert in_unit(value, unit) == written
