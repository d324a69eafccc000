"""Rows as 64-bit keys: equal texts have equal keys, so duplicates, conflicts and leaks are found without texts.

Owns what counts as the same: exactly, or in words alone (lower case, without punctuation and extra spaces). Refuses to
hold the texts.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import xxhash

Keys = npt.NDArray[np.uint64]

# Key of a text without a word: such texts are not compared.
NO_WORDS = np.uint64(0)
_PUNCTUATION = bytes.maketrans(string.punctuation.encode(), b" " * len(string.punctuation))
_PLAIN = bytes(range(256)).lower().translate(_PUNCTUATION)
# Other characters for which writers use one of ASCII's, or none.
_LIKE_ASCII = str.maketrans(dict.fromkeys("‘’“”«»„–—…‐‑·•¿¡。，、；：？！（）「」『』《》\u00a0\u200b\ufeff", " "))


def exact_key(prompt: Sequence[str], response: str | None) -> int:
    """The key of a whole row, borders of fields included."""
    return xxhash.xxh3_64_intdigest("\x1e".join((*prompt, "\x1d", response or "")).encode("utf-8", "surrogatepass"))


def words_key(texts: Iterable[str]) -> int:
    """The key of the words of some texts, `NO_WORDS` where there are none."""
    joined = " ".join(texts).lower()
    if not joined.isascii():
        joined = joined.translate(_LIKE_ASCII)
    words = b" ".join(joined.encode("utf-8", "surrogatepass").translate(_PUNCTUATION).split())
    return xxhash.xxh3_64_intdigest(words) if words else int(NO_WORDS)


def words_keys(texts: Sequence[str]) -> Keys:
    """The `words_key` of each text."""
    plain = [at for at, text in enumerate(texts) if text.isascii() and "\0" not in text]
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
