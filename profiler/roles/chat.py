"""Chat rows: lists of turns as `{role, content}` (OpenAI), `{from, value}` (ShareGPT), or one object for each exchange.

The last turn of the assistant is the response, and everything before it is the prompt; what follows it is left out,
since nothing answers it. A list may be written as text. Refuses turns without text, such as images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from traitcast.profiler.roles.packed import unpacked
from traitcast.profiler.roles.values import kind, shorten
from traitcast.warehouse.errors import InputError

LAYOUTS = (("role", "content"), ("from", "value"), ("speaker", "text"), ("author", "content"), ("role", "text"))
# One object for a question and its answer.
EXCHANGES = (("human", "assistant"), ("user", "assistant"), ("human", "bot"), ("user", "bot"), ("prompt", "response"))
ASSISTANTS = ("assistant", "gpt", "chatgpt", "bot", "chatbot", "model", "ai", "agent")
_ASSISTANT = frozenset(ASSISTANTS)


class Conversation(NamedTuple):
    """prompt: turns before the response. response: None when no assistant spoke. after: turns behind it.
    speakers: who did speak, in lower case."""

    prompt: list[str]
    response: str | None
    after: int
    speakers: frozenset[str] = frozenset()


def turns(value: Any, name: str, where: str, *, whole: bool = False) -> Conversation:
    """One conversation. whole: every turn is prompt. Raises InputError for what is no list of turns with text."""
    value = unpacked(value)
    if value is None:
        return Conversation([], None, 0)
    if not isinstance(value, list):
        raise InputError(f"{where}: chat column {name!r} holds a {kind(value)}; expected a list of turns")
    spoken = [said for turn in value for said in _turn(turn, name, where)]
    answers = [position for position, (speaker, _) in enumerate(spoken) if speaker in _ASSISTANT]
    texts = [content for _, content in spoken]
    if whole or not answers:
        return Conversation(texts, None, 0, frozenset(speaker for speaker, _ in spoken))
    return Conversation(texts[: answers[-1]], texts[answers[-1]], len(texts) - answers[-1] - 1)


def layout(value: Any) -> tuple[str, str] | None:
    """The key pair of a list of turns, None when the value is not one."""
    if not isinstance(value, list) or not value or not all(isinstance(turn, Mapping) for turn in value):
        return None
    found = (keys for keys in LAYOUTS if all(set(keys) <= set(turn) for turn in value))
    exchanges = (keys for keys in EXCHANGES if all(set(keys) == set(turn) for turn in value))
    return next(found, None) or next(exchanges, None)


def _turn(turn: Any, name: str, where: str) -> list[tuple[str, str]]:
    """(speaker, text) of a turn; two of them for an exchange."""
    if isinstance(turn, Mapping):
        for speaker, content in LAYOUTS:
            if speaker in turn and content in turn:
                return [(str(turn[speaker]).lower(), _content(turn[content], name, where))]
        for asked, answered in EXCHANGES:
            if set(turn) == {asked, answered}:
                question, answer = (_content(turn[key], name, where) for key in (asked, answered))
                return [("user", question), ("assistant", answer)]
    raise InputError(
        f"{where}: chat column {name!r} holds a turn that is neither {{role, content}} nor {{from, value}}: "
        f"{shorten(turn)}. Pass --spec FILE naming another messages_field"
    )


def _content(value: Any, name: str, where: str) -> str:
    """Text of a turn; a list of parts ({type: text, text: ...}) is joined, and other parts are refused."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(p, Mapping) and isinstance(p.get("text"), str) for p in value):
        return "".join(part["text"] for part in value)
    raise InputError(f"{where}: a turn in column {name!r} holds no plain text: {shorten(value)}")
