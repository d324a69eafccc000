"""Rows of findings are numbered among all that were read, those left out included."""

from __future__ import annotations

from array import array

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from traitcast.profiler.findings.numbering import as_kept, as_read


@given(st.lists(st.sampled_from(["", "no_label", "empty_row"]), max_size=40))
def test_numbers_go_there_and_back(why: list[str]) -> None:
    rows = {reason: [at for at, one in enumerate(why, 1) if one == reason] for reason in ("", "no_label", "empty_row")}
    kept = rows.pop("")
    dropped = {reason: array("q", numbers) for reason, numbers in rows.items()}
    assert as_read(np.arange(1, len(kept) + 1), dropped).tolist() == kept
    assert [as_kept(row, dropped) for row in kept] == list(range(1, len(kept) + 1))
