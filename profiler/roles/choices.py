"""Roles of a multiple choice: its options in a list or in columns of their own, its question, and its answer.

Owns what shows that texts are to choose from, and asks where an answer names none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from traitcast.profiler.roles.column_names import (
    CONTEXTS,
    MC_ANSWERS,
    MC_PROMPT,
    OPTION_COLUMN,
    OPTION_STEMS,
    OPTIONS,
    SYSTEM,
    is_id,
    plain_name,
)
from traitcast.profiler.roles.columns import View
from traitcast.profiler.roles.draft import by_last_name, content, longest
from traitcast.profiler.roles.explanation import UnclearError
from traitcast.profiler.roles.multiple_choice import answer_forms
from traitcast.profiler.roles.spec import DatasetSpec

# Of the answers, that name an option by a letter or its text: the others are slips.
_MOST = 0.9

# Numbers are options too, and a list that is padded with null is a list of nothing in particular.
_OPTION_LISTS = ("list of texts", "list of integers", "list", "keyed options")


def multiple_choice(view: View) -> DatasetSpec | None:
    """Options with an answer that names one of them; None where there are none. Raises UnclearError."""
    lists = [view.actual[plain] for plain in OPTIONS if view.has(plain, *_OPTION_LISTS)]
    if not lists and view.has("answers", "keyed options") and view.has("ra", "integer", "text"):
        # HEAD-QA; anywhere else answers are not for choosing.
        lists = [view.actual["answers"]]
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
    if len(lists) + len(groups) > 1:
        where = " or ".join([*lists, *(", ".join(group) for group in groups)])
        raise UnclearError(f"the options could be in {where}", _choice_draft(view, draft, _answer_columns(view, draft)))
    # Columns a, b, c may be anything; only an answer that names one of them in most rows makes them options.
    is_choice = lists or _are_called_options(options_fields) or _fits(view, draft)
    return choice(view, draft) if is_choice else None


def _are_called_options(names: Sequence[str]) -> bool:
    found = [OPTION_COLUMN.fullmatch(plain_name(name)) for name in names]
    return all(match is not None and match[1] in OPTION_STEMS for match in found)


def nested_choice(view: View) -> DatasetSpec | None:
    """Options and a question inside of an object: {"question": {"stem": ..., "choices": [...]}, "answerKey": "A"}."""
    if "nested object" not in view.kinds.values():
        return None
    try:
        return multiple_choice(by_last_name(view))
    except UnclearError:
        return None


def choice(view: View, draft: DatasetSpec, form: str | None = None) -> DatasetSpec:
    """The question, the answer and its form where the options are settled."""
    if not draft.text_fields:
        named = {*MC_PROMPT, *CONTEXTS, *SYSTEM}
        draft = replace(draft, text_fields=tuple(n for n in view.texts(named) if n not in draft.columns))
    fits = _fits(view, draft)
    if not fits:
        reason = "there are options, but no column that names the right one in every row"
        raise UnclearError(reason, _choice_draft(view, draft, fits))
    if not draft.text_fields:
        reason = "there are options, but no known column for the question"
        raise UnclearError(reason, _choice_draft(view, draft, fits))
    answer, forms = fits[0]
    if len(forms) > 1 and form not in forms:
        reason = f"the answers in {answer!r} could be read as answer_form: {' or '.join(forms)}"
        raise UnclearError(reason, _choice_draft(view, draft, fits), forms)
    return replace(draft, answer_field=answer, answer_form=form if form in forms else forms[0])


def _choice_draft(view: View, draft: DatasetSpec, fits: Sequence[tuple[str, tuple[str, ...]]]) -> DatasetSpec | None:
    """A draft with what is still missing: a column that names the right option, and texts for the question."""
    fits = fits or _answer_columns(view, draft, [plain for plain, name in view.actual.items() if not is_id(name)])
    if not fits:
        return None
    answer, forms = fits[0]
    texts = longest(view, content(view), (answer, *draft.columns))
    prompt = tuple(name for name in draft.text_fields if name != answer) or texts
    return replace(draft, text_fields=prompt, answer_field=answer, answer_form=forms[0]) if prompt else None


def _fits(view: View, draft: DatasetSpec) -> list[tuple[str, tuple[str, ...]]]:
    """The columns whose answers all name an option, else those where nearly all do by its letter or text: a row of the
    others is refused."""
    if exact := _answer_columns(view, draft):
        return exact
    found = _answer_columns(view, draft, least=_MOST)
    named = [(name, tuple(form for form in forms if form in ("letter", "text"))) for name, forms in found]
    return [(name, forms) for name, forms in named if forms]


def _answer_columns(
    view: View, draft: DatasetSpec, names: Sequence[str] = MC_ANSWERS, least: float = 1.0
) -> list[tuple[str, tuple[str, ...]]]:
    """(column, readings) for each of some columns that can name the right option in a share of the sampled rows."""
    found = []
    taken = (*draft.options_fields, *draft.text_fields)
    rows = [{column: values[i] for column, values in view.columns.items()} for i in range(view.rows)]
    for plain in names:
        name = view.actual.get(plain)
        if name is None or name in taken or view.kinds[name] not in ("text", "integer", "list of texts"):
            continue
        forms = answer_forms(rows, replace(draft, answer_field=name), least)
        if forms:
            found.append((name, forms))
    return found


def _option_columns(view: View) -> list[tuple[str, ...]]:
    """Groups such as option_a, option_b, ... or choice1, ..., choice12 or A, B, C, D."""
    groups: dict[tuple[str, bool], dict[int, str]] = {}
    for plain, name in view.actual.items():
        match = OPTION_COLUMN.fullmatch(plain)
        # Of questions with different numbers of options, a sample may leave the last columns empty.
        if match and view.kinds[name] in ("text", "integer", "number", "empty"):
            numbered = match[2].isdigit()
            place = int(match[2]) if numbered else ord(match[2]) - ord("a")
            groups.setdefault((match[1] or "", numbered), {}).setdefault(place, name)
    found = []
    for (stem, numbered), members in groups.items():
        places = sorted(members)
        consecutive = places == list(range(places[0], places[0] + len(places)))
        filled = any(view.kinds[name] != "empty" for name in members.values())
        if consecutive and filled and places[0] <= numbered and len(places) >= (2 if stem else 3):
            found.append(tuple(members[place] for place in places))
    return found
