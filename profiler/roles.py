"""Column roles from names and values: which columns are the prompt, the options, the label, the response.

Owns the names that common layouts use, and the evidence that values give. Anything with two readings, or none, is
refused with the columns, their types and a spec to edit: nothing is guessed without saying so.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time
from decimal import Decimal
from typing import Any

from profiler import chat
from profiler.answers import answer_forms
from profiler.cells import cut, listed, pick, shorten
from profiler.layouts import (
    CONTEXTS,
    GENERATION,
    LABELS,
    MC_ANSWERS,
    MC_PROMPT,
    OPTION_COLUMN,
    OPTIONS,
    PAIRS,
    PROMPTS,
    SINGLE,
    SYSTEM,
    YES_NO,
    is_id,
    plain_name,
)
from profiler.spec import DatasetSpec
from warehouse.errors import InputError

Columns = Mapping[str, Sequence[Any]]

# Below this, the share of distinct values says nothing about a column.
_MIN_ROWS_FOR_SHARES = 50


@dataclass(frozen=True, slots=True)
class Inference:
    """Inferred roles. notes: the reasons, a line each. confidence: "high" or "medium" (a column was left out, or
    a name was not among the known ones)."""

    spec: DatasetSpec
    notes: tuple[str, ...]
    confidence: str


def infer(
    columns: Columns,
    *,
    source: str = "the data",
    label_names: Mapping[str, Sequence[str]] | None = None,
) -> Inference:
    """Roles of a dataset from its column names and a sample of values.

    columns: name -> values of the sampled rows, all of one length, None where absent. source: how messages name
    the data. label_names: class names by column, where the file format carries them.
    Raises InputError, with a spec to edit, when no layout fits or more than one does.
    """
    # A column without a name cannot be given a role: a spec could not name it.
    view = _View({name: values for name, values in columns.items() if name}, dict(label_names or {}))
    try:
        for layout in (_chat, _multiple_choice, _generation, _classification):
            found = layout(view)
            if found is not None:
                return _explained(found, view)
        raise _UnclearError(_misfit(view))
    except _UnclearError as reason:
        draft = reason.draft or _draft(view)
        raise InputError(_ask(view, source, str(reason), draft)) from None


class _UnclearError(Exception):
    """Why the roles have two readings or none. draft: the roles that the columns look like, where they look so."""

    def __init__(self, reason: str, draft: DatasetSpec | None = None) -> None:
        super().__init__(reason)
        self.draft = draft


class _View:
    """Columns under plain lower-case names, with the kind of their values."""

    def __init__(self, columns: Columns, label_names: Mapping[str, Sequence[str]]) -> None:
        self.columns, self.label_names = columns, label_names
        self.rows = max((len(values) for values in columns.values()), default=0)
        self.actual: dict[str, str] = {}
        for name in columns:
            self.actual.setdefault(plain_name(name), name)
        self.kinds = {name: kind_of(values) for name, values in columns.items()}

    def has(self, plain: str, *kinds: str) -> bool:
        """Whether a column of that plain name exists with one of the kinds (any text by default)."""
        name = self.actual.get(plain)
        return name is not None and self.kinds[name] in (kinds or ("text", "integer", "number"))

    def texts(self, names: Collection[str]) -> tuple[str, ...]:
        """Actual names of the text columns among plain names, in file order."""
        return tuple(name for plain, name in self.actual.items() if plain in names and self.kinds[name] == "text")

    def distinct(self, name: str) -> int:
        """Distinct values in the sample, missing ones left out."""
        return len({str(value) for value in self.columns[name] if value not in (None, "")})

    def class_like(self, name: str) -> bool:
        """Whether the values may be class labels: plain values that repeat (in a sample big enough to tell)."""
        if self.kinds[name] not in ("text", "integer", "boolean"):
            return False
        return self.rows < _MIN_ROWS_FOR_SHARES or self.distinct(name) <= self.rows / 2


def _chat(view: _View) -> DatasetSpec | None:
    chats = [name for name, kind in view.kinds.items() if kind == "chat"]
    if len(chats) > 1:
        draft = DatasetSpec("generation", messages_field=chats[0])
        raise _UnclearError(f"there are several chat columns ({listed(chats)})", draft)
    return DatasetSpec("generation", messages_field=chats[0]) if chats else None


def _multiple_choice(view: _View) -> DatasetSpec | None:
    lists = [view.actual[plain] for plain in OPTIONS if view.has(plain, "list of texts", "keyed options")]
    groups = _option_columns(view)
    if not lists and not groups:
        return None
    options_fields = () if lists else groups[0]
    prompt = tuple(name for name in view.texts({*MC_PROMPT, *CONTEXTS, *SYSTEM}) if name not in options_fields)
    draft = DatasetSpec(
        "multiple_choice",
        text_fields=prompt,
        options_field=lists[0] if lists else None,
        options_fields=options_fields,
    )
    fits = _answer_columns(view, draft)
    if len(lists) + len(groups) > 1:
        where = " or ".join([*lists, *(", ".join(group) for group in groups)])
        raise _UnclearError(f"the options could be in {where}", _choice_draft(view, draft, fits))
    if not fits:
        # Columns a, b, c may be anything; only an answer that names one of them makes them options.
        if lists:
            draft = _choice_draft(view, draft, fits)
            raise _UnclearError("there are options, but no column that names the right one in every row", draft)
        return None
    if not prompt:
        draft = _choice_draft(view, draft, fits)
        raise _UnclearError("there are options, but no known column for the question", draft)
    answer, forms = fits[0]
    if len(forms) > 1:
        draft = _choice_draft(view, draft, fits)
        raise _UnclearError(f"the answers in {answer!r} could be read as answer_form: {' or '.join(forms)}", draft)
    return replace(draft, answer_field=answer, answer_form=forms[0])


def _choice_draft(view: _View, draft: DatasetSpec, fits: Sequence[tuple[str, tuple[str, ...]]]) -> DatasetSpec:
    """A draft with what is still missing: the likeliest column for the answer, and any text for the question."""
    if fits:
        answer, form = fits[0][0], fits[0][1][0]
    else:
        known = [view.actual[plain] for plain in MC_ANSWERS if plain in view.actual]
        other = [name for name, kind in view.kinds.items() if kind in ("text", "integer") and not is_id(name)]
        free = (name for name in (*known, *reversed(other)) if name not in draft.columns)
        answer, form = next(free, "answer"), None
    texts = [name for name, kind in view.kinds.items() if kind == "text" and not is_id(name)]
    unused = [name for name in texts if name not in (answer, *draft.columns)]
    prompt = tuple(name for name in draft.text_fields if name != answer) or tuple(unused[:2]) or ("question",)
    return replace(draft, text_fields=prompt, answer_field=answer, answer_form=form)


def _answer_columns(view: _View, draft: DatasetSpec) -> list[tuple[str, tuple[str, ...]]]:
    """(column, readings) for every column that can name the right option in all sampled rows."""
    found = []
    for plain in MC_ANSWERS:
        name = view.actual.get(plain)
        taken = (*draft.options_fields, *draft.text_fields)
        if name is None or name in taken or view.kinds[name] not in ("text", "integer"):
            continue
        rows = [{column: values[i] for column, values in view.columns.items()} for i in range(view.rows)]
        forms = answer_forms(rows, replace(draft, answer_field=name))
        if forms:
            found.append((name, forms))
    return found


def _option_columns(view: _View) -> list[tuple[str, ...]]:
    """Groups such as option_a, option_b, ... or choice1, choice2 or A, B, C, D."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for plain, name in view.actual.items():
        match = OPTION_COLUMN.fullmatch(plain)
        if match and view.kinds[name] in ("text", "integer", "number"):
            groups.setdefault(match[1] or "", []).append((match[2], name))
    found = []
    for stem, members in groups.items():
        marks = sorted(members)
        first = marks[0][0]
        consecutive = all(ord(mark) == ord(first) + i for i, (mark, _) in enumerate(marks))
        if consecutive and first in "a01" and len(marks) >= (2 if stem else 3):
            found.append(tuple(name for _, name in marks))
    return found


