from __future__ import annotations

import math
import zlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from traitcast.profiler.text.documents import documents
from traitcast.profiler.text.estimates import Estimate
from traitcast.profiler.text.exact_sums import SampleMeans
from traitcast.profiler.text.words import read_words
from traitcast.profiler.traits import diversity


def _traits(rows: list[list[str]], *, block: int = 100) -> dict[str, Estimate]:
    """All traits of documents, read so many at a time."""
    means, corpus = SampleMeans(), diversity.Corpus()
    for first in range(0, max(len(rows), 1), block):
        docs = documents(rows[first : first + block])
        vocabulary = read_words(docs.texts)
        means.add(diversity.document_traits(vocabulary.of_documents(docs), vocabulary))
        corpus.add(vocabulary.of_documents(docs), vocabulary)
    return means.estimates(len(rows)) | corpus.traits()


def _compressed(texts: list[str], *, block: int = 100) -> Estimate:
    made = diversity.Compression()
    for first in range(0, len(texts), block):
        made.add(texts[first : first + block])
    return made.ratio()


def _slow_mtld(words: list[int]) -> float:
    """McCarthy and Jarvis 2010, word for word, recounting types at every step."""

    def one_way(sequence: list[int]) -> float:
        factors, start = 0.0, 0
        for end in range(1, len(sequence) + 1):
            stretch = sequence[start:end]
            if len(set(stretch)) / len(stretch) <= 0.72:
                factors, start = factors + 1, end
        rest = sequence[start:]
        if rest:
            factors += (1 - len(set(rest)) / len(rest)) / (1 - 0.72)
        # Where no word repeats, the next one is taken to be a repeat.
        return len(sequence) / (factors or (1 - len(sequence) / (len(sequence) + 1)) / (1 - 0.72))

    return (one_way(words) + one_way(words[::-1])) / 2


@given(st.lists(st.integers(0, 12), min_size=1, max_size=80))
def test_mtld_against_a_direct_implementation(words: list[int]) -> None:
    assert diversity.mtld(words) == pytest.approx(_slow_mtld(words), nan_ok=True)


def test_mtld_by_hand() -> None:
    # a b a: TTR 1, 1, .67 closes a factor after three words, both ways; nothing is left over.
    assert diversity.mtld([0, 1, 0, 0, 1, 0]) == 3.0
    assert math.isnan(diversity.mtld([]))


