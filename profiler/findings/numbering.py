"""Row numbers of findings: from 1 among all rows that were read, whether kept or left out in reading.

Owns the way from the rows of `Examples.table` to these numbers, and back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from traitcast.profiler.text.estimates import Ints


def as_read(kept: Ints, dropped: Mapping[str, Sequence[int]]) -> Ints:
    """Numbers among all rows of rows that are numbered among those kept. dropped: as in `Examples`."""
    gone = _gone(dropped)
    return kept + np.searchsorted(gone - np.arange(len(gone)), kept, side="right")


def as_kept(row: int, dropped: Mapping[str, Sequence[int]]) -> int:
    """The number among rows kept of a row, not one left out, that is numbered among all."""
    return row - int(np.searchsorted(_gone(dropped), row))


def _gone(dropped: Mapping[str, Sequence[int]]) -> Ints:
    return np.sort(np.concatenate([np.zeros(0, np.int64), *(np.array(rows, np.int64) for rows in dropped.values())]))
