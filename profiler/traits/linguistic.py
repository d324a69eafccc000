"""The linguistic traits: from the output of the tagger, the dependency parser and the entity recogniser.

Owns the definitions on tokens and trees, as NumPy over flat token arrays of many segments at once: additive counts per
segment (`count_segments`), and the traits as ratios of document sums (`document_traits`). Tokens of whitespace are left
out: spaCy makes one of every double space and line break (one token in 25 in solved maths problems) and attaches it to
its neighbour, and layout is not syntax. Refuses to load a model or to see text: `profiler.parsing.parser` passes it
arrays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from traitcast.profiler.text.estimates import Floats, Ints, ratio

Flags = npt.NDArray[np.bool_]

# Universal part-of-speech tags (de Marneffe et al. 2021), in the order of textdescriptives' pos_prop_*.
POS = (
    "ADJ",
    "ADP",
    "ADV",
    "AUX",
    "CCONJ",
    "DET",
    "INTJ",
    "NOUN",
    "NUM",
    "PART",
    "PRON",
    "PROPN",
    "PUNCT",
    "SCONJ",
    "SYM",
    "VERB",
    "X",
)
# ClearNLP dependency labels of the English spaCy pipelines.
RELATIONS = ("nsubj", "dobj", "amod", "advmod", "compound", "conj", "ccomp", "advcl", "relcl")
ENTITIES = {
    "person": ("PERSON",),
    "organisation": ("ORG",),
    "place": ("GPE", "LOC", "FAC"),
    "time": ("DATE", "TIME"),
    "number": ("CARDINAL", "ORDINAL", "QUANTITY", "MONEY", "PERCENT"),
    "group": ("NORP",),
    "work": ("PRODUCT", "EVENT", "WORK_OF_ART", "LAW", "LANGUAGE"),
}
_CLAUSES = ("ROOT", "ccomp", "xcomp", "advcl", "relcl", "acl", "csubj", "csubjpass", "pcomp", "parataxis", "conj")
_SUBORDINATE = ("ccomp", "xcomp", "advcl", "relcl", "acl", "csubj", "csubjpass", "pcomp")
_SUBJECTS = ("nsubj", "nsubjpass", "csubj", "csubjpass", "expl")
_WH = ("WDT", "WP", "WP$", "WRB")
FIRST_PERSON = ("i", "me", "my", "mine", "myself", "we", "us", "our", "ours", "ourselves")
SECOND_PERSON = ("you", "your", "yours", "yourself", "yourselves")
THIRD_PERSON = (
    *("he", "him", "his", "himself", "she", "her", "hers", "herself", "it", "its", "itself"),
    *("they", "them", "their", "theirs", "themselves"),
)
_NOUN_MODIFIERS = ("det", "amod", "compound", "nummod", "poss", "nmod")
ARTICLES = ("a", "an", "the")
CONTRACTIONS = tuple(
    f"{before}{mark}{after}"
    for mark in "'’"
    for before, after in (
        ("n", "t"),
        ("", "s"),
        ("", "re"),
        ("", "ve"),
        ("", "ll"),
        ("", "d"),
        ("", "m"),
    )
)
# Parts of speech whose variety is measured, and the name of the trait.
VARIED = {"NOUN": "noun", "VERB": "verb", "ADJ": "adjective", "ADV": "adverb"}
COUNTS = (
    *("tokens", "sentences", "dependency_distance", "adjacent_dependencies", "tree_depth"),
    *("squared_sentence_tokens", "tokens_before_root", "dependents", "left_dependents"),
    *("articles", "contractions", "coordinate_clauses", "noun_heads", "noun_modifiers"),
    *(f"distinct_{tag}" for tag in VARIED),
    *(f"pos_{tag}" for tag in POS),
    *(f"dep_{relation}" for relation in RELATIONS),
    *("clauses", "subordinate", "negations", "modals", "questions", "imperatives", "passives"),
    *("first_person", "second_person", "third_person", "finite", "past", "present", "comparatives", "superlatives"),
)
ENTITY_COUNTS = ("entity_tokens", "entities", *(f"entity_{kind}" for kind in ENTITIES))


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of many segments end to end.

    Parameters
    ----------
    segment : int64 (tokens,)
        Ascending.
    tag, pos, dep, lower : uint64 (tokens,)
        Codes of the tags, relations and lower-cased words.
    head : int64 (tokens,)
        Absolute index of the head; a root is its own head.
    sentence_start : bool (tokens,)
    codes
        Gives the code of a string.
    """

    segment: Ints
    tag: npt.NDArray[np.uint64]
    pos: npt.NDArray[np.uint64]
    dep: npt.NDArray[np.uint64]
    lower: npt.NDArray[np.uint64]
    head: Ints
    sentence_start: Flags
    codes: Codes

    def __len__(self) -> int:
        return len(self.segment)

    def only(self, keep: Flags) -> Tokens:
        """Some tokens, heads renumbered. A sentence left without tokens is dropped; a token without its head is a root.

        Parameters
        ----------
        keep : bool (tokens,)
        """
        place = np.cumsum(keep) - 1
        own = np.arange(len(self))
        head = np.where(keep[self.head], self.head, own)[keep]
        sentence = np.cumsum(self.sentence_start)[keep]
        return Tokens(
            segment=self.segment[keep],
            tag=self.tag[keep],
            pos=self.pos[keep],
            dep=self.dep[keep],
            lower=self.lower[keep],
            head=place[head],
            sentence_start=np.diff(sentence, prepend=0) > 0,
            codes=self.codes,
        )


