"""The tables of side effects, and how they are shown.

Owns the records that `predictor.effects.side_effects` fills: fields, units, JSON, and the tables of a terminal and of a
notebook. Knows neither the warehouse nor statistics. q is the false discovery rate over everything that a table was
chosen from.
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
from traitcast.warehouse.console import html_table

# A confusion matrix of more labels, or longer ones, is shown as a list of so many cells instead of a square.
_SQUARE, _HEADING, _LISTED = 8, 16, 20


@dataclass(frozen=True, slots=True)
class Gain:
    """What the source did to a target.

    gain: pp over the base of the matrix. gained, lost: test rows whose score rose and fell, mean over seeds; None
    without results on single rows. p, q: for no change, q over all targets.
    """

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
    """One label: its share of the answers before and after tuning (%), and the change (pp)."""

    label: str
    base_share: float
    share: float
    change: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class LabelShift:
    """How the answers on a target moved over its labels, or over the positions of its options.

    shift: total variation, 0 to 1: the smallest share of answers that must have changed; mean over seeds. chance: the
    mean shift when before and after are swapped at random. labels: the largest rise first. n: test rows.
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
    """Answer length on a target in tokens: mean, 10 %, 50 % and 90 % quantile before and after, change of the mean."""

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
    """Malformed answers on a target, in percent.

    error: "empty", "unfinished" (cut at the length limit), or "no number" where the answer has to be one. Choices among
    labels or options are made by likelihood and cannot be malformed.
    """

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
    """How the change of a row's score depends on a trait of the row, in pp; see `paired_tests.RowAssociation`.

    trait: of the catalogue, measured on the row itself, or "label = NAME" for rows with that correct answer. target:
    None for all targets except the source, with rows compared within their target.
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
    """Both directions of a pair, in pp: `there` from source to target, `back` from target to source."""

    target: str
    there: float
    back: float
    difference: float
    standard_error: float
    p: float
    q: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of correct labels (first axis) by answers (second axis) on one target; after: mean over seeds."""

    target: str
    gold: tuple[str, ...]
    answers: tuple[str, ...]
    before: np.ndarray
    after: np.ndarray


