"""Warnings of texts that were cut off or decoded with the wrong encoding, and no warning of texts that were not."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tests.profiler.conftest import MakeExamples
from traitcast.profiler.reading.damage import damage_warnings

SENTENCE = "the committee met again on Monday to look at the plan for the river and said that it would need time"
WORDS = SENTENCE.split()


def warnings(make: MakeExamples, prompts: list[str], responses: list[str] | None = None) -> list[str]:
    """What is warned of, which no size of blocks changes."""
    table = make([[p] for p in prompts], responses or [f"r{i}" for i in range(len(prompts))]).table
    found = list(damage_warnings(table))
    assert list(damage_warnings(pa.Table.from_batches(table.to_batches(max_chunksize=3)))) == found
    return found


@pytest.mark.parametrize(
    "text",
    [
        *("café", "don’t “quote”", "naïve – dash", "Привет, мир", "日本語のテキスト", "Größe €5", "señor ¿qué?"),
        *("fußball…", "مرحبا", "Καλημέρα", "שלום", "বাংলা ভাষা", "so 😀 nice", "ok ✓", "a → b"),
    ],
)
def test_utf8_read_as_something_else(make_examples: MakeExamples, text: str) -> None:
    """The reference is Python's own codecs: what they garble is found, what they leave is not."""
    garbled = text.encode().decode("latin-1")
    assert len(warnings(make_examples, [garbled] * 3)) == 1
    assert warnings(make_examples, [text] * 3) == []


@pytest.mark.parametrize(
    "text",
    [
        *("AMANHÃ… VEREMOS", "IRMÃ\xa0MARIA", "der Spaß” sagte er", "«É»", "СССР и РСФСР", "È «vero»", "x√2 and 3√5"),
        *("Åland – å", "pâte…", "ÉTÉ… PASSÉ", "TRẦN — “TÔI”", "Đà Nẵng", "Это «РС»", "Þór ðý"),
        *("С–С–С–С", "hâlâ—“evet”", "hâlâ—\xa0evet", "×\xa0×\xa0×\xa0", "Ä…Ö…Ü…", "Ø»Ø»Ø»", "РІСІРІ", "x√±y", "n√∞"),
    ],
)
def test_letters_before_punctuation_are_fine(make_examples: MakeExamples, text: str) -> None:
    assert warnings(make_examples, [text] * 3) == []


def test_other_tables_of_single_bytes(make_examples: MakeExamples) -> None:
    macs = [text.encode().decode("mac_roman") for text in ("café au lait", "Größe", "für", "España")]
    for garbled in ("Привет всем".encode().decode("cp1251", "replace"), *macs):
        assert len(warnings(make_examples, [garbled] * 3)) == 1


def test_windows_1252_is_what_people_have(make_examples: MakeExamples) -> None:
    garbled = "it’s a café".encode().decode("cp1252")
    assert warnings(make_examples, ["fine"] * 5 + [garbled]) == [
        "1 of 6 prompt texts look like UTF-8 that was decoded as another encoding ('itâ€™s'): decode the source again"
    ]


@pytest.mark.parametrize("text", ["SÃO PAULO", "AÑO NUEVO", "Ârea", "50 °C", "Ðe and Ñu", "â la carte", "À côté", "Ã"])
def test_rare_letters_are_no_damage(make_examples: MakeExamples, text: str) -> None:
    assert warnings(make_examples, [text] * 3) == []


def test_lost_characters(make_examples: MakeExamples) -> None:
    assert warnings(make_examples, ["caf\ufffd", "fine"]) == [
        "1 of 2 prompt texts hold U+FFFD, the mark of a character that was lost"
    ]
    # One slip in a thousand texts is not worth a warning.
    assert warnings(make_examples, ["caf\ufffd"] + ["fine"] * 999) == []


def sentences(count: int) -> list[str]:
    """Texts of many lengths that end where their authors ended them."""
    return [f"{i} " + " ".join((WORDS * 4)[: 12 + i % 60]) + "." for i in range(count)]


def test_texts_cut_at_a_limit(make_examples: MakeExamples) -> None:
    whole = sentences(200)
    assert warnings(make_examples, whole) == []
    cut = [text[:150] for text in whole]
    assert len([text for text in cut if len(text) == 150]) > 50
    found = warnings(make_examples, cut)
    assert len(found) == 1
    assert "prompt texts have exactly 150 characters, the most there is" in found[0]
    # In responses too, where they are no class names.
    assert "response texts have exactly 150" in warnings(make_examples, whole, cut)[0]


def test_texts_that_say_that_they_were_cut(make_examples: MakeExamples) -> None:
    tweets = [f"{i} something happened in town today and I…" for i in range(20)] + ["fine"] * 80
    assert warnings(make_examples, tweets) == [
        "20 of 100 prompt texts end in a mark of truncation such as '…' or '[...]'"
    ]
    assert warnings(make_examples, [f"{i} well ..." for i in range(20)]) == []
