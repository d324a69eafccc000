"""Sums that are the same in any order of blocks, processes and machines.

Owns exact totals of float64 numbers, as whole numbers of 2^-UNIT, and what follows from them: means, spreads and the
line through pairs. Refuses to keep the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from traitcast.profiler.text.estimates import Estimate, Floats, exact, undefined

# The last bit of the smallest float64 (2^-1074 is written as 2^52 times it).
UNIT = 1126
# Rounding leaves equal values a standard deviation of 1e-17, which differs between machines: below this share of the
# largest value it counts as 0.
ROUNDING = 1e-12
_LOW = 26
_SPLIT = float((1 << 27) + 1)


def exact_sum(values: Floats) -> int:
    """The exact sum of at most 2^26 finite numbers, float64 (n,), in units of 2^-UNIT."""
    if not len(values):
        return 0
    mantissa, exponent = np.frexp(values)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    shift = exponent.astype(np.int64) + (UNIT - 53)
    least = int(shift.min())
    # Half mantissas by exponent: sums of 2^26 numbers below 2^27 are whole numbers that a float64 holds.
    high = np.bincount(shift - least, weights=whole >> _LOW)
    low = np.bincount(shift - least, weights=whole & ((1 << _LOW) - 1))
    return sum(((int(h) << _LOW) + int(b)) << (at + least) for at, (h, b) in enumerate(zip(high, low, strict=True)))


def exact_dot(a: Floats, b: Floats) -> int:
    """The exact dot product of two arrays: each product as its rounding and its error (Dekker 1971).

    Parameters
    ----------
    a, b : float64 (n,)
        Each number 0, or between 2^-400 and 2^400: the error of a smaller product is below the smallest float64.

    Returns
    -------
    int
        In units of 2^-UNIT.
    """
    rounded = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    error = ((a_high * b_high - rounded) + a_high * b_low + a_low * b_high) + a_low * b_low
    return exact_sum(rounded) + exact_sum(error)


def _halves(values: Floats) -> tuple[Floats, Floats]:
    scaled = _SPLIT * values
    high = scaled - (scaled - values)
    return high, values - high


@dataclass(slots=True)
class Moments:
    """Number, sum and sum of squares of the numbers added, and the largest magnitude."""

    n: int = 0
    sum: int = 0
    squares: int = 0
    largest: float = 0.0

    def add(self, values: Floats) -> None:
        """Take numbers, float64 (n,), and leave out those that are not finite: they are undefined."""
        finite = values[np.isfinite(values)]
        if not len(finite):
            return
        self.n += len(finite)
        self.sum += exact_sum(finite)
        self.squares += exact_dot(finite, finite)
        self.largest = max(self.largest, float(np.abs(finite).max()))

    def merge(self, other: Moments) -> None:
        """Take what another one took."""
        self.n, self.sum, self.squares = self.n + other.n, self.sum + other.sum, self.squares + other.squares
        self.largest = max(self.largest, other.largest)

    def estimate(self) -> Estimate:
        """Mean, and spread (divisor n - 1), of all rows, which have no sampling error."""
        if not self.n:
            return undefined()
        return exact(self.sum / (self.n << UNIT), self.n, self._spread())

    def _spread(self) -> float | None:
        if self.n < 2:
            return None
        squared = (self.n * self.squares << UNIT) - self.sum**2
        found = math.sqrt(squared / (self.n * (self.n - 1) << 2 * UNIT))
        return found if found > ROUNDING * self.largest else 0.0


@dataclass(slots=True)
class SampleMeans:
    """Means over drawn documents of values by name. drawn: documents by name, those without a value included."""

    moments: dict[str, Moments] = field(default_factory=dict)
    drawn: dict[str, int] = field(default_factory=dict)

    def add(self, values: Mapping[str, Floats]) -> None:
        """Take the values of the next documents, NaN where undefined: without those, too few would count as drawn."""
        for name, of_documents in values.items():
            self.moments.setdefault(name, Moments()).add(of_documents)
            self.drawn[name] = self.drawn.get(name, 0) + len(of_documents)

    def estimates(self, rows: int) -> dict[str, Estimate]:
        """Means over the documents where a value is defined, with their standard errors.

        The error is s / sqrt(n) * sqrt(1 - f), with n and s the number and the standard deviation of the defined values
        and f = drawn / rows: the error of a mean over a subpopulation of random size (Cochran 1977, Sampling
        Techniques, section 2.12, with f for the unknown share of the subpopulation that was drawn).

        Parameters
        ----------
        rows
            Of the dataset from which the documents were drawn without replacement.

        Returns
        -------
        dict of str to Estimate
            Without an error where every row was drawn or n < 2.
        """
        return {name: _sampled(moments.estimate(), self.drawn[name], rows) for name, moments in self.moments.items()}


def _sampled(found: Estimate, drawn: int, rows: int) -> Estimate:
    if found.spread is None or drawn >= rows:
        return found
    error = found.spread / math.sqrt(found.n) * math.sqrt(1.0 - drawn / rows)
    return Estimate(found.value, error, found.n, found.spread)


@dataclass(slots=True)
class PairMoments:
    """Number, sums, sums of squares and of products of pairs of numbers."""

    n: int = 0
    x: int = 0
    y: int = 0
    xx: int = 0
    yy: int = 0
    xy: int = 0

    def add(self, x: Floats, y: Floats) -> None:
        """Take pairs of finite numbers, float64 (n,) each."""
        self.merge(PairMoments(len(x), exact_sum(x), exact_sum(y), exact_dot(x, x), exact_dot(y, y), exact_dot(x, y)))

    def merge(self, other: PairMoments) -> None:
        """Take what another one took."""
        self.n, self.x, self.y = self.n + other.n, self.x + other.x, self.y + other.y
        self.xx, self.yy, self.xy = self.xx + other.xx, self.yy + other.yy, self.xy + other.xy

    def line(self) -> tuple[float, float, float] | None:
        """The least-squares line of y on x.

        Returns
        -------
        (float, float, float) or None
            Pearson correlation, slope, and standard deviation of the residuals (divisor n); None below three pairs, or
            where x or y is constant.
        """
        n = self.n
        x = (n * self.xx << UNIT) - self.x**2
        y = (n * self.yy << UNIT) - self.y**2
        both = (n * self.xy << UNIT) - self.x * self.y
        if n < 3 or x <= 0 or y <= 0:
            return None
        left = max(0, x * y - both**2)
        # Not by copysign: these whole numbers are too long for a float.
        correlation = math.sqrt(both**2 / (x * y))
        return correlation if both >= 0 else -correlation, both / x, math.sqrt(left / (x * n**2 << 2 * UNIT))
