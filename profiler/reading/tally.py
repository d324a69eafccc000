"""What was left out of a split or looks wrong in it, counted while rows stream through, and in words.

Owns when a split is refused because it holds nothing to learn, no classes, or no answers that training rows have.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields

from traitcast.profiler.roles.chat import ASSISTANTS
from traitcast.profiler.roles.short_roles import with_texts
from traitcast.profiler.roles.spec import DatasetSpec
from traitcast.profiler.roles.values import listed, shorten
from traitcast.warehouse.console import count
from traitcast.warehouse.errors import InputError, NoAnswersError

# What a table program shows for a cell that it took for a formula, such as a text that begins with "=".
EXCEL_ERRORS = frozenset({"#NAME?", "#VALUE!", "#REF!", "#DIV/0!", "#NUM!", "#NULL!"})
# Marks between labels of one cell.
_JOINTS = ("|", ";", ",")
# These are in names too, so several of them have to be made of classes that are there by themselves.
_WEAK_JOINTS = ("/", "+", "&", "\n", " ")
_TAGS = re.compile(r"(<[^<>\s]+>){2,}")
_MARKS = re.compile(r"[01]([ ,;|]+[01])+")
_NOTHING_ROWS, _NOTHING_SHARE = 5, 0.005
# A label column with more classes than this, and than this share of its rows, holds text or identifiers.
_MAX_CLASSES = 1000
_MAX_CLASS_SHARE = 0.2
# Fewer rows may all be of different classes.
_NO_CLASSES = 10
_NUMBER = re.compile(r"[-+]?[0-9]{1,15}(\.[0-9]*)?([eE][-+]?[0-9]{1,2})?")
_FRACTION = re.compile(r"[-+]?([0-9]{1,15}(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,2})?")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_SPACES = re.compile(r"[\s_-]+")
# What stands for an answer that is held back.
_NO_ANSWER = frozenset({"-1", "?", "-", "n/a", "na", "nan", "none", "null", "unknown", "hidden", "-100"})
# How programs write a missing value; "none" in lower case is a class of real datasets.
_WRITTEN_MISSING = (
    "nan NaN NAN -nan -NaN NaT null NULL Null N/A n/a #N/A #NA <NA> \\N 1.#QNAN -1.#IND 1.#IND (null) <null>"
)
# Of a whole text; others may be what somebody said.
MISSING_TEXTS = frozenset(_WRITTEN_MISSING.split())
_MISSING_WORDS = MISSING_TEXTS | {"-", "?", "None", "NA", "#N/A N/A"} | EXCEL_ERRORS


# Why a row is left out, as a check of `profiler.findings.checks`.
EMPTY_ROW, NO_LABEL, UNKNOWN_LABEL, TIED_PAIR = "empty_row", "no_label", "unknown_label", "tied_pair"


class Said(str):
    """A warning that `traitcast check` does not repeat: it finds the rows too, or nothing is wrong with them."""

    __slots__ = ()


@dataclass(slots=True)
class Tally:
    """What was left out or looks wrong, counted while rows stream through.

    late: rows with a value, by the columns that `Converter` watches. nothing: texts that stand for a missing value.
    cut_spans: spans that begin or end inside of a word. speakers: of the conversations in which no assistant speaks.
    faults: rows kept, counted from 1, by fault of their conversation. dropped: rows left out, counted from 1 among all
    rows, by the check that says why.
    """

    read: int = 0
    kept: int = 0
    no_response: int = 0
    empty_response: int = 0
    spans: int = 0
    cut_spans: int = 0
    tagged: int = 0
    numbered_tags: int = 0
    after_answer: int = 0
    no_text: Counter[str] = field(default_factory=Counter)
    strange: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    nothing: Counter[str] = field(default_factory=Counter)
    surrogates: int = 0
    lists: int = 0
    calls: int = 0
    equal_pairs: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    speakers: frozenset[str] = frozenset()
    faults: dict[str, array[int]] = field(default_factory=dict)
    dropped: dict[str, array[int]] = field(default_factory=dict)

    def drop(self, why: str) -> None:
        """Leave out the row that is being read."""
        self.dropped.setdefault(why, array("q")).append(self.read)

    def left_out_for(self, why: str) -> int:
        """Rows left out for this reason."""
        return len(self.dropped.get(why, ()))

    def merge(self, other: Tally) -> None:
        """Take the tally of the rows that follow; fields and classes stay in the order in which they first came."""
        for fault, rows in other.faults.items():
            self.faults.setdefault(fault, array("q")).extend(self.kept + row for row in rows)
        for why, rows in other.dropped.items():
            self.dropped.setdefault(why, array("q")).extend(self.read + row for row in rows)
        for counted in fields(self):
            if counted.type == "int":
                setattr(self, counted.name, getattr(self, counted.name) + getattr(other, counted.name))
        self.no_text.update(other.no_text)
        self.strange.update(other.strange)
        self.late.update(other.late)
        self.nothing.update(other.nothing)
        self.left_out.update(other.left_out)
        self.classes.update(other.classes)
        self.speakers |= other.speakers


def too_many_classes(classes: int, rows: int) -> bool:
    """Whether a label column has so many distinct values that it cannot be a class label."""
    return classes > max(_MAX_CLASSES, _MAX_CLASS_SHARE * rows)


def check_content(tally: Tally, spec: DatasetSpec, origin: str, rows: int, trained: frozenset[str] | None) -> None:
    """Refuse data that holds nothing to learn, or a label column that holds no classes."""
    column = spec.response_field
    if rows == 0 and tally.strange:
        _refuse_strange(tally, spec, origin, trained or frozenset())
    if rows == 0 and (ties := tally.left_out_for(TIED_PAIR)):
        raise InputError(
            f"{origin}: {_verdict(spec)!r} has a tie in all of {count(ties, 'row')}, which prefers nothing"
        )
    if spec.label_field and not tally.classes:
        raise NoAnswersError(
            f"{origin}: the label column {column!r} is empty in all {tally.read:,} rows",
            "Choose a split with labels by --split, or name another label_field by --spec FILE",
        )
    if spec.task_type == "generation" and spec.messages_field and not spec.answer_field and tally.no_response == rows:
        spoke = f". The speakers are {listed(sorted(tally.speakers), 8)}" if tally.speakers else ""
        which = " that is to be learnt (weight 0, train or loss false)" if {*ASSISTANTS} & tally.speakers else ""
        raise NoAnswersError(
            f"{origin}: no turn of an assistant{which} in {column!r} in any of {count(tally.read, 'row')}, so there is "
            f"no response{spoke}",
            f"Assistants are called {', '.join(ASSISTANTS)}: rename the speaker, or name a column that holds the "
            f"response: --roles 'messages={column} answer=COLUMN'",
        )
    if rows == 0 or tally.no_response + tally.empty_response == rows:
        raise NoAnswersError(
            f"{origin}: the response column {column!r} is empty in all {tally.read:,} rows",
            "Choose a split with answers by --split, or name another answer_field by --spec FILE",
        )
    if spec.label_field and too_many_classes(len(tally.classes), rows):
        raise InputError(
            f"{origin}: the label column {column!r} has {len(tally.classes):,} distinct values in {rows:,} rows, "
            f"which are not classes. Pass --spec FILE with task_type: generation and answer_field: {column}"
        )


def _refuse_strange(tally: Tally, spec: DatasetSpec, origin: str, trained: frozenset[str]) -> None:
    """Raise for a split none of whose answers can be one: held back where all stand for nothing, else mistaken."""
    whose = f"class of training ({listed(sorted(trained), 5)})" if trained else "option"
    found = _most_common(tally.strange)
    what = f"{origin}: no value of {spec.response_field!r} is a {whose}: {found} of {count(tally.read, 'row')}"
    pairs = _near(tally.strange, trained)
    if not pairs and (len(tally.strange) == 1 or all(value.casefold() in _NO_ANSWER for value in tally.strange)):
        raise NoAnswersError(what, "They are held back: choose another split with --split")
    raise InputError(f"{what}. Write answers alike in all splits, or leave this one out{_near_words(pairs)}")


def _verdict(spec: DatasetSpec) -> str:
    """What says which of two responses is better."""
    return spec.answer_field or " and ".join(spec.score_fields)


def _share(part: int, of: int) -> str:
    return f"{part:,} of {of:,} rows"


def _most_common(values: Counter[str]) -> str:
    return listed((f"{value!r} {n:,}" for value, n in values.most_common()), 5)


def _near(labels: Iterable[str], classes: Iterable[str]) -> list[str]:
    """Labels that are a class but for case, spaces or a decimal point, beside it."""
    plain = {plain_label(name): shorten(name) for name in classes}
    return [f"{shorten(name)} and {plain[plain_label(name)]}" for name in labels if plain_label(name) in plain]


def _near_words(pairs: Sequence[str]) -> str:
    return f"; they differ only in case, spaces or how they are written: {listed(pairs, 3)}" if pairs else ""


def plain_label(label: str) -> str:
    """A label without what slips of the hand change: case, spaces, hyphens, how numbers and accents are written."""
    if _NUMBER.fullmatch(label.strip()):
        return str(float(label) + 0.0)
    return _SPACES.sub(" ", _UNSEEN.sub("", unicodedata.normalize("NFKC", label).casefold())).strip()


def _parts(classes: Collection[str], mark: str) -> dict[str, list[str]]:
    return {name: [part.strip() for part in name.split(mark)] for name in classes if mark in name}


def _joined(classes: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    """(mark, classes) where classes are several others joined by a mark, such as joy|anger beside joy."""
    for mark in _JOINTS:
        parts = _parts(classes, mark)
        seen = Counter(part for found in parts.values() for part in set(found)) + Counter(set(classes))
        made = [
            name for name, found in parts.items() if all(part and seen[part] > (part not in classes) for part in found)
        ]
        if made and 2 * len(made) >= len(parts):
            yield mark, made
    alone = frozenset(classes)
    for mark in _WEAK_JOINTS:
        split = _parts(classes, mark)
        whole = {name: parts for name, parts in split.items() if alone.issuperset(parts)}
        first, later = {parts[0] for parts in whole.values()}, {part for parts in whole.values() for part in parts[1:]}
        # Two words of a name have their places ("African American"); of labels any comes first.
        if len(whole) > 1 and 2 * len(whole) >= len(split) and len(first | later) > 2 and first & later:
            yield mark, list(whole)
    if tagged := [name for name in classes if _TAGS.fullmatch(name)]:
        yield "><", tagged


def _marks_warning(classes: Collection[str], field: str) -> Iterator[str]:
    """A warning for labels such as 0 1 0, a mark for each of several classes."""
    if len(classes) > 1 and all(_MARKS.fullmatch(name) for name in classes):
        yield (
            f"labels such as {shorten(next(iter(classes)))} look like a mark for each of several classes, yet each "
            f"counts as one class; write them as JSON lists, such as [0, 1, 0], and pass --roles labels={field}"
        )


def _joined_warnings(classes: Mapping[str, int], rows: int, field: str) -> Iterator[str]:
    for mark, made in _joined(classes):
        yield (
            f"{_share(sum(classes[name] for name in made), rows)} have several labels joined by {mark!r}, such as "
            f"{shorten(made[0])}, each of which counts as a class of its own; write them as JSON lists and pass "
            f"--roles labels={field}"
        )


def _class_warnings(classes: Mapping[str, int], rows: int, field: str) -> Iterator[str]:
    """Classes that a table program or a slip of the hand made."""
    if "-1" in classes and len(classes) != 3 and all(label.lstrip("-").isdecimal() for label in classes):
        yield f"{_share(classes['-1'], rows)} have the label -1, which often means no label; if so, leave them out"
    numbers = [label for label in classes if _FRACTION.fullmatch(label.strip())]
    fractions = [label for label in numbers if not float(label).is_integer()]
    if fractions and len(numbers) == len(classes):
        yield (
            f"labels such as {shorten(fractions[0])} are fractions: if they are a score and no classes, name the "
            f"column as the answer instead: --roles answer={field}"
        )
    if len(classes) == rows >= _NO_CLASSES:
        yield f"each of the {rows:,} rows has a label of its own, so these are hardly classes"
    plain: dict[str, str] = {}
    pairs = []
    for label, labelled in classes.items():
        if label in _MISSING_WORDS:
            yield f"{_share(labelled, rows)} have the label {label!r}; if that means no label, leave the cell empty"
        other = plain.setdefault(plain_label(label), label)
        if other != label:
            pairs.append(f"{shorten(other)} and {shorten(label)}")
    if pairs:
        yield (
            "labels that differ only in case, spaces or how they are written count as different classes: "
            f"{listed(pairs, 3)}. Write them alike"
        )
    spaced = sum(labelled for label, labelled in classes.items() if label != label.strip())
    if spaced:
        yield f"{_share(spaced, rows)} have a label that begins or ends with a space, which is part of its class"


def content_warnings(tally: Tally, spec: DatasetSpec, rows: int, trained: frozenset[str] | None) -> Iterator[str]:
    if empty := tally.left_out_for(EMPTY_ROW):
        yield Said(f"{_share(empty, tally.read)} dropped: neither prompt nor response")
    if unlabelled := tally.left_out_for(NO_LABEL):
        yield Said(f"{_share(unlabelled, tally.read)} dropped: no value in {spec.response_field!r}")
    if tally.strange:
        whose = "class of training" if trained else "option"
        yield Said(
            f"{_share(tally.strange.total(), tally.read)} left out: {spec.response_field!r} is no {whose} there: "
            f"{_most_common(tally.strange)}"
            f"{_near_words(_near(tally.strange, trained or ()))}"
        )
    if tally.no_response:
        why = "no turn of an assistant" if spec.messages_field and spec.answer_field is None else "null"
        yield Said(f"{_share(tally.no_response, rows)} have no response in {spec.response_field!r} ({why})")
    if ties := tally.left_out_for(TIED_PAIR):
        yield Said(f"{_share(ties, tally.read)} left out: a tie by {_verdict(spec)!r} prefers neither response")
    if tally.equal_pairs:
        yield Said(f"{_share(tally.equal_pairs, rows)} have the same text as both responses, which prefers nothing")
    if tally.calls:
        yield Said(
            f"{_share(tally.calls, rows)} have a tool call in their response: the JSON of its name and arguments"
        )
    if tally.left_out:
        parts = listed((f"{shape} {number:,}" for shape, number in tally.left_out.most_common()), 8)
        yield f"what is not text is left out of the turns: {parts}"
    # A list now and then is what was asked for.
    if tally.lists > rows / 2:
        yield (
            f"{_share(tally.lists, rows)} have a list, written as text, as their response in {spec.response_field!r}; "
            f"to take its first item: --roles answer={spec.response_field}[0]"
        )
    if tally.empty_response:
        yield Said(f"{_share(tally.empty_response, rows)} have an empty response in {spec.response_field!r}")
    for name, filled in tally.late.items():
        plain = not (spec.messages_field or spec.tags_field or spec.spans_field)
        yield (
            f"{_share(filled, tally.read)} have something in {name!r}, which is not read: the rows that roles were "
            "found by had nothing there"
            + (f". If it belongs to the prompt, pass --roles {with_texts(spec, [name])}" if plain else "")
        )
    for what, number in tally.nothing.items():
        # A few in thousands are what somebody wrote.
        if number < max(_NOTHING_ROWS, _NOTHING_SHARE * tally.read):
            continue
        yield f"{_share(number, tally.read)} have the text {what}; if that means nothing, leave the cell empty"
    if 5 * tally.cut_spans > tally.spans:
        yield (
            f"{tally.cut_spans:,} of {tally.spans:,} spans in {spec.spans_field!r} begin or end inside of a word: "
            "offsets count characters (not bytes, nor UTF-16 units) from 0, and the end is not part of the span"
        )
    if 0 < tally.tagged == tally.numbered_tags:
        yield (
            f"the tags in {spec.tags_field!r} are bare numbers, so they are read one by one and no spans are known; "
            "name them by label_names in a spec"
        )
    for name, empty in tally.no_text.items():
        yield f"{_share(empty, tally.read)} have nothing in the prompt field {name!r}"
    if tally.after_answer:
        yield (
            f"{_share(tally.after_answer, tally.read)} go on after the last turn of the assistant: what follows it is "
            "left out"
        )
    if spec.has_labels and too_many_classes(len(tally.classes), rows):
        yield (
            f"{len(tally.classes):,} different sets of labels in {rows:,} rows; the label traits see a set as a class"
        )
    if tally.surrogates:
        yield f"{count(tally.surrogates, 'text')} held half of a surrogate pair, replaced by U+FFFD: encoding damage"
    if rows == 1:
        yield "only one row: spreads and standard errors are undefined"
    if spec.label_field:
        yield from _joined_warnings(tally.classes, rows, spec.label_field)
        yield from _marks_warning(tally.classes, spec.label_field)
    yield from _class_warnings(tally.classes, rows, spec.label_field or "COLUMN")
