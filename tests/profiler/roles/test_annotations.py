"""Sets of labels, tags of tokens and spans: how each becomes a response and a label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traitcast.profiler.reading.reader import Examples, read
from traitcast.profiler.roles.annotations import Names, Span, are_spans, response_of_spans, spans_of, tagged_spans
from traitcast.profiler.roles.spec import DatasetSpec
from traitcast.warehouse.errors import InputError

TOKENS = ["John", "Smith", "saw", "New", "York", "Rome"]


def read_rows(path: Path, rows: list[dict[str, Any]], **options: Any) -> Examples:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read(path, **options)


def answers(examples: Examples) -> list[tuple[str, str | None]]:
    return list(zip(examples.table["response"].to_pylist(), examples.table["label"].to_pylist(), strict=True))


@pytest.mark.parametrize(
    "tags",
    [
        ["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "B-LOC"],  # IOB2
        ["I-PER", "I-PER", "O", "I-LOC", "I-LOC", "B-LOC"],  # IOB
        ["B-PER", "E-PER", "O", "B-LOC", "E-LOC", "S-LOC"],  # BIOES
        ["B-PER", "L-PER", "O", "B-LOC", "L-LOC", "U-LOC"],  # BILOU
        ["B_PER", "I_PER", "O", "B_LOC", "I_LOC", "B_LOC"],
    ],
)
def test_every_scheme_marks_the_same_spans(tags: list[str]) -> None:
    spans = tagged_spans(TOKENS, tags)
    assert spans == [Span("PER", "John Smith"), Span("LOC", "New York"), Span("LOC", "Rome")]
    assert response_of_spans(spans) == ("PER: John Smith; LOC: New York; LOC: Rome", "LOC, PER")


def test_tags_without_prefixes_join_as_long_as_they_are_the_same() -> None:
    assert tagged_spans(TOKENS, ["PER", "PER", "O", "LOC", "LOC", "LOC"])[1] == Span("LOC", "New York Rome")
    assert response_of_spans(tagged_spans(TOKENS, ["O"] * 6)) == ("none", "none")


@given(st.lists(st.sampled_from(["O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "L-Y", "U-Y", "X"]), max_size=12))
def test_spans_hold_every_tagged_token_once_and_in_order(tags: list[str]) -> None:
    tokens = [f"t{i}" for i in range(len(tags))]
    words = [word for span in tagged_spans(tokens, tags) for word in span.text.split(" ")]
    assert words == [token for token, tag in zip(tokens, tags, strict=True) if tag != "O"]


def test_parts_of_speech_are_no_spans() -> None:
    assert are_spans(["O", "PER"])
    assert are_spans(["B-PER"])
    assert not are_spans(["NOUN", "VERB", "X"])


def test_tokens_with_tags(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "0", "tokens": TOKENS, "ner_tags": ["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "B-LOC"]},
        {"id": "1", "tokens": ["so", "it", "is"], "ner_tags": ["O", "O", "O"]},
        {"id": "2", "tokens": ["no", "tags"], "ner_tags": None},
    ]
    examples = read_rows(tmp_path / "a.jsonl", rows[:2])
    assert examples.spec.roles() == {
        "task_type": "generation",
        "text_fields": ["tokens"],
        "tags_field": "ner_tags",
        "label_form": "spans",
    }
    assert examples.spec.metric == "exact_match"
    assert examples.table["fields"].to_pylist() == [["John Smith saw New York Rome"], ["so it is"]]
    assert answers(examples) == [("PER: John Smith; LOC: New York; LOC: Rome", "LOC, PER"), ("none", "none")]
    stated = read_rows(tmp_path / "b.jsonl", rows, roles=["text=tokens tags=ner_tags"])
    assert stated.rows == 2
    assert "1 of 3 rows dropped: no value in 'ner_tags'" in stated.warnings


def test_tags_by_number_take_their_names_from_the_schema(tmp_path: Path) -> None:
    names = ["O", "B-PER", "I-PER"]
    table = pa.table({"tokens": [["Ann", "Lee", "ran"]] * 2, "ner_tags": [[1, 2, 0], [0, 0, 0]]})
    for feature in (
        {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "List"},
        {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"},
        [{"names": names, "_type": "ClassLabel"}],
    ):
        metadata = json.dumps({"info": {"features": {"ner_tags": feature}}})
        pq.write_table(table.replace_schema_metadata({"huggingface": metadata}), tmp_path / "a.parquet")
        assert answers(read(tmp_path / "a.parquet")) == [("PER: Ann Lee", "PER"), ("none", "none")]


def test_a_tag_for_each_token(tmp_path: Path) -> None:
    rows = [{"words": ["dogs", "bark"], "upos": ["NOUN", "VERB"]}, {"words": ["run"], "upos": ["VERB"]}]
    examples = read_rows(tmp_path / "a.jsonl", rows)
    assert examples.spec.label_form == "each"
    assert answers(examples) == [("NOUN VERB", None), ("VERB", None)]


def test_two_columns_of_tags_are_asked_about(tmp_path: Path) -> None:
    rows = [{"tokens": ["a"], "pos_tags": ["X"], "ner_tags": ["O"]}] * 3
    with pytest.raises(
        InputError, match=r"the tags could be pos_tags or ner_tags.*\n.*\n.*'text=tokens tags=ner_tags'"
    ):
        read_rows(tmp_path / "a.jsonl", rows)
    assert answers(read(tmp_path / "a.jsonl", roles=["tags=pos_tags"])) == [("X", None)] * 3


def test_several_labels_of_a_text(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "labels": labels} for i, labels in enumerate([["joy", "fear"], [], ["fear", "joy"]])]
    examples = read_rows(tmp_path / "a.jsonl", rows)
    assert examples.spec.roles()["label_form"] == "names"
    assert answers(examples) == [("joy, fear", "fear, joy"), ("none", "none"), ("fear, joy", "fear, joy")]
    # pandas writes a list into a CSV as Python prints it.
    csv = "text,labels\n" + "".join(f't{i},"{row["labels"]}"\n' for i, row in enumerate(rows))
    (tmp_path / "b.csv").write_text(csv)
    assert answers(read(tmp_path / "b.csv")) == answers(examples)


def test_a_mark_for_every_class(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "labels": marks} for i, marks in enumerate([[0, 1, 1], [0, 0, 0], [1, 0, 0]])]
    spec = DatasetSpec("generation", ("text",), labels_field="labels", label_names=("a", "b", "c"))
    expected = [("b, c", "b, c"), ("none", "none"), ("a", "a")]
    assert answers(read_rows(tmp_path / "a.jsonl", rows, spec=spec)) == expected
    assert read(tmp_path / "a.jsonl").spec.label_form == "marks"
    columns = [{"comment": row["text"], **dict(zip("abc", row["labels"], strict=True))} for row in rows]
    examples = read_rows(tmp_path / "b.jsonl", columns)
    assert answers(examples) == expected
    assert examples.spec.labels_fields == ("a", "b", "c")
    assert "labels a, b, c (medium): 0 or 1 in every row; the response names those with 1" in examples.notes


SENTENCE = "John in Rome, again John"
SPANS: list[Any] = [
    [{"start": 8, "end": 12, "label": "LOC"}, {"start": 0, "end": 4, "label": "PER"}],
    [[8, 12, "LOC"], [0, 4, "PER"]],
    {"start": [8, 0], "end": [12, 4], "type": ["LOC", "PER"]},
    [{"text": "John", "type": "PER"}, {"text": "Rome", "type": "LOC"}],
    [{"entity": "John", "label": "PER"}, {"entity": "Rome", "label": "LOC"}],
    json.dumps([{"start": 0, "end": 4, "labels": ["PER"]}, {"start": 8, "end": 12, "labels": ["LOC"]}]),
]


@pytest.mark.parametrize("value", SPANS)
def test_spans_in_every_layout(value: Any, tmp_path: Path) -> None:
    spans = spans_of(value, SENTENCE, Names("spans", ()), "line 1")
    assert spans == [Span("PER", "John"), Span("LOC", "Rome")]
    empty: Any = "[]" if isinstance(value, str) else {key: [] for key in value} if isinstance(value, dict) else []
    examples = read_rows(
        tmp_path / "a.jsonl", [{"text": SENTENCE, "entities": value}, {"text": "x", "entities": empty}]
    )
    assert examples.spec.spans_field == "entities"
    assert answers(examples) == [("PER: John; LOC: Rome", "LOC, PER"), ("none", "none")]


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("tags", {"t": ["a", "b"], "x": ["O"]}, r"line 1: 1 tags in 'x' for 2 tokens"),
    ("tags", {"t": ["a"], "x": [0.5]}, r"a label in 'x' is a float: 0\.5; expected a text or an integer"),
    ("tags", {"t": [1], "x": ["O"]}, r"'t' holds a list: \[1\]; expected a list of tokens"),
    ("labels", {"t": "a", "x": "joy"}, r"'x' holds a text: 'joy'; expected a list of labels.*label_field"),
    ("labels", {"t": "a", "x": [["joy"]]}, r"a label in 'x' is a list"),
    ("spans", {"t": "abc", "x": [{"start": 0, "end": 9, "label": "L"}]}, r"from 0 to 9 does not lie in the text of 3"),
    ("spans", {"t": "abc", "x": [{"where": 0}]}, r"holds \{'where': 0\}, which is not a span; expected start, end"),
    ("spans", {"t": "abc", "x": 5}, r"'x' holds a int: 5; expected a list of spans"),
]


@pytest.mark.parametrize(("role", "row", "message"), BAD)
def test_what_is_no_label(tmp_path: Path, role: str, row: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_rows(tmp_path / "a.jsonl", [row], roles=[f"text=t {role}=x"])


def test_labels_outside_of_their_names(tmp_path: Path) -> None:
    spec = DatasetSpec("generation", ("t",), labels_field="x", label_names=("joyful", "fear"))
    with pytest.raises(
        InputError, match=r"label 'joyfull' in 'x' is not in label_names; did you mean 'joyful'\? Allowed: joyful"
    ):
        read_rows(tmp_path / "a.jsonl", [{"t": "a", "x": [1]}, {"t": "a", "x": ["joyfull"]}], spec=spec)
    marks = DatasetSpec("generation", ("t",), labels_field="x", label_names=("joyful", "fear"), label_form="marks")
    with pytest.raises(InputError, match=r"'x' holds 3 marks, but there are 2 names"):
        read_rows(tmp_path / "a.jsonl", [{"t": "a", "x": [1, 0, 0]}], spec=marks)
    with pytest.raises(InputError, match=r"'x' holds 7; expected 0 or 1, or false or true"):
        read_rows(tmp_path / "a.jsonl", [{"t": "a", "x": [7, 0]}], spec=marks)
