"""The codes by which spaCy knows languages, and which of them the English traits apply to."""

from __future__ import annotations

# Other codes (ISO 639-2 and 639-3) and English names of the languages that spaCy publishes pipelines for, by the code
# that it gives them; Norwegian is taken as Bokmål.
_CODES = {
    "ca": "cat catalan",
    "da": "dan danish",
    "de": "deu ger german",
    "el": "ell gre greek",
    "en": "eng english",
    "es": "spa spanish",
    "fi": "fin finnish",
    "fr": "fra fre french",
    "hr": "hrv croatian",
    "it": "ita italian",
    "ja": "jpn japanese",
    "ko": "kor korean",
    "lt": "lit lithuanian",
    "mk": "mkd mac macedonian",
    "nb": "nob no nor norwegian",
    "nl": "nld dut dutch",
    "pl": "pol polish",
    "pt": "por portuguese",
    "ro": "ron rum romanian",
    "ru": "rus russian",
    "sl": "slv slovenian slovene",
    "sv": "swe swedish",
    "uk": "ukr ukrainian",
    "zh": "zho chi chinese",
}
# Chinese, Japanese, Thai, Lao, Khmer, Burmese, Tibetan, and Cantonese and Wu Chinese by their own codes.
_UNSPACED = frozenset(("zh", "ja", "th", "lo", "km", "my", "bo", "yue", "wuu"))
_CODE_OF = {name: code for code, names in _CODES.items() for name in (code, *names.split())}


def language_code(language: str | None) -> str:
    """The code by which spaCy knows a language that is stated as "de", "de-AT", "deu" or "German".

    None, a dataset that states no language, is English; a language unknown here keeps its own code.
    """
    if language is None:
        return "en"
    name = language.strip().lower().replace("_", "-").split("-")[0]
    return _CODE_OF.get(name, name)


def separates_words(language: str | None) -> bool:
    """Whether texts of a language put spaces between words, so that word traits say something."""
    return language_code(language) not in _UNSPACED


def is_english(language: str | None) -> bool:
    """Whether the English traits apply. A dataset that states no language is taken as English."""
    return language_code(language) == "en"
