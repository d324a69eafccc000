from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc

from traitcast.profiler.parsing.parser import Parser
from traitcast.profiler.traits import linguistic

STORED = Path(__file__).parents[2] / "data" / "textdescriptives.json"
ENTITY = len(linguistic.ENTITY_COUNTS)
# Double spaces and line breaks are tokens to spaCy and to textdescriptives, and none to us.
REFERENCE_TEXTS = (
    "The quick brown fox jumps over the lazy dog. It didn't see him, did it?  Never mind!",
    "How many legs do three spiders have? Each spider has eight legs.\nSo there are 24 legs.",
    "In 1969 Neil Armstrong, who had been chosen by NASA, became the first person to walk on the Moon.",
    "no. .",
    "word",
    "Write a function that returns the sum of two numbers, and print(x) it.",
    "\n\n  He paid $4 for each  of the\n3 apples. \n\n So he paid\t12.\n",
)


def _traits(parser: Parser, text: str) -> dict[str, float]:
    counts = parser.count([text], processes=1).counts[:, : len(linguistic.COUNTS)]
    return {name: float(values[0]) for name, values in linguistic.document_traits(counts).items()}


def _without_space(doc: Doc) -> Doc:
    """The same parse without its whitespace tokens, which are leaves."""
    kept = [token for token in doc if not token.is_space]
    place = {token.i: number for number, token in enumerate(kept)}
    opens = {
        next(token.i for token in sentence if not token.is_space) for sentence in doc.sents if sentence.text.strip()
    }
    return Doc(
        doc.vocab,
        words=[token.text for token in kept],
        pos=[token.pos_ for token in kept],
        deps=[token.dep_ for token in kept],
        heads=[place[token.head.i] for token in kept],
        sent_starts=[token.i in opens for token in kept],
    )


def _textdescriptives(doc: Doc) -> dict[str, float]:
    """What textdescriptives says of a document, under our names."""
    return {
        "dependency_distance_mean": float(doc._.dependency_distance["dependency_distance_mean"]),
        "adjacent_dependency_share": float(doc._.dependency_distance["prop_adjacent_dependency_relation_mean"]),
    } | {f"pos_{tag.lower()}_share": float(doc._.pos_proportions[f"pos_prop_{tag}"]) for tag in linguistic.POS}


@pytest.mark.parametrize("text", REFERENCE_TEXTS)
def test_shared_traits_against_stored_textdescriptives(parser: Parser, text: str) -> None:
    """The stored numbers of textdescriptives 2.8.4, on parses without whitespace tokens: it asks for NumPy 1, so it
    cannot always be installed beside us."""
    expected = json.loads(STORED.read_text(encoding="utf-8"))["traits"][text]
    found = _traits(parser, text)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("text", REFERENCE_TEXTS)
def test_shared_traits_against_textdescriptives(parser: Parser, text: str) -> None:
    pytest.importorskip("textdescriptives", reason="the reference implementation is not installed")
    nlp = spacy.load(parser.model.split()[0])
    for component in ("dependency_distance", "pos_proportions"):
        nlp.add_pipe(f"textdescriptives/{component}")
    doc = _without_space(nlp(text))
    for name in ("dependency_distance", "pos_proportions"):
        doc = nlp.get_pipe(f"textdescriptives/{name}")(doc)
    expected = _textdescriptives(doc)
    assert json.loads(STORED.read_text(encoding="utf-8"))["traits"][text] == pytest.approx(expected, abs=1e-6)
    found = _traits(parser, text)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("text", REFERENCE_TEXTS)
def test_tree_traits_against_a_walk_over_the_same_tree(parser: Parser, text: str) -> None:
    doc = _without_space(spacy.load(parser.model.split()[0])(text))
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
        # 7 words: house, old, near, the against she, saw, him.
        ("She saw him near the old house.", "formality", 50 * (1 + (4 - 3) / 7)),
        ("I don't think it's John's.", "contraction_share", 2 / 9),
        ("She sings and he dances.", "coordinate_clause_share", 1 / 2),
        ("The old house burned.", "noun_modifiers_mean", 2),
        # the -> dog, dog -> chased, the -> cat come before; cat comes after its head.
        ("The dog chased the cat.", "left_branching_share", 3 / 4),
        ("The dog chased the cat.", "tokens_before_root_mean", 2),
        ("The dog chased the dog.", "noun_variation", 1 / 2),
        ("She sings and he sings.", "verb_variation", 1 / 2),
        ("A red, red, blue house.", "adjective_variation", 2 / 3),
        ("She very slowly and very sadly left.", "adverb_variation", 3 / 4),
    ],
)
def test_by_hand(parser: Parser, text: str, trait: str, expected: float) -> None:
    assert _traits(parser, text)[trait] == pytest.approx(expected)


