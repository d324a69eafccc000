"""Where roles are unclear, what is proposed can be run as it stands and is the best guess."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traitcast.profiler.reading.examples import Examples
from traitcast.profiler.reading.reader import read
from traitcast.warehouse.errors import InputError

ROWS = 60
SHORT = [f"bike {i} is flat" for i in range(ROWS)]
LONG = [f"the chain of bike {i} fell off on the way to work and the shop was closed" for i in range(ROWS)]
CHAT = [[{"role": "user", "content": f"hi {i}"}, {"role": "assistant", "content": "yes"}] for i in range(ROWS)]
UTTERANCES = [[f"hello {i}", "who is it?", f"it is {i}"] for i in range(ROWS)]
COLUMNS: dict[str, list[Any]] = {
    "Body": LONG,
    "headline_words": SHORT,
    "mood": ["calm", "angry", "sad"] * 20,
    "model": ["m-1", "m-2"] * 30,
    "created_at": [f"2024-01-{i % 28 + 1:02d}" for i in range(ROWS)],
    "custom_id": [f"r{i}" for i in range(ROWS)],
    "url": ["/v1/chat"] * ROWS,
    "payload": [{"messages": chat, "model": "m"} for chat in CHAT],
    "verdict_of": [{"label": "ab"[i % 2], "by": "me"} for i in range(ROWS)],
    "chosen": CHAT,
    "rejected": CHAT,
    "prompt": CHAT,
    "talk": UTTERANCES,
    "points": [i % 5 for i in range(ROWS)],
    "choices": [["2", "0", "1"], ["1", "2", "0"]] * 30,
    "answer": [0, 1] * 30,
    "empty": [None] * ROWS,
}


def write(path: Path, columns: dict[str, list[Any]]) -> Path:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def proposed(path: Path) -> list[str]:
    with pytest.raises(InputError, match="The best guess is: traitcast profile ") as caught:
        read(path)
    return roles_of(str(caught.value))


def roles_of(message: str) -> list[str]:
    words = shlex.split(message.split("The best guess is: ", 1)[1].splitlines()[0])
    return [words[words.index("--roles") + 1]]


@given(names=st.sets(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
def test_what_is_proposed_can_be_run(tmp_path: Path, names: set[str]) -> None:
    path = write(tmp_path / "a.jsonl", {name: COLUMNS[name] for name in COLUMNS if name in names})
    found: Examples | None = None
    try:
        read(path)
    except InputError as error:
        message = str(error)
        assert "_COLUMN" not in message
        if "The best guess is: " in message:
            roles = roles_of(message)
            found = read(path, roles=roles)
            assert not {"custom_id", "url", "created_at"} & set(found.spec.columns)
    assert found is None or found.rows == ROWS


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (["custom_id", "url", "payload"], "messages=payload.messages"),
        (["prompt", "chosen"], "answer=chosen messages=prompt"),
        (["chosen", "prompt", "Body"], "answer=chosen messages=prompt"),
        (["Body"], "answer=Body"),
        (["custom_id", "Body", "model", "created_at"], "answer=Body"),
        (["headline_words", "Body", "mood"], "text=Body,headline_words label=mood"),
        (["verdict_of", "Body"], "text=Body label=verdict_of.label"),
        (["talk"], "messages=talk"),
    ],
)
def test_the_best_guess(tmp_path: Path, names: list[str], roles: str) -> None:
    path = write(tmp_path / "a.jsonl", {name: COLUMNS[name] for name in names})
    assert proposed(path) == [roles]
    assert read(path, roles=[roles]).rows == ROWS


def test_answers_that_are_positions_and_options_are_asked_about(tmp_path: Path) -> None:
    columns = {"question": LONG, "choices": [["2", "0", "1"], ["1", "2", "0"]] * 30, "answer": [0, 1] * 30}
    path = write(tmp_path / "a.jsonl", columns)
    assert proposed(path) == ["text=question answer=answer options=choices answer_form=index"]
    assert read(path, roles=proposed(path)).spec.answer_form == "index"
    # Where both readings name one option there is nothing to ask.
    same = {**columns, "choices": [["0", "1", "2"]] * ROWS}
    assert read(write(tmp_path / "b.jsonl", same)).spec.answer_form == "text"


@pytest.mark.parametrize(
    ("columns", "roles"),
    [
        ({"conversations": UTTERANCES, "source": ["web"] * ROWS}, "messages=conversations"),
        (
            {"question": LONG, "mc1_targets": [{"choices": ["a b", "c d"], "labels": [0, 1]}] * ROWS},
            "text=question answer=mc1_targets.labels options=mc1_targets.choices answer_form=index",
        ),
        (
            {"instruction": LONG, "instances": [[{"input": "", "output": text}] for text in SHORT]},
            "text=instruction answer=instances[0].output",
        ),
        (
            {"passage": LONG, "question": SHORT, "answers_spans": [{"spans": [f"{i} so"]} for i in range(ROWS)]},
            "text=passage,question answer=answers_spans.spans[0]",
        ),
    ],
)
def test_the_best_guess_looks_into_lists(tmp_path: Path, columns: dict[str, list[Any]], roles: str) -> None:
    path = write(tmp_path / "a.jsonl", columns)
    assert proposed(path) == [roles]
    assert read(path, roles=[roles]).rows == ROWS


def test_a_first_turn_that_stands_by_itself_too_is_not_left_out(tmp_path: Path) -> None:
    chats = [[{"from": "human", "value": t}, {"from": "gpt", "value": "yes"}] for t in LONG]
    path = write(tmp_path / "a.jsonl", {"instruction": LONG, "conversations": chats})
    assert read(path).left_out == ()
    assert read(write(tmp_path / "b.jsonl", {"notes": LONG[::-1], "conversations": chats})).left_out == ("notes",)


def test_a_conversation_that_is_answered_is_proposed_first(tmp_path: Path) -> None:
    asked = [chat[:1] for chat in CHAT]
    path = write(tmp_path / "a.jsonl", {"earlier": asked, "later": CHAT})
    assert proposed(path) == ["messages=later"]
    assert read(path, roles=proposed(path)).table["response"].to_pylist() == ["yes"] * ROWS


def test_utterances_may_be_the_answer(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"topic": LONG, "dialogue": UTTERANCES})
    assert read(path, roles=["text=topic answer=dialogue"]).table["response"][0].as_py() == "\n".join(UTTERANCES[0])


def test_options_under_the_name_of_one(tmp_path: Path) -> None:
    columns = {"question": LONG, "choice": [["red", "blue", "green"]] * ROWS, "answer": ["red", "green"] * (ROWS // 2)}
    spec = read(write(tmp_path / "a.jsonl", columns)).spec
    assert (spec.task_type, spec.options_field, spec.answer_form) == ("multiple_choice", "choice", "text")


def test_a_text_column_that_is_left_out_is_named(tmp_path: Path) -> None:
    columns = {"Body": LONG, "Question": ["What is it about?"] * 30 + SHORT[30:], "Answer": SHORT}
    examples = read(write(tmp_path / "a.jsonl", columns))
    assert examples.left_out == ("Body",)
    assert examples.warnings[0] == (
        "the texts in Body are not part of the prompt; if they belong to it, pass --roles text=Question,Body"
    )
    whole = read(tmp_path / "a.jsonl", roles=["text=Question,Body"])
    assert (whole.spec.text_fields, whole.left_out) == (("Question", "Body"), ())


@pytest.mark.parametrize("name", ["dialogue", "dialog", "history", "conversation", "context", "contexts", "passages"])
@pytest.mark.parametrize("as_text", [False, True])
def test_a_list_of_utterances_or_passages_is_a_prompt(tmp_path: Path, name: str, as_text: bool) -> None:
    lists: list[Any] = [str(item) if as_text else item for item in UTTERANCES]
    for number, (rest, answer) in enumerate(
        [
            ({"question": LONG, "answer": SHORT}, "answer"),
            ({"emotion": ["calm", "angry", "sad"] * 20}, "emotion"),
            ({"response": SHORT}, "response"),
        ]
    ):
        if answer == "response" and name in ("contexts", "passages"):
            continue
        examples = read(write(tmp_path / f"{number}.jsonl", {name: lists, **rest}))
        assert examples.spec.response_field == answer
        assert examples.left_out == ()
        fields = examples.table["fields"][0].as_py()
        assert dict(zip(examples.spec.text_fields, fields, strict=True))[name] == "hello 0\nwho is it?\nit is 0"
    roles = [f"text={name} answer=ANSWER"]
    stated = read(write(tmp_path / "stated.jsonl", {name: lists, "ANSWER": SHORT}), roles=roles)
    assert stated.table["fields"][1].as_py() == ["hello 1\nwho is it?\nit is 1"]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    lists=st.lists(
        st.lists(st.text("abc d'\"\\é你", min_size=2, max_size=9).map(lambda t: f"{t} x"), min_size=2, max_size=4),
        min_size=8,
        max_size=8,
    ),
    how=st.sampled_from(["list", "json", "python"]),
)
def test_utterances_are_the_same_in_every_form(tmp_path: Path, lists: list[list[str]], how: str) -> None:
    printed: list[Any] = [{"list": value, "json": json.dumps(value), "python": repr(value)}[how] for value in lists]
    path = write(tmp_path / "a.jsonl", {"dialogue": printed, "summary": [f"they met {i}" for i in range(8)]})
    examples = read(path, roles=["text=dialogue answer=summary"])
    assert examples.table["fields"].to_pylist() == [["\n".join(value)] for value in lists]


@pytest.mark.parametrize("name", ["dialogue", "talk"])
def test_utterances_alone_are_asked_about_in_one_question(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.jsonl", {name: UTTERANCES, "custom_id": COLUMNS["custom_id"]})
    assert proposed(path) == [f"messages={name}"]
    rows = read(path, roles=proposed(path)).table.slice(0, 1).to_pylist()
    assert (rows[0]["fields"], rows[0]["response"]) == (["hello 0", "who is it?"], "it is 0")
