"""From findings to an exit code: severities that fail, rules over traits and findings, and what is ignored.

Owns the rule language (`NAME OPERATOR NUMBER`), `traitcast.toml`, and the forms in which a build server reads the
result. Refuses rules about names that do not exist.
"""

from __future__ import annotations

import operator
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from traitcast.profiler.findings.checks import BY_NAME, ERROR, READING, SEVERITIES, WARNING, Finding, check_names
from traitcast.profiler.findings.context import Context, context_of
from traitcast.warehouse.errors import InputError, nearest, some
from traitcast.warehouse.files import read_small

NEVER = "never"
FAIL_ON = (*SEVERITIES, NEVER)
CONFIG = "traitcast.toml"
_OPERATORS = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_RULE = re.compile(r"\s*([a-z_][a-z0-9_]*)(\.count)?\s*(<=|>=|==|!=|<|>)\s*([-+]?[0-9.]+(?:[eE][-+]?\d+)?)\s*")
_TEXT = (lambda value: isinstance(value, str), "a text")
_TEXTS = (lambda value: isinstance(value, list) and all(isinstance(text, str) for text in value), "a list of texts")
_NUMBER = (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number")
_KINDS = {"fail_on": _TEXT, "rules": _TEXTS, "ignore": _TEXTS, "context": _NUMBER, "tokenizer": _TEXT}
_KEYS = tuple(_KINDS)


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold of a trait, or of the share or count of a finding.

    Parameters
    ----------
    text
        As written.
    name
        A trait (`label_majority_share`) or a check (`exact_duplicate`).
    counted
        Of a check: compare the number of rows rather than their share.
    compare
        One of <, <=, >, >=, ==, !=.
    limit
        The number.
    """

    text: str
    name: str
    counted: bool
    compare: str
    limit: float

    @property
    def is_about_a_check(self) -> bool:
        """Whether it needs findings only, and no traits."""
        return self.name in BY_NAME

    def broken(self, traits: Mapping[str, float | None], findings: Sequence[Finding]) -> str | None:
        """Why it does not hold, None where it does. A trait that is undefined breaks no rule."""
        if self.is_about_a_check:
            mine = [finding for finding in findings if finding.check == self.name]
            rows = {row for finding in mine for row in finding.rows.tolist()}
            looked_at = max((finding.of for finding in mine), default=1)
            value: float | None = len(rows) if self.counted else len(rows) / looked_at
        else:
            value = traits.get(self.name)
        if value is None or _OPERATORS[self.compare](value, self.limit):
            return None
        return f"{self.name}{'.count' if self.counted else ''} is {value:.4g}; the rule is {self.text!r}"


def parse_rule(text: str) -> Rule:
    """A rule such as `label_majority_share < 0.9` or `exact_duplicate.count == 0`. Raises InputError."""
    from traitcast.profiler.traits.catalogue import CATALOGUE

    found = _RULE.fullmatch(text)
    try:
        limit = float(found[4]) if found else 0.0
    except ValueError:
        found = None
    if found is None:
        raise InputError(
            f"rule {text!r} cannot be read: write NAME OPERATOR NUMBER, such as 'label_majority_share < 0.9' or "
            "'exact_duplicate.count == 0'. Operators: " + ", ".join(_OPERATORS)
        )
    name, counted = found[1], bool(found[2])
    names = [definition.trait for definition in CATALOGUE]
    if name == READING:
        check_names([name])
    if name not in BY_NAME and name not in names:
        raise InputError(f"rule {text!r}: {name!r} is neither a trait nor a check{nearest(name, [*BY_NAME, *names])}")
    if counted and name not in BY_NAME:
        raise InputError(f"rule {text!r}: {name!r} is a trait, which has no count. Write {name} alone")
    return Rule(text.strip(), name, counted, found[3], limit)


@dataclass(frozen=True, slots=True)
class Gate:
    """What makes a dataset fail: findings at least as severe as `fail_on`, and broken rules.

    context: the tokens that a model takes, where the gate looks for rows beyond them.
    """

    fail_on: str = ERROR
    rules: tuple[Rule, ...] = ()
    ignore: tuple[str, ...] = ()
    context: Context | None = None

    def kept(self, findings: Sequence[Finding]) -> list[Finding]:
        """The findings that are not ignored."""
        return [finding for finding in findings if finding.check not in self.ignore]

    def kept_doubts(self, doubts: Sequence[str]) -> list[str]:
        """Warnings of reading, unless they are ignored."""
        return [] if READING in self.ignore else [*doubts]

    @property
    def severities(self) -> tuple[str, ...]:
        """Those that fail: `fail_on` and worse."""
        return () if self.fail_on == NEVER else SEVERITIES[: SEVERITIES.index(self.fail_on) + 1]

    def failing_doubts(self, doubts: Sequence[str]) -> list[str]:
        """Warnings of reading, where those fail."""
        return self.kept_doubts(doubts) if WARNING in self.severities else []

    def failing(self, findings: Sequence[Finding]) -> list[Finding]:
        """Those at least as severe as `fail_on`."""
        return [finding for finding in self.kept(findings) if finding.severity in self.severities]


class Result(NamedTuple):
    """What fails in one dataset: findings, warnings of reading, and rules, each in words."""

    name: str
    failing: Sequence[Finding]
    doubts: Sequence[str]
    broken: Sequence[str]
    gate: Gate

    @property
    def passed(self) -> bool:
        return not (self.failing or self.doubts or self.broken)


def gate_of(
    fail_on: str | None,
    rules: Sequence[str],
    ignore: Sequence[str],
    config: Path | None,
    *,
    context: int | None = None,
    tokenizer: str | None = None,
) -> Gate:
    """The gate of a command line; what it leaves open comes from `traitcast.toml`. Raises InputError."""
    stated = _config(config) if config else {}
    names = [*stated.get("ignore", ()), *ignore]
    check_names(name for name in names if name != READING)
    severity = fail_on or stated.get("fail_on", ERROR)
    if severity not in FAIL_ON:
        raise InputError(f"{config}: fail_on is {severity!r}; it is one of {', '.join(FAIL_ON)}")
    read = tuple(parse_rule(rule) for rule in [*stated.get("rules", ()), *rules])
    limit = context if context is not None else stated.get("context")
    return Gate(severity, read, tuple(names), context_of(limit, tokenizer or stated.get("tokenizer")))


def config_for(dataset: str) -> Path | None:
    """The `traitcast.toml` that applies: beside the data, else in the working folder."""
    place = Path(dataset)
    folders = [place if place.is_dir() else place.parent, Path()] if place.exists() else [Path()]
    return next((folder / CONFIG for folder in folders if (folder / CONFIG).exists()), None)


def _config(path: Path) -> dict[str, Any]:
    """The table [check] of a `traitcast.toml`."""
    try:
        content = tomllib.loads(read_small(path, "a configuration", InputError, most=1 << 20).decode("utf-8"))
    except (ValueError, RecursionError) as error:  # broken TOML, no UTF-8, a number of thousands of digits
        raise InputError(f"cannot read {path}: {error}") from error
    if others := content.keys() - {"check"}:
        raise InputError(f"{path}: unknown table or key {some(sorted(others), 3)}. It holds [check] alone")
    table = content.get("check", {})
    if not isinstance(table, dict):
        raise InputError(f"{path}: check must be a table. Write [check] with the keys {', '.join(_KEYS)}")
    for key, value in table.items():
        if key not in _KEYS:
            raise InputError(f"{path}: unknown key {key!r} in [check]{nearest(key, _KEYS)} Keys: {', '.join(_KEYS)}")
        right, what = _KINDS[key]
        if not right(value):
            raise InputError(f"{path}: {key} must be {what}, not {value!r}")
    return table


def github(
    name: str,
    findings: Sequence[Finding],
    doubts: Sequence[str],
    broken: Sequence[str],
    failing: Sequence[Finding],
    dataset: str,
    places: Mapping[int, str],
) -> str:
    """Workflow commands that annotate a pull request: `::error file=...,line=...::message`.

    places: `file=...` or `file=...,line=...` by row, at least of the first of each finding.
    """
    level = {"error": "error", "warning": "warning", "info": "notice"}
    lines = []
    for finding in findings:
        kind = "error" if finding in failing else level[finding.severity] if finding.severity != "error" else "warning"
        words = f"{finding.sentence} ({finding.places}). {finding.cure(dataset)}"
        where = places[int(finding.rows[0])]
        lines.append(f"::{kind} {where},title={_property(f'{name}: {finding.check}')}::{_data(words)}")
    lines += [f"::warning title={_property(f'{name}: {READING}')}::{_data(doubt)}" for doubt in doubts]
    lines += [f"::error title={_property(f'{name}: rule')}::{_data(rule)}" for rule in broken]
    return "\n".join(lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def place(file: str, line: int | None) -> str:
    """Where an annotation goes."""
    return f"file={_property(file)}" + (f",line={line}" if line else "")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def junit(results: Sequence[Result], left_out: Collection[str] = ()) -> str:
    """A JUnit report: a suite per dataset, a case per check and rule. left_out: checks that were not made."""
    suites = ElementTree.Element("testsuites", name="traitcast check")
    for name, failing, doubts, broken, gate in results:
        suite = ElementTree.SubElement(suites, "testsuite", name=name)
        cases = [check for check in BY_NAME if check not in (*gate.ignore, *left_out)]
        for check in cases:
            case = ElementTree.SubElement(suite, "testcase", classname=name, name=check)
            for finding in failing:
                if finding.check == check:
                    failure = ElementTree.SubElement(case, "failure", message=_xml(finding.sentence))
                    failure.text = _xml(finding.places)
        read = ElementTree.SubElement(suite, "testcase", classname=name, name=READING)
        if doubts:
            ElementTree.SubElement(read, "failure", message=_xml("; ".join(doubts)))
        broken_rules = {rule.text: why for rule in gate.rules for why in broken if repr(rule.text) in why}
        for rule in gate.rules:
            case = ElementTree.SubElement(suite, "testcase", classname=name, name=_xml(rule.text))
            if rule.text in broken_rules:
                ElementTree.SubElement(case, "failure", message=_xml(broken_rules[rule.text]))
        suite.set("tests", str(len(cases) + 1 + len(gate.rules)))
        suite.set("failures", str(len({f.check for f in failing}) + bool(doubts) + len(broken_rules)))
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


def _xml(text: str) -> str:
    """A text without the characters that XML cannot hold."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
