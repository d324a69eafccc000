"""Bytes on disk to text: decompression, strict UTF-8, and lines of bounded length.

Refuses, naming file, line and byte: damaged compression, files that unpack to far more than their size, other
encodings, NUL bytes, and lines over 32 MB (without loading the rest of them).
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import math
import os
import shlex
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

from traitcast.profiler.reading.formats.encodings import encoding_of
from traitcast.profiler.roles.values import shorten
from traitcast.warehouse.errors import InputError
from traitcast.warehouse.files import opened

_UNPACKERS = {"gzip": "gzip -dc", "zstd": "zstd -dc", "bzip2": "bzip2 -dc", "xz": "xz -dc"}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}

# The longest legitimate row seen in public text datasets is a book, about 5 MB; beyond this it is a broken file.
MAX_LINE_BYTES = 32 << 20

# JSON Lines packs 3 to 20 times, one row over and over 100 times. Beyond this a few megabytes are made to fill a disk
# or a day; small files may do it, since no harm comes of them.
_UNPACK_RATIO = 200
_UNPACK_FREELY = 64 << 20
RATIO_VARIABLE = "TRAITCAST_UNPACK_RATIO"

# A table wider than this is a matrix of features; rows of text have a handful of columns.
MAX_COLUMNS = 4096

_BLOCK_BYTES = 1 << 20
_BUFFER_BYTES = 1 << 17
_MARK = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
# First bytes of what people have under the name of a text file, and what to do about it.
_MISNAMED = {
    b"PAR1\x15": "a Parquet file; name it .parquet",
    b"ARROW1\0\0": "an Arrow file; name it .arrow",
    b"\x1f\x8b": "compressed by gzip; add .gz to its name",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; add .zst to its name",
    b"BZh91AY&SY": "compressed by bzip2; add .bz2 to its name",
    b"\xfd7zXZ": "compressed by xz; add .xz to its name",
    b"PK\x03\x04": "a zip archive or an Excel file; unpack it, or save the sheet as CSV",
    b"version https://git-lfs.": "a Git LFS pointer, not the data; fetch the data: git lfs pull",
    b"<!doctype html": "a web page, not data; download the file itself",
    b"<html": "a web page, not data; download the file itself",
}
_BINARY = {
    b"\x89PNG\r\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF87a": "a GIF image",
    b"GIF89a": "a GIF image",
    b"%PDF-": "a PDF document",
    b"\xd0\xcf\x11\xe0": "an old Word or Excel file",
    b"SQLite format 3\0": "an SQLite database",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
    b"\x80\x04\x95": "a Python pickle",
    b"\x80\x05\x95": "a Python pickle",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x7fELF": "a program",
}
_GLANCE_BYTES = 1 << 12


def compression(path: Path) -> str | None:
    """The compression that the last suffix names."""
    return COMPRESSIONS.get(path.suffix.lower())


def through(path: Path, step: str, end: str | None = None) -> str:
    """The command that passes a file through a step of the shell, such as `sed '$d'`, into a new one in this folder.

    end: of the name of the new file, by default `_new` with the suffix of the old one; "" to print it instead.
    """
    packed = compression(path)
    plain = path.with_suffix("") if packed else path
    made = f"{plain.stem}{f'_new{plain.suffix}' if end is None else end}"
    read = f"{step} {shlex.quote(str(path))}"
    if packed:
        read = f"{_UNPACKERS[packed]} {shlex.quote(str(path))} | {step.removesuffix(' <')}"
    return read if end == "" else f"{read} > {shlex.quote(made)}"


def from_encoding(path: Path, encoding: str | None = None) -> str:
    """The command that converts a file to UTF-8, from the likeliest encoding unless it is known."""
    found = encoding or _encoding_of(path)
    return through(path, f"iconv {'-c ' if found == 'UTF-8' else ''}-f {found} -t UTF-8")


def _encoding_of(path: Path) -> str:
    with open_bytes(path) as stream:
        return encoding_of(stream.read(_BUFFER_BYTES))


def cut_off(path: Path, *, alone: bool = False) -> str:
    """What to do about a last line that is not whole. alone: whether it is the only one."""
    remove = through(path, "sed '$d'")
    removed = "" if alone else f", or remove the line: {remove}"
    return f"It is the last line: the file may be cut off. Copy it again{removed}"


def without_lines(path: Path, numbers: Sequence[int], end: str | None = None) -> str:
    """How to go on without the lines of a file that do not fit, of which the first was named already.

    end: as in `through`.
    """
    step = shlex.quote(";".join(f"{number}d" for number in numbers))
    rest = ", ".join(f"{number:,}" for number in numbers[1:])
    also = f" and line{'s' * (len(numbers) > 2)} {rest}, which do{'es' * (len(numbers) == 2)} not fit either"
    return f"To go on without it{also if rest else ''}: {through(path, f'sed {step}', end)}"


class Unpacking:
    """What a file unpacks to, counted against its size. Raises InputError for what was made to fill a memory."""

    def __init__(self, path: Path) -> None:
        self.path, self.unpacked = path, 0
        self.ratio = _allowed_ratio()
        self.allowed = max(_UNPACK_FREELY, self.ratio * path.stat().st_size) if self.ratio else math.inf

    def add(self, size: int) -> None:
        """Count `size` bytes more."""
        self.unpacked += size
        if self.unpacked > self.allowed:
            raise InputError(
                f"{self.path}: unpacks to more than {self.ratio:g} times its size of {self.path.stat().st_size:,} "
                f"bytes, as a file does that was made to fill a memory. If it is meant so, lift the limit: "
                f"{RATIO_VARIABLE}=0 (or a higher number)"
            )


def _allowed_ratio() -> float:
    text = os.environ.get(RATIO_VARIABLE) or str(_UNPACK_RATIO)
    try:
        ratio = float(text)
    except ValueError:
        ratio = math.nan
    if not 0 <= ratio < math.inf:
        raise InputError(
            f"{RATIO_VARIABLE} is {text!r}; it must be a number such as {_UNPACK_RATIO}, or 0 for no limit"
        )
    return ratio


class _Counted(io.RawIOBase):
    """The bytes of an unpacking stream, counted."""

    def __init__(self, stream: IO[bytes], unpacking: Unpacking) -> None:
        self.stream, self.unpacking = stream, unpacking

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self.stream.read(len(buffer))
        self.unpacking.add(len(piece))
        buffer[: len(piece)] = piece
        return len(piece)


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The decompressed bytes of a file. Raises InputError when it cannot be opened or is damaged."""
    packed = compression(path)
    try:
        with opened(path) as file, closing(_unpacked(file, path, packed)) as stream:
            yield stream
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        # Libraries raise OSError without a number for what is wrong inside of the data.
        inside = not isinstance(error, OSError) or error.errno is None
        if inside and packed is None:
            raise
        if inside:
            raise InputError(
                f"{path}: truncated or damaged {packed} data ({error}). Check it by decompressing it, or copy it again"
            ) from error
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _unpacked(file: IO[bytes], path: Path, packed: str | None) -> IO[bytes]:
    if packed is None:
        return file
    if packed == "zstd":
        import pyarrow as pa

        stream: Any = pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")
    else:
        openers: dict[str, Any] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
        stream = openers[packed](file)
    return io.BufferedReader(_Counted(stream, Unpacking(path)), _BUFFER_BYTES)


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, text with its line end) of a UTF-8 file; byte order marks are dropped, also those of files
    that were joined."""
    with open_bytes(path) as stream:
        number, offset, marked = 0, 0, False
        while raw := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(raw) > MAX_LINE_BYTES:
                raise InputError(
                    f"{path}: line {number} is longer than {MAX_LINE_BYTES >> 20} MB. A row must fit in one line of "
                    "at most that size: check that rows end in a line break"
                )
            if number == 1:
                marked = raw.startswith(_MARK)
                raw = check_start(raw, path)
            elif marked:
                raw = raw.removeprefix(_MARK)
            yield number, _decode(raw, path, number, offset)
            offset += len(raw)


def is_marked(path: Path) -> bool:
    """Whether a file begins with a UTF-8 byte order mark."""
    with open_bytes(path) as stream:
        return stream.read(len(_MARK)) == _MARK


def read_blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file in blocks of 1 MB, without a UTF-8 byte order mark."""
    with open_bytes(path) as stream:
        first = True
        while block := stream.read(_BLOCK_BYTES):
            yield check_start(block, path) if first else block
            first = False