def _generation(view: _View) -> DatasetSpec | None:
    if "label" in view.actual and view.class_like(view.actual["label"]):
        return None
    for head, beside, answers in GENERATION:
        if not view.has(head, "text"):
            continue
        fields = [field for field in (_response(view, plain) for plain in answers) if field is not None]
        prompt = tuple(name for name in view.texts({head, *beside}) if view.distinct(name))
        draft = DatasetSpec("generation", text_fields=prompt, answer_field=fields[0] if fields else None)
        if len(fields) > 1:
            raise _UnclearError(f"the response could be {' or '.join(fields)}", draft)
        if not fields or _is_class(view, fields[0]):
            continue
        return draft
    return None


def _response(view: _View, plain: str) -> str | None:
    """The field of a response column: itself, or the first answer inside of SQuAD-like columns."""
    name = view.actual.get(plain)
    if name is None:
        return None
    kind = view.kinds[name]
    if kind in ("text", "integer", "number", "boolean"):
        return name
    if kind == "list of texts":
        return f"{name}[0]"
    first = next((value for value in view.columns[name] if value), None)
    if isinstance(first, Mapping) and isinstance(first.get("text"), list):
        return f"{name}.text[0]"
    return f"{name}[0].text" if isinstance(first, list) and isinstance(pick({"a": first}, "a[0].text"), str) else None