class Codes:
    """The codes of strings in the string store of a pipeline."""

    def __init__(self, lookup: Iterable[tuple[str, int]]) -> None:
        self._codes = dict(lookup)

    def __call__(self, *strings: str) -> npt.NDArray[np.uint64]:
        return np.array([self._codes[s] for s in strings], dtype=np.uint64)


class _Membership(Protocol):
    def __call__(self, values: npt.NDArray[np.uint64], *strings: str) -> Flags: ...


def needed_strings() -> tuple[str, ...]:
    """Every string whose code `count_segments` and `count_entities` need."""
    return tuple(
        dict.fromkeys(
            [
                *POS,
                *RELATIONS,
                *_CLAUSES,
                *_SUBJECTS,
                *_WH,
                *FIRST_PERSON,
                *SECOND_PERSON,
                *THIRD_PERSON,
                *_NOUN_MODIFIERS,
                *ARTICLES,
                *CONTRACTIONS,
                "POS",
                *("neg", "auxpass", "MD", "TO", "VB", "VBD", "VBP", "VBZ", "JJR", "RBR", "JJS", "RBS", "?", ".", "!"),
                *(label for labels in ENTITIES.values() for label in labels),
            ]
        )
    )


def count_segments(tokens: Tokens, segments: int) -> Floats:
    """Additive counts of each segment.

    Parameters
    ----------
    tokens
        Of all segments.
    segments
        How many segments there are, those without tokens included.

    Returns
    -------
    float64 (segments, len(COUNTS))
    """
    result = np.zeros((segments, len(COUNTS)))
    if not len(tokens):
        return result
    codes = tokens.codes

    def is_in(values: npt.NDArray[np.uint64], *strings: str) -> Flags:
        wanted = codes(*strings)
        return values == wanted[0] if len(wanted) == 1 else np.isin(values, wanted)

    verbal = is_in(tokens.pos, "VERB", "AUX")
    personal = is_in(tokens.pos, "PRON")
    past, present = is_in(tokens.tag, "VBD"), is_in(tokens.tag, "VBP", "VBZ")
    modal = is_in(tokens.tag, "MD")
    parts = {tag: is_in(tokens.pos, tag) for tag in POS}
    nominal = parts["NOUN"] | parts["PROPN"]
    index = np.arange(len(tokens))
    dependent = (tokens.head != index) & ~parts["PUNCT"]
    compound = is_in(tokens.dep, "compound")
    flags: dict[str, Flags] = {
        "tokens": np.ones(len(tokens), dtype=bool),
        "clauses": verbal & is_in(tokens.dep, *_CLAUSES),
        "subordinate": verbal & is_in(tokens.dep, *_SUBORDINATE),
        "dependents": dependent,
        "left_dependents": dependent & (tokens.head > index),
        "articles": parts["DET"] & is_in(tokens.lower, *ARTICLES),
        "contractions": is_in(tokens.lower, *CONTRACTIONS) & ~is_in(tokens.tag, "POS"),
        "coordinate_clauses": verbal & is_in(tokens.dep, "conj"),
        "noun_heads": nominal & ~compound,
        "noun_modifiers": is_in(tokens.dep, *_NOUN_MODIFIERS) & nominal[tokens.head] & dependent,
        "negations": is_in(tokens.dep, "neg"),
        "modals": modal,
        "passives": _passives(tokens, is_in(tokens.dep, "auxpass"), is_in(tokens.pos, "VERB")),
        "first_person": personal & is_in(tokens.lower, *FIRST_PERSON),
        "second_person": personal & is_in(tokens.lower, *SECOND_PERSON),
        "third_person": personal & is_in(tokens.lower, *THIRD_PERSON),
        "finite": past | present | modal,
        "past": past,
        "present": present,
        "comparatives": is_in(tokens.tag, "JJR", "RBR"),
        "superlatives": is_in(tokens.tag, "JJS", "RBS"),
        **{f"pos_{tag}": flag for tag, flag in parts.items()},
        **{f"distinct_{tag}": _first_of_word(tokens, parts[tag]) for tag in VARIED},
        **{f"dep_{relation}": is_in(tokens.dep, relation) for relation in RELATIONS},
    }
    counts: dict[str, npt.NDArray[np.generic]] = {
        name: np.bincount(tokens.segment[flag], minlength=segments) for name, flag in flags.items()
    }
    counts |= _sentence_sums(tokens, segments, is_in)
    for column, name in enumerate(COUNTS):
        result[:, column] = counts[name]
    return result


