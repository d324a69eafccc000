from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from traitcast.profiler.parsing.fast_ruler import compile_ruler
from traitcast.profiler.parsing.parser import Parser

TEXTS = (
    "There's a cat that I saw while it rained; but he'd had something to do.",
    "Do not let's go, y'all. That is what you ain't been doing, isn't it?",
    "She was given the book which nobody had wanted.  Once there, be here then.",
    "I did that because the dogs do. Whether anyone's going, who knows?\n\nSELECT a FROM b;",
    "😀 :) <3 #tag @name 3,5 % -- ``quoted''",
    " ",
    "",
)


def _code(text: str) -> int:
    return {"NN": 1, "DT": 2, "a": 3, "b": 4, "NOUN": 5, "PRON": 6, "dep": 7}[text]


def _columns(tag: list[int], lower: list[int]) -> dict[str, np.ndarray]:
    columns = {"TAG": tag, "LOWER": lower, "DEP": [0] * len(tag), "POS": [0] * len(tag), "IS_SPACE": [0] * len(tag)}
    return {name: np.array(values, dtype=np.uint64) for name, values in columns.items()}


def test_equals_the_component(parser: Parser) -> None:
    assert parser.layers.ruler is not None
    ours = parser.count(TEXTS, processes=1)
    theirs = replace(parser, layers=replace(parser.layers, ruler=None)).count(TEXTS, processes=1)
    np.testing.assert_array_equal(ours.counts, theirs.counts)


def test_later_rules_override_and_see_the_original_columns() -> None:
    ruler = compile_ruler(
        [
            {"patterns": [[{"TAG": "NN"}]], "attrs": {"POS": "NOUN", "TAG": "DT"}, "index": 0},
            {"patterns": [[{"TAG": {"IN": ["NN"]}, "LOWER": {"NOT_IN": ["a"]}}]], "attrs": {"POS": "PRON"}, "index": 0},
        ],
        _code,
    )
    assert ruler is not None
    written = ruler.apply(_columns([1, 1, 2], [3, 4, 4]), np.array([0, 0, 0]))
    assert written["POS"].tolist() == [5, 6, 0]
    assert written["TAG"].tolist() == [2, 2, 2]


def test_patterns_do_not_cross_documents() -> None:
    rule = {"patterns": [[{"LOWER": "a"}, {"LOWER": "b"}]], "attrs": {"POS": "PRON"}, "index": 1}
    ruler = compile_ruler([rule], _code)
    assert ruler is not None
    columns = _columns([1, 1, 1, 1], [3, 4, 3, 4])
    assert ruler.apply(columns, np.array([0, 0, 1, 2]))["POS"].tolist() == [0, 6, 0, 0]


@pytest.mark.parametrize(
    "rule",
    [
        {"patterns": [[{"LOWER": {"REGEX": "^a"}}]], "attrs": {"POS": "NOUN"}, "index": 0},
        {"patterns": [[{"SHAPE": "a"}]], "attrs": {"POS": "NOUN"}, "index": 0},
        {"patterns": [[{"LOWER": "a", "OP": "+"}]], "attrs": {"POS": "NOUN"}, "index": 0},
        {"patterns": [[{"LOWER": "a"}]], "attrs": {"POS": "NOUN", "NORM": "b"}, "index": 0},
    ],
)
def test_what_it_cannot_express_is_refused(rule: dict[str, object]) -> None:
    assert compile_ruler([rule], _code) is None


def test_rules_that_no_trait_reads_are_skipped() -> None:
    ruler = compile_ruler(
        [{"patterns": [[{"LOWER": {"REGEX": "^a"}}]], "attrs": {"LEMMA": "x"}, "index": 0}],
        _code,
    )
    assert ruler is not None
    assert ruler.rules == ()
