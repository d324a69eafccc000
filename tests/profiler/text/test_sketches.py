from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traitcast.profiler.text.scan
import traitcast.profiler.text.sketches
from traitcast.profiler.text.documents import SegmentRows
from traitcast.profiler.text.scan import scan
from traitcast.profiler.text.sketches import BUCKETS, KINDS, MINIMA, TEXTS, Sketcher


def _sketch(texts: list[str]) -> dict[str, np.ndarray]:
    sketcher = Sketcher()
    for chunk in scan(SegmentRows(pa.array(texts, pa.string()), np.arange(len(texts) + 1)), sketcher.add_points):
        sketcher.add(chunk)
    return {sketch.kind: sketch.vector for sketch in sketcher.sketches("prompt")}


def test_shapes_types_and_ranges() -> None:
    found = _sketch(["the cat sat down", "the dog"])
    assert tuple(found) == KINDS
    assert [vector.shape for vector in found.values()] == [(MINIMA,), (BUCKETS,), (BUCKETS,), (TEXTS,)]
    assert {vector.dtype for vector in found.values()} == {np.dtype(np.float32)}
    assert (found["words_minhash"] >= 0).all()
    assert (found["words_minhash"] < 1).all()
    assert found["trigrams_hashed"].sum() == pytest.approx(1)
    assert found["words_hashed"].max() == 1  # "the" is in both documents
    assert sorted(found["words_hashed"][found["words_hashed"] > 0]) == [0.5, 0.5, 0.5, 0.5, 1]


def test_minhash_estimates_the_jaccard_similarity_of_the_words() -> None:
    rng = random.Random(0)
    words = [f"w{i}" for i in range(3000)]
    rng.shuffle(words)
    a, b = _sketch([" ".join(words[:2000])]), _sketch([" ".join(words[1000:])])
    estimate = (a["words_minhash"] == b["words_minhash"]).mean()
    assert estimate == pytest.approx(1000 / 3000, abs=3 * (1 / 3 * 2 / 3 / MINIMA) ** 0.5)
    assert (_sketch([" ".join(words[:9])])["words_minhash"] == a["words_minhash"]).mean() < 0.1


def _texts(rows: list[list[str]]) -> np.ndarray:
    offsets = np.cumsum([0, *(len(row) for row in rows)])
    sketcher = Sketcher()
    for chunk in scan(SegmentRows(pa.array([text for row in rows for text in row], pa.string()), offsets)):
        sketcher.add(chunk)
    return next((s.vector for s in sketcher.sketches("prompt") if s.kind == "texts_bottom"), np.zeros(0))


def test_texts_that_two_datasets_share_are_told_whatever_they_are_paired_with() -> None:
    texts = [f"What is {i} plus {i % 7}?" for i in range(6000)]
    alone = _texts([[text] for text in texts[:4000]])
    paired = _texts([[text, f"Nobody ever asked for {i}."] for i, text in enumerate(texts[3000:])])
    few = _texts([[text] for text in texts[:50]])
    assert alone.shape == (TEXTS,)
    assert alone.dtype == np.float32
    assert (np.diff(alone) > 0).all()
    assert np.isfinite(few).sum() == 50
    limit = min(alone[-1], paired[-1])
    assert np.isin(alone[alone <= limit], paired).mean() == pytest.approx(1000 / 4000, abs=0.06)
    assert np.isin(paired[paired <= limit], alone).mean() == pytest.approx(1000 / 6000, abs=0.06)
    assert np.isin(few[few <= alone[-1]], alone).all()


def test_texts_are_compared_by_their_words() -> None:
    np.testing.assert_array_equal(_texts([["A cat, she said."], ["no"]]), _texts([["a cat  she said"], ["Yes."]]))
    assert len(_texts([["one two three", "four"]])) == 0


def test_case_and_order_do_not_matter_to_words() -> None:
    a, b = _sketch(["The cat", "a dog"]), _sketch(["A DOG", "cat the"])
    np.testing.assert_array_equal(a["words_minhash"], b["words_minhash"])
    np.testing.assert_array_equal(a["words_hashed"], b["words_hashed"])


def test_chunks_do_not_change_the_sketch(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"text {i % 17} holds word{i} and wörd{i % 5}" for i in range(300)]
    whole = _sketch(texts)
    monkeypatch.setattr(traitcast.profiler.text.scan, "CHUNK_BYTES", 200)
    monkeypatch.setattr(traitcast.profiler.text.sketches, "_PENDING", 10)
    pieces = _sketch(texts)
    for kind in KINDS:
        np.testing.assert_array_equal(whole[kind], pieces[kind])


def test_nothing_gives_no_sketch_and_marks_give_trigrams_only() -> None:
    assert _sketch([""]) == {}
    assert tuple(_sketch(["???"])) == ("trigrams_hashed",)
    assert _sketch([]) == {}


def _trigrams(texts: list[str]) -> Counter[str]:
    padded = [f" {text} " for text in texts if text.strip()]
    return Counter(text[i : i + 3] for text in padded for i in range(len(text) - 2))


@pytest.mark.parametrize("texts", [["5"], ["no", "", "a"], ["\u4f60", " ", "the cat\tsat"], ["5"] * 3 + ["12"]])
def test_trigrams_against_a_direct_count(texts: list[str]) -> None:
    found = _sketch(texts)["trigrams_hashed"]
    expected = np.zeros(BUCKETS)
    for trigram, count in _trigrams([text.replace("\t", " ") for text in texts]).items():
        a, b, c = map(ord, trigram)
        code = np.array([a << 42 | b << 21 | c], dtype=np.uint64)
        expected[int(traitcast.profiler.text.scan.mix(code)[0] >> np.uint64(54))] += count
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6)


@given(st.lists(st.text(max_size=6), min_size=1, max_size=4))
def test_every_text_that_is_not_blank_has_trigrams(texts: list[str]) -> None:
    assert ("trigrams_hashed" in _sketch(texts)) == any(text.strip() for text in texts)


def test_digits_as_responses_differ_in_their_trigrams() -> None:
    one, two, words = (_sketch(texts)["trigrams_hashed"] for texts in (["0", "1"], ["1", "2"], ["yes", "no"]))
    assert np.minimum(one, two).sum() == pytest.approx(0.5)
    assert np.minimum(one, words).sum() == 0


def test_the_same_in_another_process() -> None:
    code = (
        "import pyarrow as pa, numpy as np;from traitcast.profiler.text.scan import scan;"
        "from traitcast.profiler.text.documents import SegmentRows;"
        "from traitcast.profiler.text.sketches import Sketcher;s=Sketcher();"
        "[s.add(c) for c in scan(SegmentRows(pa.array(['the cat sat']),np.array([0,1])),s.add_points)];"
        "print([float(v.vector.astype(float).sum()) for v in s.sketches('prompt')])"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == str([float(v.astype(float).sum()) for v in _sketch(["the cat sat"]).values()])
