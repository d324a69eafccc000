"""One cell of a row: finding it by column name or path, and reading it as text.

A path leads into a nested column (`answers.text[0]`). A column whose name is literally the whole path wins, so
names with dots keep working. Anything missing on the way (a null, an absent key, a list that is too short) is None.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Collection, Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from traitcast.profiler.roles.packed import unpacked
from traitcast.warehouse.errors import InputError, some
from traitcast.warehouse.layout import inline

# As much as the longest line of a text file; a longer cell is a file that was packed into a table.
MAX_CHARACTERS = 32 << 20

# Names that a message lists before it says how many more there are.
_LISTED = 30

# What stands for the path of data that have none, in messages and in the details of a profile.
IN_MEMORY = "data in memory"
SPEC_HINT = "If that column was chosen wrongly, pass --spec FILE"

# A file name on Linux is bytes. Python keeps those that are not UTF-8 as lone surrogates, which no database, JSON or
# YAML text can hold; here they are written as `\\xe9`.
_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(-?\d+)\]")


def pick(row: Mapping[str, Any], path: str) -> Any:
    """The value at a path, None where it leads nowhere."""
    if path in row:
        return row[path]
    value: Any = row
    for step in steps(path):
        # A table of text holds lists and objects as text.
        value = unpacked(value)
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, Mapping) else None
        else:
            inside = isinstance(value, list) and -len(value) <= step < len(value)
            value = value[step] if inside else None
    return value


def jq_path(keys: Iterable[str]) -> str:
    """Where keys lead, as jq reads it, also where one of them holds a blank."""
    return f".{''.join(f'[{json.dumps(key)}]' for key in keys)}"


def root(path: str, columns: Collection[str]) -> str | None:
    """The column that a path starts from, None when there is none."""
    if path in columns:
        return path
    first = next(iter(steps(path)), None)
    return first if isinstance(first, str) and first in columns else None


@lru_cache(maxsize=256)
def steps(path: str) -> tuple[str | int, ...]:
    """`a.b[0]` as ("a", "b", 0); an empty tuple where the text is not a path."""
    found: list[str | int] = []
    end = 0
    for match in _STEP.finditer(path):
        if match.start() != end:
            return ()
        found.append(match[1] if match[1] is not None else int(match[2]))
        end = match.end()
    return tuple(found) if end == len(path) else ()


def missing(value: Any) -> bool:
    """Whether a cell holds nothing: null, blank text, or the NaN that tables use for null."""
    return value is None or (isinstance(value, str) and not value.strip()) or value != value


def is_position(text: str) -> bool:
    """Whether a text is a plain number that can count options or classes; Python refuses to read endless digits."""
    return text.isascii() and text.isdigit() and len(text) < 10


def text(value: Any, name: str, where: str) -> str | None:
    """A cell as text: numbers, booleans and dates are written out, null stays None, nesting is refused."""
    if value is None or value != value:
        return None
    if isinstance(value, str):
        if len(value) > MAX_CHARACTERS:
            raise InputError(
                f"{where}: column {name!r} holds a text of {len(value):,} characters; at most {MAX_CHARACTERS:,} are "
                "read. Split it, or remove the row"
            )
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    hint = ""
    if isinstance(value, Mapping) and value:
        hint = f", naming what is inside by a path such as {name}.{next(iter(value))}"
    elif isinstance(value, list):
        hint = f", naming what is inside by a path such as {name}[0]"
    raise InputError(
        f"{where}: column {name!r} holds a {kind(value)}, not text: {shorten(value)}. "
        f"Pass --spec FILE with other fields{hint}"
    )


def _number(value: float) -> str:
    """The shortest text of a float. Parquet widens float32: 3.8 comes as 3.799999952316284, which nobody wrote."""
    try:
        narrow = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return str(value)
    if narrow != value:
        return str(value)
    shortest = (float(f"{value:.{digits}g}") for digits in range(6, 10))
    return str(next((v for v in shortest if struct.unpack("f", struct.pack("f", v))[0] == value), value))


def is_whole(text: str) -> bool:
    """Whether UTF-8 can hold a text, which is not so for half of a surrogate pair, as JSON and YAML may escape it."""
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def kind(value: Any) -> str:
    """What a value is, in words for a message."""
    kinds = {dict: "nested object", list: "list", bytes: "binary value", str: "text", type(None): "null"}
    return kinds.get(type(value), type(value).__name__)


def shorten(value: Any, length: int = 80) -> str:
    """A value as Python writes it, cut to a length that fits a message."""
    return cut(repr(value), length)


def cut(shown: str, length: int = 80) -> str:
    """A text on one line, cut to a length that fits a message."""
    shown = inline(shown)
    return shown if len(shown) <= length else shown[: length - 3] + "..."


def listed(names: Iterable[str], count: int = _LISTED) -> str:
    """Names as a message lists them: not all of thousands, and none of them a page long."""
    return some([cut(name, 60) for name in names], count)


def path_text(path: str | Path) -> str:
    """A path as UTF-8 text; bytes that are no UTF-8 become `\\x` and two hexadecimal digits."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def path_from(text: str) -> Path:
    """The path that `path_text` wrote. A file whose name really holds a backslash is found as it is."""
    if os.path.exists(text):
        return Path(text)
    raw = _BYTE.sub(lambda match: bytes([int(match[1], 16)]), os.fsencode(text))
    return Path(os.fsdecode(raw))
