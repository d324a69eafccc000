"""JSON that is a table in another shape: read by key, or refused with the command that makes rows of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traitcast.profiler.reading.formats.json_rows import document_rows
from traitcast.profiler.reading.reader import read
from traitcast.warehouse.errors import InputError

ROWS = [{"text": f"row {i} of the shop", "label": "ab"[i % 2]} for i in range(12)]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def mended(path: Path) -> list[dict[str, Any]]:
    """The rows that the command of the refusal makes."""
    with pytest.raises(InputError, match="jq -c ") as caught:
        read(path)
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    command = "jq -c " + str(caught.value).split("jq -c ", 1)[1]
    subprocess.run(["bash", "-c", command], cwd=path.parent, check=True)
    return [json.loads(line) for line in (path.parent / command.split(" > ")[1]).read_text().splitlines()]


@pytest.mark.parametrize(
    "document",
    [
        {str(i): row for i, row in enumerate(ROWS)},
        {f"q{i}": row for i, row in enumerate(ROWS)},
        {f"q{i}": row | ({"more": 1} if i % 2 else {}) for i, row in enumerate(ROWS)},
        {"version": "1.0", "data": {f"q{i}": row for i, row in enumerate(ROWS)}},
        {"train": ROWS},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_rows_under_keys_are_refused_with_the_command_that_takes_them_out(
    tmp_path: Path, document: dict[str, Any], indent: int | None
) -> None:
    rows = mended(write(tmp_path / "train.json", json.dumps(document, indent=indent)))
    assert [(row["text"], row["label"]) for row in rows] == [(row["text"], row["label"]) for row in ROWS]


@pytest.mark.parametrize("name", ["train.json", "train.jsonl"])
@pytest.mark.parametrize("between", ["\n", "\n\n", ""])
def test_documents_one_after_the_other(tmp_path: Path, name: str, between: str) -> None:
    assert mended(write(tmp_path / name, between.join(json.dumps(row, indent=2) for row in ROWS))) == ROWS


def test_arrays_one_after_the_other(tmp_path: Path) -> None:
    text = json.dumps(ROWS[:6], indent=1) + "\n" + json.dumps(ROWS[6:], indent=1)
    assert mended(write(tmp_path / "train.json", text)) == ROWS


@pytest.mark.parametrize("answers", [[{"text": "a shop", "answer_start": 3}], []])
def test_the_layout_of_squad(tmp_path: Path, answers: list[Any]) -> None:
    asked = [{"id": str(i), "question": f"what is {i}?", "answers": answers} for i in range(3)]
    document = {"version": "v2", "data": [{"title": "t", "paragraphs": [{"context": "in a shop", "qas": asked}] * 2}]}
    rows = mended(write(tmp_path / "train.json", json.dumps(document)))
    assert len(rows) == 6
    assert rows[0] == {"question": "what is 0?", "context": "in a shop", "answers": answers}


@given(keys=st.lists(st.integers(0, 99), min_size=1, max_size=20, unique=True), data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_columns_of_keys_are_paired_by_key(tmp_path: Path, keys: list[int], data: Any) -> None:
    some = data.draw(st.permutations(keys))[: data.draw(st.integers(1, len(keys)))]
    document = {"text": {str(k): f"text {k}" for k in keys}, "label": {str(k): f"label {k}" for k in some}}
    rows = [row for _, row in document_rows(write(tmp_path / "a.json", json.dumps(document)))]
    assert rows == [{"text": f"text {k}", "label": f"label {k}" if k in some else None} for k in sorted(keys)]


def test_columns_of_an_index_of_words_are_paired_by_key(tmp_path: Path) -> None:
    document = {"text": {"a": "x y", "b": "z w"}, "label": {"b": "pos", "a": "neg"}}
    rows = [row for _, row in document_rows(write(tmp_path / "a.json", json.dumps(document)))]
    assert rows == [{"text": "x y", "label": "neg"}, {"text": "z w", "label": "pos"}]


def test_one_row_with_nested_columns_is_a_row(tmp_path: Path) -> None:
    row = {"question": {"text": "who?"}, "answer": {"text": "me"}, "meta": {"by": "you"}}
    assert [found for _, found in document_rows(write(tmp_path / "a.json", json.dumps(row)))] == [row]
