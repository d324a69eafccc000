"""The dataset spec: which column plays which role, how answers are scored, and where the data came from.

Owns the keys of `dataset.yaml`, their defaults and their validation. Refuses unknown keys, roles that the task
type does not use, and values of the wrong kind; it never looks at the data itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from traitcast.profiler.roles.values import is_whole, listed, path_text, shorten
from traitcast.warehouse.errors import InputError, UserError, nearest
from traitcast.warehouse.names import check_name
from traitcast.warehouse.strict_yaml import read_document

SPEC_FILE = "dataset.yaml"

TASK_TYPES = ("classification", "multiple_choice", "generation", "preference")
METRICS = {
    "classification": ("accuracy",),
    "multiple_choice": ("accuracy",),
    "generation": ("rouge_l", "exact_match", "numeric_match"),
    # What a reward model is scored by; an adapter is tuned on the better responses, as a generation.
    "preference": ("accuracy",),
}
# How the right option is named: position from 0, number from 1, letter from A, or the option's own text.
ANSWER_FORMS = ("index", "number", "letter", "text")
# And how a column names the better of two responses, also by a sign: below 0 the first, above 0 the second.
VERDICT_FORMS = (*ANSWER_FORMS, "sign")
# How labels that are more than one a row are written: labels_field holds the labels that apply, or a mark for every
# class; the tags of tags_field mark spans (B-PER, I-PER, O), or each token by itself (NOUN, VERB).
LABEL_FORMS = {"labels_field": ("names", "marks"), "tags_field": ("spans", "each")}

_ROLES = {
    "classification": ("text_fields", "optional_fields", "label_field", "label_names"),
    "multiple_choice": (
        "text_fields",
        "optional_fields",
        "options_field",
        "options_fields",
        "answer_field",
        "answer_form",
    ),
    "generation": (
        "text_fields",
        "optional_fields",
        "answer_field",
        "messages_field",
        "labels_field",
        "labels_fields",
        "tags_field",
        "spans_field",
        "label_form",
        "label_names",
    ),
    "preference": (
        "text_fields",
        "optional_fields",
        "messages_field",
        "chosen_field",
        "rejected_field",
        "score_fields",
        "options_fields",
        "answer_field",
        "answer_form",
        "label_field",
    ),
}
# What is known of a dataset besides its roles.
_FACTS = ("name", "description", "instruction", "family", "domain", "language", "licence", "parent", "changed")
# The keys that name what a model has to answer in generation. messages_field goes with answer_field too.
RESPONSES = ("answer_field", "messages_field", "labels_field", "labels_fields", "tags_field", "spans_field")
_ANNOTATIONS = ("labels_field", "labels_fields", "tags_field", "spans_field")
ROLE_KEYS = tuple(dict.fromkeys(key for keys in _ROLES.values() for key in keys))
_NAME_LISTS = ("text_fields", "optional_fields", "options_fields", "labels_fields", "score_fields")
_STRINGS = (
    "name",
    "description",
    "task_type",
    "family",
    "label_field",
    "options_field",
    "answer_field",
    "answer_form",
    "messages_field",
    "labels_field",
    "tags_field",
    "spans_field",
    "chosen_field",
    "rejected_field",
    "label_form",
    "metric",
    "instruction",
    "domain",
    "language",
    "licence",
    "parent",
    "changed",
)
# Facts about where the rows came from: kept as they are, never interpreted.
PROVENANCE = ("citation", "origin", "rows", "rows_original", "dropped", "split_note")
KEYS = (*_STRINGS, *_NAME_LISTS, "label_names", "mixture", *PROVENANCE)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a mixture. name: of its dataset. share: of the rows. fingerprint: of that dataset, "" if unknown."""

    name: str
    share: float
    fingerprint: str = ""


