"""What nobody foresaw: an error (one line, a file with the details, exit code 70), and a terminal not in UTF-8."""

from __future__ import annotations

import codecs
import io
import json
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from traitcast import __version__
from traitcast.warehouse.console import STOPPED, fail, printable

DEBUG_VARIABLE = "TRAITCAST_DEBUG"
EXIT_CODE = 70
_LONGEST = 200


def show_any_text() -> None:
    """Let stdout and stderr show what their encoding lacks, such as Chinese in Latin-1, as the escape of JSON."""
    codecs.register_error("as_json", _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="as_json")


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


@contextmanager
def last_resort() -> Iterator[None]:
    """Turn an unforeseen error into one line and exit code 70, and an early Ctrl-C into one line and 130.

    TRAITCAST_DEBUG=1 shows the traceback instead.
    """
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
        _leave()
    except SystemExit as left:
        if left.code == STOPPED:
            _leave()
        raise
    except BaseException as error:  # what Rust libraries raise is no Exception
        if os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0"):
            raise
        what = printable(" ".join(f"{type(error).__name__}: {error}".split()))[:_LONGEST]
        where = _kept(error)
        look = f"details are in {where}, please report it with them" if where else f"{DEBUG_VARIABLE}=1 shows details"
        fail(f"traitcast failed, which it should not ({what}); {look}.")
        sys.exit(EXIT_CODE)


def _leave() -> None:
    """End now. To take a parser apart takes two seconds, in which a second Ctrl-C ends in a traceback; what has to be
    cleared up was, on the way here."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(STOPPED)


def _kept(error: BaseException) -> str | None:
    """The file with the details, None where none can be written."""
    about = f"traitcast {__version__}, Python {platform.python_version()}, {platform.platform()}"
    # No arguments: they may hold names that are nobody's business, and the traceback says where.
    text = "".join(traceback.format_exception(error))
    with suppress(OSError):
        handle, path = tempfile.mkstemp(prefix="traitcast-", suffix=".txt")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{about}\n\n{text}")
        return path
    return None
