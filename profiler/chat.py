"""Chat rows: lists of turns as `{role, content}` (OpenAI) or `{from, value}` (ShareGPT).

The last turn must be the assistant's: it is the response, and everything before it is the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from warehouse.errors import InputError

LAYOUTS = (("role", "content"), ("from", "value"))
_ASSISTANT = frozenset({"assistant", "gpt", "chatgpt", "bot", "model", "ai"})


def turns(value: Any, name: str, where: str) -> tuple[list[str], str | None]:
    """(turns before the response, response) of one conversation; the response is None when no assistant spoke last.

    Raises InputError when the cell is not a list of turns with text.
    """
    if value is None:
        return [], None
    if not isinstance(value, list):
        raise InputError(f"{where}: chat column {name!r} holds a {type(value).__name__}; expected a list of turns")
    spoken = [_turn(turn, name, where) for turn in value]
    if spoken and spoken[-1][0] in _ASSISTANT:
        return [content for _, content in spoken[:-1]], spoken[-1][1]
    return [content for _, content in spoken], None


def layout(value: Any) -> tuple[str, str] | None:
    """The key pair of a list of turns, None when the value is not one."""
    if not isinstance(value, list) or not value or not all(isinstance(turn, Mapping) for turn in value):
        return None
    return next((keys for keys in LAYOUTS if all(set(keys) <= set(turn) for turn in value)), None)


def _turn(turn: Any, name: str, where: str) -> tuple[str, str]:
    for speaker, content in LAYOUTS:
        if isinstance(turn, Mapping) and speaker in turn and content in turn:
            return str(turn[speaker]).lower(), _content(turn[content], name, where)
    raise InputError(
        f"{where}: chat column {name!r} holds a turn that is neither {{role, content}} nor {{from, value}}: "
        f"{str(turn)[:80]!r}. Pass --spec FILE naming another messages_field"
    )


def _content(value: Any, name: str, where: str) -> str:
    """Text of a turn; a list of parts ({type: text, text: ...}) is joined, and other parts are refused."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(p, Mapping) and isinstance(p.get("text"), str) for p in value):
        return "".join(part["text"] for part in value)
    raise InputError(f"{where}: a turn in column {name!r} holds no plain text: {str(value)[:80]!r}")
