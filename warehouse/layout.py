"""How values and sentences become text for a reader: tables that line up, lines that end where the screen does.

Owns the width: what a person reads fits the terminal, and 80 columns in a pipe; a command that is to be copied and a
path stay whole. Prints nothing.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

Row = Mapping[str, Any]

# Unicode categories Cc, Cf, Zl, Zp and Cs (16.0) but for tab and line feed: controls, marks of direction, line and
# paragraph separators, what shows as nothing, and halves of characters that no encoding has. Written out, since to ask
# for the category of every character takes a third of a second.
CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u2064\u2066-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)
_CELL_WIDTH = 60
_LEAST_WIDTH = 40
_GAP = "  "
# A command in a sentence, which follows a mark and ends with one, or with the line; a backtick quotes it as well.
_PART = r"""'[^'\n]*'|"[^"\n]*"|[^\s'"`"""
_WORD = rf"(?:{_PART}])*(?:{_PART}.,;:)])"
_PROGRAM = "traitcast|pip|make|uv|jq|sed|awk|tr|tail|iconv|python|gzip|zstd|bzip2|xz"
_COMMAND = re.compile(
    rf"(?:^|(?<=[:?;.(]\s)|(?<=[(`]))(?:{_PROGRAM})(?: +{_WORD})+?(?=[.,;:)`]+(?:\s|$)|$)"
    # Two commands whose output goes to one file.
    r"|\((?:printf|echo) .*?\) > [^\s.]+(?:\.[^\s.]+)*"
)
_BLANK = "\0"


def screen() -> int:
    """The columns that a line may take: those of the terminal, 80 in a pipe; the variable COLUMNS overrules both."""
    return max(shutil.get_terminal_size().columns, _LEAST_WIDTH)


def printable(text: str) -> str:
    """Text in which what steers a terminal, or shows as nothing, is an escape (\\x1b, \\u202e). Lines stay lines."""
    return CONTROL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else json.dumps(found.group())[1:-1]


def inline(text: str) -> str:
    """`printable` on one line: a value may not pass for a line of ours."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def width(text: str) -> int:
    """The columns of a terminal that a text takes: two for wide letters (Chinese, emoji), none for combining marks."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def shortened(text: str, columns: int) -> str:
    """A text cut to so many columns of a terminal, its last one an ellipsis."""
    if width(text) <= columns:
        return text
    kept, left = "", columns - 1
    for char in text:
        left -= _columns(char)
        if left < 0:
            break
        kept += char
    return kept + "\u2026"


def filled(text: str, hanging: int = 2) -> str:
    """Printable text with lines broken where the screen ends, never inside a word or a command that is to be copied.

    hanging: blanks before what follows a break.
    """
    return "\n".join(_filled(line, screen(), hanging) for line in printable(text).split("\n"))


def _filled(line: str, room: int, hanging: int) -> str:
    # DuckDB marks a place of a statement in the line below.
    if width(line) <= room or line.startswith("LINE "):
        return line
    indent = " " * (len(line) - len(line.lstrip()))
    whole = _COMMAND.sub(lambda found: found.group().replace(" ", _BLANK), line.strip())
    lines = [""]
    for word in re.findall(r"\s*\S+", whole):
        if lines[-1] and width(indent + lines[-1] + word) > room:
            lines.append(" " * hanging + word.lstrip())
        else:
            lines[-1] += word
    return "\n".join(indent + each for each in lines).replace(_BLANK, " ")


