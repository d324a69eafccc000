"""Documents that say nearly the same as another one.

Owns how many there are: candidates by MinHash signatures over the pairs of neighbouring words (Broder 1997) in bands
(Leskovec, Rajaraman and Ullman 2020, section 3.4), each verified by the exact Jaccard similarity of their pairs. In
rows with letters of a script without spaces every such letter is a word. Exact copies of whole texts are in
`profiler.traits.surface`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from traitcast.profiler.text.estimates import Estimate, Ints, exact, undefined
from traitcast.profiler.text.kept_words import KeptWords
from traitcast.profiler.text.scan import MULTIPLIER, Hashes, Places, mix

SIMILARITY = 0.8
HASHES, BAND = 64, 4
NEIGHBOURS = 4
# Signatures that agree less are not verified: at a similarity of .8 one pair of 5,000 agrees on fewer hashes.
_LEAST_AGREEMENT = 0.6
# Word pairs that are compared at a time: some 50 MB.
_COMPARED = 1 << 20
_FACTORS = mix(np.arange(1, HASHES + 1, dtype=np.uint64)) | np.uint64(1)


def near_duplicate_share(kept: KeptWords) -> Estimate:
    """Share of documents with another one at a Jaccard similarity of SIMILARITY or more.

    Two documents meet in one of 16 bands of 4 hashes with a chance of 1 - (1 - .8^4)^16 > .999 at .8.

    Parameters
    ----------
    kept
        The words of up to `kept_words.KEPT_ROWS` rows.

    Returns
    -------
    Estimate
        Its n is the number of documents with a word. Exact copies count.
    """
    pairs, starts = word_pairs(kept)
    n = len(starts) - 1
    if n == 0:
        return undefined()
    # One of several copies stands for all of them, so that their number does not count below.
    signatures = signatures_of(pairs, starts)
    keys = mix(_fold(signatures) ^ np.add.reduceat(mix(pairs), starts[:-1]))
    _, first, which, copies = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    a, b = candidates(signatures[first])
    alike = jaccard(pairs, starts, first[a], first[b]) >= SIMILARITY
    near = copies > 1
    near[a[alike]] = near[b[alike]] = True
    return exact(float(near[which].mean()), n)


def signatures_of(pairs: Hashes, starts: Ints) -> npt.NDArray[np.uint32]:
    """MinHash signatures of sets of word pairs.

    Parameters
    ----------
    pairs : uint64 (n,)
        The word pairs of all documents, one document after another.
    starts : int64 (documents + 1,)
        Where each document starts, and the end; none is empty.

    Returns
    -------
    uint32 (documents, HASHES)
        The share of hashes in which two agree estimates the Jaccard similarity of their sets.
    """
    result = np.empty((len(starts) - 1, HASHES), dtype=np.uint32)
    for k, factor in enumerate(_FACTORS if len(result) else ()):
        hashed = pairs * factor
        hashed >>= np.uint64(32)
        result[:, k] = np.minimum.reduceat(hashed, starts[:-1])
    return result


def candidates(signatures: npt.NDArray[np.uint32]) -> tuple[Ints, Ints]:
    """Pairs of documents that agree in a band and may be near duplicates, each pair once.

    Within a band each document is paired with the NEIGHBOURS before it and with the first of its group, so that a group
    of thousands stays linear.

    Returns
    -------
    first, second : int64 (candidates,)
        Numbers of documents, first < second.
    """
    n, found = len(signatures), [np.zeros(0, dtype=np.int64)]
    for start in range(0, HASHES, BAND):
        band = mix(_fold(signatures[:, start : start + BAND]))
        order = np.argsort(band, kind="stable")
        opens = np.diff(band[order], prepend=~band[order[:1]]) != 0
        group = np.cumsum(opens) - 1
        head = order[np.flatnonzero(opens)[group]]
        found.append(head[~opens] * n + order[~opens])
        for back in range(1, NEIGHBOURS + 1):
            met = np.flatnonzero(group[back:] == group[:-back])
            found.append(order[met] * n + order[met + back])
    first, second = np.divmod(np.unique(np.concatenate(found)), max(n, 1))
    likely = (signatures[first] == signatures[second]).mean(axis=1) >= _LEAST_AGREEMENT
    return first[likely], second[likely]


def jaccard(pairs: Hashes, starts: Ints, first: Ints, second: Ints) -> npt.NDArray[np.float64]:
    """Exact Jaccard similarity of the sets of pairs of documents.

    Parameters
    ----------
    pairs, starts
        As in `signatures_of`.
    first, second : int64 (n,)
        Numbers of documents.

    Returns
    -------
    float64 (n,)
    """
    sizes = np.diff(starts)
    edges = np.cumsum(sizes[first] + sizes[second])
    found = np.zeros(len(first))
    begin = 0
    while begin < len(first):
        done = int(edges[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(edges, done + _COMPARED, side="right")))
        found[begin:end] = _jaccard(pairs, starts, np.stack([first[begin:end], second[begin:end]]))
        begin = end
    return found


def _jaccard(pairs: Hashes, starts: Ints, documents: Ints) -> npt.NDArray[np.float64]:
    """`jaccard` of documents, int64 (2, n)."""
    n = documents.shape[1]
    sizes = np.diff(starts)[documents.reshape(-1)]
    entry = np.repeat(np.arange(2 * n), sizes)
    at = np.arange(len(entry)) + np.repeat(starts[documents.reshape(-1)] - (np.cumsum(sizes) - sizes), sizes)
    side, owner = np.divmod(entry, n)
    order = np.lexsort((side, pairs[at], owner))
    side, owner, values = side[order], owner[order], pairs[at][order]
    opens = np.ones(len(order), dtype=bool)
    opens[1:] = (owner[1:] != owner[:-1]) | (values[1:] != values[:-1])
    of_side = opens.copy()
    of_side[1:] |= side[1:] != side[:-1]
    union, both = (np.bincount(owner[which], minlength=n) for which in (opens, of_side))
    return (both - union) / union


def word_pairs(kept: KeptWords) -> tuple[Hashes, Ints]:
    """The hashed pairs of neighbouring words of each document with a word: `pairs` and `starts` of `signatures_of`."""
    words, row = _units(kept)
    opens = _opens(row)
    last = np.append(opens[1:], True)[: len(opens)]
    pairs = words * MULTIPLIER
    pairs[:-1] += np.where(last[:-1], np.uint64(0), words[1:])
    # A document of one word has that word; else the last one starts no pair.
    used = ~last | opens
    pairs = pairs[used]
    return mix(pairs), np.append(np.flatnonzero(_opens(row[used])), len(pairs))


def _opens(row: Places) -> npt.NDArray[np.bool_]:
    """Whether each entry is the first of its row."""
    opens = np.ones(len(row), dtype=bool)
    np.not_equal(row[1:], row[:-1], out=opens[1:])
    return opens


def _units(kept: KeptWords) -> tuple[Hashes, Ints]:
    """What is taken as the words of each row: letters, in the rows with a script without spaces."""
    if not len(kept.characters):
        return kept.words, kept.row
    spaced = ~np.isin(kept.row, kept.character_row)
    words = np.concatenate([kept.words[spaced], kept.characters])
    row = np.concatenate([kept.row[spaced], kept.character_row])
    order = np.argsort(row, kind="stable")
    return words[order], row[order]


def _fold(values: npt.NDArray[np.uint32]) -> Hashes:
    folded = np.zeros(len(values), dtype=np.uint64)
    for column in values.T:
        folded = folded * MULTIPLIER + column
    return folded
