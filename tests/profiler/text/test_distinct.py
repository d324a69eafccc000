"""Hashes on a disk are counted as those in memory."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traitcast.profiler.profile import profile
from traitcast.profiler.text import distinct
from traitcast.profiler.text.distinct import HashCounts
from traitcast.profiler.text.scan import mix
from traitcast.warehouse.errors import InputError

MakeExamples = Callable[..., Any]
# Few, so that they meet again, and in every range; then the ends.
hashes = st.integers(0, 40).map(lambda i: int(mix(np.array([i], dtype=np.uint64))[0])) | st.sampled_from([0, 2**64 - 1])


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files that holds nothing afterwards, and no open file."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []
    assert _open_in(folder) == 0


def _open_in(folder: Path) -> int:
    """Files of a folder that this process has open, those without a name too."""
    if sys.platform != "linux":
        return 0
    links = (os.path.join("/proc/self/fd", number) for number in os.listdir("/proc/self/fd"))
    return sum(os.readlink(link).startswith(f"{folder}/") for link in links if os.path.lexists(link))


@given(st.lists(st.lists(hashes, max_size=12), max_size=9), st.integers(1, 12), st.lists(hashes, max_size=9))
def test_spilled_counts_are_those_in_memory(blocks: list[list[int]], held: int, asked: list[int]) -> None:
    expected = Counter(value for block in blocks for value in block)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distinct, "HASHES_IN_MEMORY", held)
        added, merged = HashCounts(), HashCounts()
        for block in blocks:
            added.add(np.array(block, dtype=np.uint64))
            merged.merge(HashCounts.of(np.array(block, dtype=np.uint64)))
        for found in (added, merged):
            pairs = [pair for values, counts in found.blocks() for pair in zip(values, counts, strict=True)]
            assert pairs == sorted(expected.items())
            assert found.n == expected.total()
            often = found.occurrences()
            assert dict(zip(often.values, often.counts, strict=True)) == Counter(expected.values())
            assert found.contains(np.array(asked, dtype=np.uint64)).tolist() == [value in expected for value in asked]


def test_blocks_are_bounded_and_more_can_be_added_after_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct, "HASHES_IN_MEMORY", 1000)
    made = HashCounts()
    for start in range(0, 20_000, 500):
        made.add(mix(np.arange(start, start + 700, dtype=np.uint64)))
    for end in (20_200, 20_201):
        sizes = [len(values) for values, _ in made.blocks()]
        assert sum(sizes) == end
        assert len(sizes) > 10
        assert max(sizes) < 1200
        made.add(mix(np.array([20_200], dtype=np.uint64)))


def test_few_hashes_of_many_rows_stay_in_memory(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct, "HASHES_IN_MEMORY", 64)
    made = HashCounts()
    for _ in range(50):
        made.add(mix(np.arange(20, dtype=np.uint64)))
    assert _open_in(scratch) == 0
    assert made.occurrences().values.tolist() == [50]


def test_a_profile_with_hashes_on_the_disk_has_the_same_bytes(
    scratch: Path, make_examples: MakeExamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [[f"Is {i % 40} even?", "say yes\nor no" if i % 3 else ""] for i in range(90)]
    examples = make_examples(prompts, [None if i % 7 == 0 else f"yes {i % 11}" for i in range(90)])
    whole = profile(examples, rows=20, processes=1)
    monkeypatch.setattr(distinct, "HASHES_IN_MEMORY", 8)
    spilled = profile(examples, rows=20, processes=1)
    assert (spilled.traits, spilled.details) == (whole.traits, whole.details)


def test_the_file_is_gone_with_the_counts(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct, "HASHES_IN_MEMORY", 8)
    made = HashCounts.of(mix(np.arange(100, dtype=np.uint64)))
    if sys.platform == "linux":
        assert _open_in(scratch) == 1
    assert list(scratch.iterdir()) == [], "the file has no name"
    assert made.occurrences().n == 100
    del made


def test_the_file_is_gone_after_an_error(
    scratch: Path, make_examples: MakeExamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distinct, "HASHES_IN_MEMORY", 8)
    seen: list[int] = []

    def fail(*_: object, **__: object) -> None:
        seen.append(_open_in(scratch))
        raise KeyboardInterrupt

    monkeypatch.setattr("traitcast.profiler.profile.leakage.other_splits", fail)
    examples = make_examples([[f"prompt {i}"] for i in range(50)], ["yes"] * 50)
    with pytest.raises(KeyboardInterrupt):
        profile(examples, rows=20, processes=1)
    if sys.platform == "linux":
        assert seen == [3], "of prompts, of their words and of pairs"


def test_a_folder_without_room_names_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct, "HASHES_IN_MEMORY", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(InputError, match=r"cannot write 48 bytes of hashes to .*gone.*TMPDIR"):
        HashCounts.of(np.arange(3, dtype=np.uint64))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full here")
def test_a_full_disk_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct, "HASHES_IN_MEMORY", 1)
    with open("/dev/full", "r+b", buffering=0) as full:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full)
        with pytest.raises(InputError, match="No space left on device"):
            HashCounts.of(np.arange(3, dtype=np.uint64))
