"""What other programs export: read right, warned about, or refused with what to do, never taken for something else."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traitcast.profiler.reading.formats.separated import pandas_options
from traitcast.profiler.reading.reader import read, read_beside
from traitcast.profiler.roles.spec import DatasetSpec
from traitcast.warehouse.errors import InputError

N = 12
TEXTS = [f"the shop sold bike number {i}" for i in range(N)]
LABELS = [("good", "bad")[i % 2] for i in range(N)]


def lines(path: Path, **columns: list[Any]) -> Path:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def cells(path: Path, texts: list[str], labels: list[str]) -> Path:
    path.write_text("text,label\n" + "".join(f'"{t}","{m}"\n' for t, m in zip(texts, labels, strict=True)))
    return path


# -- separated text


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["\\frac{1}{2}", "\\n", "C:\\dir", 'he said "so"', "a, b", "bike"]), min_size=1).map(
            " ".join
        ),
        min_size=4,
        max_size=8,
    )
)
def test_spark_escapes_quotes_and_leaves_backslashes(tmp_path: Path, texts: list[str]) -> None:
    texts = ["he said \"yes, 'so' it is\", at \\alpha", *texts]
    path = cells(tmp_path / "a.csv", [t.replace('"', '\\"') for t in texts], ["x"] * len(texts))
    assert [row["fields"][0] for row in read(path).table.to_pylist()] == texts
    with pytest.raises(InputError, match=r"backslashes are escapes before a quote alone, which pandas\.read_csv"):
        pandas_options(path)


def test_a_writer_that_escapes_backslashes_too(tmp_path: Path) -> None:
    texts = [f'he said "{i}, so" at C:\\dir' for i in range(6)]
    path = cells(tmp_path / "a.csv", [t.replace("\\", "\\\\").replace('"', '\\"') for t in texts], ["x"] * 6)
    assert [row["fields"][0] for row in read(path).table.to_pylist()] == texts
    assert pandas_options(path)["escapechar"] == "\\"


def test_hive_separates_by_a_control_character(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("".join(f"{t}\x01{m}\n" for t, m in [("text", "label"), *zip(TEXTS, LABELS, strict=True)]))
    assert read(path).table["label"].to_pylist() == LABELS


def test_a_title_above_the_header(tmp_path: Path) -> None:
    path = cells(tmp_path / "a.csv", TEXTS, LABELS)
    table = path.read_text()
    for above, number in (("Table 1\n", 2), ("# made by a program\n# today\n", 3)):
        path.write_text(above + table)
        with pytest.raises(InputError, match=rf"above the header .*: tail -n \+{number} \S+/a\.csv > a_new\.csv"):
            read(path)
    path.write_text("Export of today\n" + table.replace(",", ";").replace("number", "number,"))
    with pytest.raises(InputError) as caught:
        read(path)
    assert "tail" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "warning"),
    [
        (["joy|anger", "joy", "anger"], "have several labels joined by '|', such as 'joy|anger'"),
        (["joy;fear", "joy;anger", "fear;anger"], "have several labels joined by ';', such as 'joy;fear'"),
        (["joy, anger", "joy", "anger"], "have several labels joined by ',', such as 'joy, anger'"),
        (["good", "bad", "\\N"], "have the label '\\\\N'; if that means no label"),
        (["good", "bad", "#NAME?"], "have the label '#NAME?'; if that means no label"),
    ],
)
def test_labels_that_are_several_or_none(tmp_path: Path, labels: list[str], warning: str) -> None:
    found = read(cells(tmp_path / "a.csv", TEXTS, labels * 4)).warnings
    assert any(f"of 12 rows {warning}" in text for text in found), found


@pytest.mark.parametrize(
    "labels",
    [
        ["arts, crafts", "arts, music", "toys"],
        ["sci/tech", "world", "sport"],
        ["A|B", "C", "D"],
    ],
)
def test_names_with_marks_are_names(tmp_path: Path, labels: list[str]) -> None:
    assert not read(cells(tmp_path / "a.csv", TEXTS, labels * 4)).warnings


@pytest.mark.parametrize("label", ["{joy,anger}", "[joy, anger]", '{""choices"": [""joy"", ""anger""]}'])
def test_lists_and_objects_in_a_label(tmp_path: Path, label: str) -> None:
    """Of Postgres, of Athena, and of Label Studio, which writes one choice as text and several as JSON."""
    path = cells(tmp_path / "a.csv", TEXTS, [label, "joy", "joy"] * 4)
    with pytest.raises(InputError, match="'label' holds a list written as text: .* --roles labels=label"):
        read(path)


def test_errors_of_a_table_program(tmp_path: Path) -> None:
    found = read(cells(tmp_path / "a.csv", ["#NAME?", "#VALUE!", *TEXTS[2:]], LABELS)).warnings
    assert any(text.startswith("2 of 12 prompt texts are an error of a table program") for text in found)


def test_a_carriage_return_beside_cells_of_several_lines(tmp_path: Path) -> None:
    texts = ["one\rtwo", "three\nfour", *TEXTS]
    path = cells(tmp_path / "a.csv", texts, ["x\n"] * len(texts))
    assert [row["fields"][0] for row in read(path).table.to_pylist()] == texts


# -- JSON


def test_orient_split_is_a_table(tmp_path: Path) -> None:
    for rows in (2, N):
        pairs = [list(pair) for pair in zip(TEXTS[:rows], LABELS, strict=False)]
        for more in ({}, {"index": list(range(rows))}):
            (tmp_path / "a.json").write_text(json.dumps({"columns": ["text", "label"], "data": pairs, **more}))
            assert read(tmp_path / "a.json").table["label"].to_pylist() == LABELS[:rows]


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
@pytest.mark.parametrize(
    "document",
    [
        [[{"from": "human", "value": t}, {"from": "gpt", "value": m}] for t, m in zip(TEXTS, LABELS, strict=True)],
        [[t, m] for t, m in zip(TEXTS, LABELS, strict=True)],
        {"nlu": {"examples": [{"text": t, "label": m} for t, m in zip(TEXTS, LABELS, strict=True)], "synonyms": []}},
    ],
)
def test_the_command_that_takes_rows_out_runs(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="jq -c") as caught:
        read(path)
    command = re.search(r"jq -c .*", str(caught.value))
    assert command
    subprocess.run(command[0], shell=True, check=True, cwd=tmp_path)
    assert read(tmp_path / "a_rows.jsonl").table["response"].to_pylist() == LABELS


def test_speakers_with_spaces(tmp_path: Path) -> None:
    chats = [
        [{"from": "human ", "value": t}, {"from": " GPT ", "value": m}] for t, m in zip(TEXTS, LABELS, strict=True)
    ]
    assert read(lines(tmp_path / "a.jsonl", conversations=chats)).table["response"].to_pylist() == LABELS


@pytest.mark.parametrize("name", ["solution", "answer", "ground_truth", "reference_answer", "completion"])
def test_prompts_as_chats_with_their_answer_apart(tmp_path: Path, name: str) -> None:
    asked = [[{"role": "user", "content": t}] for t in TEXTS]
    examples = read(lines(tmp_path / "a.jsonl", prompt=asked, **{name: LABELS}))
    assert [(r["fields"], r["response"]) for r in examples.table.to_pylist()] == [
        ([t], m) for t, m in zip(TEXTS, LABELS, strict=True)
    ]
    with pytest.raises(InputError, match=r"--roles 'answer=.* messages=prompt'"):
        read(lines(tmp_path / "b.jsonl", prompt=asked, output=LABELS, **{name: LABELS}))


def test_rejected_rows_of_prodigy(tmp_path: Path) -> None:
    spans = [[{"start": 4, "end": 8, "label": "SHOP"}]] * N
    path = lines(tmp_path / "a.jsonl", text=TEXTS, spans=spans, answer=["accept", "reject", "ignore"] * 4)
    with pytest.raises(InputError, match="'answer' says that 8 of 12 rows were rejected or ignored. Keep the accepted"):
        read(path)
    assert read(path, roles=["text=text spans=spans"]).rows == N
    assert read(lines(path, text=TEXTS, spans=spans, answer=["accept"] * N)).rows == N


@pytest.mark.parametrize(
    ("columns", "roles"),
    [
        ({"messages": "chat", "kto_tag": [True, False] * 6}, {"label_field": "kto_tag"}),
        ({"query": TEXTS, "response": LABELS, "rejected_response": TEXTS}, {"chosen_field": "response"}),
        ({"prompt": TEXTS, "chosen": LABELS, "reject": TEXTS}, {"rejected_field": "reject"}),
    ],
)
def test_preferences_of_other_trainers(tmp_path: Path, columns: dict[str, Any], roles: dict[str, str]) -> None:
    chats = [
        [{"role": "user", "content": t}, {"role": "assistant", "content": m}]
        for t, m in zip(TEXTS, LABELS, strict=True)
    ]
    examples = read(lines(tmp_path / "a.jsonl", **{n: chats if v == "chat" else v for n, v in columns.items()}))
    assert examples.spec.task_type == "preference"
    assert {key: getattr(examples.spec, key) for key in roles} == roles


@pytest.mark.parametrize(
    ("columns", "roles"),
    [
        (
            {"response": [{"body": {"model": "m", "choices": [{"message": {"content": t}}]}} for t in TEXTS]},
            "--roles 'answer=response.body.choices[0].message.content'",
        ),
        (
            {"text": TEXTS, "label.responses": [[m] for m in LABELS], "label.suggestion": LABELS},
            "--roles 'text=text labels=label.responses'",
        ),
        (
            {
                "premise": [{"de": t, "en": t} for t in TEXTS],
                "hypothesis": [{"de": m, "en": m} for m in LABELS],
                "label": [0, 1] * 6,
            },
            "--roles 'text=premise.en,hypothesis.en label=label'",
        ),
        ({"_id": [{"$oid": t} for t in TEXTS], "doc": [{"text": t} for t in TEXTS]}, "--roles answer=doc.text"),
    ],
)
def test_suggestions_for_exports(tmp_path: Path, columns: dict[str, Any], roles: str) -> None:
    path = lines(tmp_path / "a.jsonl", **columns)
    with pytest.raises(InputError) as caught:
        read(path)
    assert roles in str(caught.value)
    assert read(path, roles=[roles.removeprefix("--roles ").strip("'")]).rows == N


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_segments_with_a_label_of_true_and_false(tmp_path: Path) -> None:
    parts = [[{"label": False, "text": t}, {"label": True, "text": m}] for t, m in zip(TEXTS, LABELS, strict=True)]
    path = lines(tmp_path / "a.jsonl", segments=parts)
    with pytest.raises(InputError, match="'segments' holds parts, and which are learnt") as caught:
        read(path)
    command = str(caught.value).partition("To write an example a line: ")[2].splitlines()[0]
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert read(tmp_path / "a_rows.jsonl").table["response"].to_pylist() == LABELS


def test_turns_that_are_not_learnt(tmp_path: Path) -> None:
    for mark in ({"weight": 0}, {"train": False}, {"loss": False}):
        chats = [
            [
                {"role": "user", "content": t},
                {"role": "assistant", "content": m},
                {"role": "user", "content": "and now?"},
                {"role": "assistant", "content": "nothing", **mark},
            ]
            for t, m in zip(TEXTS, LABELS, strict=True)
        ]
        examples = read(lines(tmp_path / "a.jsonl", messages=chats))
        assert examples.table["response"].to_pylist() == LABELS
        assert "12 of 12 rows go on after the last turn of the assistant" in examples.warnings[0]
        alone = [chat[2:] for chat in chats]
        with pytest.raises(
            InputError, match=r"no turn of an assistant that is to be learnt \(weight 0, train or loss false\)"
        ):
            read(lines(tmp_path / "b.jsonl", messages=alone))


def test_senders_of_an_export_of_claude(tmp_path: Path) -> None:
    chats = [
        [{"sender": "human", "text": t}, {"sender": "assistant", "text": m}] for t, m in zip(TEXTS, LABELS, strict=True)
    ]
    assert read(lines(tmp_path / "a.jsonl", chat_messages=chats)).table["response"].to_pylist() == LABELS


@pytest.mark.parametrize(
    ("columns", "task", "prompt"),
    [
        ({"Class Index": [1, 2] * 6, "Title": LABELS, "Description": TEXTS}, "classification", ["good", TEXTS[0]]),
        ({"Question": TEXTS, "Category": LABELS, "Best Answer": TEXTS[::-1]}, "generation", [TEXTS[0]]),
        ({"anchor": TEXTS, "positive": TEXTS[::-1], "negative": LABELS}, "preference", [TEXTS[0]]),
        ({"text": TEXTS, "label_id": [0, 1] * 6, "category": LABELS}, "classification", [TEXTS[0]]),
    ],
)
def test_names_of_known_files(tmp_path: Path, columns: dict[str, Any], task: str, prompt: list[str]) -> None:
    examples = read(lines(tmp_path / "a.jsonl", **columns))
    assert examples.spec.task_type == task
    assert examples.table["fields"][0].as_py() == prompt
    assert "label_id" not in examples.spec.columns


def test_columns_called_alike_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="text, Text are called alike"):
        read(lines(tmp_path / "a.jsonl", text=TEXTS, Text=TEXTS[::-1], label=LABELS))
    assert read(lines(tmp_path / "b.jsonl", text=TEXTS, Text=TEXTS, label=LABELS)).rows == N


def test_keys_that_are_identifiers_are_not_proposed(tmp_path: Path) -> None:
    exported = [{f"u{i}": {"content": t}} for i, t in enumerate(TEXTS)]
    with pytest.raises(InputError) as caught:
        read(lines(tmp_path / "a.jsonl", title=[f"{m} {i} one" for i, m in enumerate(LABELS)], mapping=exported))
    assert "mapping.u0" not in str(caught.value).partition("best guess")[2]


# -- folders


def named(path: Path, names: list[str], labels: list[int]) -> None:
    """A Parquet file with names of classes in its schema, as `datasets` writes it."""
    features = {"text": {"dtype": "string", "_type": "Value"}, "label": {"names": names, "_type": "ClassLabel"}}
    made = pa.table({"text": TEXTS, "label": labels})
    path.parent.mkdir(exist_ok=True)
    pq.write_table(made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), path)


def test_schemas_with_classes_in_another_order(tmp_path: Path) -> None:
    told = "its schema calls the classes of 'label' good, bad, in this order, but they are read as bad, good"
    for at, names in enumerate((["bad", "good"], ["good", "bad"])):
        named(tmp_path / "shards" / f"train-{at:05}-of-00002.parquet", names, [0, 1] * 6)
        named(tmp_path / "splits" / ("train.parquet", "test.parquet")[at], names, [0, 1] * 6)
        named(tmp_path / "more" / f"train-{at:05}-of-00002.parquet", ["bad", "good", "mixed"][: 2 + at], [0, 1] * 6)
    with pytest.raises(InputError, match=told):
        read(tmp_path / "shards")
    training = read(tmp_path / "splits", split="train")
    with pytest.raises(InputError, match=told):
        read_beside(training, "test")
    assert read(tmp_path / "more").rows == 2 * N
    renamed = DatasetSpec("classification", ("text",), label_field="label", label_names=("low", "high"))
    found = read(tmp_path / "more", spec=renamed)
    assert set(found.table["label"].to_pylist()) == {"low", "high"}
    with pytest.raises(InputError, match="but they are read as bad, good"):
        read(tmp_path / "shards", spec=renamed)


def test_a_column_in_the_names_of_folders(tmp_path: Path) -> None:
    for label, texts in (("good", TEXTS[:6]), ("bad", TEXTS[6:])):
        folder = tmp_path / "out" / f"label={label}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"text": texts}), folder / "part-0.parquet")
    with pytest.raises(InputError, match=r"the column 'label' is in the names of folders \(bad, good\)") as caught:
        read(tmp_path / "out")
    command = re.search(r"python (-c .*)", str(caught.value))
    assert command
    subprocess.run(f"'{sys.executable}' {command[1]}", shell=True, check=True, cwd=tmp_path)
    found = read(tmp_path / "rows.parquet").table.to_pylist()
    assert {(row["fields"][0], row["label"]) for row in found} == {
        (t, "good" if at < 6 else "bad") for at, t in enumerate(TEXTS)
    }


def test_splits_in_the_names_of_folders_are_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / f"split={split}").mkdir()
        lines(tmp_path / f"split={split}" / "part-0.jsonl", text=TEXTS, label=LABELS)
    assert set(read(tmp_path).splits) == {"train", "test"}


# -- siblings of the faults of public reports


@pytest.mark.parametrize(
    ("name", "document", "message"),
    [
        (
            "a.jsonl",
            {f"q{i}": {"text": t, "label": m} for i, (t, m) in enumerate(zip(TEXTS, LABELS, strict=True))},
            "keys",
        ),
        (
            "a.json",
            dict(zip(TEXTS * 2, LABELS, strict=False)) | {f"x{i}": "good" for i in range(20)},
            "keys",
        ),
        ("a.json", {f"q{i}": [TEXTS[i % N], "good"] for i in range(30)}, "no names of columns"),
        ("a.json", {"pos": TEXTS[:6], "neg": TEXTS[6:]}, "may be two responses, but there is no prompt"),
        (
            "a.json",
            {"data": [{"text": t} for t in TEXTS], "dev": [{"text": t} for t in TEXTS]},
            "rows are under data, dev",
        ),
    ],
)
def test_documents_that_are_no_table(tmp_path: Path, name: str, document: Any, message: str) -> None:
    (tmp_path / name).write_text(json.dumps(document))
    with pytest.raises(InputError, match=message):
        read(tmp_path / name)


def test_a_lone_row_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"question": "why?", "answer": "since it is", "parts": [{"a": 1}, {"a": 2}]}))
    assert read(path).rows == 1


@pytest.mark.parametrize("name", ["a b.json", "a b.json.gz"])
def test_rows_with_commas_between(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    text = ",\n".join(json.dumps({"text": t, "label": m}) for t, m in zip(TEXTS, LABELS, strict=True))
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    with pytest.raises(InputError, match=r"Add them: (.*)") as caught:
        read(path)
    subprocess.run(str(caught.value).partition("Add them: ")[2], shell=True, check=True, cwd=tmp_path)
    assert read(tmp_path / "new.json").rows == N


CALL = {"name": "sell", "arguments": {"n": 1}}
CONVERSATIONS: dict[str, Any] = {
    "OpenAI": lambda t, m: [
        {"role": "user", "content": t},
        {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": CALL}]},
        {"role": "tool", "content": '{"sold": true}'},
        {"role": "assistant", "content": m},
    ],
    "capitals": lambda t, m: [
        {"Role": "User", "Content": t},
        {"Role": "Assistant", "Tool_calls": [CALL]},
        {"Role": "Tool", "Content": '{"sold": true}'},
        {"Role": "Assistant", "Content": m},
    ],
    "responses": lambda t, m: [
        {"role": "user", "content": t},
        {"type": "function_call", "name": "sell", "arguments": '{"n": 1}'},
        {"type": "function_call_output", "output": '{"sold": true}'},
        {"role": "assistant", "content": m},
    ],
    "Gemini": lambda t, m: [
        {"role": "user", "parts": [{"text": t}]},
        {"role": "model", "parts": [{"functionCall": {"name": "sell", "args": {"n": 1}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "sell", "response": {"sold": True}}}]},
        {"role": "model", "parts": [{"text": m}]},
    ],
    "pairs": lambda t, m: [["user", t], ["assistant", json.dumps(CALL)], ["tool", '{"sold": true}'], ["assistant", m]],
    "one key": lambda t, m: [
        {"user": t},
        {"assistant": json.dumps(CALL)},
        {"tool": '{"sold": true}'},
        {"assistant": m},
    ],
}


@pytest.mark.parametrize("form", CONVERSATIONS)
def test_a_conversation_is_the_same_in_every_form(tmp_path: Path, form: str) -> None:
    chats = [CONVERSATIONS[form](t, m) for t, m in zip(TEXTS, LABELS, strict=True)]
    rows = read(lines(tmp_path / "a.jsonl", messages=chats)).table.to_pylist()
    assert [(row["fields"], row["response"]) for row in rows] == [
        ([t, json.dumps(CALL), '{"sold": true}'], m) for t, m in zip(TEXTS, LABELS, strict=True)
    ]


def test_calls_as_json_are_a_response(tmp_path: Path) -> None:
    calls = [json.dumps([CALL])] * N
    examples = read(lines(tmp_path / "a.jsonl", query=TEXTS, tools=["[]"] * N, answers=calls))
    assert examples.table["response"].to_pylist() == calls


def test_binary_texts_inside_of_lists_and_objects(tmp_path: Path) -> None:
    options = pa.array([[b"red", b"blue"]] * N, pa.list_(pa.binary()))
    pq.write_table(pa.table({"question": TEXTS, "choices": options, "answer": [0, 1] * 6}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet").table["response"].to_pylist() == ["red", "blue"] * 6
    chats = pa.array(
        [[{"role": b"user", "content": t.encode()}, {"role": b"assistant", "content": b"ok"}] for t in TEXTS]
    )
    pq.write_table(pa.table({"messages": chats}), tmp_path / "b.parquet")
    assert read(tmp_path / "b.parquet").table["response"].to_pylist() == ["ok"] * N


@pytest.mark.parametrize(
    "pair",
    [
        ("01", "1"),
        ("1e0", "1"),
        ("-0", "0"),
        ("n\u00e3o", "na\u0303o"),
        ("sci-fi", "sci_fi"),
        ("Neg", "neg "),
    ],
)
def test_labels_that_are_written_in_two_ways(tmp_path: Path, pair: tuple[str, str]) -> None:
    found = read(cells(tmp_path / "a.csv", TEXTS, [*pair, "other"] * 4)).warnings
    assert any("differ only in case, spaces or how they are written" in text for text in found)


@pytest.mark.parametrize("label", ["('joy', 'anger')", "array(['joy', 'anger'], dtype=object)", "[1. 0. 0.]"])
def test_printed_labels(tmp_path: Path, label: str) -> None:
    examples = read(cells(tmp_path / "a.csv", TEXTS, [label] * N))
    assert examples.spec.labels_field == "label"
    assert set(examples.table["response"].to_pylist()) == {"0" if "1." in label else "joy, anger"}
    with pytest.raises(InputError, match="holds a list written as text"):
        read(cells(tmp_path / "b.csv", TEXTS, [label, "joy"] * 6))


def test_text_with_commas_beside_a_rarer_separator(tmp_path: Path) -> None:
    for mark in (";", "\t", "|"):
        rows = [f"Text, full{mark}Label", *(f"{t}, so{mark}{m}" for t, m in zip(TEXTS, LABELS, strict=True))]
        (tmp_path / "a.csv").write_text("\n".join(rows))
        assert read(tmp_path / "a.csv").spec.text_fields == ("Text, full",)


def test_shards_with_checksums_in_their_names(tmp_path: Path) -> None:
    one, other = "0123456789abcdef", "fedcba9876543210"
    for name in (f"train-00000-of-00002-{one}", f"train-00001-of-00002-{other}"):
        lines(tmp_path / f"{name}.jsonl", text=[f"{name} {t}" for t in TEXTS], label=LABELS)
    assert read(tmp_path).rows == 2 * N
    lines(tmp_path / f"train-00000-of-00001-{other}.jsonl", text=TEXTS, label=LABELS)
    with pytest.raises(InputError, match="is there in 2 sets of shards"):
        read(tmp_path)
    (tmp_path / f"train-00000-of-00001-{other}.jsonl").rename(tmp_path / f"train-00000-of-00002-{other}.jsonl")
    with pytest.raises(InputError, match="are both shard 00000 of 00002"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("numbers", "missing"), [((0, 1, 3), "2 is"), ((1, 4), "2, 3 are"), ((2019, 2021), ""), ((0, 1), "")]
)
def test_gaps_in_numbers(tmp_path: Path, numbers: tuple[int, ...], missing: str) -> None:
    for number in numbers:
        lines(tmp_path / f"train_{number}.jsonl", text=[f"{number} {t}" for t in TEXTS], label=LABELS)
    found = [text for text in read(tmp_path).warnings if "may not be whole" in text]
    assert found == ([] if not missing else [found[0]])
    assert not missing or f"but {missing} missing" in found[0]


# -- found in the ninth pass of benchmarks/shapes.py


def test_files_with_marks_that_were_joined(tmp_path: Path) -> None:
    one = "text,label\n" + "".join(f"{t},{m}\n" for t, m in zip(TEXTS, LABELS, strict=True))
    path = tmp_path / "a.csv"
    path.write_bytes(one.encode("utf-8-sig") * 2)
    with pytest.raises(InputError, match="line 14 is the header again, as where files were joined"):
        read(path)
    rows = lines(tmp_path / "a.jsonl", text=TEXTS, label=LABELS)
    rows.write_bytes((b"\xef\xbb\xbf" + rows.read_bytes()) * 2)
    assert read(rows).rows == 2 * N


def test_a_character_that_nobody_sees(tmp_path: Path) -> None:
    found = read(lines(tmp_path / "a.jsonl", text=TEXTS, label=["good", "good\u200b", "bad"] * 4)).warnings
    assert any("'good' and 'good\\u200b'" in text for text in found)


def test_classes_are_no_responses(tmp_path: Path) -> None:
    marks = {"positive": ["1", "0", "0"] * 4, "negative": ["0", "1", "0"] * 4, "neutral": ["0", "0", "1"] * 4}
    assert read(lines(tmp_path / "a.jsonl", text=TEXTS, **marks)).spec.labels_fields == tuple(marks)


def test_pairs_of_conversations_inside_of_objects_and_lists(tmp_path: Path) -> None:
    def both(better: Any, worse: Any, **more: Any) -> list[tuple[list[str], str, str]]:
        table = read(lines(tmp_path / "a.jsonl", **more, **better, **worse)).table.to_pylist()
        return [(row["fields"], row["response"], row["rejected"]) for row in table]

    def said(who: str, what: str) -> dict[str, str]:
        return {"role": who, "content": what}

    chats = [[[said("user", t), said("assistant", what)] for t in TEXTS] for what in ("yes", "no")]
    expected = [([t], "yes", "no") for t in TEXTS]
    packed = [[json.dumps({"messages": chat, "tools": []}) for chat in one] for one in chats]
    assert both({"chosen": packed[0]}, {"rejected": packed[1]}) == expected
    ranked = [[{"rank": at, "completion": one[row][1:]} for at, one in enumerate(chats)] for row in range(N)]
    assert both({"context": [chat[:1] for chat in chats[0]]}, {"completions": ranked}) == expected


def test_options_as_one_text_are_part_of_the_prompt(tmp_path: Path) -> None:
    options = [f"A) red {i}\nB) blue" for i in range(N)]
    rows = read(lines(tmp_path / "a.jsonl", question=TEXTS, options=options, answer=["A", "B"] * 6)).table.to_pylist()
    assert [row["fields"] for row in rows] == [[t, o] for t, o in zip(TEXTS, options, strict=True)]


def test_a_category_beside_answers_in_a_list_is_asked_about(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", turns=[[t, "and now?"] for t in TEXTS], reference=[["so"]] * N, category=LABELS)
    with pytest.raises(InputError, match="has both a label .category. and what may be responses .reference."):
        read(path)


def test_conversations_as_lists_and_as_text(tmp_path: Path) -> None:
    chats = [[{"from": "human", "value": t}, {"from": "gpt", "value": m}] for t, m in zip(TEXTS, LABELS, strict=True)]
    mixed = [chat if i % 2 else json.dumps(chat) for i, chat in enumerate(chats)]
    assert read(lines(tmp_path / "a.jsonl", conversations=mixed)).table["response"].to_pylist() == LABELS


def test_prompt_and_response_as_conversations(tmp_path: Path) -> None:
    asked = [[{"role": "user", "content": t}] for t in TEXTS]
    answered = [[{"role": "assistant", "content": m}] for m in LABELS]
    for names in (("input", "output"), ("prompt", "completion"), ("prompt", "response")):
        examples = read(lines(tmp_path / "a.jsonl", **dict(zip(names, (asked, answered), strict=True))))
        assert examples.table["response"].to_pylist() == LABELS


@pytest.mark.skipif(shutil.which("sed") is None, reason="needs sed")
def test_a_markdown_table(tmp_path: Path) -> None:
    rows = ["| text | label |", "| --- | :-: |", *(f"| {t} | {m} |" for t, m in zip(TEXTS, LABELS, strict=True))]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    with pytest.raises(InputError, match="this is a Markdown table") as caught:
        read(tmp_path / "a.csv")
    command = str(caught.value).partition("rules: ")[2]
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert read(tmp_path / "new.csv").table["label"].to_pylist() == LABELS


def test_booleans_are_no_tags(tmp_path: Path) -> None:
    rows = {"tokens": [["the", "shop"]] * N, "trailing_whitespace": [[True, False]] * N, "labels": [["O", "B-X"]] * N}
    assert read(lines(tmp_path / "a.jsonl", **rows)).spec.tags_field == "labels"


# -- found in the tenth pass


@pytest.mark.parametrize(
    ("text", "start", "end"), [("über the shop today", 10, 14), ("the old shop", 8, 11)], ids=["bytes", "end inside"]
)
def test_spans_that_are_not_where_they_say(tmp_path: Path, text: str, start: int, end: int) -> None:
    def spans(first: int, last: int) -> list[Any]:
        return [[{"start": first, "end": last, "label": "PLACE", "text": "shop"}]] * N

    with pytest.raises(InputError, match="a span in 'entities' is '.*' from .*, but says that it is 'shop'"):
        read(lines(tmp_path / "a.jsonl", text=[text] * N, entities=spans(start, end)))
    at = text.index("shop")
    examples = read(lines(tmp_path / "a.jsonl", text=[text] * N, entities=spans(at, at + 4)))
    assert set(examples.table["response"].to_pylist()) == {"PLACE: shop"}


@pytest.mark.parametrize("names", [("dev", "validation"), ("train", "training"), ("test", "testing")])
def test_two_names_of_one_split(tmp_path: Path, names: tuple[str, str]) -> None:
    for at, name in enumerate(names):
        lines(tmp_path / f"{name}.jsonl", text=[f"{at} {t}" for t in TEXTS], label=LABELS)
    with pytest.raises(InputError, match=f"{names[0]}.jsonl, {names[1]}.jsonl are all the split"):
        read(tmp_path)


# -- found in the eleventh pass


@pytest.mark.parametrize("name", ["label", "intent", "sentiment"])
def test_a_class_beside_a_conversation_is_asked_about(tmp_path: Path, name: str) -> None:
    chats = [[{"role": "user", "content": t}, {"role": "assistant", "content": "well"}] for t in TEXTS]
    path = lines(tmp_path / "a.jsonl", messages=chats, **{name: LABELS})
    with pytest.raises(InputError, match=f"'{name}' may be a class of each conversation"):
        read(path)
    assert read(path, roles=["messages=messages"]).rows == N
    assert read(lines(tmp_path / "b.jsonl", messages=chats, category=LABELS)).rows == N


def test_marks_as_one_text_warn(tmp_path: Path) -> None:
    for labels in (["0 1 0", "1 0 0", "1 1 0"], ["0,1", "1,0", "1,1"]):
        found = read(cells(tmp_path / "a.csv", TEXTS, labels * 4)).warnings
        assert any("look like a mark for each of several classes" in text for text in found)


@pytest.mark.skipif(shutil.which("sed") is None, reason="needs sed")
def test_lines_that_end_in_a_comma(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", text=TEXTS, label=LABELS)
    path.write_text(path.read_text().replace("\n", ",\n"))
    with pytest.raises(InputError, match="Lines end in a comma; remove it: (.*)") as caught:
        read(path)
    subprocess.run(str(caught.value).partition("remove it: ")[2], shell=True, check=True, cwd=tmp_path)
    assert read(tmp_path / "a_rows.jsonl").rows == N


@pytest.mark.parametrize(
    ("columns", "prompt"),
    [
        ({"system": ["be kind"] * N, "user": TEXTS, "assistant": LABELS}, ["be kind", TEXTS[0]]),
        ({"human": TEXTS, "bot": LABELS}, [TEXTS[0]]),
    ],
)
def test_speakers_as_columns(tmp_path: Path, columns: dict[str, list[str]], prompt: list[str]) -> None:
    examples = read(lines(tmp_path / "a.jsonl", **columns))
    assert examples.table["fields"][0].as_py() == prompt
    assert examples.table["response"].to_pylist() == LABELS


# -- found in the twelfth pass


def test_tags_of_words(tmp_path: Path) -> None:
    words = [["the", "old", "shop"], ["a", "bike"]] * 6
    tags = [["O", "B-X", "I-X"], ["O", "B-Y"]] * 6
    forms: list[dict[str, Any]] = [
        {"tokens": words, "tags": tags},
        {"tokens": words, "ner_tags": [" ".join(row) for row in tags]},
        {"sentence": [" ".join(row) for row in words], "labels": tags},
    ]
    found = [read(lines(tmp_path / "a.jsonl", **form)).table.to_pylist() for form in forms]
    assert found[0] == found[1] == found[2]
    assert [row["response"] for row in found[0][:2]] == ["X: old shop", "Y: bike"]
    with pytest.raises(InputError, match="'labels' holds tags of spans, but no column has as many words in every row"):
        read(lines(tmp_path / "b.jsonl", sentence=TEXTS, labels=tags))
    sets = read(
        lines(tmp_path / "c.jsonl", sentence=["a bike", "the old shop"] * 6, labels=[["new", "red"], ["x"]] * 6)
    )
    assert sets.spec.labels_field == "labels"


def test_several_grades_are_asked_about(tmp_path: Path) -> None:
    grades = {name: [0.0, 0.3] * 6 for name in ("toxicity", "threat", "insult", "obscene")}
    with pytest.raises(InputError, match="the score could be any of toxicity, threat"):
        read(lines(tmp_path / "a.jsonl", text=TEXTS, **grades))


def test_splits_of_lists(tmp_path: Path) -> None:
    pairs = [[t, m] for t, m in zip(TEXTS, LABELS, strict=True)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"train": pairs, "test": pairs}))
    with pytest.raises(InputError, match="rows are lists under train, test. Name their parts: jq -c"):
        read(path)
    path.write_text(json.dumps({"tokens": [["a", "b"]] * N, "tags": [["O", "B-X"]] * N}))
    assert read(path).rows == N


# -- found in the thirteenth pass


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({"premise": [[t, "more"] for t in TEXTS], "hypothesis": TEXTS, "label": LABELS}, "premise"),
        ({"question": TEXTS, "context": [[["A", ["one", "two"]]]] * N, "answer": LABELS}, "context"),
        ({"system": [[{"text": "be kind"}]] * N, "question": TEXTS, "answer": LABELS}, "system"),
    ],
)
def test_prompts_that_are_no_text_are_named(tmp_path: Path, columns: dict[str, Any], name: str) -> None:
    found = read(lines(tmp_path / "a.jsonl", **columns)).warnings
    assert f"{name} may belong to the prompt, but hold no text, and are not read" in found


# -- found in the fourteenth pass


def test_mails_have_their_subject_in_the_prompt(tmp_path: Path) -> None:
    rows = read(lines(tmp_path / "a.jsonl", subject=["bikes"] * N, body=TEXTS, label=LABELS)).table.to_pylist()
    assert rows[0]["fields"] == ["bikes", TEXTS[0]]


def test_parts_with_their_number_at_the_word(tmp_path: Path) -> None:
    for name in ("train-part1", "train-part2", "test"):
        lines(tmp_path / f"{name}.jsonl", text=[f"{name} {t}" for t in TEXTS], label=LABELS)
    examples = read(tmp_path)
    assert (examples.rows, set(examples.splits)) == (2 * N, {"train", "test"})


def test_folders_that_are_read_as_one_are_named(tmp_path: Path) -> None:
    for name in ("de", "en"):
        (tmp_path / name).mkdir()
        lines(tmp_path / name / "data.jsonl", text=[f"{name} {t}" for t in TEXTS], label=LABELS)
    assert "rows of several folders are read as one dataset: de, en" in read(tmp_path).notes
