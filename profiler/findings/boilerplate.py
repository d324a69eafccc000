"""Words with which many responses begin or end alike.

Owns how many words are compared and how often they have to come. Keeps keys, no words.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from traitcast.profiler.findings.checks import Finding, found
from traitcast.profiler.text.keys import NO_WORDS, Keys, words_key

WORDS = 5
# ROWS have to be long enough. Of all responses, each opening has to come in one of twenty, all together in one of ten.
SHARE, EACH, ROWS, EACH_ROWS = 0.1, 0.05, 50, 20
# Openings that are named.
_NAMED = 3


def openings(written: pa.Array) -> Keys:
    """The key of the first words of each response, `NO_WORDS` for one of fewer words."""
    return _keys(written, first=True)


def closings(written: pa.Array) -> Keys:
    """The key of the last words of each response, `NO_WORDS` for one that has no other words before them."""
    return _keys(written, first=False)


def _keys(written: pa.Array, *, first: bool) -> Keys:
    if written.null_count == len(written):
        return np.full(len(written), NO_WORDS, dtype=np.uint64)
    key = _opening if first else _closing
    return np.array([key(text) for text in written.to_pylist()], dtype=np.uint64)


def _opening(text: str | None) -> int:
    words = text.split(None, WORDS)[:WORDS] if text else []
    return words_key(words) if len(words) == WORDS else int(NO_WORDS)


def _closing(text: str | None) -> int:
    words = text.rsplit(None, 2 * WORDS)[-2 * WORDS :] if text else []
    return words_key(words[WORDS:]) if len(words) == 2 * WORDS else int(NO_WORDS)


def finding(check: str, keys: Keys) -> Finding | None:
    """Responses with one of the openings or closings that many have. check: `shared_opening` or `shared_closing`."""
    there = keys != NO_WORDS
    if there.sum() < ROWS:
        return None
    values, first, counts = np.unique(keys, return_index=True, return_counts=True)
    often = (counts >= max(EACH * len(keys), EACH_ROWS)) & (values != NO_WORDS)
    if counts[often].sum() < SHARE * len(keys):
        return None
    order = np.flatnonzero(often)[np.argsort(-counts[often], kind="stable")]
    named = [f"{counts[at]:,} as in row {first[at] + 1}" for at in order[:_NAMED]]
    more = f" and {len(order) - _NAMED} more" if len(order) > _NAMED else ""
    detail = f"{', '.join(named)}{more}"
    return found(check, "response", np.isin(keys, values[often]), filling={"words": WORDS}, detail=detail)
