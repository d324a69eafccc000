"""What every command shares: options, output as table or JSON, narration and progress on stderr.

stdout carries data only. Nothing here imports a heavy package, so `traitcast --help` stays quick.
"""

from __future__ import annotations

import csv
import errno
import functools
import io
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any, TypeVar

import click

from traitcast.warehouse.errors import TraitcastError
from traitcast.warehouse.layout import (
    Row,
    as_json,
    filled,
    fits,
    inline,
    number,
    printable,
    screen,
    shortened,
    table,
)

Command = TypeVar("Command", bound=Callable[..., Any])
_WAREHOUSE = "traitcast.duckdb"
_WAREHOUSE_VARIABLE = "TRAITCAST_WAREHOUSE"
_QUIET_VARIABLE = "TRAITCAST_QUIET"
_LEFT_OUT = "traitcast.left_out"
STOPPED = 128 + signal.SIGINT
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def warehouse_option(command: Command) -> Command:
    """--warehouse FILE, from TRAITCAST_WAREHOUSE or traitcast.duckdb in the working folder."""
    return click.option(
        "--warehouse",
        "warehouse_path",
        metavar="FILE",
        envvar=_WAREHOUSE_VARIABLE,
        default=_WAREHOUSE,
        show_default=True,
        show_envvar=True,
        type=click.Path(dir_okay=False),
        help="DuckDB file that holds profiles and scores.",
    )(command)


def default_warehouse() -> str:
    """The file that commands and Python functions use unless another one is named."""
    return os.environ.get(_WAREHOUSE_VARIABLE) or _WAREHOUSE


def command(*words: str | Path, warehouse: str | Path | None = None) -> str:
    """`traitcast WORDS` for a message that names the next command, quoted for a shell.

    It ends in `--warehouse FILE` where that command would not find the same file by itself. warehouse: the file;
    None takes the --warehouse of the command that is running, if one is. For commands that have no such option,
    write the text out.
    """
    if warehouse is None:
        running = click.get_current_context(silent=True)
        warehouse = running.params.get("warehouse_path") if running else None
    line = ["traitcast", *map(str, words)]
    if warehouse is not None and str(warehouse) != default_warehouse():
        line += ["--warehouse", str(warehouse)]
    return " ".join(map(quoted, line))


def quoted(word: str | Path) -> str:
    """A word as a shell reads it; in double quotes where single ones would have to be spliced."""
    text = str(word)
    if text != inline(text):
        # As bash, zsh and ksh read it: with escapes for what a terminal is not shown.
        plain = text.replace("\\", "\\\\").replace("'", "\\'")
        return "$'" + "".join(c if c == inline(c) else _shell_escape(c) for c in plain) + "'"
    return f'"{text}"' if "'" in text and not set(text) & set('"$`\\!\n') else shlex.quote(text)


def _shell_escape(char: str) -> str:
    code = ord(char)
    # A byte of a file name that is no UTF-8.
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code < 0xDD00 else f"\\U{code:08x}"


def count(number: int, what: str, many: str = "") -> str:
    """A number of things in words: 1 row, 2,000 rows. what: the singular. many: a plural without s."""
    return f"{number:,} {what if number == 1 else many or what + 's'}"


def format_option(*choices: str) -> Callable[[Command], Command]:
    """--format with these choices, the first as default; without any, table or json."""
    allowed = choices or ("table", "json")
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(allowed),
        default=allowed[0],
        show_default=True,
        help="How to print the result on stdout.",
    )


@contextmanager
def interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt for what Ctrl-C became in a library: DuckDB raises RuntimeError."""
    try:
        yield
    except Exception:
        if getattr(signal.getsignal(signal.SIGINT), "asked", False):  # see traitcast.start
            raise KeyboardInterrupt from None
        raise


def report_errors(command: Command) -> Command:
    """Turn a TraitcastError into one message on stderr and its exit code, and Ctrl-C into one line and 130."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            with interrupts():
                return command(*args, **kwargs)
        except TraitcastError as error:
            fail(str(error))
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            # Every writer stores in whole transactions or files, so this holds for all commands.
            click.echo("Stopped. Finished work is kept, and nothing is half written.", err=True)
            sys.exit(STOPPED)
        except BrokenPipeError:
            # `traitcast sql ... | head` is not a failure; keep Python from complaining at shutdown.
            sys.stderr.close()
            sys.exit(0)
        except OSError as error:
            if error.errno not in _NO_SPACE:
                raise
            fail(f"cannot write ({error.strerror}). Make room on the disk, then run this again.")
            sys.exit(TraitcastError.exit_code)

    return run  # type: ignore[return-value]


