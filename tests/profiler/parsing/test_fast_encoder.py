from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from traitcast.profiler.parsing import fast_encoder
from traitcast.profiler.parsing import parser as parse
from traitcast.profiler.parsing.fast_encoder import Encoder, compile_encoder
from traitcast.profiler.parsing.parser import Parser, _use_numpy_blas

TEXTS = (
    "In 1969 Neil Armstrong, chosen by NASA, went to the Moon. New York paid him $4 million.",
    "",
    "I can't  believe\n\n it's 3.5 % cheaper :) isn't it?",
    "x",
    *(
        f"Sentence {i} talks about {w}, doesn't it?"
        for i, w in enumerate(("cats", "Rome", "naïve", "😀", "ÅNGSTRÖM") * 20)
    ),
)


@pytest.fixture(scope="module")
def nlp(parser: Parser) -> Any:
    """The pipeline as spaCy runs it."""
    import spacy

    nlp = spacy.load(parser.model.split()[0], exclude=["lemmatizer"])
    _use_numpy_blas(nlp)
    return nlp


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with parse.one_thread():
        yield


def models(nlp: Any) -> list[Any]:
    return [nlp.get_pipe("tok2vec").model, nlp.get_pipe("ner").model.get_ref("tok2vec").layers[0]]


def compiled(nlp: Any, which: int = 0) -> Encoder:
    found = compile_encoder(models(nlp)[which], [nlp.make_doc("One two.")])
    assert found is not None
    return found


@pytest.mark.parametrize("which", [0, 1])
def test_vectors_are_those_of_spacy(nlp: Any, which: int) -> None:
    docs = [nlp.make_doc(text) for text in TEXTS]
    for mine, theirs in zip(compiled(nlp, which).encode(docs), models(nlp)[which].predict(docs), strict=True):
        assert mine.dtype == np.float32
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("block", [1, 2, 7, 32])
def test_blocks_change_nothing_but_rounding(nlp: Any, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = [nlp.make_doc(text) for text in TEXTS[:8]]
    expected = np.concatenate(compiled(nlp).encode(docs))
    monkeypatch.setattr(fast_encoder, "BLOCK", block)
    np.testing.assert_allclose(np.concatenate(compiled(nlp).encode(docs)), expected, rtol=0, atol=1e-5)


def test_what_was_read_before_changes_no_bit(nlp: Any) -> None:
    docs = [nlp.make_doc(text) for text in TEXTS]
    fresh, warm = compiled(nlp), compiled(nlp)
    for text in TEXTS[::-1]:
        warm.encode([nlp.make_doc(text)])
    for mine, theirs in zip(fresh.encode(docs), warm.encode(docs), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_full_table_starts_anew_and_gives_the_same(nlp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = [nlp.make_doc(text) for text in TEXTS]
    expected = [compiled(nlp).encode([doc])[0] for doc in docs]
    monkeypatch.setattr(fast_encoder, "TABLE_WORDS", 20)
    small = compiled(nlp)
    for doc, vectors in zip(docs, expected, strict=True):
        np.testing.assert_array_equal(small.encode([doc])[0], vectors)
        # One batch may have more words than the table, and the next one then forgets them.
        assert len(small._keys) < 40


def test_no_tokens(nlp: Any) -> None:
    assert [v.shape for v in compiled(nlp).encode([nlp.make_doc(""), nlp.make_doc("")])] == [(0, 96), (0, 96)]
    assert compiled(nlp).encode([]) == []


def test_annotations_are_those_of_spacy(nlp: Any, parser: Parser) -> None:
    attributes: list[int | str] = ["TAG", "POS", "DEP", "HEAD", "SENT_START", "ENT_IOB", "ENT_TYPE"]
    for text in TEXTS:
        np.testing.assert_array_equal(parser.nlp(text).to_array(attributes), nlp(text).to_array(attributes))


def test_a_pipeline_of_another_architecture_is_left_alone() -> None:
    """A window of two, as a transformer, is none of ours: spaCy's own layers run."""
    import spacy

    nlp: Any = spacy.blank("en")
    wide: dict[str, Any] = {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "pretrained_vectors": None,
        "width": 16,
        "depth": 2,
        "embed_size": 50,
        "window_size": 2,
        "maxout_pieces": 3,
        "subword_features": True,
    }
    other = {**wide, "window_size": 1, "maxout_pieces": 1}
    for name, settings in (("wide", wide), ("mish", other)):
        nlp.add_pipe("tok2vec", name=name, config={"model": settings})
    nlp.initialize()
    before = [nlp.get_pipe(name).model for name in ("wide", "mish")]
    assert fast_encoder.install(nlp) == 0
    assert [nlp.get_pipe(name).model for name in ("wide", "mish")] == before
    assert nlp("It still runs.").tensor.shape == (4, 16)


def test_any_depth_width_and_attributes_are_expressed() -> None:
    import spacy

    nlp = spacy.blank("en")
    embed = {
        "@architectures": "spacy.MultiHashEmbed.v2",
        "width": 24,
        "attrs": ["LOWER", "SHAPE"],
        "rows": [60, 40],
        "include_static_vectors": False,
    }
    encode = {
        "@architectures": "spacy.MaxoutWindowEncoder.v2",
        "width": 24,
        "depth": 2,
        "window_size": 1,
        "maxout_pieces": 2,
    }
    nlp.add_pipe("tok2vec", config={"model": {"@architectures": "spacy.Tok2Vec.v2", "embed": embed, "encode": encode}})
    nlp.initialize()
    expected = [nlp(text).tensor for text in TEXTS]
    assert fast_encoder.install(nlp) == 1
    for text, theirs in zip(TEXTS, expected, strict=True):
        np.testing.assert_allclose(nlp(text).tensor.reshape(theirs.shape), theirs, rtol=0, atol=1e-5)


def test_an_encoder_that_gives_other_vectors_is_not_used(nlp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_encoder, "_EPSILON", 0.5)
    with pytest.raises(ValueError, match="other token vectors"):
        compile_encoder(models(nlp)[0], [nlp.make_doc("One two.")])
