"""The one rule for names: of datasets, matrices and predictors; the laxer one for models and metrics; and which
dataset the name of a variant goes back to.

A name is typed on a command line, printed in tables and written in SQL literals, so it holds nothing that a shell
would take for an option, a person for a path or a terminal for a command, and nothing that cannot be seen.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from traitcast.warehouse.errors import UserError

LONGEST = 100
_LONGEST_TEXT = 200
_MARKS = frozenset("_.-")
# Letters and combining marks by category that show as nothing: grapheme joiner, Hangul and Khmer fillers, and
# variation selectors. Two names that look the same would not be the same.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0") | {
    chr(code) for low, high in ((0x180B, 0x1810), (0xFE00, 0xFE10), (0xE0100, 0xE01F0)) for code in range(low, high)
}


def check_name(value: str, what: str, *, slashes: bool = False) -> str:
    """`value` in Unicode form NFKC, if it is a valid name. Raises UserError.

    what: the kind of thing, for the message: "name", "matrix", "row 3: source". Allowed are 1 to 100 letters
    and digits of any script, `_`, `.` and `-`, beginning with a letter, a digit or `_`. slashes: parts joined by
    `/` are allowed too ("org/name").
    """
    name = unicodedata.normalize("NFKC", value)
    parts = name.split("/") if slashes else [name]
    if not (len(name) <= LONGEST and all(_is_plain(part) for part in parts)):
        shown = value if len(value) <= LONGEST else value[:40] + "..."
        raise UserError(
            f"{what} {shown!r} is not allowed: up to {LONGEST} letters, digits, dots, dashes and underscores, "
            f"no dot or dash first{', parts joined by /' if slashes else ''}. Example: my_dataset.v2."
        )
    return name


def check_text(value: str, what: str) -> str:
    """`value` unchanged, if it may name a model or a metric: 1 to 200 visible characters.

    Model names are often paths or sentences, so blanks and slashes are fine. Raises UserError.
    """
    hidden = any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") or char in _INVISIBLE for char in value)
    if not 0 < len(value) <= _LONGEST_TEXT or hidden:
        shown = value if len(value) <= _LONGEST_TEXT else value[:40] + "..."
        raise UserError(f"{what} {shown!r} is not allowed: 1 to {_LONGEST_TEXT} characters, none of them invisible.")
    return value


def is_name(value: str) -> bool:
    """Whether `check_name` would give `value` back unchanged."""
    return len(value) <= LONGEST and unicodedata.is_normalized("NFKC", value) and _is_plain(value)


def _is_plain(part: str) -> bool:
    if not part or not (part[0] == "_" or unicodedata.category(part[0])[0] in "LN"):
        return False
    return all(char in _MARKS or (unicodedata.category(char)[0] in "LMN" and char not in _INVISIBLE) for char in part)


def root_of(name: str, parent_of: Callable[[str], str | None]) -> str:
    """The dataset that a variant comes from in the end, or `name` itself if it is not a variant. A circle ends where it
    closes."""
    seen = {name}
    while (above := parent_of(name)) and above not in seen:
        name = above
        seen.add(name)
    return name
