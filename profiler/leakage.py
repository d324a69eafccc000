"""Prompts of the other splits that stand in the profiled one too.

Owns reading the prompts of the other splits and comparing them by normalised text, a hash a row; answers are not
looked at, so a test split without labels counts too. A split that cannot be compared is told with the reason.
Refuses streams: their other splits would be a download that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from profiler.distinct import Distinct
from profiler.estimates import Estimate, exact, undefined
from profiler.hashing import document_hashes
from profiler.scan import Hashes, scan
from profiler.segments import prompt_rows
from profiler.source import ALL
from warehouse.errors import UserError

if TYPE_CHECKING:
    from profiler.reading import Examples

# A split this many times larger than the profiled one would cost more than the profile.
MAX_RATIO = 20
_FEW_ROWS = 1000


@dataclass(frozen=True, slots=True)
class OtherSplits:
    """texts: split -> uint64, its normalised prompts. rows: split -> rows read, None for one that was not compared.
    reasons: split -> why it was not."""

    texts: Mapping[str, Hashes]
    rows: Mapping[str, int | None]
    reasons: Mapping[str, str]

    def leaks(self, own: Distinct) -> tuple[Estimate, dict[str, float]]:
        """Share of the prompts of the other splits that occur in this one, of all together and of each that has any.

        own: normalised prompts of this split.
        """
        found = {split: own.holds(texts) for split, texts in self.texts.items() if len(texts)}
        if not found:
            return undefined(), {}
        every = np.concatenate(list(found.values()))
        return exact(float(every.mean()), len(every)), {split: float(hits.mean()) for split, hits in found.items()}


def other_splits(examples: Examples) -> OtherSplits:
    """The prompts of every other split, read with the same roles."""
    from profiler.reading import prompt_table

    most = MAX_RATIO * max(examples.table.num_rows, _FEW_ROWS)
    texts: dict[str, Hashes] = {}
    rows: dict[str, int | None] = {}
    reasons: dict[str, str] = {}
    if examples.split != ALL:
        unread = examples.splits.keys() - examples.others.keys() - {examples.split}
        reasons |= dict.fromkeys(sorted(unread), "a stream reads one split")
    for split, parts in examples.others.items():
        known = examples.splits.get(split)
        rows[split] = None
        try:
            table = prompt_table(parts, examples.spec, limit=most) if known is None or known <= most else None
        except UserError as error:
            reasons[split] = str(error)
            continue
        if table is None:
            reasons[split] = f"it has more than {most:,} rows"
            continue
        rows[split], texts[split] = table.num_rows, normalised(table)
    return OtherSplits(texts, rows, reasons)


def normalised(table: pa.Table) -> Hashes:
    """Hashes of the normalised prompts of a table, without those that have no word."""
    none = np.zeros(0, dtype=np.uint64)
    return np.concatenate([none, *(document_hashes(chunk) for chunk in scan(prompt_rows(table)))])
