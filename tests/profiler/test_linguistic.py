from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc

from profiler import linguistic
from profiler.parse import Parser

STORED = Path(__file__).parent.parent / "data" / "textdescriptives.json"
ENTITY = len(linguistic.ENTITY_COUNTS)
REFERENCE_TEXTS = (
    "The quick brown fox jumps over the lazy dog. It didn't see him, did it?  Never mind!",
    "How many legs do three spiders have? Each spider has eight legs.\nSo there are 24 legs.",
    "In 1969 Neil Armstrong, who had been chosen by NASA, became the first person to walk on the Moon.",
    "no. .",
    "word",
    "Write a function that returns the sum of two numbers, and print(x) it.",
)


def _traits(parser: Parser, text: str) -> dict[str, float]:
    counts = parser.count([text], processes=1).counts[:, : len(linguistic.COUNTS)]
    return {name: float(values[0]) for name, values in linguistic.traits(counts).items()}


def _textdescriptives(doc: Doc) -> dict[str, float]:
    """What textdescriptives says of a document, under our names."""
    return {
        "dependency_distance_mean": float(doc._.dependency_distance["dependency_distance_mean"]),
        "adjacent_dependency_share": float(doc._.dependency_distance["prop_adjacent_dependency_relation_mean"]),
    } | {f"pos_{tag.lower()}_share": float(doc._.pos_proportions[f"pos_prop_{tag}"]) for tag in linguistic.POS}


@pytest.mark.parametrize("text", REFERENCE_TEXTS)
def test_shared_traits_against_stored_textdescriptives(parser: Parser, text: str) -> None:
    """The stored numbers of textdescriptives 2.8.4: it asks for NumPy 1, so it cannot always be installed beside us."""
    expected = json.loads(STORED.read_text(encoding="utf-8"))["traits"][text]
    found = _traits(parser, text)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("text", REFERENCE_TEXTS)
def test_shared_traits_against_textdescriptives(parser: Parser, text: str) -> None:
    pytest.importorskip("textdescriptives", reason="the reference implementation is not installed")
    nlp = spacy.load(parser.model.split()[0])
    for component in ("dependency_distance", "pos_proportions"):
        nlp.add_pipe(f"textdescriptives/{component}")
    expected = _textdescriptives(nlp(text))
    assert json.loads(STORED.read_text(encoding="utf-8"))["traits"][text] == pytest.approx(expected, abs=1e-6)
    found = _traits(parser, text)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("text", REFERENCE_TEXTS)
def test_tree_traits_against_a_walk_over_the_same_tree(parser: Parser, text: str) -> None:
    doc = spacy.load(parser.model.split()[0])(text)
    depths = [max(len(list(token.ancestors)) for token in sentence) for sentence in doc.sents]
    found = _traits(parser, text)
    assert found["tree_depth_mean"] == pytest.approx(np.mean(depths))
    for relation in linguistic.RELATIONS:
        expected = sum(token.dep_ == relation for token in doc) / len(doc)
        assert found[f"dep_{relation}_share"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "trait", "expected"),
    [
        ("Where is the station?", "question_share", 1),
        ("what is the capital of france", "question_share", 1),
        ("She left. Did he stay?", "question_share", 0.5),
        ("When it rained, we left.", "question_share", 0),
        ('"Where?"', "question_share", 1),
        ("Write a short poem about the sea.", "imperative_share", 1),
        ("Do not touch the glass.", "imperative_share", 1),
        ("She wrote a poem.", "imperative_share", 0),
        ("You should write a poem.", "imperative_share", 0),
        ("The book was written by her.", "passive_share", 1),
        ("She wrote the book.", "passive_share", 0),
        ("She wrote the book.", "past_tense_share", 1),
        ("She writes books and he can read.", "past_tense_share", 0),
        ("She writes books and he can read.", "present_tense_share", 0.5),
        ("I do not know.", "negation_share", 1 / 5),
        ("We can go.", "modal_share", 1 / 4),
        ("I like you.", "first_person_share", 1 / 4),
        ("I like you.", "second_person_share", 1 / 4),
        ("They like it.", "third_person_share", 2 / 4),
        ("She is taller.", "comparative_share", 1 / 4),
        ("She is the tallest.", "superlative_share", 1 / 5),
        ("I know that she left because it rained.", "clauses_per_sentence", 3),
        ("I know that she left because it rained.", "subordinate_clause_share", 2 / 3),
        ("The dog chased the cat.", "noun_verb_ratio", 2),
        ("The dog chased the cat.", "content_word_share", 3 / 6),
        ("The dog chased the cat.", "tree_depth_mean", 2),
    ],
)
def test_by_hand(parser: Parser, text: str, trait: str, expected: float) -> None:
    assert _traits(parser, text)[trait] == pytest.approx(expected)


def test_entities_by_hand(parser: Parser) -> None:
    text = "Barack Obama visited Paris on Monday."
    (sums,) = parser.count([text], entities=[True], processes=1).entities
    counts = dict(zip(linguistic.ENTITY_COUNTS, sums.tolist(), strict=True))
    assert counts["entity_tokens"] == 7
    assert (counts["entities"], counts["entity_person"], counts["entity_place"], counts["entity_time"]) == (3, 1, 1, 1)
    found = linguistic.entity_traits(sums[None, :])
    assert found["entities_per_100_tokens"][0] == pytest.approx(300 / 7)
    assert found["entity_number_share"][0] == 0


def test_no_token_means_undefined(parser: Parser) -> None:
    assert all(math.isnan(value) for value in _traits(parser, "").values())
    undefined = linguistic.entity_traits(np.zeros((1, ENTITY)))
    assert all(math.isnan(values[0]) for values in undefined.values())


def test_a_chain_of_a_thousand_heads() -> None:
    head = np.maximum(np.arange(1000) - 1, 0)
    np.testing.assert_array_equal(linguistic._depths(head), np.arange(1000))
