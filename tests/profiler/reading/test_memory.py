"""Data in memory are read as the same data in a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from traitcast.profiler.reading.reader import read
from traitcast.warehouse.errors import InputError

ROWS = [{"text": f"ticket {n} about water", "label": "ab"[n % 2]} for n in range(20)]


def with_datasets(rows: list[dict[str, Any]]) -> Any:
    from datasets import Dataset

    return Dataset.from_list(rows)


def with_pandas(rows: list[dict[str, Any]]) -> Any:
    return pytest.importorskip("pandas").DataFrame(rows)


def with_polars(rows: list[dict[str, Any]]) -> Any:
    return pytest.importorskip("polars", reason="polars is not installed: pip install polars").DataFrame(rows)


@pytest.mark.parametrize("make", [list, tuple, pa.Table.from_pylist, with_datasets, with_pandas, with_polars])
def test_every_form_has_the_fingerprint_of_the_file(tmp_path: Path, make: Callable[[Any], Any]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    found, expected = read(make(ROWS)), read(path)
    assert found.fingerprint == expected.fingerprint
    assert (found.name, found.origin, found.split) == ("data", "data in memory", "all")


def test_splits_and_class_names_of_a_dataset_dict() -> None:
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])})
    rows = [{"text": f"film {n} was seen", "label": n % 2} for n in range(10)]
    both = DatasetDict(
        {split: Dataset.from_list(rows[:size], features) for split, size in (("train", 10), ("test", 4))}
    )
    found = read(both)
    assert (found.split, dict(found.splits), set(found.others)) == ("train", {"train": 10, "test": 4}, {"test"})
    assert set(found.table["label"].to_pylist()) == {"bad", "good"}
    assert read(both["test"], split="all").table.num_rows == 4
    assert read({"train": rows, "dev": rows[:3]}, split="dev").table.num_rows == 3


def test_gaps_and_categories_of_a_frame() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": ["one text", None, "two texts"] * 4, "label": ["a", "b", None] * 4})
    frame["label"] = frame["label"].astype("category")
    found = read(frame)
    assert found.table["label"].to_pylist() == ["a", "b"] * 4
    assert found.table["fields"].to_pylist()[1] == [""]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (3, {}, "int is no dataset; expected a path, a hub id, a list of dicts"),
        (["a", "b"], {}, "row 1 is 'a'; expected a dict of columns"),
        ([], {}, "data in memory holds no rows"),
        ({}, {}, "an empty dict has no split to read"),
        ({"text": ["a"], "label": ["b"]}, {}, r"pass a frame, such as pandas.DataFrame\(data\)"),
        (ROWS, {"revision": "main"}, "revision='main' is for files or the hub; the data are in memory"),
        ([{"x": "hello there", "y": 3}] * 2, {}, r"The best guess is: traitcast.profile\(data, roles='answer=x'\)"),
    ],
)
def test_what_is_no_dataset_is_refused(data: Any, options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(data, **options)


def test_a_stream_is_refused() -> None:
    with pytest.raises(InputError, match="a stream cannot be read twice: pass some of its rows"):
        read(with_datasets(ROWS).to_iterable_dataset())


def test_numbers_of_numpy_are_numbers() -> None:
    plain = [{"text": f"film {n} was seen", "label": n % 2, "marks": [n % 2, 1]} for n in range(20)]
    rows = [{**row, "label": np.int64(row["label"]), "marks": np.array(row["marks"])} for row in plain]
    roles = "text=text label=label"
    assert read(rows, roles=roles).fingerprint == read(plain, roles=roles).fingerprint
    assert read([{**row, "label": np.bool_(row["label"])} for row in plain]).table["label"][0].as_py() == "false"
    assert read(rows, roles="text=text labels=marks").table.num_rows == 20


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [
        (["text", "label"], [["a", 1], ["b", "x"]], r"column 'label' of the frame cannot be read .*'label'\]\.astype"),
        (["text", "label"], [["a", "x"], ["b", 1]], "column 'label' of the frame cannot be read"),
        (["text", "text"], [["a", "x"], ["b", "y"]], "the frame has several columns 'text': give each its own name"),
    ],
)
def test_a_frame_that_arrow_cannot_hold_names_the_column(columns: list[str], rows: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(pytest.importorskip("pandas").DataFrame(rows, columns=columns))
