from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textstat.backend.selections import list_words

import traitcast.profiler.text.scan
from traitcast.profiler.text.documents import SegmentRows
from traitcast.profiler.text.kept_words import document_hashes
from traitcast.profiler.text.scan import BLANK, COUNTS, Chunk, scan

HELLO_WORLD = [17959398819273886847, 2853273985098254490]
HELLO_WORLD_ROW = [15849218055973595174]


def _rows(rows: list[list[str]]) -> SegmentRows:
    offsets = np.cumsum([0, *(len(row) for row in rows)]).astype(np.int64)
    return SegmentRows(pa.array([text for row in rows for text in row], pa.string()), offsets)


def _scan(rows: list[list[str]]) -> list[Chunk]:
    return list(scan(_rows(rows)))


def _count(chunk: Chunk, name: str) -> list[int]:
    return chunk.counts[:, COUNTS.index(name)].tolist()


def test_character_counts_by_hand() -> None:
    (chunk,) = _scan([["Été 42!\n", "No."], [""], []])
    expected = {
        "characters": [11, 0, 0],
        "segments": [2, 1, 0],
        "filled": [2, 0, 0],
        "lines": [2, 0, 0],
        "runs": [3, 0, 0],
        "words": [3, 0, 0],
        "word_characters": [7, 0, 0],
        "non_ascii": [2, 0, 0],
        "upper": [2, 0, 0],
        "alphabetic": [5, 0, 0],
        "digit": [2, 0, 0],
        "punctuation": [2, 0, 0],
        "whitespace": [2, 0, 0],
        "symbol": [0, 0, 0],
        "latin": [5, 0, 0],
    }
    assert {name: _count(chunk, name) for name in COUNTS} == expected


def test_symbols_scripts_and_the_segment_of_a_word() -> None:
    (chunk,) = _scan([["1 + 1 = $2 😀", "мир ab"], [], ["", "c"]])
    assert _count(chunk, "symbol") == [4, 0, 0]
    assert (_count(chunk, "latin"), _count(chunk, "alphabetic")) == ([2, 0, 1], [5, 0, 1])
    assert chunk.word_row.tolist() == [0, 0, 0, 0, 0, 2]
    assert chunk.word_segment.tolist() == [0, 0, 0, 1, 1, 1]


def test_blank_segments_and_blank_lines_are_not_counted() -> None:
    (chunk,) = _scan([["a\n\n b\n", "", "c"], [" \n ", "\nd"], [], ["\n"], ["e", "f"]])
    assert _count(chunk, "segments") == [3, 2, 0, 1, 2]
    assert _count(chunk, "filled") == [2, 1, 0, 0, 2]
    assert _count(chunk, "lines") == [3, 1, 0, 0, 2]


def test_upper_case_characters_that_are_no_letters_are_no_upper_case_letters() -> None:
    (chunk,) = _scan([["a\u24b6\u2167B"]])  # a circled letter and a Roman numeral
    assert (_count(chunk, "upper"), _count(chunk, "alphabetic")) == ([1], [2])


# Letters whose lower case has two code points are left out: the hash keeps them as they are.
texts = st.text(
    alphabet=st.sampled_from("aB'stdvelr re-_.,!?\"’ \t\n\u00a0é7٣中😀#@"),
    max_size=30,
)


@given(st.lists(st.lists(texts, max_size=3), min_size=1, max_size=5))
def test_words_are_those_of_textstat(rows: list[list[str]]) -> None:
    (chunk,) = _scan(rows)
    words = [[word for text in row for word in list_words(text, lowercase=True)] for row in rows]
    assert _count(chunk, "words") == [len(row) for row in words]
    assert _count(chunk, "runs") == [sum(len(text.split()) for text in row) for row in rows]
    assert _count(chunk, "characters") == [sum(map(len, row)) for row in rows]
    assert _count(chunk, "filled") == [sum(bool(text.strip()) for text in row) for row in rows]
    assert _count(chunk, "lines") == [sum(bool(line.strip()) for t in row for line in t.split("\n")) for row in rows]
    flat = [word for row in words for word in row]
    numbers: dict[str, int] = {}
    for word, number in zip(flat, chunk.words.tolist(), strict=True):
        assert numbers.setdefault(word, number) == number
    assert len(set(numbers.values())) == len(numbers)
    assert chunk.word_row.tolist() == [i for i, row in enumerate(words) for _ in row]


@given(st.lists(st.lists(texts, max_size=3), min_size=1, max_size=6))
def test_row_hashes_are_equal_exactly_for_equal_rows(rows: list[list[str]]) -> None:
    (chunk,) = _scan(rows)
    hashes: dict[tuple[str, ...], int] = {}
    for row, number in zip(rows, chunk.row_hash.tolist(), strict=True):
        assert hashes.setdefault(tuple(row), number) == number
    assert len(set(hashes.values())) == len(hashes)


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["one two", "three"], [], ["fo'ur " * 9], ["é" * 50], ["five"]]
    (whole,) = _scan(rows)
    monkeypatch.setattr(traitcast.profiler.text.scan, "CHUNK_BYTES", 16)
    pieces = _scan(rows)
    assert len(pieces) > 2
    assert [piece.first_row for piece in pieces] == np.cumsum([0, *(len(p.counts) for p in pieces[:-1])]).tolist()
    np.testing.assert_array_equal(np.concatenate([p.counts for p in pieces]), whole.counts)
    np.testing.assert_array_equal(np.concatenate([p.row_hash for p in pieces]), whole.row_hash)
    np.testing.assert_array_equal(np.concatenate([p.words for p in pieces]), whole.words)


