"""Faults that show in one text: empty, cut, damaged, glued, private, refusing, foreign.

Owns the expressions and limits. Each function takes the prompts or the responses of a block of rows as an Arrow string
array, nulls allowed, and marks those with the fault: bool, a value per row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from traitcast.profiler.reading.damage import MOJIBAKE, REPLACED
from traitcast.profiler.reading.language_guess import CHARACTERS, CODES, STRAY_WORDS, stranger

Marks = npt.NDArray[np.bool_]

_EMAIL = r"[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"
_LOGIN = r"://[^\s:/@]+:[^\s/@]+@"
# Numbers without a separator are ids far more often than phones.
_PHONE_START = r"(?:^|[^\w.+*/=-])"
_PHONE_END = r"(?:$|[^\w=*/-])"
# The area of a North American number begins with 2 to 9.
_AREA = r"[2-9]\d{2}"
# No country has 10, 11, ...: 1 is North America.
_COUNTRY = r"(?:1|[2-9]\d{1,2}|7)"
_GROUP = r"(?:[ .-]\(?\d{1,8}\)?)"
_PHONE = (
    rf"{_PHONE_START}(?:\+{_COUNTRY}(?: ?\(0\) ?\d{{1,4}}{_GROUP}{{1,4}}|{_GROUP}{{2,5}}|"
    rf"[ -]\d{{9,12}})|\({_AREA}\) ?\d{{3}}[ .-]\d{{4}}|{_AREA}-\d{{3}}-\d{{4}}|{_AREA}\.\d{{3}}\.\d{{4}}){_PHONE_END}|"
    # Without a separator, and not behind a number to which it is added.
    rf"(?:^|[^\w.+*/=\s-]|[^\d\s]\s)\+(?:1[2-9]\d{{9}}|[2-9]\d{{9,13}}){_PHONE_END}"
)
# Of a number with its country (ITU-T E.164: 15 at most; the shortest in use have 8).
_PHONE_DIGITS = range(8, 16)
_CARD = r"(?:^|[^\w.-])(?:\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{1,7}|\d{4}[ -]\d{6}[ -]\d{5}|\d{13,19})(?:$|[^\w-])"
_SECRET = "|".join(
    (
        r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
        r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
        r"\bgh[pousr]_[A-Za-z0-9]{36,}\b",
        r"\bgithub_pat_[A-Za-z0-9_]{60,}\b",
        r"\bglpat-[A-Za-z0-9_-]{20,}",
        r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
        # A long run without a hyphen: names of styles have short ones.
        r"\bsk-[A-Za-z0-9_-]*[A-Za-z0-9]{20,}",
        r"\bhf_[A-Za-z0-9]{30,}\b",
        r"\bAIza[0-9A-Za-z_-]{35}\b",
        r"\b[rs]k_live_[0-9A-Za-z]{20,}",
        r"\bnpm_[A-Za-z0-9]{36}\b",
        r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
        r"hooks\.slack\.com/services/T\w+/B\w+/\w{16,}",
        r"(?i:aws_secret_access_key)\W{1,5}[A-Za-z0-9/+=]{40}\b",
        r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
        r"\b[a-z][a-z0-9+]*://[^\s:/@]{1,64}:[^\s:/@]{3,64}@[A-Za-z0-9.-]+",
    )
)
_SECRET_SIGNS = r"PRIVATE KEY|AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|xox|sk-|hf_|AIza|k_live_|npm_|SG\.|hooks|(?i:aws_secret)|eyJ|://"
_CANNOT = (
    r"(?:can(?:'|’)?t|cannot|can not|won(?:'|’)?t(?: be able to)?|will not(?: be able to)?|am (?:not able|unable) to|"
    r"do not feel comfortable|don(?:'|’)?t feel comfortable)"
)
# What an assistant declines, and people hardly do at the start of a text: "I can't help falling in love" is none.
_DECLINED = (
    r"(?:assist|comply|fulfil|engage|participate|do (?:that|this)|answer (?:that|this|your|the|such)|"
    r"help(?: you| with| anyone| users?|[.,!]|$)|(?:create|generate|write|produce|share|give|offer|discuss|provide|"
    r"complete|continue|promote|recommend) (?:you\b|any|that|this|these|such|the|an?\b|content|information|details|"
    r"instructions|advice|code|harmful|explicit|personal|medical|legal)|"
    r"(?:open|access|browse|view) (?:links?|urls?|the (?:internet|web)|web ?sites?|files?|images?|external|real-time))"
)
_SORRY = r"(?:i(?:'|’)?m (?:very |so )?sorry|i am (?:very |so )?sorry|sorry|i apologi[sz]e|my apologies|unfortunately)"
_I_CANNOT = rf"(?:i {_CANNOT}|i(?:'|’)?m (?:not able|unable) to)"
_REFUSAL = (
    r"(?i)\bas an ai(?: language model| assistant| model| developed| created|[.,!])|"
    r"\bas an? (?:artificial intelligence|(?:large )?language model)(?: model| trained| developed| created|[.,!])|"
    r"\bi(?:'|’)?m (?:just )?an ai\b|\bi am (?:just )?an ai\b|"
    rf"^\W*{_SORRY},? but {_I_CANNOT}\b|^\W*(?:{_SORRY}[,.]? (?:but )?)?{_I_CANNOT} {_DECLINED}|"
    r"^\W*i (?:must|have to|need to) (?:respectfully |politely )?(?:decline|refuse)\b"
)
_TAGS = (
    "div|span|ul|ol|li|dl|dt|dd|td|tr|th|thead|tbody|table|h[1-6]|em|strong|font|blockquote|pre|sup|sub|center|"
    "small|iframe"
)
_LONE_TAGS = "br|hr|img|script|style"
# In small letters or in capitals: in both they are types of code, such as List<Table>; PRE and SUF are of models.
_HTML = f"{_TAGS}|{_LONE_TAGS}|{_TAGS.upper().replace('|PRE|', '|')}|{_LONE_TAGS.upper()}"
_MARKUP = (
    rf"<(?:(?:[abip]|P)(?:\s+[\w-]+|\s[^<>]{{0,200}}=[^<>]{{0,200}})?|(?:{_HTML})(?:\s[^<>]{{0,300}})?)/?>|"
    rf"</(?:[abip]|P|{_HTML})>|"
    r"&(?:amp|lt|gt|quot|apos|nbsp|[lr][sd]quo|[mn]dash|hellip|bull|middot|trade|euro|pound|deg|szlig|"
    r"[A-Za-z](?:acute|grave|circ|uml|cedil|tilde)|[ao]elig|#\d{2,5}|#x[0-9a-fA-F]{2,5});"
)
# Three lines that are rows of their own are no accident of prose.
_GLUED_LINES = 3
# Below this share of the texts in one script or language, a dataset is in several.
USUAL = 0.9
_SCRIPTS = {
    "Latin": r"\p{Latin}",
    "Cyrillic": r"\p{Cyrillic}",
    "Han, kana or hangul": r"\p{Han}|\p{Hiragana}|\p{Katakana}|\p{Hangul}",
    "Arabic": r"\p{Arabic}",
    "Devanagari": r"\p{Devanagari}",
    "Greek": r"\p{Greek}",
    "Hebrew": r"\p{Hebrew}",
    "Thai": r"\p{Thai}",
}


def marks(found: Any) -> Marks:
    """An Arrow boolean array as NumPy, null as False."""
    return np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), dtype=bool)


def blank(texts: pa.Array) -> Marks:
    """Null, or white space only."""
    return marks(pc.fill_null(pc.equal(pc.utf8_trim_whitespace(texts), ""), True))


def wrong_encoding(texts: pa.Array) -> Marks:
    """UTF-8 that was decoded as another encoding."""
    return _where(
        texts, r"[\x{c2}-\x{f0}\x{420}\x{421}\x{221a}]", lambda some: marks(pc.match_substring_regex(some, MOJIBAKE))
    )


def lost_character(texts: pa.Array) -> Marks:
    """Holds U+FFFD."""
    return marks(pc.match_substring(texts, REPLACED))


def markup(texts: pa.Array) -> Marks:
    """Holds HTML."""
    return _where(texts, "[<&]", lambda some: marks(pc.match_substring_regex(some, _MARKUP)))


def refusal(texts: pa.Array) -> Marks:
    """Refuses, or speaks of being an AI."""
    return marks(pc.match_substring_regex(texts, _REFUSAL))


def personal_data(texts: pa.Array) -> Marks:
    """Holds an e-mail address, a phone number or a payment card number with a right check digit."""
    found = _where(texts, "@", _addresses)
    found |= _where(texts, r"\d{3}.?.?\d{3}|\+\d", _phones)
    return found | _where(
        texts, _CARD, lambda some: np.array([_has_card(text) for text in some.to_pylist()], dtype=bool)
    )


def secret(texts: pa.Array) -> Marks:
    """Holds a private key, an access token, or a URL with a password."""
    return _where(texts, _SECRET_SIGNS, lambda some: marks(pc.match_substring_regex(some, _SECRET)))


def glued(texts: pa.Array, labels: Collection[str] = ()) -> Marks:
    """Several rows in one text: lines that are JSON objects, have the same number of tabs, or end in a label.

    labels: the classes of the dataset.
    """
    endings = tuple(f"{mark}{quote}{label}{quote}" for label in labels for mark in ",\t" for quote in ("", '"'))
    lines = pc.greater_equal(pc.count_substring(texts, "\n"), _GLUED_LINES - 1)
    return _chosen(
        texts, lines, lambda some: np.array([_is_glued(text, endings) for text in some.to_pylist()], dtype=bool)
    )


def scripts_of(texts: pa.Array) -> npt.NDArray[np.int8]:
    """The script of most letters of each text as its place in `SCRIPTS`, -1 for a text of few letters.

    Few are fewer than ten in ASCII; of other texts, fewer than ten characters, or no two letters in a row.

    A text counts as Latin unless half of its letters or more are of another script: names and quotations are not.
    """
    # Ten times \p{L} takes five milliseconds to compile, for every block of rows.
    lettered = pc.if_else(
        pc.string_is_ascii(texts),
        pc.match_substring_regex(texts, "(?:[A-Za-z][^A-Za-z]*){10}"),
        pc.and_(pc.greater_equal(pc.utf8_length(texts), 10), pc.match_substring_regex(texts, r"\p{L}{2}")),
    )
    found = np.where(marks(lettered), 0, -1).astype(np.int8)
    at = np.flatnonzero(marks(pc.match_substring_regex(texts, "|".join(list(_SCRIPTS.values())[1:]))) & (found == 0))
    if len(at):
        foreign = texts.take(pa.array(at))
        letters = np.stack([pc.count_substring_regex(foreign, pattern).to_numpy() for pattern in _SCRIPTS.values()])
        top = letters.argmax(axis=0)
        found[at] = np.where(letters.max(axis=0) >= letters.sum(axis=0) / 2, top, 0)
    return found


def strange_languages(texts: pa.Array, own: str) -> npt.NDArray[np.int8]:
    """The language of each text that is clearly in another one in Latin script than `own`, as its place in `CODES`.

    -1 for all other texts.
    """
    found, heads = np.full(len(texts), -1, dtype=np.int8), pc.utf8_slice_codeunits(texts, 0, CHARACTERS)
    for at in np.flatnonzero(marks(pc.greater_equal(pc.count_substring(texts, " "), STRAY_WORDS - 1))):
        code = stranger(heads[int(at)].as_py(), own)
        if code is not None:
            found[at] = CODES.index(code)
    return found


SCRIPTS = tuple(_SCRIPTS)


def strangers(scripts: npt.NDArray[np.int8]) -> tuple[Marks, str]:
    """Texts in another script than nine of ten are in, and that script; no marks where scripts are mixed."""
    known = scripts >= 0
    counts = np.bincount(scripts[known], minlength=len(SCRIPTS))
    usual = int(counts.argmax())
    if not known.any() or counts[usual] < USUAL * known.sum():
        return np.zeros(len(scripts), dtype=bool), ""
    return known & (scripts != usual), SCRIPTS[usual]


def _where(texts: pa.Array, signs: str, look: Callable[[pa.Array], Marks]) -> Marks:
    """Marks of the texts that match a quick expression, where a slow one is asked only about these."""
    return _chosen(texts, pc.match_substring_regex(texts, signs), look)


def _chosen(texts: pa.Array, wanted: pa.Array, look: Callable[[pa.Array], Marks]) -> Marks:
    found = marks(wanted)
    at = np.flatnonzero(found)
    if len(at):
        found[at] = look(texts.take(pa.array(at)))
    return found


def _addresses(some: pa.Array) -> Marks:
    # The password of a URL is a secret; with its host it looks like an address.
    return marks(pc.match_substring_regex(pc.replace_substring_regex(some, _LOGIN, "://"), _EMAIL))


def _phones(some: pa.Array) -> Marks:
    found = marks(pc.match_substring_regex(some, _PHONE))
    for at in np.flatnonzero(found):
        numbers = re.findall(_PHONE, some[int(at)].as_py())
        found[at] = any(sum(map(str.isdigit, number)) in _PHONE_DIGITS for number in numbers)
    return found


def _has_card(text: str) -> bool:
    for found in re.finditer(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])", text):
        digits = [int(digit) for digit in found[0] if digit.isdigit()]
        # A run of one digit passes the check too; cards begin with 2 to 6.
        if digits[0] in (2, 3, 4, 5, 6) and len(set(digits)) > 1 and _luhn(digits):
            return True
    return False


def _luhn(digits: list[int]) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1)."""
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_glued(text: str, endings: tuple[str, ...]) -> bool:
    lines = [line.strip("\r ") for line in text.split("\n") if line.strip()]
    if len(lines) < _GLUED_LINES:
        return False
    most = 0.9 * len(lines)
    tabs = [line.count("\t") for line in lines]
    # Code is indented by tabs, so those at the start of a line say nothing.
    inner = [line.strip("\t").count("\t") for line in lines]
    if tabs[0] and inner[0] and sum(count == inner[0] for count in inner) >= most:
        return True
    if endings and sum(line.endswith(endings) for line in lines) >= max(_GLUED_LINES, len(lines) / 2):
        return True
    return sum(_is_object(line) for line in lines) >= most


def _is_object(line: str) -> bool:
    if not (line.startswith("{") and line.endswith("}")):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
