"""Pairs of responses: in what the better one differs from the worse one besides being better.

Owns lengths, shared words and margins of pairs. Refuses to judge which response is better: that is the data's word.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from traitcast.profiler.text.estimates import Estimate, Floats
from traitcast.profiler.text.exact_sums import Moments


@dataclass(slots=True)
class Pairs:
    """Pairs of some rows: means of what is compared, which merge exactly."""

    moments: dict[str, Moments] = field(
        default_factory=lambda: {
            name: Moments() for name in ("length_gap", "longer_share", "rejected_overlap", "margin_mean")
        }
    )

    def add(self, table: pa.Table) -> None:
        """Take the rows of a block with the columns of `Examples.table`; rows without pairs add nothing."""
        if "rejected" not in table.column_names:
            return
        chosen, rejected = (table[name].combine_chunks() for name in ("response", "rejected"))
        gap = pc.subtract(pc.utf8_length(chosen), pc.utf8_length(rejected)).to_numpy(zero_copy_only=False)
        gap = gap.astype(np.float64)
        self.moments["length_gap"].add(gap)
        self.moments["longer_share"].add((np.sign(gap) + 1) / 2)
        self.moments["rejected_overlap"].add(overlaps(chosen, rejected))
        margins = table["margin"].cast(pa.float64()).to_numpy()
        self.moments["margin_mean"].add(np.asarray(margins, dtype=np.float64))

    def merge(self, other: Pairs) -> None:
        """Take what another one took."""
        for name, moments in self.moments.items():
            moments.merge(other.moments[name])

    def traits(self) -> dict[str, Estimate]:
        """By trait name without its part; undefined without pairs."""
        return {f"preference_{name}": moments.estimate() for name, moments in self.moments.items()}


def overlaps(chosen: pa.Array, rejected: pa.Array) -> Floats:
    """Jaccard similarity of the words of each pair, between spaces and in lower case.

    Parameters
    ----------
    chosen, rejected
        Texts, one of each per row.

    Returns
    -------
    float64 (rows,)
        NaN where neither has a word.
    """
    found = np.full(len(chosen), np.nan)
    pairs = zip(chosen.to_pylist(), rejected.to_pylist(), strict=True)
    for at, (better, worse) in enumerate(pairs):
        a, b = set((better or "").lower().split()), set((worse or "").lower().split())
        if a | b:
            found[at] = len(a & b) / len(a | b)
    return found
