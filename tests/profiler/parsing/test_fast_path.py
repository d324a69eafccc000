"""The fast layers are used where they annotate as spaCy's own do, and only there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traitcast.profiler.parsing import fast_encoder, fast_path
from traitcast.profiler.parsing.fast_path import Layers, choose_layers
from traitcast.profiler.parsing.parser import Parser, SegmentCounts, _pipeline

TICKETS = Path(__file__).parents[3] / "examples" / "support_tickets" / "test.jsonl"
TEXTS = tuple(json.loads(line)["ticket"] for line in TICKETS.read_text("utf-8").splitlines())


def _counted(parser: Parser) -> SegmentCounts:
    return parser.count(TEXTS, entities=[True] * len(TEXTS), processes=1)


@pytest.fixture(scope="module")
def own(parser: Parser) -> SegmentCounts:
    """The sums of a small sample by spaCy's own layers."""
    plain = Parser.load(fast=False)
    assert not plain.layers.fast
    return _counted(plain)


@pytest.fixture
def unloaded() -> Iterator[None]:
    """No pipeline is kept from before, and none for later."""
    Parser._load.cache_clear()
    yield
    Parser._load.cache_clear()


def test_the_fast_layers_are_in_use_and_give_the_same_sums(parser: Parser, own: SegmentCounts) -> None:
    assert parser.layers.fast
    assert parser.layers.ruler is not None
    found = _counted(parser)
    np.testing.assert_array_equal(found.counts, own.counts)
    np.testing.assert_array_equal(found.entities, own.entities)


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("get_ref", r"ValueError: .*'lower'"),
        ("transition_states", "AttributeError: .*transition_states"),
        ("vectors", "other token vectors"),
        ("ruler", "they give other values of POS"),
    ],
)
def test_what_does_not_fit_is_reported_once_and_spacy_parses(
    broken: str, reason: str, own: SegmentCounts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As if spaCy or thinc had renamed or changed what the fast layers rest on."""
    if broken == "get_ref":
        monkeypatch.setattr("traitcast.profiler.parsing.parser._pipeline", _without_lower)
    elif broken == "transition_states":
        monkeypatch.setattr("traitcast.profiler.parsing.parser._pipeline", _with_other_parser)
    elif broken == "vectors":
        monkeypatch.setattr(fast_encoder, "_EPSILON", 0.5)
    else:
        monkeypatch.setattr(fast_path, "compile_ruler", lambda patterns, code: compile_half(patterns, code))
    parser = Parser.load()
    assert Parser.load() is parser
    said = capsys.readouterr().err
    assert said.count("warning: the fast layers do not fit") == 1
    assert re.search(reason, said), said
    assert not parser.layers.fast
    np.testing.assert_array_equal(_counted(parser).counts, own.counts)
    np.testing.assert_array_equal(_counted(parser).entities, own.entities)


def compile_half(patterns: Any, code: Any) -> Any:
    from traitcast.profiler.parsing.fast_ruler import compile_ruler

    return compile_ruler(patterns[: len(patterns) // 2], code)


def _without_lower(name: str, code: str) -> Any:
    nlp: Any = _pipeline(name, code)
    for pipe in ("parser", "ner"):
        nlp.get_pipe(pipe).model.set_ref("lower", None)
    return nlp


class _Renamed:
    """A transition parser whose private method has another name."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe

    def __getattr__(self, name: str) -> Any:
        if name == "transition_states":
            raise AttributeError(f"no attribute {name!r}")
        return getattr(self._pipe, name)

    def __call__(self, doc: Any) -> Any:
        return self._pipe(doc)


def _with_other_parser(name: str, code: str) -> Any:
    nlp: Any = _pipeline(name, code)
    nlp._components = [(n, _Renamed(pipe) if n == "parser" else pipe) for n, pipe in nlp._components]
    return nlp


def test_spacys_own_layers_without_a_try(parser: Parser) -> None:
    layers = choose_layers(lambda: _pipeline(parser.name, parser.language), fast=False)
    assert layers == Layers(layers.nlp, fast=False, ruler=None)
    (pipe,) = [pipe for name, pipe in layers.nlp.pipeline if name == "parser"]
    assert pipe.model.get_ref("lower").name == "precomputable_affine"  # type: ignore[attr-defined]
