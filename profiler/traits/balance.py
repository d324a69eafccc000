"""How evenly the classes, or the distinct responses, of a dataset are used.

Owns the counts of labels and responses over all rows and the diversity numbers made from them. Refuses to guess
classes: a dataset without labels has no label traits.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from traitcast.profiler.text.estimates import Estimate, Ints, exact, undefined
from traitcast.profiler.text.histogram import ValueCounts

LABEL_TRAITS = (
    "class_count",
    "entropy_bits",
    "entropy_normalised",
    "majority_share",
    "minority_share",
    "imbalance_ratio",
    "effective_classes",
    "gini_simpson",
)
RESPONSE_TRAITS = (
    "distinct_count",
    "distinct_share",
    "entropy_bits",
    "entropy_normalised",
    "majority_share",
    "effective_values",
    "gini_simpson",
)


def value_counts(column: pa.ChunkedArray) -> dict[str, int]:
    """Rows of each of the non-null values of a string column."""
    counted = pc.value_counts(column.drop_null())
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))


def by_frequency(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """(value, rows) of each value, the most frequent first, ties by value."""
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def label_traits(counts: Ints) -> dict[str, Estimate]:
    """Class balance.

    Parameters
    ----------
    counts : int64 (classes,)
        Rows of each class that occurs.

    Returns
    -------
    dict of str to Estimate
        LABEL_TRAITS, undefined without rows.
    """
    n = int(counts.sum())
    if n == 0:
        return {name: undefined() for name in LABEL_TRAITS}
    shares = counts / n
    values = {
        "class_count": len(counts),
        "entropy_bits": entropy(counts),
        "entropy_normalised": entropy_normalised(counts),
        "majority_share": shares.max(),
        "minority_share": shares.min(),
        "imbalance_ratio": counts.max() / counts.min(),
        "effective_classes": 2.0 ** entropy(counts),
        "gini_simpson": gini_simpson(counts),
    }
    return {name: exact(float(values[name]), n) for name in LABEL_TRAITS}


def response_traits(texts: ValueCounts) -> dict[str, Estimate]:
    """The same over distinct responses.

    Parameters
    ----------
    texts
        How many distinct responses occur in one row, in two rows, and so on.

    Returns
    -------
    dict of str to Estimate
        RESPONSE_TRAITS, undefined without rows.
    """
    counts, multiplicity = texts.values.astype(np.int64), texts.counts
    n = int((counts * multiplicity).sum())
    if n == 0:
        return {name: undefined() for name in RESPONSE_TRAITS}
    values = {
        "distinct_count": texts.n,
        "distinct_share": texts.n / n,
        "entropy_bits": entropy(counts, multiplicity),
        "entropy_normalised": entropy_normalised(counts, multiplicity),
        "majority_share": counts.max() / n,
        "effective_values": 2.0 ** entropy(counts, multiplicity),
        "gini_simpson": gini_simpson(counts, multiplicity),
    }
    return {name: exact(float(values[name]), n) for name in RESPONSE_TRAITS}


def entropy(counts: Ints, multiplicity: Ints | int = 1) -> float:
    """Shannon entropy (Shannon 1948): -sum p log2 p.

    Parameters
    ----------
    counts : int64 (n,)
        How often each value occurs.
    multiplicity : int64 (n,) or int
        How many values have each count.

    Returns
    -------
    float
        In bits.
    """
    used = counts > 0
    shares = counts[used] / (counts * multiplicity).sum()
    return float(max(0.0, -(shares * np.log2(shares) * np.broadcast_to(multiplicity, counts.shape)[used]).sum()))


def entropy_normalised(counts: Ints, multiplicity: Ints | int = 1) -> float:
    """Entropy over its maximum log2 k, Pielou's evenness (Pielou 1966); NaN below two classes."""
    k = int(np.broadcast_to(multiplicity, counts.shape).sum())
    return min(1.0, entropy(counts, multiplicity) / np.log2(k)) if k > 1 else float("nan")


def gini_simpson(counts: Ints, multiplicity: Ints | int = 1) -> float:
    """The chance that two rows drawn with replacement differ: 1 - sum p^2 (Simpson 1949)."""
    return float(max(0.0, 1.0 - (multiplicity * (counts / (counts * multiplicity).sum()) ** 2).sum()))
