"""What one trait of one dataset is worth: a value, how far a sample may have missed it, and how many rows it rests on.

Owns the rule for missing values (NaN in, None out, never 0) and the sampling error. Refuses to invent an error
where every row was seen or where no simple formula exists: the standard error is then None.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Equal values leave a standard deviation of 1e-17 by rounding, which differs between machines: below this share of the
# greatest value it is none.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Estimate:
    """value None: undefined. standard_error None: nothing was sampled, or no estimate exists. n: rows used.

    spread: standard deviation over documents of what the value is the mean of; None where it is no such mean.
    """

    value: float | None
    standard_error: float | None
    n: int
    spread: float | None = None


def exact(value: float, n: int, spread: float | None = None) -> Estimate:
    """A number that carries no sampling error; NaN and infinities become None."""
    return Estimate(float(value) if math.isfinite(value) else None, None, n, spread)


def undefined(n: int = 0) -> Estimate:
    """The estimate of a trait that this dataset does not have."""
    return Estimate(None, None, n)


def mean(values: Floats, *, rows: int) -> Estimate:
    """Mean over documents where the value is defined, with its standard error.

    values: float64, one per drawn row, NaN where undefined: leaving those out would understate how much was drawn.
    rows: rows of the dataset they were drawn from without replacement. The error is s / sqrt(n) * sqrt(1 - f), with n
    and s the number and the standard deviation of the defined values and f = drawn / rows. How many are defined is
    random too; this is the error of a mean over a subpopulation (Cochran 1977, Sampling Techniques, section 2.12, with
    f for the unknown share of the subpopulation that was drawn). None when every row was drawn or n < 2.
    """
    defined = values[np.isfinite(values)]
    n = len(defined)
    if n == 0:
        return undefined()
    value = float(defined.mean())
    spread = standard_deviation(defined)
    if spread is None or len(values) >= rows:
        return Estimate(value, None, n, spread)
    error = spread / math.sqrt(n) * math.sqrt(1.0 - len(values) / rows)
    return Estimate(value, error, n, spread)


def standard_deviation(values: npt.NDArray[np.generic]) -> float | None:
    """Standard deviation of a sample, divisor n - 1; 0 where only rounding is left of it, None below two values."""
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) < 2:
        return None
    found = float(numbers.std(ddof=1))
    return found if found > ROUNDING * float(np.abs(numbers).max()) else 0.0


def ratio(numerator: npt.NDArray[np.generic], denominator: npt.NDArray[np.generic]) -> Floats:
    """Element-wise ratio as float64, NaN where the denominator is 0."""
    top = np.asarray(numerator, dtype=np.float64)
    bottom = np.asarray(denominator, dtype=np.float64)
    result = np.full(np.broadcast_shapes(top.shape, bottom.shape), np.nan)
    np.divide(top, bottom, out=result, where=bottom != 0)
    return result
