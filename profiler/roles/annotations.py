"""Labels that are more than one class a row: sets of labels, a tag for each token, spans of the text.

Owns how each of them becomes a response and a label. The response is what a model would be taught to write: the names
of a set ("joy, surprise"), the spans in the order of the text ("person: John; place: Rome"), or the tags one after
the other. The label is the set of names that occur, sorted, as one class ("person, place"), so that the balance of
classes means something; tags that do not mark spans (parts of speech) have none. Nothing at all is "none".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from traitcast.profiler.roles.packed import is_flattened, unpacked
from traitcast.profiler.roles.values import SPEC_HINT, is_position, kind, missing, shorten
from traitcast.warehouse.errors import InputError, nearest

NOTHING = "none"
OUTSIDE = "O"

# Begin, inside, end, last, single, unit: the schemes IOB, IOB2, BIOES and BILOU.
_PREFIXED = re.compile(r"([BIELSU])[-_](.+)", re.DOTALL)
_STARTS = ("start", "begin", "start_offset", "start_char", "offset")
_ENDS = ("end", "stop", "end_offset", "end_char")
_TYPES = ("label", "type", "tag", "entity_type", "entity_group", "category", "entity", "labels")
# Of these, what is written in the text itself; others may be names of what is meant.
_WRITTEN = ("text", "surface", "mention", "span")
_SURFACES = ("text", "word", "surface", "span", "name", "mention", "value", "entity")


class Span(NamedTuple):
    """A stretch of text and its type. cut: whether it begins or ends inside of a word."""

    type: str
    text: str
    cut: bool = False


def response_of_set(names: Sequence[str]) -> tuple[str, str]:
    """(response, label) of a set of labels: in the order given, and sorted as one class."""
    distinct = list(dict.fromkeys(names))
    return ", ".join(distinct) or NOTHING, ", ".join(sorted(distinct)) or NOTHING


def response_of_spans(spans: Sequence[Span]) -> tuple[str, str]:
    """(response, label) of spans: each with its type, and the set of types as one class."""
    response = "; ".join(f"{span.type}: {span.text}" for span in spans) or NOTHING
    return response, ", ".join(sorted({span.type for span in spans})) or NOTHING


class Names:
    """Raw labels to names: integers are positions in `names`, texts are names already."""

    def __init__(self, field: str, names: Sequence[str], codes: Sequence[str] = ()) -> None:
        self.field, self.names = field, tuple(names)
        self.codes = dict(zip(codes, names, strict=True)) if codes else {}

    def name(self, value: Any, where: str) -> str:
        """The name of one label. Raises InputError for nesting, scores, and what is not among the names."""
        if isinstance(value, float | Decimal) and value == value and value == int(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InputError(
                f"{where}: a label in {self.field!r} is a {kind(value)}: {shorten(value)}; expected a text or an "
                f"integer. {SPEC_HINT}"
            )
        raw = str(value)
        if self.codes:
            return self.codes[raw] if raw in self.codes else self._unknown(raw, where)
        if not self.names or raw in self.names:
            return raw
        if is_position(raw) and int(raw) < len(self.names):
            return self.names[int(raw)]
        return self._unknown(raw, where)

    def _unknown(self, raw: str, where: str) -> str:
        allowed = list(self.codes or self.names)
        raise InputError(
            f"{where}: label {shorten(raw)} in {self.field!r} is not in label_names{nearest(raw[:100], allowed)} "
            f"Allowed: {', '.join(allowed[:20])}{', ...' if len(allowed) > 20 else ''}"
        )


def label_set(value: Any, names: Names, where: str, *, marks: bool = False) -> list[str] | None:
    """The names of a list of labels; None when it is missing. marks: 0 or 1 for each of the known names instead."""
    value = unpacked(value)
    if missing(value):
        return None
    if not isinstance(value, list):
        cure = f"{SPEC_HINT} with label_field for one label a row"
        if is_flattened(value):
            cure = 'It cannot be read back as a list; write it as JSON, such as ["joy", "anger"]'
        raise InputError(
            f"{where}: {names.field!r} holds a {kind(value)}: {shorten(value)}; expected a list of labels. {cure}"
        )
    if not marks:
        return [names.name(item, where) for item in value]
    if names.names and len(value) != len(names.names):
        raise InputError(f"{where}: {names.field!r} holds {len(value)} marks, but there are {len(names.names)} names")
    known = names.names or tuple(map(str, range(len(value))))
    return [name for name, mark in zip(known, value, strict=True) if marked(mark, names.field, where)]


def marked(value: Any, field: str, where: str) -> bool:
    """Whether a mark says yes: 1, true and their texts; 0, false, nothing and -1 (not rated) say no."""
    word = "" if missing(value) else str(value).strip().lower().removesuffix(".0")
    if word in ("1", "true", "yes"):
        return True
    if word in ("", "0", "false", "no", "-1"):
        return False
    raise InputError(f"{where}: {field!r} holds {shorten(value)}; expected 0 or 1, or false or true. {SPEC_HINT}")


def tokens_of(value: Any, field: str, where: str) -> list[str]:
    """The tokens of a row: a list of texts, or one text with blanks between them."""
    value = unpacked(value)
    if missing(value):
        return []
    if isinstance(value, str):
        return value.split()
    if not isinstance(value, list) or not all(isinstance(token, str) for token in value):
        raise InputError(f"{where}: {field!r} holds a {kind(value)}: {shorten(value)}; expected a list of tokens")
    return value


def tags_of(value: Any, count: int, names: Names, where: str) -> list[str] | None:
    """The tag of each of `count` tokens; None when the tags are missing."""
    value = unpacked(value)
    if missing(value):
        return None
    tags = value.split() if isinstance(value, str) else value
    if not isinstance(tags, list):
        raise InputError(f"{where}: {names.field!r} holds a {kind(value)}; expected a list with a tag for each token")
    if len(tags) != count:
        raise InputError(f"{where}: {len(tags)} tags in {names.field!r} for {count} tokens; each token has one tag")
    return [names.name(tag, where) for tag in tags]


def are_spans(tags: Iterable[str]) -> bool:
    """Whether tags mark spans (B-PER, I-PER, O) and not every token by itself (NOUN, VERB)."""
    found = set(tags)
    return OUTSIDE in found or any(_PREFIXED.fullmatch(tag) for tag in found)


def tagged_spans(tokens: Sequence[str], tags: Sequence[str]) -> list[Span]:
    """The spans that tags mark, in IOB, IOB2, BIOES or BILOU, or without prefixes. Tokens are joined by blanks.

    An inside tag that follows no span of its type begins one, as the CoNLL scorer reads it.
    """
    spans: list[tuple[str, list[str]]] = []
    is_open = False
    for token, tag in zip(tokens, tags, strict=True):
        if tag == OUTSIDE:
            is_open = False
            continue
        match = _PREFIXED.fullmatch(tag)
        mark, type_name = (match[1], match[2]) if match else ("I", tag)
        if is_open and mark in "IEL" and spans[-1][0] == type_name:
            spans[-1][1].append(token)
        else:
            spans.append((type_name, [token]))
        is_open = mark not in "ELSU"
    return [Span(type_name, " ".join(words)) for type_name, words in spans]


def spans_of(value: Any, text: str, names: Names, where: str) -> list[Span] | None:
    """Spans as objects ({start, end, label} or {text, label}), as lists [start, end, label], or column by column.

    `text` is what the offsets count, in characters. None when the spans are missing, which is not the same as none.
    """
    value = unpacked(value)
    if missing(value):
        return None
    if isinstance(value, Mapping):
        value = rows_of(value)
    if not isinstance(value, list):
        raise InputError(f"{where}: {names.field!r} holds a {kind(value)}: {shorten(value)}; expected a list of spans")
    found = [_span(item, text, names, where) for item in value]
    return [span for _, span in sorted(found, key=lambda pair: pair[0])]


def is_span(value: Any) -> bool:
    """Whether a value looks like one span."""
    value = _bare(value)
    if isinstance(value, Mapping):
        type_key, surface_key = _key(value, _TYPES), _key(value, _SURFACES)
        offsets = has_offsets(value)
        named = type_key is not None and not isinstance(value[type_key], bool)
        return named and (offsets or surface_key not in (None, type_key))
    return isinstance(value, list) and len(value) == 3 and [type(item) for item in value] == [int, int, str]


def has_offsets(value: Mapping[str, Any]) -> bool:
    """Whether a span says where it begins and ends."""
    inside = _bare(value)
    return _key(inside, _STARTS) is not None and _key(inside, _ENDS) is not None


def _span(item: Any, text: str, names: Names, where: str) -> tuple[int, Span]:
    """(start, span); without offsets the order of the list stays, since sorting is stable."""
    if not is_span(item):
        raise InputError(
            f"{where}: {names.field!r} holds {shorten(item)}, which is not a span; expected start, end and label, or "
            f"text and label. {SPEC_HINT} naming another spans_field"
        )
    item = _bare(item)
    if isinstance(item, list):
        start, end, type_name = item
        return start, Span(names.name(type_name, where), _cut(text, start, end, where), _cuts_words(text, start, end))
    type_key = _key(item, _TYPES) or ""
    raw = item[type_key]
    type_name = names.name(raw[0] if isinstance(raw, list) and len(raw) == 1 else raw, where)
    start_key, end_key, surface_key = _key(item, _STARTS), _key(item, _ENDS), _key(item, _SURFACES)
    if start_key and end_key:
        found = _cut(text, item[start_key], item[end_key], where)
        said = next((item[key] for key in _WRITTEN if isinstance(item.get(key), str) and key != type_key), None)
        if said is not None and said.split() != found.split():
            raise InputError(
                f"{where}: a span in {names.field!r} is {shorten(found)} from {item[start_key]} to {item[end_key]}, "
                f"but says that it is {shorten(said)}. Offsets count characters, not bytes, of the first text field "
                "from 0, and the end is not part of the span"
            )
        # A text of its own that agrees proves where it is.
        cut = said is None and _cuts_words(text, item[start_key], item[end_key])
        return item[start_key], Span(type_name, found, cut)
    surface = item[surface_key] if surface_key else None
    if not isinstance(surface, str):
        raise InputError(f"{where}: a span in {names.field!r} has no text: {shorten(item)}")
    return 0, Span(type_name, surface)


def _bare(item: Any) -> Any:
    """A span without what Label Studio puts around it: {"value": {"start": ...}, "type": "labels"}."""
    inside = item.get("value") if isinstance(item, Mapping) else None
    return inside if isinstance(inside, Mapping) else item


def _cut(text: str, start: Any, end: Any, where: str) -> str:
    if type(start) is not int or type(end) is not int or not 0 <= start <= end <= len(text):
        raise InputError(
            f"{where}: a span from {shorten(start)} to {shorten(end)} does not lie in the text of {len(text):,} "
            "characters; offsets count characters of the first text field from 0, the end is not part of the span"
        )
    return text[start:end]


def _cuts_words(text: str, start: int, end: int) -> bool:
    """Whether an end lies between two letters, in a script with capitals (others write words without a blank), or
    between two digits."""
    around = [text[at - 1 : at + 1] for at in (start, end) if 0 < at < len(text)]
    return any(pair.isdigit() or all(char.lower() != char.upper() for char in pair) for pair in around)


def _key(item: Mapping[str, Any], allowed: Sequence[str]) -> str | None:
    return next((key for key in allowed if item.get(key) is not None), None)


def rows_of(columns: Mapping[str, Any]) -> Any:
    """{"start": [0, 5], "label": ["a", "b"]} as the list of objects that it means."""
    lists = {key: values for key, values in columns.items() if isinstance(values, list)}
    if not lists or len({len(values) for values in lists.values()}) != 1:
        return columns
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
