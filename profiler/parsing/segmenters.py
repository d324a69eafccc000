"""The words of texts that put no spaces between them: by spaCy's language classes, where their segmenter is installed.

Owns which library segments which language, and texts with a space after each word. Refuses to guess: without the
library word traits are undefined.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from traitcast.profiler.language import language_code

if TYPE_CHECKING:
    from spacy.language import Language

# The packages that spaCy's tokenizer of a language asks for; the first is the segmenter.
PACKAGES = {"zh": ("jieba",), "ja": ("sudachipy", "sudachidict_core"), "th": ("pythainlp",)}
_CONFIG: dict[str, dict[str, Any]] = {"zh": {"nlp": {"tokenizer": {"segmenter": "jieba"}}}}


def segmenter(language: str | None) -> str | None:
    """What segments texts of a language, as a profile keeps it ("jieba 0.42.1"); None where nothing installed does."""
    packages = PACKAGES.get(language_code(language), ())
    try:
        found = [f"{package} {version(package)}" for package in packages]
    except PackageNotFoundError:
        return None
    return ", ".join(found) or None


def spaced(table: pa.Table, *, language: str | None) -> pa.Table:
    """Rows with a space between the words of their texts, and the other columns as they are.

    Parameters
    ----------
    table
        The columns of `Examples.table`.
    language
        One that `segmenter` names something for.

    Returns
    -------
    pyarrow.Table
    """
    cut = _words_of(language_code(language))
    for name in ("fields", "options", "response", "rejected"):
        if name in table.column_names:
            column = [_each(value, cut) for value in table[name].to_pylist()]
            at = table.column_names.index(name)
            table = table.set_column(at, table.schema.field(at), pa.array(column, table.schema.field(at).type))
    return table


def _each(value: Any, cut: Callable[[str], str]) -> Any:
    if isinstance(value, list):
        return [_each(item, cut) for item in value]
    return cut(value) if value else value


@cache
def _words_of(code: str) -> Callable[[str], str]:
    import logging
    import warnings

    import spacy

    with warnings.catch_warnings():
        # spaCy 3.8 calls what newer segmenters have renamed.
        warnings.simplefilter("ignore", DeprecationWarning)
        nlp = spacy.blank(code, config=_CONFIG.get(code, {}))
    # It tells on stderr how it loads its dictionary.
    logging.getLogger("jieba").setLevel(logging.WARNING)
    # A text of any length is cut into words without a parse.
    nlp.max_length = 1 << 62
    return lambda text: _spaced(nlp, text)


def _spaced(nlp: Language, text: str) -> str:
    """A text with a space between words; marks stay with the word before them, and line ends as they are."""
    found: list[str] = []
    for line in text.split("\n"):
        words: list[str] = []
        for token in nlp.make_doc(line):
            if words and not any(map(str.isalnum, token.text)):
                words[-1] += token.text.strip()
            elif token.text.strip():
                words.append(token.text.strip())
        found.append(" ".join(words))
    return "\n".join(found)
