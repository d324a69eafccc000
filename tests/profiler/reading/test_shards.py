"""Files that hold the same rows twice, and files that are missing: read once, said, or refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traitcast.profiler.reading.examples import Examples
from traitcast.profiler.reading.reader import read
from traitcast.profiler.reading.shards import once
from traitcast.warehouse.errors import InputError


def lines(first: int, number: int = 10) -> bytes:
    rows = [{"text": f"row {i} of the shop", "label": "ab"[i % 2]} for i in range(first, first + number)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def place(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def told(examples: Examples) -> str:
    return "\n".join((*examples.notes, *examples.warnings))


COPIES = (
    "train (1).jsonl",
    "train(2).jsonl",
    "train - Copy.jsonl",
    "train copy.jsonl",
    "train copy 2.jsonl",
    "train_copy.jsonl",
    "Copy of train.jsonl",
    "train - Kopie.jsonl",
    "train.jsonl.gz",
)


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_read_once(tmp_path: Path, name: str) -> None:
    content = gzip.compress(lines(0)) if name.endswith(".gz") else lines(0)
    examples = read(place(tmp_path, {"train.jsonl": lines(0), name: content}))
    assert examples.rows == 10
    assert "is a copy of" in told(examples)
    assert "its rows are read once" in told(examples)


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_that_differs_is_refused(tmp_path: Path, name: str) -> None:
    content = gzip.compress(lines(5)) if name.endswith(".gz") else lines(5)
    place(tmp_path, {"train.jsonl": lines(0), name: content})
    with pytest.raises(InputError, match=r"looks by its name like a copy of .*, but its content differs"):
        read(tmp_path)


def test_shards_of_one_content_are_read_once(tmp_path: Path) -> None:
    examples = read(place(tmp_path, {"train/0.jsonl": lines(0), "train/1.jsonl": lines(0), "train/2.jsonl": lines(7)}))
    assert examples.rows == 20
    assert "is a copy of" in told(examples)


def test_a_lone_copy_is_data(tmp_path: Path) -> None:
    examples = read(place(tmp_path, {"train (1).jsonl": lines(0), "test.jsonl": lines(90)}))
    assert (examples.rows, set(examples.splits)) == (10, {"train", "test"})


SHARDS = ("{split}-{at:05d}-of-{of:05d}.jsonl", "{split}.{at}-of-{of}.jsonl", "data/{split}_{at}_of_{of}.jsonl")


@given(form=st.sampled_from(SHARDS), of=st.integers(2, 5), first=st.integers(0, 1), data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
def test_gaps_between_shards_are_warned_of(
    tmp_path_factory: pytest.TempPathFactory, form: str, of: int, first: int, data: Any
) -> None:
    root = tmp_path_factory.mktemp("shards")
    every = range(first, first + of)
    there = sorted(data.draw(st.sets(st.sampled_from(every), min_size=1)) | {first})
    place(root, {form.format(split="train", at=at, of=of): lines(100 * at) for at in there})
    examples = read(root)
    assert examples.rows == 10 * len(there)
    assert ("is not whole" in told(examples)) == (len(there) < of)


@pytest.mark.parametrize("form", SHARDS)
def test_a_whole_file_next_to_its_shards_is_refused(tmp_path: Path, form: str) -> None:
    files = {form.format(split="train", at=at, of=2): lines(10 * at) for at in (0, 1)}
    whole = "data/train.jsonl" if form.startswith("data/") else "train.jsonl"
    place(tmp_path, files | {whole: lines(0, 20)})
    with pytest.raises(InputError, match=r"in 2 sets of shards \((data/)?train\.jsonl, "):
        read(tmp_path)


@pytest.mark.parametrize("form", SHARDS)
def test_two_sets_of_shards_are_refused(tmp_path: Path, form: str) -> None:
    files = {form.format(split="train", at=at, of=2): lines(10 * at) for at in (0, 1)}
    files[form.format(split="train", at=0, of=1)] = lines(0, 20)
    place(tmp_path, files)
    with pytest.raises(InputError, match="split 'train' is there in 2 sets of shards .* which may hold the same rows"):
        read(tmp_path)


def test_state_json_says_which_files_are_data(tmp_path: Path) -> None:
    state = json.dumps({"_data_files": [{"filename": "data-0.jsonl"}], "_fingerprint": "x"}).encode()
    files = {"train/state.json": state, "train/data-0.jsonl": lines(0), "train/data-1.jsonl": lines(50)}
    examples = read(place(tmp_path / "a", files))
    assert examples.rows == 10
    assert "not read, since they are caches: train/data-1.jsonl" in told(examples)
    place(tmp_path / "b", {"train/state.json": state, "train/other.jsonl": lines(0)})
    with pytest.raises(InputError, match=r"state\.json lists data-0\.jsonl, which is not there"):
        read(tmp_path / "b")


def test_a_state_json_of_something_else_is_ignored(tmp_path: Path) -> None:
    assert read(place(tmp_path, {"state.json": b'{"step": 3}', "train.jsonl": lines(0)})).rows == 10


@pytest.mark.parametrize("folder", ["partial-train", "train", "Training", "train_data"])
def test_folders_that_are_train(tmp_path: Path, folder: str) -> None:
    examples = read(place(tmp_path, {f"{folder}/0000.jsonl": lines(0), "test/0000.jsonl": lines(50)}))
    assert (examples.split, examples.rows) == ("train", 10)


@pytest.mark.parametrize(
    "names",
    [
        ("news (2019).jsonl", "news (2020).jsonl"),
        ("train (1).jsonl", "train (2).jsonl"),
        ("train-top1-of-5.jsonl", "train-top1-of-10.jsonl"),
    ],
)
def test_numbered_files_are_no_copies_and_no_shards(tmp_path: Path, names: tuple[str, str]) -> None:
    for at, name in enumerate(names):
        (tmp_path / name).write_bytes(lines(at))
    kept, notes, warnings = once(tmp_path, "train", [tmp_path / name for name in names])
    assert (len(kept), notes, warnings) == (2, [], [])
