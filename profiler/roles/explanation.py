"""What a user is told about inferred roles: why each column has its role, or a spec to edit where none could be found.

Owns the words and the confidence. `profiler.roles.inference` decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from traitcast.profiler.roles.column_names import LABELS, PROMPTS, SCORES, TOKENS, is_id, plain_name
from traitcast.profiler.roles.columns import View, field_list, first_columns, text_paths
from traitcast.profiler.roles.spec import DatasetSpec, short_roles
from traitcast.profiler.roles.values import cut, listed, shorten
from traitcast.warehouse.console import command

# What stands in a draft for a column that nothing in the data suggests.
TEXT_BLANK, LABEL_BLANK, ANSWER_BLANK = BLANKS = ("TEXT_COLUMN", "LABEL_COLUMN", "ANSWER_COLUMN")
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
    left_out = [n for n in unused if view.kinds[n] == "text" and not is_id(n) and view.telling(n)]
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
    """Roles to start from where no layout fits: a class if a column may hold one, else an answer.

    Only columns with content are proposed; a role for which there is none holds a word to replace (see `BLANKS`).
    """
    usable = [name for name in view.kinds if not is_id(name) and view.telling(name)]
    texts = [name for name in usable if view.kinds[name] == "text"]
    label = view.actual.get("label")
    if label in usable and view.kinds[label] in ("number", "mixed types"):
        return DatasetSpec("generation", text_fields=prompt_draft(texts), answer_field=label)
    inside = [path for name, kind in view.kinds.items() if kind == "nested object" for path in text_paths(view, name)]
    if not texts and inside:
        return DatasetSpec("generation", text_fields=tuple(inside[:-1][:2]), answer_field=inside[-1])
    classes = _likely_classes(view, usable)
    if classes and set(texts) - {classes[0]}:
        return DatasetSpec("classification", prompt_draft(texts, classes[0]), label_field=classes[0])
    if empty_label(view):
        return DatasetSpec("classification", prompt_draft(texts), label_field=LABEL_BLANK)
    if not texts:
        return DatasetSpec("generation", (TEXT_BLANK,), answer_field=ANSWER_BLANK)
    if len(texts) == 1:
        # What is asked is a text; the answer is then inside a nested column, or for the user to name.
        return DatasetSpec("generation", (texts[0],), answer_field=inside[0] if inside else ANSWER_BLANK)
    kept = [name for name in texts if plain_name(name) != "rejected"]
    return DatasetSpec("generation", text_fields=tuple(kept[:-1][:2]) or (TEXT_BLANK,), answer_field=kept[-1])


def prompt_draft(texts: Sequence[str], response: str | None = None) -> tuple[str, ...]:
    """The first texts that are not the response as a prompt to start from; a word to replace where there is none."""
    return tuple(name for name in texts if name != response)[:2] or (TEXT_BLANK,)


def _likely_classes(view: View, usable: Sequence[str]) -> list[str]:
    """Columns whose values repeat, the likeliest class first: by a usual name, then by how few classes there are."""
    usual = {"label", *LABELS, *SCORES}
    repeats = [n for n in usable if view.class_like(n) and (view.distinct(n) < view.rows or plain_name(n) == "label")]
    return sorted(repeats, key=lambda name: (plain_name(name) not in usual, view.distinct(name)))


def empty_label(view: View) -> str | None:
    """A column that has the name of a label and no value in any row."""
    named = (name for plain, name in view.actual.items() if plain in ("label", *LABELS))
    return next((name for name in named if not view.distinct(name)), None)


def ask(view: View, source: str, reason: str, draft: DatasetSpec) -> str:
    """What to tell the user when roles cannot be inferred: columns with types, and a spec to edit."""
    lines = "\n".join(f"  {line}" for line in draft.to_yaml().splitlines())
    blanks = [word for word in BLANKS if word in draft.columns]
    replace_them = f"Put the name of a column in place of {' and '.join(blanks)}.\n" if blanks else ""
    columns = [_with_paths(view, name) for name in view.kinds]
    return (
        f"{source}: cannot tell the roles of the columns: {reason}.\n"
        f"Columns: {', '.join(columns[:30])}{f', ... ({len(columns):,} in all)' if len(columns) > 30 else ''}\n"
        f"Name them, for example: {command('profile', source, '--roles', short_roles(draft))}\n"
        "or say what they are in a file such as roles.yaml, then run: "
        f"{command('profile', source, '--spec', 'roles.yaml')}\n"
        f"{replace_them}A draft to edit (task_type: classification, multiple_choice or generation):\n{lines}"
    )


def _with_paths(view: View, name: str) -> str:
    """A column, its kind, and the paths that a spec could name inside of it."""
    paths = text_paths(view, name)
    inside = f"; inside: {listed(paths, 6)}" if paths and view.kinds[name] == "nested object" else ""
    return f"{cut(name, 40)} ({view.kinds[name]}{inside})"


def misfit(view: View) -> str:
    """Why no layout fits: often a label column that holds no classes."""
    empty = empty_label(view)
    if empty is not None:
        return f"{shorten(empty)} is empty in all {view.rows:,} rows; if another split has labels, choose it by --split"
    name = view.actual.get("label")
    if name is None or view.class_like(name):
        return "its columns fit no known layout"
    if view.kinds[name] in ("text", "integer"):
        return f"{shorten(name)} has {view.distinct(name)} distinct values in {view.rows} rows, too many for classes"
    return f"{shorten(name)} holds {view.kinds[name]}, but a class is a text, an integer or a boolean"


def _shown(value: Any) -> str:
    return " + ".join(cut(item) for item in value) if isinstance(value, list) else cut(str(value))
