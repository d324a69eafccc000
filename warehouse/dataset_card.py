"""A profile as a Markdown section of a Hugging Face dataset card, with the metadata that goes on top of the card.

Owns the vocabulary of the hub (https://github.com/huggingface/hub-docs, datasetcard.md and repositories-licenses.md;
task names from huggingface.js, pipelines.ts), the section, and how both get into a README that a person wrote: text
outside the marks is kept to the byte, and an existing key is never changed. Text of a dataset is always escaped, and
paths of the machine that made the profile are left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traitcast.warehouse import distributions, files
from traitcast.warehouse.console import count, number, printable, shortened
from traitcast.warehouse.errors import UserError
from traitcast.warehouse.files import check_output
from traitcast.warehouse.percentiles import among, in_words, kin, meaning, most_unusual, standings
from traitcast.warehouse.records import Profile, TraitMatrix

BEGIN = "<!-- traitcast:begin (made by `traitcast card`, which replaces the text between these two marks) -->"
END = "<!-- traitcast:end -->"
_SECTION = re.compile(r"<!-- traitcast:begin\b[^\n]*?-->.*?<!-- traitcast:end -->", re.DOTALL)
_MARK = re.compile(r"<!-- traitcast:(?:begin\b[^\n]*?|end )-->")
_FRONT = re.compile(r"\A(\ufeff?\s*---[ \t]*\r?\n)(.*?)(^---[ \t]*(?:\r?\n|\Z))", re.DOTALL | re.MULTILINE)
_KEYS_BEGIN, _KEYS_END = "# traitcast:begin", "# traitcast:end"
_KEYS = re.compile(rf"^{_KEYS_BEGIN}\r?\n.*?^{_KEYS_END}\r?(?:\n|\Z)", re.DOTALL | re.MULTILINE)

_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B")
_LICENCES = frozenset(
    (
        *("apache-2.0", "mit", "openrail", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd", "bsd-2-clause"),
        *("bsd-3-clause", "bsd-3-clause-clear", "c-uda", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0"),
        *("cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0"),
        *("cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
        *("cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0", "epl-1.0", "epl-2.0"),
        *("etalab-2.0", "eupl-1.1", "eupl-1.2", "agpl-3.0", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1"),
        *("lgpl-3.0", "isc", "lppl-1.3c", "ms-pl", "mpl-2.0", "odc-by", "odbl", "osl-3.0", "postgresql", "ofl-1.1"),
        *("ncsa", "unlicense", "zlib", "pddl", "lgpl-lr", "unknown", "other"),
    )
)
_SCORE = re.compile(r"score|similarity|relatedness|rating|^(label|grade|stars|valence)$")
_SUMMARISED = frozenset(("article", "document", "dialogue", "abstract"))
_CLASSES = 20
_OTHER_OUTPUT = "Choose another file with --output."
_LABEL_WIDTH = 60
_BAR = 30
# What GitHub-flavoured Markdown, its HTML and its formulas read as a mark, and what makes an address of a text.
_MARKUP = re.compile(r"[\\`*_{}\[\]<>#!|~$&:@^]|(?<=www)\.", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Card:
    """metadata: YAML keys of the hub with its values. section: Markdown between the two marks."""

    name: str
    metadata: Mapping[str, Any]
    section: str

    def whole(self) -> str:
        """The text of a new README."""
        return f"---\n{_yaml(self.metadata)}---\n\n# {escaped(self.name)}\n\n{self.section}\n"


def card(profile: Profile, reference: TraitMatrix) -> Card:
    """The card of a profile. reference: the profiles that it is compared with."""
    blocks = (
        _size(profile),
        _findings(profile),
        _lengths(profile),
        _classes(profile),
        _languages(profile),
        _pairs(profile),
        _unusual(profile, reference),
        _warnings(profile),
    )
    body = "\n\n".join(block for block in (*blocks, _method(profile)) if block)
    return Card(profile.name, metadata(profile), f"{BEGIN}\n## Profile\n\n{body}\n{END}")


def escaped(text: str) -> str:
    """Text escaped for Markdown and HTML, on one line."""
    line = re.sub(r"\s+", " ", printable(text.replace("\r", " "))).strip()
    return _MARKUP.sub(lambda m: "&#124;" if m[0] == "|" else f"\\{m[0]}", line)


def metadata(profile: Profile) -> dict[str, Any]:
    """The metadata that the hub has a key for and the profile knows."""
    found: dict[str, Any] = {}
    if profile.language and re.fullmatch(r"[A-Za-z]{2,3}([-_].*)?", profile.language):
        found["language"] = [re.split("[-_]", profile.language.lower())[0]]
    if profile.licence:
        found |= _licence(profile.licence)
    found["task_categories"] = [_task(profile)]
    rows = _all_rows(profile)
    if rows is not None:
        found["size_categories"] = [_SIZES[min(max(len(str(rows)) - 3, 0), len(_SIZES) - 1)]]
    return found | {"tags": ["traitcast"]}


def _licence(licence: str) -> dict[str, str]:
    """The licence under the hub's name for it, or in words where the hub has none. Remarks in brackets are ignored."""
    plain = re.sub(r"\s*\([^()]*\)$", "", licence).strip().lower().replace(" ", "-")
    if plain in _LICENCES:
        return {"license": plain}
    if plain.startswith("not-stated"):
        return {"license": "unknown"}
    return {"license": "other", "license_details": printable(licence)}