def test_the_spread_of_sentence_lengths_against_numpy(parser: Parser) -> None:
    counts = parser.count(["He left. She stayed at home. Why?", "Only one here."], processes=1).counts
    found = linguistic.sentence_spread(counts[:, : len(linguistic.COUNTS)])
    assert found[0] == pytest.approx(np.std([3, 5, 2]))
    assert math.isnan(found[1])


@pytest.mark.parametrize("text", REFERENCE_TEXTS)
def test_new_counts_against_a_walk_over_the_same_tree(parser: Parser, text: str) -> None:
    doc = _without_space(spacy.load(parser.model.split()[0])(text))
    found = _traits(parser, text)
    dependents = [t for t in doc if t.head != t and t.pos_ != "PUNCT"]
    roots = [next(t.i for t in s if t.head == t) - s.start for s in doc.sents]
    assert found["tokens_before_root_mean"] == pytest.approx(np.mean(roots))
    expected = {"left_branching_share": (sum(t.i < t.head.i for t in dependents), len(dependents))}
    for tag, name in linguistic.VARIED.items():
        words = [t.lower_ for t in doc if t.pos_ == tag]
        expected[f"{name}_variation"] = (len(set(words)), len(words))
    for name, (top, bottom) in expected.items():
        assert found[name] == (pytest.approx(top / bottom) if bottom else pytest.approx(math.nan, nan_ok=True))


def test_entities_by_hand(parser: Parser) -> None:
    text = "Barack Obama visited Paris on Monday."
    (sums,) = parser.count([text], entities=[True], processes=1).entities
    counts = dict(zip(linguistic.ENTITY_COUNTS, sums.tolist(), strict=True))
    assert counts["entity_tokens"] == 7
    assert (counts["entities"], counts["entity_person"], counts["entity_place"], counts["entity_time"]) == (3, 1, 1, 1)
    found = linguistic.document_entity_traits(sums[None, :])
    assert found["entities_per_100_tokens"][0] == pytest.approx(300 / 7)
    assert found["entity_number_share"][0] == 0


def test_no_token_means_undefined(parser: Parser) -> None:
    assert all(math.isnan(value) for value in _traits(parser, "").values())
    undefined = linguistic.document_entity_traits(np.zeros((1, ENTITY)))
    assert all(math.isnan(values[0]) for values in undefined.values())


@pytest.mark.parametrize(
    ("text", "spaced"),
    [
        ("I like you.", "I like you.\n\n"),
        ("Where is it?", "\nWhere is it?\n\n\n"),
        ("The dog chased the cat.", "  The dog  chased the   cat.  "),
    ],
)
def test_layout_is_no_syntax(parser: Parser, text: str, spaced: str) -> None:
    plain, laid_out = (_traits(parser, t) for t in (text, spaced))
    assert laid_out == pytest.approx(plain, nan_ok=True)
    counts = parser.count([text, spaced, " \n\n"], entities=[True] * 3, processes=1)
    at = [linguistic.COUNTS.index(name) for name in ("tokens", "sentences")]
    np.testing.assert_array_equal(counts.counts[0, at], counts.counts[1, at])
    np.testing.assert_array_equal(counts.counts[2, at], [0, 0])
    assert counts.entities[0, 0] == counts.entities[1, 0] == counts.counts[0, at[0]]


def test_a_token_whose_head_is_dropped_becomes_a_root() -> None:
    """The English models hang whitespace as a leaf; another model need not."""
    column = np.zeros(5, dtype=np.uint64)
    tokens = linguistic.Tokens(
        segment=np.array([0, 0, 0, 1, 1]),
        tag=column,
        pos=column,
        dep=column,
        lower=column,
        head=np.array([1, 2, 2, 3, 3]),
        sentence_start=np.array([True, False, False, True, False]),
        codes=linguistic.Codes([]),
    )
    kept = tokens.only(np.array([True, False, True, False, True]))
    assert kept.head.tolist() == [0, 1, 2]
    assert kept.segment.tolist() == [0, 0, 1]
    assert kept.sentence_start.tolist() == [True, False, True]


def test_a_chain_of_a_thousand_heads() -> None:
    head = np.maximum(np.arange(1000) - 1, 0)
    np.testing.assert_array_equal(linguistic._depths(head), np.arange(1000))
