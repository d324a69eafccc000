from __future__ import annotations

import json
import math
from itertools import islice
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import load_benchmark
from traitcast.profiler.reading.reader import read


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return load_benchmark("profiler")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, benchmark: ModuleType) -> Path:
    """Folders of the datasets that words are taken from, two rows each."""
    folder = tmp_path_factory.mktemp("data")
    for name in (*benchmark.SHORT, "ag_news", "squad_v2"):
        (folder / name).mkdir()
        rows = [{"text": f"{name} was  a\nplain text {i}", "label": f"l{i}"} for i in range(2)]
        (folder / name / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_texts_lose_the_whitespace_that_is_a_token_to_the_peer(benchmark: ModuleType, data: Path) -> None:
    assert benchmark.texts_of(data, ["ag_news"]) == ["ag_news was a plain text 0", "ag_news was a plain text 1"]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_generated_rows_are_the_same_in_every_format(
    benchmark: ModuleType, data: Path, tmp_path: Path, form: str
) -> None:
    expected = list(benchmark.generated(data, 50, 5))
    assert expected == list(islice(benchmark.generated(data, 60, 5), 50))
    path = tmp_path / f"made.{form}"
    benchmark.write_rows(path, iter(expected))
    table = read(path).table
    assert [fields[0] for fields in table["fields"].to_pylist()] == [row["text"] for row in expected]
    assert table["label"].to_pylist() == [row["label"] for row in expected]


def test_values_that_differ_are_counted_once_a_document(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    same = {name: [0.5, 0.25, math.nan] for name in benchmark.SHARED}
    other = {**same, "pos_noun_share": [0.5, 0.35, math.nan], "pos_verb_share": [0.5, 0.25 + 1e-9, math.nan]}
    benchmark.compare(same, other)
    assert "2 of 3 documents equal within 1e-6" in capsys.readouterr().out
    benchmark.compare(same, same)
    assert "3 of 3 documents equal within 1e-6" in capsys.readouterr().out


def test_own_values_are_those_of_the_shared_traits(benchmark: ModuleType) -> None:
    found = benchmark.own_values(["The cat sat on the mat.", "Go!"])
    assert set(found) == set(benchmark.SHARED)
    assert found["pos_noun_share"][0] == pytest.approx(2 / 7)
