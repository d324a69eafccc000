"""What is said about inferred roles: why each column has its role, or a spec to edit where none could be found.

Owns the words and the confidence. `profiler.roles.inference` decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click

from traitcast.profiler.roles.column_names import OPTIONS, PAIRS, PROMPTS, SCORES, TOKENS, is_id, plain_name
from traitcast.profiler.roles.columns import View, first_columns
from traitcast.profiler.roles.draft import empty_label, has_substance, nested_paths
from traitcast.profiler.roles.short_roles import short_roles, stated_columns
from traitcast.profiler.roles.spec import TASK_TYPES, DatasetSpec
from traitcast.profiler.roles.values import IN_MEMORY, cut, listed, shorten
from traitcast.warehouse.console import command

CONFIDENCES = ("high", "medium")
# What a prompt may be made of besides texts, where its names say so.
_NESTED = ("list of texts", "list", "nested object", "mixed types")
_ASKED = (PROMPTS | {name for pair in PAIRS for name in pair}) - {*OPTIONS, "history", "news", "page"}


class UnclearError(Exception):
    """Why the roles have two readings or none. draft: the roles that the columns look like, where they look so.
    forms: the answer forms between which it could not be decided."""

    def __init__(self, reason: str, draft: DatasetSpec | None = None, forms: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.draft, self.forms = draft, forms


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
    """Inferred roles.

    Parameters
    ----------
    notes
        What to tell the user, a line each.
    confidence
        That of the least sure role, and medium where a column of texts was left out.
    reasons
        One for each field of the roles.
    left_out
        Columns of texts of substance that have no role.
    unread
        Columns with a usual name of a prompt that hold no text, and have no role.
    """

    spec: DatasetSpec
    notes: tuple[str, ...]
    confidence: str
    reasons: tuple[Reason, ...] = ()
    left_out: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


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
    substance = tuple(name for name in unused if _is_left_out(view, name, spec))
    nested = [
        name for name in unused if view.kinds[name] in _NESTED and plain_name(name) in _ASKED and view.distinct(name)
    ]
    return Inference(spec, tuple(notes), confidence, reasons, substance, tuple(nested))


def _reasons(spec: DatasetSpec, view: View, stated: Mapping[str, Any]) -> Iterator[Reason]:
    """Why each field of the roles has its role."""
    named = stated_columns(stated)

    def reason(role: str, field: str, why: str, *, sure: bool = True) -> Reason:
        if field in named:
            return Reason(role, field, "stated", "by --roles")
        return Reason(role, field, CONFIDENCES[0] if sure else CONFIDENCES[1], why)

    for name in spec.text_fields:
        usual = plain_name(name) in PROMPTS or plain_name(name) in TOKENS
        why = "a usual name of a prompt" if usual else "the only column of texts that is left"
        yield reason("prompt", name, why, sure=usual)
    if spec.options_field or spec.options_fields:
        what = "two responses, of which the rows say the better one" if spec.is_compared else "texts to choose from"
        yield reason("options", spec.options_field or ", ".join(spec.options_fields), what)
    if spec.label_field:
        yield reason("label", spec.label_field, _class_words(view, spec.label_field))
    elif spec.messages_field:
        last = "; the last of the assistant is the response" if not spec.chosen_field and not spec.answer_field else ""
        yield reason("messages", spec.messages_field, f"lists of turns{last}")
    elif spec.labels_field:
        yield reason("labels", spec.labels_field, "lists of labels; the response names all that apply")
    elif spec.labels_fields:
        several = ", ".join(spec.labels_fields)
        yield reason("labels", several, "0 or 1 in every row; the response names those with 1", sure=False)
    elif spec.tags_field:
        yield reason("tags", spec.tags_field, "a tag for every token; the response lists the tagged spans or the tags")
    elif spec.spans_field:
        yield reason("spans", spec.spans_field, "marked parts of the text; the response lists them with their types")
    for field, which in ((spec.chosen_field, "better"), (spec.rejected_field, "worse")):
        if field:
            yield reason("chosen" if which == "better" else "rejected", field, f"a usual name of the {which} response")
    if spec.score_fields:
        yield reason("scores", ", ".join(spec.score_fields), "numbers that grade both responses")
    if spec.answer_field:
        yield reason(*_answer_words(spec, view), sure=True)


def _class_words(view: View, field: str) -> str:
    if field not in view.columns:
        return "a class per row"
    return f"{view.distinct(field):,} different values in {view.rows:,} rows"


def _answer_words(spec: DatasetSpec, view: View) -> tuple[str, str, str]:
    """(role, field, why) of an answer."""
    field = spec.answer_field or ""
    if spec.is_compared:
        return "answer", field, f"names the better response in every row (answer_form: {spec.answer_form})"
    if spec.task_type == "multiple_choice":
        return "answer", field, f"names one of the options in every row (answer_form: {spec.answer_form})"
    if view.kinds.get(field) == "number" and plain_name(field) in SCORES:
        return "score", field, "numbers with fractions are grades and no classes; the response is the number"
    return "response", field, "a usual name of a response"


def ask(view: View, source: str, reason: str, draft: DatasetSpec | None, flatten: str = "") -> str:
    """What to tell the user when roles cannot be inferred.

    Parameters
    ----------
    view
        A sample of the rows.
    source
        The path or id of the data, as the command takes it.
    reason
        Why the roles cannot be inferred.
    draft
        The best guess, None where nothing can be proposed.
    flatten
        A command that writes the rows of a nested file as an example a line.

    Returns
    -------
    str
        The columns with their kinds, and a command and a spec to edit.
    """
    columns = [_with_paths(view, name) for name in view.kinds]
    message = (
        f"{source}: cannot tell the roles of the columns: {reason}.\n"
        f"Columns: {', '.join(columns[:30])}{f', ... ({len(columns):,} in all)' if len(columns) > 30 else ''}\n"
    )
    if flatten:
        message += f"To write an example a line: {flatten}\n"
    if draft is None and flatten:
        return message.rstrip()
    if draft is None:
        return (
            f"{message}No column holds texts that could be a prompt and a response. If there are some, name them: "
            f"{_again(source, roles='text=COLUMN answer=COLUMN')}"
        )
    lines = "\n".join(f"  {line}" for line in draft.to_yaml().splitlines())
    left_out = [cut(name, 60) for name in view.columns if _is_left_out(view, name, draft)]
    unused = f"It leaves out {listed(left_out, 8)}.\n" if left_out else ""
    if not _can_be_said(draft):
        # A name with a comma in it.
        return (
            f"{message}{unused}Write the roles into a file such as roles.yaml, then run: "
            f"{_again(source, spec='roles.yaml')}\n"
            f"The best guess (task_type: {', '.join(TASK_TYPES)}):\n{lines}"
        )
    return (
        f"{message}The best guess is: {_again(source, roles=short_roles(draft))}\n{unused}"
        "If other columns are meant, name them in that line, or in a file such as roles.yaml, then run: "
        f"{_again(source, spec='roles.yaml')}\n"
        f"A draft to edit (task_type: {', '.join(TASK_TYPES)}):\n{lines}"
    )


def _can_be_said(draft: DatasetSpec) -> bool:
    """Whether --roles can name the columns of some roles."""
    return not any(mark in name for name in draft.columns for mark in ",'\"")


def _again(source: str, **option: str) -> str:
    """What to run, with one option more: the command that is running, as far as it needs nothing else."""
    ((name, value),) = option.items()
    if source == IN_MEMORY:
        return f"traitcast.profile(data, {name}={value!r})"
    running = click.get_current_context(silent=True)
    asking = "check" if running is not None and running.info_name in ("check", "filter") else "profile"
    return command(asking, source, f"--{name}", value)


def _with_paths(view: View, name: str) -> str:
    """A column, its kind, and the paths that a spec could name inside of it."""
    if view.kinds[name] != "nested object":
        return f"{cut(name, 40)} ({view.kinds[name]})"
    first = next((value for value in view.columns[name] if isinstance(value, Mapping) and value), {})
    return f"{cut(name, 40)} (nested object; inside: {listed(nested_paths(first, name), 6)})"


def _is_left_out(view: View, name: str, spec: DatasetSpec) -> bool:
    chats = view.columns.get(spec.messages_field or spec.chosen_field or "", ())
    if chats and all(_holds(chat, text) for chat, text in zip(chats, view.columns[name], strict=True)):
        return False
    return name not in first_columns(spec.columns) and has_substance(view, name)


def _holds(chat: Any, text: Any) -> bool:
    """Whether a text is what a turn of a conversation says: some files have the first turn by itself too."""
    said = (
        value
        for turn in (chat if isinstance(chat, list) else ())
        if isinstance(turn, Mapping)
        for value in turn.values()
    )
    return text in (None, "") or any(value == text for value in said)


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