def test_mtld_without_a_repeat_is_just_above_all_texts_of_its_length() -> None:
    for length in (50, 60, 200):
        once = [*range(length // 2), 0, *range(length // 2, length - 1)]
        assert 1 < diversity.mtld(list(range(length))) / diversity.mtld(once) < 1.1


def test_a_document_without_a_repeat_is_not_left_out_of_the_mean() -> None:
    unique = " ".join(f"{a}{b}" for a in "abcdefgh" for b in "stuvwxyz")
    found = _traits([[unique], ["the cat sat " * 20]])
    assert found["mtld"].n == 2
    assert found["mtld"].value > 0.28 * 64**2 / 2  # type: ignore[operator]


@settings(max_examples=30)
@given(st.lists(st.integers(0, 30), min_size=42, max_size=200))
def test_hdd_against_the_hypergeometric_distribution(words: list[int]) -> None:
    counts = np.array(list(Counter(words).values()))
    expected = sum(1 - stats.hypergeom(len(words), count, 42).pmf(0) for count in counts) / 42
    assert diversity.hdd(counts) == pytest.approx(expected, abs=1e-9)


def test_hdd_needs_42_words() -> None:
    assert math.isnan(diversity.hdd(np.array([41])))
    assert diversity.hdd(np.array([42])) == pytest.approx(1 / 42)


def test_window_types() -> None:
    assert diversity.window_types(np.array([1, 1, 2, 3, 3, 3, 9]), 3).tolist() == [2, 1]
    assert diversity.window_types(np.array([1, 2]), 3).tolist() == []


def test_traits_by_hand() -> None:
    found = _traits([["The cat, the dog."], ["a"], [""], []])
    assert found["type_token_ratio"].value == (3 / 4 + 1) / 2
    assert found["type_token_ratio"].n == 2
    assert found["root_type_token_ratio"].value == (3 / 2 + 1) / 2
    assert found["word_characters_mean"].value == (3 + 1) / 2
    assert found["hapax_share"].value == 3 / 4
    # the 2, cat 1, dog 1, a 1.
    assert found["corpus_yule_k"].value == pytest.approx(1e4 * (7 - 5) / 25)
    assert found["word_entropy_bits"].value == pytest.approx(0.4 * math.log2(2.5) + 0.6 * math.log2(5))
    assert found["maas"].value is None
    assert found["mtld"].value is None
    assert found["corpus_hdd"].value is None
    assert found["hapax_share"].n == 2  # the documents that have a word


def test_maas_by_hand() -> None:
    found = _traits([["a b c d e f g h i j"], ["a b " * 10]])["maas"]
    assert found.value == pytest.approx((0 + (math.log(20) - math.log(2)) / math.log(20) ** 2) / 2)


def test_compression() -> None:
    texts = ["the same line again"] * 500
    raw = "\n".join(texts).encode()
    assert _compressed(texts).value == pytest.approx(len(raw) / len(zlib.compress(raw, 6)))
    assert _compressed(["é" * 400_000]).value == pytest.approx(1000, rel=0.1)
    assert _compressed(["x"]).value == pytest.approx(1 / 9)
    assert {_compressed(none).value for none in ([], [""], ["", " \n"])} == {None}


def test_n_counts_the_documents_whose_words_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["word " * 900], [""], ["other " * 900], ["more " * 900], []]
    names = ("corpus_hdd", "vocabulary_1k", "vocabulary_10k", "corpus_mtld")
    assert {_traits(rows)[name].n for name in names} == {3}
    monkeypatch.setattr(diversity, "CORPUS_WORDS", 900)
    assert _traits(rows)["corpus_mtld"].n == 1
    rows = [["a " * 999], ["b"], ["c"]]
    assert _traits(rows)["vocabulary_1k"].n == 2


def test_nothing_to_read() -> None:
    found = _traits([])
    assert {estimate.value for estimate in found.values()} == {None}


@given(
    st.lists(st.lists(st.sampled_from(("a b c", "a", "", "d e f g a", "b " * 60)), max_size=3), max_size=12),
    st.integers(1, 12),
)
def test_documents_in_blocks_are_those_together(rows: list[list[str]], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diversity, "CORPUS_WORDS", 40)
        patch.setattr(diversity, "WINDOW_WORDS", 7)
        patch.setattr(diversity, "COMPRESSED_BYTES", 50)
        assert _traits(rows, block=block) == _traits(rows)
        texts = [" ".join(row) for row in rows]
        assert _compressed(texts, block=block) == _compressed(texts)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=42, max_size=120), st.integers(1, 9))
def test_a_corpus_against_counting_its_words(words: list[str], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diversity, "WINDOW_WORDS", size)
        found = {name: estimate.value for name, estimate in _traits([[word] for word in words], block=5).items()}
    counts = Counter(words)
    windows = [len(set(words[i : i + size])) for i in range(0, len(words) // size * size, size)]
    assert found["vocabulary_1k"] == pytest.approx(np.mean(windows))
    assert found["hapax_share"] == pytest.approx(sum(n == 1 for n in counts.values()) / len(counts))
    assert found["word_entropy_bits"] == pytest.approx(stats.entropy(list(counts.values()), base=2), abs=1e-9)
    assert found["corpus_hdd"] == pytest.approx(diversity.hdd(np.array(list(counts.values()))))
    assert found["corpus_yule_k"] == pytest.approx(diversity.yule_k(np.array(list(counts.values()))))
    if len(words) >= diversity.MTLD_WORDS:
        assert found["corpus_mtld"] == pytest.approx(_slow_mtld([ord(word) for word in words]))


def test_distinct_words_are_counted_per_document() -> None:
    np.testing.assert_array_equal(diversity.distinct(np.array([5, 5, 1, 5]), np.array([0, 2, 2, 4])), [1, 0, 2])
