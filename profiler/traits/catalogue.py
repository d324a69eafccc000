"""The trait catalogue: the only list of traits, with unit, definition, source, range and tier.

Owns names and meanings: docs and the database table are generated from it, and `profiler.profile` refuses to return a
trait that is not here or to leave one out. Imports nothing heavy.

In every definition a document is the prompt (text fields, then options) or the response of one row, a text is one of
its fields or options, and a trait measured per document is its mean over the documents where it is defined. Traits of
the sample see the first 100,000 characters of each text (`profiler.text.documents.SEGMENT_CHARACTERS`).

To add a trait, add a line to the table of its family, return a value of that name from the function that measures it,
and raise VERSION. The first words of a definition, up to a colon, serve as its short form: formulas come after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from traitcast.warehouse.records import TraitDefinition

# Raise when a name or a definition changes: profiles of different versions are not comparable. The traits of PAIRS came
# without a new one, since no other dataset has them.
VERSION = 4

ALL_ROWS, SAMPLE, ENTITY_SAMPLE = "all rows", "sample", "entity sample"
TEXT_PARTS, PAIRS = ("prompt", "response"), "preference"

# What a trait needs besides the text. A spaCy pipeline gives tokens, sentences, Universal parts of speech and trees (in
# the scheme it was trained on). Words are those between spaces, so not Chinese, Japanese or Thai ones. English traits
# rest on labels of the English pipelines, English word lists, and formulas fitted on English.
TREES, POS, SENTENCES, TOKENS, WORDS = "trees", "parts of speech", "sentences", "tokens", "words"
ENGLISH = "English"
_PREFIXES_BY_NEED = {
    TREES: "dependency_distance adjacent_dependency tree_depth left_branching tokens_before_root",
    POS: "pos_ content_word noun_verb noun_variation verb_variation adjective_variation adverb_variation",
    SENTENCES: "sentences sentence_tokens",
    TOKENS: "tokens one_token alphabetic_token length_ratio length_log_ratio",
    WORDS: "words_ length_correlation length_slope length_residual copied_ common_opening type_token root_type_token "
    "mtld corpus_ word_ maas hapax vocabulary_ repeated_bigram repeated_run top_bigram length_information first_word "
    "overlap_information overlapping_option preference_rejected_overlap",
}
_ENGLISH_FAMILIES = ("linguistic", "readability", "discourse")
_ENGLISH_PREFIXES = "stop_word wh_question instruction_opening few_shot step_by_step format_request "
_ENGLISH_PREFIXES += "answer_marker final_answer rationale yes_no refusal"

# Name, unit, low, high, definition, source.
_Row = tuple[str, str, float | None, float | None, str, str]


def _row(name: str, unit: str, low: float | None, high: float | None, source: str, definition: str) -> _Row:
    return name, unit, low, high, definition, source


def _share(name: str, source: str, definition: str) -> _Row:
    return name, "share", 0, 1, definition, source


def _amount(name: str, unit: str, source: str, definition: str) -> _Row:
    """A number from 0 on."""
    return name, unit, 0, None, definition, source


def _rates(source: str, counted: Mapping[str, str]) -> Iterator[_Row]:
    for name, what in counted.items():
        yield name, "per 100 words", 0, 100, f"{what}, per 100 words of a document.", source


def _forms(table: str, matched: Mapping[str, str]) -> tuple[_Row, ...]:
    """Shares of documents that match the expressions of a table in `profiler.traits.form`."""
    return tuple(_share(name, f"regular expression, form.{table}", f"{what}.") for name, what in matched.items())


def _define(parts: tuple[str, ...], family: str, tier: str, *rows: _Row) -> tuple[TraitDefinition, ...]:
    """The rows of a table as traits, once for each part."""
    return tuple(
        TraitDefinition(f"{part}_{name}", part, family, unit, definition, source, low, high, tier)
        for part in parts
        for name, unit, low, high, definition, source in rows
    )


# A trait takes one line for its name, unit, range and source, and the lines after it for its definition.
# fmt: off
_POS_NAMES = {
    "adj": "adjectives", "adp": "adpositions", "adv": "adverbs", "aux": "auxiliaries",
    "cconj": "coordinating conjunctions", "det": "determiners", "intj": "interjections", "noun": "common nouns",
    "num": "numerals", "part": "particles", "pron": "pronouns", "propn": "proper nouns", "punct": "punctuation",
    "sconj": "subordinating conjunctions", "sym": "symbols", "verb": "verbs", "x": "other words",
}
_RELATION_NAMES = {
    "nsubj": "nominal subjects", "dobj": "direct objects", "amod": "adjectival modifiers",
    "advmod": "adverbial modifiers", "compound": "compound modifiers", "conj": "conjuncts",
    "ccomp": "clausal complements", "advcl": "adverbial clauses", "relcl": "relative clauses",
}
_ENTITY_NAMES = {
    "person": "persons (PERSON)", "organisation": "organisations (ORG)", "place": "places (GPE, LOC, FAC)",
    "time": "dates and times (DATE, TIME)",
    "number": "numbers and quantities (CARDINAL, ORDINAL, QUANTITY, MONEY, PERCENT)",
    "group": "nationalities, religious and political groups (NORP)",
    "work": "products, events, works, laws and languages (PRODUCT, EVENT, WORK_OF_ART, LAW, LANGUAGE)",
}
_QUANTILES = {"q05": "5 %", "q25": "25 %", "q50": "50 % (median)", "q75": "75 %", "q95": "95 %", "q99": "99 %"}

_TD = "textdescriptives 2.8 (Hansen et al. 2023), on non-space tokens"
_UD = f"Universal POS tags (de Marneffe et al. 2021), {_TD}"
_CLEAR = "ClearNLP dependency labels of spaCy 3.8"
_LU = "after Lu 2010, on ClearNLP labels"
_PENN = "Penn Treebank tags (Marcus et al. 1993)"
_NER = "spaCy 3.8 ner (OntoNotes 5)"
_TYPE_7 = "Hyndman and Fan 1996, type 7"
_TEXTSTAT = "textstat 0.7.13"
_LISTS = "list in profiler/traits/discourse.py"
_CHANCE = "adjusted for chance after Vinh et al. 2010"

_LABELS = _define(("label",), "class_balance", ALL_ROWS,
    _row("class_count", "classes", 1, None, "count",
        "Distinct labels that occur; the label of multiple choice is the position of the right option."),
    _amount("entropy_bits", "bits", "Shannon 1948",
        "Entropy of the label distribution over rows with a label: -sum p log2 p."),
    _share("entropy_normalised", "Pielou 1966, evenness",
        "Entropy over its maximum log2 k for k classes; undefined below two classes."),
    _share("majority_share", "share", "Rows of the largest class over rows with a label."),
    _share("minority_share", "share", "Rows of the smallest class that occurs over rows with a label."),
    _row("imbalance_ratio", "ratio", 1, None, "Japkowicz and Stephen 2002",
        "Rows of the largest class over rows of the smallest that occurs."),
    _row("effective_classes", "classes", 1, None, "Hill 1973, order 1",
        "Effective number of classes: 2 to the entropy in bits."),
    _share("gini_simpson", "Simpson 1949",
        "Chance that two labelled rows drawn with replacement differ in class: 1 - sum p^2."),
)
_RESPONSE_BALANCE = _define(("response",), "class_balance", ALL_ROWS,
    _row("distinct_count", "responses", 1, None, "count",
        "Distinct response texts; an empty response is one, a missing one is not."),
    _share("distinct_share", "share", "Distinct response texts over rows with a response."),
    _amount("entropy_bits", "bits", "Shannon 1948",
        "Entropy of the distribution over distinct responses: -sum p log2 p."),
    _share("entropy_normalised", "Pielou 1966, evenness",
        "Entropy over log2 k for k distinct responses; undefined below two."),
    _share("majority_share", "share", "Rows with the most frequent response over rows with a response."),
    _row("effective_values", "responses", 1, None, "Hill 1973, order 1",
        "Effective number of responses: 2 to the entropy in bits."),
    _share("gini_simpson", "Simpson 1949",
        "Chance that two rows with a response, drawn with replacement, differ in it: 1 - sum p^2."),
)
_ROW_LENGTHS = _define(TEXT_PARTS, "generation_length", ALL_ROWS,
    _amount("characters_mean", "characters", "mean",
        "Mean characters (code points) of a document; an empty one has 0, a missing one is left out."),
    _amount("words_mean", "words", "mean",
        "Mean whitespace-separated words of a document; an empty one has 0, a missing one is left out."),
    _amount("words_sd", "words", "standard deviation", "Standard deviation of words, divisor n."),
    _amount("words_cv", "ratio", "ratio",
        "Coefficient of variation of words: standard deviation over mean; undefined when the mean is 0."),
    _row("words_skewness", "", None, None, "Joanes and Gill 1998, eq. 1",
        "Skewness of words, g1 = m3 / m2^1.5; undefined when all lengths are equal."),
    _row("words_kurtosis", "", -2, None, "Joanes and Gill 1998, eq. 2",
        "Excess kurtosis of words, g2 = m4 / m2^2 - 3; undefined when all lengths are equal."),
    _share("words_bimodality", "Pfister et al. 2013, without its correction for small samples",
        "Sarle's coefficient of words: (g1^2 + 1) / (g2 + 3), 1 for two values, 5/9 for a uniform distribution."),
    _amount("words_histogram_entropy", "bits", "Shannon 1948",
        "Entropy of words in the bins of the length histogram, two for each doubling."),
    *(_amount(f"words_{q}", "words", _TYPE_7, f"{name} quantile of words.") for q, name in _QUANTILES.items()),
    _amount("lines_mean", "lines", "count",
        "Mean lines of a document that are not blank; every text field and every option starts a line of its own."),
    _amount("line_characters_mean", "characters", "data-juicer 1.6, average_line_length_filter",
        "Characters over lines that are not blank of a document, mean over documents with such a line."),
    _share("empty_share", "share", "Share of rows where the text is missing, empty or only whitespace."),
)
_SAMPLE_LENGTHS = _define(TEXT_PARTS, "generation_length", SAMPLE,
    _amount("tokens_mean", "tokens", "spaCy 3.8 tokenizer",
        "Mean non-space tokens of a document (first 100,000 characters of each text); an empty one has 0, a missing "
        "one is left out."),
    _amount("tokens_sd", "tokens", "spaCy 3.8 tokenizer", "Standard deviation of non-space tokens, divisor n - 1."),
    *(_amount(f"tokens_{q}", "tokens", _TYPE_7, f"{_QUANTILES[q]} quantile of non-space tokens.")
      for q in ("q50", "q95")),
    _amount("sentences_mean", "sentences", "spaCy 3.8 parser",
        "Mean sentences of a document by the dependency parser (first 100,000 characters of each text); every text "
        "starts a sentence."),
    _amount("sentence_tokens_mean", "tokens", "spaCy 3.8 parser",
        "Non-space tokens over sentences of a document, mean over documents."),
    _amount("sentence_tokens_sd", "tokens", "textdescriptives 2.8, sentence_length_std",
        "Standard deviation (divisor n) of the non-space tokens of a document's sentences, mean over documents of two "
        "sentences or more."),
)
_ONE_TOKEN = _define(("response",), "generation_length", SAMPLE,
    _share("one_token_share", "share",
        "Share of responses, empty ones included and missing ones not, of exactly one non-space token."),
)
_DATASET_LENGTHS = _define(("dataset",), "generation_length", ALL_ROWS,
    _amount("rows", "rows", "count", "Rows of the profiled split."),
    _amount("prompt_fields_mean", "fields", "count", "Mean text fields and options per row that are not blank."),
    _row("length_correlation", "correlation", -1, 1, "Pearson 1895",
        "Pearson correlation of log(1 + words) of prompt and response, over rows that have both; undefined when either "
        "never varies or below three rows."),
    _row("length_slope", "log per log", None, None, "least squares",
        "Least-squares slope of log(1 + words) of the response on that of the prompt, over rows that have both; "
        "undefined where the correlation is."),
    _amount("length_residual_sd", "log words", "least squares",
        "Standard deviation (divisor n) of log(1 + words) of the response around that line."),
)
_RATIO_LENGTHS = _define(("dataset",), "generation_length", SAMPLE,
    _amount("length_ratio_mean", "ratio", "ratio",
        "Response tokens over prompt tokens (non-space, first 100,000 characters of each text), mean over rows with a "
        "response and a prompt token."),
    _row("length_log_ratio_mean", "log ratio", None, None, "log ratio",
        "Natural logarithm of response tokens over prompt tokens (non-space, first 100,000 characters of each text), "
        "mean over rows where both are positive."),
)
_LINGUISTIC = _define(TEXT_PARTS, "linguistic", SAMPLE,
    *(_share(f"pos_{tag}_share", _UD, f"Share of non-space tokens tagged {tag.upper()}: {name}.")
      for tag, name in _POS_NAMES.items()),
    *(_share(f"dep_{label}_share", _CLEAR, f"Share of non-space tokens with relation {label}: {name}.")
      for label, name in _RELATION_NAMES.items()),
    _amount("dependency_distance_mean", "tokens", f"Liu 2008; {_TD}",
        "Distance of a token to its head (0 for a root), counted in non-space tokens; mean over the non-space tokens "
        "of a sentence, then over the sentences of a document."),
    _share("adjacent_dependency_share", _TD,
        "Share of non-space tokens next to their head (a root is not), mean over the sentences of a document."),
    _amount("tree_depth_mean", "edges", "Yngve 1960; Lu 2010",
        "Longest path from a non-space token to the root of its sentence, mean over the sentences of a document."),
    _amount("clauses_per_sentence", "clauses", _LU,
        "Verbs and auxiliaries (VERB, AUX) that head a clause (ROOT, conj, parataxis, ccomp, xcomp, advcl, relcl, acl, "
        "csubj, csubjpass, pcomp) over sentences."),
    _share("subordinate_clause_share", _LU,
        "Subordinate clause heads (VERB or AUX with ccomp, xcomp, advcl, relcl, acl, csubj, csubjpass or pcomp) over "
        "all clause heads (these and ROOT, conj, parataxis)."),
    _share("negation_share", _CLEAR, "Share of non-space tokens with relation neg."),
    _share("modal_share", _PENN, "Share of non-space tokens tagged MD."),
    _share("question_share", "defined here",
        'Share of sentences with "?" among their last two non-space tokens, or that open with a wh-word (WDT, WP, WP$, '
        'WRB) and do not end in "." or "!".'),
    _share("imperative_share", "defined here",
        'Share of sentences whose root is a base-form verb (VB) without subject, modal or "to".'),
    _share("passive_share", "after Biber 1988", "Share of verbs (VERB) with a passive auxiliary (auxpass)."),
    _share("past_tense_share", "after Biber 1988", "VBD over finite verbs (VBD, VBP, VBZ, MD)."),
    _share("present_tense_share", "after Biber 1988", "VBP and VBZ over finite verbs (VBD, VBP, VBZ, MD)."),
    *(_share(f"{person.lower()}_person_share", "after Biber 1988",
            f"{person}-person pronouns (PRON; {it}possessive and reflexive ones too) over non-space tokens.")
      for person, it in (("First", ""), ("Second", ""), ("Third", "it, "))),
    _share("comparative_share", _PENN, "Comparatives (JJR, RBR) over non-space tokens."),
    _share("superlative_share", _PENN, "Superlatives (JJS, RBS) over non-space tokens."),
    _share("content_word_share", "Ure 1971",
        "Lexical density: nouns, proper nouns, verbs (not auxiliaries), adjectives and adverbs over non-space tokens."),
    _amount("noun_verb_ratio", "ratio", "ratio", "NOUN and PROPN over VERB; undefined without a verb."),
    _row("formality", "score", 0, 100, "Heylighen and Dewaele 2002, F-score",
        "(nouns + adjectives + adpositions + articles - pronouns - verbs - adverbs - interjections + 100) / 2, each in "
        "percent of the non-space tokens that are neither PUNCT nor SYM; nouns: NOUN, PROPN; verbs: VERB, AUX; "
        "articles: DET a, an, the."),
    _share("contraction_share", "after Biber 1988, feature 59",
        "Contracted words (n't, 's that is no possessive, 're, 've, 'll, 'd, 'm) over non-space tokens."),
    _share("coordinate_clause_share", _LU,
        "Verbs and auxiliaries with relation conj over all clause heads (see clauses_per_sentence)."),
    _amount("noun_modifiers_mean", "tokens", "after McNamara et al. 2014, Coh-Metrix SYNNP",
        "Determiners, adjectives, compounds, numerals and possessives (det, amod, compound, nummod, poss, nmod) of "
        "nouns, over NOUN and PROPN that are no compound: the length of a noun phrase less one."),
    _share("left_branching_share", "after Liu 2010, head directionality",
        "Share of dependents (PUNCT left out) that stand before their head."),
    _amount("tokens_before_root_mean", "tokens", "after McNamara et al. 2014, Coh-Metrix SYNLE",
        "Non-space tokens before the root of a sentence, mean over the sentences of a document."),
    *(_share(f"{name}_variation", "LFTK 1.0 (Lee and Lee 2023), simple variation; no lemmas",
            f"Distinct {plural} over {plural} ({tag}, lower-cased, distinct within a text or 20,000 characters of it).")
      for name, plural, tag in (("noun", "common nouns", "NOUN"), ("verb", "verbs", "VERB"),
                                ("adjective", "adjectives", "ADJ"), ("adverb", "adverbs", "ADV"))),
)
_ENTITIES = _define(TEXT_PARTS, "linguistic", ENTITY_SAMPLE,
    _row("entities_per_100_tokens", "entities", 0, 100, _NER, "Named entities per 100 non-space tokens."),
    *(_share(f"entity_{kind}_share", _NER,
             f"Share of a document's entities that are {name}; undefined without an entity.")
      for kind, name in _ENTITY_NAMES.items()),
)
_READABILITY = _define(TEXT_PARTS, "readability", SAMPLE,
    _row("flesch_reading_ease", "score", None, 206.835, f"Flesch 1948; {_TEXTSTAT}",
        "206.835 - 1.015 words/sentence - 84.6 syllables/word; high is easy."),
    _row("flesch_kincaid_grade", "grade", -15.59, None, f"Kincaid et al. 1975; {_TEXTSTAT}",
        "0.39 words/sentence + 11.8 syllables/word - 15.59."),
    _amount("gunning_fog", "grade", f"Gunning 1952; {_TEXTSTAT}",
        "0.4 (words/sentence + 100 complex/words); complex: words of three syllables or more, not in textstat's easy "
        "words."),
    _row("smog", "grade", 3.1291, None, f"McLaughlin 1969; {_TEXTSTAT}",
        "1.043 sqrt(30 polysyllables/sentence) + 3.1291, polysyllables: words of three syllables or more; undefined "
        "below three sentences."),
    _row("automated_readability_index", "grade", -21.43, None, f"Smith and Senter 1967; {_TEXTSTAT}",
        "4.71 characters/run + 0.5 words/sentence - 21.43; run: what stands between whitespace, its marks included."),
    _row("coleman_liau", "grade", None, None, f"Coleman and Liau 1975; {_TEXTSTAT}",
        "5.8 letters/word - 29.6 sentences/word - 15.8; digits count as letters."),
    _amount("lix", "score", f"Björnsson 1968; {_TEXTSTAT}",
        "words/sentence + 100 long/words; long: words of over six letters or digits."),
    _amount("rix", "long words", f"Anderson 1983; {_TEXTSTAT}", "Words of over six letters or digits per sentence."),
    _share("unlisted_word_share", f"Dale and Chall 1948; {_TEXTSTAT}",
        "Share of words not among textstat's easy words."),
    _row("syllables_per_word", "syllables", 1, None, "rules of spelling, in profiler/traits/syllables.py",
        "Syllables over words."),
    _amount("sentence_words_mean", "words", _TEXTSTAT,
        "Words over sentences of a document, both of the first 100,000 characters of each text, as in all readability "
        "formulas; words: runs between whitespace without punctuation, none that were only punctuation; sentences by "
        "the dependency parser."),
)
_DIVERSITY = _define(TEXT_PARTS, "lexical_diversity", SAMPLE,
    _share("type_token_ratio", "Templin 1957",
        "Distinct words over words of a document; in this family words are lower-cased, without punctuation."),
    _amount("root_type_token_ratio", "ratio", "Guiraud 1954",
        "Distinct words over the square root of the words of a document."),
    _row("mtld", "words", 1, None, "McCarthy and Jarvis 2010",
        "Words per stretch until its type-token ratio falls to .72, mean of forward and backward, of documents of 50 "
        "words or more, their texts end to end; where no word repeats, the next one is taken to."),
    _row("corpus_mtld", "words", 1, None, "McCarthy and Jarvis 2010",
        "MTLD of the sampled documents laid end to end in random order (first 100,000 words); undefined below 50 "
        "words."),
    _share("corpus_hdd", "McCarthy and Jarvis 2007",
        "Expected type-token ratio of 42 words drawn without replacement from all words of the sample; undefined below "
        "42 words."),
    _row("corpus_yule_k", "score", 0, 10000, "Yule 1944",
        "Yule's characteristic of all words of the sample: 10^4 (sum of squared counts - N) / N^2; high when few words "
        "do most of the work, whatever N."),
    _amount("word_entropy_bits", "bits", "Shannon 1948", "Entropy of the words of the sample: -sum p log2 p."),
    _amount("maas", "score", "Maas 1972",
        "Maas' a^2 of documents of 10 words or more: (ln N - ln V) / (ln N)^2 for N words and V distinct ones; low "
        "when words vary."),
    _amount("compression_ratio", "ratio", "after Shaib et al. 2024",
        "UTF-8 bytes of the sampled documents laid end to end (first 200,000 bytes) over their size under zlib, "
        "level 6."),
    _share("hapax_share", "Baayen 2001", "Share of the sample's distinct words that occur once."),
    _row("vocabulary_1k", "words", 1, 1000, "Johnson 1944, mean segmental",
        "Distinct words in 1,000 consecutive words of the sample, mean over windows that do not overlap; undefined "
        "below 1,000 words."),
    _row("vocabulary_10k", "words", 1, 10000, "vocabulary growth, Baayen 2001",
        "Distinct words in the first 10,000 words of the sample; undefined below 10,000 words."),
    _row("word_characters_mean", "characters", 1, None, "mean",
        "Characters per word of a document, punctuation left out."),
)
_SURFACE_ROWS = _define(TEXT_PARTS, "surface", ALL_ROWS,
    _share("non_ascii_share", "share", "Characters outside ASCII over characters of a document."),
    _share("upper_case_share", "share", "Upper-case letters over letters of a document."),
    _share("digit_share", "Unicode categories", "Decimal digits (Nd) over characters of a document."),
    _share("punctuation_share", "Unicode categories", "Punctuation (P*) over characters of a document."),
    _share("whitespace_share", "Unicode categories", "Whitespace over characters of a document."),
    _share("symbol_share", "Unicode categories", "Symbols (S*: + = $ ^ and emoji) over characters of a document."),
    _share("latin_letter_share", "Unicode character names",
        "Letters of the Latin script over letters of a document: 1 for English, 0 for Chinese."),
    _amount("character_entropy_bits", "bits", "Shannon 1948",
        "Entropy of the characters of all documents, in lower case, every whitespace one character."),
    _share("url_share", "regular expression, surface.URL", "Share of documents with a web address."),
    _share("code_share", "regular expression, surface.CODE", "Share of documents that look like code."),
)
_PROMPT_SURFACE = _define(("prompt",), "surface", ALL_ROWS,
    _share("duplicate_share", "share", "1 - distinct prompts / rows, exact match of every text field and option."),
    _share("near_duplicate_share", "Broder 1997",
        "Share of prompts (of up to 20,000 random rows, with a word) that have another one at a Jaccard similarity of "
        ".8 or more over pairs of neighbouring words, found by 64 MinHashes and verified; exact copies count."),
    _share("mention_share", "regular expression, surface.MENTION", "Share of prompts with an @name."),
    _share("hashtag_share", "regular expression, surface.HASHTAG", "Share of prompts with a #tag."),
)
_RESPONSE_SHAPE = _define(("response",), "surface", ALL_ROWS,
    _share("number_share", "regular expression, surface.NUMBER", "Share of responses that are one number."),
    _share("list_share", "regular expression, surface.LIST", "Share of responses with two or more list items."),
)
_SURFACE_SAMPLE = _define(TEXT_PARTS, "surface", SAMPLE,
    _share("alphabetic_token_share", f"spaCy 3.8 is_alpha; {_TD}", "Alphabetic tokens over non-space tokens."),
    _share("stop_word_share", f"spaCy 3.8 is_stop; {_TD}", "English stop words over non-space tokens."),
    _share("repeated_bigram_share", "after Rae et al. 2021",
        "1 - distinct / all pairs of neighbouring words of a document; no pair joins two texts."),
    _share("common_opening_share", "defined here",
        "Share of documents that open with the most common first three words, among documents of three words or more."),
)
_COPIED = _define(("response",), "surface", SAMPLE,
    _share("copied_share", "after Grusky et al. 2018, coverage",
        "Share of a response's words that occur in its own prompt, options included."),
    _share("copied_bigram_share", "after See et al. 2017, novel n-grams",
        "Share of a response's pairs of neighbouring words that stand in its own prompt, options too; 1 - novelty."),
    _share("copied_span_share", "after Grusky et al. 2018, density",
        "Words of the longest run that stands in its own prompt over words of a response; no run joins two texts."),
)
_PAIRS = _define(("dataset",), "surface", ALL_ROWS,
    _share("duplicate_pair_share", "share", "1 - distinct (prompt, response) pairs / rows that have both."),
    _share("split_leak_share", "after Dodge et al. 2021, train-test overlap",
        "Share of the prompts of the other splits that occur in this one, compared by their words in lower case "
        "without punctuation; undefined without another split that can be read."),
)
_DISCOURSE = _define(TEXT_PARTS, "discourse", SAMPLE,
    *_rates(f"senses of the Penn Discourse Treebank (Prasad et al. 2008); {_LISTS}", {
        "causal_marker_rate": "Causal markers (because, due to, so that, as a result)",
        "conditional_marker_rate": "Conditional markers (if, unless, whether, assuming)",
        "contrast_marker_rate": "Contrastive markers (but, however, although, instead)",
        "comparison_marker_rate": "Comparative markers (than, more, less, similar to, twice as)",
        "temporal_marker_rate": "Temporal and sequence markers (first, next, after, before, when, finally)",
        "additive_marker_rate": "Additive and elaborating markers (and, also, for example, such as)",
        "conclusion_marker_rate": "Markers of conclusion (therefore, thus, hence, this means)",
    }),
    *_rates(f"after Hyland 2005; {_LISTS}", {
        "hedge_rate": "Hedges (may, perhaps, seems, probably, in general)",
        "booster_rate": "Boosters (very, clearly, always, of course)",
    }),
    *_rates(_LISTS, {
        "quantifier_rate": "Quantity words (all, each, several, half, million, a lot of)",
        "unit_rate": "Units of money, time, length, weight (dollars, hours, km, kg)",
    }),
    *_rates("defined here", {"numeral_rate": "Words with a decimal digit"}),
    *_rates("VADER 3.3.2 (Hutto and Gilbert 2014)", {
        "positive_word_rate": "Positive words: rated 1.5 or more of 4",
        "negative_word_rate": "Negative words: rated -1.5 or less of -4",
    }),
    *_rates("after Biber 1988, feature 14", {
        "nominalisation_rate": "Words of seven letters or more in -tion, -ment, -ness, -ity or their plurals",
    }),
)
_EQUATION = _define(TEXT_PARTS, "task_form", SAMPLE,
    *_forms("EQUATION", {
        "equation_share": "Share of documents with a calculation: digits around an operator, or = and a number",
    }),
)
_PROMPT_FORM = _define(("prompt",), "task_form", SAMPLE,
    *_forms("PROMPT_FORMS", {
        "question_end_share": "Share of prompts with a text that ends in a question mark",
        "wh_question_share": "Share of prompts with a question that has a wh-word",
        "instruction_opening_share": "Share of prompts with a text that opens with an instruction (write, find)",
        "cloze_share": "Share of prompts with a blank to fill (__, [MASK], an empty bracket)",
        "options_listed_share": "Share of prompts with options listed in the text: A. ... B. ..., or 1) ... 2) ..",
        "few_shot_share": "Share of prompts with a worked example: question, answer, question, each with its name",
        "step_by_step_share": "Share of prompts that ask for steps, reasoning or an explanation",
        "format_request_share": "Share of prompts that ask for a length or a format (in two sentences, as JSON)",
    }),
)
_RESPONSE_FORM = _define(("response",), "task_form", SAMPLE,
    *_forms("RESPONSE_SHAPES", {
        "answer_marker_share": "Share of responses that mark an answer (the answer is, therefore, ####)",
        "final_answer_share": 'Share of responses whose last 60 characters follow "answer", ####, \\boxed{ or =',
        "markdown_share": "Share of responses with a Markdown heading, table row, fence or bold text",
        "one_letter_share": "Share of responses that are one letter",
        "yes_no_share": "Share of responses that open with yes, no, true or false",
        "upper_start_share": "Share of responses whose first letter or digit is an upper-case letter",
        "full_stop_end_share": "Share of responses that end in a full stop, question or exclamation mark",
        "refusal_share": "Share of responses that open with an apology or a refusal",
    }),
    _share("rationale_share", "defined here",
        "Share of responses of 10 words or more with a calculation or an answer marker."),
    _share("json_share", "RFC 8259", "Share of responses that are a JSON object or list as a whole."),
)
_REPETITION = _define(TEXT_PARTS, "repetition", SAMPLE,
    _share("repeated_line_share", "Rae et al. 2021, table A1",
        "Characters of lines that stood before in the same text over characters of all its lines, whitespace left "
        "out."),
    _share("bullet_line_share", "Rae et al. 2021", "Lines of a bullet and text over lines that are not blank."),
    _share("ellipsis_line_share", "Rae et al. 2021", "Lines that end in an ellipsis over lines that are not blank."),
    _share("repeated_character_share", "after data-juicer 1.6, character_repetition_filter",
        "1 - distinct / all runs of 10 characters of a document, distinct within each text."),
    _share("repeated_run_share", "after data-juicer 1.6, word_repetition_filter",
        "1 - distinct / all runs of 5 words of a document; no run joins two texts."),
    _share("top_bigram_share", "Rae et al. 2021, table A1",
        "Characters of the word pair that takes most of them, over word characters of a document; 0 where no pair "
        "comes twice."),
)
_SHORTCUTS = _define(("label",), "shortcut", ALL_ROWS,
    _share("length_information", _CHANCE,
        "Share of the label entropy that the number of words of the prompt explains, in ten groups: (I - E) / (H - E), "
        "not below 0; I mutual information, E its mean over 10 shuffles of the labels. Up to 20,000 random rows, as "
        "all of this family."),
    _share("first_word_information", _CHANCE,
        "Share of the label entropy that the first word of the prompt explains; words of fewer than 20 rows are one."),
    _share("overlap_information", f"{_CHANCE}; McCoy et al. 2019",
        "Share of the label entropy explained by how many of the last text field's words occur in the other fields, in "
        "ten groups; undefined for a single field."),
    _row("word_association", "score", -1, 1, "Bouma 2009; Gururangan et al. 2018",
        "Largest normalised pointwise mutual information of a word and a class that share 20 rows or more."),
    _row("word_rule_gain", "accuracy", -1, 1, "Holte 1993, 1R",
        "Accuracy of the best rule on one word (its class where it stands, another where it does not) beyond the "
        "majority class; made on one half of the rows, tested on the other, mean of both ways; words of 20 rows or "
        "more."),
    _row("longest_option_gain", "accuracy", -1, 1, "defined here",
        "How often the longest option (characters; ties share) is the right one, beyond one over the options."),
    _row("overlapping_option_gain", "accuracy", -1, 1, "defined here",
        "How often the option with the largest share of words from the question is the right one, beyond chance."),
)
_PREFERENCE = _define(("response",), PAIRS, ALL_ROWS,
    _row("preference_length_gap", "characters", None, None, "mean", "Length of the chosen response less the other's."),
    _share("preference_longer_share", "share", "Pairs whose chosen response has more characters; ties count half."),
    _share("preference_rejected_overlap", "Jaccard 1901", "Words that both responses have over the words of either."),
    _row("preference_margin_mean", "score", None, None, "mean", "Score of the chosen response less the other's."),
)
CATALOGUE: tuple[TraitDefinition, ...] = (
    *_LABELS, *_RESPONSE_BALANCE, *_ROW_LENGTHS, *_SAMPLE_LENGTHS, *_ONE_TOKEN, *_DATASET_LENGTHS, *_RATIO_LENGTHS,
    *_LINGUISTIC, *_ENTITIES, *_READABILITY, *_DIVERSITY, *_SURFACE_ROWS, *_PROMPT_SURFACE, *_RESPONSE_SHAPE,
    *_SURFACE_SAMPLE, *_COPIED, *_PAIRS, *_DISCOURSE, *_EQUATION, *_PROMPT_FORM, *_RESPONSE_FORM, *_REPETITION,
    *_SHORTCUTS, *_PREFERENCE,
)
# fmt: on
BY_NAME: dict[str, TraitDefinition] = {definition.trait: definition for definition in CATALOGUE}


def needs(definition: TraitDefinition) -> str | None:
    """What a trait needs besides the text.

    Returns
    -------
    str or None
        TREES, POS, SENTENCES, TOKENS, WORDS or ENGLISH; None for a trait that can be measured in any language.
    """
    name = definition.trait.removeprefix(f"{definition.part}_")
    for need, prefixes in _PREFIXES_BY_NEED.items():
        if name.startswith(tuple(prefixes.split())):
            return need
    english = definition.family in _ENGLISH_FAMILIES or name.startswith(tuple(_ENGLISH_PREFIXES.split()))
    return ENGLISH if english else None
