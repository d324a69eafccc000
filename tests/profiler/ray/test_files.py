"""Files read by the nodes of a cluster are the files read here: rows, fingerprint, warnings, profiles and messages.

Here with as much of Ray as the engine uses; `ray_cluster.py` has a real one, whose nodes die.
"""

from __future__ import annotations

import gzip
import json
import pickle
import random
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from traitcast.profiler import leakage
from traitcast.profiler.passes.table import LocalRows
from traitcast.profiler.profile import profile
from traitcast.profiler.ray import blocks as cluster_rows
from traitcast.profiler.ray import files as cluster_reading
from traitcast.profiler.ray.engine import RayEngine
from traitcast.profiler.reading.examples import Examples
from traitcast.profiler.reading.files import FilePart
from traitcast.profiler.reading.reader import read
from traitcast.profiler.reading.source import Row
from traitcast.profiler.roles.spec import DatasetSpec
from traitcast.warehouse import ray_cluster
from traitcast.warehouse.errors import InputError, NotSharedError, TraitcastError


class RayError(Exception):
    pass


class RayTaskError(RayError):
    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class WorkerCrashedError(RayError):
    pass


class OutOfDiskError(RayError):
    pass


class exceptions:  # noqa: N801 - a module of Ray
    RayError, RayTaskError = RayError, RayTaskError
    WorkerCrashedError = NodeDiedError = LocalRayletDiedError = WorkerCrashedError


@dataclass(eq=False)
class Ref:
    """A result, pickled, or the error in its place."""

    content: bytes
    failed: bool = False


@dataclass
class Remote:
    here: RayHere
    work: Callable[..., Any]
    returns: Any

    def options(self, *, num_returns: int) -> Remote:
        return Remote(self.here, self.work, num_returns)

    def remote(self, *arguments: Any) -> Any:
        self.here.tasks.append(self.work.__name__)
        found = [self.here.get(a) if isinstance(a, Ref) else pickle.loads(pickle.dumps(a)) for a in arguments]
        if self.returns == "streaming":
            return self._streamed(self.work(*found))
        try:
            made = self.work(*found)
        except Exception as error:
            return Ref(pickle.dumps(error), failed=True)
        return Ref(pickle.dumps(made)) if self.returns == 1 else [Ref(pickle.dumps(part)) for part in made]

    def _streamed(self, made: Iterator[Any]) -> Iterator[Ref]:
        try:
            for item in made:
                yield Ref(pickle.dumps(item))
        except Exception as error:
            yield Ref(pickle.dumps(error), failed=True)


@dataclass
class RayHere:
    """Every task runs at once, in this process, and all that travels is pickled. tasks: the names of those that ran.
    cancelled: what was, and lost: what `get` fails with."""

    tasks: list[str] = field(default_factory=list)
    cancelled: list[Any] = field(default_factory=list)
    lost: RayError | None = None
    exceptions: type = exceptions

    def remote(self, *, max_retries: int, num_returns: Any = 1) -> Callable[[Callable[..., Any]], Remote]:
        assert max_retries > 0
        return lambda work: Remote(self, work, num_returns)

    def get(self, refs: Any) -> Any:
        if isinstance(refs, list):
            return [self.get(ref) for ref in refs]
        if self.lost is not None:
            raise self.lost
        found = pickle.loads(refs.content)
        if refs.failed:
            raise RayTaskError(found)
        return found

    def wait(self, refs: list[Ref], *, num_returns: int, fetch_local: bool) -> tuple[list[Ref], list[Ref]]:
        assert not fetch_local
        return refs[:num_returns], refs[num_returns:]

    def cancel(self, task: Any) -> None:
        self.cancelled.append(task)

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}


@pytest.fixture
def here() -> RayHere:
    return RayHere()


@pytest.fixture
def engine(here: RayHere, monkeypatch: pytest.MonkeyPatch) -> RayEngine:
    """An engine for which every file is a task, and some rows are many blocks and pieces."""
    monkeypatch.setattr(cluster_reading, "_TASK_BYTES", 1)
    monkeypatch.setattr(cluster_reading, "TASK_ROWS", 1)
    monkeypatch.setattr(cluster_rows, "_WAYS", 2)
    monkeypatch.setattr("traitcast.profiler.reading.examples._CHUNK", 16)
    monkeypatch.setattr("traitcast.profiler.passes.sample.BLOCK_ROWS", 8)
    return RayEngine(lambda: here)


