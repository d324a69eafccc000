"""The estimate of one trait of one dataset: a value, its standard error, and how many rows it rests on.

Owns the rule for missing values: NaN in, None out, never 0. Refuses to invent an error where every row was seen or
where no simple formula exists: the standard error is then None. That of a mean is in `profiler.text.exact_sums`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """The value of one trait.

    Parameters
    ----------
    value
        None where the trait is undefined.
    standard_error
        None where every row was seen, or no simple formula exists.
    n
        Rows, or documents, that were used.
    spread
        Standard deviation over documents of what the value is the mean of; None where it is no such mean.
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


def ratio(numerator: npt.NDArray[np.generic], denominator: npt.NDArray[np.generic]) -> Floats:
    """Element-wise ratio as float64, NaN where the denominator is 0."""
    top = np.asarray(numerator, dtype=np.float64)
    bottom = np.asarray(denominator, dtype=np.float64)
    result = np.full(np.broadcast_shapes(top.shape, bottom.shape), np.nan)
    np.divide(top, bottom, out=result, where=bottom != 0)
    return result
