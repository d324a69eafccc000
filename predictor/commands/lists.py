"""How `rank` and `impact` print predictions: measured ones first, then bands, with the digits that errors allow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from traitcast.warehouse.console import count, emit_table, say, tell
from traitcast.warehouse.errors import some

if TYPE_CHECKING:
    from traitcast.predictor.model.prediction import Prediction
    from traitcast.predictor.model.predictor import Predictor
    from traitcast.warehouse.database.warehouse import Warehouse

# Predicted sources that are listed unless more are asked for.
_FEW = 20
# Widths that differ by less are one width.
_ONE_WIDTH = 0.05


def print_ranking(
    shown: Sequence[Prediction],
    fitted: Predictor,
    target: str,
    quality: Mapping[str, Any] | None = None,
    *,
    every: bool = False,
) -> None:
    """Print the sources measured on a target, then the others in bands, or without where no order is claimed.

    quality: as `api.known_quality` returns it. every: all of the others, not only the best.
    """
    if not fitted.abstains:
        say(foundation(fitted, shown, quality))
    measured = [p for p in shown if p.measured is not None]
    others = [p for p in shown if p.measured is None]
    if measured:
        _print_measured(measured, "source", f"measured on {target}", fitted)
    if not others:
        return
    listed = others if every else others[:_FEW]
    unclaimed = "no order is claimed; by likeness and mean gain elsewhere"
    tell(f"{unclaimed if fitted.abstains else 'predicted, best band first'}:")
    if fitted.abstains:
        digits, novel = _digits(others), any(p.novel for p in listed)
        rows: list[dict[str, Any]] = [
            {"source": p.source, "mean elsewhere": _signed(p.source_mean, digits)}
            | ({"novel": p.novel} if novel else {})
            for p in listed
        ]
        emit_table(rows)
        level = median(p.gain for p in others)
        say(f"Without a signal every source is expected to move {target} alike: {level:+.1f} {_unit(fitted)}.")
    else:
        emit_table(_rows(listed, "source", fitted))
        say(
            "band: sources of one band cannot be told apart. based on: the source's own gains on other targets, or, "
            "where it has none, those of sources with like traits."
        )
    if left := len(others) - len(listed):
        say(f"{count(left, 'more source')}: --top {len(shown)} shows all.")
    _say_width(listed, fitted)
    if fitted.outcome.harmful and fitted.matrix.base == "untuned" and all(p.gain <= 0 for p in shown):
        say(f"None is predicted to help {target}.")


def print_impact(
    shown: Sequence[Prediction], fitted: Predictor, source: str, quality: Mapping[str, Any] | None = None
) -> None:
    """Print what a source does to measured targets, most harmed first: the measured ones, then the others."""
    if not fitted.abstains:
        say(foundation(fitted, shown, quality))
    measured = [p for p in shown if p.measured is not None]
    others = [p for p in shown if p.measured is None]
    if measured:
        _print_measured(measured, "target", f"measured for {source}", fitted)
    if others:
        alike = "the same for every source that was not measured there, " if fitted.abstains else ""
        tell(f"predicted, {alike}most harmed first:")
        emit_table(_rows(others, "target", fitted))
        _say_width(others, fitted)


def print_prediction(p: Prediction, fitted: Predictor) -> None:
    """Print the prediction for one pair; what is unknown has no column."""
    digits = _digits([p])
    row: dict[str, Any] = {"source": p.source, "target": p.target}
    row |= {name: _signed(getattr(p, name), digits) for name in ("gain", "low", "high")}
    row |= {"harm": f"{p.harm:.0%}" if math.isfinite(p.harm) else None, "novel": p.novel}
    row |= {"measured": _signed(p.measured, digits), "mean elsewhere": _signed(p.source_mean, digits)}
    row |= {"based on": _basis(p)}
    emit_table([{name: value for name, value in row.items() if value is not None}], optional=("mean elsewhere",))


def foundation(fitted: Predictor, found: Sequence[Prediction] = (), quality: Mapping[str, Any] | None = None) -> str:
    """What some predictions are based on, and how much better than chance that was, in one line.

    quality: as `api.known_quality` returns it; without it the figure is one of the fit.
    """
    from traitcast.predictor.model.gain_model import KNOWN, NEW
    from traitcast.predictor.model.prediction import MIXED, rest_on_gains

    regime = KNOWN if fitted.abstains or rest_on_gains(found) else NEW
    verdict, matrix = fitted.verdicts[regime], fitted.matrix.matrix
    where = "unseen targets" if regime == KNOWN else "sources that were never measured"
    if verdict.abstains:
        how = "order sources for unseen targets" if regime == KNOWN else f"order {where}"
        return (
            f"No signal in {matrix!r}: {verdict.chance:.0%} of shuffled matrices {how} as well, so no order is claimed."
        )
    others = "the datasets it is made of" if {p.basis for p in found} == {MIXED} else "sources like it"
    gains = f"the gains of {'each source' if regime == KNOWN else others} on other targets, weighted by their likeness"
    words = {
        "nothing": "the level of each target",
        "likeness": "likeness of source and target",
        "source mean": "the mean gain of each source on other targets",
        "evidence": gains,
        "full": f"{gains}, traits of the pair",
    }
    if quality is None:
        share, how = (1 + verdict.scores[verdict.kind]) / 2, "inside the fit"
    else:
        share, how = quality["pairs"], "cross-validated"
    close = "" if verdict.kind == "likeness" else ", and how far a source stands out by its likeness to the target"
    return (
        f"Based on {words[verdict.kind]}{close}. For {where} this put {share:.0%} of source pairs in the right order "
        f"({how}; chance 50 %; {verdict.chance:.1%} of shuffled matrices do as well)."
    )


def measured_words(p: Prediction) -> str:
    """What was measured of a pair, in words."""
    error = "" if p.standard_error is None else f" ± {p.standard_error:.1f} (standard error)"
    return f"measured: {p.measured:+.1f}{error} in {count(p.runs or 1, 'run')}"


def doubts(warehouse: Warehouse, target: str, sources: Sequence[str], shared: Sequence[str] | None = None) -> list[str]:
    """Why not to trust what is predicted for a target: it is small, or sources have its rows.

    shared: the sources that share its prompts, if they are known already.
    """
    from traitcast.predictor import api

    same = set(api.same_rows(warehouse).get(target, ()))
    twins = [name for name in sources if name in same]
    parts = [
        name for name in (api.parts_of(warehouse, target, sources) if shared is None else shared) if name not in same
    ]
    found = [f"{some(twins, 8)}: the same rows as {target!r} under another name, so no useful source"] if twins else []
    if parts:
        found += [
            f"{some(parts, 8)}: most prompts are also in {target!r}, so a gain there is no sign of a useful source"
        ]
    if (rows := warehouse.profile(target).rows) < api.MIN_ROWS:
        found += [f"{target} has {count(rows, 'row')}: its traits are uncertain, and so is what is predicted for it"]
    return found


def warn_novel(found: Sequence[Prediction]) -> None:
    """Say how many pairs are extrapolations."""
    novel = sum(prediction.novel for prediction in found)
    if novel:
        say(f"novel: {novel} of {count(len(found), 'pair')} with a dataset unlike those in training: extrapolations.")


def _print_measured(measured: Sequence[Prediction], role: str, title: str, fitted: Predictor) -> None:
    digits = _digits(measured)
    rows = [
        {role: getattr(p, role), "measured": _signed(p.measured, digits), "runs": p.runs}
        | {"gain": _signed(p.gain, digits), "low": _signed(p.low, digits), "high": _signed(p.high, digits)}
        for p in measured
    ]
    tell(
        f"{title} ({_unit(fitted)}); gain: that, shrunk towards the prediction by its noise; low to high: its 90 % "
        "interval:"
    )
    emit_table(rows)
    click.echo()


def _rows(others: Sequence[Prediction], role: str, fitted: Predictor) -> list[dict[str, Any]]:
    digits = _digits(others)
    some_measured = any(p.source_mean is not None for p in others)
    rows = []
    for p in others:
        row: dict[str, Any] = ({} if p.band is None else {"band": p.band}) | {role: getattr(p, role)}
        row["gain"] = _signed(p.gain, digits)
        if not _one_width(others):
            row |= {"low": _signed(p.low, digits), "high": _signed(p.high, digits)}
        if fitted.about.get("harm_known"):
            row["harm"] = f"{p.harm:.0%}"
        if role == "source":
            row |= {"mean elsewhere": _signed(p.source_mean, digits)} if some_measured else {}
            row |= {"based on": _basis(p)}
        rows.append(row | ({"novel": p.novel} if any(one.novel for one in others) else {}))
    return rows


def _say_width(listed: Sequence[Prediction], fitted: Predictor) -> None:
    digits = _digits(listed)
    halves = [f"{half:.{digits}f}" for half in sorted((p.high - p.low) / 2 for p in listed)]
    if _one_width(listed):
        say(f"90 % interval of each: ± {halves[0]} {_unit(fitted)}.")
    elif fitted.abstains:
        say(f"90 % intervals: ± {halves[0]} to ± {halves[-1]} {_unit(fitted)}.")
    else:
        say("low to high: 90 % interval.")


def _basis(p: Prediction) -> str:
    if p.measured is not None:
        return "this pair, measured"
    return {"like sources": "traits", "parents": "its parents"}.get(p.basis, "own gains")


def _one_width(others: Sequence[Prediction]) -> bool:
    widths = [p.high - p.low for p in others]
    return max(widths) - min(widths) <= _ONE_WIDTH * max(widths)


def _digits(shown: Sequence[Prediction]) -> int:
    """Decimals that the errors allow: none from intervals of ± 10 on, two below ± 1."""
    halves = [(p.high - p.low) / 2 for p in shown if math.isfinite(p.high)]
    half = min(halves, default=1.0)
    return 0 if half >= 10 else 1 if half >= 1 else 2


def _signed(value: float | None, digits: int) -> str | None:
    if value is None or not math.isfinite(value):
        return None
    return f"{value:+.{digits}f}" if round(value, digits) else "0"


def _unit(fitted: Predictor) -> str:
    return fitted.outcome.unit
