"""Two responses in columns of their own, of which another column says the better one.

Owns how such a verdict reads ("model_a", 1, -2, two scores), what counts as a tie, and how the columns are recognised
by their names. Where 0 and 1 may mean either response it asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from traitcast.profiler.roles.column_names import (
    COMPARED,
    COMPARED_SCORES,
    COMPARED_STEMS,
    OPTION_STEMS,
    PAIRS,
    SIGNED_VERDICTS,
    VERDICTS,
    WEAK_VERDICTS,
    plain_name,
)
from traitcast.profiler.roles.columns import View, first_columns, values_at
from traitcast.profiler.roles.draft import content, flattened, is_bookkeeping, longest
from traitcast.profiler.roles.explanation import UnclearError
from traitcast.profiler.roles.pairs import prompted
from traitcast.profiler.roles.spec import VERDICT_FORMS, DatasetSpec
from traitcast.profiler.roles.values import listed, missing, pick, shorten
from traitcast.warehouse.errors import InputError

# What a verdict says where it prefers neither response.
TIE = -1
# As judges write it; MT-bench has C for a tie.
_TIES = frozenset(
    {"tie", "ties", "tied", "tie_bothbad", "both", "bothbad", "both_bad", "both_good", "neither", "equal", "same", "c"}
    | {"equally_good", "equally_bad", "similar", "draw", "no_preference", "about_the_same"}
)
_LETTERS = {"a": 0, "b": 1}
# What the names of verdicts end in.
_ENDINGS = ("_winner", "_preference", "_preferred", "_verdict", "_choice", "_vote")
# A name such as model_a or response 1.
_NAMED = re.compile(r"(?:.*_)?([a-z]*?)_?([ab]|[0-9])")
_PROMPTS = ("prompt", "question", "instruction", "query")
_WORDS = ("", *COMPARED_STEMS, *OPTION_STEMS)
_OF = {
    "index": "0 for the first, 1 for the second",
    "number": "1 for the first, 2 for the second, 0 for a tie",
    "letter": "a name that ends in A or B",
    "text": "the text of one of the responses",
    "sign": "a number: below 0 for the first, above 0 for the second, 0 for a tie",
}


def better(row: Mapping[str, Any], spec: DatasetSpec, where: str) -> int | None:
    """Which response of a row is better.

    Parameters
    ----------
    row
        A raw row.
    spec
        A preference with two options_fields, and an answer_field or two score_fields.
    where
        The row, for messages.

    Returns
    -------
    int or None
        0 for the first, 1 for the second, TIE where neither is; None where nothing is said.

    Raises
    ------
    InputError
        For a verdict that names neither response.
    """
    if spec.score_fields:
        scores = [pick(row, name) for name in spec.score_fields]
        if any(map(missing, scores)):
            return None
        try:
            one, other = (float(score) for score in scores)
        except (TypeError, ValueError):
            raise InputError(
                f"{where}: {' and '.join(spec.score_fields)} hold {shorten(scores)}; expected numbers"
            ) from None
        return TIE if one == other else int(other > one)
    name = spec.answer_field or ""
    value = pick(row, name)
    if missing(value):
        return None
    form = spec.answer_form or "index"
    found = _read(value, form, [pick(row, option) for option in spec.options_fields] if form == "text" else ())
    if found is None:
        raise InputError(
            f"{where}: {name!r} holds {shorten(value)}, which names none of {' and '.join(spec.options_fields)}; "
            f"expected {_OF[form]}, or tie. If it is written otherwise, state answer_form: {', '.join(VERDICT_FORMS)}"
        )
    return found


def _read(value: Any, form: str, responses: Sequence[Any] = ()) -> int | None:
    """What a verdict says by a form: 0, 1 or TIE; None where it says nothing by it."""
    plain = plain_name(str(value))
    if plain in _TIES:
        return TIE
    if form == "text":
        at = [place for place, response in enumerate(responses) if str(response).strip() == str(value).strip()]
        return TIE if len(at) == 2 else at[0] if at else None
    if form == "letter":
        return _LETTERS.get(_named(plain))
    number = _number(value)
    if number is None and (named := _named(plain)).isdigit():
        number = float(named)
    if number is None:
        return None
    if form == "sign":
        return TIE if number == 0 else int(number > 0)
    if form == "number":
        return {0.0: TIE, 1.0: 0, 2.0: 1}.get(number)
    return {0.0: 0, 1.0: 1}.get(number)


def _named(plain: str) -> str:
    """The mark of a name such as model_a; "" for any other text."""
    match = _NAMED.fullmatch(plain)
    return match[2] if match and match[1] in _WORDS else ""


def _number(value: Any) -> float | None:
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        value = value.strip().lower() == "true"
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def verdict_forms(verdicts: Sequence[Any], pairs: Sequence[Sequence[Any]], name: str, marks: str) -> tuple[str, ...]:
    """The forms by which verdicts can be read, the likeliest first.

    Parameters
    ----------
    verdicts
        Values of the column.
    pairs
        The two responses of each row.
    name
        The plain name of the column.
    marks
        What the names of the two columns differ in: "ab", "01" or "12"; "" where that is unknown.

    Returns
    -------
    tuple of str
        One form where it is clear, several where they name different responses, none where none fits.
    """
    said = [(value, pair) for value, pair in zip(verdicts, pairs, strict=True) if not missing(value)]
    fits = [
        form for form in VERDICT_FORMS if said and all(_read(value, form, pair) is not None for value, pair in said)
    ]
    plain = {plain_name(str(value)) for value, _ in said} - _TIES
    if not plain or "letter" in fits or "text" in fits:
        return tuple(form for form in fits if form in ("letter", "text"))[:1]
    numbers = {number for value, _ in said if (number := _number(value)) is not None}
    if any(number < 0 for number in numbers):
        return ("sign",) if name in SIGNED_VERDICTS else ("sign", "")
    if numbers >= {0.0, 2.0} and marks != "12":
        # A tie may be 0, or 2.
        return ("number", "") if "number" in fits else ()
    if 2.0 in numbers or not numbers:
        # "response_1" names the column of that number.
        by_mark = {"01": "index", "12": "number"}.get(marks)
        fits = [form for form in fits if form == by_mark] if not numbers and by_mark else fits
        return tuple(form for form in ("number", "index") if form in fits)[:1]
    is_boolean = any(isinstance(value, bool) or plain_name(str(value)) in ("true", "false") for value, _ in said)
    if marks == "01" and "index" in fits and not is_boolean and name not in WEAK_VERDICTS:
        return ("index",)
    # 0 and 1 may be the places of the two, or say whether the first one is better.
    return ("index", "") if "index" in fits else ()


def compared(view: View, *, weak: bool = False) -> DatasetSpec | None:
    """Roles of two responses that another column compares.

    Parameters
    ----------
    view
        A sample of the rows.
    weak
        Whether `label` may say which is better, as it may say anything else.

    Returns
    -------
    DatasetSpec or None
        None where no columns are so named.

    Raises
    ------
    UnclearError
        Where a verdict may be read in two ways, or where the prompt is not clear.
    """
    found = _pair(view, weak)
    if found is None:
        return None
    pair, marks = found
    draft = DatasetSpec("preference", options_fields=pair)
    names = WEAK_VERDICTS if weak else VERDICTS
    named = [plain for plain in view.actual if plain in names or (not weak and plain.endswith(_ENDINGS))]
    named.sort(key=lambda plain: names.index(plain) if plain in names else len(names))
    verdict = next((view.actual[plain] for plain in named if view.distinct(view.actual[plain])), None)
    scores = _scores(view, marks)
    if verdict is None and not scores:
        return None
    forms: tuple[str, ...] = ()
    if verdict is not None:
        pairs = list(zip(*(values_at(view.columns, name) for name in pair), strict=True))
        forms = verdict_forms(view.columns[verdict], pairs, plain_name(verdict), marks)
    if len(forms) != 1 and scores:
        return _with_prompt(view, replace(draft, score_fields=scores))
    if verdict is None:
        return None
    if not forms:
        _refuse_unread(view, draft, verdict)
        return None
    draft = replace(draft, answer_field=verdict, answer_form=forms[0])
    if len(forms) == 1:
        return _with_prompt(view, draft)
    # Stanford's comments have 1 where the first one is better.
    if any(plain_name(name).startswith("human_ref") for name in pair):
        draft = replace(draft, options_fields=pair[::-1])
    first, second = draft.options_fields
    zero, one = {"sign": ("below 0", "above 0"), "number": ("1", "2")}.get(forms[0], ("0", "1"))
    raise UnclearError(
        f"{verdict!r} says which of {first!r} and {second!r} is better, but not how: the line below takes {zero} for "
        f"{first!r} and {one} for {second!r}; for the other way round swap the two options",
        _with_prompt(view, draft, is_draft=True),
    )


def _refuse_unread(view: View, draft: DatasetSpec, verdict: str) -> None:
    """Raise where a column may say which response is better, in no way that is known; it may be there to be learnt."""
    texts = _with_prompt(view, draft, is_draft=True).text_fields
    if not texts or any(view.kinds.get(name) != "text" for name in draft.options_fields):
        return
    fields = (*texts, *draft.options_fields)
    guess = DatasetSpec("generation", fields, answer_field=verdict)
    if view.class_like(verdict):
        guess = DatasetSpec("classification", fields, label_field=verdict)
    raise UnclearError(
        f"{verdict!r} may say which of {' and '.join(map(repr, draft.options_fields))} is better, but its values name "
        "neither; to learn the better one, write them as chosen and rejected",
        guess,
    )


def _pair(view: View, weak: bool) -> tuple[tuple[str, str], str] | None:
    """(two columns of responses, what their names differ in)."""
    groups: dict[tuple[str, str], dict[str, str]] = {}
    lists = flattened(view) if any(kind in ("keyed options", "list") for kind in view.kinds.values()) else view
    for plain, name in view.actual.items():
        match = COMPARED.fullmatch(plain)
        kinds = ("text", "chat", "list of texts")
        if match and view.kinds[name] in kinds and view.distinct(name) > 2:
            groups.setdefault((match[1], match[3] or ""), {})[match[2]] = name
        if plain in COMPARED_STEMS and _are_twos(view.columns[name], str):
            groups[plain, ""] = {"0": f"{name}[0]", "1": f"{name}[1]"}
        if (
            plain in COMPARED_STEMS
            and view.kinds[name] in ("keyed options", "list")
            and f"{name}[0].text" in lists.columns
        ):
            groups[plain, ""] = {"0": f"{name}[0].text", "1": f"{name}[1].text"}
    found = []
    for (stem, ending), members in groups.items():
        marks = "".join(sorted(members))
        pair = tuple(members[mark] for mark in marks)
        plain_pair = tuple(plain_name(name) for name in pair)
        if marks not in ("ab", "01", "12") or is_bookkeeping(stem) or stem in OPTION_STEMS:
            continue
        if weak and plain_pair in PAIRS:
            continue
        named = stem.rsplit("_", 1)[-1] in COMPARED_STEMS or stem in COMPARED_STEMS
        found.append((not named, bool(ending), pair, marks))
    if not found:
        return None
    _, _, pair, marks = min(found)
    if any(view.kinds.get(name) == "list of texts" for name in pair):
        pair = tuple(f"{name}[0]" for name in pair)
    return (pair[0], pair[1]), marks


def _scores(view: View, marks: str) -> tuple[str, ...]:
    """Two columns of numbers, of which the greater one is that of the better response."""
    for stem in COMPARED_SCORES:
        names = [view.actual.get(f"{stem}_{mark}") or view.actual.get(f"{stem}{mark}") or "" for mark in marks]
        if all(view.kinds.get(name) in ("integer", "number") or _are_numbers(view, name) for name in names):
            return tuple(names)
    listed_in = (view.actual[stem] for stem in COMPARED_SCORES if stem in view.actual)
    both = next((name for name in listed_in if _are_twos(view.columns[name], (int, float))), None)
    return (f"{both}[0]", f"{both}[1]") if both else ()


def _are_twos(values: Sequence[Any], kind: type | tuple[type, ...]) -> bool:
    """Whether all values are lists of two of a kind."""
    present = [value for value in values if value is not None]
    return bool(present) and all(
        isinstance(value, list) and len(value) == 2 and all(isinstance(item, kind) for item in value)
        for value in present
    )


def _are_numbers(view: View, name: str) -> bool:
    return name in view.columns and all(
        _number(value) is not None for value in view.columns[name] if not missing(value)
    )


def _with_prompt(view: View, draft: DatasetSpec, *, is_draft: bool = False) -> DatasetSpec:
    """The draft with its prompt, which chats and nested columns may hold."""
    shown = replace(draft, options_fields=(), chosen_field=draft.options_fields[0], score_fields=())
    found = prompted(view, shown)
    draft = replace(draft, text_fields=found.text_fields, messages_field=found.messages_field)
    lists = [name for name in map(view.actual.get, _PROMPTS) if name and view.kinds[name] == "list of texts"]
    if lists and not draft.text_fields:
        draft = replace(draft, text_fields=(f"{lists[0]}[0]",))
    firsts = [name.removesuffix("[0]") for name in draft.options_fields if name.endswith("[0]")]
    several = [f"{name}[0]" for name in firsts if len(firsts) == 2 and _has_several(view, name)]
    if several and not is_draft:
        raise UnclearError(f"{listed(several)} are the first of several in a row; their turns are not read", draft)
    first = values_at(view.columns, draft.options_fields[0])
    if draft.text_fields or draft.messages_field or any(isinstance(value, list) for value in first):
        return draft
    taken = first_columns(draft.columns)
    flat = flattened(view)
    nested = [name for name in content(flat) if not first_columns([name]) & taken]
    draft = replace(draft, text_fields=longest(flat, nested, taken))
    if is_draft or len(nested) == 1:
        return draft
    raise UnclearError(f"{listed(draft.options_fields)} are two responses, but nothing says what the prompt is", draft)


def _has_several(view: View, name: str) -> bool:
    return any(isinstance(value, list) and len(value) > 1 for value in view.columns.get(name, ()))
