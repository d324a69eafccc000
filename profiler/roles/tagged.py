"""Roles of texts with a tag for each word: tokens in a list, or a text whose words are as many as its tags.

Owns how tags are distinguished from sets of labels, for which `profiler.roles.inference` takes a list otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from traitcast.profiler.roles.annotations import are_spans
from traitcast.profiler.roles.column_names import SINGLE, TOKENS, plain_name
from traitcast.profiler.roles.columns import View, label_form
from traitcast.profiler.roles.explanation import UnclearError
from traitcast.profiler.roles.spec import DatasetSpec

_LISTS = ("list of texts", "list of integers")
_NAMED = ("ner", "tag", "label", "pos", "slot", "chunk")


def tagged(view: View) -> DatasetSpec | None:
    """Roles of tokens and their tags.

    Parameters
    ----------
    view
        A sample of the rows.

    Returns
    -------
    DatasetSpec or None
        None where no column has as many tags as another has words.

    Raises
    ------
    UnclearError
        Where several columns have, or where tags of spans are of another number than the words of every text.
    """
    words = next((view.actual[plain] for plain in TOKENS if view.has(plain, "list of texts")), None)
    if words is not None:
        lengths = [len(value or ()) for value in view.columns[words]]
        tags = [name for name in view.columns if name != words and _lengths(view, name, spaced=True) == lengths]
    else:
        words, tags = _worded(view)
    if words is None or not tags:
        return None
    first = next((name for word in _NAMED for name in tags if word in plain_name(name)), tags[0])
    draft = DatasetSpec("generation", (words,), tags_field=first)
    if len(tags) > 1:
        raise UnclearError(f"the tags could be {' or '.join(tags)}", draft)
    return replace(draft, label_form=label_form(draft, view.columns, view.label_names.get(first, ())))


def _worded(view: View) -> tuple[str | None, list[str]]:
    """(a text, the lists of as many tags as it has words in every row)."""
    lists = [name for name, kind in view.kinds.items() if kind in _LISTS]
    texts = [name for plain, name in view.actual.items() if plain in SINGLE and view.kinds[name] == "text"]
    marked = [name for name in lists if _are_marks_of_spans(view.columns[name])]
    for text in texts:
        lengths = [len(str(value or "").split()) for value in view.columns[text]]
        tags = [name for name in marked if _lengths(view, name) == lengths]
        if tags:
            return text, tags
    if marked:
        raise UnclearError(
            f"{marked[0]!r} holds tags of spans, but no column has as many words in every row",
            DatasetSpec("generation", tuple(texts[:1]), tags_field=marked[0]) if texts else None,
        )
    return None, []


def _are_marks_of_spans(values: Sequence[Any]) -> bool:
    """Whether lists hold tags such as B-ORG and O, which no set of labels does."""
    items = [item for value in values for item in value or ()]
    named = {item for item in items if isinstance(item, str)}
    return len(named) > 1 and are_spans(named) and all(item == "O" or item[1:2] in ("-", "_") for item in named)


def _lengths(view: View, name: str, *, spaced: bool = False) -> list[int] | None:
    """The numbers of tags in the rows of a column; None where it holds no tags. spaced: also of texts with blanks."""
    values = view.columns[name]
    if view.kinds[name] in _LISTS and not all(isinstance(item, bool) for value in values for item in value or ()):
        return [len(value or ()) for value in values]
    if spaced and view.kinds[name] == "text" and any(word in plain_name(name) for word in _NAMED):
        return [len(str(value or "").split()) for value in values]
    return None
