"""Lists and objects that a table of text holds, as JSON, as Python prints them, or as NumPy does.

A CSV has no lists, so programs write what their library prints: `["a", "b"]`, `['a', 'b']`, or, as `datasets`
and pandas do for arrays, `['a' 'b']`, in which Python would join the texts to one. Nothing is ever executed, and what
cannot be read back whole (NumPy shortens long arrays to `...`) stays the text that it is.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from traitcast.profiler.roles.column_names import TEXT_LISTS, plain_name

# A list in a cell of text is read whole, as Python objects of many times its size.
_MAX_CHARACTERS = 1 << 20

_SETS = ("array", "tensor", "set", "frozenset")
STARTS = ("[", "{", *(f"{word}(" for word in _SETS), "('", '("')
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>[bBuUrR]{0,2}(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))
    | (?P<number>[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    | (?P<word>[A-Za-z_][\w.]*)
    | (?P<mark>[\[\](){},:=])
    )""",
    re.VERBOSE | re.DOTALL,
)
_WORDS = {"True": True, "true": True, "False": False, "false": False, "None": None, "null": None}
_WORDS |= dict.fromkeys(("nan", "NaN", "NA", "NaT"), None)
_CLOSING = {"[": "]", "(": ")", "{": "}"}


class _Token(NamedTuple):
    """kind: a group of _TOKEN. spaced: behind white space."""

    kind: str
    text: str
    spaced: bool


def unpacked(value: Any) -> Any:
    """The list or object that a text holds; any other value as it is.

    Parameters
    ----------
    value
        A cell.

    Returns
    -------
    Any
        Lists (of tuples, sets and arrays too), dictionaries, texts, numbers, booleans and None.
    """
    if not isinstance(value, str) or not value.lstrip().startswith(STARTS) or len(value) > _MAX_CHARACTERS:
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        pass
    try:
        return _Printed(value).whole()
    except (ValueError, SyntaxError, RecursionError):
        return value


def joined_texts(value: Any, name: str) -> Any:
    """A list of texts under the name of such a column as one text, an item a line; any other value as it is."""
    if plain_name(name.rsplit(".", 1)[-1]) not in TEXT_LISTS:
        return value
    items = unpacked(value)
    texts = isinstance(items, list) and all(item is None or isinstance(item, str) for item in items)
    return "\n".join(item or "" for item in items) if texts else value


def is_flattened(value: Any) -> bool:
    """Whether a text looks like a list of several, or an object, such as [joy anger], [1 2 ... 9] or {joy,anger}."""
    if not isinstance(value, str):
        return False
    inside = value.strip()
    return len(inside) > 2 and inside[0] + inside[-1] in ("[]", "{}") and len(re.split(r"[\s,;|]+", inside)) > 1


class _Printed:
    """A parser of what Python and NumPy print."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.at = 0

    def whole(self) -> Any:
        """The one value of the text. Raises ValueError for anything else."""
        found = self._value()
        if self.at != len(self.tokens):
            raise ValueError("text after the value")
        return found

    def _value(self) -> Any:
        kind, token, _ = self._next()
        if kind == "text":
            text = ast.literal_eval(token)
            return text.decode("utf-8") if isinstance(text, bytes) else text
        if kind == "number":
            return ast.literal_eval(token.lstrip("0_") or "0" if token.isdigit() else token)
        if kind == "word":
            return self._called(token)
        if token in "[(":
            return self._items(token)
        if token == "{":
            return self._braced()
        raise ValueError(f"{token!r} begins no value")

    def _called(self, word: str) -> Any:
        """A constant, or what a constructor is given: array([...], dtype=object), np.str_('a')."""
        if word in _WORDS:
            return _WORDS[word]
        if self._peek() != "(" or not (word in _SETS or word.startswith(("np.", "numpy."))):
            raise ValueError(f"{word!r} is no value")
        self._next()
        found = self._value()
        while self._peek() != ")":
            # dtype=object, shape=(2,): they say nothing about the values.
            self._next()
        self._next()
        return found

    def _items(self, opening: str) -> list[Any]:
        """Items with a comma between all of them, as Python prints a list, or between none, as NumPy does."""
        closing = _CLOSING[opening]
        found: list[Any] = []
        commas = 0
        is_apart = True
        while self._peek() != closing:
            if not is_apart and not self.tokens[self.at].spaced:
                raise ValueError("nothing between two items")
            found.append(self._value())
            is_apart = self._peek() == ","
            if is_apart:
                self._next()
                commas += 1
        self._next()
        if commas not in (0, len(found) - 1, len(found)):
            raise ValueError("commas between some of the items only")
        if opening == "(" and found and not commas:
            raise ValueError("brackets around a value are not a tuple")
        return found

    def _braced(self) -> Any:
        """A dictionary, or a set as a list."""
        pairs: dict[Any, Any] = {}
        items: list[Any] = []
        while self._peek() != "}":
            item = self._value()
            if self._peek() == ":":
                self._next()
                pairs[item if isinstance(item, str) else str(item)] = self._value()
            else:
                items.append(item)
            if self._peek() == ",":
                self._next()
            elif self._peek() != "}":
                raise ValueError("no comma between two items")
        self._next()
        if pairs and items:
            raise ValueError("neither a dictionary nor a set")
        return items or pairs

    def _peek(self) -> str:
        if self.at >= len(self.tokens):
            raise ValueError("it ends too early")
        return self.tokens[self.at].text

    def _next(self) -> _Token:
        if self.at >= len(self.tokens):
            raise ValueError("it ends too early")
        self.at += 1
        return self.tokens[self.at - 1]


def _tokens(text: str) -> Iterator[_Token]:
    """The tokens of a text. Raises ValueError for what no printed value holds."""
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"unreadable at {position}")
        kind = match.lastgroup or ""
        yield _Token(kind, match[kind], match.start(kind) > position)
        position = match.end()
