"""What a user is told about inferred roles: why each column has its role, or a spec to edit where none could be found.

Owns the words and the confidence. `profiler.roles` decides.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from profiler.cells import cut, listed, shorten
from profiler.columns import View, field_list, first_columns, text_paths
from profiler.layouts import PROMPTS, SCORES, TOKENS, is_id, plain_name
from profiler.spec import DatasetSpec, short_roles

CONFIDENCES = ("high", "medium")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a column was given its role. confidence: high, medium, or stated."""

    role: str
    field: str
    confidence: str
    why: str

    def __str__(self) -> str:
        return f"{self.role} {cut(self.field, 60)} ({self.confidence}): {self.why}"


@dataclass(frozen=True, slots=True)
class Inference:
    """Inferred roles. notes: what a user is told, a line each. confidence: that of the least sure role, and medium
    when a column of texts was left out. reasons: one for each field of the roles."""

    spec: DatasetSpec
    notes: tuple[str, ...]
    confidence: str
    reasons: tuple[Reason, ...] = ()


def explained(spec: DatasetSpec, view: View, stated: Mapping[str, Any]) -> Inference:
    """Mark prompt fields that are sometimes empty as optional, and say what was found and why."""
    if len(spec.text_fields) > 1 or (spec.messages_field and spec.text_fields):
        patchy = [n for n in spec.text_fields if any(v in (None, "") for v in view.columns.get(n, ()))]
        if len(patchy) < len(spec.text_fields) or spec.messages_field:
            spec = replace(spec, optional_fields=tuple(patchy))
    roles = ", ".join(f"{key} {_shown(value)}" for key, value in spec.roles().items() if key != "label_names")
    unused = [name for name in view.columns if name not in first_columns(spec.columns)]
    left_out = [name for name in unused if view.kinds[name] == "text" and not is_id(name)]
    reasons = tuple(_reasons(spec, view, stated))
    sure = not left_out and all(reason.confidence != "medium" for reason in reasons)
    confidence = CONFIDENCES[0] if sure else CONFIDENCES[1]
    notes = [f"roles inferred from columns and values ({confidence} confidence): {roles}"]
    notes += map(str, reasons)
    if spec.label_names:
        notes.append(f"label names from the schema of the file: {listed(spec.label_names, 8)}")
    elif spec.label_field and view.kinds.get(spec.label_field) == "integer":
        notes.append(f"the labels in {spec.label_field!r} are bare numbers; name them by label_names in a spec")
    if unused:
        notes.append(f"columns not used: {listed(unused, 12)}")
    if not sure:
        notes.append(
            "if that is wrong, say which columns are meant: --roles 'text=COLUMN label=COLUMN', or --spec FILE"
        )
    return Inference(spec, tuple(notes), confidence, reasons)


def _reasons(spec: DatasetSpec, view: View, stated: Mapping[str, Any]) -> Iterator[Reason]:
    """Why each field of the roles has its role."""
    told = {field for key, value in stated.items() if key.endswith(("field", "fields")) for field in field_list(value)}

    def reason(role: str, field: str, why: str, *, sure: bool = True) -> Reason:
        if field in told:
            return Reason(role, field, "stated", "by --roles")
        return Reason(role, field, CONFIDENCES[0] if sure else CONFIDENCES[1], why)

    for name in spec.text_fields:
        usual = plain_name(name) in PROMPTS or plain_name(name) in TOKENS
        why = "a usual name of a prompt" if usual else "the only column of texts that is left"
        yield reason("prompt", name, why, sure=usual)
    if spec.options_field or spec.options_fields:
        yield reason(
            "options", spec.options_field or ", ".join(spec.options_fields), "texts for an answer to choose from"
        )
    if spec.label_field:
        yield reason("label", spec.label_field, _class_words(view, spec.label_field))
    elif spec.messages_field:
        yield reason("messages", spec.messages_field, "lists of turns; the last of the assistant is the response")
    elif spec.labels_field:
        yield reason("labels", spec.labels_field, "lists of labels; the response names all that apply")
    elif spec.labels_fields:
        several = ", ".join(spec.labels_fields)
        yield reason("labels", several, "0 or 1 in every row; the response names those with 1", sure=False)
    elif spec.tags_field:
        yield reason("tags", spec.tags_field, "a tag for every token; the response lists the tagged spans or the tags")
    elif spec.spans_field:
        yield reason("spans", spec.spans_field, "marked parts of the text; the response lists them with their types")
    if spec.answer_field:
        yield reason(*_answer_words(spec, view), sure=True)


