"""Datasets of other languages: which pipeline parses them, and which of their traits are then defined."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.profiler.conftest import MakeExamples
from traitcast.profiler.parsing import parser as parse
from traitcast.profiler.parsing import pipelines
from traitcast.profiler.parsing.parser import Parser
from traitcast.profiler.profile import profile
from traitcast.profiler.traits import catalogue
from traitcast.warehouse.errors import UserError
from traitcast.warehouse.records import Profile

# word, universal part of speech, head (place in the sentence), relation of the TIGER scheme
_SENTENCES = (
    (("Der", "DET", 1, "nk"), ("Hund", "NOUN", 2, "sb"), ("schläft", "VERB", 2, "ROOT"), (".", "PUNCT", 2, "punct")),
    (("Eine", "DET", 1, "nk"), ("Katze", "NOUN", 2, "sb"), ("trinkt", "VERB", 2, "ROOT"), (".", "PUNCT", 2, "punct")),
    (("Sie", "PRON", 1, "sb"), ("lacht", "VERB", 1, "ROOT"), ("sehr", "ADV", 3, "mo"), ("laut", "ADV", 1, "mo")),
)
PROMPTS = [["Der Hund schläft. Eine Katze trinkt."], ["Eine Katze trinkt."], ["Der Hund schläft."]]
RESPONSES = ["Sie lacht sehr laut", "Sie", "Hund"]


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real pipeline for German that has learned three sentences by heart: morphologizer and parser."""
    import spacy
    from spacy.tokens import Doc
    from spacy.training import Example

    spacy.util.fix_random_seed(0)
    nlp = spacy.blank("de", meta={"name": "tiny_news_sm", "version": "0.1.0"})
    nlp.add_pipe("morphologizer", config={"model": {"tok2vec": _SMALL}})
    nlp.add_pipe("parser", config={"model": {"tok2vec": _SMALL}, "min_action_freq": 1})
    examples = []
    for sentence in _SENTENCES:
        words, pos, heads, deps = (list(column) for column in zip(*sentence, strict=True))
        known = Doc(nlp.vocab, words=words, pos=pos, heads=heads, deps=deps)
        examples.append(Example(nlp.make_doc(known.text), known))
    both = Doc.from_docs([example.reference for example in examples[:2]])
    examples.append(Example(nlp.make_doc(both.text), both))
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(60):
        nlp.update(examples, sgd=optimizer)
    folder = tmp_path_factory.mktemp("pipelines") / "de_tiny_news_sm"
    nlp.to_disk(folder)
    return folder


_SMALL = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "pretrained_vectors": None,
    "width": 32,
    "depth": 2,
    "embed_size": 300,
    "window_size": 1,
    "maxout_pieces": 2,
    "subword_features": True,
}


