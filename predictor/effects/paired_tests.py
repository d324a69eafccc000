"""Before and after on the same rows: how far a mean moved, what it depends on, and the correction for many tests.

Owns the statistics of paired comparisons over rows and seeds, as pure functions over arrays. Seeds share the rows they
are scored on, so a row is one observation, however many seeds scored it. A seed is a draw as well: conclusions are
about the adapters that other seeds would give; with one seed, about this adapter alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# The p value of a rank correlation comes from a normal distribution, which needs many rows that are not tied: with
# fewer than ten rows off the most common value, the tail of the true distribution is lumpy.
LEAST_ROWS = 20
LEAST_VARIED = 10
# The false discovery rate up to which something is called found.
LEVEL = 0.05
FLIPS = 4999
# Degrees of freedom of an imported standard error over rows.
_MANY = 10**6
_RESAMPLES = 200


@dataclass(frozen=True, slots=True)
class Change:
    """A mean change.

    standard_error: over rows and seeds; NaN where it cannot be estimated. p: two-sided, for no change; NaN likewise. n:
    rows, None where only a mean per seed is known. freedom: degrees of freedom of the standard error.
    """

    value: float
    standard_error: float
    p: float
    n: int | None
    seeds: int
    freedom: float


def mean_change(changes: Floats) -> Change:
    """The mean change over rows and seeds.

    Both rows and seeds are random draws: se^2 = MS_rows/nk + MS_seeds/nk - MS_rest/nk (two-way random effects, Searle
    et al. 1992, section 4.3), but never below either of the first two. p is Student's, with Satterthwaite's degrees of
    freedom, and not below the smallest p of a sign test of the changed rows. With one seed, over rows only.

    Parameters
    ----------
    changes
        After minus before, (seeds, rows).
    """
    seeds, n = changes.shape
    value, by_row, by_seed = float(changes.mean()), changes.mean(axis=0), changes.mean(axis=1)
    rows = float(by_row.var(ddof=1)) / n if n > 1 else math.nan
    error, freedom = _two_way(rows, n - 1, by_seed, _shared(changes))
    # No smaller than in a sign test of the changed rows: all rows may change by the same amount.
    least = 2.0 ** (1 - np.count_nonzero(by_row))
    return _change(value, error, freedom, n, seeds, least)


def _two_way(rows: float, rows_freedom: float, by_seed: Floats, shared: float) -> tuple[float, float]:
    """Standard error of a mean over rows and seeds, and its degrees of freedom (`mean_change` says how).

    rows: its variance over rows, all seeds taken together. by_seed: (seeds,) or (seeds, k) what every seed alone gives,
    the variances of k numbers added. shared: what both variances hold, of rows and seeds at once.
    """
    parts = [(rows, rows_freedom)]
    if len(by_seed) > 1:
        parts.append((float(by_seed.var(axis=0, ddof=1).sum()) / len(by_seed), len(by_seed) - 1))
    variances = [variance for variance, _ in parts]
    variance = max(sum(variances) - shared, *variances, 0.0)
    return math.sqrt(variance), _freedom(parts, variance)


def _shared(changes: Floats) -> float:
    """MS_rest/nk of (seeds, rows) or (seeds, rows, k) changes, those of k numbers added; 0 where nothing is left."""
    seeds, n = changes.shape[:2]
    if min(seeds, n) < 2:
        return 0.0
    by_row, by_seed = changes.mean(axis=0), changes.mean(axis=1, keepdims=True)
    rest = changes - by_row - by_seed + changes.mean(axis=(0, 1))
    return float((rest**2).sum()) / (seeds - 1) / (n - 1) / (seeds * n)


def mean_of_seeds(values: Floats, errors: Floats, n: int | None = None) -> Change:
    """The mean change where only the mean of every seed is known.

    Parameters
    ----------
    values
        Mean change of every seed, (seeds,).
    errors
        Their standard errors over rows, (seeds,); NaN where unknown. Seeds share their rows, so that these errors do
        not shrink with the number of seeds.
    n
        Number of rows, if known.
    """
    seeds = len(values)
    parts = [(float(values.var(ddof=1)) / seeds, seeds - 1)] if seeds > 1 else []
    if np.isfinite(errors).all():
        parts.append((float((errors**2).mean()), _MANY))
    error = math.sqrt(sum(variance for variance, _ in parts)) if parts else math.nan
    return _change(float(values.mean()), error, _freedom(parts), n, seeds)


def difference(first: Change, second: Change) -> Change:
    """The first change minus the second, measured on different rows with different adapters."""
    value = first.value - second.value
    parts = [(change.standard_error**2, change.freedom) for change in (first, second)]
    error = math.hypot(first.standard_error, second.standard_error)
    return _change(value, error, _freedom(parts), None, min(first.seeds, second.seeds))


def _freedom(parts: Sequence[tuple[float, float]], total: float | None = None) -> float:
    """Satterthwaite's degrees of freedom of a variance that is made of (variance, its degrees of freedom).

    total: the variance, where it is not the sum of its parts.
    """
    whole = sum(variance for variance, _ in parts) if total is None else total
    spread = sum(variance**2 / df for variance, df in parts if df > 0)
    return whole**2 / spread if spread > 0 else float(_MANY)


def _change(value: float, error: float, freedom: float, n: int | None, seeds: int, least: float = 0.0) -> Change:
    """least: what p cannot be below."""
    from scipy import stats

    if not math.isfinite(error):
        p = math.nan
    elif value == 0:
        p = 1.0
    elif error == 0:
        # All seeds, or all rows, changed by the same: no variation to judge by.
        p = least or math.nan
    else:
        p = float(min(1.0, max(least, 2 * stats.t.sf(abs(value / error), freedom))))
    return Change(value, error, p, n, seeds, freedom)


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a distribution over labels moved.

    value: total variation, 0 to 1, mean over seeds. chance: its mean when before and after are swapped at random. p:
    for no shift in the mean over the adapters of all possible seeds; with one seed, for this adapter. labels: `Change`
    of every label's share, in order.
    """

    value: float
    standard_error: float
    p: float
    chance: float
    labels: tuple[Change, ...]