def finite(value: Any) -> Any:
    """JSON has no NaN: undefined numbers become null, containers are walked."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def as_json(value: Any, indent: int | None = 2) -> str:
    """One JSON document; what JSON has no type for (dates, ...) becomes its text.

    Characters that steer a terminal are escaped, which JSON reads back as they were.
    """
    text = json.dumps(finite(value), ensure_ascii=False, indent=indent, default=str)
    return CONTROL.sub(lambda found: json.dumps(found.group())[1:-1], text)


def number(value: float) -> str:
    """Four significant digits, no exponent where a person would not write one."""
    if not math.isfinite(value):
        return ""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.4g}" if 1e-4 <= abs(value) < 1e4 else f"{value:,.1f}" if abs(value) >= 1e4 else f"{value:.2e}"


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    heading: tuple[str, ...]
    cells: tuple[str, ...]
    numeric: bool
    width: int

    def with_short_heading(self) -> _Column:
        """The heading over several lines, each as wide as the cells or the longest word."""
        (heading,) = self.heading
        pieces = re.findall(r"[^_ ]+[_ ]*|[_ ]+", heading)
        room = max(width(text.rstrip()) for text in (*self.cells, *pieces, ""))
        return replace(self, heading=_lines(pieces, room), width=room)

    def narrowest(self) -> int:
        """The width to which the cells of a text can be broken."""
        words = [word for cell in self.cells for word in cell.split()]
        return max(map(width, (*self.heading, *words)))


def table(
    rows: Sequence[Row],
    columns: Sequence[str] | None = None,
    headings: Mapping[str, str] | None = None,
) -> str:
    """An aligned text table: numbers right, text left, empty cells for NULL.

    One that is too wide has long headings and texts broken over several lines; if that is not enough, it is printed in
    parts, one below the other, each with the first column.

    columns: which, in what order. headings: of columns that are not headed by their name.
    """
    room = screen()
    names = list(columns) if columns is not None else list(rows[0]) if rows else []
    made = [_column(name, (headings or {}).get(name, name), [row.get(name) for row in rows]) for name in names]
    if _total(made) > room:
        made = [column.with_short_heading() for column in made]
    made = _narrowed(made, room)
    return "\n\n".join(_drawn(part) for part in _parts(made, room))


def fits(rows: Sequence[Row], columns: Sequence[str], headings: Mapping[str, str] | None = None) -> bool:
    """Whether a table of these columns fits the screen in one part."""
    made = [_column(name, (headings or {}).get(name, name), [row.get(name) for row in rows]) for name in columns]
    return _total([column.with_short_heading() for column in made]) <= screen()


def _column(name: str, heading: str, values: Sequence[Any]) -> _Column:
    head, cells = inline(heading), tuple(_cell(value) for value in values)
    return _Column(name, (head,), cells, all(map(_is_number, values)), max(map(width, (head, *cells))))


def _total(made: Sequence[_Column]) -> int:
    return sum(column.width for column in made) + len(_GAP) * max(len(made) - 1, 0)


def _narrowed(made: Sequence[_Column], room: int) -> list[_Column]:
    """The widest texts narrowed until all fit; the first column, by which rows are found, stays."""
    widths = [column.width for column in made]
    least = {i: column.narrowest() for i, column in enumerate(made) if i and not column.numeric}
    for _ in range(_total(made) - room):
        texts = [i for i in least if widths[i] > least[i]]
        if not texts:
            return list(made)
        widths[max(texts, key=widths.__getitem__)] -= 1
    return [replace(column, width=width) for column, width in zip(made, widths, strict=True)]


def _parts(made: Sequence[_Column], room: int) -> list[list[_Column]]:
    """The columns in parts that fit, each of which begins with the first column."""
    parts = [list(made[:1])]
    for column in made[1:]:
        if len(parts[-1]) > 1 and _total([*parts[-1], column]) > room:
            parts.append(list(made[:1]))
        parts[-1].append(column)
    return parts


def _drawn(made: Sequence[_Column]) -> str:
    heights = max((len(column.heading) for column in made), default=1)
    # Headings stand on the rule.
    heads = [("",) * (heights - len(column.heading)) + column.heading for column in made]
    lines = [_line([head[i] for head in heads], made) for i in range(heights)]
    lines.append(_GAP.join("-" * column.width for column in made))
    for cells in zip(*(column.cells for column in made), strict=True):
        broken = [
            [text] if width(text) <= column.width else list(_lines(re.findall(r"\S+\s*", text), column.width))
            for text, column in zip(cells, made, strict=True)
        ]
        height = max(map(len, broken))
        lines += [_line([part[i] if i < len(part) else "" for part in broken], made) for i in range(height)]
    return "\n".join(lines)


def _lines(pieces: Sequence[str], room: int) -> tuple[str, ...]:
    lines = [""]
    for piece in pieces:
        if lines[-1] and width((lines[-1] + piece).rstrip()) > room:
            lines.append("")
        lines[-1] += piece
    return tuple(line.rstrip() for line in lines)


def _line(values: Sequence[str], made: Sequence[_Column]) -> str:
    padded = (
        " " * (column.width - width(text)) + text if column.numeric else text + " " * (column.width - width(text))
        for text, column in zip(values, made, strict=True)
    )
    return _GAP.join(padded).rstrip()


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping | list):
        value = as_json(value, indent=None)
    return shortened(inline(str(value)), _CELL_WIDTH)