@pytest.fixture
def installed(german: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same as an installed package, which says so by its entry point."""
    install(german, tmp_path / "site", "de_tiny_news_sm")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return "de_tiny_news_sm"


def install(pipeline: Path, site: Path, name: str) -> None:
    package = site / name
    inside = package / f"{name}-0.1.0"
    shutil.copytree(pipeline, inside)
    shutil.copy(inside / "meta.json", package / "meta.json")
    (package / "__init__.py").write_text(
        "from spacy.util import load_model_from_init_py\n"
        "def load(**options):\n    return load_model_from_init_py(__file__, **options)\n"
    )
    about = site / f"{name}-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text(f"[spacy_models]\n{name} = {name}\n")


def values(found: Profile) -> dict[str, float | None]:
    return {trait.trait: trait.value for trait in found.traits}


def test_a_dataset_is_parsed_by_the_installed_pipeline_of_its_language(
    installed: str, make_examples: MakeExamples
) -> None:
    found = profile(make_examples(PROMPTS, RESPONSES, language="de"), processes=1)
    assert str(found.details["spacy_model"]).startswith("de_tiny_news_sm 0.1.0, spacy ")
    assert found.details["sentences"] == "dependency parser"
    assert found.details["entity_rows"] == 0
    value = values(found)
    assert value["prompt_tokens_mean"] == pytest.approx(16 / 3)
    assert value["prompt_sentences_mean"] == pytest.approx(4 / 3)
    assert value["prompt_sentence_tokens_mean"] == 4
    assert value["prompt_pos_noun_share"] == 0.25
    assert value["prompt_pos_det_share"] == 0.25
    # Heads of four tokens lie 1, 1, 0 and 1 away.
    assert value["prompt_dependency_distance_mean"] == pytest.approx(0.75)
    assert value["prompt_tree_depth_mean"] == 2
    assert value["response_one_token_share"] == pytest.approx(2 / 3)
    assert any("parsed with de_tiny_news_sm" in warning for warning in found.details["warnings"])


def test_what_is_english_stays_empty_whatever_is_installed(installed: str, make_examples: MakeExamples) -> None:
    found = profile(make_examples(PROMPTS, RESPONSES, language="German"), processes=1)
    kept = {t.trait for t in found.traits if t.value is not None}
    needs = {d.trait: catalogue.needs(d) for d in catalogue.CATALOGUE}
    assert not {trait for trait in kept if needs[trait] == catalogue.ENGLISH}
    assert {needs[trait] for trait in kept} == {None, "words", "tokens", "sentences", "parts of speech", "trees"}
    assert not {trait for trait in found.details["spread"] if needs[trait] == catalogue.ENGLISH}


def test_a_pipeline_without_a_parser_gives_what_it_has(
    german: Path, tmp_path: Path, make_examples: MakeExamples
) -> None:
    import spacy

    nlp = spacy.load(german, exclude=["parser"])
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path / "no_parser")
    model = str(tmp_path / "no_parser")
    found = profile(make_examples(PROMPTS, RESPONSES, language="de"), spacy_model=model, processes=1)
    value = values(found)
    assert found.details["sentences"] == "punctuation"
    assert value["prompt_sentences_mean"] == pytest.approx(4 / 3)
    assert value["prompt_pos_noun_share"] == 0.25
    assert value["prompt_tree_depth_mean"] is None
    assert any("so are trees, which it does not give" in warning for warning in found.details["warnings"])

    spacy.blank("de").to_disk(tmp_path / "blank")
    found = profile(make_examples(PROMPTS, RESPONSES, language="de"), spacy_model=str(tmp_path / "blank"), processes=1)
    value = values(found)
    assert found.details["sentences"] is None
    assert value["prompt_tokens_mean"] == pytest.approx(16 / 3)
    assert value["prompt_sentences_mean"] is value["prompt_pos_noun_share"] is value["prompt_tree_depth_mean"] is None


def test_a_pipeline_of_another_language_is_refused(german: Path, make_examples: MakeExamples) -> None:
    with pytest.raises(UserError, match=r"for the language 'de', and the texts are 'en'.*--language de"):
        profile(make_examples([["A cat."]], ["ok"]), spacy_model=str(german))
    with pytest.raises(UserError, match=r"for the language 'en', and the texts are 'fr'"):
        Parser.load(pipelines.choose(None, "en"), "fr")


@pytest.mark.parametrize(
    ("language", "published"),
    [("de", "de_core_news_sm"), ("zho", "zh_core_web_sm"), ("no", "nb_core_news_sm"), ("pt-BR", "pt_core_news_sm")],
)
def test_the_warning_names_the_pipeline_that_is_missing(
    language: str, published: str, make_examples: MakeExamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines, "entry_points", lambda group: ())
    found = profile(make_examples([["Ein Satz."]], ["gut"], language=language), processes=1)
    assert any(f"python -m spacy download {published}" in warning for warning in found.details["warnings"])
    assert values(found)["prompt_tokens_mean"] is None


def test_of_several_pipelines_of_a_language_the_small_one_is_taken(
    german: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("de_tiny_news_lg", "de_tiny_news_sm", "de_other"):
        install(german, tmp_path / "site", name)
    # One that is announced and not there, as after a broken removal.
    shutil.rmtree(tmp_path / "site" / "de_other")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert pipelines.choose(None, "de-AT") == "de_tiny_news_sm"
    assert pipelines.choose("de_tiny_news_lg", "de") == "de_tiny_news_lg"
    assert pipelines.choose(None, "eo") is None
    assert pipelines.choose(None, None) in parse.MODELS


def test_a_profile_is_current_as_long_as_its_pipeline_is_the_same(installed: str) -> None:
    import spacy

    stored = f"{installed} 0.1.0, spacy {spacy.__version__}"
    assert pipelines.is_current(stored, installed)
    assert not pipelines.is_current(None, installed)  # installed since
    assert not pipelines.is_current(stored.replace("0.1.0", "0.0.9"), installed)
    assert not pipelines.is_current(stored, None)
    assert pipelines.is_current(None, None)
    assert pipelines.is_current(f"gone_sm 1.0, spacy {spacy.__version__}", None)


def test_processes_do_not_change_a_bit(german: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "BATCH_CHARACTERS", 100)
    parser = Parser.load(str(german), "de")
    texts = [f"{text[0]} {i}" for i, text in enumerate(PROMPTS * 10)]
    one, two = (parser.count(texts, processes=n).counts for n in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.skipif(find_spec("fr_core_news_sm") is None, reason="fr_core_news_sm is not installed")
def test_the_published_french_pipeline(make_examples: MakeExamples) -> None:
    prompts = [["Le chat noir dort sur le canapé. Il ne mange pas."], ["Où est la gare ?"], [""]]
    examples: Any = make_examples(prompts, ["oui", "à gauche", None], language="fr")
    found = profile(examples, processes=1)
    value = values(found)
    assert str(found.details["spacy_model"]).startswith("fr_core_news_sm 3.")
    assert value["prompt_sentences_mean"] == 1
    assert 0.1 < (value["prompt_pos_noun_share"] or 0) < 0.5
    assert (value["prompt_dependency_distance_mean"] or 0) > 0.5
    assert value["prompt_entities_per_100_tokens"] is value["prompt_flesch_reading_ease"] is None
