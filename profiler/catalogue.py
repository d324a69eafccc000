"""The trait catalogue: the only list of traits, with unit, definition, source, range and tier.

Owns names and meanings. Docs and the database table are generated from it, and `profiler.profile` refuses to return
a trait that is not here or to leave one out. Cheap to import: no number is computed here.

In every definition a document is the prompt (text fields, then options) or the response of one row, a text is one of
its fields or options, and a trait measured per document is its mean over the documents where it is defined. Traits of
the sample see the first 100,000 characters of each text.
"""

from __future__ import annotations

from collections.abc import Iterator

from warehouse.records import TraitDefinition

# Raise when a name or a definition changes: profiles of different versions are not comparable.
VERSION = 2

ALL_ROWS, SAMPLE, ENTITY_SAMPLE = "all rows", "sample", "entity sample"
TEXT_PARTS = ("prompt", "response")

# Families that hold for English only: None for a dataset whose spec states another language.
ENGLISH_FAMILIES = ("linguistic", "readability")
ENGLISH_TRAITS = ("tokens", "one_token", "sentences", "sentence_tokens", "alphabetic_token", "stop_word")

_POS_NAMES = {
    "adj": "adjectives",
    "adp": "adpositions",
    "adv": "adverbs",
    "aux": "auxiliaries",
    "cconj": "coordinating conjunctions",
    "det": "determiners",
    "intj": "interjections",
    "noun": "common nouns",
    "num": "numerals",
    "part": "particles",
    "pron": "pronouns",
    "propn": "proper nouns",
    "punct": "punctuation",
    "sconj": "subordinating conjunctions",
    "sym": "symbols",
    "verb": "verbs",
    "x": "other words",
}
_RELATION_NAMES = {
    "nsubj": "nominal subjects",
    "dobj": "direct objects",
    "amod": "adjectival modifiers",
    "advmod": "adverbial modifiers",
    "compound": "compound modifiers",
    "conj": "conjuncts",
    "ccomp": "clausal complements",
    "advcl": "adverbial clauses",
    "relcl": "relative clauses",
}
_ENTITY_NAMES = {
    "person": "persons (PERSON)",
    "organisation": "organisations (ORG)",
    "place": "places (GPE, LOC, FAC)",
    "time": "dates and times (DATE, TIME)",
    "number": "numbers and quantities (CARDINAL, ORDINAL, QUANTITY, MONEY, PERCENT)",
}
_QUANTILES = {"q05": "5 %", "q25": "25 %", "q50": "50 % (median)", "q75": "75 %", "q95": "95 %"}

_TD = "textdescriptives 2.8 (Hansen et al. 2023), on non-space tokens"
_UD = "Universal POS tags (de Marneffe et al. 2021), " + _TD
_CLEAR = "ClearNLP dependency labels of spaCy 3.8"
_TEXTSTAT = "textstat 0.7.13"

# `profiler.segments.SEGMENT_CHARACTERS`; a test holds the two together, this module imports nothing heavy.
_CUT = "first 100,000 characters of each text"

# Rows of the tables below: name, unit, low, high, definition, source.
_Row = tuple[str, str, float | None, float | None, str, str]

