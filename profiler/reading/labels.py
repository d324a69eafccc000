"""The label of a row: from a raw value to the name of its class.

Refuses what is no class: mixed types, fractions, lists, and labels outside of label_names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from traitcast.profiler.roles.packed import is_flattened, unpacked
from traitcast.profiler.roles.spec import DatasetSpec
from traitcast.profiler.roles.values import SPEC_HINT, is_position, kind, missing, shorten
from traitcast.warehouse.errors import InputError, nearest, some

# Pairs of names that say which of them is false and which is true.
_FALSE_TRUE = (("false", "true"), ("no", "yes"), ("n", "y"), ("0", "1"))


def with_codes(spec: DatasetSpec, values: Sequence[Any], *, from_schema: bool) -> DatasetSpec:
    """A spec whose list of label_names can be read in one way.

    Names such as "True" or "5" may be the values themselves, while a list gives names to the values by their places.
    Names of a schema go by place, names that a user wrote by their text.

    Parameters
    ----------
    spec
        With label_names, without label_codes.
    values
        Raw labels of some rows.
    from_schema
        Whether the file format itself brought the names.

    Returns
    -------
    DatasetSpec
        With label_codes where places and texts differ; else as it is.
    """
    names = spec.label_names
    plain = [name.casefold().removesuffix(".0") for name in names]
    if any(isinstance(value, bool) for value in values):
        pair = next((pair for pair in _FALSE_TRUE if set(pair) <= set(plain)), None)
        codes = [{pair[0]: "false", pair[1]: "true"}.get(name, name) if pair else "" for name in plain]
    elif any(is_position(name) and name != str(place) for place, name in enumerate(plain)):
        codes = [str(place) for place in range(len(names))] if from_schema else list(names)
    else:
        return spec
    return replace(spec, label_codes=tuple(codes)) if all(codes) and len(set(codes)) == len(names) else spec


class Labels:
    """Raw class values to class names; every row must agree on the type of the value."""

    def __init__(self, spec: DatasetSpec) -> None:
        self.field = spec.label_field or ""
        self.names = spec.label_names
        self.known = frozenset(spec.label_names)
        self.codes = dict(zip(spec.label_codes, spec.label_names, strict=True)) if spec.label_codes else {}
        self.first: tuple[str, str, Any] | None = None

    def name(self, value: Any, where: str) -> str | None:
        """The class name of a raw value, None for a missing one (null, "", and the hub's -1)."""
        if missing(value):
            return None
        type_name, raw = self._plain(value, where)
        if (
            (is_flattened(value) or isinstance(unpacked(value), list))
            and raw not in self.known
            and raw not in self.codes
        ):
            raise InputError(
                f"{where}: label column {self.field!r} holds a list written as text: {shorten(value)}. Name it "
                f'--roles labels={self.field}, with the list as JSON, such as ["joy", "anger"]'
            )
        self._same_type(type_name, value, where)
        if self.codes:
            # A table program writes the integers of a column with gaps as 0.0 and 1.0.
            known = next((code for code in (raw, raw.removesuffix(".0"), f"{raw}.0") if code in self.codes), None)
            if known is None and type_name == "integer" and raw == "-1":
                return None
            return self._unknown(raw, where, self.codes) if known is None else self.codes[known]
        if not self.names or raw in self.known:
            return raw
        # CSV has no integers, so digits count as a position when they are not a name themselves.
        if type_name in ("integer", "boolean"):
            return self._at(int(value), where)
        if type_name == "text" and is_position(raw.removesuffix(".0")):
            return self._at(int(raw.removesuffix(".0")), where)
        return self._unknown(raw, where, self.names)

    def _at(self, position: int, where: str) -> str | None:
        if position == -1:
            return None
        if 0 <= position < len(self.names):
            return self.names[position]
        return self._unknown(str(position), where, [f"0 to {len(self.names) - 1}", *self.names])

    def _plain(self, value: Any, where: str) -> tuple[str, str]:
        """(kind, text) of a raw label; 2.0 counts as the integer 2."""
        if isinstance(value, str):
            return "text", value
        if isinstance(value, bool):
            return "boolean", "true" if value else "false"
        if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
            value = int(value)
        if isinstance(value, int):
            return "integer", str(value)
        if isinstance(value, float | Decimal):
            raise InputError(
                f"{where}: label column {self.field!r} holds the number {value}, which is a score and no class. "
                f"{SPEC_HINT} with task_type: generation and answer_field: {self.field}"
            )
        if isinstance(value, list):
            raise InputError(
                f"{where}: label column {self.field!r} holds a list: {shorten(value)}; expected one class per row. "
                f"For several labels a row name it labels_field instead, in a spec or by --roles labels={self.field}"
            )
        raise InputError(
            f"{where}: label column {self.field!r} holds a {kind(value)}: {shorten(value)}; expected one class "
            f"per row (text, integer or boolean). {SPEC_HINT} naming another label_field"
        )

    def follow(self, first: tuple[str, str, Any] | None) -> None:
        """Take the first label of rows that were read elsewhere. Raises InputError when its type is another one."""
        if first is not None:
            type_name, where, value = first
            self._same_type(type_name, value, where)

    def _same_type(self, type_name: str, value: Any, where: str) -> None:
        if self.first is None:
            self.first = (type_name, where, value)
        elif self.first[0] != type_name:
            first_type, first_where, first = self.first
            raise InputError(
                f"label column {self.field!r} mixes types: {first!r} ({first_type}) at {first_where}, but "
                f"{value!r} ({type_name}) at {where}. Write one kind of value in the whole column"
            )

    def _unknown(self, raw: str, where: str, allowed: Iterable[str]) -> str:
        allowed = list(allowed)
        raise InputError(
            f"{where}: label {shorten(raw)} in column {self.field!r} is not in label_names"
            f"{nearest(raw[:100], allowed)} Allowed: {some(allowed, 20)}"
        )
