"""CSV and TSV as rows: which separator and quotes a file uses, its header, and its cells.

A table program quotes cells, a corpus often does not, and the two look alike until a lone quote swallows lines. So the
dialect is decided on the whole file and checked against its lines; `--delimiter` and `--quote` overrule it. Refuses,
naming the line: broken quotes, rows that do not match the header, repeated headers, and files without one.
"""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from traitcast.profiler.reading.formats.header import refuse_headless
from traitcast.profiler.reading.formats.text_lines import (
    MAX_LINE_BYTES,
    checked_columns,
    read_blocks,
    read_lines,
    through,
    without_lines,
)
from traitcast.profiler.reading.source import Row
from traitcast.profiler.roles.values import listed, shorten
from traitcast.warehouse.console import count
from traitcast.warehouse.errors import InputError

QUOTE = '"'
# Names of separators that a shell makes hard to type.
DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
# The rarest in texts first: where two of them split every line alike, the other one is in the texts.
_MARKS = ("\x01", "\t", "|", ";", ",")
# Records that are looked at for the separator, and for a header that is missing.
_SAMPLE = 1000
# Titles and comments above a header.
_FEW_LINES = 20
_LOOKED_AT = 1_000_000
# Backslashes that stand before no quote: one alone, before what no writer escapes, is a character.
_BARE = re.compile(r'\\+(?=[^\\"])')
_ALONE = re.compile(r'(?<!\\)(?:\\\\)*\\(?=[^\\"\r\n,;|\t])')


@dataclass(frozen=True, slots=True)
class Dialect:
    """How cells are written.

    Parameters
    ----------
    quote
        None where quotes are plain characters.
    escape
        What a quote inside of a cell follows; None where it is doubled.
    bare
        Whether it is a character anywhere else, as Spark writes it, and not one that is escaped itself.
    spaced
        Whether a space follows every separator, which is no part of the cell.
    notes, warnings
        What a user has to know about it.
    """

    delimiter: str
    quote: str | None = QUOTE
    escape: str | None = None
    bare: bool = False
    spaced: bool = False
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def records(self, path: Path, *, strict: bool = True) -> Iterator[tuple[int, list[str]]]:
        """(line of its first cell, cells) of every record, the header among them; blank lines are skipped."""
        csv.field_size_limit(MAX_LINE_BYTES)
        lines = (line for _, line in read_lines(path))
        reader = csv.reader(
            (_BARE.sub(r"\g<0>\g<0>", line) for line in lines) if self.bare else lines,
            delimiter=self.delimiter,
            quotechar=self.quote or QUOTE,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            doublequote=self.escape is None,
            escapechar=self.escape,
            skipinitialspace=self.spaced,
            strict=strict,
        )
        start = 1
        try:
            for cells in reader:
                # Excel writes the separator above the header.
                if cells and not (start == 1 and cells[0].lower() == "sep="):
                    yield start, cells
                start = reader.line_num + 1
        except csv.Error as error:
            raise _BrokenError(start, str(error)) from error


