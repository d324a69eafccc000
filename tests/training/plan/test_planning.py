"""Test rows whose answers training does not have, and datasets that cannot be planned."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traitcast.profiler.findings import clean
from traitcast.profiler.findings.search import find
from traitcast.profiler.reading.locate import locate
from traitcast.profiler.reading.reader import read, read_beside
from traitcast.profiler.request import Request
from traitcast.training.plan.planning import PlanSettings, plan, rows_of, task_of
from traitcast.warehouse.errors import InputError

SETTINGS = PlanSettings(base="some/tiny", seeds=(0, 1), train_rows=8, test_rows=4, slots=3, block_tokens=600)


def split_dataset(folder: Path, kind: str = "classification", **splits: list[Any]) -> Path:
    """A dataset with these labels by split; a value of `...` leaves the column out."""
    for split, labels in splits.items():
        rows = [{"text": f"{split} {i} text", **({} if m is ... else {"label": m})} for i, m in enumerate(labels)]
        if kind == "multiple_choice":
            rows = [row | {"choices": [f"one {i}", f"two {i}", "three"]} for i, row in enumerate(rows)]
        folder.mkdir(exist_ok=True)
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = "options_field: choices\nanswer_field: label\n" if kind == "multiple_choice" else "label_field: label\n"
    (folder / "dataset.yaml").write_text(f"task_type: {kind}\ntext_fields: [text]\n{names}")
    return folder


@pytest.mark.parametrize(
    ("train", "test", "rows", "said"),
    [
        ([0, 1], [-1, -1], 0, "no value of 'label' is a class of training (0, 1): '-1' 2 of 2 rows"),
        (["0", "1"], ["0", "-1"], 1, "1 of 2 rows left out: 'label' is no class of training there: '-1' 1"),
        ([0, 1], ["?", 1, "?"], 1, "2 of 3 rows left out: 'label' is no class of training there: '?' 2"),
        ([0, 1], ["?", "hidden"], 0, "no value of 'label' is a class of training (0, 1): '?' 1, 'hidden' 1 of 2 rows"),
        ([0, 1], ["", 1], 1, "1 of 2 rows dropped: no value in 'label'"),
        ([0, 1], [None, None], 0, "the label column 'label' is empty in all 2 rows"),
        ([0, 1], [..., ...], 0, "split 'test' has no column 'label'"),
        ([0, 1], [0.5, 1], 1, "1 of 2 rows left out: 'label' is no class of training there: '0.5' 1"),
        ([0, 1], [True, 1, "1"], 2, "1 of 3 rows left out: 'label' is no class of training there: 'true' 1"),
        (["Neg", "Pos"], ["neg", "Pos"], 1, "only in case, spaces or how they are written: 'neg' and 'Neg'"),
        (["0.0", "1"], ["0", "1"], 1, "they differ only in case, spaces or how they are written: '0' and '0.0'"),
    ],
)
def test_a_test_label_that_training_lacks_is_no_class(
    tmp_path: Path, train: list[Any], test: list[Any], rows: int, said: str
) -> None:
    told: list[str] = []
    folder = split_dataset(tmp_path / "d", train=train * 6, test=test)
    other = split_dataset(tmp_path / "other", train=train * 6, test=train)
    pack = plan(tmp_path / "m", [str(folder), str(other)], SETTINGS, on_warning=lambda _, warning: told.append(warning))
    entry = pack.recipe.datasets["d"]
    assert (entry.test_rows, entry.test_split) == (rows, "test" if rows else "")
    assert entry.labels == pack.recipe.datasets["other"].labels
    assert said in "\n".join(told)


def test_a_target_that_is_no_source_is_scored_on_its_training_rows(tmp_path: Path) -> None:
    source = str(split_dataset(tmp_path / "source", train=[0, 1] * 6))
    target = str(split_dataset(tmp_path / "target", train=["no", "yes"] * 6))
    m = tmp_path / "m"
    for seeds in ((0, 1), (2,)):
        pack = plan(m, [source, target], replace(SETTINGS, seeds=seeds), sources=["source"], targets=["target"])
        entry = pack.recipe.datasets["target"]
        assert (entry.train_rows, entry.test_rows, entry.test_split) == (0, 4, "train")
    with pytest.raises(InputError, match="'target' is in .* with other rows; plan into a new folder"):
        plan(m, [source, target], SETTINGS, sources=["target"], targets=["target"])
    with pytest.raises(InputError, match="no test or validation rows.* is not among the --sources"):
        plan(tmp_path / "new", [source, target], SETTINGS, sources=["source", "target"], targets=["target"])


@given(
    labels=st.lists(
        st.sampled_from([0, 1, "1", -1, "?", None, "", "x", True, 1.0, 2.5, ["1"]]), min_size=1, max_size=9
    ),
    names=st.booleans(),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_test_row_is_kept_or_counted(tmp_path: Path, labels: list[Any], names: bool) -> None:
    """Whatever a test split has for labels: rows of training's classes stay in order, all others are counted."""
    folder = split_dataset(tmp_path / "d", train=[0, 1] * 3, test=labels)
    if names:
        with (folder / "dataset.yaml").open("a") as file:
            file.write("label_names: [none, some]\n")
    # With names a boolean is a position, and without them a class of another type.
    right = (m for m in labels if (names if m is True else m in (0, 1, "1")))
    expected = [str(int(m)) for m in right]
    try:
        found = read_beside(read(folder), "test")
    except InputError:
        assert not expected
        return
    classes = {"none": "0", "some": "1"} if names else {"0": "0", "1": "1"}
    assert [classes[label] for label in found.table["label"].to_pylist()] == expected
    gone = [
        int(n) for warning in found.warnings for n in re.findall(r"(\d+) of \d+ rows (?:left out|dropped)", warning)
    ]
    assert sum(gone) == len(labels) - len(expected)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (
            ["neg", "pos"],
            [0, 1],
            r"no value of 'label' is a class of training \(neg, pos\): '0' 1, '1' 1 of 2 rows\. Write",
        ),
        (["Neg", "Pos"], ["neg", "pos"], "in case, spaces or how they are written: 'neg' and 'Neg', 'pos' and"),
        (["0", "1"], ["0.0", "1.0"], "or how they are written: '0.0' and '0', '1.0' and '1'"),
        (["Neg", "Pos"], ["neg"], "only in case, spaces or how they are written: 'neg' and 'Neg'"),
    ],
)
def test_classes_of_another_kind_are_refused(tmp_path: Path, train: list[Any], test: list[Any], message: str) -> None:
    folder = split_dataset(tmp_path / "d", train=train * 6, test=test)
    with pytest.raises(InputError, match=message):
        plan(tmp_path / "m", [str(folder)], SETTINGS)
    with pytest.raises(InputError, match=message):
        read(folder, split="test")


