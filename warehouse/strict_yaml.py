"""YAML documents that a person wrote: a dataset spec, the recipe of an import.

Reads UTF-8, at most 1 MB, plain values only. Refuses repeated keys, of which YAML silently keeps the last, and
aliases, with which a page of text can expand to gigabytes.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from traitcast.warehouse.errors import UserError
from traitcast.warehouse.files import opened

# A page of text; anything this long is a data file under the wrong name.
MAX_BYTES = 1 << 20
_SHOWN = 80


def read_document(path: Path, what: str, error: type[UserError], missing: str) -> Any:
    """Read a YAML file.

    Parameters
    ----------
    what
        The kind of document, for messages: "spec".
    error
        The class to raise.
    missing
        The message for a file that does not exist.

    Returns
    -------
    Any
        The content, None of an empty file.
    """
    try:
        with opened(path) as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise error(missing) from None
    except OSError as caught:
        raise error(f"cannot read the {what} file {path}: {caught.strerror or caught}") from caught
    if len(raw) > MAX_BYTES:
        raise error(f"{path} is over 1 MB, too long for a {what}. Is it the data itself?")
    try:
        return yaml.load(raw.decode("utf-8-sig"), Loader=_StrictLoader)
    except UnicodeDecodeError as caught:
        raise error(f"{path}: not UTF-8 at byte {caught.start}; save the {what} as UTF-8") from caught
    except (yaml.YAMLError, RecursionError, ValueError) as caught:
        raise error(f"{path}: not valid YAML: {_where_and_why(caught)}") from caught


def _where_and_why(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader without repeated keys and aliases."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            problem = f"the alias *{_cut(event.anchor)} is not allowed in a spec or recipe: write the value out"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                problem = f"key {_cut(repr(key))} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep=deep)