def _class_words(view: View, field: str) -> str:
    if field not in view.columns:
        return "a class per row"
    return f"{view.distinct(field):,} different values in {view.rows:,} rows"


def _answer_words(spec: DatasetSpec, view: View) -> tuple[str, str, str]:
    """(role, field, why) of an answer."""
    field = spec.answer_field or ""
    if spec.task_type == "multiple_choice":
        return "answer", field, f"names one of the options in every row (answer_form: {spec.answer_form})"
    if view.kinds.get(field) == "number" and plain_name(field) in SCORES:
        return "score", field, "numbers with fractions are grades and no classes; the response is the number"
    return "response", field, "a usual name of a response"


def draft_of(view: View) -> DatasetSpec:
    """Roles to start from where no layout fits: a class if a column may hold one, else an answer."""
    label = view.actual.get("label")
    if label is not None and view.kinds[label] in ("number", "mixed types") and not view.class_like(label):
        beside = tuple(name for name, kind in view.kinds.items() if kind == "text" and not is_id(name))
        return DatasetSpec("generation", text_fields=beside[:2], answer_field=label)
    texts = [name for name, kind in view.kinds.items() if kind == "text" and not is_id(name)]
    inside = [path for name, kind in view.kinds.items() if kind == "nested object" for path in text_paths(view, name)]
    if not texts and inside:
        return DatasetSpec("generation", text_fields=tuple(inside[:-1][:2]), answer_field=inside[-1])
    labels = [name for name in view.kinds if view.class_like(name) and not is_id(name)]
    if labels and len(texts) > (labels[-1] in texts):
        prompt = [name for name in texts if name != labels[-1]]
        return DatasetSpec("classification", text_fields=tuple(prompt[:2]), label_field=labels[-1])
    last = texts[-1] if texts else next(iter(view.columns), "answer")
    return DatasetSpec("generation", text_fields=tuple(texts[:-1][:2]), answer_field=last)


def ask(view: View, source: str, reason: str, draft: DatasetSpec) -> str:
    """What to tell the user when roles cannot be inferred: columns with types, and a spec to edit."""
    lines = "\n".join(f"  {line}" for line in draft.to_yaml().splitlines())
    columns = [_with_paths(view, name) for name in view.kinds]
    return (
        f"{source}: cannot tell the roles of the columns: {reason}.\n"
        f"Columns: {', '.join(columns[:30])}{f', ... ({len(columns):,} in all)' if len(columns) > 30 else ''}\n"
        f"Name them, for example: traitcast profile {shlex.quote(source)} --roles {shlex.quote(short_roles(draft))}\n"
        "or say what they are in a file such as roles.yaml, then run: "
        f"traitcast profile {shlex.quote(source)} --spec roles.yaml\n"
        f"A draft to edit (task_type: classification, multiple_choice or generation):\n{lines}"
    )


def _with_paths(view: View, name: str) -> str:
    """A column, its kind, and the paths that a spec could name inside of it."""
    paths = text_paths(view, name)
    inside = f"; inside: {listed(paths, 6)}" if paths and view.kinds[name] == "nested object" else ""
    return f"{cut(name, 40)} ({view.kinds[name]}{inside})"


def misfit(view: View) -> str:
    """Why no layout fits: often a label column that holds no classes."""
    name = view.actual.get("label")
    if name is None or view.class_like(name):
        return "its columns fit no known layout"
    if view.kinds[name] == "empty":
        return f"{shorten(name)} is empty in all {view.rows:,} rows; if another split has labels, choose it by --split"
    if view.kinds[name] in ("text", "integer"):
        return f"{shorten(name)} has {view.distinct(name)} distinct values in {view.rows} rows, too many for classes"
    return f"{shorten(name)} holds {view.kinds[name]}, but a class is a text, an integer or a boolean"


def _shown(value: Any) -> str:
    return " + ".join(cut(item) for item in value) if isinstance(value, list) else cut(str(value))
