from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from traitcast.profiler.parsing import fast_transitions
from traitcast.profiler.parsing.parser import Parser


def test_a_kept_table_is_what_the_layer_gives() -> None:
    from spacy.ml._precomputable_affine import PrecomputableAffine

    layer: Any = PrecomputableAffine(nO=5, nI=4, nF=3, nP=2)
    layer.initialize()
    table = fast_transitions.Table(layer)
    rng = np.random.default_rng(0)
    for tokens in (3, 40, 1, 50):
        vectors = rng.normal(size=(tokens, 4)).astype(np.float32)
        np.testing.assert_allclose(table.fill(vectors), layer.predict(vectors), rtol=0, atol=1e-6)


def test_tables_share_memory_between_batches(parser: Parser) -> None:
    pipe: Any = parser.nlp.get_pipe("parser")
    layer = pipe.model.get_ref("lower")
    table = layer.attrs["table"]
    long, short = (np.ones((n, layer.get_dim("nI")), dtype=np.float32) for n in (20, 10))
    assert np.shares_memory(table.fill(long), table.fill(short))


@pytest.mark.parametrize("moves", [set(), {1}])
def test_scores_are_those_of_spacy(parser: Parser, moves: set[int]) -> None:
    """Also when some moves were never seen in training."""
    pipe: Any = parser.nlp.get_pipe("parser")
    docs = [parser.nlp.make_doc(text) for text in ("Dogs chase cats.", "It rains in Rome, they say.")]
    docs = fast_transitions.annotate(parser.nlp.get_pipe("tok2vec"), docs)
    states = pipe.moves.init_batch(docs)
    model = pipe.model.predict(docs)
    for move in moves:
        model.mark_class_unseen(move)
    np.testing.assert_array_equal(fast_transitions._scorer(model, moves)(states), model.predict(states))


def test_a_beam_is_left_to_spacy(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    import spacy

    nlp = spacy.load(parser.model.split()[0], exclude=["lemmatizer", "ner"])
    pipe: Any = nlp.get_pipe("parser")
    monkeypatch.setitem(pipe.cfg, "beam_width", 4)
    fast_transitions.keep_tables(nlp)
    assert pipe.model.get_ref("lower").name == "precomputable_affine"
    text = "The dogs that chase cats sleep."
    (found,) = fast_transitions.annotate(pipe, [nlp(text, disable=["parser"])])
    assert found.has_annotation("DEP")
    assert [token.head.i for token in found] == [token.head.i for token in nlp(text)]