def parts_as_dict(mixture: Sequence[Part]) -> dict[str, dict[str, Any]]:
    """A mixture as YAML and JSON have it: name -> share and fingerprint."""
    return {p.name: {"share": p.share} | ({"fingerprint": p.fingerprint} if p.fingerprint else {}) for p in mixture}


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """The resolved roles and metadata of one dataset.

    A field is a column name, or a path into a nested column ("answers.text[0]").
    text_fields: the prompt, in order. optional_fields: those of them that may be empty or absent.
    label_names: class names; label_codes: the raw value of each of them, when the spec maps
    values to names (otherwise integer labels are positions in label_names).
    options_field: one column holding the list of options; options_fields: or one column per option.
    messages_field: chat turns; the last assistant turn is the response, or that of answer_field where it is given.
    labels_field: a list of labels, the response being all of them; labels_fields: or a column of 0 and 1 per label.
    tags_field: a tag for each token of the first text field. spans_field: spans of the first text field.
    chosen_field, rejected_field: the better and the worse response of a preference, texts or chats; score_fields: a
    grade of each, or one column of margins. Without them label_field says whether the response in answer_field is good,
    or options_fields are two responses, and answer_field names the better one (answer_form says how), or score_fields.
    label_form: one of LABEL_FORMS, None where it does not apply or was not found out yet.
    mixture: the datasets that the rows were drawn from.
    stated_in: the file that states the roles, None when they were inferred.
    """

    task_type: str
    text_fields: tuple[str, ...] = ()
    optional_fields: tuple[str, ...] = ()
    label_field: str | None = None
    label_names: tuple[str, ...] = ()
    label_codes: tuple[str, ...] = ()
    options_field: str | None = None
    options_fields: tuple[str, ...] = ()
    answer_field: str | None = None
    answer_form: str | None = None
    messages_field: str | None = None
    labels_field: str | None = None
    labels_fields: tuple[str, ...] = ()
    tags_field: str | None = None
    spans_field: str | None = None
    chosen_field: str | None = None
    rejected_field: str | None = None
    score_fields: tuple[str, ...] = ()
    label_form: str | None = None
    metric: str = ""
    instruction: str = ""
    name: str | None = None
    description: str | None = None
    family: str | None = None
    domain: str | None = None
    language: str | None = None
    licence: str | None = None
    parent: str | None = None
    changed: str | None = None
    mixture: tuple[Part, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    stated_in: str | None = None

    def __post_init__(self) -> None:
        if not self.metric and self.task_type in METRICS:
            # A list of labels is right or wrong; shared words say nothing about it.
            exact = any(getattr(self, key) for key in _ANNOTATIONS)
            object.__setattr__(self, "metric", "exact_match" if exact else METRICS[self.task_type][0])

    @property
    def columns(self) -> tuple[str, ...]:
        """Every field that the roles name, prompt first, without repeats."""
        plain = (self.options_field, self.messages_field, self.label_field, self.answer_field)
        single = (*plain, self.labels_field, self.tags_field, self.spans_field, self.chosen_field, self.rejected_field)
        several = (*self.text_fields, *self.options_fields, *self.labels_fields, *self.score_fields)
        named = (*several, *(name for name in single if name))
        return tuple(dict.fromkeys(named))

    @property
    def published(self) -> list[str]:
        """Where the rows were published, a text per file; empty if the spec does not say."""
        stated = self.provenance.get("origin")
        return [at for at in (stated if isinstance(stated, list) else [stated]) if isinstance(at, str) and at.strip()]

    @property
    def response_field(self) -> str:
        """The field that holds what a model has to answer."""
        if self.task_type == "preference":
            pair = ", ".join(name for name in (self.chosen_field, self.rejected_field) if name)
            if self.is_compared:
                return ", ".join((*self.options_fields, self.answer_field or ", ".join(self.score_fields)))
            return pair or self.answer_field or self.messages_field or ""
        annotated = self.labels_field or ", ".join(self.labels_fields) or self.tags_field or self.spans_field
        return self.label_field or self.answer_field or self.messages_field or annotated or ""

    @property
    def answer_fields(self) -> frozenset[str]:
        """Every field that is no part of the prompt."""
        plain = (self.label_field, self.answer_field, self.labels_field, self.tags_field, self.spans_field)
        pair = (self.chosen_field, self.rejected_field)
        return frozenset(name for name in (*plain, *pair, *self.labels_fields, *self.score_fields) if name)

    @property
    def is_compared(self) -> bool:
        """Whether a row has two responses, and another column says which is better."""
        return self.task_type == "preference" and bool(self.options_fields)

    @property
    def has_pairs(self) -> bool:
        """Whether a row has a better and a worse response."""
        return self.is_compared or bool(self.rejected_field)

    @property
    def has_labels(self) -> bool:
        """Whether the rows of a generation task have labels too: sets of them, tags or spans."""
        return any(getattr(self, key) for key in _ANNOTATIONS)

    def roles(self) -> dict[str, Any]:
        """The role keys that are set, in spec order, as plain YAML/JSON values."""
        stated: dict[str, Any] = {"task_type": self.task_type}
        for key in _ROLES.get(self.task_type, ROLE_KEYS):
            value = getattr(self, key)
            if value:
                stated[key] = list(value) if isinstance(value, tuple) else value
        if self.label_codes:
            stated["label_names"] = dict(zip(self.label_codes, self.label_names, strict=True))
        return stated

    def to_yaml(self) -> str:
        """All that is stated as a `dataset.yaml` that `load_spec` reads back."""
        facts = {key: getattr(self, key) for key in _FACTS if getattr(self, key)}
        names = {key: facts.pop(key) for key in ("name", "description") if key in facts}
        mixture = {"mixture": parts_as_dict(self.mixture)} if self.mixture else {}
        document = names | self.roles() | {"metric": self.metric} | facts | mixture | dict(self.provenance)
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def load_spec(path: str | Path) -> DatasetSpec:
    """Read a `dataset.yaml`.

    Raises InputError for a missing or unreadable file, broken YAML, and everything that `parse_spec` refuses.
    """
    path = Path(path)
    document = read_document(path, "spec", InputError, f"spec file not found: {path}")
    if not isinstance(document, dict):
        found = "empty" if document is None else f"a {type(document).__name__}"
        raise InputError(f"{path}: a spec is a mapping such as `task_type: classification`, but the file is {found}")
    return parse_spec(document, where=path_text(path), stated_in=path_text(path))


def parse_spec(document: Mapping[Any, Any], *, where: str = "spec", stated_in: str | None = None) -> DatasetSpec:
    """Check a spec document and give its defaults.

    where: how messages name it. Raises InputError naming the key, its value and what is allowed.
    """
    for key in document:
        if key not in KEYS:
            hint = nearest(str(key)[:100], KEYS)
            raise InputError(f"{where}: unknown key {shorten(str(key))}{hint} Allowed keys: {', '.join(sorted(KEYS))}")
    values: dict[str, Any] = {key: _string(document, key, where) for key in _STRINGS if key in document}
    if values.get("name"):
        values["name"] = dataset_name(values["name"], f"{where}: name")
    values |= {key: _names(document, key, where) for key in _NAME_LISTS if key in document}
    if document.get("label_names") is not None:
        values["label_codes"], values["label_names"] = _label_names(document["label_names"], where)
    values["task_type"] = values.get("task_type") or _task_type(values, where)
    values["metric"] = values.get("metric") or ""
    values["instruction"] = values.get("instruction") or ""
    values["mixture"] = _mixture(document.get("mixture"), where)
    values["provenance"] = {key: document[key] for key in PROVENANCE if key in document}
    spec = DatasetSpec(**values, stated_in=stated_in)
    _check(spec, where)
    return spec


def _mixture(value: Any, where: str) -> tuple[Part, ...]:
    if value is None:
        return ()
    example = "write the share of each dataset, such as `a: 0.7`, or `a: {share: 0.7, fingerprint: TEXT}`"
    if not isinstance(value, Mapping) or not value:
        raise InputError(f"{where}: mixture is {shorten(str(value))}; {example}")
    found = []
    for name, of in value.items():
        about = of if isinstance(of, Mapping) else {"share": of}
        share, mark = about.get("share"), about.get("fingerprint", "")
        number = isinstance(share, int | float) and not isinstance(share, bool) and 0 < share < float("inf")
        if not isinstance(name, str) or not number or not isinstance(mark, str) or {*about} - {"share", "fingerprint"}:
            raise InputError(f"{where}: mixture has {shorten(f'{name}: {of}')}; {example}")
        found.append(Part(name, float(share or 0), mark))
    total = sum(part.share for part in found)
    return tuple(replace(part, share=part.share / total) for part in found)


def _check(spec: DatasetSpec, where: str) -> None:
    """Refuse values outside the allowed ones, and role sets that do not fit the task type."""
    _one_of(spec.task_type, TASK_TYPES, "task_type", where)
    _one_of(spec.metric, METRICS[spec.task_type], "metric", where, f" for {spec.task_type}")
    if spec.answer_form is not None:
        forms = VERDICT_FORMS if spec.is_compared else ANSWER_FORMS
        _one_of(spec.answer_form, forms, "answer_form", where)
    if spec.label_form is not None:
        key = next((key for key in LABEL_FORMS if getattr(spec, key)), None)
        if key is None:
            raise InputError(f"{where}: label_form goes with {' or '.join(LABEL_FORMS)}")
        _one_of(spec.label_form, LABEL_FORMS[key], "label_form", where, f" for {key}")
    if spec.task_type == "generation" and spec.label_names and not spec.has_labels:
        raise InputError(f"{where}: generation uses label_names with {', '.join(_ANNOTATIONS)} only")
    used = _ROLES[spec.task_type]
    for key in ROLE_KEYS:
        if getattr(spec, key) and key not in used:
            instead = {"label_field": "answer_field", "answer_field": "label_field"}.get(key)
            hint = f"; use {instead}" if instead in used else ""
            raise InputError(f"{where}: {spec.task_type} does not use {key}{hint}. Its roles: {', '.join(used)}")
    _check_required(spec, where)
    for name in spec.optional_fields:
        if name not in spec.text_fields:
            allowed = listed(spec.text_fields)
            raise InputError(
                f"{where}: optional_fields names {shorten(name)}, which is not one of text_fields ({allowed})"
            )
    plain = (spec.label_field, spec.options_field, spec.answer_field, spec.messages_field)
    single = (*plain, spec.labels_field, spec.tags_field, spec.spans_field, spec.chosen_field, spec.rejected_field)
    several = (*spec.text_fields, *spec.options_fields, *spec.labels_fields, *spec.score_fields)
    twice = _repeated([*several, *(name for name in single if name)])
    if twice:
        raise InputError(
            f"{where}: {shorten(twice[0])} is given two roles; a field is prompt, options, label or answer"
        )


def _check_required(spec: DatasetSpec, where: str) -> None:
    def need(present: bool, what: str) -> None:
        if not present:
            raise InputError(f"{where}: task_type {spec.task_type} needs {what}")

    if spec.task_type == "classification":
        need(bool(spec.text_fields), "text_fields, the columns of the prompt, such as [text]")
        need(spec.label_field is not None, "label_field, the column of the class, such as label")
    elif spec.task_type == "multiple_choice":
        need(bool(spec.text_fields), "text_fields, the columns of the prompt, such as [question]")
        one = (spec.options_field is None) != (not spec.options_fields)
        need(one, "either options_field (one column holding a list) or options_fields (one column per option)")
        need(len(spec.options_fields) != 1, "at least two options_fields")
        need(spec.answer_field is not None, "answer_field, the column that names the right option")
    elif spec.task_type == "preference":
        pair = bool(spec.chosen_field and spec.rejected_field)
        labelled = bool((spec.answer_field or spec.messages_field) and spec.label_field)
        if spec.is_compared:
            _check_compared(spec, need)
            return
        part = spec.chosen_field or spec.rejected_field if not pair else spec.answer_field or spec.label_field
        need(
            pair != labelled and not part,
            "either chosen_field and rejected_field, or answer_field (or messages_field) and label_field, which says "
            "whether the response is good, or two options_fields and answer_field, which says which is better",
        )
        need(not spec.score_fields or pair, "chosen_field and rejected_field to go with score_fields")
        need(len(spec.score_fields) < 3, "one column of margins, or two of scores, as score_fields")
    else:
        stated = [key for key in RESPONSES if getattr(spec, key)]
        one = len(stated) == 1 or stated == ["answer_field", "messages_field"]
        need(
            one,
            "one of answer_field (the column of the response), messages_field (a column of chat turns), labels_field "
            "(a list of labels), labels_fields (a column of 0 and 1 per label), tags_field (a tag per token) or "
            f"spans_field; it states {' and '.join(stated) or 'none of them'}",
        )
        need(not spec.has_labels or bool(spec.text_fields), f"text_fields to go with {stated[0] if stated else ''}")
        need(len(spec.labels_fields) != 1, "at least two labels_fields")


def _check_compared(spec: DatasetSpec, need: Callable[[bool, str], None]) -> None:
    stated = spec.chosen_field or spec.rejected_field or spec.label_field
    need(len(spec.options_fields) == 2 and not stated, "two options_fields, the responses, and no other ones")
    by_scores = len(spec.score_fields) == 2
    need(
        by_scores != bool(spec.answer_field) and len(spec.score_fields) in (0, 2),
        "answer_field, the column that says which of options_fields is better, or two score_fields",
    )


def _task_type(values: Mapping[str, Any], where: str) -> str:
    """The task type that the stated fields imply."""
    if values.get("chosen_field") or values.get("rejected_field"):
        return "preference"
    if values.get("label_field") and values.get("answer_field"):
        return "preference"
    if values.get("label_field"):
        return "classification"
    if values.get("options_fields") and (values.get("score_fields") or values.get("answer_form") == "sign"):
        return "preference"
    if values.get("options_field") or values.get("options_fields"):
        return "multiple_choice"
    if any(values.get(key) for key in RESPONSES):
        return "generation"
    raise InputError(f"{where}: states no roles; add task_type ({', '.join(TASK_TYPES)}) and its fields")


def _one_of(value: str, allowed: tuple[str, ...], key: str, where: str, context: str = "") -> None:
    if value not in allowed:
        hint = nearest(value[:100], allowed)
        raise InputError(f"{where}: {key} is {shorten(value)}{hint} Allowed{context}: {', '.join(allowed)}")


def _string(document: Mapping[Any, Any], key: str, where: str) -> str | None:
    value = document[key]
    if value is None or isinstance(value, str):
        return _whole(value, key, where) if value else None
    raise InputError(f"{where}: {key} must be a string, not {shorten(value)}{_quote_hint(value)}")


def _whole(value: str, key: str, where: str) -> str:
    """The text, refused when it holds half of a surrogate pair, which no profile can hold."""
    if not is_whole(value):
        raise InputError(f"{where}: {key} holds {shorten(value)}, half of a surrogate pair; write the character itself")
    return value


def dataset_name(value: str, what: str = "name") -> str:
    """The name in its Unicode form NFKC. Raises InputError for what may be no name."""
    try:
        return check_name(value, what)
    except UserError as error:
        raise InputError(str(error)) from None


def _names(document: Mapping[Any, Any], key: str, where: str) -> tuple[str, ...]:
    """A list of distinct column names; a lone string counts as a list of one."""
    value = document[key]
    items = [value] if isinstance(value, str) else value if value is not None else []
    if not isinstance(items, list):
        raise InputError(f"{where}: {key} must be a list of column names, not {shorten(value)}")
    for item in items:
        if not isinstance(item, str) or not item:
            raise InputError(f"{where}: {key} holds {shorten(item)}, which is not a column name{_quote_hint(item)}")
        _whole(item, key, where)
    return _distinct(items, key, where)


def _label_names(value: Any, where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(codes, names): a list of names, or a mapping from the value in the data to the name."""
    if isinstance(value, dict):
        codes = tuple(_label(code, where) for code in value)
        return _distinct(codes, "label_names", where), tuple(_label(name, where) for name in value.values())
    if not isinstance(value, list):
        raise InputError(f"{where}: label_names must be a list of names or a mapping value: name, not {shorten(value)}")
    return (), _distinct([_label(name, where) for name in value], "label_names", where)


def _label(value: Any, where: str) -> str:
    # YAML 1.1 reads an unquoted no as False, and "False" would then match no row.
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InputError(f"{where}: label_names holds {shorten(value)}, which is not a name{_quote_hint(value)}")
    return _whole(str(value), "label_names", where)


def _quote_hint(value: Any) -> str:
    return "; YAML reads bare yes, no, on, off and numbers as values: put it in quotes" if value is not None else ""


def _distinct(items: list[str] | tuple[str, ...], key: str, where: str) -> tuple[str, ...]:
    repeated = _repeated(items)
    if repeated:
        raise InputError(f"{where}: {key} lists {shorten(repeated[0])} twice")
    return tuple(items)


def _repeated(items: Iterable[str]) -> list[str]:
    return [item for item, count in Counter(items).items() if count > 1]