WORDS = ("the film", "was not", "as good as", "he had said", "to Paris", "caf\u00c3\u00a9", "in 12 %", "?", "...")


def reviews(rows: int, seed: int = 0) -> list[Row]:
    """Rows with labels, of which some are dropped, damaged, cut or blank."""
    draw = random.Random(seed)
    made: list[Row] = []
    for number in range(rows):
        text = " ".join(draw.choices(WORDS, k=draw.randint(1, 12))).ljust(120, "x")[:120]
        label = draw.choice(("yes", "no", "no ", None))
        made.append({"text": "" if number % 17 == 0 else text + "\ud800" * (number % 29 == 5), "label": label})
    return made


def lines(path: Path, rows: list[Row]) -> None:
    """Rows as JSON Lines, packed where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(row) + "\n" for row in rows)
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.write(content)


def shards(folder: Path, name: str, rows: list[Row], size: int, suffix: str = ".jsonl") -> Path:
    """Rows in files of so many."""
    for number, first in enumerate(range(0, len(rows), size)):
        lines(folder / f"{name}-{number:05}{suffix}", rows[first : first + size])
    return folder


def one_file(folder: Path) -> Path:
    lines(folder / "mine.jsonl", reviews(90))
    return folder / "mine.jsonl"


def many_files(folder: Path) -> Path:
    shards(folder, "train", reviews(100), 23)
    return shards(folder, "test", [{"text": row["text"]} for row in reviews(60, 1) + reviews(5)], 30)


def packed_files(folder: Path) -> Path:
    return shards(folder, "train", reviews(70), 30, ".jsonl.gz")


def parquet_files(folder: Path) -> Path:
    for number in range(3):
        rows = [row | {"text": row["text"].replace("\ud800", "")} for row in reviews(40, number)]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"train-{number}.parquet", row_group_size=16)
    return folder


def chats(folder: Path) -> Path:
    made = [
        {
            "messages": [
                {"role": "user", "content": f"What is {i} ?"},
                *[{"role": "assistant", "content": f"{i}."}] * (i % 3),
            ]
        }
        for i in range(50)
    ]
    return shards(folder, "train", made, 20)


def choices(folder: Path) -> Path:
    made = [{"question": f"Which is {i} ?", "choices": [f"{i}", "none", "all"], "answer": i % 3} for i in range(50)]
    return shards(folder, "train", made, 20)


def content(examples: Examples, engine: RayEngine | None = None) -> str:
    """All bytes of a profile, and of what was read."""
    found = profile(examples, rows=30, entity_rows=10, processes=1, engine=engine)
    sketches = [(sketch.part, sketch.kind, sketch.vector.tobytes()) for sketch in found.sketches]
    read_too = (examples.spec, examples.notes, examples.warnings, examples.splits, examples.fingerprint)
    return repr((found.traits, found.label_counts, found.length_histograms, sketches, found.details, read_too))


@pytest.mark.parametrize("made", [one_file, many_files, packed_files, parquet_files, chats, choices])
def test_a_profile_has_the_bytes_of_a_local_one(
    made: Callable[[Path], Path], tmp_path: Path, engine: RayEngine, here: RayHere
) -> None:
    path, told = made(tmp_path), list[tuple[int, int | None]]()
    expected = read(path)
    found = read(path, engine=engine, on_rows=lambda *now: told.append(now))
    assert isinstance(found.table, cluster_rows.Blocks)
    assert len(found.table.blocks) > 3
    assert found.table.take(np.arange(found.rows)).equals(expected.table)
    assert content(found, engine) == content(expected)
    assert {"read_files", "totals_of", "_taken", "_split", "_parsed"} <= set(here.tasks)
    rows = [now for now, _ in told]
    assert rows == sorted(set(rows))
    assert rows[-1] == expected.splits[expected.split]


def test_nothing_asks_for_the_rows_whose_words_are_kept(
    tmp_path: Path, engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = read(choices(tmp_path), engine=engine)

    def fail(*_: Any) -> pa.Table:
        raise AssertionError("20,000 rows of any length would come here")

    monkeypatch.setattr(cluster_rows.Blocks, "take", fail)
    found = profile(examples, rows=2, processes=1, engine=engine)
    assert next(t.n for t in found.traits if t.trait == "label_longest_option_gain") == 50


def test_rows_come_in_any_order(tmp_path: Path, engine: RayEngine) -> None:
    path = many_files(tmp_path)
    blocks, table = read(path, engine=engine).table, LocalRows(read(path).table)
    draw = np.random.default_rng(0)
    for size in (0, 1, 7, 8, 9, 33, table.num_rows):
        order = draw.permutation(table.num_rows).astype(np.int32)[:size]
        for rows in (1, 8, 100):
            found, expected = list(blocks.batches(order, rows)), list(table.batches(order, rows))
            assert [f.num_rows for f in found] == [e.num_rows for e in expected]
            assert all(f.equals(e) for f, e in zip(found, expected, strict=True))
        assert blocks.take(order).equals(table.take(order))


@dataclass
class Asked:
    """A Ray that notes what tasks are given, and runs none."""

    given: list[tuple[Any, ...]] = field(default_factory=list)

    def remote(self, work: Any = None, **_: Any) -> Any:
        return lambda work: SimpleNamespace(remote=lambda *arguments: self.given.append(arguments))

    def wait(self, refs: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return refs[:1], refs[1:]

    def cluster_resources(self) -> dict[str, float]:
        return {}


def test_an_order_of_four_bytes_a_row_stays_one() -> None:
    rows, asked = 1 << 20, Asked()
    blocks = cluster_rows.Blocks(asked, ["a block"] * 64, np.arange(0, rows + 1, rows >> 6))
    order = np.random.default_rng(0).permutation(rows).astype(np.int32)
    tracemalloc.start()
    try:
        blocks._taken(order)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert {a.dtype for _, *arrays in asked.given for a in arrays} == {np.dtype(np.int32)}
    # What sorts it, 8 bytes a row, and what tasks are given: twice 4.
    assert peak < 18 * rows
    found = np.concatenate(
        [numbers.astype(np.int64) + (rows >> 6) * at for at, (_, numbers, _) in enumerate(asked.given)]
    )
    assert np.array_equal(found, np.arange(rows))


def test_small_files_share_a_task(tmp_path: Path) -> None:
    shards(tmp_path, "train", reviews(100), 10)
    files = [FilePart(path, "jsonl") for path in sorted(tmp_path.iterdir())]
    assert [len(task.files) for task in cluster_reading.tasks(files)] == [10]
    assert next(cluster_reading.tasks(files[:1])).sizes == (files[0].path.stat().st_size,)


def test_long_texts_make_blocks_of_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = pa.record_batch({"a": [1, 2]})
    monkeypatch.setattr(cluster_reading, "TASK_ROWS", 6)
    monkeypatch.setattr(cluster_reading, "_BLOCK_BYTES", 10)
    chunks = [(batch, b"12"), (batch, b"3"), (batch, b"4"), (batch, b"1234567890"), (batch, b"5")]
    found = [(len(batches), content) for batches, content in cluster_reading._blocks(chunks)]
    assert found == [(3, b"12,3,4"), (1, b"1234567890"), (1, b"5")]


def test_a_block_of_long_texts_is_no_larger_than_it_may_be(tmp_path: Path) -> None:
    text, rows = "to be or not " * 15_000, 160
    lines(tmp_path / "long.jsonl", [{"text": text, "label": "ab"[i % 2]} for i in range(rows)])
    (task,) = cluster_reading.tasks([FilePart(tmp_path / "long.jsonl", "jsonl")])
    spec = DatasetSpec("classification", text_fields=("text",), label_field="label")
    found = [made for made in cluster_reading.read_files(task, spec) if isinstance(made, cluster_reading._Block)]
    assert sum(block.rows for block in found) == rows
    assert len(found) == 2
    assert max(len(block.content) for block in found) < (16 << 20) + 2 * (1 << 20)


def test_chunks_of_any_size_are_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines(tmp_path / "mine.jsonl", reviews(200))
    whole = read(tmp_path / "mine.jsonl")
    assert any("surrogate" in warning for warning in whole.warnings)
    for characters in (1, 300, 5000):
        monkeypatch.setattr("traitcast.profiler.reading.examples._CHUNK_CHARACTERS", characters)
        found = read(tmp_path / "mine.jsonl")
        assert (found.fingerprint, found.warnings) == (whole.fingerprint, whole.warnings)
        assert found.table.equals(whole.table)
        assert len(found.table.to_batches()) > len(whole.table.to_batches())


GOOD = [{"text": f"a film {i}", "label": "yes" if i % 2 else "no"} for i in range(40)]
BROKEN = {
    "a label of another type in the second file": [GOOD, [{"text": "a", "label": 1}, *GOOD]],
    "and then something worse": [GOOD, [{"text": "a", "label": 1}, {"text": {"a": 1}, "label": "yes"}, *GOOD]],
    "two types in the second file, the first of them another": [GOOD, [{"text": "a", "label": 1}, *GOOD[:1]]],
    "labels of one type each, after files without any": [
        [*GOOD, *GOOD],
        [{"text": "a", "label": None}],
        [{"text": "a", "label": True}],
    ],
    "two bad files, of which the first is told": [
        GOOD,
        [*GOOD, {"text": [[1]], "label": "yes"}],
        [{"text": [[2]], "label": "yes"}],
    ],
    "a list for a label": [GOOD, GOOD, [*GOOD, {"text": "a", "label": ["yes"]}]],
}


@pytest.mark.parametrize("files", BROKEN.values(), ids=BROKEN)
def test_bad_rows_are_reported_as_without_a_cluster(files: list[list[Row]], tmp_path: Path, engine: RayEngine) -> None:
    for number, rows in enumerate(files):
        lines(tmp_path / f"train-{number}.jsonl", rows)
    with pytest.raises(InputError) as expected:
        read(tmp_path)
    with pytest.raises(InputError) as found:
        read(tmp_path, engine=engine)
    assert str(found.value) == str(expected.value)


def test_tasks_that_are_not_needed_are_cancelled(
    tmp_path: Path, engine: RayEngine, here: RayHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards(tmp_path, "train", GOOD, 4)
    shards(tmp_path, "test", [{**row, "text": f"{row['text']} {half}"} for half in "ab" for row in GOOD], 8)
    examples = read(tmp_path, engine=engine)
    assert leakage.other_splits(examples, engine).rows == {"test": 80}
    assert here.cancelled == []
    monkeypatch.setattr(leakage, "_FEW_ROWS", 1)
    monkeypatch.setattr(leakage, "MAX_RATIO", 1)
    # Of ten tasks six are handed over, for two CPUs; the second stands for too many rows.
    small = replace(examples, table=read(tmp_path).table[:10], splits={})
    assert leakage.other_splits(small, engine).reasons == {"test": "it has more than 10 rows"}
    assert len(here.cancelled) == 6
    here.cancelled.clear()
    (tmp_path / "train-00001.jsonl").write_text(json.dumps({"text": "a", "label": 1}) + "\n")
    with pytest.raises(InputError, match="mixes types"):
        read(tmp_path, spec=examples.spec, engine=engine)
    assert len(here.cancelled) == 6
    here.cancelled.clear()
    found = engine.on_files([FilePart(path, "jsonl") for path in sorted(tmp_path.glob("test*"))], len)
    assert next(found) == 1
    found.close()  # type: ignore[attr-defined]
    assert len(here.cancelled) == 6


def test_what_is_lost_is_told_with_what_is_kept(here: RayHere) -> None:
    here.lost = WorkerCrashedError("see the log")
    with pytest.raises(
        TraitcastError, match=r"^a block was lost with its .* 6 times \(WorkerCrashedError\); nothing of"
    ):
        ray_cluster.result(here, Ref(b""), "a block")
    with pytest.raises(
        TraitcastError, match=r"6 times .*; what is finished is kept: run the same again, with more mem"
    ):
        ray_cluster.result(here, Ref(b""), "group 1", kept="what is finished is kept")
    here.lost = OutOfDiskError("The local disk is full.\n" + "Use df. " * 100)
    with pytest.raises(
        TraitcastError, match=r"^a block failed on the cluster \(OutOfDiskError: The local disk is full"
    ) as e:
        ray_cluster.result(here, Ref(b""), "a block")
    assert "times" not in str(e.value)
    assert str(e.value).endswith("; nothing of it is kept: fix that, and run the same again")
    assert len(str(e.value)) < 450


def test_a_file_that_is_no_text_is_told_as_it_is_here(tmp_path: Path, engine: RayEngine) -> None:
    shards(tmp_path, "train", GOOD, 20)
    (tmp_path / "train-00001.jsonl").write_bytes(b'{"text": "\xff"}\n')
    with pytest.raises(InputError) as expected:
        read(tmp_path)
    with pytest.raises(InputError, match="is not UTF-8") as found:
        read(tmp_path, engine=engine)
    assert str(found.value) == str(expected.value)


def test_a_task_that_fails_between_a_block_and_its_rows_is_told(
    tmp_path: Path, engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(rows: pa.Table) -> bytes:
        raise ValueError(f"{rows.num_rows} rows are too many")

    shards(tmp_path, "train", GOOD, 20)
    monkeypatch.setattr(cluster_reading, "packed", fail)
    with pytest.raises(TraitcastError, match="a file of rows failed on its node: .*rows are too many"):
        read(tmp_path, engine=engine)


def test_a_node_that_does_not_see_a_file_says_what_to_do(tmp_path: Path, engine: RayEngine) -> None:
    shards(tmp_path, "train", GOOD, 20)
    path = tmp_path / "train-00001.jsonl"
    (task,) = cluster_reading.tasks([FilePart(path, "jsonl")])
    path.write_text(path.read_text() + "\n")
    with pytest.raises(InputError, match=r"train-00001.jsonl has [\d,]+ bytes and not [\d,]+ on node "):
        task.seen()
    path.unlink()
    with pytest.raises(InputError, match="is not there on node .*into a folder that all nodes share, by the same path"):
        list(cluster_reading.read_files(task, read(tmp_path).spec))


def test_a_node_that_does_not_see_another_split_ends_the_profile(
    tmp_path: Path, engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards(tmp_path, "train", GOOD, 20)
    shards(tmp_path, "test", GOOD, 20)
    examples, sizes = read(tmp_path, engine=engine), count(100)
    # The node, which looks after whoever asks, sees another file.
    monkeypatch.setattr(cluster_reading, "_size", lambda _: next(sizes))
    with pytest.raises(NotSharedError, match=r"test-00000.jsonl has 101 bytes and not 100 on node .*all nodes share"):
        profile(examples, rows=2, processes=1, engine=engine)


def test_a_split_that_cannot_be_compared_is_told_as_it_is_here(
    tmp_path: Path, engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards(tmp_path, "train", GOOD, 20)
    shards(tmp_path, "test", [*GOOD, {"text": [[1]], "label": "yes"}], 15)
    shards(tmp_path, "validation", GOOD, 15)
    here, there = read(tmp_path), read(tmp_path, engine=engine)
    monkeypatch.setattr(leakage, "MAX_RATIO", 1)
    for few in (1, 39, 40, 41):
        monkeypatch.setattr(leakage, "_FEW_ROWS", few)
        # The profiled split is taken as one of a single row.
        small, other = (replace(examples, table=here.table[:1]) for examples in (here, there))
        found, expected = leakage.other_splits(other, engine), leakage.other_splits(small)
        assert (found.rows, found.reasons) == (expected.rows, expected.reasons)
        assert {name: texts.tolist() for name, texts in found.texts.items()} == {
            name: texts.tolist() for name, texts in expected.texts.items()
        }
