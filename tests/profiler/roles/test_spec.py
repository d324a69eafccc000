"""The dataset spec: defaults, round trip, and what is refused in which words."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traitcast.profiler.roles.short_roles import parse_roles, short_roles, with_roles
from traitcast.profiler.roles.spec import (
    ANSWER_FORMS,
    KEYS,
    METRICS,
    PROVENANCE,
    DatasetSpec,
    load_spec,
    parse_spec,
)
from traitcast.warehouse.errors import InputError

TEXT_LABEL = {"task_type": "classification", "text_fields": ["text"], "label_field": "label"}

# YAML has no way to write most control characters or lone surrogates; names of columns have none.
names = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)


@st.composite
def specs(draw: st.DrawFn) -> DatasetSpec:
    a, b, c, d, e = draw(st.lists(names, min_size=5, max_size=5, unique=True))
    texts = tuple(draw(st.sampled_from([[a], [a, b]])))
    optional = texts[1:] if draw(st.booleans()) else ()
    base = DatasetSpec("classification", text_fields=texts, optional_fields=optional)
    kind = draw(
        st.sampled_from(["classification", "codes", "listed", "columns", "generation", "chat", "labels", "tags"])
    )
    if kind == "classification":
        labels = tuple(draw(st.lists(names, max_size=4, unique=True)))
        return replace(base, label_field=c, label_names=labels)
    if kind == "codes":
        return replace(base, label_field=c, label_names=(a, b), label_codes=("0", "1"))
    if kind in ("listed", "columns"):
        form = draw(st.sampled_from([None, *ANSWER_FORMS]))
        base = replace(base, task_type="multiple_choice", answer_field=c, answer_form=form)
        return replace(base, options_field=d) if kind == "listed" else replace(base, options_fields=(d, e))
    metric = draw(st.sampled_from(METRICS["generation"]))
    if kind == "labels":
        several = replace(base, task_type="generation", metric=metric, label_names=(a, b))
        return draw(
            st.sampled_from(
                [replace(several, labels_field=c, label_form="marks"), replace(several, labels_fields=(c, d))]
            )
        )
    if kind == "tags":
        return replace(base, task_type="generation", metric=metric, tags_field=c, label_form="each")
    if kind == "generation":
        return replace(base, task_type="generation", answer_field=c, metric=metric)
    return DatasetSpec("generation", messages_field=c, metric=metric)


@given(specs())
def test_a_spec_survives_being_written_and_read(tmp_path_factory: pytest.TempPathFactory, spec: DatasetSpec) -> None:
    path = tmp_path_factory.mktemp("spec") / "dataset.yaml"
    path.write_text(spec.to_yaml(), encoding="utf-8")
    assert replace(load_spec(path), stated_in=None) == spec


def test_every_field_is_a_key_or_derived() -> None:
    derived = {"label_codes", "provenance", "stated_in"}
    assert {field.name for field in fields(DatasetSpec)} - derived == set(KEYS) - set(PROVENANCE)


def test_all_shared_specs_read_as_they_are(shared: Path) -> None:
    specs = [load_spec(path) for path in sorted(shared.glob("datasets/*/dataset.yaml"))]
    assert len(specs) == 84
    assert [spec.name for spec in specs] == sorted(path.parent.name for path in shared.glob("datasets/*/dataset.yaml"))
    assert all({"citation", "origin", "rows"} <= set(spec.provenance) for spec in specs)
    assert all(spec.licence and spec.instruction and spec.language == "en" for spec in specs)


@pytest.mark.parametrize(
    ("document", "task_type", "metric"),
    [
        ({"text_fields": ["t"], "label_field": "l"}, "classification", "accuracy"),
        ({"text_fields": ["t"], "options_field": "o", "answer_field": "a"}, "multiple_choice", "accuracy"),
        ({"text_fields": "t", "answer_field": "a"}, "generation", "rouge_l"),
        ({"messages_field": "messages"}, "generation", "rouge_l"),
        ({"messages_field": "prompt", "answer_field": "completion"}, "generation", "rouge_l"),
        ({"text_fields": "t", "labels_field": "l"}, "generation", "exact_match"),
        ({"text_fields": "t", "tags_field": "l"}, "generation", "exact_match"),
        ({"answer_field": "a", "metric": "numeric_match"}, "generation", "numeric_match"),
    ],
)
def test_task_type_and_metric_follow_from_the_fields(document: dict[str, object], task_type: str, metric: str) -> None:
    spec = parse_spec(document)
    assert (spec.task_type, spec.metric) == (task_type, metric)


def test_columns_and_response_field() -> None:
    spec = parse_spec({"text_fields": ["q"], "options_fields": ["a", "b"], "answer_field": "right"})
    assert spec.columns == ("q", "a", "b", "right")
    assert spec.response_field == "right"


def test_label_names_may_map_values_to_names() -> None:
    spec = parse_spec(TEXT_LABEL | {"label_names": {1: "World", 2: "Sports"}})
    assert (spec.label_codes, spec.label_names) == (("1", "2"), ("World", "Sports"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lable_field": "x"}, r"unknown key 'lable_field'; did you mean 'label_field'\? Allowed keys: .*answer_field"),
        ({"task_type": "clasification"}, r"task_type is 'clasification'; did you mean 'classification'"),
        ({"metric": "f1"}, r"metric is 'f1'. Allowed for classification: accuracy"),
        ({"metric": "rouge_l"}, r"metric is 'rouge_l'. Allowed for classification: accuracy"),
        ({"label_field": None}, r"classification needs label_field"),
        ({"text_fields": []}, r"classification needs text_fields"),
        ({"answer_field": "a"}, r"classification does not use answer_field; use label_field"),
        ({"options_field": "a"}, r"classification does not use options_field. Its roles: text_fields"),
        ({"optional_fields": ["note"]}, r"optional_fields names 'note', which is not one of text_fields \(text\)"),
        ({"text_fields": ["text", "label"]}, r"'label' is given two roles"),
        ({"text_fields": ["text", "text"]}, r"text_fields lists 'text' twice"),
        ({"text_fields": {"a": 1}}, r"text_fields must be a list of column names"),
        ({"text_fields": [1]}, r"text_fields holds 1, which is not a column name.*put it in quotes"),
        ({"label_names": [False, True]}, r"label_names holds False.*put it in quotes"),
        ({"label_names": "yes"}, r"label_names must be a list of names or a mapping"),
        ({"label_names": ["a", "a"]}, r"label_names lists 'a' twice"),
        ({"instruction": 3}, r"instruction must be a string, not 3"),
    ],
)
def test_refused_for_classification(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_spec(TEXT_LABEL | change)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"name": "x"}, r"states no roles; add task_type \(classification, multiple_choice, generation, preference\)"),
        ({"text_fields": ["q"], "options_field": "o"}, r"multiple_choice needs answer_field"),
        ({"text_fields": ["q"], "options_fields": ["a"], "answer_field": "x"}, r"at least two options_fields"),
        ({"text_fields": ["q"], "options_field": "o", "label_field": "l"}, r"does not use options_field"),
        (
            {"task_type": "multiple_choice", "text_fields": ["q"], "options_field": "o", "label_field": "l"},
            r"does not use label_field; use answer_field",
        ),
        (
            {"text_fields": ["q"], "options_field": "o", "answer_field": "a", "answer_form": "letters"},
            r"answer_form is 'letters'; did you mean 'letter'\? Allowed: index, number, letter, text",
        ),
        ({"messages_field": "m", "labels_field": "a"}, r"needs one of .* it states messages_field and labels_field"),
        ({"task_type": "generation", "text_fields": ["q"]}, r"needs one of answer_field.* it states none of them"),
        ({"tags_field": "t"}, r"needs text_fields to go with tags_field"),
        ({"text_fields": ["t"], "labels_fields": ["a"]}, r"at least two labels_fields"),
        (
            {"text_fields": ["t"], "spans_field": "s", "label_form": "each"},
            r"label_form goes with labels_field or tags",
        ),
        (
            {"text_fields": ["t"], "tags_field": "s", "label_form": "marks"},
            r"label_form is 'marks'. Allowed for tags_field: spans, each",
        ),
        ({"text_fields": ["t"], "answer_field": "a", "label_names": ["x"]}, r"generation uses label_names with"),
    ],
)
def test_refused_for_other_tasks(document: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_spec(document)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"dataset.yaml: a spec is a mapping such as .*, but the file is empty"),
        (b"- a\n- b\n", r"but the file is a list"),
        (b"text_fields: [a\nlabel_field: b\n", r"dataset.yaml: not valid YAML: line \d+, column \d+"),
        (b"label_field: a\nlabel_field: b\n", r"line 2, column 1: key 'label_field' is given twice"),
        (b"label_names: !!python/object:os.system [a]\n", r"not valid YAML: .*could not determine a constructor"),
        (
            b"a: &a [x, x]\nb: &b [*a, *a]\n",
            r"line 2, column 8: the alias \*a is not allowed in a spec or recipe: write the value out",
        ),
        (b"- &a [*a]\n", r"the alias \*a is not allowed"),
        (b"name: \xff\n", r"not UTF-8 at byte 6"),
        (b"name: " + b"x" * (1 << 20), r"over 1 MB, too long for a spec"),
    ],
)
def test_refused_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "dataset.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_spec(path)


def bomb(levels: int = 7, width: int = 9) -> str:
    """A page of YAML that stands for width ** levels items."""
    lines = ["description: &a0 [x, x, x, x, x, x, x, x, x]"]
    keys = [*PROVENANCE, "text_fields"]
    lines += [f"{keys[i % len(keys)]}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels)]
    return "\n".join(lines)


def test_a_page_that_stands_for_gigabytes_gives_a_short_message(tmp_path: Path) -> None:
    path = tmp_path / "dataset.yaml"
    path.write_text(bomb())
    with pytest.raises(InputError, match="the alias") as caught:
        load_spec(path)
    assert len(str(caught.value)) < 300 + len(str(path))


LONG = "x" * 100_000
DEEP = [["xx"] * 9] * 9999


@pytest.mark.parametrize(
    "document",
    [
        {LONG: 1},
        {"name": LONG},
        {"name": DEEP},
        {"task_type": LONG},
        {"text_fields": {"a": DEEP}},
        {"text_fields": [DEEP]},
        {"text_fields": [LONG, LONG]},
        {"label_names": LONG},
        {"label_names": [DEEP]},
        {"text_fields": [LONG], "label_field": LONG},
        {"text_fields": [f"{LONG}{i}" for i in range(50)], "label_field": "a", "optional_fields": [LONG]},
        TEXT_LABEL | {"metric": LONG},
    ],
)
def test_no_value_makes_a_message_a_page_long(document: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        parse_spec(document)
    assert len(str(caught.value)) < 2500


@pytest.mark.parametrize("name", ["a/b", "x\x1b[31mred", "x\ny", "-rf", ".hidden", "da\u200bta", "x" * 101, "a b"])
def test_a_name_that_no_dataset_may_have(name: str) -> None:
    with pytest.raises(InputError, match=r"spec: name .* is not allowed: up to 100 letters") as caught:
        parse_spec(TEXT_LABEL | {"name": name})
    assert str(caught.value).isprintable()


def test_a_name_is_kept_in_one_unicode_form() -> None:
    assert parse_spec(TEXT_LABEL | {"name": "\u0434\u0430\u043d\u043d\u044b\u0435_\ufb01"}).name == "данные_fi"


def test_half_of_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dataset.yaml"
    for line in (r'family: "\ud800"', r'label_names: ["\udfff", b]', r'text_fields: ["\ud800"]'):
        path.write_text(f"task_type: classification\nlabel_field: label\n{line}\n")
        with pytest.raises(InputError, match=r"holds '\\ud[8f][0-9a-f]{2}', half of a surrogate pair"):
            load_spec(path)


def test_a_missing_spec_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"spec file not found: .*roles\.yaml"):
        load_spec(tmp_path / "roles.yaml")
    with pytest.raises(InputError, match="cannot read the spec file"):
        load_spec(tmp_path)


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["text=title,body label=stars"], {"text_fields": ["title", "body"], "label_field": "stars"}),
        (["text=a.b[0]", "answer=c"], {"text_fields": ["a.b[0]"], "answer_field": "c"}),
        (['text="my text" task_type=generation'], {"text_fields": ["my text"], "task_type": "generation"}),
        (["options=a,b labels=c"], {"options_fields": ["a", "b"], "labels_field": "c"}),
        ([], {}),
    ],
)
def test_roles_in_short(texts: list[str], found: dict[str, object]) -> None:
    assert parse_roles(texts) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lable=x", r"--roles: no role 'lable'; did you mean 'label'\? Roles: text, label, labels"),
        ("label", r"label names no column; write label=COLUMN"),
        ("label=", r"label names no column"),
        ("label=a,b", r"label names 2 columns \(a, b\), but takes one"),
        ("text='a", r"No closing quotation; write for example"),
    ],
)
def test_bad_roles_in_short(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_roles([text])


@given(specs())
def test_short_roles_say_the_columns_of_a_spec(spec: DatasetSpec) -> None:
    plain = all(set(name).isdisjoint(",='\"\\") and not any(c.isspace() for c in name) for name in spec.columns)
    if plain:
        stated = parse_roles([short_roles(spec)])
        assert stated.pop("answer_form", None) == spec.answer_form
        named = [name for value in stated.values() for name in ([value] if isinstance(value, str) else value)]
        assert sorted(named) == sorted(spec.columns)


def test_roles_stated_above_a_spec() -> None:
    spec = parse_spec(TEXT_LABEL | {"label_names": ["a", "b"], "language": "de", "optional_fields": ["text"]})
    assert with_roles(spec, {"text_fields": ["body"]}).roles() == {
        "task_type": "classification",
        "text_fields": ["body"],
        "label_field": "label",
        "label_names": ["a", "b"],
    }
    other = with_roles(spec, {"answer_field": "summary"})
    assert other.roles() == {
        "task_type": "generation",
        "text_fields": ["text"],
        "optional_fields": ["text"],
        "answer_field": "summary",
    }
    assert (other.metric, other.language) == ("rouge_l", "de")
    choice = parse_spec({"text_fields": ["q"], "options_field": "o", "answer_field": "a", "answer_form": "text"})
    assert with_roles(choice, {"answer_field": "b"}).options_field == "o"
    assert with_roles(choice, {"options_fields": ["x", "y"]}).roles()["options_fields"] == ["x", "y"]
    assert with_roles(spec, {"messages_field": "chat"}).roles() == {"task_type": "generation", "messages_field": "chat"}
    with pytest.raises(InputError, match="--roles: 'text' is given two roles"):
        with_roles(spec, {"label_field": "text"})
