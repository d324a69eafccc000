"""Variants of a dataset: the same rows with one thing changed on purpose, so that its effect can be measured.

Traits of real datasets go together; only a change made by hand tells what one of them does. A variant is a dataset like
any other, a folder with rows and a `dataset.yaml` that names its parent and what was changed. Owns the changes, what
each of them needs, and the writing of the folder. It measures nothing.

Changes to texts keep the number and the order of the rows, so that whoever draws rows by position draws the same ones
of parent and variant. A variant has training rows only: it is there to be tuned on.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from profiler.examples import Examples, Item
from profiler.spec import SPEC_FILE, DatasetSpec
from warehouse.console import count
from warehouse.errors import InputError, nearest
from warehouse.names import check_name

if TYPE_CHECKING:
    from spacy.language import Language

ROWS_FILE = "train.jsonl"
# What stands before every answer: long enough to move the length of one-word answers tenfold, and says nothing.
PREAMBLE = "Having read all of this with care, the answer is:"

# A change that touches fewer of the rows is none. Of worked answers nearly every row has several lines; where some
# have, they are lists, whose last line is no answer.
_TOUCHED, _WORKED = 0.05, 0.5
_SIMPLER = str.maketrans(
    dict.fromkeys(";:\u2013\u2014\u2026", ",") | dict.fromkeys("\"'`\u2018\u2019\u201c\u201d()[]{}<>*_", " ")
)
_RUNS = re.compile(r"([,.!?])[\s,.!?]*(?=[,.!?])")
_GAP = re.compile(r"[ \t]+([,.!?])|[ \t]{2,}")


class Rows(NamedTuple):
    """What a change is given. names: the classes of a classification. language: code, or None."""

    items: list[Item]
    names: tuple[str, ...]
    rng: np.random.Generator
    language: str | None


class Made(NamedTuple):
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
    make: Callable[[Rows], Made]
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
    """Write variants of a dataset as folders `into`/NAME-CHANGE; what lies there under that name is replaced.

    changes: names in CHANGES; none means all that the dataset can have. rows: of a random sample that is drawn first,
    None for all rows. Returns the variants, and why the others were left out. Raises InputError for an unknown change,
    and for one asked for by name that this dataset cannot have.
    """
    chosen = [_named(name) for name in changes] or list(CHANGES.values())
    items = _items(examples)
    if rows is not None and rows < len(items):
        items = [items[i] for i in sorted(np.random.default_rng(seed).choice(len(items), rows, replace=False))]
    made, left_out = [], []
    for change in chosen:
        try:
            made.append(_write(examples, items, change, into, seed))
        except InputError as error:
            if changes:
                raise
            left_out.append(str(error))
    return made, left_out


def _named(name: str) -> Change:
    if name not in CHANGES:
        raise InputError(f"there is no change {name!r}{nearest(name, CHANGES)} There are: {', '.join(CHANGES)}.")
    return CHANGES[name]


def _items(examples: Examples) -> list[Item]:
    columns = (examples.table[name].to_pylist() for name in Item._fields)
    return [row for row in (Item(*values) for values in zip(*columns, strict=True)) if row.response]


def _write(examples: Examples, items: list[Item], change: Change, into: Path, seed: int) -> Variant:
    spec = examples.spec
    where = f"{examples.name}: change {change.name}"
    if spec.task_type not in change.kinds:
        raise InputError(f"{where} is of {' or '.join(change.kinds)}, and this is {spec.task_type}")
    name = check_name(f"{examples.name}-{change.name}", "the name of the variant")
    names = spec.label_names or tuple(sorted({item.label for item in items if item.label is not None}))
    try:
        made = change.make(Rows(items, names, np.random.default_rng(seed), spec.language))
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    told = replace(
        _plain_spec(examples, made), name=name, parent=examples.name, changed=f"{change.name} {change.traits}"
    )
    folder = into / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / ROWS_FILE, (json.dumps(_row(told, item), ensure_ascii=False) + "\n" for item in made.items))
        _replace(folder / SPEC_FILE, [told.to_yaml()])
    except OSError as error:
        raise InputError(f"cannot write {folder} ({error}); choose another folder with --into") from error
    return Variant(name, examples.name, change.name, told.changed or "", len(made.items), folder)


def _replace(path: Path, lines: Iterable[str]) -> None:
    """Write a file whole or not at all."""
    work = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with work.open("w", encoding="utf-8") as out:
            out.writelines(lines)
            out.flush()
            os.fsync(out.fileno())
        os.replace(work, path)
    finally:
        work.unlink(missing_ok=True)


def _plain_spec(examples: Examples, made: Made) -> DatasetSpec:
    """The spec of rows written plainly: a column for each text field, and one each for options and the answer."""
    spec = examples.spec
    fields = ("prompt",) if spec.messages_field else spec.text_fields
    blank = [not all(item.fields[at].strip() for item in made.items) for at in range(len(fields))]
    optional = () if spec.messages_field else tuple(f for f, b in zip(fields, blank, strict=True) if b)
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


def _majority(rows: Rows, share: float) -> Made:
    """The largest class gets `share` of the rows, the others share the rest as they did."""
    largest, smaller = _split_by_majority(rows)
    total = int(min(len(largest) / share, len(smaller) / (1 - share)))
    if total < 2:
        raise InputError("needs two classes, of which this dataset has one")
    first = round(total * share)
    kept = {*_some(largest, first, rows.rng), *_some(smaller, total - first, rows.rng)}
    return Made([item for at, item in enumerate(rows.items) if at in kept], rows.names)


def _split_by_majority(rows: Rows) -> tuple[list[int], list[int]]:
    labels = [item.label for item in rows.items]
    largest = max(sorted({label for label in labels if label}), key=labels.count, default=None)
    return [i for i, label in enumerate(labels) if label == largest], [
        i for i, label in enumerate(labels) if label != largest
    ]


def _some(indices: Sequence[int], number: int, rng: np.random.Generator) -> list[int]:
    return [indices[i] for i in rng.permutation(len(indices))[:number]]


def _part(rows: Rows, share: float) -> Made:
    """A random part of the rows, in order; a smaller one is inside a larger one."""
    number = round(len(rows.items) * share)
    if number < 1:
        raise InputError(f"{count(len(rows.items), 'row')} are too few")
    kept = set(_some(range(len(rows.items)), number, rows.rng))
    return Made([item for at, item in enumerate(rows.items) if at in kept], rows.names)


def _permute(rows: Rows) -> Made:
    """Answers dealt anew over the rows. Where every row has options of its own, the right one is drawn anew."""
    if any(item.options for item in rows.items):
        drawn = [int(rows.rng.integers(len(item.options or ()))) for item in rows.items]
        items = [
            item._replace(label=str(at), response=(item.options or ())[at])
            for item, at in zip(rows.items, drawn, strict=True)
        ]
        return Made(items, rows.names)
    order = rows.rng.permutation(len(rows.items))
    return Made(
        [
            item._replace(label=rows.items[other].label, response=rows.items[other].response)
            for item, other in zip(rows.items, order, strict=True)
        ],
        rows.names,
    )


def _prompts(rows: Rows, edit: Callable[[str], str]) -> Made:
    items = [item._replace(fields=[edit(field) for field in item.fields]) for item in rows.items]
    _must_touch(rows, items)
    return Made(items, rows.names)


def _shuffle(rows: Rows) -> Made:
    def edit(text: str) -> str:
        words = text.split()
        return " ".join(words[i] for i in rows.rng.permutation(len(words)))

    return _prompts(rows, edit)


def _simplify(text: str) -> str:
    return _GAP.sub(lambda found: found[1] or " ", _RUNS.sub(r"\1", text.translate(_SIMPLER))).strip()


def _pad(rows: Rows) -> Made:
    def padded(text: str) -> str:
        return f"{PREAMBLE} {text}"

    items = [
        item._replace(
            response=padded(item.response or ""),
            options=[padded(option) for option in item.options] if item.options else None,
            label=padded(item.label) if rows.names and item.label and not item.options else item.label,
        )
        for item in rows.items
    ]
    return Made(items, tuple(padded(name) for name in rows.names))


def _truncate(rows: Rows, tokens: int) -> Made:
    tokenizer = _tokenizer(rows.language)

    def cut(text: str) -> str:
        found = tokenizer(text)
        return text if len(found) <= tokens else text[: found[tokens - 1].idx + len(found[tokens - 1])].strip()

    return _responses(rows, cut)


def _tokenizer(language: str | None) -> Language:
    import spacy

    try:
        return spacy.blank((language or "en").split("-")[0])
    except ImportError:  # spaCy's word for a language that it has no rules for
        return spacy.blank("xx")


def _answer_only(rows: Rows) -> Made:
    def last_line(text: str) -> str:
        return text.strip().rsplit("\n", 1)[-1].strip()

    return _responses(rows, last_line, least=_WORKED)


def _responses(rows: Rows, edit: Callable[[str], str], least: float = _TOUCHED) -> Made:
    items = [item._replace(response=edit(item.response or "")) for item in rows.items]
    _must_touch(rows, items, least)
    return Made(items, rows.names)


def _must_touch(rows: Rows, items: Sequence[Item], least: float = _TOUCHED) -> None:
    touched = sum(new != old for new, old in zip(items, rows.items, strict=True))
    if touched < max(1, least * len(items)):
        raise InputError(f"it would touch {touched} of {count(len(items), 'row')}, and {least:.0%} are the least")


_LABELS, _TEXTS = ("classification",), ("generation",)
CHANGES: dict[str, Change] = {
    change.name: change
    for change in (
        *(
            Change(
                f"majority_{share}",
                f"the largest class gets {share} % of the rows",
                "class_balance",
                partial(_majority, share=share / 100),
                _LABELS,
            )
            for share in (50, 70, 90)
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
            "no quotes or brackets in text fields, other marks become commas, runs one mark",
            "surface",
            partial(_prompts, edit=_simplify),
        ),
        Change("half", "a random half of the rows", "dataset_rows", partial(_part, share=0.5)),
        Change("quarter", "a random quarter of the rows", "dataset_rows", partial(_part, share=0.25)),
        Change(
            "permute_labels",
            "answers dealt anew over the rows: a control, nothing is to be learnt",
            "shortcut",
            _permute,
        ),
    )
}