class _BrokenError(Exception):
    """What the csv module objects to, and the line where the record begins."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line, self.reason = line, reason


def chosen_delimiter(stated: str | None) -> str | None:
    """The separator that `--delimiter` states. Raises InputError for more than one character."""
    if stated is None:
        return None
    mark = DELIMITERS.get(stated.lower(), stated)
    if len(mark) != 1 or mark in "\r\n" + QUOTE:
        raise InputError(f"--delimiter {stated!r} is not one character; for example ';', or {', '.join(DELIMITERS)}")
    return mark


def chosen_quote(stated: str | None) -> str | None:
    """The quote that `--quote` states, "" where quotes are plain characters. Raises InputError for anything else."""
    if stated is None or stated in (QUOTE, "'", ""):
        return stated
    if stated.lower() == "none":
        return ""
    raise InputError(f"--quote {stated!r} is not one of: none (quotes are plain characters), '\"', \"'\"")


def dialect_of(path: Path, kind: str, delimiter: str | None = None, quote: str | None = None) -> Dialect:
    """How the cells of a file are separated and quoted, decided on the whole file.

    Parameters
    ----------
    path
        A file, compressed or not.
    kind
        "csv" or "tsv".
    delimiter, quote
        What the user states, above all evidence; "" as a quote means that quotes are plain characters.

    Returns
    -------
    Dialect
        With what the user has to know about it.

    Raises
    ------
    InputError
        For a file that has no header.
    """
    about = path.stat()
    return _dialect_of(path, about.st_size, about.st_mtime_ns, kind, delimiter, quote)


def pandas_options(path: Path, delimiter: str | None = None, quote: str | None = None) -> dict[str, Any]:
    """What `pandas.read_csv` has to be told of a CSV file to read its cells as they are read here; {} where nothing.

    Raises InputError as `dialect_of` does.
    """
    found = dialect_of(path, "csv", chosen_delimiter(delimiter), chosen_quote(quote))
    if found.bare:
        raise InputError(f"{path}: backslashes are escapes before a quote alone, which pandas.read_csv cannot be told")
    first = next((line for _, line in read_lines(path)), "")
    told = {
        "delimiter": (found.delimiter, ","),
        "quotechar": (found.quote or QUOTE, QUOTE),
        "quoting": (csv.QUOTE_MINIMAL if found.quote else csv.QUOTE_NONE, csv.QUOTE_MINIMAL),
        "doublequote": (found.escape is None, True),
        "escapechar": (found.escape, None),
        "skipinitialspace": (found.spaced, False),
        "skiprows": (1 if first.lower().startswith("sep=") else None, None),
    }
    return {option: value for option, (value, default) in told.items() if value != default}


@lru_cache(maxsize=256)
def _dialect_of(path: Path, _: int, __: int, kind: str, delimiter: str | None, quote: str | None) -> Dialect:
    next(read_lines(path), None)  # Refuses a line without an end before gigabytes are searched.
    mark = delimiter or ("\t" if kind == "tsv" else _separator(path))
    plain = Dialect(mark, spaced=_is_spaced(path, mark))
    if quote is not None:
        found = replace(plain, quote=quote or None)
    else:
        found = _quoting(path, plain) if _holds(path, QUOTE) else plain
    _refuse_headless(path, found)
    separated = (f"{path.name}: columns are separated by {mark!r}",) if kind == "csv" and mark != "," else ()
    return replace(found, notes=(*separated, *found.notes))


def _holds(path: Path, text: str) -> bool:
    end, wanted = b"", text.encode()
    for block in read_blocks(path):
        if wanted in end + block:
            return True
        end = block[-1:]
    return False


def _is_spaced(path: Path, mark: str) -> bool:
    """Whether a space follows every separator of the first records."""
    if mark.isspace():
        return False
    try:
        records = [cells for _, cells in islice(Dialect(mark, None).records(path, strict=False), _SAMPLE)]
    except _BrokenError:
        return False
    behind = [cell for cells in records for cell in cells[1:]]
    return len(behind) >= max(2, len(records)) and all(cell[:1] == " " for cell in behind)


def _separator(path: Path) -> str:
    """The mark that splits the header and most records as it does; the comma where none does."""
    first = next((line for _, line in read_lines(path) if not line.isspace()), "")
    if first.lower().startswith("sep=") and len(first.strip()) == 5:
        return first.strip()[-1]
    best, most = ",", 0.0
    for mark in _MARKS:
        try:
            widths = [len(cells) for _, cells in islice(Dialect(mark).records(path, strict=False), _SAMPLE)]
        except _BrokenError:
            continue
        fit = sum(width == widths[0] for width in widths) / len(widths) if widths and widths[0] > 1 else 0.0
        if fit > most:
            best, most = mark, fit
    return best


@dataclass
class _Survey:
    """What one way of reading quotes makes of a whole file.

    ragged: records that do not match the header. broken: what the csv module objects to. spans: (first line, line
    after the last) of records of several lines. whole, partly: cells that are quoted as a whole, and that have a quote
    elsewhere. headed: whether all cells of the header are quoted as a whole.
    """

    width: int = 0
    records: int = 0
    ragged: int = 0
    broken: str | None = None
    spans: list[tuple[int, int]] = field(default_factory=list)
    whole: int = 0
    partly: int = 0
    headed: bool = False

    @classmethod
    def of(cls, path: Path, dialect: Dialect) -> _Survey:
        found = cls()
        before = 0
        try:
            for line, cells in dialect.records(path):
                found._end(before, line)
                before = line
                found.width = found.width or len(cells)
                found.records += 1
                found.ragged += len(cells) != found.width
                if dialect.quote is None:
                    quoted = [cell for cell in cells if QUOTE in cell]
                    whole = sum(len(cell) > 1 and cell[0] == cell[-1] == QUOTE for cell in quoted)
                    found.headed |= found.records == 1 and whole == len(cells)
                    found.whole, found.partly = found.whole + whole, found.partly + len(quoted) - whole
        except _BrokenError as error:
            found.broken = error.reason
            found._end(before, error.line)
            before = error.line
        found._end(before, sum(1 for _ in read_lines(path)) + 1)
        return found

    def _end(self, first: int, after: int) -> None:
        # A blank line ends no record; it is counted to the one before it, which costs nothing but a look.
        if first and after - first > 1:
            self.spans.append((first, after))

    @property
    def clean(self) -> bool:
        return self.broken is None and not self.ragged


def _quoting(path: Path, dialect: Dialect) -> Dialect:
    """What a file that holds quotes means by them."""
    mark = dialect.delimiter
    quoted = _Survey.of(path, dialect)
    if quoted.clean and not quoted.spans:
        return dialect
    bare = replace(dialect, quote=None)
    plain = _Survey.of(path, bare)
    odd = plain.partly > plain.whole and not (plain.headed and quoted.clean)
    if plain.clean and plain.width > 1 and odd and _are_rows(path, mark, plain, quoted):
        what = f"{path.name}: quotes are read as plain characters"
        return replace(bare, notes=(f"{what}, since every line is a row that way (--quote '\"' overrules it)",))
    if not quoted.clean:
        escaped = replace(dialect, escape="\\", bare=any(_ALONE.search(line) for _, line in read_lines(path)))
        if _holds(path, "\\" + QUOTE) and _Survey.of(path, escaped).clean:
            return replace(escaped, notes=(f"{path.name}: a quote inside a cell is written \\{QUOTE}",))
        return dialect
    return replace(dialect, warnings=tuple(_swallowed(path, mark, quoted)))


def _are_rows(path: Path, mark: str, plain: _Survey, quoted: _Survey) -> bool:
    """Whether the lines inside of cells of several lines are rows by themselves, as every line of the file could be."""
    if not quoted.clean:
        return True
    like = _like_rows(path, mark, plain.width, quoted)
    return all(line in like for first, after in quoted.spans for line in range(first, after))


def _like_rows(path: Path, mark: str, width: int, quoted: _Survey) -> set[int]:
    """The lines inside of cells of several lines that look like rows: texts have no tabs, and no two commas in every
    line; one comma they may have, so there a value has to come up again."""
    inside = {line for first, after in quoted.spans for line in range(first, after)}
    seen: list[set[str]] = [set() for _ in range(width)]
    split: dict[int, list[str]] = {}
    # Not by the csv module, which stops at a carriage return inside of a cell.
    for line, text in read_lines(path):
        cells = text.rstrip("\r\n").split(mark)
        if len(cells) != width:
            continue
        if line in inside:
            split[line] = cells
        else:
            for known, cell in zip(seen, cells, strict=True):
                known.add(cell)
    if mark == "\t" or width > 2:
        return set(split)
    return {n for n, cells in split.items() if any(cell in known for known, cell in zip(seen, cells, strict=True))}


def _swallowed(path: Path, mark: str, quoted: _Survey) -> Iterator[str]:
    """A warning where a cell of several lines holds lines that look like rows."""
    like = _like_rows(path, mark, quoted.width, quoted)
    rows = {span: sum(line in like for line in range(*span)) for span in quoted.spans}
    bad = {span: number for span, number in rows.items() if number >= max(2, (span[1] - span[0]) / 2)}
    if bad:
        first, after = max(bad, key=lambda span: bad[span])
        yield (
            f"{path.name}: the cell that begins in line {first:,} spans {after - first:,} lines, most of which look "
            f"like rows ({count(len(bad), 'such cell')} in all). If its quote is a plain character, pass --quote none, "
            f"or write it as {QUOTE * 2} inside of {QUOTE}...{QUOTE}"
        )


def separated_rows(path: Path, kind: str, dialect: Dialect) -> Iterator[tuple[int, Row]]:
    """(line, row) of a file with a header line; every row must have as many cells as the header."""
    header: list[str] | None = None
    names: list[str] = []
    records = dialect.records(path)
    try:
        for line, cells in records:
            if header is None:
                header, names = cells, _names(cells, path, kind)
            elif len(cells) != len(header):
                raise InputError(_ragged(path, line, cells, names, dialect, records))
            elif cells == header and len(cells) > 1:
                again = through(path, "awk 'NR==1 {h=$0} NR==1 || $0!=h'")
                raise InputError(
                    f"{path}: line {line} is the header again, as where files were joined. Remove it: {again}"
                )
            else:
                yield line, dict(zip(names, cells, strict=True))
    except _BrokenError as error:
        raise InputError(f"{path}: line {error.line}: broken {kind.upper()}: {_cure(error, path)}") from error


def _without(path: Path, number: int, cells: list[str], width: int, rest: Iterator[tuple[int, list[str]]]) -> str:
    """How to go on without a row that does not fit and those like it in the rest; "" if many, or of several lines."""
    bad, fitting = {number: cells}, number - 2
    try:
        for line, found in rest:
            if len(found) == width:
                fitting += 1
            else:
                bad[line] = found
            if len(bad) > _FEW_LINES or fitting > _LOOKED_AT:
                return ""
    except _BrokenError:
        return ""
    if len(bad) > fitting or any("\n" in cell for found in bad.values() for cell in found):
        return ""
    return f". {without_lines(path, [*bad])}"


def _ragged(
    path: Path,
    number: int,
    cells: list[str],
    header: list[str],
    dialect: Dialect,
    rest: Iterator[tuple[int, list[str]]],
) -> str:
    separator = dialect.delimiter
    if len(cells) == len(header) - 1 and header[-1] == _unnamed(len(header)):
        hint = f"The last column has no name: remove the {separator!r} at the end of the header"
    elif len(cells) == len(header) + 1 and not cells[-1]:
        hint = f"Rows end in {separator!r}, but the header does not: add it there, or remove it from the rows"
    elif len(header) == 1 and number < _FEW_LINES and _is_above(path, number):
        above = "line 1" if number == 2 else f"lines 1 to {number - 1}"
        hint = f"To remove what is above the header ({above}): {through(path, f'tail -n +{number}')}"
    else:
        few = f"Write empty cells too, with their {separator!r}"
        hint = few if len(cells) < len(header) else f"A cell that contains {separator!r} must be quoted"
        hint += _without(path, number, cells, len(header), rest)
    return (
        f"{path}: line {number} has {len(cells)} cells, but the header has {len(header)} ({listed(header, 12)}). {hint}"
        ". If the separator or the quotes were misread, pass --delimiter or --quote"
    )


def _is_above(path: Path, number: int) -> bool:
    """Whether the lines before one are comments, or a title alone."""
    before = [line.strip() for _, line in islice(read_lines(path), number - 1)]
    comments = all(line.startswith("#") or not line for line in before)
    return comments or (len(before) == 1 and not any(mark in before[0] for mark in _MARKS))


def _cure(error: _BrokenError, path: Path) -> str:
    """What is wrong and what to do, in words that do not come from the csv module where those mislead."""
    if "new-line character" in error.reason:
        turned = through(path, r"tr '\r' '\n' <")
        return f"a carriage return without a line feed. If lines end so, convert them: {turned}"
    reason = "a quote is never closed" if "unexpected end" in error.reason else error.reason
    quotes = "if quotes are plain characters, pass --quote none"
    return f'{reason}. A cell with a quote in it is written "like ""this"""; {quotes}'


def _unnamed(number: int) -> str:
    return f"column_{number}"


def _names(cells: list[str], path: Path, kind: str) -> list[str]:
    if cells[0].lstrip().startswith(("{", "[{")):
        raise InputError(f"{path}: line 1 is JSON, not a header; name the file .jsonl or .json")
    if kind == "tsv" and len(cells) == 1 and ("," in cells[0] or ";" in cells[0]):
        raise InputError(
            f"{path}: no tab in the header {shorten(cells[0])}; a file with other separators is named .csv"
        )
    names = [cell.strip() or _unnamed(number) for number, cell in enumerate(cells, 1)]
    return checked_columns(names, f"{path}: the header")


def _refuse_headless(path: Path, dialect: Dialect) -> None:
    """Raise InputError where the first line is a row like those below it."""
    with contextlib.suppress(_BrokenError):
        refuse_headless(path, dialect.delimiter, [cells for _, cells in islice(dialect.records(path), _SAMPLE)])
