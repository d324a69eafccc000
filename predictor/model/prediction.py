"""A prediction, what was measured of its pair, and a ranking of several.

Owns the JSON contract of `predict` and `rank`, and how a measurement and a prediction become one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import isfinite, sqrt
from typing import Any

import numpy as np

from traitcast.predictor.model.observations import Observations
from traitcast.warehouse.console import html_table

# What a number rests on: the pair itself was measured, its source on other targets, only other sources, or the datasets
# that a mixture was drawn from.
MEASURED, OTHERS, LIKE, MIXED = "measured", "source measured", "like sources", "parents"
# 90 % of a normal distribution lie within this many standard deviations.
_DEVIATIONS = 1.645


@dataclass(frozen=True, slots=True)
class Measurement:
    """The measured gain of a pair (pp), its standard error over seeds and rows (pp, None if unknown), and the runs."""

    gain: float
    error: float | None
    runs: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """What tuning on `source` is predicted to do to `target`, or what it was measured to do.

    Attributes
    ----------
    source, target
        The two datasets.
    gain, low, high
        Median and 90 % interval: the gain in pp, or another outcome in its unit (see `predictor.model.outcomes`). Of a
        measured pair: its mean, shrunk towards the prediction by its noise.
    harm
        Chance that the gain is negative; NaN for another outcome, and where a constant would do as well.
    novel
        Whether one of the datasets is unlike those seen in its role.
    source_mean
        Mean measured gain of the source over the other targets of the matrix; None if it was no source there.
    measured
        Measured mean gain of this pair; None if it was not measured.
    basis
        MEASURED, OTHERS (the source was measured on other targets), LIKE (it was never measured) or MIXED (nor was it,
        but it is a mixture of other datasets).
    band
        In a ranking: predictions of one band cannot be told apart; 1 is the best. None if measured or alone.
    choice
        In a ranking without a signal: 1 to 3 for the sources to try first, which complement each other; else None.
    claimed
        Whether it is measured, or a signal behind such predictions was found; else `gain` is the level of the target.
    standard_error, runs
        Of the measurement.
    unit
        Of gain, low, high, source_mean, measured and standard_error.
    """

    source: str
    target: str
    gain: float
    low: float
    high: float
    harm: float
    novel: bool
    source_mean: float | None
    measured: float | None = None
    basis: str = OTHERS
    band: int | None = None
    choice: int | None = None
    claimed: bool = True
    standard_error: float | None = None
    runs: int | None = None
    unit: str = "pp"

    def answered(self, found: Measurement) -> Prediction:
        """The answer after a measurement: the mean of both, weighted by their variances.

        A measurement of unknown noise counts fully, and its interval is as wide as the prediction's: held-out errors
        hold that noise too, so it cannot be larger. An error of 0 is unknown: it only says that the runs agree.
        """
        prior = (self.high - self.low) / 2 / _DEVIATIONS
        share = 1.0 if not found.error or not prior > 0 else prior**2 / (prior**2 + found.error**2)
        gain = share * found.gain + (1 - share) * self.gain
        error = sqrt(share) * found.error if found.error else prior
        low, high = gain - _DEVIATIONS * error, gain + _DEVIATIONS * error
        harm = _below(-gain / error) if isfinite(self.harm) and error > 0 else self.harm
        return replace(
            self,
            gain=gain,
            low=low,
            high=high,
            harm=harm,
            novel=False,
            measured=found.gain,
            basis=MEASURED,
            claimed=True,
            standard_error=found.error or None,
            runs=found.runs,
        )

    def in_band(self, band: int) -> Prediction:
        """The same with a band."""
        return replace(self, band=band)

    def as_row(self) -> dict[str, Any]:
        """The JSON contract of `predict` and `rank`, to six decimals: float32 has no more."""
        row = {name: getattr(self, name) for name in _FIELDS}
        return {name: _rounded(value) for name, value in row.items()}

    def _repr_html_(self) -> str:
        return html_table([self.as_row()])


@dataclass(frozen=True, slots=True)
class Parts:
    """What a prediction of the gain model is made of; every array (pairs,), those from level to scale in pp.

    level: of the target. base: of an average target. spread: of the target. evidence: what the closed form adds. close:
    the part of that which is the closeness of the pair. correction: what the trees add. scale: how far the prediction
    may be off but for a factor. order, closeness: by what sources are ordered, and the part of it that is closeness, in
    spreads, also where no signal is claimed. known: whether the source was measured. mixed: whether the evidence is
    that of the parents of a mixture.
    """

    level: np.ndarray
    base: float
    spread: np.ndarray
    evidence: np.ndarray
    close: np.ndarray
    correction: np.ndarray
    scale: np.ndarray
    order: np.ndarray
    closeness: np.ndarray
    known: np.ndarray
    mixed: np.ndarray

    def take(self, pairs: Sequence[int]) -> Parts:
        """The same of some pairs, in their order."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Parts(**{name: of if name == "base" else of[pairs] for name, of in values.items()})


def measurements(observations: Observations) -> dict[str, dict[str, Measurement]]:
    """source -> target -> what was measured, mean over models."""
    gathered: dict[tuple[str, str], list[int]] = {}
    for row, pair in enumerate(zip(observations.source_names, observations.target_names, strict=True)):
        gathered.setdefault(pair, []).append(row)
    found: dict[str, dict[str, Measurement]] = {}
    for (source, target), rows in gathered.items():
        gain = round(float(observations.gain[rows].mean()), 6)
        error = float(np.sqrt((observations.error[rows] ** 2).sum()) / len(rows))
        runs = int((~np.isnan(observations.seed_gains[rows])).sum())
        found.setdefault(source, {})[target] = Measurement(gain, None if np.isnan(error) else round(error, 6), runs)
    return found


def rest_on_gains(found: Sequence[Prediction]) -> bool:
    """Whether the source of some prediction was measured itself; also of none at all."""
    return not found or any(p.basis in (MEASURED, OTHERS) for p in found)


def _below(deviations: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(deviations))


def _rounded(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return round(value, 6) if isfinite(value) else None


_FIELDS = tuple(f.name for f in fields(Prediction))


class Ranking(list[Prediction]):
    """Predictions for one target, best first: a list that shows itself as a table in a notebook."""

    @property
    def claimed(self) -> bool:
        """Whether the order of what was not measured, if there is any, is said to be better than chance."""
        return any(p.claimed for p in self if p.measured is None) or all(p.measured is not None for p in self)

    def top(self, n: int) -> Ranking:
        """The `n` best."""
        return Ranking(self[:n])

    @property
    def to_try(self) -> list[str]:
        """The sources to try first where no order is claimed."""
        return [p.source for p in sorted(self, key=lambda p: p.choice or 0) if p.choice]

    def to_train(self, n: int) -> Ranking:
        """The `n` best to train on: by rank, or where no order is claimed those to try first.

        Measured ones that are better than what is expected of the others come before these, and worse ones last.
        """
        if self.claimed:
            return self.top(n)
        expected = max((p.gain for p in self if p.measured is None), default=-np.inf)

        def place(p: Prediction) -> float:
            if p.measured is None:
                return p.choice or len(self)
            return 0 if p.gain > expected else len(self) + 1

        return Ranking(sorted(self, key=place)).top(n)

    def _repr_html_(self) -> str:
        return html_table([prediction.as_row() for prediction in self])