def _task(profile: Profile) -> str:
    """The task category of the hub."""
    roles = profile.details.get("roles") or {}
    if profile.task_type == "classification" or roles.get("labels_field") or roles.get("labels_fields"):
        return "text-classification"
    if profile.task_type == "multiple_choice":
        return "multiple-choice"
    if roles.get("tags_field") or roles.get("spans_field"):
        return "token-classification"
    if _SCORE.search(str(roles.get("answer_field") or "").lower()):
        return "text-classification"
    fields = {str(field).lower() for field in roles.get("text_fields") or ()}
    answer = str(roles.get("answer_field") or "").lower()
    if fields & _SUMMARISED and re.search("summary|highlights|tldr", answer):
        return "summarization"
    return "question-answering" if "question" in fields else "text-generation"


def _splits(profile: Profile) -> dict[str, int | None]:
    """Rows of every split, None where they were not counted."""
    found = {**(profile.details.get("splits") or {})}
    for split, rows in (profile.details.get("other_splits") or {}).items():
        found[split] = rows if rows is not None else found.get(split)
    own = profile.details.get("split")
    return {**found, own: profile.rows} if own and own != "all" else found


def _all_rows(profile: Profile) -> int | None:
    if profile.details.get("stream"):
        return None
    if profile.details.get("split") in (None, "all"):
        return profile.rows
    counts = list(_splits(profile).values())
    return sum(rows for rows in counts if rows is not None) if None not in counts else None


def _size(profile: Profile) -> str:
    own = profile.details.get("split")
    of = f" of split {escaped(str(own))}" if own and own != "all" else ""
    facts = [f"**{escaped(profile.name)}**: {profile.task_type.replace('_', ' ')}, {count(profile.rows, 'row')}{of}"]
    facts += [f"language {escaped(profile.language)}"] if profile.language else []
    facts += [f"licence {escaped(profile.licence)}"] if profile.licence else []
    splits = _splits(profile)
    head = ", ".join(facts) + "."
    if len(splits) < 2:
        return head
    rows = [(escaped(name), f"{rows:,}" if rows is not None else "not counted") for name, rows in splits.items()]
    return head + "\n\n" + _table(("split", "rows"), rows)


def _lengths(profile: Profile) -> str:
    values = {t.trait: t.value for t in profile.traits}
    columns = ("words_mean", "words_q50", "words_q95", "tokens_mean", "sentences_mean")
    rows = [(part, *(_shown(values.get(f"{part}_{column}")) for column in columns)) for part in ("prompt", "response")]
    heads = ("", "words, mean", "median", "95 %", "tokens, mean", "sentences, mean")
    return "\n\n".join(["### Lengths", _table(heads, rows), *_histograms(profile)])