spaced = st.lists(st.sampled_from(["Don't", "é!", "中文", "a_b", "--", "\n", "\u3000", "😀", ""]), max_size=20).map(
    " ".join
)


@given(st.lists(spaced, min_size=1, max_size=4))
def test_the_pieces_of_a_long_row_do_not_change_it(row: list[str]) -> None:
    (whole,) = _scan([row])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traitcast.profiler.text.scan, "CHUNK_BYTES", 20)
        patch.setattr(traitcast.profiler.text.scan, "PIECE_BYTES", 12)
        (long,) = _scan([row])
    for name in Chunk.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(long, name), getattr(whole, name), err_msg=name)


def test_a_run_without_white_space_is_cut_between_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    row = ["é" * 25, "x y"]
    (whole,) = _scan([row])
    monkeypatch.setattr(traitcast.profiler.text.scan, "CHUNK_BYTES", 9)
    monkeypatch.setattr(traitcast.profiler.text.scan, "PIECE_BYTES", 9)
    (long,) = _scan([row])
    assert _count(long, "words") == [7 + 2]
    assert long.word_segment.tolist() == [0] * 7 + [1, 1]
    assert long.row_hash.tolist() == whole.row_hash.tolist()
    assert _count(long, "characters") == _count(whole, "characters") == [28]


def test_a_row_returns_its_first_words_and_counts_all(monkeypatch: pytest.MonkeyPatch) -> None:
    row = ["it's one 中文 two", "three " * 9]
    (whole,) = _scan([row])
    monkeypatch.setattr(traitcast.profiler.text.scan, "CHUNK_BYTES", 20)
    monkeypatch.setattr(traitcast.profiler.text.scan, "PIECE_BYTES", 12)
    monkeypatch.setattr(traitcast.profiler.text.scan, "ROW_WORDS", 5)
    (long,) = _scan([row])
    assert _count(long, "words") == [13]
    for name in ("words", "plain_words", "word_segment", "characters", "word_row", "character_row"):
        np.testing.assert_array_equal(getattr(long, name), getattr(whole, name)[:5])


def test_white_space_is_what_python_takes_for_it() -> None:
    every = pa.array([chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000])
    found = pc.match_substring_regex(every, f"[{BLANK}]").to_pylist()
    assert every.filter(pa.array(found)).to_pylist() == [c for c in every.to_pylist() if c.isspace()]


def test_hashes_are_the_same_on_every_machine() -> None:
    (chunk,) = _scan([["Hello world"]])
    assert chunk.words.tolist() == HELLO_WORLD
    assert chunk.row_hash.tolist() == HELLO_WORLD_ROW


def test_a_text_longer_than_the_table_of_powers() -> None:
    a, b = "x" * 70_000 + "y", "y" + "x" * 70_000
    (chunk,) = _scan([[a], [b], [a]])
    assert chunk.row_hash[0] == chunk.row_hash[2] != chunk.row_hash[1]
    assert chunk.words[0] == chunk.words[2] != chunk.words[1]


def test_words_without_apostrophes_are_the_same_however_they_are_written() -> None:
    (chunk,) = _scan([["Don't go, it's John's."], ["DON'T GO, IT'S JOHN'S"], ["don’t go, its johns"], ["do not go"]])
    rows = [chunk.plain_words[chunk.word_row == row].tolist() for row in range(4)]
    assert rows[0] == rows[1] == rows[2] != rows[3]
    assert chunk.words[chunk.word_row == 0].tolist() != chunk.words[chunk.word_row == 1].tolist()
    assert document_hashes(chunk)[:3].tolist() == [document_hashes(chunk)[0]] * 3
    (plain,) = _scan([["no mark"]])
    assert plain.plain_words.tolist() == plain.words.tolist()


def test_letters_of_scripts_without_spaces_are_split() -> None:
    (chunk,) = _scan([["plain words"], ["中文abc ไทย"], ["あ"]])
    assert chunk.character_row.tolist() == [1] * 6 + [2]
    (alone,) = _scan([["abc"], ["中"]])
    assert chunk.characters[2] == alone.words[0]
    assert chunk.characters[0] == alone.words[1]
    assert chunk.counts[:, COUNTS.index("words")].tolist() == [2, 2, 1]


def test_long_runs_are_hashed_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash of a run does not depend on where the blocks of it end."""
    values = np.arange(1000, dtype=np.uint32) * 7919
    for starts in ([0], [0, 1, 99, 100, 101, 500, 999], range(1000)):
        at = np.array(starts)
        monkeypatch.setattr(traitcast.profiler.text.scan, "CHUNK_BYTES", 1 << 20)
        whole = traitcast.profiler.text.scan.hash_runs(values, at)
        for size in (1, 7, 100, 1000):
            monkeypatch.setattr(traitcast.profiler.text.scan, "CHUNK_BYTES", size)
            assert (traitcast.profiler.text.scan.hash_runs(values, at) == whole).all()
