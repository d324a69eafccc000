"""Whether the first line of a CSV or TSV is a header: refused with what to do where it is a row, a comment or a rule.

Owns the signs of a row: values that come up again below it, and texts as long as those below it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from traitcast.profiler.reading.formats.text_lines import compression, is_marked, through
from traitcast.profiler.roles.column_names import KNOWN, is_id, plain_name
from traitcast.profiler.roles.values import shorten
from traitcast.warehouse.errors import InputError

# Fewer rows may repeat the first one by chance.
_LEAST_ROWS = 5
# Texts are at least this long; a first line that is this much shorter than the texts below it may be a header.
_TEXT_CHARACTERS, _HEADER_LENGTH = 15, 0.4
_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]+")
# What stands under the header of a Markdown table.
_RULE = re.compile(r" *:?-+:? *")
# What names of columns hardly have: blanks and digits together, and letters that are written without blanks.
_VALUE = re.compile(r"(?=.*\d)(?=.*[ _-])|[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]{5}")


def refuse_headless(path: Path, delimiter: str, records: Sequence[Sequence[str]]) -> None:
    """Raise InputError where the first of some records is no header.

    records: the first ones of a file, as its dialect reads them.
    """
    if len(records) > 1 and _is_comment(records):
        raise InputError(
            f"{path}: line 1 is a comment: {shorten(records[0][0])}. Remove it: {through(path, 'tail -n +2')}"
        )
    if len(records) <= _LEAST_ROWS or any(len(cells) != len(records[0]) for cells in records):
        return
    first, columns = records[0], list(zip(*records[1:], strict=True))
    if delimiter == "|" and len(first) > 2 and all(_RULE.fullmatch(cell) for cell in records[1] if cell):
        plain = r"sed '2d; s/^ *| *//; s/ *| *$//; s/ *| */|/g'"
        raise InputError(
            f"{path}: this is a Markdown table. Write it without its rules: {plain} {shlex.quote(path.name)} > new.csv"
        )
    again = [position for position, column in enumerate(columns) if _comes_again(first[position], column, first)]
    texts = [position for position, column in enumerate(columns) if _length(column) >= _TEXT_CHARACTERS]
    values = [position for position, column in enumerate(columns) if _is_value(first[position], column)]
    # A header has no name for the numbers of rows in front; other empty cells are those of a row.
    empty = [position for position, cell in enumerate(first) if position and not cell.strip()]
    named = any(
        position not in (*again, *empty, *values) and (not cell.strip() or plain_name(cell) in KNOWN or is_id(cell))
        for position, cell in enumerate(first)
    )
    like_text = all(
        position in values
        or (" " in first[position] and len(first[position]) >= _HEADER_LENGTH * _length(columns[position]))
        for position in texts
    )
    if named or not again or not like_text or len({*again, *texts, *empty, *values}) < len(first):
        return
    texts = sorted({*texts, *(position for position in values if position not in again)})
    header = delimiter.join(_header_word(at, texts, again) for at in range(len(first)))
    mark = r"sed '1s/^\xef\xbb\xbf//'" if is_marked(path) else "cat"
    add = f"(printf '%s\\n' {shlex.quote(header)}; {mark} {shlex.quote(str(path))}) > with_header{path.suffix}"
    raise InputError(
        f"{path}: line 1 looks like data, not like a header: {shorten(first[again[0]])} comes up again below it. "
        + (f"Add a line with the names of the columns, for example: {add}" if compression(path) is None else "Add one")
    )


def _is_comment(records: Sequence[Sequence[str]]) -> bool:
    """Whether the first line is a sentence behind "#", and the second one a header."""
    first, second = records[0], records[1]
    if not re.match(r"#+ *\w\S* \S", first[0]) or any(plain_name(cell) in KNOWN for cell in first):
        return False
    below = [set(column) for column in zip(*(r for r in records[2:] if len(r) == len(second)), strict=True)]
    again = any(cell in column for cell, column in zip(second, below, strict=False))
    return not again and any(plain_name(cell) in KNOWN for cell in second)


def _is_value(cell: str, column: Sequence[str]) -> bool:
    """Whether the first cell of a column is made as most of those below it, and not as names are."""
    return _VALUE.search(cell) is not None and 2 * sum(map(bool, map(_VALUE.search, column))) > len(column)


def _header_word(position: int, texts: Sequence[int], again: Sequence[int]) -> str:
    """A name for a column without one, for an example of a header."""
    word, among = ("text", texts) if position in texts else ("label", again)
    first = next(iter(at for at in among if at not in texts or word == "text"))
    return word if position == first else f"{word}_{position + 1}"


def _length(column: Sequence[str]) -> float:
    return median(map(len, column))


def _comes_again(cell: str, column: Sequence[str], header: Sequence[str]) -> bool:
    """Whether the first cell of a column is a value that the rows have too."""
    # Names that pandas gives.
    if list(header) == [str(number) for number in range(len(header))]:
        return False
    return bool(cell.strip()) and (
        column.count(cell) > 1 or (_NUMBER.fullmatch(cell) is not None and all(map(_NUMBER.fullmatch, column)))
    )
