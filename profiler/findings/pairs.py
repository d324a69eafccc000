"""Faults of preference data: pairs that prefer nothing, pairs that contradict each other, and length as the reason.

Owns what is compared of the two responses of a row. Rows with a single response that was judged have none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from traitcast.profiler.findings.checks import Finding, found, share_words
from traitcast.profiler.text.keys import NO_WORDS, words_key

# From this share of the pairs on that differ in length, the longer one is what is preferred.
LONGER_SHARE, LONGER_PAIRS = 0.9, 20


def marks(prompts: Sequence[Sequence[str]], chosen: Sequence[str], rejected: Sequence[str]) -> dict[str, Any]:
    """What the checks need of the pairs of a block: a value per row under each name."""
    prompt = [words_key(texts) for texts in prompts]
    better, worse = ([words_key([text]) for text in texts] for texts in (chosen, rejected))
    pairs = list(zip(prompt, better, worse, strict=True))
    sizes = [len(c) - len(r) for c, r in zip(chosen, rejected, strict=True)]
    return {
        "pair": np.array([hash(pair) for pair in pairs], dtype=np.int64),
        "turned": np.array([hash((p, w, b)) for p, b, w in pairs], dtype=np.int64),
        "equal": np.array([c.split() == r.split() for c, r in zip(chosen, rejected, strict=True)], dtype=bool),
        "same_words": np.array([b == w and b != int(NO_WORDS) for _, b, w in pairs], dtype=bool),
        "longer": np.sign(np.array(sizes, dtype=np.int64)),
    }


def findings(rows: dict[Any, Any]) -> list[Finding | None]:
    """The findings of all pairs. rows: what `marks` gives, joined; without pairs there are none."""
    if "pair" not in rows:
        return []
    turned = np.isin(rows["pair"], rows["turned"]) & ~rows["same_words"] & ~rows["equal"]
    return [
        found("equal_pair", "response", rows["equal"]),
        found("turned_pair", "row", turned),
        _longer(rows["longer"]),
    ]


def _longer(longer: np.ndarray) -> Finding | None:
    apart = int((longer != 0).sum())
    share = float((longer > 0).sum() / apart) if apart else 0.0
    if apart < LONGER_PAIRS or share < LONGER_SHARE:
        return None
    detail = f"{share_words(share)} of the {apart:,} pairs that differ in length"
    return found("longer_chosen", "response", longer > 0, detail=detail)
