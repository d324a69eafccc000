"""Documents that say nearly the same as another one.

Owns the estimate of how many: MinHash signatures over the pairs of neighbouring words (Broder 1997), candidates by
bands (Leskovec, Rajaraman and Ullman 2020, section 3.4). Exact copies are `profiler.traits.surface`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from traitcast.profiler.text.estimates import Estimate, exact, undefined
from traitcast.profiler.text.kept_words import KeptWords
from traitcast.profiler.text.scan import MULTIPLIER, Hashes, mix

SIMILARITY = 0.8
HASHES, BAND = 64, 4
_FACTORS = mix(np.arange(1, HASHES + 1, dtype=np.uint64)) | np.uint64(1)


def near_duplicate_share(kept: KeptWords) -> Estimate:
    """Share of documents with another one at an estimated Jaccard similarity of SIMILARITY or more.

    Two documents meet in one of 16 bands of 4 hashes with a chance of 1 - (1 - .8^4)^16 > .999 at .8. n: documents
    with a word. Exact copies count.
    """
    signatures = signatures_of(kept)
    n = len(signatures)
    if n == 0:
        return undefined()
    near = np.zeros(n, dtype=bool)
    for first in range(0, HASHES, BAND):
        band = mix(_fold(signatures[:, first : first + BAND]))
        order = np.argsort(band, kind="stable")
        opens = np.diff(band[order], prepend=~band[order[:1]]) != 0
        head = order[np.flatnonzero(opens)[np.cumsum(opens) - 1]]
        # Each is held against the one before it and the first of its group: groups of thousands stay linear.
        for other in (np.roll(order, 1), head):
            met = ~opens
            a, b = order[met], other[met]
            alike = (signatures[a] == signatures[b]).mean(axis=1) >= SIMILARITY
            near[a[alike]] = near[b[alike]] = True
    return exact(float(near.mean()), n)


def signatures_of(kept: KeptWords) -> npt.NDArray[np.uint32]:
    """MinHash signatures of the documents that have words, uint32 (documents, HASHES)."""
    pairs, row = _word_pairs(kept)
    if not len(pairs):
        return np.zeros((0, HASHES), dtype=np.uint32)
    starts = np.flatnonzero(np.diff(row, prepend=-1) > 0)
    result = np.empty((len(starts), HASHES), dtype=np.uint32)
    for k, factor in enumerate(_FACTORS):
        result[:, k] = np.minimum.reduceat((pairs * factor) >> np.uint64(32), starts)
    return result


def _word_pairs(kept: KeptWords) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Hashed pairs of neighbouring words of a row, and their rows; a row of one word has that word."""
    following = np.zeros_like(kept.words)
    following[:-1] = kept.words[1:]
    last = np.diff(kept.row, append=-1) != 0
    alone = last & (np.diff(kept.row, prepend=-1) != 0)
    following[alone] = 0
    used = ~last | alone
    return mix(kept.words[used] * MULTIPLIER + following[used]), kept.row[used]


def _fold(values: npt.NDArray[np.uint32]) -> Hashes:
    folded = np.zeros(len(values), dtype=np.uint64)
    for column in values.T:
        folded = folded * MULTIPLIER + column
    return folded
