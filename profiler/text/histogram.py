"""How often each whole number occurs, such as lengths of texts.

Owns counts by value, and the means, moments and quantiles that follow from them exactly. Memory follows the distinct
values, 16 bytes each; for hashes, which hardly repeat, use `profiler.text.distinct`.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import numpy.typing as npt

from traitcast.profiler.text.estimates import Estimate, Ints, exact, undefined

Whole = npt.NDArray[np.integer]

# Added values wait until there are as many as distinct ones, and this many at least, so that sorting stays n log n.
_WAITING = 1 << 16


class ValueCounts:
    """Distinct values, ascending, and how often each was added."""

    def __init__(self) -> None:
        self._values: Whole = np.zeros(0, dtype=np.int64)
        self._counts: Ints = np.zeros(0, dtype=np.int64)
        self._waiting: list[tuple[Whole, Ints]] = []
        self._size = 0

    @classmethod
    def of(cls, values: Whole) -> ValueCounts:
        """The counts of some values, whole numbers (n,)."""
        made = cls()
        made.add(values)
        return made

    def add(self, values: Whole) -> None:
        """Count values once more each."""
        self.add_counts(*np.unique(values, return_counts=True))

    def merge(self, other: ValueCounts) -> None:
        """Count what another one counted."""
        self.add_counts(other.values, other.counts)

    def add_counts(self, values: Whole, counts: Ints) -> None:
        """Count values as often more as `counts` says. values, counts: whole numbers (n,)."""
        if len(values):
            self._waiting.append((values, counts.astype(np.int64)))
            self._size += len(values)
        if self._size > max(_WAITING, len(self._values)):
            self._consolidate()

    def _consolidate(self) -> None:
        if not self._waiting:
            return
        # Without the empty start, whose type may be another.
        parts = [*([(self._values, self._counts)] if len(self._values) else []), *self._waiting]
        self._waiting, self._size = [], 0
        values, counts = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.argsort(values, kind="stable")
        values = values[order]
        opens = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
        self._values, self._counts = values[opens], np.add.reduceat(counts[order], opens)

    @property
    def values(self) -> Whole:
        """The distinct values, ascending."""
        self._consolidate()
        return self._values

    @property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """The distinct values as uint64, also when there are none."""
        return self.values.astype(np.uint64, copy=False)

    @property
    def in_memory(self) -> int:
        """How many values are in memory, including those that wait to be sorted."""
        return len(self._values) + self._size

    @property
    def counts(self) -> Ints:
        """How often each was added."""
        self._consolidate()
        return self._counts

    @property
    def n(self) -> int:
        """How many values were added."""
        return int(self.counts.sum())

    @property
    def distinct(self) -> int:
        """How many of them differ."""
        return len(self.values)


class Distribution:
    """Mean, moments and quantiles of counted whole numbers from 0 on. Undefined values are NaN."""

    def __init__(self, counted: ValueCounts) -> None:
        self.values = counted.values.astype(np.int64)
        self.counts = counted.counts
        self.n = counted.n

    @cached_property
    def _powers(self) -> tuple[int, int, int, int]:
        """Sums of the first four powers."""
        pairs = list(zip(self.values.tolist(), self.counts.tolist(), strict=True))
        first, second, third, fourth = (sum(count * value**k for value, count in pairs) for k in (1, 2, 3, 4))
        return first, second, third, fourth

    @cached_property
    def _central(self) -> tuple[int, int, int]:
        """n^k times the k-th central moment, k = 2, 3, 4."""
        n, (one, two, three, four) = self.n, self._powers
        return (
            n * two - one**2,
            n**2 * three - 3 * n * one * two + 2 * one**3,
            n**3 * four - 4 * n**2 * one * three + 6 * n * one**2 * two - 3 * one**4,
        )

    def mean(self) -> Estimate:
        """The mean, and the spread over documents (divisor n - 1)."""
        if not self.n:
            return undefined()
        spread = math.sqrt(self._central[0] / (self.n * (self.n - 1))) if self.n > 1 else None
        return exact(self._powers[0] / self.n, self.n, spread)

    @property
    def deviation(self) -> float:
        """Standard deviation, divisor n."""
        return math.sqrt(self._central[0] / self.n**2) if self.n else math.nan

    @property
    def variation(self) -> float:
        """Coefficient of variation: standard deviation over mean; NaN for a mean of 0."""
        return math.sqrt(self._central[0] / self._powers[0] ** 2) if self.n and self._powers[0] else math.nan

    @property
    def skewness(self) -> float:
        """Moment coefficient of skewness g1 = m3 / m2^(3/2) (Joanes and Gill 1998, eq. 1); NaN for constant values."""
        second, third, _ = self._central
        if not second:
            return math.nan
        found = math.sqrt(third**2 / second**3)
        return found if third >= 0 else -found

    @property
    def kurtosis(self) -> float:
        """m4 / m2^2, 3 for a normal distribution (Joanes and Gill 1998, eq. 2, without the - 3); NaN for constant
        ones."""
        second, _, fourth = self._central
        return fourth / second**2 if second else math.nan

    def quantile(self, q: float) -> float:
        """Linear interpolation between order statistics (Hyndman and Fan 1996, type 7)."""
        if not self.n:
            return math.nan
        at = (self.n - 1) * q
        low = math.floor(at)
        ends = np.cumsum(self.counts)
        a, b = self.values[np.searchsorted(ends, [low, min(low + 1, self.n - 1)], side="right")].tolist()
        return a + (b - a) * (at - low)
