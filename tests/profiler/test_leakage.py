from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from traitcast.profiler import leakage
from traitcast.profiler.profile import profile
from traitcast.profiler.reading.reader import read
from traitcast.profiler.text.distinct import HashCounts


def _write(folder: Path, **splits: list[str]) -> None:
    for split, prompts in splits.items():
        rows = (json.dumps({"text": text, "label": ("a", "b")[i % 2]}) for i, text in enumerate(prompts))
        (folder / f"{split}.jsonl").write_text("\n".join(rows), encoding="utf-8")


def test_prompts_of_other_splits_are_told_by_their_words(tmp_path: Path) -> None:
    _write(tmp_path, train=["A cat.", "A dog!", "one"], test=["a  CAT", "a bird", "?"], validation=["One", "two"])
    found = profile(read(tmp_path), processes=1)
    leak = next(t for t in found.traits if t.trait == "dataset_split_leak_share")
    assert (leak.value, leak.n) == (pytest.approx(2 / 4), 4)
    assert found.details["other_splits"] == {"test": 3, "validation": 2}


def test_a_split_without_labels_is_compared_too(tmp_path: Path) -> None:
    _write(tmp_path, train=["A cat.", "A dog!"], validation=["a cat"] * 5)
    (tmp_path / "test.jsonl").write_text('{"text": "a cat", "label": null}\n{"text": "a bird"}\n', encoding="utf-8")
    found = leakage.other_splits(read(tmp_path))
    assert found.rows == {"test": 2, "validation": 5}
    own = HashCounts.of(leakage.scanned(read(tmp_path).table).texts)
    assert found.leaks(own)[1] == {"test": 0.5, "validation": 1.0}


def test_splits_that_cannot_be_compared_are_named_with_the_reason(tmp_path: Path) -> None:
    _write(tmp_path, train=["A cat.", "A dog!"], validation=["a cat"] * 5)
    (tmp_path / "test.jsonl").write_text('{"review": "a cat"}\n', encoding="utf-8")
    examples = read(tmp_path)
    examples = replace(examples, splits=dict(examples.splits) | {"validation": 10**9})
    found = profile(examples, processes=1)
    assert found.details["other_splits"] == {"test": None, "validation": None}
    assert next(t.value for t in found.traits if t.trait == "dataset_split_leak_share") is None
    told = [w for w in found.details["warnings"] if "is not known" in w]
    assert len(told) == 2
    assert any("split 'test'" in w and "names the field 'text', but there is no such column" in w for w in told)
    assert any("split 'validation' is not known: it has more than 20,000 rows" in w for w in told)


def test_a_split_is_given_up_when_it_turns_out_to_be_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leakage, "_FEW_ROWS", 1)
    _write(tmp_path, train=["A cat.", "A dog!"], test=["a cat"] * 41, validation=["a cat"] * 40)
    found = leakage.other_splits(read(tmp_path))
    assert found.rows == {"test": None, "validation": 40}
    assert found.reasons == {"test": "it has more than 40 rows"}


def test_options_and_turns_are_prompts_without_answers(tmp_path: Path) -> None:
    choice = {"question": "Which?", "options": ["a cat", "a dog"], "answer": 0}
    chat = {"messages": [{"role": "user", "content": "Hi there"}, {"role": "assistant", "content": "Hello"}]}
    for name, row, hidden in (
        ("choice", choice, {**choice, "answer": -1}),
        ("chat", chat, {"messages": chat["messages"][:1]}),
    ):
        folder = tmp_path / name
        folder.mkdir()
        other = json.loads(json.dumps(hidden).replace("cat", "cow").replace("Hi ", "Bye "))
        (folder / "train.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
        (folder / "test.jsonl").write_text(json.dumps(hidden) + "\n" + json.dumps(other) + "\n", encoding="utf-8")
        examples = read(folder)
        own = HashCounts.of(leakage.scanned(examples.table).texts)
        assert leakage.other_splits(examples).leaks(own)[1] == {"test": 0.5}, name


def test_half_a_surrogate_pair_in_another_split_is_no_obstacle(tmp_path: Path) -> None:
    _write(tmp_path, train=["A cat.", "A dog!"])
    (tmp_path / "test.jsonl").write_text('{"text": "a cat \\ud83d", "label": "a"}\n', encoding="utf-8")
    assert leakage.other_splits(read(tmp_path)).rows == {"test": 1}


def test_a_single_split_has_no_leak(tmp_path: Path) -> None:
    _write(tmp_path, train=["A cat.", "A dog!"])
    examples = read(tmp_path)
    found, shares = leakage.other_splits(examples).leaks(HashCounts.of(leakage.scanned(examples.table).texts))
    assert (found.value, shares) == (None, {})
    _write(tmp_path, test=["a cat", "b"])
    everything = read(tmp_path, split="all")
    assert leakage.other_splits(everything).rows == {}
