"""What gives a label away without reading: a word, the length or the form of a text, the longest option.

Owns how sure and how frequent such a cue has to be. `profiler.traits.shortcuts` measures how much cues explain; this
names them and their rows. A word of a single text may be what the task is about; a word of one of several texts, a
length or a form hardly is, so these are another check.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from traitcast.profiler.findings.checks import Finding, found, share_words
from traitcast.profiler.findings.texts import marks
from traitcast.profiler.text.estimates import Ints
from traitcast.profiler.text.kept_words import KeptWords
from traitcast.profiler.text.scan import mix
from traitcast.profiler.text.words import read_words
from traitcast.profiler.traits.shortcuts import MIN_COUNT, pick_gain
from traitcast.warehouse.layout import shortened

# Of the rows with a cue so many have one label, of the rows of that label so many have the cue, and the label is so
# much more frequent with it than without it. A form has no meaning of its own, so that less is needed.
WORD_PRECISION, FORM_PRECISION, COVERAGE, RAISED = 0.95, 0.9, 0.2, 0.2
# That chance makes any of all the cues looked at as sure (Bonferroni).
CHANCE = 1e-3
# The longest option is right so much more often than by chance.
OPTION_GAIN = 0.15
# Cues that are named.
_NAMED = 3
_LABEL_WIDTH = 40
# Lengths that are tried as limits: shares of the texts below them.
_LIMITS = (0.02, 0.05, *np.arange(0.1, 1, 0.1), 0.95, 0.98)
# A form, and its opposite.
_FORMS = (
    (r"^\s", "a blank at the start", "no blank at the start"),
    (r"\s$", "a blank at the end", "no blank at the end"),
    (r"^\W*\d", "a digit at the start", "no digit at the start"),
    (r"^\W*\p{Lu}", "a capital at the start", "no capital at the start"),
    (r"\.\W*$", "a full stop at the end", "no full stop at the end"),
    (r"\?\W*$", "a question mark at the end", "no question mark at the end"),
    (r"!\W*$", "an exclamation mark at the end", "no exclamation mark at the end"),
    (r"\d", "a digit", "no digit"),
    (r"\p{Lu}", "a capital", "no capital"),
    (r"\p{Ll}", "a small letter", "no small letter"),
    (r"\n", "several lines", "one line"),
    (r"\S\s\s+\S", "two blanks in a row", "no two blanks in a row"),
    (r"https?://|www\.", "an address of the web", "no address of the web"),
    (r"[\"“”]", "a quotation mark", "no quotation mark"),
    (r"[^\x00-\x7f]", "a character beyond ASCII", "ASCII alone"),
)


@dataclass(frozen=True, slots=True)
class Cue:
    """Something that gives a label away. rows: bool (rows,), those with it; right: those of them with the label."""

    words: str
    label: str
    rows: npt.NDArray[np.bool_]
    right: npt.NDArray[np.bool_]
    of_label: int

    @property
    def sentence(self) -> str:
        """`'you' means 'clickbait' in 447 of 449 rows (30.3 % of that label)`."""
        right = int(self.right.sum())
        label = repr(shortened(self.label, _LABEL_WIDTH))
        share = share_words(right / self.of_label)
        return f"{self.words} means {label} in {right:,} of {int(self.rows.sum()):,} rows ({share} of that label)"


@dataclass(frozen=True, slots=True)
class _Labels:
    """The labels of some rows. codes: int64 (rows,), places in `names`; counts: rows of each name."""

    codes: Ints
    names: npt.NDArray[Any]
    counts: Ints

    @classmethod
    def of(cls, labels: Sequence[str]) -> _Labels:
        names, codes, counts = np.unique(np.array(labels, dtype=str), return_inverse=True, return_counts=True)
        return cls(codes, names, counts)

    def sure(self, with_cue: Ints, right: Ints, label: Ints, precision: float, tests: int) -> npt.NDArray[np.bool_]:
        """Which cues give a label away: int64 (cues,) each, rows with the cue, those with the label, the label."""
        from scipy.stats import binom

        n, of_label = len(self.codes), self.counts[label]
        base = of_label / n
        there = np.maximum(with_cue, 1)
        good = (right >= MIN_COUNT) & (right >= precision * there) & (right >= COVERAGE * of_label)
        good &= right / there - base >= RAISED
        return good & (binom.sf(right - 1, with_cue, base) * tests * len(self.names) < CHANCE)


def findings(
    kept: KeptWords, prompts: Sequence[Sequence[str]], labels: Sequence[str], fields: Sequence[str], at: Ints, rows: int
) -> list[Finding | None]:
    """The findings `shortcut_labels` and `label_keywords` of a classification.

    Parameters
    ----------
    kept
        The words of some rows, as `profiler.findings.near.words_of` gives them.
    prompts, labels
        The fields and the label of each of these rows.
    fields
        Names of the fields.
    at : int64 (some rows,)
        Their numbers in the dataset, from 0.
    rows
        Of the dataset.
    """
    given = _Labels.of(labels)
    if len(given.names) < 2:
        return []
    keywords = list(_words(kept, prompts, given, fields))
    forms = list(_forms(prompts, given, fields))
    shortcuts = (keywords if len(fields) > 1 else []) + forms
    return [
        _finding("shortcut_labels", shortcuts, at, rows),
        _finding("label_keywords", keywords if len(fields) == 1 else [], at, rows),
    ]


def options(option_lists: Sequence[Sequence[str]], labels: Sequence[str], at: Ints, rows: int) -> Finding | None:
    """`shortcut_labels` of a multiple choice whose longest or shortest option is too often the right one.

    labels: places of the right options, from 0. at, rows: as in `findings`.
    """
    from scipy.stats import binom

    position = np.array([int(label) if label.isdecimal() else -1 for label in labels], dtype=np.int64)
    sizes = np.array([len(texts) for texts in option_lists], dtype=np.int64)
    characters = np.array([float(len(text)) for texts in option_lists for text in texts])
    cues = []
    for words, scores in (("the longest option", characters), ("the shortest option", -characters)):
        gain = pick_gain(scores, sizes, position)
        if gain.value is None or gain.n < MIN_COUNT or not gain.value >= OPTION_GAIN:
            continue
        chance = float((1 / sizes[sizes > 1]).mean())
        right = np.array([_alone(texts, place, words) for texts, place in zip(option_lists, position, strict=True)])
        share = chance + gain.value
        if binom.sf(round(share * gain.n) - 1, gain.n, chance) < CHANCE:
            cues.append((words, share, chance, right))
    if not cues:
        return None
    words, share, chance, right = max(cues, key=lambda cue: cue[1])
    hits = np.zeros(rows, dtype=bool)
    hits[at[right]] = True
    detail = f"{words} is right in {share_words(share)} of the rows, where {share_words(chance)} would be chance"
    return found("shortcut_labels", "label", hits, of=len(at), detail=detail)


def _alone(texts: Sequence[str], place: int, words: str) -> bool:
    """Whether the right option is the longest or shortest one, and the only such."""
    sizes = [len(text) for text in texts]
    if not 0 <= place < len(sizes):
        return False
    best = max(sizes) if "longest" in words else min(sizes)
    return sizes[place] == best and sizes.count(best) == 1


def _finding(check: str, cues: Sequence[Cue], at: Ints, rows: int) -> Finding | None:
    if not cues:
        return None
    # Of cues of the same rows one is enough: what begins with a digit begins with no capital.
    told = {(cue.label, cue.rows.tobytes()): cue for cue in reversed(cues)}
    best = sorted(told.values(), key=lambda cue: (-int(cue.right.sum()) / cue.of_label, cue.words))
    hits = np.zeros(rows, dtype=bool)
    for cue in best:
        hits[at[cue.right]] = True
    more = f"; and {len(best) - _NAMED} more" if len(best) > _NAMED else ""
    detail = "; ".join(cue.sentence for cue in best[:_NAMED]) + more
    return found(check, "label", hits, of=len(at), detail=detail)


def _place(fields: Sequence[str], field: int) -> str:
    return f" in {fields[field]}" if len(fields) > 1 else ""


def _words(kept: KeptWords, prompts: Sequence[Sequence[str]], labels: _Labels, fields: Sequence[str]) -> Iterator[Cue]:
    """Words of one field that give a label away and are no part of its name."""
    inside = kept.segment < len(fields)
    row, segment, hashes = kept.row[inside], kept.segment[inside], kept.words[inside]
    keys, number = np.unique(hashes ^ mix(segment.astype(np.uint64) + np.uint64(1)), return_inverse=True)
    pairs = np.unique(row * len(keys) + number)
    row, number = np.divmod(pairs, max(len(keys), 1))
    with_word = np.bincount(number, minlength=len(keys))
    common = with_word >= MIN_COUNT
    joint, right = np.unique(number * len(labels.names) + labels.codes[row], return_counts=True)
    word, label = np.divmod(joint, len(labels.names))
    good = common[word] & labels.sure(with_word[word], right, label, WORD_PRECISION, max(int(common.sum()), 1))
    for at in np.flatnonzero(good):
        has = np.zeros(len(labels.codes), dtype=bool)
        has[row[number == word[at]]] = True
        name, first = str(labels.names[label[at]]), int(np.flatnonzero(has)[0])
        spelt, field = _spelling(prompts[first], len(fields), int(keys[word[at]]))
        if not _is_named(spelt, name):
            yield _cue(repr(spelt) + _place(fields, field), has, int(label[at]), labels)


def _spelling(texts: Sequence[str], fields: int, key: int) -> tuple[str, int]:
    """The word of a key of a word and its field, and the field."""
    for field, text in enumerate(texts[:fields]):
        vocabulary = read_words([text])
        keys = vocabulary.hashes ^ mix(np.array([field + 1], dtype=np.uint64))
        if (keys == key).any():
            return vocabulary.types[int(np.flatnonzero(keys == key)[0])], field
    raise AssertionError("a word is not in its row")


def _is_named(word: str, label: str) -> bool:
    """Whether a label is called after a word: then the word is what the task is about."""
    stem = word[: max(4, len(word) - 3)]
    return any(part.startswith(stem) or (len(part) > 3 and word.startswith(part)) for part in _parts(label))


def _parts(label: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in label.lower()).split()


def _forms(prompts: Sequence[Sequence[str]], labels: _Labels, fields: Sequence[str]) -> Iterator[Cue]:
    """Lengths and forms of one field that give a label away; of several lengths the one that most rows have."""
    for field in range(len(fields)):
        texts = pa.array([texts[field] if field < len(texts) else None for texts in prompts], pa.string())
        there = texts.is_valid().to_numpy(zero_copy_only=False)
        forms = [
            (words, wanted)
            for pattern, has, has_not in _FORMS
            for words, wanted in _both(has, has_not, marks(pc.match_substring_regex(texts, pattern)), there)
        ]
        yield from _sure(forms, labels, _place(fields, field))
        sizes = np.asarray(pc.fill_null(pc.utf8_length(texts), 0))
        limits = (
            np.unique(np.quantile(sizes[there], _LIMITS).astype(np.int64)) if there.any() else np.zeros(0, np.int64)
        )
        tried = [
            form
            for limit in limits
            for form in _both(f"at most {limit:,} characters", f"more than {limit:,} characters", sizes <= limit, there)
        ]
        longest: dict[str, Cue] = {}
        for cue in _sure(tried, labels, _place(fields, field)):
            if cue.label not in longest or cue.right.sum() > longest[cue.label].right.sum():
                longest[cue.label] = cue
        yield from longest.values()


def _both(
    has: str, has_not: str, hits: npt.NDArray[np.bool_], there: npt.NDArray[np.bool_]
) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    yield has, hits & there
    yield has_not, ~hits & there


def _sure(forms: Sequence[tuple[str, npt.NDArray[np.bool_]]], labels: _Labels, place: str) -> Iterator[Cue]:
    for words, has in forms:
        counts = np.bincount(labels.codes[has], minlength=len(labels.names))
        label = int(counts.argmax())
        one = np.array([label])
        if labels.sure(np.array([has.sum()]), counts[one], one, FORM_PRECISION, len(forms))[0]:
            yield _cue(words + place, has, label, labels)


def _cue(words: str, has: npt.NDArray[np.bool_], label: int, labels: _Labels) -> Cue:
    right = has & (labels.codes == label)
    return Cue(words, str(labels.names[label]), has, right, int(labels.counts[label]))
