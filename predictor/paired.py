"""Before and after on the same rows: how far a mean moved, what moves with what, and what is left after many looks.

Owns the statistics of paired comparisons over rows and seeds. Pure functions over arrays; knows no warehouse. Seeds
share the rows they are scored on, so a row is one observation however many seeds scored it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from warehouse.standing import average_ranks

Floats = npt.NDArray[np.float64]

# A correlation of ranks is told from its null by a normal distribution, which needs rows, and rows that are not tied:
# with fewer than ten off the commonest value, the tail of the true one is lumps.
LEAST_ROWS = 20
LEAST_VARIED = 10
FLIPS = 4999
# Degrees of freedom of an error over rows that somebody else worked out.
_MANY = 10**6
_RESAMPLES = 200


@dataclass(frozen=True, slots=True)
class Change:
    """A mean change. standard_error: over rows and seeds, NaN where neither tells; p: two-sided, of no change, NaN
    likewise. n: rows, None where only a mean per seed is known. freedom: degrees of freedom of the standard error."""

    value: float
    standard_error: float
    p: float
    n: int | None
    seeds: int
    freedom: float


def mean_change(changes: Floats) -> Change:
    """The mean of (seeds, rows) changes, after minus before.

    Both rows and seeds are drawn: se^2 = MS_rows/nk + MS_seeds/nk - MS_rest/nk (two-way random effects, Searle et al.
    1992, section 4.3), but never below either of the first two. p is Student's, with Satterthwaite's degrees of
    freedom, and not below the least that a sign test of the changed rows can give. With one seed, rows only.
    """
    seeds, n = changes.shape
    value, by_row, by_seed = float(changes.mean()), changes.mean(axis=0), changes.mean(axis=1)
    parts = [(float(by_row.var(ddof=1)) / n if n > 1 else math.nan, n - 1)]
    shared = 0.0
    if seeds > 1:
        parts.append((float(by_seed.var(ddof=1)) / seeds, seeds - 1))
        rest = changes - by_row - by_seed[:, None] + value
        shared = float((rest**2).sum()) / (seeds - 1) / (n - 1) / (seeds * n) if n > 1 else 0.0
    variances = [variance for variance, _ in parts]
    error = math.sqrt(max(sum(variances) - shared, *variances, 0.0))
    # As surely as a sign test of the rows that changed can be, and no surer: all rows may change by the same.
    least = 2.0 ** (1 - np.count_nonzero(by_row))
    return _change(value, error, _freedom(parts), n, seeds, least)


def mean_of_seeds(values: Floats, errors: Floats, n: int | None = None) -> Change:
    """The mean of (seeds,) changes of which only means are known. errors: (seeds,) their standard errors over rows, NaN
    where unknown; the seeds share their rows, so these do not shrink with the number of seeds."""
    seeds = len(values)
    parts = [(float(values.var(ddof=1)) / seeds, seeds - 1)] if seeds > 1 else []
    if np.isfinite(errors).all():
        parts.append((float((errors**2).mean()), _MANY))
    error = math.sqrt(sum(variance for variance, _ in parts)) if parts else math.nan
    return _change(float(values.mean()), error, _freedom(parts), n, seeds)


def difference(first: Change, second: Change) -> Change:
    """first minus second, which rest on different rows and different adapters."""
    value = first.value - second.value
    parts = [(change.standard_error**2, change.freedom) for change in (first, second)]
    error = math.hypot(first.standard_error, second.standard_error)
    return _change(value, error, _freedom(parts), None, min(first.seeds, second.seeds))


def _freedom(parts: Sequence[tuple[float, float]]) -> float:
    """Satterthwaite's degrees of freedom of a sum of (variance, its degrees of freedom)."""
    total = sum(variance for variance, _ in parts)
    spread = sum(variance**2 / df for variance, df in parts if df > 0)
    return total**2 / spread if spread > 0 else float(_MANY)


def _change(value: float, error: float, freedom: float, n: int | None, seeds: int, least: float = 0.0) -> Change:
    """least: what p cannot be below."""
    from scipy import stats

    if not math.isfinite(error):
        p = math.nan
    elif value == 0:
        p = 1.0
    elif error == 0:
        # Equal changes of all seeds, or of all rows: nothing varies that could tell.
        p = least or math.nan
    else:
        p = float(min(1.0, max(least, 2 * stats.t.sf(abs(value / error), freedom))))
    return Change(value, error, p, n, seeds, freedom)


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a distribution over labels moved. value: total variation, 0 to 1, mean over seeds. chance: what swapping
    before and after at random gives on average. labels: Change of every label's share, in order."""

    value: float
    standard_error: float
    p: float
    chance: float
    labels: tuple[Change, ...]


