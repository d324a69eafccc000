"""Bars of lengths, turns and classes, of one profile and of two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from traitcast.warehouse import charts, distributions
from traitcast.warehouse.commands.datasets import compare
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.records import LengthBin, Profile, Sketch


def made(name: str, labels: dict[str, int], bins: list[tuple[int, int, int]], unit: str = "words") -> Profile:
    lengths = tuple(LengthBin("prompt", unit, *one) for one in bins)
    return Profile(name, "v1:0", "classification", 10, (), tuple(labels.items()), lengths)


def test_bars_are_shares_of_the_rows_of_their_dataset() -> None:
    two = [made("a", {}, [(1, 2, 3), (4, 6, 1)]), made("b", {}, [(4, 6, 5)])]
    rows = distributions.histogram(two, "prompt", "words")
    assert [(row["dataset"], row["low"], row["share"]) for row in rows] == [("a", 1, 0.75), ("a", 4, 0.25), ("b", 4, 1)]
    assert [row["shown"] for row in rows] == ["1 words: 75.0%", "4 to 5 words: 25.0%", "4 to 5 words: 100.0%"]
    assert distributions.histogram(two, "response", "words") == []
    assert distributions.histogram(two[1:], "prompt", "words") == [], "one bin says nothing"


def test_classes_of_two_datasets_stand_under_each_other() -> None:
    two = [made("a", {"yes": 3, "no": 1}, []), made("b", {"no": 2}, []), made("c", {}, [])]
    rows = distributions.classes(two)
    assert [(row["dataset"], row["name"], row["order"], row["n"]) for row in rows] == [
        *(("a", "no", 0, 1), ("a", "yes", 1, 3)),
        *(("b", "no", 0, 2), ("b", "yes", 1, 0)),
    ]


def test_languages_are_drawn_where_there_are_several() -> None:
    plain = replace(made("a", {}, []), details={"languages": {"en": 10}})
    mixed = replace(made("b", {}, []), details={"languages": {"en": 6, "Cyrillic": 2}})
    assert distributions.languages([plain, made("c", {}, [])]) == []
    rows = distributions.languages([plain, mixed])
    assert [(row["dataset"], row["name"], row["n"], row["shown"]) for row in rows] == [
        *(("a", "en", 10, "100.0%"), ("a", "Cyrillic", 0, "0.0%")),
        *(("b", "en", 6, "75.0%"), ("b", "Cyrillic", 2, "25.0%")),
    ]


def test_the_axis_says_how_tokens_were_counted() -> None:
    def tokens(*by: str | None) -> str:
        profiles = [replace(made("a", {}, [(1, 2, 3)], "tokens"), details={"tokenizer": one}) for one in by]
        profiles.append(made("without tokens", {}, [(1, 2, 3)]))
        return " ".join(axis for _, unit, axis in distributions.axes(profiles) if unit == "tokens")

    assert tokens(None) == "tokens of a row, estimated (four bytes each)"
    assert tokens("org/model") == tokens("org/model", "org/model") == "tokens of a row by model"
    assert tokens("org/model", None) == "", "two ways of counting do not compare"


def test_rare_classes_are_one_bar() -> None:
    rows = distributions.classes([made("a", {f"class {n:02}": 20 - n for n in range(20)}, [])])
    assert len(rows) == distributions.CLASSES
    assert rows[-1]["name"] == "9 other classes"
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert rows[-1]["n"] == sum(20 - n for n in range(11, 20))


def test_a_histogram_in_text_keeps_every_row() -> None:
    profile = made("a", {}, [(n, n + 1, n + 1) for n in range(30)])
    lines = distributions.in_text(profile, "prompt", "words")
    assert len(lines) == 10
    assert lines[0][0].startswith("0 to ")
    assert lines[-1][0].endswith("29")
    assert sum(share for _, share in lines) == pytest.approx(1)
    assert distributions.in_text(profile, "response", "words") == []


@pytest.mark.parametrize("shared", [0, 300])
def test_compare_says_how_many_texts_are_shared(tmp_path: Path, shared: int) -> None:
    values = np.sort(np.random.default_rng(0).random(900)).astype(np.float32)
    vectors = {"a": values[:600], "b": values[600 - shared :]}
    with Warehouse.open(tmp_path / "w.duckdb") as warehouse:
        for name, found in vectors.items():
            vector = np.full(1024, np.nan, dtype=np.float32)
            vector[: len(found)] = np.sort(found)
            sketch = Sketch("prompt", "texts_bottom", vector)
            warehouse.save_profile(Profile(name, "v1:0", "generation", 10, (), sketches=(sketch,)))
    result = CliRunner().invoke(compare, ["a", "b", "--warehouse", str(tmp_path / "w.duckdb")])
    words = "about 50.0% of those of the smaller one" if shared else "none found"
    assert words in " ".join(result.stdout.split())


def test_charts_under_each_other_keep_their_own_rows() -> None:
    two = [made("a", {"x": 1, "y": 2}, [(0, 1, 3), (4, 6, 1)]), made("b", {"y": 2}, [(4, 6, 5)])]
    parts = [
        charts.histogram(distributions.histogram(two, "prompt", "words"), axis="words of the prompt"),
        charts.shares(distributions.classes(two)),
    ]
    drawn = charts.svg(charts.stacked(parts, title="both"))
    for text in ("both", "words of the prompt", "share of rows", "4 to 5 words: 100.0%", "66.7%"):
        assert text in drawn
    assert charts.compiled(parts[0])["data"][0]["name"] == charts.DATA, "a page brings its own rows"