def _first_of_word(tokens: Tokens, flag: Flags) -> Flags:
    """Of the flagged tokens, the first of each word in its segment."""
    at = np.flatnonzero(flag)
    _, word = np.unique(tokens.lower[at], return_inverse=True)
    first = np.zeros(len(tokens), dtype=bool)
    first[at[np.unique(tokens.segment[at] * (len(at) + 1) + word, return_index=True)[1]]] = True
    return first


def _passives(tokens: Tokens, auxiliary: Flags, verb: Flags) -> Flags:
    """Verbs with a passive auxiliary among their children."""
    marked = np.zeros(len(tokens), dtype=bool)
    marked[tokens.head[auxiliary]] = True
    return marked & verb


def _sentence_sums(tokens: Tokens, segments: int, is_in: _Membership) -> dict[str, npt.NDArray[np.generic]]:
    """Sums over the sentences of each segment of what is defined per sentence."""
    starts = np.flatnonzero(tokens.sentence_start)
    lengths = np.diff(np.append(starts, len(tokens)))
    index = np.arange(len(tokens))
    distance = np.abs(tokens.head - index)
    segment_of = tokens.segment[starts]

    def per_sentence(values: npt.NDArray[np.generic]) -> Floats:
        return np.add.reduceat(values.astype(np.float64), starts)

    root = np.where(tokens.head == index, index, len(tokens))
    before = np.minimum.reduceat(root, starts) - starts
    # A root is its own head: distance 0, never adjacent, and it counts in the denominator as in textdescriptives.
    sums = {
        "sentences": np.ones(len(starts)),
        "dependency_distance": per_sentence(distance) / lengths,
        "adjacent_dependencies": per_sentence(distance == 1) / lengths,
        "tree_depth": np.maximum.reduceat(_depths(tokens.head), starts),
        "squared_sentence_tokens": lengths**2,
        "tokens_before_root": np.minimum(before, lengths),
        "questions": _questions(tokens, starts, is_in),
        "imperatives": per_sentence(_imperative_roots(tokens, is_in)) > 0,
    }
    return {name: np.bincount(segment_of, weights=values, minlength=segments) for name, values in sums.items()}


def _depths(head: Ints) -> Ints:
    """Distance of each token from its root, by pointer doubling: log2(depth) rounds."""
    depth = (head != np.arange(len(head))).astype(np.int64)
    ancestor = head
    while True:
        further = depth[ancestor]
        if not further.any():
            return depth
        depth = depth + further
        ancestor = ancestor[ancestor]


def _questions(tokens: Tokens, starts: Ints, is_in: _Membership) -> Flags:
    """Sentences with "?" among the last two tokens, or that open with a wh-word and close without . or !"""
    last = np.append(starts[1:], len(tokens)) - 1
    before = np.maximum(last - 1, starts)
    mark = is_in(tokens.lower, "?")
    closed = is_in(tokens.lower, ".", "!")
    opens = is_in(tokens.tag, *_WH)[starts]
    return mark[last] | mark[before] | (opens & ~closed[last])


def _imperative_roots(tokens: Tokens, is_in: _Membership) -> Flags:
    """Roots in base form (VB) with neither a subject nor a modal or "to" among their children."""
    root = (tokens.head == np.arange(len(tokens))) & is_in(tokens.tag, "VB")
    barring = is_in(tokens.dep, *_SUBJECTS) | is_in(tokens.tag, "MD", "TO")
    barred = np.zeros(len(tokens), dtype=bool)
    barred[tokens.head[barring]] = True
    return root & ~barred


def count_entities(segment: Ints, begins: Flags, kind: npt.NDArray[np.uint64], codes: Codes, segments: int) -> Floats:
    """Additive entity counts of each segment.

    Parameters
    ----------
    segment : int64 (tokens,)
    begins : bool (tokens,)
        Whether an entity starts at the token.
    kind : uint64 (tokens,)
        Code of the entity's label.
    codes
        Gives the code of a string.
    segments
        How many segments there are.

    Returns
    -------
    float64 (segments, len(ENTITY_COUNTS))
    """
    result = np.zeros((segments, len(ENTITY_COUNTS)))
    flags = [
        np.ones(len(segment), dtype=bool),
        begins,
        *(begins & np.isin(kind, codes(*labels)) for labels in ENTITIES.values()),
    ]
    for column, flag in enumerate(flags):
        result[:, column] = np.bincount(segment[flag], minlength=segments)
    return result