def label_shift(before: npt.NDArray[np.int64], after: npt.NDArray[np.int64], labels: int, seed: int = 0) -> Shift:
    """The shift from before (rows,) to after (seeds, rows), both positions of labels.

    p: share of 4,999 random swaps of before and after, row by row and for all seeds of a row at once, that shift as far
    (a Stuart-Maxwell test without its large-sample formula, which many labels and few rows do not allow). The standard
    error is over rows by bootstrap, and over seeds.
    """
    seeds, n = after.shape
    one_hot = np.eye(labels)
    moved = one_hot[after] - one_hot[before]  # (seeds, rows, labels)
    flat = moved.transpose(1, 0, 2).reshape(n, -1)

    def variation(sums: Floats) -> Floats:
        return np.abs(sums.reshape(len(sums), seeds, labels)).sum(axis=2) / 2 / n

    by_seed = variation(flat.sum(axis=0)[None])[0]
    value = float(by_seed.mean())
    rng = np.random.default_rng(seed)
    swapped = variation(rng.choice((-1.0, 1.0), size=(FLIPS, n)) @ flat).mean(axis=1)
    resampled = variation(rng.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES) @ flat).mean(axis=1)
    over_seeds = float(by_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0
    return Shift(
        value=value,
        standard_error=math.sqrt(float(resampled.var(ddof=1)) + over_seeds),
        p=float((1 + np.sum(swapped >= value - 1e-12)) / (1 + FLIPS)),
        chance=float(swapped.mean()),
        labels=tuple(mean_change(moved[:, :, label]) for label in range(labels)),
    )


@dataclass(frozen=True, slots=True)
class Stratum:
    """Rows that are compared among themselves: those of one target. trait, before: (rows,), changes: (seeds, rows)."""

    trait: Floats
    changes: Floats
    before: Floats


@dataclass(frozen=True, slots=True)
class Association:
    """How the change of a row goes with a trait of it.

    correlation: Spearman's, of the trait with the change (mean over seeds), within strata, weighted by their rows. p:
    two-sided, of no association in any. upper, lower: mean change of the rows above and not above the median of their
    stratum; difference, standard_error: of the two. before_upper, before_lower: what they scored before: rows that were
    right cannot gain. n: rows; strata: how many were tested; agreement: share of strata, or of seeds where there is one
    stratum, whose correlation has the same sign.
    """

    correlation: float
    p: float
    upper: float
    lower: float
    difference: float
    standard_error: float
    before_upper: float
    before_lower: float
    n: int
    strata: int
    agreement: float


def association(strata: Iterable[Stratum]) -> Association | None:
    """The association within strata; None where too few rows, or too few that differ, tell anything.

    Under random pairing of trait and change the variance of a correlation of n ranks is 1/(n - 1) exactly, ties or not
    (Kendall and Gibbons 1990, section 4), and so is that of their mean weighted by n - 1 over strata.
    """
    from scipy import stats

    used = [known for stratum in strata if (known := _tested(stratum)) is not None]
    if not used:
        return None
    sizes = np.array([len(stratum.trait) for stratum in used], dtype=np.float64)
    each = np.array([_correlation(s.trait, s.changes.mean(axis=0)) for s in used])
    correlation = float(each @ (sizes - 1) / (sizes - 1).sum())
    halves = np.array([_halves(stratum) for stratum in used])
    upper, lower, before_upper, before_lower = sizes @ halves[:, :4] / sizes.sum()
    same = each if len(used) > 1 else np.array([_correlation(used[0].trait, change) for change in used[0].changes])
    return Association(
        correlation=correlation,
        p=float(2 * stats.norm.sf(abs(correlation) * math.sqrt((sizes - 1).sum()))),
        upper=float(upper),
        lower=float(lower),
        difference=float(upper - lower),
        standard_error=float(np.sqrt(sizes**2 @ halves[:, 4]) / sizes.sum()),
        before_upper=float(before_upper),
        before_lower=float(before_lower),
        n=int(sizes.sum()),
        strata=len(used),
        agreement=float(np.mean(np.sign(same) == np.sign(correlation))),
    )


def _tested(stratum: Stratum) -> Stratum | None:
    """The rows where the trait is defined, if they are enough."""
    known = np.isfinite(stratum.trait)
    trait, changes = stratum.trait[known], stratum.changes[:, known]
    if len(trait) < LEAST_ROWS or min(_off_mode(trait), _off_mode(changes.mean(axis=0))) < LEAST_VARIED:
        return None
    return Stratum(trait, changes, stratum.before[known])


def _off_mode(values: Floats) -> int:
    """How many differ from the commonest value."""
    return len(values) - int(np.unique(values, return_counts=True)[1].max())


def _correlation(first: Floats, second: Floats) -> float:
    """Spearman's, 0 where one is constant."""
    a, b = average_ranks(first), average_ranks(second)
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size else 0.0


def _halves(stratum: Stratum) -> tuple[float, ...]:
    """Mean change above and below the median, mean before above and below, variance of the difference of changes."""
    middle, change = np.median(stratum.trait), stratum.changes.mean(axis=0)
    above = stratum.trait > middle
    if not above.any():
        # More than half of the rows share the largest value.
        above = stratum.trait >= middle
    parts = (change[above], change[~above])
    spread = sum(float(part.var(ddof=1)) / len(part) if len(part) > 1 else math.nan for part in parts)
    means = (float(part.mean()) for part in (*parts, stratum.before[above], stratum.before[~above]))
    return (*means, spread)


def adjusted(p: Sequence[float]) -> list[float]:
    """q: the false discovery rate at which each would be found (Benjamini and Hochberg 1995); NaN stays NaN."""
    from scipy import stats

    values = np.asarray(p, dtype=np.float64)
    known = np.isfinite(values)
    if known.any():
        values[known] = stats.false_discovery_control(values[known])
    return [float(value) for value in values]
