"""Multiple choice: the options of a row, and which of them its answer names.

Owns the answer forms (position from 0, number from 1, letter, text, or the keys of the hub's
{"text": [...], "label": [...]} layout) and how a column of answers is recognised as one of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from profiler.cells import SPEC_HINT, is_position, kind, missing, pick, shorten, text
from profiler.spec import ANSWER_FORMS, DatasetSpec
from warehouse.errors import InputError


class Answers:
    """The right option of a row by one answer form."""

    def __init__(self, spec: DatasetSpec) -> None:
        self.field = spec.answer_field or ""
        self.form = spec.answer_form or "index"

    def position(self, value: Any, options: Sequence[str], keys: Sequence[str] | None, where: str) -> int | None:
        """Index into options; None when the answer is missing (null, "", and the hub's -1).

        Raises InputError when the answer names none of the options, or more than one.
        """
        if unanswered(value):
            return None
        found = named(value, options, keys, self.form)
        if len(found) != 1:
            raise InputError(self._refusal(value, options, keys, where))
        return found[0]

    def _refusal(self, value: Any, options: Sequence[str], keys: Sequence[str] | None, where: str) -> str:
        n = len(options)
        letters = f"a letter A to {chr(ord('A') + n - 1)}" if n <= 26 else "a letter"
        expected = {
            "index": f"a position 0 to {n - 1}",
            "number": f"a number 1 to {n}",
            "letter": letters,
            "text": "exactly one of the options",
        }[self.form]
        if keys is not None:
            expected = f"exactly one of the keys {', '.join(keys)}"
        return (
            f"{where}: answer {shorten(value)} in column {self.field!r} does not name one of the {n} options; expected "
            f"{expected}. Options: {shorten(list(options), 200)}. {SPEC_HINT} with answer_form: "
            "index (from 0), number (from 1), letter or text"
        )


def unanswered(value: Any) -> bool:
    """Whether an answer is missing: null, blank, NaN, or the -1 that the hub gives hidden answers."""
    return missing(value) or value == -1 or value == "-1"


def named(value: Any, options: Sequence[str], keys: Sequence[str] | None, form: str) -> list[int]:
    """Positions of the options that an answer names under a form; one when all is well."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return []
    answer = str(value).strip()
    if keys is not None:
        return [position for position, key in enumerate(keys) if key == answer]
    if form == "text":
        return [position for position, option in enumerate(options) if option.strip() == answer]
    if form == "letter":
        letter = answer.strip("().: ").upper()
        position = ord(letter) - ord("A") if len(letter) == 1 else -1
    else:
        position = int(answer) - (form == "number") if is_position(answer) else -1
    return [position] if 0 <= position < len(options) else []


def answer_forms(rows: Sequence[Mapping[str, Any]], spec: DatasetSpec) -> tuple[str, ...]:
    """The forms under which every answer of the rows names one option; "text" stands alone where it fits.

    A text that is always one of the options is no coincidence; a number may be both a position and a count.
    Empty when no form fits, or when no row has an answer.
    """
    fits = set(ANSWER_FORMS)
    seen = False
    for row in rows:
        value = pick(row, spec.answer_field or "")
        if unanswered(value):
            continue
        try:
            options, keys = options_of(row, spec, "")
        except InputError:
            # The row is refused with its place when it is read for good; here it only says nothing.
            continue
        seen = True
        fits = {form for form in fits if len(named(value, options, keys, form)) == 1}
        if keys is not None and fits:
            # Keys decide by themselves, whatever the form.
            fits = {"index"}
    if "text" in fits:
        return ("text",)
    return tuple(form for form in ANSWER_FORMS if form in fits) if seen else ()


def options_of(row: Mapping[str, Any], spec: DatasetSpec, where: str) -> tuple[list[str], list[str] | None]:
    """(options, their keys) of a row: keys only for the hub's {"text": [...], "label": [...]} layout."""
    if spec.options_fields:
        values = [text(pick(row, name), name, where) for name in spec.options_fields]
        # Rows with fewer options leave the last columns empty.
        while values and not values[-1]:
            values.pop()
        return _enough([value or "" for value in values], ", ".join(spec.options_fields), where), None
    name = spec.options_field or ""
    value, keys = pick(row, name), None
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _json_list(value)
    if isinstance(value, Mapping) and isinstance(value.get("text"), list) and isinstance(value.get("label"), list):
        value, keys = value["text"], [str(key) for key in value["label"]]
    if not isinstance(value, list):
        raise InputError(
            f"{where}: options column {name!r} holds a {kind(value)}: {shorten(value)}; expected a list of "
            "texts. For one column per option, pass --spec FILE with options_fields: [A, B, ...]"
        )
    if keys is not None and len(keys) != len(value):
        raise InputError(f"{where}: options column {name!r} holds {len(value)} texts but {len(keys)} labels")
    return _enough([text(option, name, where) or "" for option in value], name, where), keys


def _enough(options: list[str], name: str, where: str) -> list[str]:
    if len(options) < 2:
        raise InputError(
            f"{where}: {len(options)} option(s) in {name}; a multiple choice row needs at least 2. "
            "Remove the row, or pass --spec FILE naming other options"
        )
    return options


def _json_list(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
