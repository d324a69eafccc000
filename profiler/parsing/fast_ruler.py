"""The attribute ruler of an English spaCy pipeline as NumPy.

Owns turning its rules (tag, dependency label and word -> part of speech) into comparisons over whole columns: the
component itself runs a matcher over every token and costs more than the parser. Refuses a ruler that it cannot express
exactly: `compile_ruler` then returns None, and the component itself runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.uint64]
Columns = Mapping[str, Column]

READS = ("TAG", "LOWER", "DEP", "IS_SPACE")
WRITES = ("POS", "TAG", "DEP")
# What no trait reads.
_IGNORED = {"LEMMA", "MORPH"}


@dataclass(frozen=True, slots=True)
class Condition:
    """One attribute of one token of a pattern: its code is among `codes`, or (negated) is not."""

    attribute: str
    codes: Column
    negated: bool


@dataclass(frozen=True, slots=True)
class RewriteRule:
    """One rule. patterns: alternatives, each of tokens, each of conditions. index: the token that is changed."""

    patterns: tuple[tuple[tuple[Condition, ...], ...], ...]
    index: int
    sets: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Ruler:
    """Compiled rules, in the order in which they are applied: a later one overrides an earlier one."""

    rules: tuple[RewriteRule, ...]

    def apply(self, columns: Columns, document: npt.NDArray[np.int64]) -> dict[str, Column]:
        """New columns.

        Conditions see the columns as they were, whatever earlier rules set: the component matches everything before it
        changes anything.

        Parameters
        ----------
        columns : dict of str to uint64 (tokens,)
            Codes of READS and WRITES, as they are before the ruler.
        document : int64 (tokens,)
            Patterns of two tokens do not cross documents.

        Returns
        -------
        dict of str to uint64 (tokens,)
            WRITES.
        """
        written = {name: columns[name].copy() for name in WRITES}
        for rule in self.rules:
            for pattern in rule.patterns:
                at = _matches(pattern, columns, document) + rule.index
                for attribute, code in rule.sets:
                    written[attribute][at] = code
        return written


def _matches(
    pattern: Sequence[Sequence[Condition]], columns: Columns, document: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """First tokens of the matches of one pattern."""
    at = np.arange(max(0, len(document) - len(pattern) + 1))
    for offset, conditions in enumerate(pattern):
        for condition in conditions:
            values = columns[condition.attribute][at + offset]
            codes = condition.codes
            found = values == codes[0] if len(codes) == 1 else np.isin(values, codes)
            at = at[found != condition.negated]
    return at[document[at] == document[at + len(pattern) - 1]] if len(pattern) > 1 else at


def compile_ruler(patterns: Sequence[Mapping[str, Any]], code: Callable[[str], int]) -> Ruler | None:
    """Compile the rules of an attribute ruler.

    Parameters
    ----------
    patterns
        As `AttributeRuler.patterns`.
    code
        Gives the code of a string, as in the columns.

    Returns
    -------
    Ruler or None
        None where a rule that traits depend on uses more than READS, IN and NOT_IN.
    """
    rules = []
    for entry in patterns:
        sets = {name: value for name, value in entry["attrs"].items() if name not in _IGNORED}
        if not sets:
            continue
        alternatives = [_pattern(pattern, code) for pattern in entry["patterns"]]
        length = {len(pattern) for pattern in entry["patterns"]}
        if not set(sets) <= set(WRITES) or None in alternatives or len(length) != 1:
            return None
        index = entry["index"] % next(iter(length))
        known = tuple(pattern for pattern in alternatives if pattern is not None)
        rules.append(RewriteRule(known, index, tuple((name, code(value)) for name, value in sets.items())))
    return Ruler(tuple(rules))


def _pattern(
    pattern: Sequence[Mapping[str, Any]], code: Callable[[str], int]
) -> tuple[tuple[Condition, ...], ...] | None:
    tokens = []
    for token in pattern:
        conditions = [_condition(name, value, code) for name, value in token.items()]
        if None in conditions or not conditions:
            return None
        tokens.append(tuple(condition for condition in conditions if condition is not None))
    return tuple(tokens)


def _condition(attribute: str, value: Any, code: Callable[[str], int]) -> Condition | None:
    if attribute not in READS:
        return None
    negated = False
    if isinstance(value, Mapping):
        if len(value) != 1 or not set(value) <= {"IN", "NOT_IN"}:
            return None
        negated = "NOT_IN" in value
        value = next(iter(value.values()))
    listed = value if isinstance(value, list | tuple) else [value]
    if attribute == "IS_SPACE":
        codes = [int(v) for v in listed if isinstance(v, bool | int)]
    else:
        codes = [code(v) if v else 0 for v in listed if isinstance(v, str)]
    if len(codes) != len(listed) or not codes:
        return None
    return Condition(attribute, np.array(codes, dtype=np.uint64), negated)
