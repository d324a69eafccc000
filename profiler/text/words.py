"""The words of the sampled segments as numbers.

Owns splitting a segment into words (textstat's rule, see `profiler.text.scan`), numbering the distinct ones, so that
readability and diversity look at each distinct word once, and laying out the words of documents.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from traitcast.profiler.text.documents import Documents
from traitcast.profiler.text.estimates import Ints
from traitcast.profiler.text.scan import Hashes, code_points, hash_runs

# textstat 0.7.13, backend/utils/constants.py: apostrophes are kept before these endings only.
_LONE_APOSTROPHE = re.compile(r"'(?![tsd]|ve|ll|re)")
_PUNCTUATION = re.compile(r"[^\w\s']")


def words(text: str) -> list[str]:
    """Lower-cased words of a text, as textstat's list_words(text, lowercase=True) gives them."""
    return _PUNCTUATION.sub("", _LONE_APOSTROPHE.sub("", text)).lower().split()


@dataclass(frozen=True, slots=True)
class Words:
    """The words of documents end to end.

    Parameters
    ----------
    ids : int64 (words,)
        Numbers of words in a `Vocabulary`.
    offsets : int64 (documents + 1,)
        Where each document starts in `ids`, and the end.
    borders : int64 (segments + 1,)
        Where each segment starts in `ids`, and the end: no pair or run of words crosses one.
    """

    ids: Ints
    offsets: Ints
    borders: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ints:
        """Words of each document."""
        return np.diff(self.offsets)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of segments, numbered.

    Parameters
    ----------
    types
        The distinct words.
    hashes : uint64 (types,)
        Of each, the same in every vocabulary.
    ids : int64 (words,)
        The words of all segments, one segment after another, as numbers of types.
    offsets : int64 (segments + 1,)
        Where each segment starts in `ids`, and the end.
    """

    types: tuple[str, ...]
    hashes: Hashes
    ids: Ints
    offsets: Ints

    def of_documents(self, documents: Documents) -> Words:
        """The words of documents over the same segments."""
        lengths = np.diff(self.offsets)[documents.index]
        starts = self.offsets[:-1][documents.index]
        borders = np.concatenate([[0], np.cumsum(lengths)])
        position = np.arange(borders[-1]) - np.repeat(borders[:-1], lengths) + np.repeat(starts, lengths)
        return Words(self.ids[position], borders[documents.offsets], borders)


def read_words(texts: Sequence[str]) -> Vocabulary:
    """Number the words of every text."""
    ids: dict[str, int] = {}
    flat: list[int] = []
    offsets = np.zeros(len(texts) + 1, dtype=np.int64)
    for i, text in enumerate(texts):
        flat.extend([ids.setdefault(word, len(ids)) for word in words(text)])
        offsets[i + 1] = len(flat)
    points, bounds = code_points(pa.array(ids, pa.large_string()))
    return Vocabulary(tuple(ids), hash_runs(points, bounds[:-1]), np.array(flat, dtype=np.int64), offsets)
