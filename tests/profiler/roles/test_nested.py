"""Rows that nest: what is proposed runs, and the command that flattens them gives the rows that it says."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from traitcast.profiler.reading.reader import read
from traitcast.warehouse.errors import InputError

N = 12
STORIES = [f"There once was a shop number {i} that sold many bikes" for i in range(N)]
ASKED, ANSWERED = ["who is it?", "and why so?"], ["bob", "since it is"]
FLAT = [(s, q, a) for s in STORIES for q, a in zip(ASKED, ANSWERED, strict=True)]
LAYOUTS: dict[str, dict[str, Any]] = {
    "CoQA": {"questions": ASKED, "answers": {"input_text": ANSWERED, "answer_start": [1, 2]}},
    "CoQA as published": {
        "questions": [{"input_text": q, "turn_id": i} for i, q in enumerate(ASKED)],
        "answers": [{"span_start": 1, "input_text": a} for a in ANSWERED],
    },
    "QuAC": {"questions": ASKED, "answers": {"texts": [[a] for a in ANSWERED], "answer_starts": [[1], [2]]}},
    "two lists": {"queries": ASKED, "responses": ANSWERED},
    "pairs": {"qa_pairs": [{"question": q, "answer": a} for q, a in zip(ASKED, ANSWERED, strict=True)]},
    "SQuAD": {
        "qas": [
            {"id": q, "question": q, "answers": [{"text": a, "answer_start": 1}]}
            for q, a in zip(ASKED, ANSWERED, strict=True)
        ]
    },
}


def write(folder: Path, rows: list[dict[str, Any]], suffix: str) -> Path:
    path = folder / f"a.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == "json":
        path.write_text(json.dumps({"data": rows}))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def asked_of(path: Path) -> tuple[str, str]:
    """(message, proposed roles)."""
    with pytest.raises(InputError) as caught:
        read(path)
    guess = re.search("The best guess is: (.*)", str(caught.value))
    words = shlex.split(guess[1]) if guess else []
    return str(caught.value), words[words.index("--roles") + 1] if words else ""


@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_several_questions_a_row(tmp_path: Path, layout: str, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, [{"story": s, "source": "web", **LAYOUTS[layout]} for s in STORIES], suffix)
    message, roles = asked_of(path)
    assert "holds several questions a row; the line below reads the first of them alone" in message
    first = read(path, roles=[roles]).table.to_pylist()
    assert [(*row["fields"], row["response"]) for row in first] == FLAT[::2]
    found = re.search("To write an example a line: (.*)", message)
    assert found
    program = shlex.split(found[1])[0]
    if shutil.which(program) is None and program == "jq":
        pytest.skip("needs jq")
    command = found[1].replace("python -c", f"{shlex.quote(sys.executable)} -c", 1)
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    flat = read(tmp_path / "a_rows.jsonl", roles=["text=story,question"] if layout == "two lists" else [])
    assert sorted((*row["fields"], row["response"]) for row in flat.table.to_pylist()) == sorted(FLAT)


@pytest.mark.parametrize(
    "choices",
    [
        [{"text": "red", "label": "A"}, {"text": "blue", "label": "B"}],
        {"text": ["red", "blue"], "label": ["A", "B"]},
    ],
)
def test_options_inside_of_the_question(tmp_path: Path, choices: Any) -> None:
    rows = [
        {"id": f"x{i}", "question": {"stem": s, "choices": choices}, "answerKey": "AB"[i % 2], "topic": "AB"[i % 2]}
        for i, s in enumerate(STORIES)
    ]
    for suffix in ("jsonl", "parquet"):
        examples = read(write(tmp_path, rows, suffix))
        assert (examples.spec.options_field, examples.spec.answer_field) == ("question.choices", "answerKey")
        assert [(r["fields"], r["response"]) for r in examples.table.to_pylist()[:2]] == [
            ([STORIES[0]], "red"),
            ([STORIES[1]], "blue"),
        ]


def test_options_as_answers_with_ids(tmp_path: Path) -> None:
    answers = [{"aid": 1, "atext": "red"}, {"aid": 2, "atext": "blue"}]
    rows = [{"qid": i, "category": "x", "qtext": s, "ra": 1 + i % 2, "answers": answers} for i, s in enumerate(STORIES)]
    examples = read(write(tmp_path, rows, "jsonl"))
    assert examples.spec.task_type == "multiple_choice"
    assert examples.table["response"].to_pylist()[:2] == ["red", "blue"]


def annotated(*results: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"id": i, "data": {"text": s}, "annotations": [{"result": list(results)}]} for i, s in enumerate(STORIES)]


def test_label_studio(tmp_path: Path) -> None:
    def chosen(name: str, *values: str) -> dict[str, Any]:
        return {"from_name": name, "type": "choices", "value": {"choices": list(values)}}

    def marked(start: int, end: int, label: str) -> dict[str, Any]:
        return {"from_name": "ner", "type": "labels", "value": {"start": start, "end": end, "labels": [label]}}

    for results, task, response in (
        ([chosen("mood", "good")], "classification", "good"),
        ([chosen("mood", "good", "new")], "generation", "good, new"),
        ([marked(0, 5, "WORD"), marked(6, 10, "TIME")], "generation", "WORD: There; TIME: once"),
    ):
        path = write(tmp_path, annotated(*results), "json")
        message, roles = asked_of(path)
        assert "is an export of Label Studio; the first annotation of a row is read" in message
        examples = read(path, roles=[roles])
        assert examples.spec.task_type == task
        assert examples.table["fields"].to_pylist() == [[s] for s in STORIES]
        assert set(examples.table["response"].to_pylist()) == {response}


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_label_studio_with_two_questions(tmp_path: Path) -> None:
    both = [
        {"from_name": name, "type": "choices", "value": {"choices": [value]}}
        for name, value in (("mood", "good"), ("topic", "news"))
    ]
    message, roles = asked_of(write(tmp_path, annotated(*both), "json"))
    assert not roles
    assert "which answers mood, topic" in message
    command = message.partition("To write an example a line: ")[2].splitlines()[0]
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "a_rows.jsonl").read_text().splitlines()]
    assert rows == [{"text": s, "mood": "good"} for s in STORIES]


def test_columns_with_dots_and_blanks_are_no_path(tmp_path: Path) -> None:
    rows = [{"my story": s, "questions": ASKED, "answers": ANSWERED, "a.b": [1]} for s in STORIES]
    message, roles = asked_of(write(tmp_path, rows, "jsonl"))
    assert "To write an example a line" not in message
    assert "questions[0]" in roles
