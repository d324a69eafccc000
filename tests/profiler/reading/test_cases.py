"""Small inputs in the shape of public reports, which the shared folder holds: each gives what its note says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from traitcast.profiler.reading.reader import read, read_beside
from traitcast.warehouse.errors import InputError, NoAnswersError

# name -> (rows, parts of the spec, part of a warning or note)
READ: Mapping[str, tuple[int, dict[str, Any], str]] = {
    "chinese_chat": (200, {"messages_field": "messages"}, ""),
    "browser_copy": (60, {"label_field": "label"}, "train (1).jsonl is a copy of train.jsonl"),
    "csv_header_comma": (60, {"label_field": "Label"}, "columns are separated by ';'"),
    "csv_quote_swallow": (60, {"label_field": "label"}, "quotes are read as plain characters"),
    "float_label": (60, {"label_field": "label"}, "'0' and '0.0', '1' and '1.0'"),
    "hfcsv_answers": (60, {"answer_field": "answers[0]"}, ""),
    "hfcsv_labels": (60, {"labels_field": "labels"}, ""),
    "numpy_repr_labels": (60, {"labels_field": "labels"}, ""),
    "json_columns_holes": (60, {"label_field": "label"}, ""),
    "jsonl_merged": (60, {"messages_field": "conversations"}, ""),
    "save_to_disk_cache": (60, {"label_field": "label"}, "not read, since they are caches"),
    "spark_binary": (60, {"label_field": "label"}, ""),
    "tool_answer": (60, {"messages_field": "messages"}, "60 of 60 rows have a tool call in their response"),
    "torchtext612b": (6, {"label_field": "label"}, ""),
    "trl_pref_chat": (60, {"chosen_field": "chosen", "messages_field": "prompt"}, ""),
    "tsv_quote_late": (1500, {"label_field": "label"}, ""),
    "tsv_quotes": (60, {"label_field": "label"}, ""),
}
REFUSED = {
    "corpus_text": "--roles answer=text",
    "csv_noheader": "line 1 looks like data, not like a header",
    "json_index": r"""orient="index"\. Take them out: jq -c '\.\[\]'""",
    "json_keyed": r"Take them out: jq -c '\.\[\]'",
    "mc_number_options": "could be read as answer_form: index or text",
    "openai_batch": "--roles messages=body.messages",
    "pretty_concat": r"several JSON documents one after the other\. Write each on a line: jq -c \.",
    "reshard": "is there in 2 sets of shards",
}
# What a matrix would test on: why there are no rows, or how many are left and why.
HELD_BACK = {
    "minus_one": "They are held back",
    "glue_parquet": "the label column 'label' is empty in all",
    "test_no_label": "split 'test' has no column 'label'",
}
LEFT_OUT = {"test_one_minus": "'-1' ", "train_case_test": "'neg' and 'Neg'"}


@pytest.mark.parametrize("name", READ)
def test_read(shared: Path, name: str) -> None:
    rows, roles, said = READ[name]
    examples = read(shared / "cases" / name)
    assert examples.rows == rows
    assert {key: getattr(examples.spec, key) for key in roles} == roles
    assert any(said in text for text in (*examples.warnings, *examples.notes))
    classes = {label for label in examples.table["label"].to_pylist() if label}
    assert not {"joyanger", "fearsad"} & classes


@pytest.mark.parametrize("name", REFUSED)
def test_refused(shared: Path, name: str) -> None:
    with pytest.raises(InputError, match=REFUSED[name]):
        read(shared / "cases" / name)


@pytest.mark.parametrize("name", HELD_BACK)
def test_held_back_answers(shared: Path, name: str) -> None:
    with pytest.raises(NoAnswersError, match=HELD_BACK[name]):
        read_beside(read(shared / "cases" / name), "test")


@pytest.mark.parametrize("name", LEFT_OUT)
def test_answers_that_training_has_not(shared: Path, name: str) -> None:
    training = read(shared / "cases" / name)
    found = read_beside(training, "test")
    assert set(found.table["label"].to_pylist()) <= set(training.table["label"].to_pylist())
    assert any("left out: 'label' is no class" in text and LEFT_OUT[name] in text for text in found.warnings)


def test_words_of_prompts(shared: Path) -> None:
    def words(name: str) -> float:
        texts = [" ".join(fields) for fields in read(shared / "cases" / name).table["fields"].to_pylist()]
        return sum(len(text.split()) for text in texts) / len(texts)

    one, other = (read(shared / "cases" / f"same_tools_{form}") for form in ("openai", "sharegpt"))
    assert one.table == other.table
    assert words("same_tools_openai") == pytest.approx(26, abs=0.5)
    assert words("tsv_quotes") == pytest.approx(7.85, abs=0.005)
