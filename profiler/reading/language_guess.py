"""Whether texts are clearly in another language than English: by their script, or by their function words.

Owns the words, the letters and the thresholds for the languages that people publish datasets in. It judges a dataset
as a whole and does not judge what is short, mixed or no prose: that stays English. Which of two close relatives a text
is in (Danish or Norwegian) may be missed; that it is not English is not.
"""

from __future__ import annotations

import re
import runpy
from collections import Counter
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

    from traitcast.profiler.passes.table import RowTable

# Function words are 30 to 50 % of the words of prose, and 20 to 40 % those that no other language here shares. English,
# code, formulas and names hold less of any list: at most 7 % in the prompts of 84 public English datasets, next to five
# times as many English ones.
MIN_SHARE = 0.10
# A translation task whose prompts are in both languages stays English.
MIN_RATIO = 3.0
# One name or command that is repeated is not a language.
MIN_DIFFERENT = 5
MIN_WORDS = 50
# Of one text among others: shorter ones are names, titles and formulas too often.
STRAY_WORDS = 20

_ROWS = 500
CHARACTERS, _HEAD = 1000, 200
_WORD = re.compile(r"[^\W\d_]{2,}")


# Of the letters, in a script that English is not written in.
_MIN_SCRIPT_SHARE = 0.5
_MIN_LETTERS = 50
# Letters of quotations and names.
_STRAY = 0.005
_SCRIPTS = {
    "zh": "\u3400-\u4dbf\u4e00-\u9fff",
    "ja": "\u3040-\u30ff",
    "ko": "\u1100-\u11ff\uac00-\ud7af",
    "ru": "\u0400-\u04ff",
    "el": "\u0370-\u03ff\u1f00-\u1fff",
    "he": "\u0590-\u05ff",
    "ar": "\u0600-\u06ff",
    "hi": "\u0900-\u097f",
    "bn": "\u0980-\u09ff",
    "ta": "\u0b80-\u0bff",
    "te": "\u0c00-\u0c7f",
    "th": "\u0e00-\u0e7f",
    "km": "\u1780-\u17ff",
    "lo": "\u0e80-\u0eff",
    "my": "\u1000-\u109f",
    "bo": "\u0f00-\u0fff",
    "ka": "\u10a0-\u10ff",
    "hy": "\u0530-\u058f",
}
# Letters of a language that its neighbours in the same script lack: code, script, letters, their least share of the
# letters of that script. Japanese is Chinese characters with kana between them. The first that holds is taken.
_TELLING = (
    ("ja", "zh", _SCRIPTS["ja"], 0.1),
    ("be", "ru", "\u045e\u040e", 0.003),
    ("ce", "ru", "\u04cf\u04c0", 0.01),
    ("tg", "ru", "\u04e3\u04ef\u04b7\u04e2\u04ee\u04b6", 0.01),
    ("ba", "ru", "\u0499\u0498\u04a1\u04a0", 0.01),
    ("tt", "ru", "\u0497\u0496", 0.001),
    ("kk", "ru", "\u0493\u0492\u049b\u049a\u04b1\u04b0", 0.01),
    ("ky", "ru", "\u04a3\u04a2", 0.003),
    ("mn", "ru", "\u04e9\u04e8\u04af\u04ae", 0.02),
    ("bg", "ru", "\u044a\u042a", 0.008),
    ("uk", "ru", "\u0456\u0457\u0454\u0491\u0406\u0407\u0404\u0490", 0.01),
    ("mk", "ru", "\u0453\u045c\u0455\u0403\u040c\u0405", 0.002),
    ("sr", "ru", "\u0458\u0459\u045a\u0452\u045b\u0408\u0409\u040a\u0402\u040b", 0.01),
    ("ur", "ar", "\u0679\u0688\u0691\u06d2\u06ba", 0.01),
    ("fa", "ar", "\u067e\u0686\u0698\u06af\u06a9\u06cc", 0.01),
)
# Letters that it lacks, where it has none that its neighbours lack: Bulgarian writes more hard signs than Russian.
_LACKING = {"bg": "\u044b\u044d\u0451"}
_LETTER = re.compile(r"[^\W\d_]")


class Guess(NamedTuple):
    """code: ISO 639-1. reason: the evidence in words."""

    code: str
    reason: str


# Languages in Latin script whose function words spaCy lists.
_LANGUAGES = "af ca cs da de es et eu fi fr ga hr hu id is it lt lv nb nl pl pt ro sk sl sq sv tl tr vi"
CODES = ("en", *_LANGUAGES.split())
# Words of other languages that English texts, code and formulas hold too, in another sense or in names.
_NEUTRAL = (
    "am comment de del den der des die du el em es fast hat kind la las le los les non note om pays per plus pour sans "
    "se si sin son tan ton van von war"
)


