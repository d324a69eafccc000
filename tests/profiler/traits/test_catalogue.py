from __future__ import annotations

import re
import subprocess
import sys

import pytest

from traitcast.profiler.text.documents import SEGMENT_CHARACTERS
from traitcast.profiler.traits import catalogue
from traitcast.profiler.traits.catalogue import BY_NAME, CATALOGUE, ENGLISH, needs
from traitcast.warehouse.percentiles import meaning
from traitcast.warehouse.records import PARTS

FAMILIES = {
    *("class_balance", "generation_length", "linguistic", "readability", "lexical_diversity", "surface"),
    *("discourse", "task_form", "repetition", "shortcut", "preference"),
}


def test_names_are_unique_and_carry_their_part() -> None:
    names = [definition.trait for definition in CATALOGUE]
    assert len(set(names)) == len(names) >= 120
    assert all(d.part in PARTS and d.trait.startswith(f"{d.part}_") for d in CATALOGUE)
    assert all(name.isidentifier() and name == name.lower() for name in names)


@pytest.mark.parametrize("definition", CATALOGUE, ids=lambda d: d.trait)
def test_every_entry_is_complete(definition) -> None:  # type: ignore[no-untyped-def]
    assert definition.family in FAMILIES
    assert definition.tier in ("all rows", "sample", "entity sample")
    assert definition.definition.endswith(".")
    assert definition.source
    assert definition.unit or definition.trait.endswith(("skewness", "kurtosis"))
    assert definition.low is None or definition.high is None or definition.low < definition.high
    if definition.unit == "share":
        assert (definition.low, definition.high) == (0, 1)


def test_what_a_trait_needs_besides_the_text() -> None:
    by_name = {definition.trait: needs(definition) for definition in CATALOGUE}
    assert by_name["prompt_pos_noun_share"] == by_name["response_verb_variation"] == "parts of speech"
    assert by_name["response_tokens_mean"] == by_name["dataset_length_ratio_mean"] == "tokens"
    assert by_name["response_one_token_share"] == "tokens"
    assert by_name["prompt_sentence_tokens_sd"] == by_name["prompt_sentences_mean"] == "sentences"
    assert by_name["prompt_tree_depth_mean"] == by_name["prompt_tokens_before_root_mean"] == "trees"
    assert by_name["prompt_dep_nsubj_share"] == by_name["prompt_noun_modifiers_mean"] == "English"
    assert by_name["prompt_sentence_words_mean"] == by_name["prompt_stop_word_share"] == "English"
    assert by_name["prompt_entities_per_100_tokens"] == by_name["response_formality"] == "English"
    assert by_name["response_causal_marker_rate"] == by_name["response_positive_word_rate"] == "English"
    assert by_name["prompt_few_shot_share"] == "English"
    assert by_name["prompt_question_end_share"] is None
    assert by_name["response_json_share"] is None
    assert by_name["label_longest_option_gain"] is None
    assert by_name["prompt_words_mean"] == by_name["dataset_length_slope"] == by_name["label_word_rule_gain"] == "words"
    assert by_name["response_copied_share"] == by_name["prompt_corpus_mtld"] == "words"
    assert by_name["prompt_near_duplicate_share"] is by_name["dataset_split_leak_share"] is None
    assert by_name["label_entropy_bits"] is None
    assert by_name["response_compression_ratio"] is None
    assert {d.trait for d in CATALOGUE if (needs(d) == ENGLISH)} == {
        t for t, need in by_name.items() if need == "English"
    }


def test_the_cut_that_the_definitions_state_is_the_one_that_is_made() -> None:
    stated = f"first {SEGMENT_CHARACTERS:,} characters of each text"
    for trait in (
        "prompt_tokens_mean",
        "prompt_sentences_mean",
        "prompt_sentence_words_mean",
        "dataset_length_ratio_mean",
    ):
        assert stated in BY_NAME[trait].definition
    assert stated in (catalogue.__doc__ or "").replace("\n", " ")


def test_every_share_of_tokens_states_its_denominator() -> None:
    for definition in CATALOGUE:
        name = definition.trait.removeprefix(f"{definition.part}_")
        if name.startswith(("pos_", "dep_")) or (
            definition.family == "linguistic" and "token" in definition.definition
        ):
            assert "non-space token" in definition.definition.lower(), definition.trait


def test_the_short_form_of_a_definition_tears_no_formula_apart() -> None:
    """It drops what is in brackets, so a bracket of a formula must come after the first colon."""
    torn = re.compile(r"[/*=+^-] \([^()]*\)| \([^()]*\)(\^| [/*=+-] )")
    for definition in CATALOGUE:
        assert not torn.search(re.split(r"[:;.] ", definition.definition)[0]), definition.trait
        assert not meaning(definition).endswith(".."), definition.trait
    assert meaning(BY_NAME["prompt_words_bimodality"]) == "Sarle's coefficient of words"


def test_import_is_light() -> None:
    heavy = "{'numpy', 'pyarrow', 'spacy'} & set(sys.modules)"
    code = f"import sys, traitcast.profiler.traits.catalogue; sys.exit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
