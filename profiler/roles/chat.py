"""Chat rows: lists of turns as `{role, content}` (OpenAI), `{from, value}` (ShareGPT), or one object for each exchange.

The last turn of the assistant is the response, and everything before it is the prompt; what follows it is left out,
since nothing answers it. In a list of plain texts the last one answers those before it. A conversation has the same
texts in every form: a list may be written as text, a tool call is the JSON of its name and arguments, a tool result is
a turn, and reasoning comes before its answer in `<think>...</think>`. What is not text, such as an image, is left out
and counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from traitcast.profiler.roles.packed import unpacked
from traitcast.profiler.roles.values import kind, shorten
from traitcast.warehouse.errors import InputError

LAYOUTS = (
    ("role", "content"),
    ("from", "value"),
    ("speaker", "text"),
    ("speaker", "utterance"),
    ("author", "content"),
    ("role", "text"),
    ("role", "parts"),
    ("role", "value"),
    ("from", "content"),
    ("from", "text"),
    ("sender", "text"),
    ("sender", "content"),
    ("type", "content"),
)
# One object for a question and its answer.
EXCHANGES = (("human", "assistant"), ("user", "assistant"), ("human", "bot"), ("user", "bot"), ("prompt", "response"))
ASSISTANTS = ("assistant", "gpt", "chatgpt", "bot", "chatbot", "model", "ai", "agent")
# Speakers of ShareGPT whose turns are tool calls.
_CALLERS = ("function_call", "tool_call", "tool_calls")
_ASSISTANT = frozenset((*ASSISTANTS, *_CALLERS))
# Keys next to the content of a turn of the assistant.
_CALLS = ("tool_calls", "function_call")
_ARGUMENTS = ("arguments", "input", "parameters", "args")
_REASONING = ("reasoning_content", "reasoning", "thinking")
_MEND = "Mend the row or remove it"
# What other speakers are called; a conversation with a speaker of another name is not asked who follows whom.
_KINDS = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(_ASSISTANT, "assistant"),
    **dict.fromkeys(
        ("tool", "observation", "function", "function_response", "tool_response", "tool_result", "ipython"), "tool"
    ),
}
TURN_ORDER, LATE_SYSTEM, EMPTY_TURN, UNANSWERED_CALL = FAULTS = (
    "turn_order",
    "late_system",
    "empty_turn",
    "unanswered_call",
)


@dataclass(slots=True)
class Conversation:
    """One conversation as texts.

    Parameters
    ----------
    prompt
        The turns before the response.
    response
        None where no assistant spoke.
    after
        Turns behind the response, which are left out.
    calls
        Whether the response holds a tool call.
    speakers
        Who spoke, in lower case.
    left_out
        Parts that are not text, by their type.
    faults
        Those of `FAULTS` that it has.
    """

    prompt: list[str]
    response: str | None = None
    after: int = 0
    calls: bool = False
    speakers: frozenset[str] = frozenset()
    left_out: Counter[str] = field(default_factory=Counter)
    faults: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Turn:
    """calls: whether it ends in a tool call. seen: whether it holds something beside its text, such as an image.
    results: whether it holds what a tool gave. learnt: whether it is a turn to be trained on."""

    speaker: str
    text: str
    calls: bool = False
    seen: bool = False
    results: bool = False
    learnt: bool = True

    @property
    def kind(self) -> str | None:
        """What the speaker is, None where that is not known."""
        return "tool" if self.results else _KINDS.get(self.speaker)


def turns(value: Any, name: str, where: str, *, whole: bool = False) -> Conversation:
    """A cell as a conversation.

    Parameters
    ----------
    value
        A list of turns, also as JSON text; None is a conversation without turns.
    name, where
        The column and the row, for messages.
    whole
        Whether every turn is prompt, since the response is in another column.

    Returns
    -------
    Conversation

    Raises
    ------
    InputError
        For what is not a list of turns.
    """
    value = unpacked(value)
    if value is None:
        return Conversation([])
    value = _plain(value)
    if not isinstance(value, list):
        raise InputError(f"{where}: chat column {name!r} holds a {kind(value)}; expected a list of turns. {_MEND}")
    left_out: Counter[str] = Counter()
    if value and all(isinstance(turn, str) for turn in value):
        # Utterances without speakers: the last one answers those before it.
        return Conversation(value) if whole else Conversation(value[:-1], value[-1])
    spoken = _joined(said for turn in value for said in _turn(turn, name, where, left_out))
    speakers = frozenset(turn.speaker for turn in spoken)
    texts = [turn.text for turn in spoken]
    answers = [position for position, turn in enumerate(spoken) if turn.speaker in _ASSISTANT and turn.learnt]
    if whole or not answers:
        return Conversation(texts, speakers=speakers, left_out=left_out, faults=_faults(spoken, None))
    last = answers[-1]
    after, faults = len(texts) - last - 1, _faults(spoken, last)
    return Conversation(texts[:last], texts[last], after, spoken[last].calls, speakers, left_out, faults)


def _faults(spoken: Sequence[_Turn], answer: int | None) -> frozenset[str]:
    """What is wrong with the turns. answer: which of them is the response, whose emptiness is said elsewhere."""
    found = set()
    for at, turn in enumerate(spoken):
        if at != answer and not turn.seen and not turn.text.strip():
            found.add(EMPTY_TURN)
        if turn.calls and at + 1 < len(spoken) and spoken[at + 1].kind != "tool":
            found.add(UNANSWERED_CALL)
    kinds = [turn.kind for turn in spoken]
    first = next((at for at, kind in enumerate(kinds) if kind != "system"), len(kinds))
    said = spoken[first:]
    if "system" in kinds[first:]:
        found.add(LATE_SYSTEM)
    elif None not in kinds and not all(map(_follows, [None, *said], said)):
        found.add(TURN_ORDER)
    return frozenset(found)


def _is_learnt(turn: Mapping[str, Any]) -> bool:
    """Whether a turn may be a response: not with weight 0 (OpenAI), train false (axolotl) or loss false."""
    return turn.get("weight") not in (0, "0") and not any(turn.get(key) is False for key in ("train", "loss"))


def _follows(before: _Turn | None, turn: _Turn) -> bool:
    """Whether a turn may come after another, None for the start."""
    if turn.kind == "user":
        return before is None or before.kind != "user"
    if turn.kind == "tool":
        return before is not None and before.kind != "user"
    return before is not None and (before.kind != "assistant" or before.calls)


def is_chat(value: Any) -> bool:
    """Whether a value is a list of turns."""
    value = _plain(value)
    if not isinstance(value, list) or not value or not all(isinstance(turn, Mapping) for turn in value):
        return False
    exchanges = any(all(set(keys) == set(turn) for turn in value) for keys in EXCHANGES)
    return exchanges or (all(map(_keys, value)) and any(map(_has_content, value)))


def _plain(value: Any) -> Any:
    """Turns in the forms that `LAYOUTS` has; anything else as it is."""
    return [_plain_turn(turn) for turn in value] if isinstance(value, list) else value


def _plain_turn(turn: Any) -> Any:
    if isinstance(turn, list) and len(turn) == 2 and all(isinstance(item, str) for item in turn):
        # ["user", "..."]
        return {"role": turn[0], "content": turn[1]} if turn[0].strip().lower() in _KINDS else turn
    if not isinstance(turn, Mapping) or not all(isinstance(key, str) for key in turn):
        return turn
    if turn.get("role") is None and turn.get("type") in ("function_call", "function_call_output"):
        # OpenAI's responses: a call and its result are turns of their own.
        is_call = turn["type"] == "function_call"
        return (
            {"role": "assistant", "tool_calls": [turn]} if is_call else {"role": "tool", "content": turn.get("output")}
        )
    if len(turn) == 1:
        # {"user": "..."}
        ((speaker, said),) = turn.items()
        is_turn = isinstance(said, str) and speaker.lower() in _KINDS
        return {"role": speaker, "content": said} if is_turn else turn
    return {key.lower(): item for key, item in turn.items()} if any(key[:1].isupper() for key in turn) else turn


def _keys(turn: Mapping[str, Any]) -> tuple[str, str] | None:
    """The names of speaker and content in a turn. Where files of two layouts were merged, one pair is null; a turn
    without content may lack its key."""
    named = [keys for keys in LAYOUTS if keys[0] in turn and (keys[0] != "type" or _speaks(turn["type"]))]
    named.sort(key=lambda keys: (turn[keys[0]] is None, keys[1] not in turn))
    return named[0] if named else None


def _speaks(value: Any) -> bool:
    """Whether a type is a speaker (LangChain), and not that of a part."""
    return isinstance(value, str) and value.lower() in _KINDS


def _has_content(turn: Mapping[str, Any]) -> bool:
    keys = _keys(turn)
    return keys is not None and (keys[1] in turn or any(key in turn for key in _CALLS))


def _joined(spoken: Iterator[_Turn]) -> list[_Turn]:
    """The turns, a tool call being part of the turn of the assistant that it follows."""
    found: list[_Turn] = []
    for turn in spoken:
        if turn.calls and found and found[-1].speaker in _ASSISTANT:
            text = "\n".join(filter(None, (found[-1].text, turn.text)))
            found[-1] = _Turn(found[-1].speaker, text, calls=True, seen=True)
        else:
            found.append(turn)
    return found


def _turn(turn: Any, name: str, where: str, left_out: Counter[str]) -> Iterator[_Turn]:
    """A turn; two of them for an exchange, and one more for each tool call."""
    keys = _keys(turn) if isinstance(turn, Mapping) else None
    if keys is not None:
        speaker = str(turn[keys[0]]).strip().lower()
        parts, before = _Parts(left_out, f"{where}: a turn in column {name!r}"), left_out.total()
        said = turn.get(keys[1])
        parts.add(_written(said) if _KINDS.get(speaker) == "tool" and _is_data(said) else said)
        parts.reasoning = next((turn[key] for key in _REASONING if isinstance(turn.get(key), str)), parts.reasoning)
        calls = [call for key in _CALLS for call in _calls(turn.get(key))] + parts.calls
        if speaker in _CALLERS:
            calls, parts.text = _calls(unpacked(parts.text)) or [parts.text], ""
        text = f"<think>\n{parts.reasoning}\n</think>\n\n{parts.text}" if parts.reasoning else parts.text
        if text or not calls:
            seen = left_out.total() > before
            yield _Turn(speaker, text, seen=seen, results=parts.results, learnt=_is_learnt(turn))
        for call in calls:
            yield _Turn("assistant", call, calls=True)
        return
    for asked, answered in EXCHANGES:
        if isinstance(turn, Mapping) and set(turn) == {asked, answered}:
            for speaker, key in (("user", asked), ("assistant", answered)):
                parts = _Parts(left_out, f"{where}: a turn in column {name!r}")
                parts.add(turn[key])
                yield _Turn(speaker, parts.text)
            return
    raise InputError(
        f"{where}: chat column {name!r} holds a turn that is neither {{role, content}} nor {{from, value}}: "
        f"{shorten(turn)}. {_MEND}, or pass --spec FILE naming another messages_field"
    )


class _Parts:
    """The content of a turn: a text, or a list of parts such as {type: text, text: ...}."""

    def __init__(self, left_out: Counter[str], where: str) -> None:
        self.left_out, self.where = left_out, where
        self.text, self.reasoning = "", ""
        self.calls: list[str] = []
        self.results = False

    def add(self, content: Any) -> None:
        """Take a content. Raises InputError for what is neither text nor parts."""
        if content is None:
            return
        if isinstance(content, str):
            self.text += content
        elif isinstance(content, Mapping):
            self._part(content)
        elif isinstance(content, Sequence) and all(isinstance(part, str | Mapping) for part in content):
            for part in content:
                self.add(part)
        else:
            raise InputError(f"{self.where} holds no plain text: {shorten(content)}. {_MEND}")

    def _part(self, part: Mapping[str, Any]) -> None:
        shape = str(part.get("type") or next(iter(part), "empty part"))
        if isinstance(part.get("text"), str) and part.get("thought") is True:
            self.reasoning += part["text"]
        elif isinstance(part.get("text"), str):
            self.text += part["text"]
        elif shape == "thinking" and isinstance(part.get("thinking"), str):
            self.reasoning += part["thinking"]
        elif shape == "tool_use":
            self.calls += _calls([part])
        elif shape in ("functionCall", "function_call") and isinstance(part.get(shape), Mapping):
            self.calls += _calls([part[shape]])
        elif shape in ("functionResponse", "function_response") and isinstance(part.get(shape), Mapping):
            self.results = True
            self.text += _written(part[shape].get("response"))
        elif shape == "tool_result":
            self.results = True
            self.add(part.get("content"))
        else:
            self.left_out[shape] += 1


def _calls(value: Any) -> list[str]:
    """The tool calls of a turn, each as the JSON of its name and arguments."""
    value = unpacked(value)
    calls = value if isinstance(value, list) else [value]
    found = []
    for call in calls:
        forms = [call, *(call.get(key) for key in ("function", "custom"))] if isinstance(call, Mapping) else []
        named = [form for form in forms if isinstance(form, Mapping) and _called(form)]
        if named:
            inner = named[-1]
            arguments = unpacked(next((inner[key] for key in _ARGUMENTS if key in inner), None))
            found.append(_written({"name": _called(inner), "arguments": arguments}))
        elif _says_something(call) and isinstance(call, Mapping):
            # Of an unknown form, but what the assistant is to write.
            found.append(_written(call))
    return found


def _called(form: Mapping[str, Any]) -> str | None:
    return next((form[key] for key in ("name", "tool_name") if isinstance(form.get(key), str)), None)


def _says_something(value: Any) -> bool:
    """Whether something inside is not null: tables write calls that are not there as objects of nulls."""
    if isinstance(value, Mapping):
        return any(map(_says_something, value.values()))
    return any(map(_says_something, value)) if isinstance(value, list) else value not in (None, "")


def _is_data(content: Any) -> bool:
    """Whether what a tool gave is data rather than parts of a turn."""
    if isinstance(content, list):
        return bool(content) and all(
            not isinstance(item, str) and (_is_data(item) or not isinstance(item, Mapping)) for item in content
        )
    return isinstance(content, Mapping) and not {"type", "text", "functionResponse", "function_response"} & set(content)


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