def _histograms(profile: Profile) -> Iterator[str]:
    """Lengths and turns as bars of text, in blocks that Markdown leaves as they are."""
    for part, unit, axis in distributions.axes([profile]):
        lines = distributions.in_text(profile, part, unit)
        if len(lines) < 2:
            continue
        wide, most = max(len(size) for size, _ in lines), max(share for _, share in lines)
        bars = [f"{size:>{wide}}  {'█' * max(1, round(_BAR * share / most))} {share:.1%}" for size, share in lines]
        yield "\n".join([f"{axis[:1].upper()}{axis[1:]}:", "", "```text", *bars, "```"])


def _findings(profile: Profile) -> str:
    if not profile.findings:
        return ""
    lines = [
        f"- **{found.severity}** `{found.finding}`{found.where}: {escaped(found.message)}."
        for found in profile.findings
    ]
    return "\n".join(["### Findings", "", *lines])


def _classes(profile: Profile) -> str:
    if not profile.label_counts:
        return ""
    values = {t.trait: t.value for t in profile.traits}
    total = sum(n for _, n in profile.label_counts)
    rows = [
        (escaped(shortened(label, _LABEL_WIDTH)), f"{n:,}", f"{n / total:.1%}")
        for label, n in profile.label_counts[:_CLASSES]
    ]
    more = len(profile.label_counts) - len(rows)
    rest = f"\n\nand {more:,} more." if more else ""
    balance = values.get("label_entropy_normalised")
    words = f" Balance (entropy over its maximum): {number(balance)}." if balance is not None else ""
    classes = f"{len(profile.label_counts):,} class{'es' if len(profile.label_counts) != 1 else ''}."
    return f"### Classes\n\n{classes}{words}\n\n" + _table(("class", "rows", "share"), rows) + rest


def _languages(profile: Profile) -> str:
    rows = [(escaped(row["name"]), f"{row['n']:,}", row["shown"]) for row in distributions.languages([profile])]
    return "### Languages of the prompts\n\n" + _table(("language", "rows", "share"), rows) if rows else ""


def _pairs(profile: Profile) -> str:
    """In what the better responses of a preference differ from the worse ones."""
    rows = [
        (t.trait.removeprefix("response_preference_").replace("_", " "), f"{t.value:.3g}")
        for t in profile.traits
        if t.trait.startswith("response_preference_") and t.value is not None
    ]
    return "### Chosen against rejected\n\n" + _table(("", "value"), rows) if rows else ""


def _unusual(profile: Profile, reference: TraitMatrix) -> str:
    alike = kin(profile, reference)
    found = standings(profile, alike)
    if not found:
        return ""
    unusual = most_unusual(profile, found, reference)
    lines = [f"- `{s.trait.trait}`: {escaped(in_words(s))}. {escaped(meaning(s.trait))}." for s in unusual]
    lines = lines or ["Nothing: no trait lies in the outer tenth on either side."]
    return "\n".join([f"### What is unusual, among {among(profile, alike)}", "", *lines])


def _warnings(profile: Profile) -> str:
    warnings = [escaped(_without_paths(str(text), profile)) for text in profile.details.get("warnings") or ()]
    return "\n".join(["### Warnings", "", *(f"- {text}" for text in warnings)]) if warnings else ""


def _without_paths(text: str, profile: Profile) -> str:
    """The text with file names in place of absolute paths."""
    for key in ("origin", "spec"):
        place = profile.details.get(key)
        if place and os.path.isabs(str(place)):
            text = text.replace(str(place), Path(str(place)).name)
    return text


