"""Syllables of English words by hyphenation.

Owns the count: textstat's rule for words outside cmudict, which is the points where pyphen's en_US patterns (Liang
1983) let a word be broken, and one more. Refuses to say where they are: pyphen looks up every part of a word of every
length and makes an object of every point, which was a twentieth of a profile; this stops where no pattern begins so.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

# Hyphenation of one "word" of a megabyte takes minutes; no English word is longer.
SYLLABLE_CHARACTERS = 64
# A pattern: where its values start in the text it is for, and the values.
_Pattern = tuple[int, tuple[int, ...]]


def syllables(word: str) -> int:
    """Syllables of a lower-cased English word: hyphenation points + 1, at least 1."""
    word = word[:SYLLABLE_CHARACTERS]
    left, right, beginnings = _patterns()
    pointed = f".{word.lower()}."
    end = len(pointed)
    marks = [0] * (end + 1)
    for start in range(end - 1):
        for stop in range(start + 1, end + 1):
            part = pointed[start:stop]
            if part not in beginnings:
                break
            pattern = beginnings[part]
            if pattern:
                for place, value in enumerate(pattern[1], start + pattern[0]):
                    if value > marks[place]:
                        marks[place] = value
    # A mark before the i-th character of the pointed word is a point before the (i - 1)-th of the word.
    return 1 + sum(mark % 2 for mark in marks[left + 1 : max(left + 1, len(word) - right + 2)])


@lru_cache(maxsize=1)
def _patterns() -> tuple[int, int, dict[str, _Pattern | None]]:
    """Characters that no point may leave at the left and right, and all beginnings of patterns: None for no pattern."""
    from textstat.backend.utils import get_pyphen

    hyphenation: Any = get_pyphen("en_US")
    patterns = hyphenation.hd.patterns
    beginnings: dict[str, _Pattern | None] = {text[:n]: None for text in patterns for n in range(1, len(text) + 1)}
    return hyphenation.left, hyphenation.right, beginnings | patterns
