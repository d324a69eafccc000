"""Multiple choice: the options of a row, and which of them its answer names.

Owns the answer forms (position from 0, number from 1, letter, text, or the keys of options that carry their own:
{"text": [...], "label": [...]}, {"A": ..., "B": ...}, [{"key": "A", "text": ...}, ...]) and how a column of answers
is recognised as one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from traitcast.profiler.roles.column_names import OPTION_COLUMN, plain_name
from traitcast.profiler.roles.packed import unpacked
from traitcast.profiler.roles.spec import ANSWER_FORMS, DatasetSpec
from traitcast.profiler.roles.values import SPEC_HINT, is_position, kind, missing, pick, shorten, text
from traitcast.warehouse.errors import InputError

# Keys of an option that is an object: what names it, and its text.
_KEYS = ("label", "key", "id", "letter", "option_id", "index", "aid")
_TEXTS = ("text", "option", "content", "value", "answer", "choice", "atext")


class Answers:
    """The right option of a row by one answer form."""

    def __init__(self, spec: DatasetSpec) -> None:
        self.field = spec.answer_field or ""
        self.form = spec.answer_form or "index"
        self.columns = spec.options_fields

    def position(self, value: Any, options: Sequence[str], keys: Sequence[str] | None, where: str) -> int | None:
        """Index into options; None when the answer is missing (null, "", and the hub's -1).

        Raises InputError when the answer names none of the options, or more than one.
        """
        if unanswered(value):
            return None
        found = _column_named(value, self.columns, options) or named(value, options, keys, self.form)
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
        if keys is not None and self.form != "text":
            expected = f"exactly one of the keys {', '.join(keys)}"
        return (
            f"{where}: answer {shorten(value)} in column {self.field!r} does not name one of the {n} options; expected "
            f"{expected}. Options: {shorten(list(options), 200)}. Mend or remove the row. "
            f"{SPEC_HINT} with answer_form: index (from 0), number (from 1), letter or text"
        )


def unanswered(value: Any) -> bool:
    """Whether an answer is missing: null, blank, NaN, or the -1 that the hub gives hidden answers."""
    return missing(value) or value == -1 or value == "-1"


def _column_named(value: Any, columns: Sequence[str], options: Sequence[str]) -> list[int]:
    """The position of an option whose column an answer names, such as option_a."""
    found = value.strip() if isinstance(value, str) else ""
    return [columns.index(found)] if found in columns[: len(options)] and len(found) > 1 else []


def named(value: Any, options: Sequence[str], keys: Sequence[str] | None, form: str) -> list[int]:
    """Positions of the options that an answer names under a form; one when all is well."""
    if isinstance(value, list):
        if len(value) == len(options) and set(map(str, value)) <= {"0", "1", "True", "False"}:
            # One mark for each option (TruthfulQA).
            return [position for position, mark in enumerate(value) if str(mark) in ("1", "True")]
        value = value[0] if len(value) == 1 else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return []
    answer = str(value).strip()
    if keys is not None and form != "text":
        return [position for position, key in enumerate(keys) if key == answer]
    if form == "text":
        return [position for position, option in enumerate(options) if option.strip() == answer]
    if form == "letter":
        letter = answer.strip("().: ").upper()
        position = ord(letter) - ord("A") if len(letter) == 1 else -1
    else:
        position = int(answer) - (form == "number") if is_position(answer) else -1
    return [position] if 0 <= position < len(options) else []


def answer_forms(rows: Sequence[Mapping[str, Any]], spec: DatasetSpec, least: float = 1.0) -> tuple[str, ...]:
    """The forms under which the answers of some rows name one option each.

    A text that is always one of the options is no coincidence, but where options are numbers the same answer may be a
    position and a text.

    Parameters
    ----------
    rows
        A sample of the rows.
    spec
        Roles with options and an answer without a form.
    least
        The share of the answers that have to.

    Returns
    -------
    tuple of str
        One form where it is clear, several that name different options, the likeliest first, where it is not. Empty
        when no form fits, or when no row has an answer.
    """
    found: dict[str, list[int]] = {form: [] for form in ANSWER_FORMS}
    keyed = whole = False
    answered = 0
    for row in rows:
        value = pick(row, spec.answer_field or "")
        if unanswered(value):
            continue
        try:
            options, keys = options_of(row, spec, "")
        except InputError:
            # The row is refused with its place when it is read for good; here it only says nothing.
            continue
        # Keys decide by themselves, whatever the form.
        possible = found.keys() & {"index", "text"} if keys is not None else found.keys()
        column = _column_named(value, spec.options_fields, options)
        readings = {form: column or named(value, options, keys, form) for form in possible}
        answered += 1
        found = {form: [*found[form], *(at if len(at) == 1 else [-1])] for form, at in readings.items()}
        keyed |= keys is not None
        whole |= isinstance(value, int)
    found = {form: at for form, at in found.items() if sum(p >= 0 for p in at) >= max(1, least * answered)}
    if keyed and "index" in found:
        return ("index",)
    forms = [form for form in ANSWER_FORMS if found.get(form)]
    if "text" in forms:
        # Whole numbers are positions rather than texts of options.
        others = [form for form in forms if found[form] != found["text"]]
        return tuple(sorted({*others, "text"}, key=lambda form: (form == "text") == whole)) if others else ("text",)
    return tuple(forms)


def options_of(row: Mapping[str, Any], spec: DatasetSpec, where: str) -> tuple[list[str], list[str] | None]:
    """(options, their keys) of a row; keys are None for options that have none of their own."""
    if spec.options_fields:
        values = [text(pick(row, name), name, where) for name in spec.options_fields]
        # Rows with fewer options leave the last columns empty.
        while values and not values[-1]:
            values.pop()
        return _enough([value or "" for value in values], ", ".join(spec.options_fields), where), None
    name = spec.options_field or ""
    value = unpacked(pick(row, name))
    keys, options = keyed_options(value)
    if options is None:
        raise InputError(
            f"{where}: options column {name!r} holds a {kind(value)}: {shorten(value)}; expected a list of "
            "texts. For one column per option, pass --spec FILE with options_fields: [A, B, ...]"
        )
    if keys is not None and len(keys) != len(options):
        raise InputError(f"{where}: options column {name!r} holds {len(options)} texts but {len(keys)} labels")
    texts = [text(option, name, where) or "" for option in options]
    if keys is not None:
        filled = [at for at, option in enumerate(texts) if option]
        return _enough([texts[at] for at in filled], name, where), [keys[at] for at in filled]
    # Lists that were padded to one length, as columns are.
    answered = pick(row, spec.answer_field or "")
    named_at = int(answered) + (spec.answer_form != "number") if is_position(str(answered)) else 0
    while len(texts) > named_at and not texts[-1]:
        texts.pop()
    return _enough(texts, name, where), None


def keyed_options(value: Any) -> tuple[list[str] | None, list[Any] | None]:
    """(keys, options) of a cell: keys None for a plain list, options None for what is not a set of options."""
    if isinstance(value, list):
        return _objects(value) or (None, value)
    if not isinstance(value, Mapping):
        return None, None
    for label in ("label", "labels", "key", "keys"):
        for texts in ("text", "texts", "choices", "options"):
            if isinstance(value.get(label), list) and isinstance(value.get(texts), list):
                return [str(key) for key in value[label]], value[texts]
    # A struct of a Parquet file has every key that any row has.
    filled = {str(key): option for key, option in value.items() if option is not None}
    if filled and all(
        OPTION_COLUMN.fullmatch(plain_name(key)) and isinstance(option, str) for key, option in filled.items()
    ):
        return list(filled), list(filled.values())
    return None, None


def _objects(value: list[Any]) -> tuple[list[str], list[Any]] | None:
    """(keys, texts) of a list of objects such as {"key": "A", "text": ...}, None for any other list."""
    if not value or not all(isinstance(option, Mapping) for option in value):
        return None
    key, texts = (next((n for n in names if all(n in o for o in value)), None) for names in (_KEYS, _TEXTS))
    if not key or not texts or any(isinstance(option[key], bool) for option in value):
        return None
    return [str(option[key]) for option in value], [option[texts] for option in value]


def _enough(options: list[str], name: str, where: str) -> list[str]:
    if len(options) < 2:
        raise InputError(
            f"{where}: {len(options)} option(s) in {name}; a multiple choice row needs at least 2. "
            "Remove the row, or pass --spec FILE naming other options"
        )
    return options