def _method(profile: Profile) -> str:
    details = profile.details
    origin, revision = details.get("origin"), details.get("revision")
    sampled, entities = details.get("sample_rows"), details.get("entity_rows")
    facts = {
        "read from": f"{origin}, commit {revision}" if revision and origin else None,
        "a stream of": f"{count(details['stream'], 'row')}" if details.get("stream") else None,
        "counts, balance and lengths in words": f"all {count(profile.rows, 'row')}",
        "what needs a parse": f"{count(sampled, 'random row')}, seed {details.get('seed', 0)}" if sampled else None,
        "entities": f"{count(entities, 'row')} of these" if entities else None,
        "pipeline": details.get("spacy_model"),
        "sentences by": details.get("sentences"),
        "trait definitions": f"version {details['catalogue_version']}" if details.get("catalogue_version") else None,
        "content": profile.fingerprint,
    }
    known = {key: value for key, value in facts.items() if value}
    return "\n".join(["### How it was measured", "", *(f"- {key}: {escaped(value)}" for key, value in known.items())])


def _shown(value: float | None) -> str:
    return number(value) if value is not None else "not defined"


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    rule = ["---", *("---:" for _ in heads[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in (heads, rule, *rows))


def _yaml(values: Mapping[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=1000))


def merged(text: str, made: Card, where: str) -> str:
    """A README with the section and the missing keys; everything else as it was. where: names it in messages.

    Raises UserError for marks that do not match, and for metadata that are not a YAML object.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    front = _FRONT.match(text)
    before, keys, after = front.groups() if front else (f"---{newline}", "", f"---{newline}{newline}")
    body = text[front.end() :] if front else text.removeprefix("\ufeff")
    section = made.section.replace("\n", newline)
    marks = _MARK.findall(body)
    if not marks:
        body += "" if body.endswith("\n") or not body else newline
        body += newline + section + newline
    elif len(marks) == 2 and _SECTION.search(body):
        body = _SECTION.sub(lambda _: section, body)
    else:
        raise UserError(
            f"{where} holds {count(len(marks), 'mark')} of `traitcast card` ({', '.join(marks)[:200]}); expected one "
            "begin and one end after it. Remove them, and the section is added at the end"
        )
    return before + _with_keys(keys, made.metadata, newline, where) + after + body


def _with_keys(text: str, values: Mapping[str, Any], newline: str, where: str) -> str:
    """The YAML of a card with the keys it lacks, between marks of their own; earlier ones of ours are replaced."""
    import yaml

    plain = _KEYS.sub("", text)
    try:
        known = yaml.safe_load(plain)
    except yaml.YAMLError as error:
        raise UserError(f"the metadata at the top of {where} are not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(known, dict | None):
        raise UserError(f"the metadata at the top of {where} are a {type(known).__name__}; expected keys with values")
    missing = {key: value for key, value in values.items() if key not in (known or {})}
    if known and "license" in known:
        missing.pop("license_details", None)
    if not known:
        # The template of the hub's library writes "no keys" as {}, and no key may follow that.
        plain = "".join(line for line in plain.splitlines(keepends=True) if line.strip() != "{}")
    own = f"{_KEYS_BEGIN}\n{_yaml(missing)}{_KEYS_END}\n".replace("\n", newline) if missing else ""
    try:
        found = yaml.safe_load(plain + own) or {}
    except yaml.YAMLError:
        found = {}
    if found.keys() != (known or {}).keys() | missing.keys():
        raise UserError(
            f"nothing can be added to the metadata at the top of {where}: write them as plain lines of `key: value`"
        )
    return plain + own


def write(path: Path, made: Card) -> bool:
    """Put a card into a file: whole where there is none, else its section and the missing metadata.

    Returns whether there was a file. Raises UserError where it cannot be read or written.
    """
    check_output(path, cure=_OTHER_OUTPUT)
    try:
        there = files.read_small(path, "the README of a dataset").decode("utf-8") if path.exists() else None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start:,}). {_OTHER_OUTPUT}") from error
    text = made.whole() if there is None else merged(there, made, str(path))
    files.write(path, text.encode(), cure=_OTHER_OUTPUT)
    return there is not None
