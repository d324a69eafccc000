"""Paths as text that every file and terminal can hold, and back.

A file name on Linux is bytes. Python keeps those that are no UTF-8 as lone surrogates, which no database, JSON or
YAML text may hold; here they are written as `\\xe9`. Refuses nothing.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")


def path_text(path: str | Path) -> str:
    """A path as UTF-8 text; bytes that are no UTF-8 become `\\x` and two hexadecimal digits."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def path_from(text: str) -> Path:
    """The path that `path_text` wrote. A file whose name really holds a backslash is found as it stands."""
    if os.path.exists(text):
        return Path(text)
    raw = _BYTE.sub(lambda match: bytes([int(match[1], 16)]), os.fsencode(text))
    return Path(os.fsdecode(raw))