def check_start(raw: bytes, path: Path) -> bytes:
    """The first bytes of a text file without a UTF-8 byte order mark; refuses UTF-16 and what is another format."""
    refuse_misnamed(raw, path)
    for magic, what in _BINARY.items():
        if raw.startswith(magic):
            raise _not_text(path, f"it looks like {what}")
    if raw.startswith(_UTF16):
        raise InputError(f"{path}: this is UTF-16 text; convert it: {from_encoding(path, 'UTF-16')}")
    return raw.removeprefix(_MARK)


def refuse_binary(path: Path) -> None:
    """Raise InputError for a file that is not UTF-8 and has NUL bytes near its start: no encoding makes it text."""
    with open_bytes(path) as stream:
        if b"\0" in stream.read(_GLANCE_BYTES):
            raise _not_text(path, "its beginning holds NUL bytes")


def _not_text(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} is not a text file ({why}). Formats read: JSON Lines, JSON, CSV, TSV, Parquet and Arrow, named "
        ".jsonl, .json, .csv, .tsv, .parquet and .arrow"
    )


def refuse_misnamed(raw: bytes, path: Path) -> None:
    """Raise InputError when the first bytes of a file are those of another format than its name says."""
    for magic, what in _MISNAMED.items():
        start = raw[: len(magic)]
        if start == magic or (magic.startswith(b"<") and start.lower() == magic):
            raise InputError(f"{path}: by its first bytes this is {what}")


def _decode(raw: bytes, path: Path, number: int, offset: int) -> str:
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and error.end == len(raw) and number > 1:
            # One byte may be a whole character of another encoding, and its row a good one; a row of JSON ends in }.
            whole = error.end - error.start == 1 and not raw.startswith(b"{")
            convert = f"If the file is not UTF-8, convert it: {from_encoding(path)}. Else: "
            raise InputError(
                f"{path}: line {number} ends within a character. {convert if whole else ''}{cut_off(path)}"
            ) from error
        refuse_binary(path)
        raise InputError(
            f"{path}: line {number} is not UTF-8: byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the line "
            f"(byte {offset + error.start + 1:,} of the file). Convert it, for example: "
            f"{from_encoding(path)}"
        ) from error
    if "\0" in line:
        raise InputError(
            f"{path}: line {number} holds a NUL byte: the file is binary, damaged or UTF-16, not UTF-8 text"
        )
    return line


def checked_columns(names: list[str], where: str) -> list[str]:
    """Column names, refused when one repeats or there are too many."""
    if len(names) > MAX_COLUMNS:
        raise InputError(f"{where} has {len(names):,} columns; a text dataset has at most {MAX_COLUMNS:,}")
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise InputError(f"{where} has the duplicate column name {shorten(repeated[0])}; rename one of the columns")
    return names
