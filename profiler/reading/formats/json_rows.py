"""JSON as rows: JSON Lines, and single documents (an array of objects, an object of columns, {"data": [...]}).

Arrays stream object by object. Refuses, naming line and column: broken JSON, rows that are not objects, repeated
keys, and documents that are not tables.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from traitcast.profiler.reading.formats import text_lines
from traitcast.profiler.reading.formats.json_scanner import DECODER, Scanner, reason_of
from traitcast.profiler.reading.formats.text_lines import cut_off, read_lines, through
from traitcast.profiler.reading.source import SPLIT_WORDS, Row
from traitcast.profiler.roles import chat
from traitcast.profiler.roles.column_names import KNOWN, OPTIONS, plain_name
from traitcast.profiler.roles.columns import kind_of
from traitcast.profiler.roles.values import is_position, jq_path, listed
from traitcast.warehouse.errors import InputError

# Documents that hold their rows under one key: pandas orient="table", the hub's viewer, many exports.
_ROW_KEYS = ("data", "rows", "examples", "instances")

# An object of columns cannot be streamed; beyond this it would not fit next to its rows in 2 GB.
_MAX_DOCUMENT_BYTES = 256 << 20

# Lists of objects that one row holds. Rows of a text and a label are keyed options to `kind_of`, so those do not count.
_CELLS = ("chat", "spans")

# Fewer objects with the same keys may be the nested columns of one row.
_FEWEST_KEYED, _MOST_COLUMNS = 3, 20

# Several objects in a line, and one as Python prints it.
_OBJECTS = re.compile(r"\}\s*\{\s*\"")
_PYTHON = re.compile(r"\s*\{\s*'")
_FROM_PYTHON = (
    "python -c 'import ast, json, sys; [print(json.dumps(ast.literal_eval(row))) for row in sys.stdin if row.strip()]'"
)


def json_lines(path: Path) -> Iterator[tuple[int, Row]]:
    """(line number, row) of a JSON Lines file; blank lines are skipped."""
    if _is_one_document(path):
        yield from _table_rows(path)
        return
    for number, line in read_lines(path):
        if line.isspace():
            continue
        try:
            row = DECODER.decode(line)
        except json.JSONDecodeError as error:
            column = min(error.pos, len(line.rstrip())) + 1
            reason, hint = reason_of(error), _line_hint(line, number, path)
            raise InputError(f"{path}: line {number}, column {column}: broken JSON: {reason}. {hint}") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: line {number}: {reason_of(error)}") from error
        if not isinstance(row, dict):
            raise InputError(
                f"{path}: line {number} is {_kind(row)}, not an object such as "
                '{"text": "...", "label": "..."}. A file that is one JSON document is named .json'
            )
        yield number, row


def _is_one_document(path: Path) -> bool:
    """Whether the only line of JSON Lines is no row, but holds rows one level down."""
    lines = (line for _, line in read_lines(path) if not line.isspace())
    try:
        row = DECODER.decode(next(lines, ""))
    except (InputError, ValueError, RecursionError):
        return False
    if not isinstance(row, dict) or next(lines, None) is not None or _is_json_lines(path):
        return False
    # Beside a text, a list of objects is a cell of the one row.
    under = any(_are_rows(row.get(key)) for key in _ROW_KEYS)
    alone = not any(isinstance(value, str) for value in row.values())
    return under or _are_keyed_values(row) or (alone and (_are_keyed(row) or any(map(_are_rows, row.values()))))


def _line_hint(line: str, number: int, path: Path) -> str:
    """What to do about a line that is not JSON."""
    if "\r" in line.rstrip():
        turned = through(path, r"tr '\r' '\n' <")
        return f"Lines end in a carriage return alone; convert them: {turned}"
    if _OBJECTS.search(line):
        return f"Each line must be one JSON object. Write each on a line: {_jq('.', path)}"
    if _PYTHON.match(line):
        return (
            f"It is written as Python prints it. Write it as JSON: {through(path, f'{_FROM_PYTHON} <', '_rows.jsonl')}"
        )
    if number == 1 and line.lstrip().startswith("[") and (line.endswith("\n") or line.rstrip().endswith("]")):
        return f"Each line must be one JSON object. Write it so: {_jq('.[]', path)}"
    if not line.endswith("\n") and (number > 1 or not line.endswith("},")):
        return cut_off(path, alone=number == 1)
    if line.rstrip().endswith("},"):
        removed = through(path, "sed 's/,[[:space:]]*$//'", "_rows.jsonl")
        return f"Lines end in a comma; remove it: {removed}"
    if number == 1 and line.lstrip().startswith("{"):
        return f"Each line must be one JSON object. Write it so: {_jq('.', path)}"
    see = f"Each line must be one JSON object; see it: {through(path, f'sed -n {number}p', '')}"
    without = text_lines.without_lines(path, [number], f"_without_{number}.jsonl")
    return f"{see}. {without}" if number > 1 else see


def document_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """(row number, row) of a .json file: an array, an object, or JSON Lines under the wrong suffix."""
    scanner = Scanner(path)
    start = scanner.peek()
    if start == "[":
        return _array_rows(scanner)
    if start == "":
        return iter(())
    if start == "{" and _is_json_lines(path):
        return json_lines(path)
    return _table_rows(path)


def _array_rows(scanner: Scanner) -> Iterator[tuple[int, Row]]:
    scanner.skip(1)
    number = 0
    while (mark := scanner.peek()) != "]":
        number += 1
        row = scanner.value(f"row {number}")
        if not isinstance(row, dict):
            raise InputError(
                f"{scanner.path}: row {number} of the array is {_kind(row)}, not an object{_named(row, scanner.path)}"
            )
        yield number, row
        mark = scanner.peek()
        if mark == ",":
            scanner.skip(1)
        elif mark != "]":
            end = "the file ends" if mark == "" else f"{mark!r} is there"
            raise scanner.error(f"broken JSON: {end} after row {number}, where ',' or ']' was expected")
    scanner.skip(1)
    if scanner.peek():
        raise scanner.error(_after(scanner, "array", ".[]"))


def _named(row: Any, path: Path) -> str:
    """How a row that is a list becomes an object."""
    if not isinstance(row, list) or not row:
        return ""
    if chat.is_chat(row):
        return f". For a conversation a row: {_jq('.[] | {messages: .}', path)}"
    names = ", ".join(
        f"{name}: .[{at}]" for at, name in zip(range(len(row)), ("text", "label", "third", "fourth"), strict=False)
    )
    return f". Name its parts, for example: {_jq(f'.[] | {{{names}}}', path)}"


def _after(scanner: Scanner, what: str, take: str) -> str:
    """What is wrong where a document does not end the file. take: what jq has to take out of each."""
    if scanner.peek() in ("{", "["):
        return f"several JSON documents one after the other. Write each on a line: {_jq(take, scanner.path)}"
    if scanner.peek() == ",":
        rows = through(scanner.path, "cat", "")
        return f"rows with commas between them, but no brackets around. Add them: (echo [; {rows}; echo ]) > new.json"
    return f"broken JSON: text after the end of the {what}: {scanner.peek()!r}"


def _jq(take: str, path: Path) -> str:
    """The command that writes a file as JSON Lines."""
    return through(path, f"jq -c {shlex.quote(take)}", "_rows.jsonl")


def _table_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Rows of one JSON document that is not an array."""
    scanner = Scanner(path)
    scanner.peek()
    document = scanner.value("the document", limit=_MAX_DOCUMENT_BYTES)
    if scanner.peek():
        raise scanner.error(_after(scanner, "document", "."))
    if not isinstance(document, dict):
        raise InputError(f"{path}: the document is {_kind(document)}; expected a list of rows or an object of columns")
    for key in _ROW_KEYS:
        rows = document.get(key)
        if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
            _refuse_squad(rows, key, path)
            _refuse_others(document, key, path)
            return iter(enumerate((_unwrapped(row, path) for row in rows), 1))
    if _is_conversation(document):
        return iter([(1, document)])
    if (split := _split_rows(document)) is not None:
        return split
    _refuse_tables(document, path)
    _refuse_keyed(document, path)
    if _are_columns(document):
        return _paired(document)
    columns = {name: _column(values) for name, values in document.items()}
    lengths = {name: len(values) for name, values in columns.items() if values is not None}
    if len(lengths) == len(columns) and len(set(lengths.values())) == 1:
        names = list(columns)
        zipped = zip(*(values for values in columns.values() if values is not None), strict=True)
        return enumerate((dict(zip(names, values, strict=True)) for values in zipped), 1)
    keys = f"the keys {listed(document, 12)}" if document else "no keys"
    uneven = f" Lists of different lengths: {lengths}." if len(set(lengths.values())) > 1 else ""
    raise InputError(
        f"{path}: one JSON object with {keys} is not a table.{uneven} Expected a list of objects (pandas: "
        'orient="records"), an object of equally long columns, or '
        f"the rows under one of: {', '.join(_ROW_KEYS)}"
    )