def document_traits(sums: Floats) -> dict[str, Floats]:
    """Linguistic traits of each document.

    Parameters
    ----------
    sums : float64 (documents, len(COUNTS))
        Document sums of `count_segments`.

    Returns
    -------
    dict of str to float64 (documents,)
        By trait name without its part, NaN where the denominator is 0.
    """
    c = {name: sums[:, column] for column, name in enumerate(COUNTS)}
    tokens, sentences, verbs = c["tokens"], c["sentences"], c["pos_VERB"]
    nouns = c["pos_NOUN"] + c["pos_PROPN"]
    content = nouns + c["pos_VERB"] + c["pos_ADJ"] + c["pos_ADV"]
    return {
        **{f"pos_{tag.lower()}_share": ratio(c[f"pos_{tag}"], tokens) for tag in POS},
        **{f"dep_{relation}_share": ratio(c[f"dep_{relation}"], tokens) for relation in RELATIONS},
        "dependency_distance_mean": ratio(c["dependency_distance"], sentences),
        "adjacent_dependency_share": ratio(c["adjacent_dependencies"], sentences),
        "tree_depth_mean": ratio(c["tree_depth"], sentences),
        "clauses_per_sentence": ratio(c["clauses"], sentences),
        "subordinate_clause_share": ratio(c["subordinate"], c["clauses"]),
        "negation_share": ratio(c["negations"], tokens),
        "modal_share": ratio(c["modals"], tokens),
        "question_share": ratio(c["questions"], sentences),
        "imperative_share": ratio(c["imperatives"], sentences),
        "passive_share": ratio(c["passives"], verbs),
        "past_tense_share": ratio(c["past"], c["finite"]),
        "present_tense_share": ratio(c["present"], c["finite"]),
        "first_person_share": ratio(c["first_person"], tokens),
        "second_person_share": ratio(c["second_person"], tokens),
        "third_person_share": ratio(c["third_person"], tokens),
        "comparative_share": ratio(c["comparatives"], tokens),
        "superlative_share": ratio(c["superlatives"], tokens),
        "content_word_share": ratio(content, tokens),
        "noun_verb_ratio": ratio(nouns, verbs),
        "formality": _formality(c),
        "contraction_share": ratio(c["contractions"], tokens),
        "coordinate_clause_share": ratio(c["coordinate_clauses"], c["clauses"]),
        "noun_modifiers_mean": ratio(c["noun_modifiers"], c["noun_heads"]),
        "left_branching_share": ratio(c["left_dependents"], c["dependents"]),
        "tokens_before_root_mean": ratio(c["tokens_before_root"], sentences),
        **{f"{name}_variation": ratio(c[f"distinct_{tag}"], c[f"pos_{tag}"]) for tag, name in VARIED.items()},
    }


def _formality(c: dict[str, Floats]) -> Floats:
    """F-score of Heylighen and Dewaele 2002: frequencies in percent of the words, 0 to 100."""
    words = c["tokens"] - c["pos_PUNCT"] - c["pos_SYM"]
    formal = c["pos_NOUN"] + c["pos_PROPN"] + c["pos_ADJ"] + c["pos_ADP"] + c["articles"]
    deictic = c["pos_PRON"] + c["pos_VERB"] + c["pos_AUX"] + c["pos_ADV"] + c["pos_INTJ"]
    return 50.0 * (1.0 + ratio(formal - deictic, words))


def sentence_spread(sums: Floats) -> Floats:
    """Standard deviation (divisor n) of the tokens of a document's sentences, NaN below two sentences."""
    c = {name: sums[:, column] for column, name in enumerate(COUNTS)}
    n = c["sentences"]
    variance = ratio(c["squared_sentence_tokens"], n) - ratio(c["tokens"], n) ** 2
    return np.where(n > 1, np.sqrt(np.maximum(variance, 0.0)), np.nan)


def document_entity_traits(sums: Floats) -> dict[str, Floats]:
    """Entity traits of each document, from document sums of `count_entities`, float64 (documents,) by trait."""
    c = {name: sums[:, column] for column, name in enumerate(ENTITY_COUNTS)}
    return {
        "entities_per_100_tokens": 100.0 * ratio(c["entities"], c["entity_tokens"]),
        **{f"entity_{kind}_share": ratio(c[f"entity_{kind}"], c["entities"]) for kind in ENTITIES},
    }