_LABELS: tuple[_Row, ...] = (
    (
        "class_count",
        "classes",
        1,
        None,
        "Distinct labels that occur; the label of multiple choice is the position of the right option.",
        "count",
    ),
    (
        "entropy_bits",
        "bits",
        0,
        None,
        "Entropy of the label distribution over rows with a label: -sum p log2 p.",
        "Shannon 1948",
    ),
    (
        "entropy_normalised",
        "share",
        0,
        1,
        "Entropy over its maximum log2 k for k classes; undefined below two classes.",
        "Pielou 1966, evenness",
    ),
    ("majority_share", "share", 0, 1, "Rows of the largest class over rows with a label.", "share"),
    ("minority_share", "share", 0, 1, "Rows of the smallest class that occurs over rows with a label.", "share"),
    (
        "imbalance_ratio",
        "ratio",
        1,
        None,
        "Rows of the largest class over rows of the smallest that occurs.",
        "Japkowicz and Stephen 2002",
    ),
    (
        "effective_classes",
        "classes",
        1,
        None,
        "Effective number of classes: 2 to the entropy in bits.",
        "Hill 1973, order 1",
    ),
    (
        "gini_simpson",
        "share",
        0,
        1,
        "Chance that two labelled rows drawn with replacement differ in class: 1 - sum p^2.",
        "Simpson 1949",
    ),
)
_RESPONSE_BALANCE: tuple[_Row, ...] = (
    (
        "distinct_count",
        "responses",
        1,
        None,
        "Distinct response texts; an empty response is one, a missing one is not.",
        "count",
    ),
    ("distinct_share", "share", 0, 1, "Distinct response texts over rows with a response.", "share"),
    (
        "entropy_bits",
        "bits",
        0,
        None,
        "Entropy of the distribution over distinct responses: -sum p log2 p.",
        "Shannon 1948",
    ),
    (
        "entropy_normalised",
        "share",
        0,
        1,
        "Entropy over log2 k for k distinct responses; undefined below two.",
        "Pielou 1966, evenness",
    ),
    (
        "majority_share",
        "share",
        0,
        1,
        "Rows with the most frequent response over rows with a response.",
        "share",
    ),
    (
        "effective_values",
        "responses",
        1,
        None,
        "Effective number of responses: 2 to the entropy in bits.",
        "Hill 1973, order 1",
    ),
    (
        "gini_simpson",
        "share",
        0,
        1,
        "Chance that two rows with a response, drawn with replacement, differ in it: 1 - sum p^2.",
        "Simpson 1949",
    ),
)
_ROW_LENGTHS: tuple[_Row, ...] = (
    (
        "characters_mean",
        "characters",
        0,
        None,
        "Mean characters (code points) of a document; an empty one has 0, a missing one is left out.",
        "mean",
    ),
    (
        "words_mean",
        "words",
        0,
        None,
        "Mean whitespace-separated words of a document; an empty one has 0, a missing one is left out.",
        "mean",
    ),
    ("words_sd", "words", 0, None, "Standard deviation of words, divisor n.", "standard deviation"),
    (
        "words_cv",
        "ratio",
        0,
        None,
        "Coefficient of variation of words: standard deviation over mean; undefined when the mean is 0.",
        "ratio",
    ),
    (
        "words_skewness",
        "",
        None,
        None,
        "Skewness of words, g1 = m3 / m2^1.5; undefined when all lengths are equal.",
        "Joanes and Gill 1998, eq. 1",
    ),
    *(
        (f"words_{q}", "words", 0, None, f"{name} quantile of words.", "Hyndman and Fan 1996, type 7")
        for q, name in _QUANTILES.items()
    ),
    (
        "lines_mean",
        "lines",
        0,
        None,
        "Mean lines of a document that are not blank; every text field and every option starts a line of its own.",
        "count",
    ),
    ("empty_share", "share", 0, 1, "Share of rows where the text is missing, empty or only whitespace.", "share"),
)
_SAMPLE_LENGTHS: tuple[_Row, ...] = (
    (
        "tokens_mean",
        "tokens",
        0,
        None,
        f"Mean non-space tokens of a document ({_CUT}); an empty one has 0, a missing one is left out.",
        "spaCy 3.8 tokenizer",
    ),
    ("tokens_sd", "tokens", 0, None, "Standard deviation of non-space tokens, divisor n - 1.", "spaCy 3.8 tokenizer"),
    *(
        (
            f"tokens_{q}",
            "tokens",
            0,
            None,
            f"{_QUANTILES[q]} quantile of non-space tokens.",
            "Hyndman and Fan 1996, type 7",
        )
        for q in ("q50", "q95")
    ),
    (
        "sentences_mean",
        "sentences",
        0,
        None,
        f"Mean sentences of a document by the dependency parser ({_CUT}); every text starts a sentence.",
        "spaCy 3.8 parser",
    ),
    (
        "sentence_tokens_mean",
        "tokens",
        0,
        None,
        "Non-space tokens over sentences of a document, mean over documents.",
        "spaCy 3.8 parser",
    ),
)
_ONE_TOKEN: tuple[_Row, ...] = (
    (
        "one_token_share",
        "share",
        0,
        1,
        "Share of responses, empty ones included and missing ones not, of exactly one non-space token.",
        "share",
    ),
)
_DATASET_LENGTHS: tuple[_Row, ...] = (
    ("rows", "rows", 0, None, "Rows of the profiled split.", "count"),
    ("prompt_fields_mean", "fields", 0, None, "Mean text fields and options per row that are not blank.", "count"),
    (
        "length_correlation",
        "correlation",
        -1,
        1,
        "Pearson correlation of log(1 + words) of prompt and response, over rows that have both; undefined when either "
        "never varies or below three rows.",
        "Pearson 1895",
    ),
)
_RATIO_LENGTHS: tuple[_Row, ...] = (
    (
        "length_ratio_mean",
        "ratio",
        0,
        None,
        f"Response tokens over prompt tokens (non-space, {_CUT}), mean over rows with a response and a prompt token.",
        "ratio",
    ),
    (
        "length_log_ratio_mean",
        "log ratio",
        None,
        None,
        f"Natural logarithm of response tokens over prompt tokens (non-space, {_CUT}), mean over rows where both are "
        "positive.",
        "log ratio",
    ),
)
_LINGUISTIC: tuple[_Row, ...] = (
    *(
        (f"pos_{tag}_share", "share", 0, 1, f"Share of non-space tokens tagged {tag.upper()}: {name}.", _UD)
        for tag, name in _POS_NAMES.items()
    ),
    *(
        (f"dep_{label}_share", "share", 0, 1, f"Share of non-space tokens with relation {label}: {name}.", _CLEAR)
        for label, name in _RELATION_NAMES.items()
    ),
    (
        "dependency_distance_mean",
        "tokens",
        0,
        None,
        "Distance of a token to its head (0 for a root), counted in non-space tokens; mean over the non-space tokens "
        "of a sentence, then over the sentences of a document.",
        f"Liu 2008; {_TD}",
    ),
    (
        "adjacent_dependency_share",
        "share",
        0,
        1,
        "Share of non-space tokens next to their head (a root is not), mean over the sentences of a document.",
        _TD,
    ),
    (
        "tree_depth_mean",
        "edges",
        0,
        None,
        "Longest path from a non-space token to the root of its sentence, mean over the sentences of a document.",
        "Yngve 1960; Lu 2010",
    ),
    (
        "clauses_per_sentence",
        "clauses",
        0,
        None,
        "Verbs and auxiliaries (VERB, AUX) that head a clause (ROOT, conj, parataxis, ccomp, xcomp, advcl, relcl, acl, "
        "csubj, csubjpass, pcomp) over sentences.",
        "after Lu 2010, on ClearNLP labels",
    ),
    (
        "subordinate_clause_share",
        "share",
        0,
        1,
        "Subordinate clause heads (VERB or AUX with ccomp, xcomp, advcl, relcl, acl, csubj, csubjpass or pcomp) over "
        "all clause heads (these and ROOT, conj, parataxis).",
        "after Lu 2010, on ClearNLP labels",
    ),
    ("negation_share", "share", 0, 1, "Share of non-space tokens with relation neg.", _CLEAR),
    ("modal_share", "share", 0, 1, "Share of non-space tokens tagged MD.", "Penn Treebank tags (Marcus et al. 1993)"),
    (
        "question_share",
        "share",
        0,
        1,
        'Share of sentences with "?" among their last two non-space tokens, or that open with a wh-word (WDT, WP, WP$, '
        'WRB) and do not end in "." or "!".',
        "defined here",
    ),
    (
        "imperative_share",
        "share",
        0,
        1,
        'Share of sentences whose root is a base-form verb (VB) without subject, modal or "to".',
        "defined here",
    ),
    ("passive_share", "share", 0, 1, "Share of verbs (VERB) with a passive auxiliary (auxpass).", "after Biber 1988"),
    ("past_tense_share", "share", 0, 1, "VBD over finite verbs (VBD, VBP, VBZ, MD).", "after Biber 1988"),
    ("present_tense_share", "share", 0, 1, "VBP and VBZ over finite verbs (VBD, VBP, VBZ, MD).", "after Biber 1988"),
    *(
        (f"{person}_person_share", "share", 0, 1, f"{text}) over non-space tokens.", "after Biber 1988")
        for person, text in (
            ("first", "First-person pronouns (PRON; possessive and reflexive ones too"),
            ("second", "Second-person pronouns (PRON; possessive and reflexive ones too"),
            ("third", "Third-person pronouns (PRON; it, possessive and reflexive ones too"),
        )
    ),
    (
        "comparative_share",
        "share",
        0,
        1,
        "Comparatives (JJR, RBR) over non-space tokens.",
        "Penn Treebank tags (Marcus et al. 1993)",
    ),
    (
        "superlative_share",
        "share",
        0,
        1,
        "Superlatives (JJS, RBS) over non-space tokens.",
        "Penn Treebank tags (Marcus et al. 1993)",
    ),
    (
        "content_word_share",
        "share",
        0,
        1,
        "Lexical density: nouns, proper nouns, verbs (not auxiliaries), adjectives and adverbs over non-space tokens.",
        "Ure 1971",
    ),
    ("noun_verb_ratio", "ratio", 0, None, "NOUN and PROPN over VERB; undefined without a verb.", "ratio"),
)
_ENTITIES: tuple[_Row, ...] = (
    (
        "entities_per_100_tokens",
        "entities",
        0,
        100,
        "Named entities per 100 non-space tokens.",
        "spaCy 3.8 ner (OntoNotes 5)",
    ),
    *(
        (
            f"entity_{kind}_share",
            "share",
            0,
            1,
            f"Share of a document's entities that are {name}; undefined without an entity.",
            "spaCy 3.8 ner (OntoNotes 5)",
        )
        for kind, name in _ENTITY_NAMES.items()
    ),
)
_READABILITY: tuple[_Row, ...] = (
    (
        "flesch_reading_ease",
        "score",
        None,
        206.835,
        "206.835 - 1.015 words/sentence - 84.6 syllables/word; high is easy.",
        f"Flesch 1948; {_TEXTSTAT}",
    ),
    (
        "flesch_kincaid_grade",
        "grade",
        -15.59,
        None,
        "0.39 words/sentence + 11.8 syllables/word - 15.59.",
        f"Kincaid et al. 1975; {_TEXTSTAT}",
    ),
    (
        "gunning_fog",
        "grade",
        0,
        None,
        "0.4 (words/sentence + 100 complex/words); complex: words of three syllables or more, not in textstat's easy "
        "words.",
        f"Gunning 1952; {_TEXTSTAT}",
    ),
    (
        "smog",
        "grade",
        3.1291,
        None,
        "1.043 sqrt(30 polysyllables/sentence) + 3.1291, polysyllables: words of three syllables or more; undefined "
        "below three sentences.",
        f"McLaughlin 1969; {_TEXTSTAT}",
    ),
    (
        "automated_readability_index",
        "grade",
        -21.43,
        None,
        "4.71 characters/run + 0.5 words/sentence - 21.43; run: what stands between whitespace, its marks included.",
        f"Smith and Senter 1967; {_TEXTSTAT}",
    ),
    (
        "coleman_liau",
        "grade",
        None,
        None,
        "5.8 letters/word - 29.6 sentences/word - 15.8; digits count as letters.",
        f"Coleman and Liau 1975; {_TEXTSTAT}",
    ),
    (
        "lix",
        "score",
        0,
        None,
        "words/sentence + 100 long/words; long: words of over six letters or digits.",
        f"Björnsson 1968; {_TEXTSTAT}",
    ),
    ("rix", "long words", 0, None, "Words of over six letters or digits per sentence.", f"Anderson 1983; {_TEXTSTAT}"),
    (
        "unlisted_word_share",
        "share",
        0,
        1,
        "Share of words not among textstat's easy words.",
        f"Dale and Chall 1948; {_TEXTSTAT}",
    ),
    (
        "syllables_per_word",
        "syllables",
        1,
        None,
        "Syllables over words: hyphenation points of pyphen en_US + 1, textstat's rule for words outside cmudict.",
        _TEXTSTAT,
    ),
    (
        "sentence_words_mean",
        "words",
        0,
        None,
        f"Words over sentences of a document, both of the {_CUT}, as in all readability formulas; words: runs between "
        "whitespace without punctuation, none that were only punctuation; sentences by the dependency parser.",
        _TEXTSTAT,
    ),
)
_DIVERSITY: tuple[_Row, ...] = (
    (
        "type_token_ratio",
        "share",
        0,
        1,
        "Distinct words over words of a document; in this family words are lower-cased, without punctuation.",
        "Templin 1957",
    ),
    (
        "root_type_token_ratio",
        "ratio",
        0,
        None,
        "Distinct words over the square root of the words of a document.",
        "Guiraud 1954",
    ),
    (
        "mtld",
        "words",
        1,
        None,
        "Words per stretch until its type-token ratio falls to .72, mean of forward and backward, of documents of 50 "
        "words or more, their texts end to end; where no word repeats, the next one is taken to.",
        "McCarthy and Jarvis 2010",
    ),
    (
        "corpus_mtld",
        "words",
        1,
        None,
        "MTLD of the sampled documents laid end to end in random order (first 100,000 words); undefined below 50 "
        "words.",
        "McCarthy and Jarvis 2010",
    ),
    (
        "corpus_hdd",
        "share",
        0,
        1,
        "Expected type-token ratio of 42 words drawn without replacement from all words of the sample; undefined "
        "below 42 words.",
        "McCarthy and Jarvis 2007",
    ),
    ("hapax_share", "share", 0, 1, "Share of the sample's distinct words that occur once.", "Baayen 2001"),
    (
        "vocabulary_1k",
        "words",
        1,
        1000,
        "Distinct words in 1,000 consecutive words of the sample, mean over windows that do not overlap; undefined "
        "below 1,000 words.",
        "Johnson 1944, mean segmental",
    ),
    (
        "vocabulary_10k",
        "words",
        1,
        10000,
        "Distinct words in the first 10,000 words of the sample; undefined below 10,000 words.",
        "vocabulary growth, Baayen 2001",
    ),
    ("word_characters_mean", "characters", 1, None, "Characters per word of a document, punctuation left out.", "mean"),
)
_SURFACE_ROWS: tuple[_Row, ...] = (
    ("non_ascii_share", "share", 0, 1, "Characters outside ASCII over characters of a document.", "share"),
    ("upper_case_share", "share", 0, 1, "Upper-case letters over letters of a document.", "share"),
    ("digit_share", "share", 0, 1, "Decimal digits (Nd) over characters of a document.", "Unicode categories"),
    ("punctuation_share", "share", 0, 1, "Punctuation (P*) over characters of a document.", "Unicode categories"),
    ("whitespace_share", "share", 0, 1, "Whitespace over characters of a document.", "Unicode categories"),
    ("url_share", "share", 0, 1, "Share of documents with a web address.", "regular expression, surface.URL"),
    ("code_share", "share", 0, 1, "Share of documents that look like code.", "regular expression, surface.CODE"),
)
_PROMPT_SURFACE: tuple[_Row, ...] = (
    # The response has response_distinct_share.
    (
        "duplicate_share",
        "share",
        0,
        1,
        "1 - distinct prompts / rows, exact match of every text field and option.",
        "share",
    ),
    ("mention_share", "share", 0, 1, "Share of prompts with an @name.", "regular expression, surface.MENTION"),
    ("hashtag_share", "share", 0, 1, "Share of prompts with a #tag.", "regular expression, surface.HASHTAG"),
)
_RESPONSE_SHAPE: tuple[_Row, ...] = (
    ("number_share", "share", 0, 1, "Share of responses that are one number.", "regular expression, surface.NUMBER"),
    (
        "list_share",
        "share",
        0,
        1,
        "Share of responses with two or more list items.",
        "regular expression, surface.LIST",
    ),
)
_SURFACE_SAMPLE: tuple[_Row, ...] = (
    ("alphabetic_token_share", "share", 0, 1, "Alphabetic tokens over non-space tokens.", "spaCy 3.8 is_alpha; " + _TD),
    ("stop_word_share", "share", 0, 1, "English stop words over non-space tokens.", "spaCy 3.8 is_stop; " + _TD),
    (
        "repeated_bigram_share",
        "share",
        0,
        1,
        "1 - distinct / all pairs of neighbouring words of a document; no pair joins two texts.",
        "after Rae et al. 2021",
    ),
    (
        "common_opening_share",
        "share",
        0,
        1,
        "Share of documents that open with the most common first three words, among documents of three words or more.",
        "defined here",
    ),
)
_COPIED: tuple[_Row, ...] = (
    (
        "copied_share",
        "share",
        0,
        1,
        "Share of a response's words that occur in its own prompt, options included.",
        "after Grusky et al. 2018, coverage",
    ),
)
_PAIRS: tuple[_Row, ...] = (
    ("duplicate_pair_share", "share", 0, 1, "1 - distinct (prompt, response) pairs / rows that have both.", "share"),
)