@dataclass(frozen=True, slots=True)
class Effects:
    """What tuning on one source did.

    Attributes
    ----------
    gains
        Every other target, the largest gain first.
    own
        The source as target, if measured.
    labels, lengths, formats, asymmetries
        The smallest p first.
    kinds
        Kinds of rows over all targets together, or of the one target asked for.
    kinds_by_target
        What was found with q <= 0.05 in single targets; `tests` of them were made.
    confusion
        Of the target asked for.
    base
        What gains are over.
    notes
        What is missing, and the command that adds it.
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
        """The result in plain words."""
        tuning = f"Tuning {self.model} on {self.source}"
        over = "the untuned model" if self.base == "untuned" else "tuning on an average source"
        if len(self.gains) < 2 and (one := (*self.gains, self.own)[0]) is not None:
            where = "its own test rows" if one is self.own else one.target
            error = f" ± {one.standard_error:.2f}" if math.isfinite(one.standard_error) else ""
            return f"{tuning} changed the score on {where} by {one.gain:+.2f}{error} pp, compared with {over}."
        significant = [gain.gain for gain in self.gains if gain.q <= LEVEL]
        gains, losses = (sum(sign * gain > 0 for gain in significant) for sign in (1, -1))
        sure = f"{gains} of the gains and {losses} of the losses are significant (q ≤ {LEVEL})"
        if not any(math.isfinite(gain.q) for gain in self.gains):
            sure = "whether that is significant is unknown"
        return (
            f"{tuning} raised the score on {len(self.helps)} of {len(self.gains)} other targets and lowered it on "
            f"{len(self.harms)}, compared with {over}; {sure}."
        )

    def as_row(self) -> dict[str, Any]:
        """For JSON: every table as a list of objects, arrays as lists."""
        return dict(_plain(self))

    def tables(self, top: int | None = None) -> list[tuple[str, list[dict[str, Any]]]]:
        """(title, rows) of every table that is not empty, without columns of unknown values; top: rows of each."""
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
        yield "Largest gains (pp)", [_row(gain, numbers) for gain in some(found.helps)]
        yield "Largest losses (pp)", [_row(gain, numbers) for gain in some(found.harms)]
    else:
        yield "Gain (pp)", [_row(gain, numbers) for gain in one]
    if found.own is not None and found.target in (None, found.source):
        yield "On the source's own test rows (pp)", [_row(found.own, numbers)]
    yield "Shift of answers over labels (total variation, 0 to 1)", [_shift_row(shift) for shift in some(found.labels)]
    if found.target is not None and found.labels:
        yield f"Answers on {found.target} by label (%)", [_plain(label) for label in found.labels[0].labels]
    yield from _confusion_tables(found.confusion)
    yield "Answer length (tokens)", [_length_row(drift) for drift in some(found.lengths)]
    wrong = ("target", "error", "base_share", "share", "change", "standard_error", "q", "n")
    yield "Malformed answers (%)", [_row(error, wrong) for error in some(found.formats)]
    where = "all targets together" if found.target is None else found.target
    yield (
        f"Kinds of rows, {where}: change (pp) in the upper and the lower half by a trait",
        [_kind_row(kind) for kind in some(found.kinds)],
    )
    yield f"Kinds of rows, single targets (q ≤ {LEVEL})", [_kind_row(kind) for kind in some(found.kinds_by_target)]
    yield "Both directions of a pair (pp)", [_row(pair, _PAIR) for pair in some(found.asymmetries)]


def _known(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = [name for name in rows[0] if any(row[name] is not None and row[name] == row[name] for row in rows)]
    return [{name: row[name] for name in kept} for row in rows]


def _row(record: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}


def _shift_row(shift: LabelShift) -> dict[str, Any]:
    up, down = shift.rises, shift.falls
    return {
        **_row(shift, ("target", "shift", "standard_error", "q", "chance")),
        "rising label": up.label,
        "rise (pp)": up.change,
        "falling label": down.label,
        "fall (pp)": down.change,
        "n": shift.n,
    }


def _length_row(drift: LengthDrift) -> dict[str, Any]:
    def spread(values: Iterable[float]) -> str:
        return " / ".join(f"{value:.0f}" for value in values)

    return {
        **_row(drift, ("target", "base_tokens", "tokens", "drift", "standard_error", "q")),
        "10/50/90 % before": spread(drift.base_quantiles),
        "10/50/90 % after": spread(drift.quantiles),
        "n": drift.n,
    }


def _kind_row(kind: RowKind) -> dict[str, Any]:
    names = ("trait", "target", "correlation", "q", "upper", "lower", "difference", "standard_error")
    shown = _row(kind, (*names, "base_upper", "base_lower", "agreement", "n"))
    return shown if kind.target is not None else {k: v for k, v in shown.items() if k != "target"}


def _confusion_tables(found: Confusion | None) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    """As a square, or as a list of changes where there are too many names, or too long ones, for columns."""
    if found is None:
        return
    if len(found.answers) > _SQUARE or max(map(len, found.answers)) > _HEADING:
        yield f"Answers on {found.target} that changed most (rows)", _most_changed(found)
        return
    corner = "correct \\ answered"
    while corner in found.answers:
        corner += " "
    for title, counts in (("before tuning", found.before), ("after tuning, mean over seeds", found.after)):
        yield (
            f"Answers on {found.target} {title} (rows)",
            [
                {corner: gold, **dict(zip(found.answers, line, strict=True))}
                for gold, line in zip(found.gold, counts.tolist(), strict=True)
            ],
        )


def _most_changed(found: Confusion) -> list[dict[str, Any]]:
    moved = found.after - found.before
    order = np.argsort(-np.abs(moved), axis=None, kind="stable")[:_LISTED]
    return [
        {"correct": found.gold[g], "answered": found.answers[a]}
        | {"before": float(found.before[g, a]), "after": float(found.after[g, a]), "change": float(moved[g, a])}
        for g, a in zip(*np.unravel_index(order, moved.shape), strict=True)
        if moved[g, a]
    ]
