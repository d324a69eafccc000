from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

import traitcast.profiler.text.scan
from traitcast.profiler.text.documents import SegmentRows
from traitcast.profiler.text.kept_words import KeptWords, WordKeeper
from traitcast.profiler.text.scan import scan
from traitcast.profiler.traits import duplicates


def _keep(texts: list[str], keep: list[bool] | None = None) -> KeptWords:
    keeper = WordKeeper(np.flatnonzero(keep or [True] * len(texts)))
    for chunk in scan(SegmentRows(pa.array(texts, pa.string()), np.arange(len(texts) + 1))):
        keeper.add(chunk)
    return keeper.kept()


def _sentence(rng: random.Random, words: int) -> list[str]:
    return [f"w{rng.randrange(5000)}" for _ in range(words)]


def test_planted_copies_are_found_and_others_are_not() -> None:
    rng = random.Random(0)
    texts = [" ".join(_sentence(rng, 60)) for _ in range(400)]
    changed = [text.rsplit(" ", 1)[0] + " end" for text in texts[:50]]  # one pair of 59 differs
    far = [" ".join(text.split()[:30] + _sentence(rng, 30)) for text in texts[50:100]]  # a third is shared
    found = duplicates.near_duplicate_share(_keep(texts + changed + far))
    assert (found.value, found.n) == (pytest.approx(100 / 500), 500)


def test_signatures_estimate_the_jaccard_similarity_of_word_pairs() -> None:
    rng = random.Random(1)
    estimates, truth = [], []
    for _ in range(60):
        a = _sentence(rng, 40)
        b = a[: rng.randrange(5, 40)] + _sentence(rng, 10)
        pairs = [set(pairwise(words)) for words in (a, b)]
        truth.append(len(pairs[0] & pairs[1]) / len(pairs[0] | pairs[1]))
        signatures = duplicates.signatures_of(*duplicates.word_pairs(_keep([" ".join(a), " ".join(b)])))
        estimates.append((signatures[0] == signatures[1]).mean())
    difference = np.array(estimates) - truth
    assert abs(difference.mean()) < 3 * 0.06 / 60**0.5
    assert np.abs(difference).max() < 4 * (0.25 / duplicates.HASHES) ** 0.5


def test_a_group_is_compared_along_its_order_and_with_its_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document far down a group may be like its first alone."""
    monkeypatch.setattr(duplicates, "NEIGHBOURS", 2)
    together = np.tile(np.arange(duplicates.HASHES, dtype=np.uint32), (5, 1))
    assert list(zip(*duplicates.candidates(together), strict=True)) == [
        *((0, 1), (0, 2), (0, 3), (0, 4)),
        *((1, 2), (1, 3), (2, 3), (2, 4), (3, 4)),
    ]
    # In the first band only; the rest says that these two cannot be alike.
    apart = together[:2].copy()
    apart[1, duplicates.BAND :] += 1000
    assert list(zip(*duplicates.candidates(apart), strict=True)) == []
    assert [len(side) for side in duplicates.candidates(together[:0])] == [0, 0]


@pytest.mark.parametrize(("words", "changed", "near"), [(10, 1, True), (9, 1, False), (20, 2, True), (18, 2, False)])
def test_candidates_are_verified_exactly(words: int, changed: int, near: bool) -> None:
    """With the last words changed, 8 of 10 different pairs are shared, 7 of 9, 17 of 21, and 15 of 19."""
    rng = random.Random(2)
    texts = []
    for i in range(300):
        text = [f"{word}x{i}" for word in _sentence(rng, words)]
        texts += [" ".join(text), " ".join([*text[:-changed], *["other", "words"][:changed]])]
    share = duplicates.near_duplicate_share(_keep(texts)).value
    assert share is not None
    # Up to one pair of a thousand at the limit itself meets in no band.
    assert share > 0.98 if near else share == 0


def test_the_similarity_of_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    texts = [[f"w{rng.randrange(6)}" for _ in range(rng.randrange(1, 12))] for _ in range(40)]
    pairs, starts = duplicates.word_pairs(_keep([" ".join(text) for text in texts]))
    first, second = (np.array([rng.randrange(40) for _ in range(200)]) for _ in range(2))
    found = duplicates.jaccard(pairs, starts, first, second)
    sets = [set(pairwise(text)) or {(text[0],)} for text in texts]
    expected = [len(sets[a] & sets[b]) / len(sets[a] | sets[b]) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(found, expected)
    monkeypatch.setattr(duplicates, "_COMPARED", 1)
    np.testing.assert_array_equal(duplicates.jaccard(pairs, starts, first, second), found)


def test_by_characters_where_a_script_has_no_spaces() -> None:
    text = "昨天我在图书馆借了一本关于中国历史的书，今天已经读完了。"
    near = text.replace("昨天", "今天")
    other = "这个城市的夏天非常炎热，所以大家都喜欢去海边游泳和休息。"
    found = duplicates.near_duplicate_share(_keep([text, near, other, "a text with spaces", "Mixed 中文 text here"]))
    assert (found.value, found.n) == (pytest.approx(2 / 5), 5)


def test_exact_copies_case_and_marks() -> None:
    assert duplicates.near_duplicate_share(_keep(["A b c.", "a B c", "d e f"])).value == pytest.approx(2 / 3)
    assert duplicates.near_duplicate_share(_keep(["yes", "Yes!", "no", "", "?"])).value == pytest.approx(2 / 3)
    assert duplicates.near_duplicate_share(_keep(["", "?"])).value is None
    assert duplicates.near_duplicate_share(_keep([])).value is None


def test_many_copies_of_one_text_stay_cheap_and_all_count() -> None:
    assert duplicates.near_duplicate_share(_keep(["the same text again"] * 3000 + ["another one it is"])).value == (
        pytest.approx(3000 / 3001)
    )


def test_only_the_rows_to_keep_are_kept_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"row {i} word{i % 3}" if i % 4 else "" for i in range(40)]
    keep = [i % 2 == 0 for i in range(40)]
    whole = _keep(texts, keep)
    monkeypatch.setattr(traitcast.profiler.text.scan, "CHUNK_BYTES", 30)
    pieces = _keep(texts, keep)
    for a, b in zip((whole.words, whole.row, whole.segment), (pieces.words, pieces.row, pieces.segment), strict=True):
        np.testing.assert_array_equal(a, b)
    assert whole.rows.tolist() == list(range(0, 40, 2))
    assert len(whole.words) == 30
    assert set(whole.row.tolist()) == {i // 2 for i in range(0, 40, 2) if i % 4}