def _is_class(view: _View, field: str) -> bool:
    """Whether a response column holds classes: booleans, yes/no, or `target` with few distinct values."""
    if field not in view.columns or view.kinds[field] not in ("text", "integer", "boolean"):
        return False
    values = {str(value).strip().lower() for value in view.columns[field] if value not in (None, "")}
    if view.kinds[field] == "boolean" or (values and values <= YES_NO):
        return True
    return plain_name(field) == "target" and view.rows >= _MIN_ROWS_FOR_SHARES and len(values) <= view.rows / 10


def _classification(view: _View) -> DatasetSpec | None:
    label = _label(view)
    if label is None:
        return None
    known = view.texts({*SINGLE} | {plain for pair in PAIRS for plain in pair})
    others = [name for name, kind in view.kinds.items() if kind == "text" and name != label and not is_id(name)]
    responses = [view.actual[p] for _, _, answers in GENERATION for p in answers if view.has(p, "text")]
    responses = [name for name in dict.fromkeys(responses) if name != label and name not in known]
    prompt = tuple(name for name in known if name != label)
    if responses:
        raise _UnclearError(f"it has both a label ({label}) and what may be a response ({listed(responses)})")
    for pair in PAIRS:
        if all(view.has(plain, "text") for plain in pair) and set(prompt) <= {view.actual[p] for p in pair}:
            prompt = tuple(view.actual[plain] for plain in pair)
            break
    if not prompt and len(others) == 1:
        prompt = (others[0],)
    if not prompt:
        what = f"the prompt could be any of: {listed(others)}" if others else "there is no text column beside it"
        raise _UnclearError(f"it has a label ({label}), but {what}")
    names = tuple(view.label_names.get(label, ()))
    return DatasetSpec("classification", text_fields=prompt, label_field=label, label_names=names)


def _label(view: _View) -> str | None:
    """The label column, None when there is none."""
    usable = [plain for plain, name in view.actual.items() if view.class_like(name)]
    readable = [plain for plain in ("label_text", "label_name") if plain in usable]
    if "label" in usable:
        # SetFit writes both; the names say more than the numbers when they stand for each other.
        if readable and view.kinds[view.actual["label"]] == "integer" and _same_classes(view, "label", readable[0]):
            return view.actual[readable[0]]
        return view.actual["label"]
    answers = [plain for plain in ("answer", "output", "response") if plain in usable]
    answers = [plain for plain in answers if _is_class(view, view.actual[plain])]
    found = [plain for plain in usable if plain in LABELS] + answers
    if len(found) > 1:
        raise _UnclearError(f"the label could be {' or '.join(view.actual[plain] for plain in found)}")
    return view.actual[found[0]] if found else None


def _same_classes(view: _View, one: str, other: str) -> bool:
    pairs = set(zip(map(str, view.columns[view.actual[one]]), map(str, view.columns[view.actual[other]]), strict=True))
    return len(pairs) == view.distinct(view.actual[one]) == view.distinct(view.actual[other])


def _explained(spec: DatasetSpec, view: _View) -> Inference:
    """Mark prompt fields that are sometimes empty as optional, and say what was found."""
    if len(spec.text_fields) > 1:
        patchy = [n for n in spec.text_fields if any(v in (None, "") for v in view.columns[n])]
        if len(patchy) < len(spec.text_fields):
            spec = replace(spec, optional_fields=tuple(patchy))
    stated = ", ".join(f"{key} {_shown(value)}" for key, value in spec.roles().items() if key != "label_names")
    used = {re.split(r"[.\[]", name, maxsplit=1)[0] for name in spec.columns} | set(spec.columns)
    unused = [name for name in view.columns if name not in used]
    strange = [name for name in spec.text_fields if plain_name(name) not in PROMPTS]
    left_out = [name for name in unused if view.kinds[name] == "text" and not is_id(name)]
    confidence = "medium" if strange or left_out else "high"
    notes = [f"roles inferred from columns and values ({confidence} confidence): {stated}"]
    if spec.label_names:
        notes.append(f"label names from the schema of the file: {listed(spec.label_names, 8)}")
    elif spec.label_field and view.kinds[spec.label_field] == "integer":
        notes.append(f"the labels in {spec.label_field!r} are bare numbers; name them by label_names in a spec")
    if unused:
        notes.append(f"columns not used: {listed(unused, 12)}")
    return Inference(spec, tuple(notes), confidence)