def _split_rows(document: Row) -> Iterator[tuple[int, Row]] | None:
    """Rows of pandas' orient="split": the names of the columns once, and a list for each row."""
    names, rows = document.get("columns"), document.get("data")
    if not isinstance(names, list) or not isinstance(rows, list) or set(document) - {"columns", "data", "index"}:
        return None
    if not all(isinstance(name, str) for name in names) or any(not isinstance(row, list) for row in rows):
        return None
    if any(len(row) != len(names) for row in rows):
        return None
    return enumerate((dict(zip(names, row, strict=True)) for row in rows), 1)


def _paired(columns: dict[str, dict[str, Any]]) -> Iterator[tuple[int, Row]]:
    """Rows of columns such as {"0": ..., "1": ...}, by their keys; a key that a column lacks is null there."""
    keys = list(dict.fromkeys(key for values in columns.values() for key in values))
    if all(map(is_position, keys)):
        keys.sort(key=int)
    return enumerate(({name: values.get(key) for name, values in columns.items()} for key in keys), 1)


def _are_columns(document: Row) -> bool:
    """Whether all values are columns such as {"0": ..., "1": ...}, or of an index of words."""
    columns = list(document.values())
    if not columns or not all(isinstance(values, dict) and values for values in columns):
        return False
    if all(map(_are_positions, columns)):
        return True
    # The nested columns of one row have the names of columns inside, and a table has them outside.
    alike = len({frozenset(values) for values in columns}) == 1 and len(columns[0]) > 1
    plain = all(not isinstance(value, dict | list) for values in columns for value in values.values())
    named = any(plain_name(name) in KNOWN for name in document)
    return alike and plain and named and not any(plain_name(key) in KNOWN for key in columns[0])


