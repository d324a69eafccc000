from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from textstat.backend.selections import list_words

from traitcast.profiler.text.documents import documents
from traitcast.profiler.text.words import read_words, words


@given(st.text(max_size=60))
def test_words_are_those_of_textstat(text: str) -> None:
    assert words(text) == list_words(text, lowercase=True)


def test_words_of_documents_follow_the_segments() -> None:
    docs = documents([["b a", "b"], [], ["c", "b a"]])
    vocabulary = read_words(docs.texts)
    found = vocabulary.of_documents(docs)
    assert [vocabulary.types[i] for i in found.ids] == ["b", "a", "b", "c", "b", "a"]
    assert found.offsets.tolist() == [0, 3, 3, 6]
    assert found.borders.tolist() == [0, 2, 3, 4, 6]
    assert len(found) == 3


def test_a_word_has_one_hash_in_every_vocabulary() -> None:
    first, second = read_words(["the cat", "é"]), read_words(["a dog", "cat é the"])
    of_second = dict(zip(second.types, second.hashes.tolist(), strict=True))
    assert [of_second[word] for word in first.types] == first.hashes.tolist()
    assert len(set(of_second.values())) == 5
    assert read_words([]).hashes.tolist() == []
