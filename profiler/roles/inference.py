"""Column roles from names and values: which columns are the prompt, the options, the label, the response.

Owns the names that common layouts use, and the evidence that values give. Anything with two readings, or none, is
refused with the columns, their types and a spec to edit: nothing is guessed without saying so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from traitcast.profiler.roles.choices import choice, multiple_choice, nested_choice
from traitcast.profiler.roles.column_names import (
    GENERATION,
    JUDGED,
    LABEL_LISTS,
    LABEL_NUMBERS,
    LABELS,
    MAILS,
    PAIRS,
    PROMPTS,
    REFERENCES,
    SCORES,
    SINGLE,
    SPANS,
    SYSTEM,
    TOKENS,
    YES_NO,
    is_id,
    plain_name,
)
from traitcast.profiler.roles.columns import (
    MIN_ROWS_FOR_SHARES,
    Columns,
    View,
    are_marks,
    field_list,
    first_columns,
    mark_columns,
    values_at,
)
from traitcast.profiler.roles.compared import compared
from traitcast.profiler.roles.doubts import refuse_doubtful
from traitcast.profiler.roles.draft import (
    chat_draft,
    content,
    draft_of,
    has_substance,
    is_answered,
    longest,
)
from traitcast.profiler.roles.explanation import Inference, UnclearError, ask, explained, misfit
from traitcast.profiler.roles.nested import nested
from traitcast.profiler.roles.pairs import preference, prompted, translation
from traitcast.profiler.roles.short_roles import with_roles
from traitcast.profiler.roles.spec import DatasetSpec, parse_spec
from traitcast.profiler.roles.tagged import tagged
from traitcast.profiler.roles.values import listed, pick
from traitcast.warehouse.errors import InputError


def infer(
    columns: Columns,
    *,
    source: str = "the data",
    label_names: Mapping[str, Sequence[str]] | None = None,
    stated: Mapping[str, Any] | None = None,
) -> Inference:
    """Roles of a dataset from its column names and a sample of values.

    columns: name -> values of the sampled rows, all of one length, None where absent. source: how messages name
    the data. label_names: class names by column, where the file format carries them. stated: spec keys that are
    settled; what they leave open is inferred around them.
    Raises InputError, with a spec to edit, when no layout fits or more than one does.
    """
    # A column without a name cannot be given a role: a spec could not name it.
    view = View({name: values for name, values in columns.items() if name}, dict(label_names or {}))
    stated = dict(stated or {})
    try:
        found = _around(view, stated)
        spec = with_roles(found, stated) if stated else found
        refuse_doubtful(view, spec)
        if not spec.label_names and (names := _schema_names(view, spec)):
            spec = replace(spec, label_names=names)
        return explained(spec, view, stated)
    except UnclearError as reason:
        draft = reason.draft if reason.draft and _is_whole(reason.draft) else draft_of(view)
        if draft and stated.get("text_fields") and draft.response_field not in stated["text_fields"]:
            draft = replace(draft, text_fields=tuple(stated["text_fields"]), optional_fields=())
        if proposal := nested(view, source):
            raise InputError(ask(view, source, proposal.reason, proposal.draft, proposal.command)) from None
        raise InputError(ask(view, source, str(reason), draft)) from None


def _is_whole(draft: DatasetSpec) -> bool:
    """Whether a draft has all the roles that its task type needs."""
    try:
        parse_spec(draft.roles())
    except InputError:
        return False
    return True


def _layouts(view: View, task_type: str | None = None, answer_form: str | None = None) -> DatasetSpec:
    """The first layout that fits, of a task type if that is settled."""
    for layout in (
        preference,
        compared,
        translation,
        _chat,
        multiple_choice,
        nested_choice,
        partial(compared, weak=True),
        _generation,
        _annotated,
        _classification,
        _scored,
    ):
        try:
            found = layout(view)
        except UnclearError as unclear:
            settled = unclear.draft is not None and answer_form in unclear.forms
            found = replace(unclear.draft, answer_form=answer_form) if settled and unclear.draft else None
            if found is None and task_type in (None, unclear.draft.task_type if unclear.draft else None):
                raise
        if found is not None and task_type in (None, found.task_type):
            return found
    raise UnclearError(misfit(view))


def _around(view: View, stated: Mapping[str, Any]) -> DatasetSpec:
    """Roles for what is not stated, the stated ones among them only as far as they help to find these."""
    form, task_type, texts = stated.get("answer_form"), stated.get("task_type"), stated.get("text_fields")
    response = next((field_list(stated[key]) for key in _RESPONSE_KEYS if stated.get(key)), None)
    options = {key: stated[key] for key in ("options_field", "options_fields") if stated.get(key)}
    if options and "answer_field" not in stated:
        draft = DatasetSpec("multiple_choice", text_fields=tuple(texts or ()))
        return choice(view, replace(draft, **{k: _frozen(v) for k, v in options.items()}), form)
    if response is None:
        return _response_of(view, texts, task_type, form) if texts else _layouts(view, task_type, form)
    taken = first_columns([*response, *(field for value in options.values() for field in field_list(value))])
    if stated.get("tags_field"):
        tokens = (view.actual.get(plain) for plain in TOKENS)
        prompt = tuple(name for name in tokens if name and name not in taken)[:1]
    elif stated.get("answer_field") and not set(_usual(view)) - taken:
        # A corpus of plain texts has no prompts, and its other columns say where they come from.
        prompt = ()
    else:
        known = {key: _frozen(stated[key]) for key in _RESPONSE_KEYS if stated.get(key)}
        kind = task_type or ("classification" if "label_field" in known else "generation")
        draft = replace(DatasetSpec(kind), **known)
        prompt = _prompt(view, taken, f"the response is stated ({listed(response)})", draft)
    return DatasetSpec("generation", text_fields=prompt)


def _response_of(view: View, texts: Sequence[str], task_type: str | None, form: str | None) -> DatasetSpec:
    """The roles where the prompt is stated: what else might be a prompt is left out of the search."""
    hidden = {name for name in view.columns if plain_name(name) in PROMPTS} | first_columns(texts)
    rest = {name: values for name, values in view.columns.items() if name not in hidden}
    head = values_at(view.columns, texts[0])
    found = _layouts(View({"prompt": head, **rest}, view.label_names), task_type, form)
    return replace(found, text_fields=tuple(texts), optional_fields=())


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


_RESPONSE_KEYS = (
    "label_field",
    "answer_field",
    "labels_field",
    "labels_fields",
    "tags_field",
    "spans_field",
)


def _schema_names(view: View, spec: DatasetSpec) -> tuple[str, ...]:
    field = spec.label_field or spec.labels_field or spec.tags_field
    return tuple(view.label_names.get(field, ())) if field else ()


def _chat(view: View) -> DatasetSpec | None:
    chats = [name for name, kind in view.kinds.items() if kind == "chat"]
    system = tuple(view.actual[plain] for plain in SYSTEM if view.has(plain, "text"))
    pair = {plain_name(name): name for name in chats}
    if both := next((both for both in _CHAT_PAIRS if set(both) == set(pair)), None):
        return DatasetSpec("generation", system, messages_field=pair[both[0]], answer_field=pair[both[1]])
    if len(chats) > 1:
        raise UnclearError(f"there are several chat columns ({listed(chats)})", chat_draft(view, chats))
    if not chats:
        return None
    draft = DatasetSpec("generation", system, messages_field=chats[0])
    answers = [view.actual[plain] for plain in _APART if view.has(plain, "text", "integer", "number")]
    if not answers or is_answered(view, chats[0]):
        return draft
    # Prompts of reinforcement learning end before the answer, which a column of its own has.
    draft = replace(draft, answer_field=answers[0])
    if len(answers) > 1:
        raise UnclearError(f"the response could be {' or '.join(answers)}", draft)
    return draft


_CHAT_PAIRS = (("prompt", "completion"), ("prompt", "response"), ("input", "output"))
_APART = ("completion", "response", "answer", "solution", "output", "target", *REFERENCES)


def _annotated(view: View) -> DatasetSpec | None:
    """Tags of tokens, spans of a text, and several labels of one text."""
    found = tagged(view)
    marks = mark_columns(view)
    classes = [name for plain, name in view.actual.items() if plain in ("label", *LABELS) and view.class_like(name)]
    # A 0/1 column called label is one of the marks by its values; the flags next to it are metadata all the same.
    if found is not None or set(classes) - set(marks) or "label" in map(plain_name, marks):
        return found
    spans = [view.actual[plain] for plain in view.actual if plain in SPANS and view.has(plain, "spans")]
    lists = [
        name
        for plain, name in view.actual.items()
        if plain in LABEL_LISTS and view.has(plain, "list of texts", "list of integers")
    ]
    found_in = spans + lists
    if not found_in and not marks:
        return None
    if lists:
        form = "marks" if are_marks(view.columns[lists[0]]) else "names"
        draft = DatasetSpec("generation", labels_field=lists[0], label_form=form)
    else:
        draft = DatasetSpec("generation", spans_field=spans[0] if spans else None, labels_fields=() if spans else marks)
    prompt = _prompt(view, {*found_in, *marks}, f"it has labels ({listed(found_in or marks)})", draft)
    draft = replace(draft, text_fields=prompt)
    if len(found_in) > 1:
        raise UnclearError(f"the labels could be {' or '.join(found_in)}", draft)
    return draft


def _scored(view: View) -> DatasetSpec | None:
    """A text or a pair with a grade: the response is the number."""
    scores = [name for plain, name in view.actual.items() if plain in SCORES and view.kinds[name] == "number"]
    if not scores:
        return None
    draft = DatasetSpec("generation", answer_field=scores[0], metric="numeric_match")
    draft = replace(draft, text_fields=_prompt(view, set(scores), f"it has a score ({scores[0]})", draft))
    others = [name for name, kind in view.kinds.items() if kind == "number" and name not in scores]
    if any("," in value for value in view.columns[scores[0]] if isinstance(value, str)):
        raise UnclearError(
            f"{scores[0]!r} may hold numbers with a decimal comma, or several classes joined by a comma: write numbers "
            "with a point, or classes as JSON lists; the line below takes the text as it is",
            draft,
        )
    if len(scores) > 1 or len(others) > _FEW_GRADES:
        raise UnclearError(f"the score could be any of {listed(scores + others, 5)}", draft)
    return draft


_FEW_GRADES = 2


def _generation(view: View) -> DatasetSpec | None:
    if "label" in view.actual and view.class_like(view.actual["label"]):
        return None
    for head, others, answers in GENERATION:
        if not view.has(head, "text"):
            continue
        fields = [field for field in (_response(view, plain) for plain in answers) if field is not None]
        prompt = tuple(name for name in view.texts({head, *others}) if view.distinct(name))
        draft = DatasetSpec("generation", text_fields=prompt, answer_field=fields[0] if fields else None)
        if len(fields) > 1:
            raise UnclearError(f"the response could be {' or '.join(fields)}", draft)
        if not fields or _is_class(view, fields[0]):
            continue
        return draft
    return None


def _response(view: View, plain: str) -> str | None:
    """The field of a response column: itself, or the first answer inside of SQuAD-like columns."""
    name = view.actual.get(plain)
    if name is None:
        return None
    kind = view.kinds[name]
    if kind in ("text", "integer", "number", "boolean"):
        return name
    if (
        kind == "list of texts"
        and plain in JUDGED
        and all(len(v) == 2 and v[0] != v[1] for v in view.columns[name] if v)
    ):
        pair = DatasetSpec("preference", chosen_field=f"{name}[0]", rejected_field=f"{name}[1]")
        raise UnclearError(
            f"{name!r} holds two responses a row, of which the first may be the better one", prompted(view, pair)
        )
    if kind == "list of texts":
        return f"{name}[0]"
    first = next((value for value in view.columns[name] if value), None)
    if isinstance(first, Mapping) and isinstance(first.get("text"), list):
        return f"{name}.text[0]"
    if isinstance(first, list) and isinstance(pick({"a": first}, "a[0].text"), str):
        return f"{name}[0].text"
    # JSON without a text of its own is what is to be written, such as the calls of tools.
    return name if name in view.packed and kind in ("list", "nested object") else None


def _is_class(view: View, field: str) -> bool:
    """Whether a response column holds classes: booleans, yes/no, or `target` with few distinct values."""
    if field not in view.columns or view.kinds[field] not in ("text", "integer", "boolean"):
        return False
    values = {str(value).strip().lower() for value in view.columns[field] if value not in (None, "")}
    if view.kinds[field] == "boolean" or (values and values <= YES_NO):
        return True
    return plain_name(field) == "target" and view.rows >= MIN_ROWS_FOR_SHARES and len(values) <= view.rows / 10


def _classification(view: View) -> DatasetSpec | None:
    label = _label(view)
    if label is None:
        return None
    known = _usual(view)
    answers = dict.fromkeys(p for _, _, found in GENERATION for p in found)
    responses = [view.actual[p] for p in answers if view.has(p, "text")]
    responses = [name for name in dict.fromkeys(responses) if name != label and name not in known]
    several = [view.actual[p] for p in (*answers, "references") if view.has(p, "list of texts")]
    if known and not responses and several and label not in several and plain_name(label) != "label":
        draft = DatasetSpec("generation", known, answer_field=f"{several[0]}[0]")
        raise UnclearError(f"it has both a label ({label}) and what may be responses ({listed(several)})", draft)
    if responses:
        spoken = [name for name in view.columns if name in (*known, *responses) or has_substance(view, name)]
        texts = tuple(name for name in spoken if name != label)
        both = DatasetSpec("classification", texts, label_field=label)
        raise UnclearError(f"it has both a label ({label}) and what may be a response ({listed(responses)})", both)
    draft = DatasetSpec("classification", label_field=label)
    return replace(draft, text_fields=_prompt(view, {label}, f"it has a label ({label})", draft))


def _usual(view: View) -> tuple[str, ...]:
    """Columns of texts that have a usual name of a prompt."""
    mail = {"subject"} if any(view.has(plain, "text") for plain in MAILS) else set()
    return view.texts({*SINGLE, *mail} | {plain for pair in PAIRS for plain in pair})


def _prompt(view: View, taken: Collection[str], present: str, draft: DatasetSpec) -> tuple[str, ...]:
    """The prompt among the columns that are not taken. present: what else there is, in words, and draft: as roles."""
    prompt = tuple(name for name in _usual(view) if name not in taken)
    for pair in PAIRS:
        names = tuple(view.actual[plain] for plain in pair if view.has(plain, "text"))
        if len(names) == len(pair) and not set(names) & set(taken) and set(prompt) <= set(names):
            return names
    if prompt:
        return prompt
    others = [n for n, kind in view.kinds.items() if kind == "text" and n not in taken and not is_id(n)]
    others = [name for name in others if view.telling(name)] or others
    if len(others) == 1:
        return (others[0],)
    what = f"the prompt could be any of: {listed(others)}" if others else "there is no other text column"
    proposed = longest(view, content(view), taken)
    raise UnclearError(f"{present}, but {what}", replace(draft, text_fields=proposed) if proposed else None)


def _label(view: View) -> str | None:
    """The label column, None when there is none."""
    usable = [plain for plain, name in view.actual.items() if view.class_like(name)]
    readable = [plain for plain in ("label_text", "label_name") if plain in usable]
    if "label" in usable:
        # SetFit writes both; the names say more than the numbers where one means the other.
        if readable and view.kinds[view.actual["label"]] == "integer" and _same_classes(view, "label", readable[0]):
            return view.actual[readable[0]]
        return view.actual["label"]
    answers = [plain for plain in ("answer", "output", "response") if plain in usable]
    answers = [plain for plain in answers if _is_class(view, view.actual[plain])]
    found = [plain for plain in usable if plain in LABELS] + answers
    found = found or [plain for plain in usable if plain in LABEL_NUMBERS][:1]
    if len(found) > 1:
        raise UnclearError(f"the label could be {' or '.join(view.actual[plain] for plain in found)}")
    return view.actual[found[0]] if found else None


def _same_classes(view: View, one: str, other: str) -> bool:
    pairs = set(zip(map(str, view.columns[view.actual[one]]), map(str, view.columns[view.actual[other]]), strict=True))
    return len(pairs) == view.distinct(view.actual[one]) == view.distinct(view.actual[other])
