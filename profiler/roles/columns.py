"""The columns of a sample of rows: their plain names, and what kind of values they hold.

Owns what counts as a text, a class, a score, a list of labels or a set of options by its values alone. Which role a
column plays is decided in `profiler.roles.inference`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from itertools import pairwise
from typing import Any

from traitcast.profiler.roles import annotations as tagging
from traitcast.profiler.roles import chat
from traitcast.profiler.roles.column_names import TEXT_LISTS, is_id, plain_name
from traitcast.profiler.roles.multiple_choice import keyed_options
from traitcast.profiler.roles.packed import STARTS, joined_texts, unpacked
from traitcast.profiler.roles.spec import DatasetSpec
from traitcast.profiler.roles.values import pick

Columns = Mapping[str, Sequence[Any]]

# Below this, the share of distinct values says nothing about a column.
MIN_ROWS_FOR_SHARES = 50

# Fewer whole numbers in a row that go up by one may be anything.
_MIN_COUNTER_ROWS = 10

# A fraction somewhere makes a column of numbers scores; whole numbers, also as 1.0, may be classes.
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:[.,]([0-9]+))?|[.,]([0-9]+))(?:[eE][-+]?[0-9]+)?")

_THOUSANDS = re.compile(r"[-+]?[0-9]{1,3}(,[0-9]{3})+")

# Fewer columns of 0 and 1 are facts about a text rather than its labels.
_MIN_MARK_COLUMNS = 3


class View:
    """Columns under plain lower-case names, with the kind of their values.

    lists: the columns of lists of texts that are read as one text each. packed: those of lists and objects as text.
    """

    def __init__(self, columns: Columns, label_names: Mapping[str, Sequence[str]]) -> None:
        self.columns = {name: _unpacked(values) for name, values in columns.items()}
        self.packed = {
            name for name, values in self.columns.items() if values is not columns[name] and _are_texts(columns[name])
        }
        self.label_names = label_names
        self.rows = max((len(values) for values in columns.values()), default=0)
        self.actual: dict[str, str] = {}
        for name in columns:
            self.actual.setdefault(plain_name(name), name)
        self.kinds = {name: kind_of(values) for name, values in self.columns.items()}
        for name, kind in self.kinds.items():
            if kind == "text" and _are_scores(self.columns[name]):
                self.kinds[name] = "number"
        self.lists = {n for n, kind in self.kinds.items() if kind == "list of texts" and plain_name(n) in TEXT_LISTS}
        for name in self.lists:
            self.kinds[name] = "text"
            self.columns[name] = [value and joined_texts(value, name) for value in self.columns[name]]

    def has(self, plain: str, *kinds: str) -> bool:
        """Whether a column of that plain name exists with one of the kinds (any text by default)."""
        name = self.actual.get(plain)
        return name is not None and self.kinds[name] in (kinds or ("text", "integer", "number"))

    def texts(self, names: Collection[str]) -> tuple[str, ...]:
        """Actual names of the text columns among plain names, in file order."""
        return tuple(name for plain, name in self.actual.items() if plain in names and self.kinds[name] == "text")

    def distinct(self, name: str) -> int:
        """Distinct values in the sample, missing ones left out."""
        return len({str(value) for value in self.columns[name] if value not in (None, "")})

    def telling(self, name: str) -> bool:
        """Whether a column holds content: it is not empty, not the same in every row, and no counter of the rows."""
        return self.distinct(name) > (self.rows > 1) and not _is_counter(self.columns[name])

    def class_like(self, name: str) -> bool:
        """Whether the values may be class labels: plain values that repeat (in a sample large enough to show it)."""
        if self.kinds[name] not in ("text", "integer", "boolean"):
            return False
        return self.rows < MIN_ROWS_FOR_SHARES or self.distinct(name) <= self.rows / 2


def _is_counter(values: Sequence[Any]) -> bool:
    """Whether whole numbers go up by one from row to row, as table programs number rows."""
    try:
        numbers = [int(value) for value in values if isinstance(value, int | str)]
    except ValueError:
        return False
    steps_up = all(after - before == 1 for before, after in pairwise(numbers))
    return len(numbers) == len(values) >= _MIN_COUNTER_ROWS and steps_up


def _are_texts(values: Sequence[Any]) -> bool:
    present = [value for value in values if value is not None and value == value]
    return bool(present) and all(isinstance(value, str) for value in present)


def _unpacked(values: Sequence[Any]) -> Sequence[Any]:
    """A column of lists that are written as texts as lists; any other column as it is, with null for NaN."""
    values = [None if isinstance(value, float) and value != value else value for value in values]
    present = [value for value in values if value not in (None, "")]
    packed = sum(map(_may_be_packed, present))
    if 2 * packed <= len(present) or not any(isinstance(value, str) for value in present):
        return values
    read = [None if value in (None, "") else unpacked(value) for value in values]
    return values if any(isinstance(value, str) for value in read) and not _are_mostly_chats(read) else read


def _may_be_packed(value: Any) -> bool:
    """Whether a value is a list or an object, or a text that may hold one: joined files may have both."""
    return isinstance(value, list | dict) or (isinstance(value, str) and value.lstrip().startswith(STARTS))


def _are_scores(values: Sequence[Any]) -> bool:
    """Whether texts are numbers, some with a fraction: a CSV has no numbers of its own."""
    matches = [_NUMBER.fullmatch(value) for value in values if value not in (None, "")]
    marked = all(value in ("0,1", "1,0", "0,0", "1,1") for value in values if value not in (None, ""))
    if marked or any(_THOUSANDS.fullmatch(value) for value in values if value):
        return False
    return all(matches) and any(match and (match[1] or match[2] or "").strip("0") for match in matches)


def kind_of(values: Sequence[Any]) -> str:
    """The kind of a column: text, integer, number, boolean, chat, list of texts, keyed options, ..., or empty."""
    present = [value for value in values if value is not None and value == value]
    if not present:
        return "empty"
    tests: tuple[tuple[str, Callable[[Any], bool]], ...] = (
        ("text", lambda v: isinstance(v, str)),
        ("boolean", lambda v: isinstance(v, bool)),
        ("integer", lambda v: not isinstance(v, bool) and (isinstance(v, int) or _integral(v))),
        ("number", lambda v: not isinstance(v, bool) and isinstance(v, int | float | Decimal)),
        ("date", lambda v: isinstance(v, date | time)),
        ("binary", lambda v: isinstance(v, bytes)),
        ("empty list", lambda v: v == []),
        ("chat", lambda v: v == [] or chat.is_chat(v)),
        ("list of texts", lambda v: isinstance(v, list) and all(isinstance(item, str) for item in v)),
        ("list of integers", lambda v: isinstance(v, list) and all(map(_is_whole, v))),
        ("spans", lambda v: v != [] and _are_spans(v) and _have_offsets(v)),
        ("keyed options", lambda v: v != [] and keyed_options(v)[0] is not None),
        ("spans", _are_spans),
        ("list", lambda v: isinstance(v, list)),
        ("nested object", lambda v: isinstance(v, Mapping)),
    )
    kind = next((kind for kind, test in tests if all(map(test, present))), "mixed types")
    # A few rows of another form are refused by their line when they are read.
    return "chat" if kind in ("list", "mixed types") and _are_mostly_chats(present) else kind


def _are_mostly_chats(values: Sequence[Any]) -> bool:
    present = [value for value in values if value is not None]
    return 2 * sum(map(chat.is_chat, present)) > len(present)


def _is_whole(item: Any) -> bool:
    """Whether an item is a whole number; NumPy prints those of float arrays as `1.`."""
    return isinstance(item, int) or (isinstance(item, float) and item.is_integer())


def _are_spans(value: Any) -> bool:
    columns = tagging.rows_of(value) if isinstance(value, Mapping) else value
    return isinstance(columns, list) and all(map(tagging.is_span, columns))


def _have_offsets(value: Any) -> bool:
    """Whether spans say where they are, which options never do."""
    spans = tagging.rows_of(value) if isinstance(value, Mapping) else value
    return all(isinstance(span, list) or tagging.has_offsets(span) for span in spans)


def _integral(value: Any) -> bool:
    return isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value)


def label_form(spec: DatasetSpec, columns: Columns, names: Sequence[str] = ()) -> str | None:
    """The label_form that values of the sample show, where one applies. names: what integers mean."""
    names = names or spec.label_names
    if spec.labels_field:
        return "marks" if are_marks([unpacked(value) for value in values_at(columns, spec.labels_field)]) else "names"
    if not spec.tags_field:
        return None
    tags = [unpacked(value) for value in values_at(columns, spec.tags_field)]
    seen = {str(tag) for row in tags for tag in (row.split() if isinstance(row, str) else row or ())}
    return "spans" if tagging.are_spans(names or seen) else "each"


def values_at(columns: Columns, field: str) -> list[Any]:
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return [pick(row, field) for row in rows]


def are_marks(values: Sequence[Any]) -> bool:
    """Whether lists hold 0 or 1 for every class: numbers of classes would not repeat in a list."""
    lists = [value for value in values if isinstance(value, list)]
    zero_one = all(str(item) in ("0", "1", "True", "False", "0.0", "1.0") for row in lists for item in row)
    one_length = len({len(row) for row in lists}) == 1
    # Of two classes that exclude each other: all numbers of classes in every row, in another order, say nothing.
    one_hot = len({tuple(map(str, row)) for row in lists}) > len({frozenset(map(str, row)) for row in lists})
    return zero_one and one_length and (one_hot or any(len(set(map(str, row))) < len(row) for row in lists))


def mark_columns(view: View) -> tuple[str, ...]:
    """Columns of 0 and 1, one for each class, where there are enough of them."""
    found = []
    for name, kind in view.kinds.items():
        values = {str(value).lower().removesuffix(".0") for value in view.columns[name] if value not in (None, "")}
        if kind in ("integer", "boolean", "text") and values and values <= {"0", "1", "-1", "true", "false"}:
            found += [] if is_id(name) else [name]
    return tuple(found) if len(found) >= _MIN_MARK_COLUMNS else ()


def first_columns(names: Sequence[str]) -> set[str]:
    return {re.split(r"[.\[]", name, maxsplit=1)[0] for name in names} | set(names)


def field_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
