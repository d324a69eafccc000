"""The words of the sampled segments as numbers.

Owns splitting a segment into words (textstat's rule, see `profiler.scan`) and numbering the distinct ones, so that
readability and diversity look at each distinct word once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from profiler.estimates import Ints
from profiler.segments import Documents

# textstat 0.7.13, backend/utils/constants.py: apostrophes are kept before these endings only.
_LONE_APOSTROPHE = re.compile(r"'(?![tsd]|ve|ll|re)")
_PUNCTUATION = re.compile(r"[^\w\s']")


def words(text: str) -> list[str]:
    """Lower-cased words of a text, as textstat's list_words(text, lowercase=True) gives them."""
    return _PUNCTUATION.sub("", _LONE_APOSTROPHE.sub("", text)).lower().split()


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """types: distinct words. ids: int64, the words of every segment end to end. offsets: int64 (segments + 1,)."""

    types: tuple[str, ...]
    ids: Ints
    offsets: Ints

    def of_documents(self, documents: Documents) -> tuple[Ints, Ints]:
        """The words of documents end to end, and their int64 offsets (documents + 1,)."""
        lengths = np.diff(self.offsets)[documents.index]
        starts = self.offsets[:-1][documents.index]
        total = np.concatenate([[0], np.cumsum(lengths)])
        position = np.arange(total[-1]) - np.repeat(total[:-1], lengths) + np.repeat(starts, lengths)
        return self.ids[position], total[documents.offsets]


def read_words(texts: Sequence[str]) -> Vocabulary:
    """Number the words of every text."""
    ids: dict[str, int] = {}
    flat: list[int] = []
    offsets = np.zeros(len(texts) + 1, dtype=np.int64)
    for i, text in enumerate(texts):
        flat.extend([ids.setdefault(word, len(ids)) for word in words(text)])
        offsets[i + 1] = len(flat)
    return Vocabulary(tuple(ids), np.array(flat, dtype=np.int64), offsets)