@cache
def _function_words(code: str) -> frozenset[str]:
    """The stop words of spaCy, read from its file: importing spaCy for them takes 2.6 s, and its languages 4 s more."""
    spacy = find_spec("spacy")
    assert spacy is not None
    assert spacy.origin is not None
    words = runpy.run_path(str(Path(spacy.origin).with_name("lang") / code / "stop_words.py"))["STOP_WORDS"]
    # Letters alone are left out: formulas and code are full of them.
    return frozenset(word.lower() for word in words if _WORD.fullmatch(word))


def guess_language(table: pa.Table | RowTable) -> Guess | None:
    """The language that a dataset is clearly in, where that is not English.

    Half of the letters have to be of another script; or the function words of one language have to make up MIN_SHARE
    of all words and MIN_RATIO times the share of the English ones, with MIN_DIFFERENT different ones among them.

    Parameters
    ----------
    table
        The columns `fields` (list<string>) and `response` (string) of `profiler.reading.examples.Examples`. Up to 500
        rows, evenly spread, and the first 1,000 characters of each prompt field are looked at; the responses instead
        where all prompts are empty.

    Returns
    -------
    Guess or None
        None for English, and for texts that are too short or too mixed to judge.
    """
    import numpy as np

    from traitcast.profiler.passes.table import row_table

    rows = row_table(table).take(np.arange(0, table.num_rows, max(1, -(-table.num_rows // _ROWS))))
    texts = [text for fields in rows["fields"].to_pylist() for text in fields or ()]
    if not any(text.strip() for text in texts):
        texts = [text for text in rows["response"].to_pylist() if text]
    return guess_of(texts)


def guess_of(texts: list[str]) -> Guess | None:
    """The language that some texts are clearly in, as in `guess_language`."""
    heads = [text[:CHARACTERS].lower() for text in texts]
    return _by_script(Counter("".join(heads))) or _by_words(Counter(w for text in heads for w in _WORD.findall(text)))


@cache
def _own_words(own: str) -> frozenset[str]:
    """The function words of a language; what it shares with English, such as "was" and "in", says nothing."""
    return _function_words(own) if own == "en" else _function_words(own) - _function_words("en")


def stranger(text: str, own: str) -> str | None:
    """The language in Latin script that one text is clearly in, where that is not `own`; None for any other text.

    Parameters
    ----------
    text
        At least STRAY_WORDS words of it are needed.
    own
        The language of the dataset, such as "en". Its function words may make up MIN_SHARE of the words of no stranger.
    """
    if own not in CODES:
        return None
    mine = _own_words(own)
    # The first words show it of nearly every text that is no stranger.
    for head in (text[:_HEAD], text[:CHARACTERS]):
        words = _WORD.findall(head.lower())
        if len(words) >= STRAY_WORDS and sum(map(mine.__contains__, words)) >= MIN_SHARE * len(words):
            return None
    if len(words) < STRAY_WORDS:
        return None
    found = _by_words(Counter(words), least=STRAY_WORDS)
    if found is not None:
        return found.code if found.code != own else None
    english = _own_words("en") - set(_NEUTRAL.split())
    hits = [word for word in words if word in english and word not in mine]
    return "en" if own != "en" and len(hits) >= 2 * MIN_SHARE * len(words) and len(set(hits)) >= MIN_DIFFERENT else None


def _by_script(seen: Counter[str]) -> Guess | None:
    """The language of most letters, by the counts of all characters."""
    letters = {char: count for char, count in seen.items() if _LETTER.match(char)}
    total = sum(letters.values())
    if total < _MIN_LETTERS:
        return None

    def among(ranges: str) -> int:
        inside = re.compile(f"[{ranges}]")
        return sum(count for char, count in letters.items() if inside.match(char))

    counts = {code: among(ranges) for code, ranges in _SCRIPTS.items()}
    counts["zh"] += counts.pop("ja")
    code = max(counts, key=lambda code: counts[code])
    if counts[code] < _MIN_SCRIPT_SHARE * total:
        return None
    own = (
        name
        for name, script, ranges, least in _TELLING
        if script == code
        and among(ranges) >= least * counts[code]
        and among(_LACKING.get(name, "\0")) < _STRAY * counts[code]
    )
    return Guess(next(own, code), f"its script ({counts[code] / total:.0%} of the letters)")


def _by_words(seen: Counter[str], least: int = MIN_WORDS) -> Guess | None:
    """The language of the function words, by the counts of all words, of which there have to be some."""
    total = seen.total()
    if total < least:
        return None
    # A word that both have says neither.
    english = _function_words("en")
    known = seen.keys() - english - set(_NEUTRAL.split())
    own = {code: known & _function_words(code) for code in _LANGUAGES.split()}
    hits = {code: sum(seen[word] for word in words) for code, words in own.items()}
    code = max(hits, key=lambda code: hits[code])
    share = hits[code] / total
    in_english = sum(seen[word] for word in english - _function_words(code)) / total
    if share < MIN_SHARE or share < MIN_RATIO * in_english or len(own[code]) < MIN_DIFFERENT:
        return None
    return Guess(code, f"its function words ({share:.0%} of the words, English {in_english:.0%})")
