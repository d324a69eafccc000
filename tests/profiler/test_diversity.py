from __future__ import annotations

import math
import zlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from profiler import diversity
from profiler.segments import documents
from profiler.vocabulary import read_words


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
    docs = documents([[unique], ["the cat sat " * 20]])
    vocabulary = read_words(docs.texts)
    found = diversity.traits(vocabulary.of_documents(docs), vocabulary, rows=2)
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
    assert diversity.window_types(np.array([1, 1, 2, 3, 3, 3, 9]), 3) == 1.5
    assert math.isnan(diversity.window_types(np.array([1, 2]), 3))


def test_traits_by_hand() -> None:
    docs = documents([["The cat, the dog."], ["a"], [""], []])
    vocabulary = read_words(docs.texts)
    found = diversity.traits(vocabulary.of_documents(docs), vocabulary, rows=4)
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
    docs = documents([["a b c d e f g h i j"], ["a b " * 10]])
    vocabulary = read_words(docs.texts)
    found = diversity.traits(vocabulary.of_documents(docs), vocabulary, rows=2)["maas"]
    assert found.value == pytest.approx((0 + (math.log(20) - math.log(2)) / math.log(20) ** 2) / 2)


def test_compression() -> None:
    texts = ["the same line again"] * 500
    raw = "\n".join(texts).encode()
    assert diversity.compression_ratio(texts).value == pytest.approx(len(raw) / len(zlib.compress(raw, 6)))
    assert diversity.compression_ratio(["é" * 400_000]).value == pytest.approx(1000, rel=0.1)
    assert diversity.compression_ratio(["x"]).value == pytest.approx(1 / 9)
    assert {diversity.compression_ratio(none).value for none in ([], [""], ["", " \n"])} == {None}


def test_n_counts_the_documents_whose_words_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    docs = documents([["word " * 900], [""], ["other " * 900], ["more " * 900], []])
    vocabulary = read_words(docs.texts)
    read = vocabulary.of_documents(docs)
    monkeypatch.setattr(diversity, "CORPUS_WORDS", 900)
    found = diversity.traits(read, vocabulary, rows=5)
    assert {name: found[name].n for name in ("corpus_hdd", "vocabulary_1k", "vocabulary_10k", "corpus_mtld")} == {
        "corpus_hdd": 3,
        "vocabulary_1k": 3,
        "vocabulary_10k": 3,
        "corpus_mtld": 1,
    }


def test_nothing_to_read() -> None:
    docs = documents([])
    vocabulary = read_words(docs.texts)
    found = diversity.traits(vocabulary.of_documents(docs), vocabulary, rows=0)
    assert {estimate.value for estimate in found.values()} == {None}


def test_distinct_words_are_counted_per_document() -> None:
    np.testing.assert_array_equal(diversity.distinct(np.array([5, 5, 1, 5]), np.array([0, 2, 2, 4])), [1, 0, 2])
