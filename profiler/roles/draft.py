"""Roles to start from where no layout fits: the best guess, which a user can run as it is.

Owns what makes a column a likely prompt, response or class by its content. Refuses to propose identifiers, dates,
names of models and other bookkeeping, and proposes nothing where no column holds text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from traitcast.profiler.roles.chat import is_chat, turns
from traitcast.profiler.roles.column_names import GENERATION, LABELS, SCORES, is_id, plain_name
from traitcast.profiler.roles.columns import View, kind_of
from traitcast.profiler.roles.multiple_choice import keyed_options
from traitcast.profiler.roles.spec import DatasetSpec
from traitcast.profiler.roles.values import pick, steps
from traitcast.warehouse.errors import InputError

# Columns that say where a row comes from. Names, since their values may look like classes or like texts.
_BOOKKEEPING = re.compile(
    r"(.*_)?(model|engine|commit|sha|sha1|number|date|time|datetime|timestamp|created|created_at|updated|updated_at|version|source|author|user|"
    r"username|user_name|annotator|worker|file|filename|file_name|path|lang|language|method|hash|md5|sha256|license|"
    r"licence|image|audio|video|repo|repo_name|repository|link|email|phone|object|usage|type|status|rejected)(_[0-9]+)?"
)
_DATE = re.compile(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?")
# A second field of the prompt is worth proposing where it has this share of the characters of the first.
_SECOND = 0.2
# Columns of this many characters, and mostly of several words, are texts of substance.
_SUBSTANCE = 20
# Lengths that differ by fewer characters count as one.
_ABOUT = 10
_DEPTH = 5
_PARTS = re.compile(r"[._\[\]]+")
_ANSWERS = {answer for _, _, answers in GENERATION for answer in answers} | {"chosen"}


def draft_of(view: View) -> DatasetSpec | None:
    """The likeliest roles of columns whose names say nothing.

    Parameters
    ----------
    view
        A sample of the rows.

    Returns
    -------
    DatasetSpec or None
        Of columns with content alone, nested ones by their path, and longer texts first; None where there are none.
    """
    flat = flattened(view)
    chats = [name for name, kind in flat.kinds.items() if kind == "chat" and flat.distinct(name)]
    if chats:
        found = chat_draft(flat, chats)
        apart = (name for name in content(flat) if _PARTS.split(name.lower())[0] in _ANSWERS)
        if not found.answer_field and not is_answered(flat, found.messages_field or ""):
            found = replace(found, answer_field=next(apart, None))
        return found
    texts = content(flat)
    marked = next(
        (name for name, kind in view.kinds.items() if kind == "keyed options" and _are_marked(view, name)), None
    )
    if marked and texts:
        found = DatasetSpec("multiple_choice", longest(flat, texts), answer_form="index")
        keys = ("choices", "labels") if "choices" in next(v for v in view.columns[marked] if v) else ("text", "label")
        return replace(found, options_field=f"{marked}.{keys[0]}", answer_field=f"{marked}.{keys[1]}")
    label = view.actual.get("label")
    if label and view.telling(label) and view.kinds[label] in ("number", "mixed types") and texts:
        return DatasetSpec("generation", text_fields=longest(flat, texts), answer_field=label)
    if (said := next((n for n in flat.columns if n.endswith(".responses")), None)) and texts:
        # What annotators said, and not what a model suggested to them (Argilla).
        return DatasetSpec("generation", longest(flat, texts, [said]), labels_field=said)
    classes = [name for name in _likely_classes(flat) if set(texts) - {name}]
    if classes and not (_is_answered(flat, texts) and not _named_class(classes[0])):
        return DatasetSpec("classification", longest(flat, texts, classes[:1]), label_field=classes[0])
    lists = [name for name, kind in view.kinds.items() if kind == "list of texts" and _are_spoken(view, name)]
    spoken = [*view.lists.intersection(texts), *lists]
    if spoken and all(name in spoken or _is_bookkeeping(flat, name) for name in texts):
        # Utterances in turn: the last one answers those before it.
        return DatasetSpec("generation", messages_field=spoken[0])
    apart = (n for n, kind in view.kinds.items() if kind == "list of texts" and set(_plain(n).split("_")) & _ANSWERS)
    if len(texts) == 1 and (answers := next(apart, None)):
        return DatasetSpec("generation", (texts[0],), answer_field=f"{answers}[0]")
    if len(texts) < 2:
        # A corpus of plain texts has no prompts.
        return DatasetSpec("generation", answer_field=texts[0]) if texts else None
    answer = next((name for name in texts if {_plain(name), _PARTS.split(name.lower())[0]} & _ANSWERS), None)
    if answer is None:
        first, second = sorted(texts[:2], key=list(flat.columns).index)
        return DatasetSpec("generation", text_fields=(first,), answer_field=second)
    return DatasetSpec("generation", text_fields=longest(flat, texts, [answer]), answer_field=answer)


def chat_draft(view: View, chats: Sequence[str]) -> DatasetSpec:
    """Roles of several chat columns: a prompt and the answer that was chosen, or else one whole conversation."""
    named = {_plain(name): name for name in chats}
    answer = next((named[word] for word in ("completion", "chosen", "response", "answer") if word in named), None)
    prompt = next((named[word] for word in ("prompt", "messages", "conversations") if word in named), None)
    if prompt and answer:
        return DatasetSpec("generation", messages_field=prompt, answer_field=answer)
    whole = [name for name in (prompt, answer, *chats) if name]
    return DatasetSpec("generation", messages_field=next((n for n in whole if is_answered(view, n)), whole[0]))


def is_answered(view: View, name: str) -> bool:
    """Whether an assistant speaks in a column of chats."""
    return any(_is_answered_chat(chat, name) for chat in view.columns[name])


def _is_answered_chat(chat: Any, name: str) -> bool:
    try:
        return bool(turns(chat, name, "").response)
    except InputError:
        return False


def longest(view: View, texts: Sequence[str], taken: Collection[str] = ()) -> tuple[str, ...]:
    """The longest text, and the next one where it is not much shorter; neither of those taken."""
    free = [name for name in sorted(texts, key=lambda name: _rank(view, name)) if name not in taken]
    return tuple(name for name in free[:2] if _length(view, name) >= _SECOND * _length(view, free[0]))


def content(view: View) -> list[str]:
    """The columns that hold texts, the longest first; those of bookkeeping only where there is nothing else."""
    texts = [n for n, kind in view.kinds.items() if kind == "text" and not _is_id(n) and view.distinct(n)]
    texts = sorted([name for name in texts if view.telling(name)] or texts, key=lambda name: _rank(view, name))
    texts = [name for name in texts if not _are_dates(view, name)]
    return [name for name in texts if not _is_bookkeeping(view, name)] or texts


def has_substance(view: View, name: str) -> bool:
    """Whether a column holds texts that say something, which a prompt without them would lack."""
    if view.kinds[name] != "text" or is_id(name) or not view.telling(name) or _is_bookkeeping(view, name):
        return False
    values = [str(value) for value in view.columns[name] if value not in (None, "")]
    spaced = sum(" " in value.strip() for value in values)
    return _length(view, name) >= _SUBSTANCE and spaced > len(values) / 2


def empty_label(view: View) -> str | None:
    """A column that has the name of a label and no value in any row."""
    named = (name for plain, name in view.actual.items() if plain in ("label", *LABELS))
    return next((name for name in named if not view.distinct(name)), None)


def nested_paths(value: Any, name: str, depth: int = _DEPTH) -> list[str]:
    """Paths to what is inside of a nested value, as a spec can name it."""
    if isinstance(value, list) and depth and value and all(isinstance(item, Mapping) for item in value):
        # Inside of objects, lists have their first item looked into, as whole columns of lists have.
        apart = "." in name and not is_chat(value) and keyed_options(value)[0] is None
        return nested_paths(value[0], f"{name}[0]", depth) if apart else [name]
    if not isinstance(value, Mapping) or not depth or keyed_options(value)[0] is not None:
        return [name] if steps(name) else []
    return [path for key, inner in value.items() for path in nested_paths(inner, f"{name}.{key}", depth - 1)]


def flattened(view: View) -> View:
    """The columns, with what is inside of nested ones by its path."""
    columns: dict[str, Sequence[Any]] = {}
    for name, values in view.columns.items():
        first: Any = next((value for value in values if value), {})
        inside = name
        if view.kinds[name] == "list" and all(isinstance(item, Mapping) for value in values for item in value or ()):
            first, inside = (first or [{}])[0], f"{name}[0]"
        elif view.kinds[name] != "nested object":
            columns[name] = values
            continue
        for path in nested_paths(first, inside):
            found = [pick({name: value}, path) for value in values]
            if kind_of(found) == "list of texts":
                path, found = f"{path}[0]", [value[0] if value else None for value in found]
            # Keys that are identifiers, as in an export of ChatGPT, lead somewhere in one row alone.
            if sum(value is not None for value in found) > sum(value is not None for value in values) / 2:
                columns[path] = found
    return View(columns, view.label_names)


def by_last_name(view: View) -> View:
    """The columns and what is inside of nested ones, which are called by the last part of their path."""
    flat = flattened(view)
    names = sorted(flat.columns, key=lambda name: name not in view.columns)
    flat.actual = {_plain(name): name for name in reversed(names)}
    return flat


def _length(view: View, name: str) -> float:
    """Mean characters of the values of a column."""
    lengths = [len(str(value)) for value in view.columns[name] if value is not None]
    return sum(lengths) / len(lengths) if lengths else 0.0


def _rank(view: View, name: str) -> int:
    """Long before short; texts of about one length stay in the order of the file."""
    return -int(_length(view, name) // _ABOUT)


def _is_id(path: str) -> bool:
    """Whether any part of a path is a name of identifiers, as in _id.$oid."""
    return any(is_id(part) for part in path.split("."))


def _last(path: str) -> str:
    return path.rsplit(".", 1)[-1]


def _plain(path: str) -> str:
    return plain_name(_last(path))


def is_bookkeeping(plain: str) -> bool:
    """Whether a plain name says where a row comes from."""
    return _BOOKKEEPING.fullmatch(plain) is not None


def _is_bookkeeping(view: View, name: str) -> bool:
    return is_bookkeeping(_plain(name)) or _are_dates(view, name)


def _are_dates(view: View, name: str) -> bool:
    return all(_DATE.fullmatch(str(value)) for value in view.columns[name] if value not in (None, ""))


def _are_marked(view: View, name: str) -> bool:
    """Whether options have a mark each, 1 for the right one (TruthfulQA), in place of keys."""
    first: Any = next((value for value in view.columns[name] if value), {})
    marks = first.get("labels") or first.get("label") if isinstance(first, Mapping) else None
    return isinstance(marks, list) and {str(mark) for mark in marks} == {"0", "1"}


def _are_spoken(view: View, name: str) -> bool:
    """Whether the texts of lists are utterances rather than single words."""
    items = [item for value in view.columns[name] for item in value or ()]
    return sum(" " in item.strip() for item in items) > len(items) / 2


def _named_class(name: str) -> bool:
    return _plain(name) in {"label", *LABELS, *SCORES}


def _is_answered(view: View, texts: Sequence[str]) -> bool:
    """Whether two columns hold long texts, one of which may answer the other."""
    return len(texts) > 1 and all(has_substance(view, name) for name in texts[:2])


def _likely_classes(view: View) -> list[str]:
    """Columns whose values repeat, the likeliest class first: by a usual name, then by how few classes there are."""
    usable = [n for n in view.kinds if not is_id(_last(n)) and view.telling(n) and view.class_like(n)]
    repeats = [n for n in usable if view.distinct(n) < view.rows or _plain(n) == "label"]
    plain = [name for name in repeats if _named_class(name) or not _is_bookkeeping(view, name)]
    return sorted(plain, key=lambda name: (not _named_class(name), view.distinct(name)))
