"""The tables of side effects, and how people see them.

Owns the records that `predictor.effects.side_effects` fills: fields, units, JSON, the tables of a terminal and of a notebook. Knows
neither the warehouse nor statistics. q is the false discovery rate over all that a table looked at.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from traitcast.predictor.effects.paired_tests import LEVEL
from traitcast.warehouse.console import count, html_table

# Most labels, and most characters of a label, that a confusion matrix shows as a square; else so many of its cells.
_SQUARE, _HEADING, _LISTED = 8, 16, 20


@dataclass(frozen=True, slots=True)
class Gain:
    """What the source did to a target. gain: pp over the untuned model (matrix.base). gained, lost: rows whose score
    rose and fell, mean over seeds; None without results on single rows. p, q: of no change, q over all targets."""

    target: str
    gain: float
    standard_error: float
    p: float
    q: float
    score: float
    base_score: float
    gained: float | None
    lost: float | None
    n: int | None
    seeds: int


@dataclass(frozen=True, slots=True)
class LabelChange:
    """One label: its share of the answers before and after, and the change, in percent and pp."""

    label: str
    base_share: float
    share: float
    change: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class LabelShift:
    """How the answers of a target moved over its labels, or over the positions of its options.

    shift: total variation, share of rows that would have to be answered otherwise, mean over seeds. chance: the same if
    before and after are swapped at random. labels: the largest rise first. n: rows.
    """

    target: str
    shift: float
    standard_error: float
    p: float
    q: float
    chance: float
    labels: tuple[LabelChange, ...]
    n: int
    seeds: int

    @property
    def rises(self) -> LabelChange:
        return self.labels[0]

    @property
    def falls(self) -> LabelChange:
        return self.labels[-1]


@dataclass(frozen=True, slots=True)
class LengthDrift:
    """Generated tokens of a target: mean, 10 %, 50 % and 90 % quantile before and after, and the drift of the mean."""

    target: str
    drift: float
    standard_error: float
    p: float
    q: float
    base_tokens: float
    tokens: float
    base_quantiles: tuple[float, ...]
    quantiles: tuple[float, ...]
    n: int
    seeds: int


@dataclass(frozen=True, slots=True)
class FormatErrors:
    """Malformed answers of a target in percent. error: empty, unfinished (cut at the cap), or no number where the
    answer has to be one. Choices among labels or options cannot be malformed: they are made by likelihood."""

    target: str
    error: str
    base_share: float
    share: float
    change: float
    standard_error: float
    p: float
    q: float
    n: int
    seeds: int


@dataclass(frozen=True, slots=True)
class RowKind:
    """How the change of the score of a row goes with a trait of the row; see `paired.RowAssociation`. In pp.

    trait: of the catalogue, here of the row itself, or "label = NAME" for the rows whose right answer that is. target:
    None for all targets but the source together, rows compared within their target.
    """

    trait: str
    target: str | None
    correlation: float
    p: float
    q: float
    upper: float
    lower: float
    difference: float
    standard_error: float
    base_upper: float
    base_lower: float
    agreement: float
    n: int
    targets: int


@dataclass(frozen=True, slots=True)
class Asymmetry:
    """A pair both ways, in pp: there is the gain of the target by the source, back that of the source by the target."""

    target: str
    there: float
    back: float
    difference: float
    standard_error: float
    p: float
    q: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """Right labels (rows) against answers (columns) of one target, in rows; after: mean over seeds."""

    target: str
    gold: tuple[str, ...]
    answers: tuple[str, ...]
    before: np.ndarray
    after: np.ndarray


@dataclass(frozen=True, slots=True)
class Effects:
    """What tuning on one source did. gains: every other target, the best first; own: the source as target, if measured.

    kinds: over all targets together, or of the one target asked for; kinds_by_target: what was found at q <= 0.05 among
    all targets one by one (tests: how many were made). confusion: of the target asked for. base: what gains are over.
    notes: what is missing, and the command that adds it. Tables other than gains have the surest first.
    """

    matrix: str
    model: str
    source: str
    base: str
    target: str | None
    gains: tuple[Gain, ...]
    own: Gain | None
    labels: tuple[LabelShift, ...]
    lengths: tuple[LengthDrift, ...]
    formats: tuple[FormatErrors, ...]
    kinds: tuple[RowKind, ...]
    kinds_by_target: tuple[RowKind, ...]
    tests: int
    asymmetries: tuple[Asymmetry, ...]
    confusion: Confusion | None
    notes: tuple[str, ...]

    @property
    def helps(self) -> tuple[Gain, ...]:
        """Targets that gained, the most first."""
        return tuple(gain for gain in self.gains if gain.gain > 0)

    @property
    def harms(self) -> tuple[Gain, ...]:
        """Targets that lost, the most first."""
        return tuple(gain for gain in reversed(self.gains) if gain.gain < 0)

    @property
    def sentence(self) -> str:
        if self.base != "untuned":
            over, up, down = "against an average source", "better", "worse"
        else:
            over, up, down = "against the untuned model", "up", "down"
        if not self.gains and self.own is not None:
            return f"Tuning {self.model} on {self.source} {over}, on its own test rows: {self.own.gain:+.2f} pp."
        sure = [gain for gain in self.gains if gain.q <= LEVEL]
        known = sum(math.isfinite(gain.q) for gain in self.gains)
        told = f"{sum(g.gain > 0 for g in sure)} surely {up} and {sum(g.gain < 0 for g in sure)} surely {down}"
        return (
            f"Tuning {self.model} on {self.source}: {count(len(self.gains), 'other target')} {over}, {len(self.helps)} "
            f"{up} and {len(self.harms)} {down}; {told if known else 'how surely is not known'}."
        )

    def as_row(self) -> dict[str, Any]:
        """For JSON: every table as a list of objects, arrays as lists."""
        return dict(_plain(self))

    def tables(self, top: int | None = None) -> list[tuple[str, list[dict[str, Any]]]]:
        """(title, rows) of everything there is, for people; top: rows of each. Columns of unknowns are left out."""
        return [(title, _known(rows)) for title, rows in _tables(self, top) if rows]

    def _repr_html_(self) -> str:
        parts = [html_table(rows, caption=title) for title, rows in self.tables(5)]
        return f"<p>{escape(self.sentence)}</p>{''.join(parts)}"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


_PAIR = ("target", "there", "back", "difference", "standard_error", "q")


def _tables(found: Effects, top: int | None) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    def some(rows: Sequence[Any]) -> Sequence[Any]:
        return rows if top is None else rows[:top]

    numbers = ("target", "gain", "standard_error", "q", "score", "base_score", "gained", "lost", "n", "seeds")
    one = [gain for gain in found.gains if gain.target == found.target]
    if found.target is None:
        yield "Gained the most, pp", [_row(gain, numbers) for gain in some(found.helps)]
        yield "Lost the most, pp", [_row(gain, numbers) for gain in some(found.harms)]
    else:
        yield "Gain, pp", [_row(gain, numbers) for gain in one]
    if found.own is not None and found.target in (None, found.source):
        yield "On its own test rows, pp", [_row(found.own, numbers)]
    yield "Answers shifted over labels (total variation)", [_shift_row(shift) for shift in some(found.labels)]
    if found.target is not None and found.labels:
        yield f"Labels of {found.target}, % of answers", [_plain(label) for label in found.labels[0].labels]
    yield from _confusion_tables(found.confusion)
    yield "Tokens written", [_length_row(drift) for drift in some(found.lengths)]
    wrong = ("target", "error", "base_share", "share", "change", "standard_error", "q", "n")
    yield "Malformed answers, %", [_row(error, wrong) for error in some(found.formats)]
    where = "within targets, all together" if found.target is None else f"of {found.target}"
    yield (
        f"Kinds of rows {where}: change in pp of the upper and the lower half by a trait",
        [_kind_row(kind) for kind in some(found.kinds)],
    )
    yield "Kinds of rows found in single targets", [_kind_row(kind) for kind in some(found.kinds_by_target)]
    yield "Pairs both ways, pp", [_row(pair, _PAIR) for pair in some(found.asymmetries)]


def _known(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = [name for name in rows[0] if any(row[name] is not None and row[name] == row[name] for row in rows)]
    return [{name: row[name] for name in kept} for row in rows]


def _row(record: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}


def _shift_row(shift: LabelShift) -> dict[str, Any]:
    up, down = shift.rises, shift.falls
    return {
        **_row(shift, ("target", "shift", "standard_error", "q", "chance")),
        "more": up.label,
        "pp": up.change,
        "less": down.label,
        "pp less": down.change,
        "n": shift.n,
    }


def _length_row(drift: LengthDrift) -> dict[str, Any]:
    def spread(values: Iterable[float]) -> str:
        return " / ".join(f"{value:.0f}" for value in values)

    return {
        **_row(drift, ("target", "base_tokens", "tokens", "drift", "standard_error", "q")),
        "10/50/90 % before": spread(drift.base_quantiles),
        "after": spread(drift.quantiles),
        "n": drift.n,
    }


def _kind_row(kind: RowKind) -> dict[str, Any]:
    names = ("trait", "target", "correlation", "q", "upper", "lower", "difference", "standard_error")
    shown = _row(kind, (*names, "base_upper", "base_lower", "agreement", "n"))
    return shown if kind.target is not None else {k: v for k, v in shown.items() if k != "target"}


def _confusion_tables(found: Confusion | None) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    """As a square, or as a list of what changed where names are too many, or too long, to stand over columns."""
    if found is None:
        return
    if len(found.answers) > _SQUARE or max(map(len, found.answers)) > _HEADING:
        yield f"Answers of {found.target} that changed most, rows", _most_changed(found)
        return
    corner = "right \\ answered"
    while corner in found.answers:
        corner += " "
    for title, counts in (("before", found.before), ("after, mean over seeds", found.after)):
        yield (
            f"Answers of {found.target} {title}, rows",
            [
                {corner: gold, **dict(zip(found.answers, line, strict=True))}
                for gold, line in zip(found.gold, counts.tolist(), strict=True)
            ],
        )


def _most_changed(found: Confusion) -> list[dict[str, Any]]:
    moved = found.after - found.before
    order = np.argsort(-np.abs(moved), axis=None, kind="stable")[:_LISTED]
    return [
        {"right": found.gold[g], "answered": found.answers[a]}
        | {"before": float(found.before[g, a]), "after": float(found.after[g, a]), "change": float(moved[g, a])}
        for g, a in zip(*np.unravel_index(order, moved.shape), strict=True)
        if moved[g, a]
    ]
