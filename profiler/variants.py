"""Variants of a dataset: the same rows with one thing changed on purpose, so that its effect can be measured.

Traits of real datasets go together; only a change made on purpose shows what one of them does. A variant is a dataset
like any other, a folder with rows and a `dataset.yaml` that names its parent and what was changed. Owns the changes,
what each of them needs, and the writing of the folder. It measures nothing.

Changes to texts keep the number and the order of the rows, so that rows drawn by position are the same ones
in parent and variant. A variant has training rows only: it is there to be tuned on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from traitcast.profiler.language import language_code
from traitcast.profiler.reading.examples import Examples, Item
from traitcast.profiler.roles.spec import SPEC_FILE, DatasetSpec, load_spec
from traitcast.warehouse.console import command, count
from traitcast.warehouse.errors import InputError, UserError, nearest
from traitcast.warehouse.files import replaced_folder
from traitcast.warehouse.names import check_name

if TYPE_CHECKING:
    from spacy.tokenizer import Tokenizer

ROWS_FILE = "train.jsonl"
# Put before every answer: long enough to move the length of one-word answers tenfold, and says nothing.
PREAMBLE = "Having read all of this with care, the answer is:"

# A change that touches fewer of the rows is none. Of worked answers nearly every row has several lines; where some
# have, they are lists, whose last line is no answer.
_TOUCHED, _WORKED = 0.05, 0.5
# Percent of the rows that the largest class gets; another share is one that moves by more than _MOVED of a hundred.
_SHARES, _MOVED = (50, 70, 90), 5
# Marks that end or open something. Those inside a word or a number (don't, 10:30, http://) are part of it, and so are
# signs that may be code, sums, or the blank of a sentence.
_CLOSERS = re.compile(r"(?<!\w)[\"'`\u2018\u2019\u201c\u201d()\[\]{}]|[\"'`\u2018\u2019\u201c\u201d()\[\]{}](?!\w)")
_PAUSES = re.compile(r"[;:\u2013\u2014\u2026](?=\s|$)|(?<=\s)--?(?=\s)")
_RUNS = re.compile(r"([,.!?])[\s,.!?]*[,.!?](?=\s|$)")
_GAP = re.compile(r"\s+([,.!?])(?=\s|$)|[ \t]{2,}")


class Before(NamedTuple):
    """What a change is given. names: the classes of a classification. language: code, or None."""

    items: list[Item]
    names: tuple[str, ...]
    rng: np.random.Generator
    language: str | None


class After(NamedTuple):
    """What a change gives back. names: the classes, as they are called now."""

    items: list[Item]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that can be changed. does: for people. traits: names of traits, or of families, that it moves on
    purpose. kinds: task types that it can be made of. make: raises InputError where the rows do not have what it
    changes."""

    name: str
    does: str
    traits: str
    make: Callable[[Before], After]
    kinds: tuple[str, ...] = ("classification", "multiple_choice", "generation")


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant that was written. folder: holds its rows and its spec."""

    name: str
    parent: str
    change: str
    changed: str
    rows: int
    folder: Path


def write_variants(
    examples: Examples, into: Path, changes: Sequence[str] = (), *, rows: int | None = None, seed: int = 0
) -> tuple[list[Variant], list[str]]:
    """Write variants of a dataset as folders `into`/NAME-CHANGE; an earlier variant of that name is replaced.

    changes: names in CHANGES; none means all that the dataset can have. rows: what `half` and `quarter` are of, a
    random sample of so many; None for all rows. Returns the variants, and why others that its kind of task allows were
    left out. Raises InputError for an unknown change, for one asked for by name that this dataset cannot have, for a
    variant of a variant, and for a folder in the way.
    """
    chosen = [_named(name) for name in dict.fromkeys(changes)] or [
        change for change in CHANGES.values() if examples.spec.task_type in change.kinds
    ]
    if examples.spec.parent:
        raise InputError(
            f"{examples.name} is a variant of {examples.spec.parent} already, and two changes at once show the "
            f"effect of neither. Vary the parent instead: {command('vary', examples.spec.parent)}"
        )
    others = [change.name for change in chosen if change.name not in PARTS]
    if rows is not None and others:
        raise InputError(
            f"--rows {rows} is what {' and '.join(PARTS)} are parts of; {others[0]} keeps the rows of its parent, so "
            f"that both are tuned on the same ones. Ask for the two alone: --rows {rows} --change {','.join(PARTS)}"
        )
    folders = {change.name: _place(examples, change, into) for change in chosen}
    names = _classes(examples)
    items = _items(examples)
    if rows is not None and rows < len(items):
        items = [items[i] for i in sorted(np.random.default_rng(seed).choice(len(items), rows, replace=False))]
    made, left_out = [], []
    for change in chosen:
        try:
            varied = _varied(examples, items, names, change, seed)
        except InputError as error:
            if changes:
                raise
            left_out.append(str(error))
            continue
        made.append(_write(examples, varied, change, folders[change.name]))
    return made, left_out


def _named(name: str) -> Change:
    if name not in CHANGES:
        raise InputError(f"unknown change {name!r}{nearest(name, CHANGES)} Changes: {', '.join(CHANGES)}")
    return CHANGES[name]


def _place(examples: Examples, change: Change, into: Path) -> Path:
    """The folder of a variant. Raises InputError where something else is in its place."""
    try:
        name = check_name(f"{examples.name}-{change.name}", "the name of the variant")
    except UserError as error:
        raise InputError(f"{error} Give the dataset a shorter one: --name NAME") from None
    folder = into / name
    if not folder.exists():
        return folder
    known = folder.is_dir() and {p.name for p in folder.iterdir()} <= {ROWS_FILE, SPEC_FILE}
    spec = load_spec(folder / SPEC_FILE) if known and (folder / SPEC_FILE).is_file() else None
    if spec is None or spec.parent != examples.name:
        raise InputError(
            f"{folder} exists and is not a variant of {examples.name!r}. Move it away, or "
            "choose another folder with --into"
        )
    return folder


def _items(examples: Examples) -> list[Item]:
    """The rows that can be tuned on: those with a response."""
    columns = (examples.table[name].to_pylist() for name in Item._fields[:4])
    rows = (Item(*values) for values in zip(*columns, strict=True))
    return [row for row in rows if row.response and row.response.strip()]


def _classes(examples: Examples) -> tuple[str, ...]:
    """The classes that a matrix lists in the prompts of a dataset, so that those of its variants list the same: without
    names in the spec all that occur in training (`training.plan.planning`)."""
    spec = examples.spec
    if spec.task_type != "classification" or spec.label_names:
        return spec.label_names
    return tuple(sorted(examples.table["label"].drop_null().unique().to_pylist()))


def _varied(examples: Examples, items: list[Item], names: tuple[str, ...], change: Change, seed: int) -> After:
    spec = examples.spec
    where = f"{examples.name}: change {change.name}"
    if spec.task_type not in change.kinds:
        raise InputError(f"{where} is of {' or '.join(change.kinds)}, and this is {spec.task_type}")
    try:
        return change.make(Before(items, names, np.random.default_rng(seed), spec.language))
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _write(examples: Examples, made: After, change: Change, folder: Path) -> Variant:
    """Write a variant next to its place and swap it in, so that half a variant is never found there."""
    changed = f"{change.name} {change.traits}"
    spec = replace(_plain_spec(examples, made), name=folder.name, parent=examples.name, changed=changed)
    write_dataset(folder, (_row(spec, item) for item in made.items), spec)
    return Variant(folder.name, examples.name, change.name, changed, len(made.items), folder)


def write_dataset(folder: Path, rows: Iterable[Mapping[str, object]], spec: DatasetSpec, *, keep: bool = False) -> None:
    """Write training rows and their spec as a folder, whole or not at all.

    keep: refuse to take the place of what is there. Raises InputError where it cannot be written.
    """
    with replaced_folder(folder, cure="Choose another folder with --into.", error=InputError, keep=keep) as work:
        with (work / ROWS_FILE).open("w", encoding="utf-8") as out:
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (work / SPEC_FILE).write_text(spec.to_yaml(), encoding="utf-8")


def _plain_spec(examples: Examples, made: After) -> DatasetSpec:
    """The spec of rows written plainly: a column for each text field, and one each for options and the answer."""
    spec = examples.spec
    fields = ("prompt",) if spec.messages_field else spec.text_fields
    optional: tuple[str, ...] = ()
    if not spec.messages_field:  # a chat has as many fields as turns, or none
        blank = [not all(item.fields[at].strip() for item in made.items) for at in range(len(fields))]
        optional = tuple(f for f, b in zip(fields, blank, strict=True) if b)
    answer = _free(spec.label_field or spec.answer_field or "response", fields)
    plain = DatasetSpec(
        task_type=spec.task_type,
        text_fields=fields,
        optional_fields=optional,
        metric=spec.metric,
        instruction=spec.instruction,
        description=spec.description,
        family=spec.family,
        domain=spec.domain,
        language=spec.language,
        licence=spec.licence,
    )
    if spec.task_type == "classification":
        return replace(plain, label_field=answer, label_names=made.names)
    if spec.task_type == "multiple_choice":
        options = _free("options", (*fields, answer))
        return replace(plain, options_field=options, answer_field=answer, answer_form="index")
    return replace(plain, answer_field=answer)


def _free(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _row(spec: DatasetSpec, item: Item) -> dict[str, object]:
    if spec.text_fields == ("prompt",) and len(item.fields) != 1:  # the turns of a chat
        row: dict[str, object] = {"prompt": "\n".join(field.strip() for field in item.fields if field.strip())}
    else:
        row = dict(zip(spec.text_fields, item.fields, strict=True))
    if spec.label_field:
        return row | {spec.label_field: item.label}
    if spec.options_field:
        return row | {spec.options_field: item.options, spec.answer_field or "": int(item.label or 0)}
    return row | {spec.answer_field or "": item.response}


def _majority(rows: Before, percent: int) -> After:
    """The largest class gets `percent` of the rows, the others share the rest as they did. All the shares of _SHARES
    are made of as many rows, so that they differ in nothing else."""
    labels = [item.label for item in rows.items]
    largest = max(sorted({label for label in labels if label}), key=labels.count, default=None)
    many = [i for i, label in enumerate(labels) if label == largest]
    few = [i for i, label in enumerate(labels) if label != largest]
    now = 100 * len(many) / max(len(labels), 1)
    if abs(now - percent) < _MOVED:
        raise InputError(f"the largest class has {now:.0f} % of the rows already, less than {_MOVED} points from that")
    total = min(min(100 * len(many) // share, 100 * len(few) // (100 - share)) for share in _SHARES)
    first = round(total * percent / 100)
    if first < 1 or total - first < 1:
        raise InputError(f"needs rows of two classes; it has {len(many)} of the largest and {len(few)} of others")
    kept = {*_some(many, first, rows.rng), *_some(few, total - first, rows.rng)}
    return After([item for at, item in enumerate(rows.items) if at in kept], rows.names)


def _some(indices: Sequence[int], number: int, rng: np.random.Generator) -> list[int]:
    return [indices[i] for i in rng.permutation(len(indices))[:number]]


def _part(rows: Before, share: float) -> After:
    """A random part of the rows, in order; a smaller one is inside a larger one."""
    number = round(len(rows.items) * share)
    if number < 1:
        raise InputError(f"{count(len(rows.items), 'row')} are too few")
    kept = set(_some(range(len(rows.items)), number, rows.rng))
    return After([item for at, item in enumerate(rows.items) if at in kept], rows.names)


def _permute(rows: Before) -> After:
    """Answers permuted over the rows. Where every row has options of its own, which place of theirs is the right one
    is dealt over the rows with as many of them, so that places stay as frequent as they were."""
    number = [len(item.options or ()) for item in rows.items]
    dealt = np.arange(len(rows.items))
    for options in sorted(set(number)):
        alike = np.flatnonzero(np.asarray(number) == options)
        dealt[alike] = alike[rows.rng.permutation(len(alike))]
    items = []
    for item, other in zip(rows.items, (rows.items[at] for at in dealt), strict=True):
        response = item.options[int(other.label or 0)] if item.options else other.response
        items.append(item._replace(label=other.label, response=response))
    _must_touch(rows, items)
    return After(items, rows.names)


def _prompts(rows: Before, edit: Callable[[str], str]) -> After:
    items = [item._replace(fields=[edit(field) for field in item.fields]) for item in rows.items]
    _must_touch(rows, items)
    return After(items, rows.names)


def _shuffle(rows: Before) -> After:
    def edit(text: str) -> str:
        words = text.split()
        return " ".join(words[i] for i in rows.rng.permutation(len(words)))

    return _prompts(rows, edit)


def _simplify(text: str) -> str:
    plain = _PAUSES.sub(",", _CLOSERS.sub("", text))
    return _GAP.sub(lambda found: found[1] or " ", _RUNS.sub(r"\1", plain)).strip()


def _pad(rows: Before) -> After:
    def padded(text: str) -> str:
        return f"{PREAMBLE} {text}"

    items = [
        item._replace(
            response=padded(item.response or ""),
            options=[padded(option) for option in item.options] if item.options else None,
            label=padded(item.label) if item.label and not item.options else item.label,
        )
        for item in rows.items
    ]
    return After(items, tuple(padded(name) for name in rows.names))


def _truncate(rows: Before, tokens: int) -> After:
    tokenizer = _tokenizer(rows.language)

    def cut(text: str) -> str:
        found = tokenizer(text)
        return text if len(found) <= tokens else text[: found[tokens - 1].idx + len(found[tokens - 1])].strip()

    return _responses(rows, cut)


def _tokenizer(language: str | None) -> Tokenizer:
    import spacy

    try:
        return spacy.blank(language_code(language)).tokenizer
    except ImportError:  # spaCy's word for a language that it has no rules for
        return spacy.blank("xx").tokenizer


def _answer_only(rows: Before) -> After:
    def last_line(text: str) -> str:
        return text.strip().rsplit("\n", 1)[-1].strip()

    return _responses(rows, last_line, least=_WORKED)


def _responses(rows: Before, edit: Callable[[str], str], least: float = _TOUCHED) -> After:
    items = [item._replace(response=edit(item.response or "")) for item in rows.items]
    _must_touch(rows, items, least)
    return After(items, rows.names)


def _must_touch(rows: Before, items: Sequence[Item], least: float = _TOUCHED) -> None:
    touched = sum(new != old for new, old in zip(items, rows.items, strict=True))
    if touched < max(1, least * len(items)):
        raise InputError(f"it would touch {touched} of {count(len(items), 'row')}, and {least:.0%} are the least")


# What a part is of can be said with `rows`.
PARTS = ("half", "quarter")
_LABELS, _TEXTS = ("classification",), ("generation",)
CHANGES: dict[str, Change] = {
    change.name: change
    for change in (
        *(
            Change(
                f"majority_{share}",
                f"the largest class gets {share} % of the rows",
                "class_balance",
                partial(_majority, percent=share),
                _LABELS,
            )
            for share in _SHARES
        ),
        Change("answer_only", "of a worked answer only the last line stays", "generation_length", _answer_only, _TEXTS),
        *(
            Change(
                f"truncate_{tokens}",
                f"responses end after {tokens} tokens",
                "generation_length",
                partial(_truncate, tokens=tokens),
                _TEXTS,
            )
            for tokens in (8, 32)
        ),
        Change("pad_response", f'"{PREAMBLE}" before every answer', "generation_length", _pad),
        Change("shuffle_words", "the words of every text field in random order", "linguistic", _shuffle),
        Change("lower_case", "text fields in lower case", "surface", partial(_prompts, edit=str.lower)),
        Change(
            "plain_punctuation",
            "text fields without quotes and brackets, pauses as commas, runs of marks as one",
            "surface",
            partial(_prompts, edit=_simplify),
        ),
        Change("half", "a random half of the rows", "dataset_rows", partial(_part, share=0.5)),
        Change("quarter", "a random quarter of the rows", "dataset_rows", partial(_part, share=0.25)),
        Change(
            "permute_labels",
            "a control: answers are permuted over the rows, so that which row has which is lost",
            "shortcut",
            _permute,
        ),
    )
}
