"""Prompts of the other splits that stand in the profiled one too.

Owns finding and reading the other splits of a local dataset and comparing them by normalised text, a hash a row.
Refuses hub datasets: their other splits may be a download of many gigabytes, and nobody asked for it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from profiler.estimates import Estimate, exact, undefined
from profiler.hashing import Keeper
from profiler.scan import Hashes, scan
from profiler.segments import prompt_rows
from profiler.source import ALL
from warehouse.errors import UserError

if TYPE_CHECKING:
    from profiler.reading import Examples

# A split this many times larger than the profiled one would cost more than the profile.
MAX_RATIO = 20


@dataclass(frozen=True, slots=True)
class OtherSplits:
    """texts: uint64, normalised prompts of the other splits. rows: split -> rows read, None for one that was not."""

    texts: Hashes
    rows: dict[str, int | None]


def other_splits(examples: Examples) -> OtherSplits:
    """Read every other split of a local dataset, as far as it can be read with the same roles."""
    found: dict[str, int | None] = {}
    texts = [np.zeros(0, dtype=np.uint64)]
    if examples.split == ALL or not os.path.exists(examples.origin):
        return OtherSplits(texts[0], found)
    from profiler.reading import read

    for split, rows in examples.splits.items():
        if split == examples.split:
            continue
        found[split] = None
        if rows is not None and rows > MAX_RATIO * max(examples.table.num_rows, 1000):
            continue
        try:
            table = read(examples.origin, split=split, spec=examples.spec).table
        except UserError:
            # A test split without labels is refused as a dataset of its own; it stays unread.
            continue
        found[split] = table.num_rows
        texts.append(normalised(table))
    return OtherSplits(np.concatenate(texts), found)


def normalised(table: pa.Table) -> Hashes:
    """Hashes of the normalised prompts of a table, without those that have no word."""
    keeper = Keeper(table.num_rows, np.zeros(table.num_rows, dtype=bool))
    for chunk in scan(prompt_rows(table)):
        keeper.add(chunk)
    return keeper.texts[keeper.texts != 0]


def leak_share(own: Hashes, others: OtherSplits) -> Estimate:
    """Share of the other splits' prompts that occur in this one. own: uint64, normalised prompts of this split."""
    n = len(others.texts)
    return exact(float(np.isin(others.texts, own).mean()), n) if n else undefined()
