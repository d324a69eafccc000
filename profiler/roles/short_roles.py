"""Roles in short, as a command line states them: "text=title,body label=stars".

Owns the short names, reading and writing them, and what a stated role replaces.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from traitcast.profiler.roles.spec import RESPONSES, ROLE_KEYS, DatasetSpec, parse_spec
from traitcast.profiler.roles.values import shorten
from traitcast.warehouse.errors import InputError, nearest

# Short names of roles for a command line: (key for one column, key for several).
ROLE_WORDS: dict[str, tuple[str | None, str | None]] = {
    "text": (None, "text_fields"),
    "label": ("label_field", None),
    "labels": ("labels_field", "labels_fields"),
    "answer": ("answer_field", None),
    "options": ("options_field", "options_fields"),
    "messages": ("messages_field", None),
    "tags": ("tags_field", None),
    "spans": ("spans_field", None),
    "chosen": ("chosen_field", None),
    "rejected": ("rejected_field", None),
    "scores": (None, "score_fields"),
}
_ROLE_OPTIONS = ("task_type", "answer_form", "label_form", "metric")


def parse_roles(stated: Sequence[str], where: str = "--roles") -> dict[str, Any]:
    """Spec keys from texts such as "text=title,body label=stars", several of them being one.

    The short names are those of ROLE_WORDS; a name with a blank or a comma needs a spec file. Raises InputError.
    """
    found: dict[str, Any] = {}
    for text in stated:
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise InputError(f"{where} {text!r}: {error}; write for example: {where} 'text=title,body'") from None
        for word in words:
            short, mark, value = word.partition("=")
            fields = [field for field in value.split(",") if field]
            allowed = [*ROLE_WORDS, *_ROLE_OPTIONS]
            if short not in allowed:
                hint = nearest(short[:100], allowed)
                raise InputError(f"{where}: no role {shorten(short)}{hint} Roles: {', '.join(allowed)}")
            if not mark or not fields:
                raise InputError(f"{where}: {short} names no column; write {short}=COLUMN")
            found |= _role(short, fields, where)
    return found


def is_complete(stated: Mapping[str, Any]) -> bool:
    """Whether stated roles leave nothing to infer."""
    if stated.get("messages_field") or (stated.get("chosen_field") and stated.get("rejected_field")):
        return True
    if stated.get("task_type") == "preference" and stated.get("options_fields"):
        return bool(stated.get("answer_field") or stated.get("score_fields"))
    if stated.get("options_field") or stated.get("options_fields"):
        return bool(stated.get("text_fields") and stated.get("answer_field"))
    response = any(stated.get(key) for key in (*RESPONSES, "label_field"))
    return response and bool(stated.get("text_fields")) and stated.get("task_type") != "multiple_choice"


def _role(short: str, fields: list[str], where: str) -> dict[str, Any]:
    one, many = ROLE_WORDS.get(short, (short, None))
    if many is not None and (one is None or len(fields) > 1):
        return {many: fields}
    if len(fields) > 1:
        raise InputError(f"{where}: {short} names {len(fields)} columns ({', '.join(fields)}), but takes one")
    return {str(one): fields[0]}


def short_roles(spec: DatasetSpec) -> str:
    """Roles as `parse_roles` reads them, for a message: "text=title,body label=stars"."""
    words = []
    for short, keys in ROLE_WORDS.items():
        fields = [field for key in keys if key for field in _listed(getattr(spec, key))]
        if fields:
            words.append(f"{short}={','.join(fields)}")
    if spec.is_compared:
        words.insert(0, "task_type=preference")
    if spec.answer_form and (spec.task_type == "multiple_choice" or spec.is_compared):
        words.append(f"answer_form={spec.answer_form}")
    return shlex.join(words) if any(" " in word for word in words) else " ".join(words)


def with_texts(spec: DatasetSpec, more: Sequence[str]) -> str:
    """The roles, quoted for a shell, in which some columns belong to the prompt too."""
    return shlex.quote(short_roles(DatasetSpec("generation", (*spec.text_fields, *more))))


def stated_columns(stated: Mapping[str, Any]) -> list[str]:
    """The columns that stated roles name."""
    return [name for key, value in stated.items() if key.endswith(("field", "fields")) for name in _listed(value)]


def _listed(value: str | Sequence[str] | None) -> Sequence[str]:
    return (value,) if isinstance(value, str) else value or ()


def with_roles(spec: DatasetSpec, stated: Mapping[str, Any], where: str = "--roles") -> DatasetSpec:
    """`spec` with some roles replaced. A new response takes the place of any old one."""
    document: dict[str, Any] = spec.roles()
    if any(key in stated for key in (*RESPONSES, "label_field", "chosen_field")):
        kept = ("options_field", "options_fields") if _keeps_options(spec, stated) else ()
        document = {key: document[key] for key in ("text_fields", "optional_fields", *kept) if key in document}
    if "options_field" in stated or "options_fields" in stated:
        document = {key: value for key, value in document.items() if key not in ("options_field", "options_fields")}
        document.pop("task_type", None)
    if "messages_field" in stated:
        document.pop("text_fields", None)
    document |= stated
    texts = document.get("text_fields", [])
    if "optional_fields" in document:
        document["optional_fields"] = [name for name in document["optional_fields"] if name in texts]
    parsed = parse_spec({key: value for key, value in document.items() if value}, where=where)
    metric = spec.metric if parsed.task_type == spec.task_type and "metric" not in stated else parsed.metric
    roles = {key: getattr(parsed, key) for key in (*ROLE_KEYS, "label_codes", "task_type", *stated)}
    return replace(spec, **(roles | {"metric": metric}))


def _keeps_options(spec: DatasetSpec, stated: Mapping[str, Any]) -> bool:
    return spec.task_type == "multiple_choice" and "answer_field" in stated and "task_type" not in stated
