"""Rows as 64-bit keys: equal texts have equal keys, so duplicates, conflicts and leaks are found without texts.

Owns what counts as the same: exactly, or in words alone (lower case, without punctuation and extra spaces). Refuses to
hold the texts.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import xxhash

Keys = npt.NDArray[np.uint64]

# A character may be 4 bytes to Python and a word 50, so long texts go through in pieces.
_PIECE = 1 << 20
_SPACE = re.compile(r"[ \t-\r]")
# Key of a text without a word: such texts are not compared.
NO_WORDS = np.uint64(0)
_PUNCTUATION = bytes.maketrans(string.punctuation.encode(), b" " * len(string.punctuation))
_PLAIN = bytes(range(256)).lower().translate(_PUNCTUATION)
# How a sentence is written; other punctuation says something by itself ("a > b", "C++", "-5", ":(").
_PAUSES = bytes.maketrans(b"!\"',.;?`_", b" " * 9)
# Other characters for which writers use one of ASCII's, or none.
_LIKE_ASCII = str.maketrans(dict.fromkeys("‘’“”«»„–—…‐‑·•¿¡。，、；：？！（）「」『』《》\u00a0\u200b\ufeff", " "))


def exact_key(prompt: Sequence[str], response: str | None) -> int:
    """The key of a whole row, borders of fields included."""
    texts = (*prompt, "\x1d", response or "")
    if sum(map(len, texts)) <= _PIECE:
        return xxhash.xxh3_64_intdigest("\x1e".join(texts).encode("utf-8", "surrogatepass"))
    hasher = xxhash.xxh3_64()
    for at, text in enumerate(texts):
        hasher.update(b"\x1e" if at else b"")
        for piece in _pieces(text):
            hasher.update(piece.encode("utf-8", "surrogatepass"))
    return hasher.intdigest()


def words_key(texts: Iterable[str]) -> int:
    """The key of the words of some texts, `NO_WORDS` where there are none."""
    words = filter(None, map(_words, _pieces(" ".join(texts))))
    first = next(words, None)
    if first is None:
        return int(NO_WORDS)
    hasher = xxhash.xxh3_64(first)
    for more in words:
        hasher.update(b" " + more)
    return hasher.intdigest()


def _words(text: str) -> bytes:
    """The words of a text with a blank between them."""
    return b" ".join(_plain(text).translate(_PUNCTUATION).split())


def _plain(text: str) -> bytes:
    """A text in lower case, with marks that writers use for those of ASCII as blanks."""
    lower = text.lower()
    if not lower.isascii():
        lower = lower.translate(_LIKE_ASCII)
    return lower.encode("utf-8", "surrogatepass")


def _pieces(text: str) -> Iterator[str]:
    """A text, cut at the first white space after each `_PIECE` characters."""
    first = 0
    while len(text) - first > _PIECE and (space := _SPACE.search(text, first + _PIECE)):
        yield text[first : space.start()]
        first = space.start()
    yield text[first:]


def words_keys(texts: Sequence[str]) -> Keys:
    """The `words_key` of each text."""
    plain = [at for at, text in enumerate(texts) if text.isascii() and "\0" not in text and len(text) <= _PIECE]
    keys = np.zeros(len(texts), dtype=np.uint64)
    if plain:
        # One pass over all of them is half the work of one for each.
        whole = "\0".join([texts[at] for at in plain]).encode().translate(_PLAIN)
        found = [b" ".join(text.split()) for text in whole.split(b"\0")]
        keys[plain] = [xxhash.xxh3_64_intdigest(words) if words else 0 for words in found]
    if len(plain) < len(texts):
        others = np.setdiff1d(np.arange(len(texts)), plain)
        keys[others] = [words_key([texts[at]]) for at in others]
    return keys


def signs_keys(texts: Sequence[str]) -> Keys:
    """The key of the words of each text and of the signs between them, such as ">" and "+"."""
    found = (b" ".join(_plain(text).translate(_PAUSES).split()) for text in texts)
    return np.fromiter(map(xxhash.xxh3_64_intdigest, found), np.uint64, len(texts))


def repeats(keys: Keys) -> npt.NDArray[np.bool_]:
    """Whether the key of each row is that of an earlier row."""
    first = np.zeros(len(keys), dtype=bool)
    first[np.unique(keys, return_index=True)[1]] = True
    return ~first


def conflicts(keys: Keys, values: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Rows that share their key with a row of another value. values: below 0 for none; such rows are left out."""
    used = (values >= 0) & (keys != NO_WORDS)
    found = np.zeros(len(keys), dtype=bool)
    if used.any():
        _, group = np.unique(keys[used], return_inverse=True)
        kinds = int(values.max()) + 1
        pairs = np.unique(group * kinds + values[used])
        found[used] = (np.bincount(pairs // kinds) > 1)[group]
    return found
