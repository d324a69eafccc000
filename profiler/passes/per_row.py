"""Traits of single rows: what a profile averages over documents, before it is averaged.

Owns which traits of the catalogue are given row by row, so that gains and losses on single test rows can be compared
with them. Every value comes from the function that the profile itself calls, so that the mean over the rows of a
dataset is its trait. Refuses traits of a dataset as a whole (balance, duplicates, variety).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from traitcast.profiler.language import is_english, separates_words
from traitcast.profiler.parsing import parser as parse
from traitcast.profiler.passes.sample import SampledPart, sample_blocks
from traitcast.profiler.text.documents import SegmentRows, prompt_segments, response_segments
from traitcast.profiler.text.estimates import Floats, Ints, ratio
from traitcast.profiler.text.scan import COUNTS, scan
from traitcast.profiler.traits import catalogue, discourse, form, linguistic, readability, surface

# A choice, since every trait looked at costs power when many are tested: lengths, marks, form, what a text argues
# with, and syntax, without near-twins ("numeral_rate" stands for "digit_share").
ROW_TRAITS: Mapping[str, tuple[str, ...]] = {
    "prompt": (
        *("characters_mean", "words_mean", "lines_mean", "punctuation_share", "upper_case_share", "non_ascii_share"),
        *("question_end_share", "wh_question_share", "equation_share", "options_listed_share", "numeral_rate"),
        *("positive_word_rate", "negative_word_rate", "hedge_rate", "contrast_marker_rate", "comparison_marker_rate"),
        *("conditional_marker_rate", "quantifier_rate", "syllables_per_word"),
    ),
    "response": ("characters_mean", "words_mean", "lines_mean", "punctuation_share", "equation_share", "numeral_rate"),
}
PARSED_TRAITS: Mapping[str, tuple[str, ...]] = {
    "prompt": (
        *("tokens_mean", "sentences_mean", "sentence_tokens_mean", "tree_depth_mean", "dependency_distance_mean"),
        *("clauses_per_sentence", "negation_share", "modal_share", "passive_share", "past_tense_share"),
        *("pos_noun_share", "pos_verb_share", "pos_propn_share", "pos_pron_share", "formality"),
    ),
    "response": ("tokens_mean", "sentences_mean"),
}


def row_traits(
    table: pa.Table, *, language: str | None = None, parsed: bool = True, processes: int | None = None
) -> dict[str, Floats]:
    """Traits of each row.

    Parameters
    ----------
    table
        Columns `fields`, `options` and `response`, as `Examples.table` has them.
    language
        Of the texts, English unless stated. Traits that need English are left out for another language.
    parsed
        Whether to include those that need the parser.
    processes
        Worker processes; by default one for each free core.

    Returns
    -------
    dict of str to float64 (rows,)
        By full trait name, NaN where undefined.

    Raises
    ------
    UserError
        When the spaCy pipeline cannot be loaded.
    """
    english = is_english(language)
    parser = parse.Parser.load() if parsed and english else None
    found: dict[str, Floats] = {}
    blocks_of = sample_blocks(table, np.arange(table.num_rows), parser, processes=processes)
    sampled_values = [{part: _sampled(part, sampled) for part, sampled in block.parts.items()} for block in blocks_of]
    for part, rows in (("prompt", prompt_segments(table)), ("response", response_segments(table))):
        names = sampled_values[0][part]
        values = _counted(rows) | {name: np.concatenate([of[part][name] for of in sampled_values]) for name in names}
        wanted = ROW_TRAITS[part] + (PARSED_TRAITS[part] if parser is not None else ())
        found |= {f"{part}_{name}": values[name] for name in wanted}
    left_out = set() if english else {catalogue.ENGLISH}
    if not separates_words(language):
        left_out.add(catalogue.WORDS)
    return {name: value for name, value in found.items() if catalogue.needs(catalogue.BY_NAME[name]) not in left_out}


def _sampled(part: str, sampled: SampledPart) -> dict[str, Floats]:
    """What is measured of words, expressions and the parse."""
    return _read(part, sampled) | (_parsed(sampled) if sampled.parsed is not None else {})


def _counted(rows: SegmentRows) -> dict[str, Floats]:
    """Lengths and kinds of characters."""
    exists = np.diff(rows.offsets) > 0
    counts: Ints = np.concatenate([np.zeros((0, len(COUNTS)), np.int64), *(chunk.counts for chunk in scan(rows))])
    lengths = {"characters_mean": "characters", "words_mean": "runs", "lines_mean": "lines"}
    found = {name: np.where(exists, counts[:, COUNTS.index(count)], np.nan) for name, count in lengths.items()}
    return found | surface.character_shares(counts)


def _read(part: str, sampled: SampledPart) -> dict[str, Floats]:
    """What is measured of words and expressions."""
    forms = form.prompt_forms if part == "prompt" else form.response_shapes
    sentences = np.ones(len(sampled.exists))  # no trait of these needs them
    return {
        **forms(sampled.documents),
        **discourse.document_traits(sampled.markers, sampled.words.lengths.astype(np.float64)),
        "syllables_per_word": readability.document_traits(sampled.readability, sentences)["syllables_per_word"],
    }


def _parsed(sampled: SampledPart) -> dict[str, Floats]:
    """What is measured of tokens, sentences, tags and trees."""
    assert sampled.parsed is not None
    tokens, sentences = sampled.count("tokens"), sampled.count("sentences")
    return {
        **linguistic.document_traits(sampled.parsed[:, : len(linguistic.COUNTS)]),
        "tokens_mean": tokens,
        "sentences_mean": sentences,
        "sentence_tokens_mean": ratio(tokens, sentences),
    }
