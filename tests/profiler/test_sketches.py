from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

import profiler.scan
import profiler.sketches
from profiler.scan import scan
from profiler.segments import Rows
from profiler.sketches import BUCKETS, KINDS, MINIMA, Sketcher


def _sketch(texts: list[str]) -> dict[str, np.ndarray]:
    sketcher = Sketcher()
    for chunk in scan(Rows(pa.array(texts, pa.string()), np.arange(len(texts) + 1))):
        sketcher.add(chunk)
    return {sketch.kind: sketch.vector for sketch in sketcher.sketches("prompt")}


def test_shapes_types_and_ranges() -> None:
    found = _sketch(["the cat sat", "the dog"])
    assert tuple(found) == KINDS
    assert [vector.shape for vector in found.values()] == [(MINIMA,), (BUCKETS,), (BUCKETS,)]
    assert {vector.dtype for vector in found.values()} == {np.dtype(np.float32)}
    assert (found["words_minhash"] >= 0).all()
    assert (found["words_minhash"] < 1).all()
    assert found["trigrams_hashed"].sum() == pytest.approx(1)
    assert found["words_hashed"].max() == 1  # "the" is in both documents
    assert sorted(found["words_hashed"][found["words_hashed"] > 0]) == [0.5, 0.5, 0.5, 1]


def test_minhash_estimates_the_jaccard_similarity_of_the_words() -> None:
    rng = random.Random(0)
    words = [f"w{i}" for i in range(3000)]
    rng.shuffle(words)
    a, b = _sketch([" ".join(words[:2000])]), _sketch([" ".join(words[1000:])])
    estimate = (a["words_minhash"] == b["words_minhash"]).mean()
    assert estimate == pytest.approx(1000 / 3000, abs=3 * (1 / 3 * 2 / 3 / MINIMA) ** 0.5)
    assert (_sketch([" ".join(words[:9])])["words_minhash"] == a["words_minhash"]).mean() < 0.1


def test_case_and_order_do_not_matter_to_words() -> None:
    a, b = _sketch(["The cat", "a dog"]), _sketch(["A DOG", "cat the"])
    np.testing.assert_array_equal(a["words_minhash"], b["words_minhash"])
    np.testing.assert_array_equal(a["words_hashed"], b["words_hashed"])


def test_chunks_do_not_change_the_sketch(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"text {i % 17} holds word{i} and wörd{i % 5}" for i in range(300)]
    whole = _sketch(texts)
    monkeypatch.setattr(profiler.scan, "CHUNK_BYTES", 200)
    monkeypatch.setattr(profiler.sketches, "_PENDING", 10)
    pieces = _sketch(texts)
    for kind in KINDS:
        np.testing.assert_array_equal(whole[kind], pieces[kind])


def test_nothing_gives_no_sketch_and_marks_give_trigrams_only() -> None:
    assert _sketch([""]) == {}
    assert tuple(_sketch(["???"])) == ("trigrams_hashed",)
    assert _sketch([]) == {}


def test_the_same_in_another_process() -> None:
    code = (
        "import pyarrow as pa, numpy as np;from profiler.scan import scan;from profiler.segments import Rows;"
        "from profiler.sketches import Sketcher;s=Sketcher();"
        "[s.add(c) for c in scan(Rows(pa.array(['the cat sat']),np.array([0,1])))];"
        "print([float(v.vector.astype(float).sum()) for v in s.sketches('prompt')])"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == str([float(v.astype(float).sum()) for v in _sketch(["the cat sat"]).values()])