def visible(value: Any) -> Any:
    """Texts as `printable` makes them, in rows and lists too, keys included: for a picture or a page."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {visible(key): visible(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [visible(item) for item in value]
    return value


def quiet() -> bool:
    """Whether narration and progress are switched off (TRAITCAST_QUIET=1). Warnings and errors are not."""
    return os.environ.get(_QUIET_VARIABLE, "0") not in ("", "0")


def say(text: str) -> None:
    """A line of narration on stderr, unless TRAITCAST_QUIET is set."""
    if not quiet():
        click.echo(filled(inline(text)), err=True)


def warn(text: str) -> None:
    """A warning on stderr."""
    click.secho(filled(f"warning: {inline(text)}"), err=True, fg=None if os.environ.get("NO_COLOR") else "yellow")


def fail(text: str) -> None:
    """The message of an error on stderr. A value in it, such as a file name, may not pass for another message."""
    text = re.sub(r"\n(?=(Error|[Ww]arning):)", r"\\n", text)
    click.echo(filled(f"Error: {text}"), err=True)


def tell(text: str, hanging: int = 2) -> None:
    """Sentences on stdout, for a reader. hanging: blanks before what follows a break."""
    click.echo(filled(text, hanging))


def emit_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(as_json(value))


def emit(
    rows: Sequence[Row], output_format: str, columns: Sequence[str] | None = None, *, optional: Sequence[str] = ()
) -> None:
    """Print rows as JSON, JSON Lines, CSV or an aligned table; `columns` and `optional` as in `emit_table`."""
    if output_format == "json":
        emit_json(list(rows))
    elif output_format == "jsonl":
        click.echo(as_jsonl(rows), nl=False)
    elif output_format == "csv":
        text = as_csv(rows, list(rows[0]) if rows else columns or ())
        # CSV has no escapes: a file or pipe gets the data as it is, which click would strip, a terminal what it shows.
        click.echo(printable(text) if sys.stdout.isatty() else text, nl=False, color=True)
    else:
        emit_table(rows, columns, optional=optional)


def emit_table(
    rows: Sequence[Row],
    columns: Sequence[str] | None = None,
    headings: Mapping[str, str] | None = None,
    *,
    optional: Sequence[str] = (),
) -> None:
    """Print an aligned table on stdout.

    columns: which, in what order; all without. headings: of columns that are not headed by their name. optional:
    columns, if they are there, that a narrow screen leaves out, the last one first, which is said once on stderr.
    """
    names = list(columns) if columns is not None else list(rows[0]) if rows else []
    left_out: list[str] = []
    for name in reversed([name for name in optional if name in names]):
        if fits(rows, names, headings):
            break
        names.remove(name)
        left_out.insert(0, name)
    click.echo(table(rows, names, headings))
    running = click.get_current_context(silent=True)
    said = running.meta.setdefault(_LEFT_OUT, set()) if running else set()
    if new := [name for name in left_out if name not in said]:
        said.update(new)
        say(f"Not shown, for lack of room: {', '.join(new)} (--format json has them).")


def as_jsonl(rows: Iterable[Row]) -> str:
    """One JSON object a line."""
    return "".join(as_json(row, indent=None) + "\n" for row in rows)


def as_csv(rows: Iterable[Row], columns: Sequence[str]) -> str:
    """CSV with a header; lists and objects are JSON, NULL is an empty cell."""
    lines = [_csv_line(columns), *(_csv_line([_csv_cell(row.get(name)) for name in columns]) for row in rows)]
    return "".join(lines)


def _csv_line(cells: Sequence[Any]) -> str:
    text = io.StringIO()
    # The module quotes a carriage return in a cell only where lines end in one; unquoted, a reader takes it for an end.
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _csv_cell(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    return as_json(value, indent=None) if isinstance(value, dict | list) else value


def html_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None, caption: str = "") -> str:
    """Rows as an HTML table: numbers to four digits and right-aligned, undefined ones empty, all text escaped."""
    names = list(columns) if columns is not None else list(rows[0]) if rows else []
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(_html_cell(row.get(name)) for name in names) + "</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _html_cell(value: Any) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, bool):
        return f"<td>{'yes' if value else 'no'}</td>"
    if isinstance(value, int | float):
        return f'<td style="text-align:right">{number(float(value))}</td>'
    return f"<td>{escape(str(value))}</td>"


class Progress:
    """Progress on stderr: a bar on a terminal, a plain line every `every_s` seconds elsewhere.

    total: steps in all, 0 while unknown. It may change, but rate and time left count from the first report, since the
    time before it goes into loading.
    """

    def __init__(self, label: str, total: int, *, every_s: float = 10.0) -> None:
        self.label, self.total, self.every_s = label, total, every_s
        self.done = 0
        self.first: tuple[float, int] | None = None
        self.printed = time.monotonic()
        self.terminal = sys.stderr.isatty()
        self.shown = not quiet()

    def reach(self, done: int, total: int) -> None:
        """Set the units done and the total: a callback for functions that report their progress."""
        self.total = total
        self.advance(done - self.done)

    def advance(self, steps: int = 1) -> None:
        """Count `steps` more units as done and show it if it is time to."""
        self.done += steps
        now = time.monotonic()
        if self.first is None:
            self.first = (now, self.done)
        if self.shown and now - self.printed >= (0.1 if self.terminal else self.every_s):
            self.printed = now
            self._show(now)

    def _show(self, now: float) -> None:
        since, before = self.first or (now, self.done)
        rate = (self.done - before) / (now - since) if now > since else 0.0
        text = f"{self.label}: {self.done:,}"
        if self.total:
            text += f"/{self.total:,}"
        if rate:
            text += f", {rate:,.0f}/s" if rate >= 1 else f", {60 * rate:,.1f}/min"
        if rate and self.total >= self.done:
            text += f", {_duration((self.total - self.done) / rate)} left"
        if self.terminal:
            filled = round(24 * min(1.0, self.done / self.total)) if self.total else 0
            bar = f"[{'#' * filled}{'.' * (24 - filled)}] " if self.total else ""
            # A line that wraps could not be overwritten by the next one.
            columns = screen() - 1
            click.echo(f"\r{shortened(bar + text, columns)}\x1b[K", err=True, nl=False)
        else:
            click.echo(text, err=True)

    def close(self) -> None:
        """Clear the bar, so that what follows starts on a clean line."""
        if self.terminal and self.shown:
            click.echo("\r\x1b[K", err=True, nl=False)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole / 3600:.1f} h"


@contextmanager
def progress(label: str, total: int) -> Iterator[Progress]:
    """A `Progress` that is closed at the end, also after an error."""
    bar = Progress(inline(label), total)
    try:
        yield bar
    finally:
        bar.close()
