"""Words that most readers find positive or negative.

Owns reading the lexicon of VADER (Hutto and Gilbert 2014; MIT licence), which ten people rated word by word from -4
to 4, without importing the package around it, and the line between feeling and none. Refuses to judge a sentence:
negation and irony are not read.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from traitcast.warehouse.errors import TraitcastError

# Mean rating from which a word counts: below it readers disagree ("hand" 2.2, "well" 1.1, "number" 0.3).
STRENGTH = 1.5
# More often a preposition than praise.
_NOT_FEELING = frozenset({"like"})
_PLAIN = re.compile(r"[a-z]{3,}")


@cache
def words() -> tuple[frozenset[str], frozenset[str]]:
    """(positive, negative): plain lower-case words of three letters or more. TraitcastError without the lexicon."""
    spec = find_spec("vaderSentiment")
    if spec is None or not spec.submodule_search_locations:
        raise TraitcastError("the sentiment lexicon is not installed. Install it with `pip install vaderSentiment`")
    path = Path(spec.submodule_search_locations[0]) / "vader_lexicon.txt"
    positive, negative = set(), set()
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition("\t")
        if not _PLAIN.fullmatch(word) or word in _NOT_FEELING:
            continue
        rating = float(rest.split("\t")[0])
        if rating >= STRENGTH:
            positive.add(word)
        elif rating <= -STRENGTH:
            negative.add(word)
    return frozenset(positive), frozenset(negative)


def lexicon_version() -> str:
    """What the word lists were read from, as stored with a profile."""
    return f"vaderSentiment {version('vaderSentiment')}"