def _are_positions(values: dict[str, Any]) -> bool:
    return bool(values) and all(is_position(key) for key in values)


def _refuse_squad(rows: list[Row], key: str, path: Path) -> None:
    """Raise InputError for the layout of SQuAD, where questions are two levels down."""
    paragraphs = rows[0].get("paragraphs")
    if isinstance(paragraphs, list) and paragraphs and isinstance(paragraphs[0], dict) and "qas" in paragraphs[0]:
        take = f".{key}[].paragraphs[] | .context as $c | .qas[] | {{question, context: $c, answers}}"
        raise InputError(f"{path}: the questions are nested as in SQuAD. Take them out: {_jq(take, path)}")


def _refuse_others(document: Row, key: str, path: Path) -> None:
    """Raise InputError where rows are under other keys too, which would be left out."""
    others = [name for name, rows in document.items() if name != key and _are_rows(rows)]
    if others:
        take = f"{jq_path([key])}[]"
        raise InputError(
            f"{path}: rows are under {listed([key, *others], 12)}. Take out those of one: {_jq(take, path)}"
        )


def _are_lists(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(row, list) and len(row) > 1 for row in value)


def _are_rows(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(row, dict) for row in value)


def _refuse_keyed(document: Row, path: Path) -> None:
    """Raise InputError for rows under keys, such as {"q0": {"text": ...}, "q1": {"text": ...}}."""
    if _are_keyed(document):
        raise InputError(
            f"{path}: the rows are under {len(document):,} keys ({listed(document, 3)}), as pandas writes them with "
            f'orient="index". Take them out: {_jq(".[]", path)}'
        )
    if _are_keyed_values(document):
        first = next(iter(document.values()))
        value = "text: .key, label: .value" if isinstance(first, str) else "id: .key, text: .value[0], label: .value[1]"
        raise InputError(
            f"{path}: {len(document):,} keys ({listed(document, 2)}) that are no names of columns. For a row each: "
            f"{_jq(f'to_entries[] | {{{value}}}', path)}"
        )
    inside = [key for key, value in document.items() if isinstance(value, dict) and _are_keyed(value)]
    if len(inside) == 1:
        take = f"{jq_path(inside[:1])}[]"
        raise InputError(f"{path}: the rows are under the keys of {inside[0]!r}. Take them out: {_jq(take, path)}")


def _are_keyed(document: Row) -> bool:
    """Whether all values are objects with the same few keys, which are columns and not positions."""
    rows = list(document.values())
    if len(rows) < _FEWEST_KEYED or not all(isinstance(row, dict) and row for row in rows):
        return False
    keys = Counter(key for row in rows for key in row)
    usual = sum(count == len(rows) for count in keys.values())
    return 2 * usual >= len(keys) and not _are_positions(keys) and len(keys) < max(len(rows), _MOST_COLUMNS)