@pytest.mark.parametrize(
    ("test", "rows"), [([-1, -1], 0), (["?", "?"], 0), ([0, "?", 2], 2), ([7, 1], 1), (["", ""], 0), ([1, 2], 2)]
)
def test_answers_of_multiple_choice_that_are_held_back(tmp_path: Path, test: list[Any], rows: int) -> None:
    folder = split_dataset(tmp_path / "d", "multiple_choice", train=[0, 1, 2] * 4, test=test)
    other = split_dataset(tmp_path / "other", train=[0, 1] * 6, test=[0])
    entry = plan(tmp_path / "m", [str(folder), str(other)], SETTINGS).recipe.datasets["d"]
    assert (entry.test_rows, entry.test_split) == (rows, "test" if rows else "")


def judged_csv(folder: Path, *labels: str) -> Path:
    """Responses that were judged one by one, as pandas writes them."""
    folder.mkdir()
    rows = [f"how is film {i} ?,film {i} is {label.strip()},{label}\n" for i, label in enumerate(labels)]
    (folder / "train.csv").write_text("prompt,completion,label\n" + "".join(rows))
    roles = "task_type: preference\ntext_fields: [prompt]\nanswer_field: completion\nlabel_field: label\n"
    (folder / "dataset.yaml").write_text(roles)
    return folder


@pytest.mark.parametrize(
    ("good", "bad"), [("True", "False"), ("TRUE", " FALSE "), ("1", "0"), ("1.0", "0.0"), ("1", "-1"), ("yes", "no")]
)
def test_responses_judged_to_be_bad_are_not_learnt(tmp_path: Path, good: str, bad: str) -> None:
    examples = read(judged_csv(tmp_path / "d", good, bad, good, bad))
    assert [row.response for row in rows_of(examples, task_of(examples))] == [f"film {i} is {good}" for i in (0, 2)]


def test_a_judgement_that_says_neither_yes_nor_no_is_refused(tmp_path: Path) -> None:
    folder = judged_csv(tmp_path / "d", "good", "bad", "good")
    with pytest.raises(InputError, match="'label' holds 'good'; expected 0 or 1, or false or true"):
        plan(tmp_path / "m", [str(folder)], SETTINGS)


def test_a_dataset_that_cannot_be_planned_leaves_the_others(datasets: dict[str, str], tmp_path: Path) -> None:
    bad = split_dataset(tmp_path / "bad", train=["neg", "pos"] * 6, test=[0, 1])
    failed: dict[str, str] = {}
    pack = plan(
        tmp_path / "m",
        [str(bad), datasets["mood"], "missing.jsonl"],
        SETTINGS,
        on_failure=lambda source, error: failed.update({source: str(error)}),
    )
    assert pack.recipe.targets == ("mood",)
    assert list(failed) == [str(bad), "missing.jsonl"]
    assert "Write answers alike in all splits" in failed[str(bad)]
    with pytest.raises(InputError, match="no dataset could be planned"):
        plan(tmp_path / "n", [str(bad)], SETTINGS, on_failure=lambda *_: None)
    assert not (tmp_path / "n").exists()


def test_profile_check_and_filter_leave_out_the_same_rows(tmp_path: Path) -> None:
    """Row numbers of findings count the rows kept, so a copy without them must leave the same ones out."""
    folder = split_dataset(tmp_path / "d", train=["0", "1"] * 6, test=["0", "-1", "0", "1", "-1", "0"])
    lines = (folder / "test.jsonl").read_text().splitlines()
    lines[5] = lines[2]
    (folder / "test.jsonl").write_text("\n".join(lines) + "\n")
    for split in ("test", "all"):
        examples = read(folder, split=split)
        assert set(examples.table["label"].to_pylist()) == {"0", "1"}
        (found,) = (f for f in find(examples) if f.check == "exact_duplicate")
        clean.write(locate(Request(folder)), examples, [found], ["exact_duplicate"], tmp_path / split)
        rest = (tmp_path / split / f"{split}.jsonl").read_text().splitlines()
        assert rest[-5:] == lines[:5]
