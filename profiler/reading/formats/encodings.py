"""Which encoding a text that is not UTF-8 is probably in, to name in a message; nothing is converted by it.

Judged by the share of common letters in what each encoding makes of the bytes. Western where nothing else stands out.
"""

from __future__ import annotations

import re

WESTERN = "WINDOWS-1252"
# Western texts have no long runs of bytes beyond ASCII.
_FOREIGN = re.compile(rb"[\x80-\xff]{4,}")
_LEAST_RUNS, _LEAST_SHARE = 2, 0.5
# So many of the bytes beyond ASCII belong to characters of UTF-8 by no chance.
_DAMAGED = 0.9
_KANA = "[\u3041-\u3093]"
# As iconv and as Python call them; the letters that most are; what their share is counted by, since of Chinese only
# the commonest are listed.
_ENCODINGS = (
    # Before Cyrillic, of which its letters are the first 27: Russian has the others too.
    ("WINDOWS-1255", "cp1255", "[\u05d0-\u05ea]", 1),
    ("WINDOWS-1251", "cp1251", "[\u0430-\u044f]", 1),
    ("KOI8-R", "koi8_r", "[\u0430-\u044f]", 1),
    ("WINDOWS-1253", "cp1253", "[\u03ac-\u03ce]", 1),
    ("WINDOWS-1256", "cp1256", "[\u0621-\u064a]", 1),
    ("SHIFT_JIS", "shift_jis", _KANA, 2),
    ("EUC-JP", "euc_jp", _KANA, 2),
    ("CP949", "cp949", "[\uac00-\ud7a3]", 1),
    (
        "GB18030",
        "gb18030",
        "[的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里好看很]",
        5,
    ),
    (
        "BIG5",
        "big5",
        "[的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡好看很]",
        5,
    ),
)


def encoding_of(start: bytes) -> str:
    """The likeliest encoding of the first bytes of a text that is not UTF-8, as iconv calls it; "UTF-8" where it is
    damaged in a few places only."""
    whole = start.decode("utf-8", "ignore")
    if _DAMAGED * (len(start) - sum(byte < 128 for byte in start)) <= len(whole.encode()) - sum(
        map(str.isascii, whole)
    ):
        return "UTF-8"
    if len(_FOREIGN.findall(start)) < _LEAST_RUNS:
        return WESTERN
    shares = {name: weight * _share(start, python, letters) for name, python, letters, weight in _ENCODINGS}
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] >= _LEAST_SHARE else WESTERN


def _share(start: bytes, encoding: str, letters: str) -> float:
    """The share of some letters among the characters beyond ASCII, 0 where the bytes are no such text."""
    try:
        text = start.decode(encoding)
    except UnicodeDecodeError as error:
        # The last character may be cut.
        if error.start < len(start) - 4:
            return 0.0
        text = start[: error.start].decode(encoding)
    others = sum(not char.isascii() for char in text)
    return len(re.findall(letters, text)) / max(others, 1)