def _are_keyed_values(document: Row) -> bool:
    """Whether many keys, none of them the name of a column, lead to a text each, or to short lists of one length."""
    values = list(document.values())
    if len(values) <= _MOST_COLUMNS or any(plain_name(key) in KNOWN for key in document):
        return False
    if all(isinstance(value, str) for value in values):
        return True
    lists = [value for value in values if isinstance(value, list)]
    lengths = {len(value) for value in lists}
    return len(lists) == len(values) and len(lengths) == 1 and 1 < min(lengths) < len(values) / 2


def _unwrapped(row: Row, path: Path) -> Row:
    """The row itself: the API of the hub's viewer wraps it as {"row_idx": 0, "row": {...}, "truncated_cells": []}."""
    inside = row.get("row")
    if "row_idx" not in row or not isinstance(inside, dict):
        return row
    if cut := row.get("truncated_cells"):
        raise InputError(
            f"{path}: the hub's viewer cut {listed(cut, 5)} of row {row['row_idx']}. Read the dataset by its id"
        )
    return inside


def _refuse_tables(document: Row, path: Path) -> None:
    """Raise InputError for an object of tables, such as {"train": [...], "test": [...]}: its splits are not columns."""
    if keys := _deep_table(document):
        take = f"{jq_path(keys)}[]"
        raise InputError(f"{path}: the rows are inside of {'.'.join(keys)}. Take them out: {_jq(take, path)}")
    lists = [name for name, rows in document.items() if _are_lists(rows)]
    if len(lists) == len(document) and any(name in SPLIT_WORDS for name in lists):
        take = f"{jq_path(lists[:1])}[] | {{text: .[0], label: .[1]}}"
        raise InputError(f"{path}: rows are lists under {listed(lists, 12)}. Name their parts: {_jq(take, path)}")
    if tables := _tables(document):
        take = f"{jq_path(tables[:1])}[]"
        raise InputError(
            f"{path}: the rows are one level down, under {listed(tables, 12)}. Take them out, for example: "
            f"{_jq(take, path)}"
        )


def _deep_table(document: Row) -> list[str]:
    """The keys that lead to the only list of objects in a document of nothing but objects; none elsewhere."""
    path: list[str] = []
    inside: Any = document
    while isinstance(inside, dict) and len(filled := {key: value for key, value in inside.items() if value}) == 1:
        ((key, inside),) = filled.items()
        path.append(key)
    return path if len(path) > 1 and _are_rows(inside) else []


def _tables(document: Row) -> list[str]:
    """Keys of an object under which rows are: lists of objects that are not cells of one row, and no other lists."""
    lists = {name: values for name, values in document.items() if isinstance(values, list) and values}
    tables = [name for name, values in lists.items() if all(isinstance(value, dict) for value in values)]
    # Beside columns of plain values, a list of objects is a nested column.
    cells = [name for name in tables if plain_name(name) in OPTIONS or kind_of([lists[name]]) in _CELLS]
    return [] if cells or len(tables) < len(lists) else tables


def _column(values: Any) -> list[Any] | None:
    """A column as a list; pandas writes columns as {"0": ..., "1": ...}."""
    if isinstance(values, dict) and _are_positions(values):
        return list(values.values())
    return values if isinstance(values, list) else None


def _is_json_lines(path: Path) -> bool:
    """Whether the first line is a whole object that is a row, not a table written on one line."""
    filled = (line for _, line in read_lines(path) if not line.isspace())
    try:
        line = next(filled)
        row = DECODER.decode(line)
    except (InputError, ValueError, RecursionError):
        # A line that is too long for a row may be a table written on one line; what else is wrong is said there.
        return False
    if not isinstance(row, dict) or next(filled, None) is not None:
        return isinstance(row, dict)
    if any(isinstance(row.get(key), list) for key in _ROW_KEYS) or _tables(row) or _are_keyed(row) or _deep_table(row):
        return False
    if _are_keyed_values(row):
        return False
    if any(isinstance(value, dict) and _are_keyed(value) for value in row.values()):
        return False
    return _is_conversation(row) or not (_are_columns(row) or all(_column(v) is not None for v in row.values()))


def _is_conversation(document: Row) -> bool:
    """Whether an object is one row that holds a list of turns, which looks like a table of objects one level down."""
    return any(chat.is_chat(value) for value in document.values())


def _kind(value: Any) -> str:
    kinds = {list: "a list", str: "a text", bool: "a boolean", dict: "an object", type(None): "null"}
    return kinds.get(type(value), "a number")
