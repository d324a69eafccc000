"""The dataset spec: defaults, round trip, and what is refused in which words."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.spec import ANSWER_FORMS, KEYS, METRICS, PROVENANCE, DatasetSpec, load_spec, parse_spec
from warehouse.errors import InputError

SHARED = Path(__file__).parents[3] / "shared" / "datasets"

TEXT_LABEL = {"task_type": "classification", "text_fields": ["text"], "label_field": "label"}

# YAML has no way to write most control characters or lone surrogates; names of columns have none.
names = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)


@st.composite
def specs(draw: st.DrawFn) -> DatasetSpec:
    a, b, c, d, e = draw(st.lists(names, min_size=5, max_size=5, unique=True))
    texts = tuple(draw(st.sampled_from([[a], [a, b]])))
    optional = texts[1:] if draw(st.booleans()) else ()
    base = DatasetSpec("classification", text_fields=texts, optional_fields=optional)
    kind = draw(st.sampled_from(["classification", "codes", "listed", "columns", "generation", "chat"]))
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


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared datasets are not beside this checkout")
def test_all_shared_specs_read_as_they_are() -> None:
    specs = [load_spec(path) for path in sorted(SHARED.glob("*/dataset.yaml"))]
    assert len(specs) == 84
    assert [spec.name for spec in specs] == sorted(path.parent.name for path in SHARED.glob("*/dataset.yaml"))
    assert all({"citation", "origin", "rows"} <= set(spec.provenance) for spec in specs)
    assert all(spec.licence and spec.instruction and spec.language == "en" for spec in specs)


@pytest.mark.parametrize(
    ("document", "task_type", "metric"),
    [
        ({"text_fields": ["t"], "label_field": "l"}, "classification", "accuracy"),
        ({"text_fields": ["t"], "options_field": "o", "answer_field": "a"}, "multiple_choice", "accuracy"),
        ({"text_fields": "t", "answer_field": "a"}, "generation", "rouge_l"),
        ({"messages_field": "messages"}, "generation", "rouge_l"),
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
        ({"name": "x"}, r"states no roles; add task_type \(classification, multiple_choice, generation\)"),
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
        ({"messages_field": "m", "answer_field": "a"}, r"either answer_field.* or messages_field"),
        ({"messages_field": "m", "text_fields": ["a"]}, r"no text_fields beside messages_field"),
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
        (b"name: \xff\n", r"not UTF-8 at byte 6"),
        (b"name: " + b"x" * (1 << 20), r"over 1 MB: that is no dataset spec"),
    ],
)
def test_refused_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "dataset.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_spec(path)


def test_a_missing_spec_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"spec file not found: .*roles\.yaml"):
        load_spec(tmp_path / "roles.yaml")
    with pytest.raises(InputError, match="cannot read the spec file"):
        load_spec(tmp_path)
