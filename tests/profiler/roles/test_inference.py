"""Role inference: the layouts that people use, and refusal wherever two readings are possible."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from traitcast.profiler.reading.reader import read
from traitcast.profiler.roles.columns import kind_of
from traitcast.profiler.roles.explanation import Inference
from traitcast.profiler.roles.inference import infer
from traitcast.profiler.roles.spec import load_spec, parse_spec
from traitcast.warehouse.errors import InputError

WORDS = ["the film was long", "a quiet place", "rain again today", "what a match"]
CHAT = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
SHAREGPT = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]
OPTIONS = ["red", "green", "blue"]


def sample(*names: str, **columns: list[Any]) -> dict[str, list[Any]]:
    """Columns of four rows; those only named hold short texts."""
    return {name: [f"{name} {word}" for word in WORDS] for name in names} | columns


def found(columns: dict[str, list[Any]], **names: tuple[str, ...]) -> Inference:
    return infer(columns, source="rows.jsonl", label_names=names)


LABELS = [0, 1, 1, 0]
CLASSIFICATION = [
    (sample("text", label=LABELS), ["text"], "label"),
    (sample("Text", Label=["pos", "neg", "neg", "pos"]), ["Text"], "Label"),
    (sample("idx", "sentence", label=LABELS), ["sentence"], "label"),
    (sample("title", "description", label=LABELS), ["title", "description"], "label"),
    (sample("hypothesis", "premise", label=LABELS), ["premise", "hypothesis"], "label"),
    (sample("sentence1", "sentence2", label=LABELS), ["sentence1", "sentence2"], "label"),
    (sample("sentence_A", "sentence_B", entailment_judgment=LABELS), ["sentence_A", "sentence_B"], None),
    (sample("question1", "question2", is_duplicate=[True, False] * 2), ["question1", "question2"], "is_duplicate"),
    (sample("claim", "evidence", label=LABELS), ["claim", "evidence"], "label"),
    (sample("question", "passage", answer=[True, False] * 2), ["question", "passage"], "answer"),
    (sample("question", answer=["yes", "no", "no", "yes"]), ["question"], "answer"),
    (sample("review", sentiment=["good", "bad"] * 2), ["review"], "sentiment"),
    (sample("remark", label=LABELS), ["remark"], "label"),
    (sample("text", label=LABELS, label_text=["neg", "pos", "pos", "neg"]), ["text"], "label_text"),
]


@pytest.mark.parametrize(("columns", "prompt", "label"), CLASSIFICATION)
def test_classification(columns: dict[str, list[Any]], prompt: list[str], label: str | None) -> None:
    spec = found(columns).spec
    assert (spec.task_type, sorted(spec.text_fields)) == ("classification", sorted(prompt))
    assert spec.label_field == (label or "entailment_judgment")


GENERATION = [
    (sample("instruction", "input", "output"), ["instruction", "input"], "output"),
    (sample("instruction", "input", "output", "text"), ["instruction", "input"], "output"),
    (sample("instruction", "context", "response", "category"), ["instruction", "context"], "response"),
    (sample("prompt", "completion"), ["prompt"], "completion"),
    (sample("system", "prompt", "response"), ["system", "prompt"], "response"),
    (sample("question", "answer"), ["question"], "answer"),
    (sample("question", answer=[3, 14, 15, 92]), ["question"], "answer"),
    (sample("id", "context", "question", "answer"), ["context", "question"], "answer"),
    (sample("problem", "solution"), ["problem"], "solution"),
    (sample("source", "target"), ["source"], "target"),
    (sample("source_text", "target_text"), ["source_text"], "target_text"),
    (sample("article", "highlights", "id"), ["article"], "highlights"),
    (sample("dialogue", "summary"), ["dialogue"], "summary"),
    (sample("inputs", "targets"), ["inputs"], "targets"),
    (
        sample("title", "context", "question", answers=[{"text": ["x"], "answer_start": [0]}] * 4),
        ["title", "context", "question"],
        "answers.text[0]",
    ),
    (sample("question", answers=[["x", "y"]] * 4), ["question"], "answers[0]"),
]


@pytest.mark.parametrize(("columns", "prompt", "answer"), GENERATION)
def test_generation(columns: dict[str, list[Any]], prompt: list[str], answer: str) -> None:
    spec = found(columns).spec
    assert (spec.task_type, spec.answer_field) == ("generation", answer)
    assert list(spec.text_fields) == prompt


@pytest.mark.parametrize(("name", "turns"), [("messages", CHAT), ("conversations", SHAREGPT), ("chat", CHAT)])
def test_chat(name: str, turns: list[dict[str, str]]) -> None:
    spec = found(sample("id", **{name: [turns] * 4})).spec
    assert (spec.task_type, spec.messages_field, spec.text_fields) == ("generation", name, ())


CHATS = [
    (sample("system", conversations=[SHAREGPT] * 4), ("system",), "conversations", None),
    (sample(prompt=[CHAT[:1]] * 4, completion=[CHAT[1:]] * 4), (), "prompt", "completion"),
    (sample(turns=[[{"human": "hi", "assistant": "hello"}]] * 4), (), "turns", None),
    (sample(messages=[json.dumps(CHAT)] * 4), (), "messages", None),
]


@pytest.mark.parametrize(("columns", "texts", "messages", "answer"), CHATS)
def test_other_chats(
    columns: dict[str, list[Any]], texts: tuple[str, ...], messages: str, answer: str | None, tmp_path: Path
) -> None:
    spec = found(columns).spec
    assert (spec.text_fields, spec.messages_field, spec.answer_field) == (texts, messages, answer)
    path = tmp_path / "a.jsonl"
    path.write_text(
        "".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in zip(*columns.values(), strict=True))
    )
    table = read(path).table.to_pylist()
    assert [row["fields"] for row in table] == [[*(columns[name][i] for name in texts), "hi"] for i in range(4)]
    assert [row["response"] for row in table] == ["hello"] * 4


SCORES = [0.5, 1.5, 2.0, 3.25]


@pytest.mark.parametrize(
    ("columns", "prompt", "score"),
    [
        (sample("text", label=SCORES), ("text",), "label"),
        (sample("sentence1", "sentence2", similarity_score=SCORES), ("sentence1", "sentence2"), "similarity_score"),
        (sample("excerpt", score=["0.5", "1.5", "-2", "3"]), ("excerpt",), "score"),
    ],
)
def test_scores(columns: dict[str, list[Any]], prompt: tuple[str, ...], score: str) -> None:
    inference = found(columns)
    assert inference.spec.text_fields == prompt
    assert (inference.spec.answer_field, inference.spec.metric) == (score, "numeric_match")
    assert any(note.startswith(f"score {score} (high): numbers with fractions are grades") for note in inference.notes)


def test_whole_numbers_are_classes_and_a_label_beside_a_score_wins() -> None:
    assert found(sample("text", label=["0.0", "1.0", "1.0", "0.0"])).spec.label_field == "label"
    assert found(sample("text", score=SCORES, label=LABELS)).spec.label_field == "label"


TWO = sample("title", "body", "remark", stars=[1, 2, 1, 2], mood=["up", "down"] * 2)


@pytest.mark.parametrize(
    ("stated", "texts", "response"),
    [
        ({"label_field": "mood"}, ("title", "body"), "mood"),
        ({"text_fields": ["remark"]}, ("remark",), "stars"),
        ({"text_fields": ["remark", "title"], "task_type": "classification"}, ("remark", "title"), "stars"),
        ({"answer_field": "body"}, ("title",), "body"),
    ],
)
def test_what_is_not_stated_is_inferred_around_it(
    stated: dict[str, Any], texts: tuple[str, ...], response: str
) -> None:
    inference = infer(TWO, stated=stated)
    assert (inference.spec.text_fields, inference.spec.response_field) == (texts, response)
    told = {reason.field: reason.confidence for reason in inference.reasons}
    names = {name for value in stated.values() for name in ([value] if isinstance(value, str) else value)}
    assert all((told[field] == "stated") == (field in names) for field in told)


def test_the_answer_form_may_be_all_that_is_stated() -> None:
    columns = sample("question", choices=[OPTIONS] * 4, answer=[1, 2, 1, 2])
    for form in ("index", "number"):
        assert infer(columns, stated={"answer_form": form}).spec.answer_form == form
    spec = infer(sample("question", opts=LISTED, right=["red"] * 4, answer=LABELS), stated={"options_field": "opts"})
    assert (spec.spec.options_field, spec.spec.answer_field) == ("opts", "answer")


def test_a_corpus_of_texts_has_no_prompt() -> None:
    corpus = sample("text", "url", "dump", "language")
    with pytest.raises(InputError, match="fit no known layout"):
        infer(corpus)
    assert infer(corpus, stated={"answer_field": "text"}).spec.columns == ("text",)


def test_a_stated_column_that_leaves_the_rest_open() -> None:
    with pytest.raises(InputError, match=r"the response is stated \(c\), but the prompt could be any of: a, b"):
        infer(sample("a", "b", c=LABELS), stated={"label_field": "c"})
    with pytest.raises(InputError, match=r"--roles 'text=a answer=b'"):
        infer(sample("a", "b"), stated={"text_fields": ["a"]})


def test_nested_columns_are_proposed_by_path(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"translation": {"en": "hi", "fr": "salut"}}\n' * 3)
    with pytest.raises(
        InputError, match=r"translation \(nested object; inside: translation.en, translation.fr\)"
    ) as asked:
        read(path)
    roles = str(asked.value).split("--roles '", 1)[1].split("'", 1)[0]
    assert roles == "text=translation.en answer=translation.fr"
    assert read(path, roles=[roles]).table["response"].to_pylist() == ["salut"] * 3


LISTED = [OPTIONS] * 4
KEYED = [{"text": OPTIONS, "label": ["A", "B", "C"]}] * 4
LISTED = [OPTIONS] * 4
MULTIPLE_CHOICE = [
    (sample("question", options=LISTED, answer=[0, 2, 1, 0]), "index", ["options"]),
    (sample("question", options=LISTED, answer=["1", "3", "2", "1"]), "number", ["options"]),
    (sample("question", choices=LISTED, answer=["A", "b", "(C)", "B."]), "letter", ["choices"]),
    (sample("question", choices=LISTED, answer=["red", "blue", "red", "green"]), "text", ["choices"]),
    (
        sample("question", options=[dict(zip("ABC", OPTIONS, strict=True))] * 4, answer=["B", "A", "C", "A"]),
        "index",
        ["options"],
    ),
    (sample("question", options=[dict(zip("ABC", OPTIONS, strict=True))] * 4, answer=["red"] * 4), "text", ["options"]),
    (
        sample(
            "question",
            options=[[{"key": k, "text": o} for k, o in zip("ABC", OPTIONS, strict=True)]] * 4,
            gold=list("ABCA"),
        ),
        "index",
        ["options"],
    ),
    (sample("question", options=[str(OPTIONS)] * 4, answer=["red"] * 4), "text", ["options"]),
    (sample("question", choices=KEYED, answerKey=["A", "C", "B", "A"]), "index", ["choices"]),
    (sample("ctx", endings=LISTED, label=["0", "2", "1", ""]), "index", ["endings"]),
    (sample("question", "A", "B", "C", "D", answer=["A", "D", "B", "C"]), "letter", list("ABCD")),
    (sample("goal", "sol1", "sol2", label=LABELS), "index", ["sol1", "sol2"]),
    (sample("sentence", "option1", "option2", answer=["1", "2", "2", "1"]), "number", ["option1", "option2"]),
    (
        sample("context", "question", "answerA", "answerB", "answerC", label=["1", "3", "2", "1"]),
        "number",
        ["answerA", "answerB", "answerC"],
    ),
    (sample("question", "opa", "opb", "opc", cop=[0, 2, 1, 0]), "index", ["opa", "opb", "opc"]),
]


@pytest.mark.parametrize(("columns", "form", "options"), MULTIPLE_CHOICE)
def test_multiple_choice(columns: dict[str, list[Any]], form: str, options: list[str]) -> None:
    spec = found(columns).spec
    assert (spec.task_type, spec.answer_form) == ("multiple_choice", form)
    assert [spec.options_field] == options if spec.options_field else list(spec.options_fields) == options


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (sample("a", "b"), r"its columns fit no known layout"),
        (sample("text"), r"its columns fit no known layout"),
        (sample("text", label=[{"a": 1}] * 4), r"'label' holds nested object, but a class is a text"),
        (sample("instruction", "output", "response"), r"the response could be output or response"),
        (sample("text", fine_label=LABELS, coarse_label=LABELS), r"the label could be fine_label or coarse_label"),
        (sample("question", "answer", label=LABELS), r"both a label \(label\) and what may be a response \(answer\)"),
        (sample("first", "second", label=LABELS), r"the prompt could be any of: first, second"),
        (sample(label=LABELS), r"a label \(label\), but there is no other text column"),
        (sample("question", options=LISTED), r"there are options, but no column that names the right one"),
        (sample(options=LISTED, answer=[0, 1, 2, 0]), r"no known column for the question"),
        (sample("question", options=LISTED, answer=[1, 2, 1, 2]), r"read as answer_form: index or number"),
        (sample("question", options=LISTED, choices=LISTED, answer=LABELS), r"options could be in options or choices"),
        (sample(one=[CHAT] * 4, other=[CHAT] * 4), r"several chat columns \(one, other\)"),
    ],
)
def test_what_has_no_single_reading_is_refused_with_a_draft(columns: dict[str, list[Any]], reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        found(columns)
    message = str(caught.value)
    assert message.startswith("rows.jsonl: cannot tell the roles of the columns")
    assert all(f"{name} (" in message for name in columns)
    if "No column holds texts" not in message:
        assert "--spec roles.yaml" in message
        draft = "\n".join(line[2:] for line in message.splitlines() if line.startswith("  "))
        assert "task_type:" in draft


def test_the_draft_is_a_spec_that_reads() -> None:
    import yaml

    with pytest.raises(InputError) as caught:
        found(sample("first", "second", label=LABELS))
    draft = "\n".join(line[2:] for line in str(caught.value).splitlines() if line.startswith("  "))
    assert parse_spec(yaml.safe_load(draft)).roles() == {
        "task_type": "classification",
        "text_fields": ["first", "second"],
        "label_field": "label",
    }


def test_a_label_column_of_all_different_texts_is_no_label() -> None:
    columns = {"text": [f"text {i}" for i in range(60)], "label": [f"reply {i}" for i in range(60)]}
    with pytest.raises(InputError, match="'label' has 60 distinct values in 60 rows, too many for classes"):
        found(columns)


def test_fields_that_are_sometimes_empty_become_optional() -> None:
    spec = found(sample("instruction", "output", input=["", "x", None, ""])).spec
    assert spec.optional_fields == ("input",)


def test_notes_say_what_was_taken_and_what_was_left() -> None:
    inference = found(sample("text", "author", label=LABELS), label=("neg", "pos"))
    assert inference.spec.label_names == ("neg", "pos")
    assert inference.notes == (
        "roles inferred from columns and values (medium confidence): task_type classification, text_fields text, "
        "label_field label",
        "prompt text (high): a usual name of a prompt",
        "label label (high): 2 different values in 4 rows",
        "label names from the schema of the file: neg, pos",
        "columns not used: author",
        "if that is wrong, say which columns are meant: --roles 'text=COLUMN label=COLUMN', or --spec FILE",
    )
    assert inference.confidence == "medium"
    assert found(sample("text", label=LABELS)).confidence == "high"
    assert "bare numbers; name them by label_names" in found(sample("text", label=LABELS)).notes[3]


def test_kinds() -> None:
    cases: list[tuple[list[Any], str]] = [
        ([None, "a"], "text"),
        ([None], "empty"),
        ([1, 2.0], "integer"),
        ([1, 2.5], "number"),
        ([True], "boolean"),
        ([True, 1], "mixed types"),
        ([CHAT, []], "chat"),
        ([["a"], []], "list of texts"),
        ([[1]], "list of integers"),
        ([[1.5]], "list"),
        (['["a"]'], "text"),
        ([{"text": ["a"], "label": ["A"]}], "keyed options"),
        ([{"a": 1}], "nested object"),
        (["a", 1], "mixed types"),
    ]
    assert [kind_of(values) for values, _ in cases] == [kind for _, kind in cases]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.floats(allow_nan=True) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "label", "a"]), inner),
    max_leaves=5,
)
column_names = st.sampled_from(
    ["text", "label", "question", "answer", "options", "choices", "A", "B", "C", "input", "output", "messages", "x", ""]
)


def draft(columns: dict[str, list[Any]]) -> dict[str, Any]:
    with pytest.raises(InputError, match="A draft to edit") as caught:
        infer(columns)
    document: dict[str, Any] = yaml.safe_load(str(caught.value).rsplit("preference):\n", 1)[1])
    parse_spec(document)
    return document


@pytest.mark.parametrize(
    ("columns", "options", "answer", "form"),
    [
        (sample("question", choices=[OPTIONS] * 4, answer=[1, 2, 1, 2]), "choices", "answer", "index"),
        (
            sample("question", options=[OPTIONS] * 4, choices=[OPTIONS] * 4, answer=[0, 1, 2, 0]),
            "options",
            "answer",
            "index",
        ),
        (sample("riddle", options=[OPTIONS] * 4, answer=["red"] * 4), "options", "answer", "text"),
    ],
)
def test_the_draft_for_unclear_options_is_multiple_choice(
    columns: dict[str, list[Any]], options: str, answer: str, form: str
) -> None:
    found = draft(columns)
    assert (found["task_type"], found["options_field"], found["answer_field"]) == ("multiple_choice", options, answer)
    assert found["answer_form"] == form
    assert found["text_fields"] == [next(iter(columns))]


def test_the_draft_of_an_ambiguous_file_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    rows = [{"question": f"what {i}?", "choices": OPTIONS, "answer": i % 2 + 1} for i in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match="answer_form: index or number") as caught:
        read(path)
    roles = tmp_path / "roles.yaml"
    roles.write_text(str(caught.value).rsplit("preference):\n", 1)[1])
    examples = read(path, spec=roles)
    assert (examples.spec.task_type, examples.rows) == ("multiple_choice", 12)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([[], []], "empty list"),
        ([date(2024, 1, 1)], "date"),
        ([b"x"], "binary"),
        ([Decimal(1), Decimal(0)], "integer"),
        ([Decimal("1.5")], "number"),
        ([0.0, float("nan")], "integer"),
        ([float("inf")], "number"),
        ([float("nan")], "empty"),
    ],
)
def test_kinds_of_rare_values(values: list[Any], kind: str) -> None:
    assert kind_of(values) == kind


@given(st.dictionaries(column_names, st.lists(values, min_size=3, max_size=3), max_size=6))
def test_any_columns_give_roles_that_exist_or_an_input_error(columns: dict[str, list[Any]]) -> None:
    spec, message = None, ""
    try:
        spec = infer(columns).spec
    except InputError as error:
        message = str(error)
    if spec is None and "No column holds texts" in message:
        assert "--roles 'text=COLUMN answer=COLUMN'" in message
    elif spec is None:
        assert "--spec roles.yaml" in message
        # The draft under the message is a spec as it stands.
        assert parse_spec(yaml.safe_load(message.rsplit("preference):\n", 1)[1])).columns
    else:
        assert {name.split(".")[0].split("[")[0] for name in spec.columns} <= set(columns)
        assert parse_spec(spec.roles()).roles() == spec.roles()


def test_no_shared_dataset_is_read_wrongly_without_its_spec(tmp_path: Path, shared: Path) -> None:
    """Inference may ask, but what it answers is what the curated spec says."""
    agreed, asked = 0, []
    for folder in sorted(path.parent for path in shared.glob("datasets/*/dataset.yaml")):
        stated = load_spec(folder / "dataset.yaml")
        alone = tmp_path / folder.name
        alone.mkdir()
        (alone / "validation.jsonl").symlink_to(folder / "validation.jsonl")
        try:
            inferred = read(alone).spec
        except InputError as error:
            asked.append(str(error))
            continue
        agreed += 1
        assert inferred.task_type == stated.task_type, folder.name
        assert set(inferred.text_fields) == set(stated.text_fields), folder.name
        assert inferred.response_field == stated.response_field, folder.name
    assert agreed >= 70
    assert agreed + len(asked) == 84
    assert all("cannot tell the roles" in message for message in asked)


TEXTS = [f"the bike {i} is flat and the shop was closed" for i in range(60)]
STARS = [str(i % 5 + 1) for i in range(60)]
COUNTER = [str(i + 1) for i in range(60)]
EMPTY = [""] * 60


def test_empty_columns_and_counters_leave_one_prompt() -> None:
    inference = found({"Row #": COUNTER, "★ Stars": STARS, "Notes": EMPTY, "What they wrote": TEXTS})
    assert inference.spec.text_fields == ("What they wrote",)
    assert (inference.spec.label_field, inference.confidence) == ("★ Stars", "medium")


@pytest.mark.parametrize(
    ("columns", "roles"),
    [
        (
            {"Row #": COUNTER, "★ Stars": STARS, "Notes": EMPTY, "Said": TEXTS, "Why": TEXTS[::-1]},
            {"task_type": "classification", "text_fields": ["Said", "Why"], "label_field": "★ Stars"},
        ),
        (
            {"title": ["Review"] * 60, "body": TEXTS, "score": [i % 5 for i in range(60)]},
            {"task_type": "classification", "text_fields": ["body"], "label_field": "score"},
        ),
        (
            {"body": TEXTS, "score": [i % 5 for i in range(60)], "title": ["Review"] * 60, "n": list(range(60))},
            {"task_type": "classification", "text_fields": ["body"], "label_field": "score"},
        ),
        ({"text": TEXTS, "label": [None] * 60}, {"task_type": "generation", "answer_field": "text"}),
        ({"text": TEXTS, "sentiment": [None] * 60}, {"task_type": "generation", "answer_field": "text"}),
        (
            {
                "model": ["m1", "m2"] * 30,
                "created": ["2024-01-02"] * 60,
                "short": STARS,
                "said": TEXTS,
                "label_": STARS,
            },
            {"task_type": "classification", "text_fields": ["said"], "label_field": "label_"},
        ),
    ],
)
def test_a_draft_names_only_columns_with_content(columns: dict[str, list[Any]], roles: dict[str, Any]) -> None:
    document = draft(columns)
    document.pop("metric")
    assert document == roles


def test_an_empty_label_column_is_named() -> None:
    with pytest.raises(InputError, match="'sentiment' is empty in all 60 rows; if another split has labels"):
        found({"text": TEXTS, "sentiment": [None] * 60})


def test_nothing_is_proposed_where_no_column_holds_texts() -> None:
    with pytest.raises(InputError, match="No column holds texts that could be a prompt and a response") as caught:
        found({"meta": [1] * 60, "n": list(range(60))})
    assert "best guess" not in str(caught.value)


def test_the_draft_keeps_what_was_stated() -> None:
    with pytest.raises(InputError, match="the response is stated") as caught:
        infer({"said": TEXTS, "why": TEXTS[::-1], "mark": STARS}, stated={"label_field": "mark"})
    assert "--roles 'text=said,why label=mark'" in str(caught.value)


def test_an_empty_column_that_is_not_used_raises_no_doubt() -> None:
    inference = found({"instruction": TEXTS, "input": EMPTY, "output": TEXTS[::-1]})
    assert (inference.spec.text_fields, inference.confidence) == (("instruction",), "high")


@pytest.mark.parametrize(
    "options",
    [[8, 9, 10, 4], ["yes", "no", None], ["2.5", "3.0", "4"]],
    ids=["numbers", "padded", "texts of numbers"],
)
def test_options_that_are_no_words_are_options_all_the_same(options: list[object]) -> None:
    rows = 40
    columns = {
        "question": [f"How much is {i} plus 4?" for i in range(rows)],
        "choices": [list(options) for _ in range(rows)],
        "answer": [i % 2 for i in range(rows)],
    }
    assert infer(columns).spec.task_type == "multiple_choice"


def test_flags_beside_a_label_are_metadata() -> None:
    rows = 60
    columns = {
        "text": [f"text number {i} of many" for i in range(rows)],
        "label": [i % 2 for i in range(rows)],
        "is_test": [0] * rows,
        "flag": [1 - i % 2 for i in range(rows)],
        "seen": [i % 3 == 0 for i in range(rows)],
    }
    found = infer(columns).spec
    assert (found.task_type, found.label_field) == ("classification", "label")


@pytest.mark.parametrize(
    ("names", "prompt", "response"),
    [
        (("Frage", "Antwort"), ("Frage",), "Antwort"),
        (("Kontext", "Frage", "Antwort"), ("Kontext", "Frage"), "Antwort"),
        (("Anweisung", "Eingabe", "Ausgabe"), ("Anweisung", "Eingabe"), "Ausgabe"),
        (("Artikel", "Zusammenfassung"), ("Artikel",), "Zusammenfassung"),
        (("pregunta", "respuesta"), ("pregunta",), "respuesta"),
        (("question", "réponse"), ("question",), "réponse"),
        (("content", "summary"), ("content",), "summary"),
        (("source", "reference"), ("source",), "reference"),
    ],
)
def test_names_of_other_languages(names: tuple[str, ...], prompt: tuple[str, ...], response: str) -> None:
    found = infer({name: [f"{name} {i} aus mehreren Wörtern" for i in range(60)] for name in names})
    assert (found.spec.text_fields, found.spec.response_field) == (prompt, response)


def test_german_labels() -> None:
    found = infer({"Überschrift": [f"Text Nummer {i}" for i in range(60)], "Kategorie": ["gut", "schlecht"] * 30})
    assert (found.spec.text_fields, found.spec.label_field) == (("Überschrift",), "Kategorie")


def test_a_translation_is_asked_about_once() -> None:
    column = [{"en": f"hello {i}", "de": f"hallo {i}"} for i in range(30)]
    with pytest.raises(InputError) as caught:
        infer({"id": [str(i) for i in range(30)], "translation": column}, source="d")
    assert "nothing says which one is translated" in str(caught.value)
    assert "--roles 'text=translation.en answer=translation.de'" in str(caught.value)
    assert "for the other way round swap text and answer" in str(caught.value)


def test_a_draft_never_learns_the_rejected_answer_nor_the_question() -> None:
    pairs = {name: [f"{name} {i} in some words" for i in range(30)] for name in ("chosen", "rejected_by", "rejected")}
    with pytest.raises(InputError, match="answer=chosen"):
        infer({name: pairs[name] for name in ("chosen", "rejected_by")})
    nested = {
        "question": [f"Who wrote book {i}?" for i in range(30)],
        "answer": [{"value": f"writer {i}", "aliases": ["x"]} for i in range(30)],
    }
    with pytest.raises(InputError, match=r"text=question answer=answer\.value"):
        infer(nested)


@pytest.mark.parametrize(
    "names",
    [
        [f"option_{i}" for i in range(1, 13)],
        [f"choice{i}" for i in range(12)],
        [f"Ending {i}" for i in range(11)],
        [*"ABCDEFGHIJKLMNOP"],
        [f"option_{letter}" for letter in "abcdefghijklmnopqrst"],
    ],
)
def test_more_than_ten_option_columns_keep_their_order(names: list[str]) -> None:
    shuffled = sorted(names)
    options = {name: [f"{name} {word}" for word in WORDS] for name in shuffled}
    answers = [f"{names[position]} {word}" for position, word in zip((0, 10, len(names) - 1, 3), WORDS, strict=True)]
    spec = found(sample("question") | options | {"answer": answers}).spec
    assert spec.task_type == "multiple_choice"
    assert spec.options_fields == tuple(names)
    assert (spec.answer_field, spec.answer_form) == ("answer", "text")


def test_option_columns_that_the_sample_leaves_empty_are_options() -> None:
    options = {f"option{i}": [f"{i} {word}" if i < 4 else None for word in WORDS] for i in range(1, 6)}
    spec = found(sample("question") | options | {"answer": ["A", "C", "B", "A"]}).spec
    assert spec.options_fields == ("option1", "option2", "option3", "option4", "option5")


@pytest.mark.parametrize("gap", [["option_1", "option_2", "option_4"], ["b", "c", "d"], ["option_2", "option_3"]])
def test_columns_with_a_gap_or_a_late_start_are_no_options(gap: list[str]) -> None:
    options = {name: [f"{name} {word}" for word in WORDS] for name in gap}
    with pytest.raises(InputError, match="cannot tell the roles of the columns"):
        found(sample("text") | options | {"answer": options[gap[0]]})


@given(st.lists(st.sampled_from([None, float("nan"), "a text", "other words"]), min_size=3, max_size=60))
def test_nan_is_null(values: list[Any]) -> None:
    """As pandas hands over the holes of a column of texts."""
    columns = {"prompt": [f"tell me of {i}" for i in range(len(values))], "completion": values}
    whole = {**columns, "completion": [None if value != value else value for value in values]}

    def roles(of: dict[str, list[Any]]) -> Any:
        try:
            return infer(of).spec.roles()
        except InputError as error:
            return str(error)

    assert roles(columns) == roles(whole)
