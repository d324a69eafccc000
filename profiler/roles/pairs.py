"""Roles of pairs of texts: the better and the worse of two responses, and a text in two languages.

Owns what shows that a row compares responses. `profiler.roles.inference` asks it before the layouts of one response.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from traitcast.profiler.roles.chat import is_chat
from traitcast.profiler.roles.column_names import (
    CHOSEN,
    CHOSEN_SCORES,
    CONTEXTS,
    GENERATION,
    GRADES,
    JUDGED,
    JUDGEMENTS,
    RANKED,
    RESPONSE_KEYS,
    SINGLE,
    SYSTEM,
    WORSE,
    is_id,
    plain_name,
)
from traitcast.profiler.roles.columns import View, first_columns
from traitcast.profiler.roles.explanation import UnclearError
from traitcast.profiler.roles.spec import DatasetSpec
from traitcast.profiler.roles.values import listed

# Names that say by themselves that a response is one of two; the prompt may be inside of it.
_ALONE = ("chosen", "chosen_response", "response_chosen", "preferred", "accepted", "preferred_output")
_CODE = re.compile(r"[a-z]{2,3}([-_]([A-Z][A-Za-z]{1,3}|[a-z]{2}))?")


def preference(view: View) -> DatasetSpec | None:
    """The better and the worse of two responses, or responses that were judged one by one."""
    for better, worse in CHOSEN:
        chosen, rejected = (_response_of_pair(view, plain) for plain in (better, worse))
        if chosen is None or rejected is None:
            continue
        graded = (tuple(view.actual.get(plain, "") for plain in pair) for pair in CHOSEN_SCORES)
        scores = next((g for g in graded if all(view.kinds.get(n) in ("integer", "number") for n in g)), ())
        draft = DatasetSpec("preference", chosen_field=chosen, rejected_field=rejected, score_fields=scores)
        columns = [view.actual[better], view.actual[worse]]
        several = [name for name in columns if any(len(v) > 1 for v in view.columns[name] if _is_texts(v))]
        if better not in _ALONE and not _has_prompt(prompted(view, draft)):
            raise UnclearError(
                f"{' and '.join(map(repr, columns))} may be two responses, but there is no prompt", draft
            )
        if several:
            named = " and ".join(map(repr, several))
            raise UnclearError(f"{named} hold several responses a row", prompted(view, draft))
        return prompted(view, draft)
    return _judged(view) or _ranked(view)


def _has_prompt(draft: DatasetSpec) -> bool:
    return bool(draft.text_fields or draft.messages_field)


def _judged(view: View) -> DatasetSpec | None:
    """Responses that were judged one by one, and a worse response beside a conversation that ends with the better."""
    chats = [name for name, kind in view.kinds.items() if kind == "chat"]
    other = next((view.actual[plain] for plain in WORSE if view.has(plain, "text")), None)
    if len(chats) == 1 and other:
        return DatasetSpec("preference", chosen_field=chats[0], rejected_field=other)
    for plain in ("label", *JUDGEMENTS):
        if not (view.has(plain, "boolean") or _says_true(view, plain)):
            continue
        names = JUDGED if plain == "label" else (*JUDGED, "answer")
        judged = [view.actual[name] for name in names if view.has(name, "text", "chat")]
        if len(judged) == 1 and view.distinct(judged[0]) > 2:
            draft = DatasetSpec("preference", answer_field=judged[0], label_field=view.actual[plain])
            return prompted(view, draft)
        if len(chats) == 1 and not judged:
            return DatasetSpec("preference", messages_field=chats[0], label_field=view.actual[plain])
    return None


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _ranked(view: View) -> DatasetSpec | None:
    """Responses in a list that says how good each is: the best and the worst, where they are sorted so."""
    for plain in RANKED:
        name = view.actual.get(plain)
        if name is None or view.kinds[name] not in ("list of texts", "list"):
            continue
        rows = [value for value in view.columns[name] if value]
        inner, grades = "", [view.actual[g] for g in GRADES if g in view.actual]
        rise: list[Sequence[Any]] = [v for g in grades[:1] for v in view.columns[g] if isinstance(v, list)]
        grade = grades[0] if grades else ""
        if view.kinds[name] == "list" and all(isinstance(item, Mapping) for row in rows for item in row):
            first = rows[0][0]
            inner = next((k for k in RESPONSE_KEYS if isinstance(first.get(k), str) or is_chat(first.get(k))), "")
            grade = next((key for key in first if plain_name(key) in GRADES), "")
            rise = [[item.get(grade) for item in row] for row in rows]
            if not inner:
                continue
        if not grade or not rise or not all(isinstance(n, int | float) for row in rise for n in row):
            continue
        ending = f".{inner}" if inner else ""
        draft = DatasetSpec("preference", chosen_field=f"{name}[0]{ending}", rejected_field=f"{name}[-1]{ending}")
        upwards = "rank" in plain_name(grade)
        if all(list(row) == sorted(row, reverse=not upwards) for row in rise):
            # By the grades of each row, ties are known, and rows that are sorted otherwise.
            ends = (f"{name}[0].{grade}", f"{name}[-1].{grade}") if inner else (f"{grade}[0]", f"{grade}[-1]")
            return prompted(view, draft) if upwards else _graded(prompted(view, draft), ends)
        raise UnclearError(
            f"the responses in {name!r} are not sorted by {grade!r}, the best one first; sort them, or name two by a "
            "path",
            prompted(view, draft),
        )
    return None


def _graded(draft: DatasetSpec, grades: tuple[str, str]) -> DatasetSpec:
    """The same two responses, of which their grades say the better one."""
    both = draft.chosen_field or "", draft.rejected_field or ""
    return replace(draft, chosen_field=None, rejected_field=None, options_fields=both, score_fields=grades)


def translation(view: View) -> DatasetSpec | None:
    """Texts by language: which of them is translated into which is asked."""
    found = {name: codes for name in view.kinds if (codes := _codes(view, name))}
    label = view.actual.get("label")
    if len(found) > 1 and label and view.class_like(label):
        code = next(
            (code for code in ("en", *min(found.values(), key=len)) if all(code in c for c in found.values())), ""
        )
        raise UnclearError(
            f"{listed(found)} hold texts in {', '.join(next(iter(found.values())))}; the line below takes {code}",
            DatasetSpec("classification", tuple(f"{name}.{code}" for name in found), label_field=label),
        )
    for name, codes in found.items():
        if codes:
            one, other = f"{name}.{codes[0]}", f"{name}.{codes[1]}"
            raise UnclearError(
                f"{name!r} holds a text in each of {', '.join(codes)}, and nothing says which one is translated "
                "(for the other way round swap text and answer)",
                DatasetSpec("generation", (one,), answer_field=other),
            )
    return None


def _codes(view: View, name: str) -> list[str]:
    """The languages of a column that holds a text in each of them; none for any other column."""
    if view.kinds[name] != "nested object":
        return []
    first: Mapping[str, Any] = next((value for value in view.columns[name] if value), {})
    codes = [key for key, text in first.items() if _CODE.fullmatch(key) and isinstance(text, str)]
    return codes if len(codes) > 1 and len(codes) == len(first) else []


def _response_of_pair(view: View, plain: str) -> str | None:
    """The field of one of two responses: a text, a chat, or the one turn of an object."""
    name = view.actual.get(plain)
    if name is None or view.kinds[name] in ("text", "chat"):
        values = {str(value).lower() for value in view.columns[name] if value not in (None, "")} if name else set()
        # Columns of 0 and 1 are classes (positive, negative), and no responses.
        return None if values <= {"0", "1", "0.0", "1.0", "true", "false"} else name
    if view.kinds[name] == "list of texts":
        return f"{name}[0]"
    inner = ("value", *RESPONSE_KEYS)
    found = next((value for value in view.columns[name] if isinstance(value, Mapping)), {})
    inside = (*inner, "messages", "conversations")
    return next((f"{name}.{key}" for key in inside if isinstance(found.get(key), str) or is_chat(found.get(key))), None)


def _says_true(view: View, plain: str) -> bool:
    name = view.actual.get(plain)
    values = {str(value).lower() for value in view.columns[name] if value not in (None, "")} if name else set()
    return bool(values) and values <= {"true", "false"}


def prompted(view: View, draft: DatasetSpec) -> DatasetSpec:
    """A preference with its prompt, which chats may hold themselves."""
    taken = first_columns(draft.columns)
    own = view.columns.get(draft.chosen_field or "", ())
    if any(isinstance(chat, list) and len(chat) > 1 for chat in own):
        return draft
    chats = [name for name, kind in view.kinds.items() if kind == "chat" and name not in taken]
    if len(chats) > 1:
        raise UnclearError(f"the prompt could be any of: {listed(chats)}", replace(draft, messages_field=chats[0]))
    nested = [n for n, kind in view.kinds.items() if kind == "nested object" and n not in taken]
    for name in nested:
        inner: Mapping[str, Any] = next((value for value in view.columns[name] if value), {})
        if key := next((key for key, value in inner.items() if is_chat(value)), None):
            return replace(draft, messages_field=f"{name}.{key}")
    heads = {head for head, _, _ in GENERATION} - {"source", "src"}
    names = {*SYSTEM, *heads, *SINGLE, *CONTEXTS, "anchor"} if not chats else set(SYSTEM)
    usual = [name for name in view.texts(names) if name not in taken and view.telling(name)]
    texts = tuple(name for name in usual if not is_id(name))
    return replace(draft, text_fields=texts, messages_field=chats[0] if chats else None)