def _draft(view: _View) -> DatasetSpec:
    """Roles to start from where no layout fits: a class if a column may hold one, else an answer."""
    label = view.actual.get("label")
    if label is not None and view.kinds[label] in ("number", "mixed types") and not view.class_like(label):
        beside = tuple(name for name, kind in view.kinds.items() if kind == "text" and not is_id(name))
        return DatasetSpec("generation", text_fields=beside[:2], answer_field=label)
    texts = [name for name, kind in view.kinds.items() if kind == "text" and not is_id(name)]
    labels = [name for name in view.kinds if view.class_like(name) and not is_id(name)]
    if labels and len(texts) > (labels[-1] in texts):
        prompt = [name for name in texts if name != labels[-1]]
        return DatasetSpec("classification", text_fields=tuple(prompt[:2]), label_field=labels[-1])
    last = texts[-1] if texts else next(iter(view.columns), "answer")
    return DatasetSpec("generation", text_fields=tuple(texts[:-1][:2]), answer_field=last)


def _ask(view: _View, source: str, reason: str, draft: DatasetSpec) -> str:
    """What to tell the user when roles cannot be inferred: columns with types, and a spec to edit."""
    lines = "\n".join(f"  {line}" for line in draft.to_yaml().splitlines())
    return (
        f"{source}: cannot tell the roles of the columns: {reason}.\n"
        f"Columns: {listed(f'{cut(name, 40)} ({kind})' for name, kind in view.kinds.items())}\n"
        "Say what they are in a file such as roles.yaml, then run: "
        f"traitcast profile {shlex.quote(source)} --spec roles.yaml\n"
        f"A draft to edit (task_type: classification, multiple_choice or generation):\n{lines}"
    )


def _misfit(view: _View) -> str:
    """Why no layout fits: often a label column that holds no classes."""
    name = view.actual.get("label")
    if name is None or view.class_like(name):
        return "its columns fit no known layout"
    if view.kinds[name] == "empty":
        return f"{shorten(name)} is empty in all {view.rows:,} rows; if another split has labels, choose it by --split"
    if view.kinds[name] in ("text", "integer"):
        return f"{shorten(name)} has {view.distinct(name)} distinct values in {view.rows} rows, too many for classes"
    return f"{shorten(name)} holds {view.kinds[name]}, but a class is a text, an integer or a boolean"


def kind_of(values: Sequence[Any]) -> str:
    """The kind of a column: text, integer, number, boolean, chat, list of texts, keyed options, ..., or empty."""
    present = [value for value in values if value is not None and value == value]
    if not present:
        return "empty"
    tests: tuple[tuple[str, Callable[[Any], bool]], ...] = (
        ("text", lambda v: isinstance(v, str)),
        ("boolean", lambda v: isinstance(v, bool)),
        ("integer", lambda v: not isinstance(v, bool) and (isinstance(v, int) or _integral(v))),
        ("number", lambda v: not isinstance(v, bool) and isinstance(v, int | float | Decimal)),
        ("date", lambda v: isinstance(v, date | time)),
        ("binary", lambda v: isinstance(v, bytes)),
        ("empty list", lambda v: v == []),
        ("chat", lambda v: v == [] or chat.layout(v) is not None),
        ("list of texts", lambda v: isinstance(v, list) and all(isinstance(item, str) for item in v)),
        ("keyed options", lambda v: isinstance(v, Mapping) and {"text", "label"} <= set(v)),
        ("list", lambda v: isinstance(v, list)),
        ("nested object", lambda v: isinstance(v, Mapping)),
    )
    return next((kind for kind, test in tests if all(map(test, present))), "mixed types")


def _integral(value: Any) -> bool:
    return isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value)


def _shown(value: Any) -> str:
    return " + ".join(cut(item) for item in value) if isinstance(value, list) else cut(str(value))
