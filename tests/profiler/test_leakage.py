from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from profiler import leakage
from profiler.profile import profile
from profiler.reading import read


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


def test_splits_that_cannot_be_read_or_are_far_larger_are_named_and_left_out(tmp_path: Path) -> None:
    _write(tmp_path, train=["A cat.", "A dog!"], validation=["a cat"] * 5)
    (tmp_path / "test.jsonl").write_text('{"text": "a cat", "label": null}\n', encoding="utf-8")
    found = leakage.other_splits(read(tmp_path))
    assert found.rows == {"test": None, "validation": 5}
    assert len(found.texts) == 5
    huge = replace(read(tmp_path), splits={"train": 2, "validation": 10**9})
    assert leakage.other_splits(huge).rows == {"validation": None}


def test_a_single_split_has_no_leak(tmp_path: Path) -> None:
    _write(tmp_path, train=["A cat.", "A dog!"])
    examples = read(tmp_path)
    assert leakage.leak_share(leakage.normalised(examples.table), leakage.other_splits(examples)).value is None
    _write(tmp_path, test=["a cat", "b"])
    everything = read(tmp_path, split="all")
    assert leakage.other_splits(everything).rows == {}