def label_shift(before: npt.NDArray[np.int64], after: npt.NDArray[np.int64], labels: int, seed: int = 0) -> Shift:
    """How far the answers moved over the labels.

    p is the share of 4,999 random swaps of before and after, row by row and for all seeds of a row at once, that move
    the mean shares as far (a Stuart-Maxwell test without its large-sample formula, which does not hold for many labels
    and few rows). With several seeds, the differences between them are added to every swap at random. The standard
    error is over rows by bootstrap, and over seeds.

    Parameters
    ----------
    before
        Positions of the labels answered before tuning, (rows,).
    after
        The same after tuning, (seeds, rows).
    labels
        Number of labels.
    seed
        Of the random swaps.
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
    swaps = rng.choice((-1.0, 1.0), size=(FLIPS, n))
    swapped = variation(swaps @ flat).mean(axis=1)
    resampled = variation(rng.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES) @ flat).mean(axis=1)
    over_seeds = float(by_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0
    return Shift(
        value=value,
        standard_error=math.sqrt(float(resampled.var(ddof=1)) + over_seeds),
        p=_shift_chance(moved, swaps, rng),
        chance=float(swapped.mean()),
        labels=tuple(mean_change(moved[:, :, label]) for label in range(labels)),
    )


def _shift_chance(moved: Floats, swaps: Floats, rng: np.random.Generator) -> float:
    """Chance of a shift of the mean shares like that of `moved` (seeds, rows, labels), over rows and seeds.

    Drawn means are those of swapped rows plus the seeds' deviations in random proportions, so large that variances are
    those of `mean_change`, over the root of a chi-square of its degrees of freedom, since the variance between seeds is
    estimated from few of them. For two labels this is the test of `mean_change`.
    """
    seeds, n = moved.shape[:2]
    by_row, by_seed = moved.mean(axis=0), moved.mean(axis=1)
    value = by_seed.mean(axis=0)
    drawn = swaps @ by_row / n
    if seeds > 1 and n > 1:
        rows = float(by_row.var(axis=0, ddof=1).sum()) / n
        error, freedom = _two_way(rows, n - 1, by_seed, _shared(moved))
        apart = by_seed - value
        if (size := float((apart**2).sum())) > 0:
            drawn += math.sqrt(max(error**2 - rows, 0.0) / size) * (rng.standard_normal((FLIPS, seeds)) @ apart)
        drawn *= np.sqrt(freedom / rng.chisquare(freedom, size=(FLIPS, 1)))
    reached = np.abs(drawn).sum(axis=1) >= np.abs(value).sum() - 1e-12
    return float((1 + reached.sum()) / (1 + FLIPS))


@dataclass(frozen=True, slots=True)
class Stratum:
    """Rows that are compared among themselves: those of one target.

    trait, before: (rows,). changes: (seeds, rows). seeds: their numbers, since strata with the same seed share an
    adapter; empty means 0, 1, ...
    """

    trait: Floats
    changes: Floats
    before: Floats
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RowAssociation:
    """How the change of a row depends on a trait of it.

    correlation: of the ranks of trait and change (mean over seeds; Spearman's with one seed), within strata, weighted
    by their rows. p: two-sided, for no correlation in any stratum, in the mean over all possible seeds; with one seed,
    for this adapter. upper, lower: mean change of the rows above, and not above, the median of their stratum;
    difference, standard_error: of the two, over rows and seeds. before_upper, before_lower: their scores before
    tuning, since rows that were right cannot gain. n: rows. strata: how many were tested. agreement: share of strata
    (of seeds, with one stratum) whose correlation has the same sign.
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


def association(strata: Iterable[Stratum]) -> RowAssociation | None:
    """The association within strata; None with too few rows, or too few different values, for a test.

    Under random pairing of trait and change the variance of a correlation of n ranks is 1/(n - 1) exactly, ties or not
    (Kendall and Gibbons 1990, section 4), and so is that of their mean over strata, weighted by n - 1. The variance
    over seeds is added as in `mean_change`: an adapter may have quirks that another one lacks.
    """
    from scipy import stats

    used = [known for stratum in strata if (known := _tested(stratum)) is not None]
    if not used:
        return None
    sizes = np.array([len(stratum.trait) for stratum in used], dtype=np.float64)
    ranks, halves = [_correlation(stratum) for stratum in used], [_halves(stratum) for stratum in used]
    degrees, shares = (sizes - 1) / (sizes - 1).sum(), sizes / sizes.sum()
    each = np.array([part.by_seed.mean() for part in ranks])
    correlation = float(degrees @ each)
    error, freedom = _pooled(used, ranks, degrees)
    means = np.array([(half.upper, half.lower, half.before_upper, half.before_lower) for half in halves])
    upper, lower, before_upper, before_lower = shares @ means
    same = each if len(used) > 1 else ranks[0].by_seed
    return RowAssociation(
        correlation=correlation,
        p=float(2 * stats.t.sf(abs(correlation) / error, freedom)),
        upper=float(upper),
        lower=float(lower),
        difference=float(upper - lower),
        standard_error=_pooled(used, [half.difference for half in halves], shares)[0],
        before_upper=float(before_upper),
        before_lower=float(before_lower),
        n=int(sizes.sum()),
        strata=len(used),
        agreement=float(np.mean(np.sign(same) == np.sign(correlation))),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """One number of a stratum: its value for every seed (seeds,), its variance over rows, and the part seeds share."""

    by_seed: Floats
    rows: float
    shared: float


@dataclass(frozen=True, slots=True)
class _Halves:
    """Mean change above and below the median, mean before above and below, and the difference of the changes."""

    upper: float
    lower: float
    before_upper: float
    before_lower: float
    difference: _Part


def _pooled(strata: Sequence[Stratum], parts: Sequence[_Part], weights: Floats) -> tuple[float, float]:
    """Standard error and degrees of freedom of a weighted sum over strata, which share their seeds."""
    apart: dict[int, float] = {}
    for stratum, part, weight in zip(strata, parts, weights, strict=True):
        seeds = stratum.seeds or range(len(part.by_seed))
        for seed, away in zip(seeds, part.by_seed - part.by_seed.mean(), strict=True):
            apart[seed] = apart.get(seed, 0.0) + float(weight * away)
    rows, shared = (weights**2 @ [getattr(part, name) for part in parts] for name in ("rows", "shared"))
    return _two_way(float(rows), _MANY, np.array(list(apart.values())), float(shared))


def _tested(stratum: Stratum) -> Stratum | None:
    """The rows where the trait is defined, if they are enough."""
    known = np.isfinite(stratum.trait)
    trait, changes = stratum.trait[known], stratum.changes[:, known]
    if len(trait) < LEAST_ROWS or min(_off_mode(trait), _off_mode(changes.mean(axis=0))) < LEAST_VARIED:
        return None
    return Stratum(trait, changes, stratum.before[known], stratum.seeds)


def _off_mode(values: Floats) -> int:
    """How many differ from the most common value."""
    return len(values) - int(np.unique(values, return_counts=True)[1].max())


def _correlation(stratum: Stratum) -> _Part:
    """Correlation of the ranks of trait and change, as what every seed adds to it."""
    from scipy.stats import rankdata

    seeds, n = stratum.changes.shape
    trait, ranks = (rankdata(values, axis=-1) - (n + 1) / 2 for values in (stratum.trait, stratum.changes))
    length = float((ranks.mean(axis=0) ** 2).sum())
    if length == 0:
        # Seeds that cancel one another out on every row.
        return _Part(np.zeros(seeds), 1 / (n - 1), 0.0)
    # Of residuals e, trait and rows paired at random, the variance is |e|^2 / (n - 1) / length.
    return _Part(ranks @ trait / math.sqrt(float(trait @ trait) * length), 1 / (n - 1), _shared(ranks) * n / length)


def _halves(stratum: Stratum) -> _Halves:
    middle = np.median(stratum.trait)
    above = stratum.trait > middle
    if not above.any():
        # More than half of the rows share the largest value.
        above = stratum.trait >= middle
    parts, before = (tuple(of[..., half] for half in (above, ~above)) for of in (stratum.changes, stratum.before))
    spread = sum(
        float(part.mean(axis=0).var(ddof=1)) / part.shape[1] if part.shape[1] > 1 else math.nan for part in parts
    )
    upper, lower = (part.mean(axis=1) for part in parts)
    difference = _Part(upper - lower, spread, sum(_shared(part) for part in parts))
    high, low, before_high, before_low = (float(of.mean()) for of in (upper, lower, *before))
    return _Halves(high, low, before_high, before_low, difference)


def adjusted(p: Sequence[float]) -> list[float]:
    """q values: the false discovery rate at which each p would count as found (Benjamini and Hochberg 1995).

    NaN stays NaN and is not counted.
    """
    from scipy import stats

    values = np.asarray(p, dtype=np.float64)
    known = np.isfinite(values)
    if known.any():
        values[known] = stats.false_discovery_control(values[known])
    return [float(value) for value in values]
