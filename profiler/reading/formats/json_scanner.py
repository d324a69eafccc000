"""One JSON text, read value by value out of a file of any size.

Owns what is no JSON to a table: keys that repeat, values that never end, bytes that are not UTF-8. Refuses these with
line and column.
"""

from __future__ import annotations

import codecs
import json
from collections import Counter
from pathlib import Path
from typing import Any

from traitcast.profiler.reading.formats import text_lines
from traitcast.profiler.reading.formats.text_lines import MAX_LINE_BYTES, read_blocks
from traitcast.warehouse.errors import InputError

_SPACE = " \t\r\n"


class Scanner:
    """A JSON text read in blocks: values are decoded one at a time from a growing buffer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blocks = read_blocks(path)
        self.decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self.buffer, self.position = "", 0
        self.line, self.column = 1, 1
        self.bytes = 0
        self.ended = False

    def peek(self) -> str:
        """The next character that is not white space, "" at the end."""
        while True:
            while self.position < len(self.buffer) and self.buffer[self.position] in _SPACE:
                self.skip(1)
            if self.position < len(self.buffer):
                return self.buffer[self.position]
            if not self._more():
                return ""

    def skip(self, count: int) -> None:
        """Move over characters, counting lines."""
        passed = self.buffer[self.position : self.position + count]
        breaks = passed.count("\n")
        self.line += breaks
        self.column = len(passed) - passed.rfind("\n") if breaks else self.column + len(passed)
        self.position += count

    def value(self, what: str, limit: int = MAX_LINE_BYTES) -> Any:
        """Decode the value at the position, reading on as far as it needs; `limit` bounds its characters."""
        wanted = 0
        while True:
            try:
                found, end = DECODER.raw_decode(self.buffer, self.position)
            except json.JSONDecodeError as error:
                size, ahead = len(self.buffer) - self.position, error.pos - self.position
                if size > limit:
                    raise self._too_long(what, limit) from error
                # Doubling keeps repeated attempts at a long value linear.
                wanted = max(2 * size, wanted)
                if not self._more(wanted):
                    at_end = not self.buffer[error.pos :].strip() or error.msg.startswith("Unterminated string")
                    self.skip(ahead)
                    hint = ". The file ends here: it may be cut off. Copy it again" if at_end else ""
                    raise self.error(f"broken JSON: {reason_of(error)}{hint}") from error
            except (ValueError, RecursionError) as error:
                raise InputError(f"{self.path}: {what} (line {self.line}): {reason_of(error)}") from error
            else:
                if end - self.position > limit:
                    raise self._too_long(what, limit)
                # A bare number may go on in the next block; objects and lists cannot.
                if end == len(self.buffer) and not isinstance(found, dict | list | str) and self._more():
                    continue
                self.skip(end - self.position)
                return found

    def _too_long(self, what: str, limit: int) -> InputError:
        return InputError(
            f"{self.path}: {what} (line {self.line}) is longer than {limit >> 20} MB or never ends. "
            "Write long tables as JSON Lines, one object a line"
        )

    def error(self, message: str) -> InputError:
        """An InputError at the current place."""
        return InputError(f"{self.path}: line {self.line}, column {self.column}: {message}")

    def _more(self, wanted: int = 0) -> bool:
        """Read until `wanted` characters are ahead, at least one block. False at the end of the file."""
        self.buffer, self.position = self.buffer[self.position :], 0
        pieces = [self.buffer]
        size, before = len(self.buffer), len(self.buffer)
        while not self.ended and (size == before or size < wanted):
            block = next(self.blocks, b"")
            self.ended = not block
            piece = self._text(block)
            pieces.append(piece)
            size += len(piece)
        self.buffer = "".join(pieces)
        return size > before

    def _text(self, block: bytes) -> str:
        try:
            piece = self.decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            text_lines.refuse_binary(self.path)
            where = self.bytes + error.start + 1
            raise InputError(
                f"{self.path}: not UTF-8 at byte {where:,} (0x{error.object[error.start]:02x}). Convert it, for "
                f"example: {text_lines.from_encoding(self.path)}"
            ) from error
        self.bytes += len(block)
        if "\0" in piece:
            raise InputError(f"{self.path}: holds a NUL byte: the file is binary, damaged or UTF-16, not UTF-8 text")
        return piece


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError when it repeats a key, since all but the last value would be lost."""
    found = dict(pairs)
    if len(found) != len(pairs):
        repeated = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"duplicate column name {repeated!r}; every column of a row must have its own name")
    return found


def reason_of(error: Exception) -> str:
    """The fault for a reader: Python's words end where the place would follow ("Invalid control character at")."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg.removesuffix(" at").removesuffix(" starting").rstrip(": ")
    if isinstance(error, RecursionError):
        return "JSON is nested too deeply to be a row of text"
    return "a number of thousands of digits; write it as a text" if "integer string" in str(error) else str(error)


# Writers use NaN for a missing value; reading it as null keeps it missing.
DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=lambda _: None)
