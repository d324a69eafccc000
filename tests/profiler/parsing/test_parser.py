from __future__ import annotations

import gc
import json
import multiprocessing
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traitcast.profiler.parsing import fast_transitions
from traitcast.profiler.parsing import parser as parse
from traitcast.profiler.parsing.parser import Parser
from traitcast.profiler.traits import linguistic
from traitcast.warehouse.errors import TraitcastError, UserError

ODD = ("", "#", "word", "😀", "12345", "?!...", " \n\t", "你好 世界", "a\u0000b", "\u200b", "\ufffd" * 3, "e\u0301")
PROSE = tuple(f"Sentence number {i} talks about {w}, doesn't it?" for i, w in enumerate(("cats", "Rome", "it") * 30))


def test_unknown_model_names_the_command() -> None:
    with pytest.raises(UserError, match=r"en_core_web_xl.*python -m spacy download en_core_web_xl"):
        Parser.load("en_core_web_xl")


def test_a_model_without_a_parser_is_refused(tmp_path: object) -> None:
    import spacy

    spacy.blank("en").to_disk(str(tmp_path))
    with pytest.raises(UserError, match=r"no tagger and no parser.*--spacy-model"):
        Parser.load(str(tmp_path))


def test_processes_do_not_change_a_bit(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "BATCH_CHARACTERS", 700)
    flags = [i % 3 == 0 for i in range(len(PROSE))]
    one = parser.count(PROSE, entities=flags, processes=1)
    two = parser.count(PROSE, entities=flags, processes=2)
    np.testing.assert_array_equal(one.counts, two.counts)
    np.testing.assert_array_equal(one.entities, two.entities)


def test_moves_walked_here_are_those_of_spacy(parser: Parser) -> None:
    texts = [*PROSE, *ODD, "In 1969 Neil Armstrong, chosen by NASA, went to the Moon. New York paid him $4 million."]
    attributes: list[int | str] = ["HEAD", "DEP", "SENT_START", "ENT_IOB", "ENT_TYPE"]
    docs = [parser.nlp.make_doc(text) for text in texts]
    for _, pipe in parser.nlp.pipeline:
        docs = fast_transitions.annotate(pipe, docs)
    for doc, text in zip(docs, texts, strict=True):
        np.testing.assert_array_equal(doc.to_array(attributes), parser.nlp(text).to_array(attributes))
    assert any(doc.ents for doc in docs)


def test_the_tables_of_a_batch_do_not_outlive_it(parser: Parser) -> None:
    """What the parser holds of a batch would wait for the collector of circles, which runs when it likes."""
    texts = [f"{'. '.join(PROSE)} {i}" for i in range(10)]
    # The parser's table, 4 KB a token, is kept for the next batch.
    parser.count(texts, entities=[True] * 10, processes=1)
    gc.disable()
    tracemalloc.start()
    try:
        parser.count(texts, entities=[True] * 10, processes=1)
        left, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert most > 3_000_000
    assert left < 1_000_000


def test_entities_only_where_asked(parser: Parser) -> None:
    counts = parser.count(["Rome is old.", "Rome is old."], entities=[True, False], processes=1)
    assert counts.entities[0].tolist()[1] == 1
    assert np.isnan(counts.entities[1]).all()
    np.testing.assert_array_equal(counts.counts[0], counts.counts[1])


def test_batch_neighbours_change_nothing(parser: Parser) -> None:
    together = parser.count(PROSE[:20] + ODD, processes=1).counts
    alone = np.concatenate([parser.count([text], processes=1).counts for text in PROSE[:20] + ODD])
    np.testing.assert_allclose(together, alone)


def test_words_beyond_those_that_are_kept_are_forgotten(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"Mr. Smith{i}, who paid $4.{i} for un-re{i}able x{i}y, didn't go to Rome{i}." for i in range(40)]
    flags = [True] * len(texts)
    monkeypatch.setattr(parse, "KEPT_WORDS", 0)
    before = len(parser.nlp.vocab.strings)
    forgotten = [parser.count(texts, entities=flags, processes=1) for _ in range(2)]
    assert len(parser.nlp.vocab.strings) == before
    monkeypatch.undo()
    kept = parser.count(texts, entities=flags, processes=1)
    assert len(parser.nlp.vocab.strings) > before
    for found in forgotten:
        np.testing.assert_array_equal(found.counts, kept.counts)
        np.testing.assert_array_equal(found.entities, kept.entities)


def test_no_texts(parser: Parser) -> None:
    assert parser.count([]).counts.shape == (0, len(parse.COUNTS))


def test_long_texts_are_parsed_in_pieces_cut_at_whitespace(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "PIECE_CHARACTERS", 40)
    text = "Dogs chase cats. " * 12
    assert "".join(parse.split_long(text)) == text
    assert max(map(len, parse.split_long(text))) <= 40
    assert all(piece.endswith(" ") for piece in parse.split_long(text))
    assert [len(piece) for piece in parse.split_long("x" * 100)] == [40, 40, 20]
    counts = parser.count([text, "Dogs."], processes=1).counts
    assert counts[:, parse.COUNTS.index("tokens")].tolist() == [48, 2]


@pytest.mark.parametrize("mark", ["!", "(", "'", "😀", "a-", "x"])
def test_a_run_without_whitespace_takes_no_quadratic_time(parser: Parser, mark: str) -> None:
    import time

    started = time.process_time()
    counts = parser.count([mark * 5_000], processes=1)
    assert time.process_time() - started < 5  # 20 s and more before runs were cut
    assert counts.counts[0, 0] >= 25


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_counts_of_any_text_are_finite_and_shares_of_tokens(parser: Parser, texts: list[str]) -> None:
    counts = parser.count(texts, entities=[True] * len(texts), processes=1)
    assert np.isfinite(counts.counts).all()
    assert (counts.counts >= 0).all()
    for values in linguistic.document_traits(counts.counts[:, : len(linguistic.COUNTS)]).values():
        assert (values[np.isfinite(values)] >= 0).all()


def test_a_dead_worker_is_an_error_and_no_hang(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork on this system")
    monkeypatch.setattr(parse, "_count_shared", _die)
    monkeypatch.setattr(parse, "BATCH_CHARACTERS", 700)
    with pytest.raises(TraitcastError, match=r"parsing process died.*--processes 1"):
        parser.count(PROSE, processes=2)


def _die(batch: parse.TextBatch) -> None:
    os._exit(1)


def test_importing_the_module_loads_no_spacy() -> None:
    code = (
        "import sys, json, traitcast.profiler.parsing.parser, traitcast.profiler.profile; "
        "print(json.dumps([m for m in sys.modules]))"
    )
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert not {"spacy", "textstat", "torch", "datasets", "pandas"} & set(loaded)