def _define(parts: tuple[str, ...], family: str, tier: str, rows: tuple[_Row, ...]) -> Iterator[TraitDefinition]:
    for part in parts:
        for name, unit, low, high, definition, source in rows:
            yield TraitDefinition(f"{part}_{name}", part, family, unit, definition, source, low, high, tier)


CATALOGUE: tuple[TraitDefinition, ...] = (
    *_define(("label",), "class_balance", ALL_ROWS, _LABELS),
    *_define(("response",), "class_balance", ALL_ROWS, _RESPONSE_BALANCE),
    *_define(TEXT_PARTS, "generation_length", ALL_ROWS, _ROW_LENGTHS),
    *_define(TEXT_PARTS, "generation_length", SAMPLE, _SAMPLE_LENGTHS),
    *_define(("response",), "generation_length", SAMPLE, _ONE_TOKEN),
    *_define(("dataset",), "generation_length", ALL_ROWS, _DATASET_LENGTHS),
    *_define(("dataset",), "generation_length", SAMPLE, _RATIO_LENGTHS),
    *_define(TEXT_PARTS, "linguistic", SAMPLE, _LINGUISTIC),
    *_define(TEXT_PARTS, "linguistic", ENTITY_SAMPLE, _ENTITIES),
    *_define(TEXT_PARTS, "readability", SAMPLE, _READABILITY),
    *_define(TEXT_PARTS, "lexical_diversity", SAMPLE, _DIVERSITY),
    *_define(TEXT_PARTS, "surface", ALL_ROWS, _SURFACE_ROWS),
    *_define(("prompt",), "surface", ALL_ROWS, _PROMPT_SURFACE),
    *_define(("response",), "surface", ALL_ROWS, _RESPONSE_SHAPE),
    *_define(TEXT_PARTS, "surface", SAMPLE, _SURFACE_SAMPLE),
    *_define(("response",), "surface", SAMPLE, _COPIED),
    *_define(("dataset",), "surface", ALL_ROWS, _PAIRS),
)
BY_NAME: dict[str, TraitDefinition] = {definition.trait: definition for definition in CATALOGUE}


def needs_english(definition: TraitDefinition) -> bool:
    """Whether the trait rests on the English tokenizer, tagger, parser or word lists."""
    name = definition.trait.removeprefix(f"{definition.part}_")
    return (
        definition.family in ENGLISH_FAMILIES
        or name.startswith(ENGLISH_TRAITS)
        or name in ("length_ratio_mean", "length_log_ratio_mean")
    )
