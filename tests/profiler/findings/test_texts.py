"""Checks of a single text: each finds what it is for, and leaves alone what looks like it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traitcast.profiler.findings import texts

CASES = {
    "personal_data": (
        texts.personal_data,
        [
            "write to jane.doe+x@mail.example.org today",
            "Call (555) 123-4567.",
            "+49 30 901820 is the office",
            "555-123-4567",
            "card 4111 1111 1111 1111 was charged",
            "4012888888881881",
            "fax 202.555.0143",
            "+44 (0)20 7946 0958",
            "email:jo@example.org",
            "call +447700900123",
            "+1 5551234567",
            "+49 (0)30 123456",
            "+49 (0)30 (123) 456",
        ],
        [
            "see @jane on the feed",
            "2 + 17.5 - 2 = 17.5",
            "<<+17.5-2=15.5>>",
            "order 4111 1111 1111 1112",
            "the year 2019-2020",
            "ISBN 978-3-16-148410-0",
            "0000 0000 0000 0000",
            "pi is 3.14159265358979",
            "score 100-200-3000",
            "+10 20 30 40 points",
            "value +1.0000000000 found",
            "E = +25.123456789 eV",
            "12 +3456789012",
            "@@ +1500000000",
            "from 192.168.100.200",
            "postgres://user:hunter22@db.example.org/x",
            None,
            "",
        ],
    ),
    "secret": (
        texts.secret,
        [
            "ghp_" + "a1B2" * 9,
            "AKIAIOSFODNN7EXAMPLE is the key",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
            "postgres://user:hunter22@db.example.org/x",
            "hf_" + "abcDEF1234" * 4,
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "npm_" + "a1B2c3" * 6,
            "SG." + "a1" * 11 + "." + "b2" * 20,
            "rk_live_" + "a1" * 12,
        ],
        [
            "the secret of my success",
            "https://example.org:443/path",
            "sk-learn is a library",
            "sk-a-style-with-a-rather-long-name-of-many-words",
            "git@github.com:a/b.git",
            "AKIA",
            None,
            "",
        ],
    ),
    "refusal": (
        texts.refusal,
        [
            "As an AI language model, I have no opinions.",
            "I'm sorry, but I can't help with that.",
            "I cannot assist with this request.",
            "Sorry, I am unable to open links.",
            "I'm not able to help with that.",
            "As a language model, I do not have feelings.",
            "I must decline this request.",
            "Unfortunately, I cannot provide that information.",
            "I don't have an opinion as an AI.",
            "My apologies, but I can’t share this.",
        ],
        [
            "I'm sorry for your loss.",
            "AI is a field of computer science.",
            "He said: I can't go.",
            "I can't believe it!",
            "Sorry, I can't come tonight.",
            "I can't help falling in love with you",
            "I won't provide for them forever.",
            "As an AI engineer I write code.",
            None,
            "",
        ],
    ),
    "wrong_encoding": (
        texts.wrong_encoding,
        ["cafÃ© at noon", "donâ€™t", "ÐŸÑ€Ð¸Ð²ÐµÑ‚".encode("latin-1", "replace").decode("latin-1") + "Ã¼ber", "æ—¥æœ¬"],
        ["passé”… dit-il", "café at noon", "don’t", "Ärger und Öl", "Привет", "naïve", None, ""],
    ),
    "lost_character": (texts.lost_character, ["caf\ufffd"], ["café", None, ""]),
    "markup": (
        texts.markup,
        [
            "a<br />b",
            "<p>text</p>",
            "Tom &amp; Jerry",
            "&#39;quoted&#39;",
            "a<BR>b",
            "<P>",
            "<sup>2</sup>",
            "caf&eacute;",
        ],
        [
            *("a < b and b > c", "AT&T", "x <y> z", "List<String> s", "if a<b and c>d", "<A> or <B>", "<s>", None, ""),
            *("Option<Span>", "List<Table>", "Vec<Style>", "<PRE> def f <SUF> x <MID>", "Foo *p = &copy;"),
        ],
    ),
    "blank": (texts.blank, [None, "", " \n\t", "\u00a0"], ["x", "."]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_check_finds_its_fault_and_nothing_else(name: str) -> None:
    check, faulty, clean = CASES[name]
    marked = check(pa.array([*faulty, *clean], pa.string()))
    wrong = [text for text, mark in zip(faulty, marked, strict=False) if not mark]
    assert wrong == []
    assert [text for text, mark in zip(clean, marked[len(faulty) :], strict=True) if mark] == []


@pytest.mark.parametrize("name", CASES)
def test_a_check_takes_a_block_without_rows(name: str) -> None:
    assert len(CASES[name][0](pa.array([], pa.string()))) == 0


@given(st.integers(2, 6), st.lists(st.integers(0, 9), min_size=14, max_size=14), st.sampled_from(["", " ", "-"]))
def test_cards_are_told_by_their_check_digit(first: int, rest: list[int], mark: str) -> None:
    digits = [first, *rest]
    right = next(d for d in range(10) if texts._luhn([*digits, d]))
    for last in range(10):
        number = "".join(map(str, [*digits, last]))
        text = "card " + mark.join(number[at : at + 4] for at in range(0, 16, 4))
        assert bool(texts.personal_data(pa.array([text]))[0]) == (last == right and len(set(number)) > 1)


def test_rows_glued_together_are_found() -> None:
    glued = ["a\tx\nb\ty\nc\tx", '{"a": 1}\n{"a": 2}\n{"a": 3}', "it rained,neg\nit shone,pos\nit snowed,neg"]
    prose = ["One line.\nAnother line.\nA third.", "def f():\n\tif x:\n\t\treturn 1\n\treturn 2", "a\tb", "{}", None]
    assert texts.glued(pa.array([*glued, *prose]), {"pos", "neg"}).tolist() == [True] * 3 + [False] * 5
    assert not texts.glued(pa.array(glued[2:]))[0], "without its classes a list is a list"


def test_strangers_are_in_another_script() -> None:
    english = ["This is a plain English sentence."] * 20
    scripts = texts.scripts_of(
        pa.array([*english, "Это предложение по-русски", "12345", None, "Plato (Πλάτων) wrote this"])
    )
    marked, usual = texts.strangers(scripts)
    assert usual == "Latin"
    assert np.flatnonzero(marked).tolist() == [20]
    mixed = texts.scripts_of(pa.array([*english, *["Это предложение по-русски"] * 20]))
    assert not texts.strangers(mixed)[0].any(), "of two languages neither is the stranger"
    assert not texts.strangers(texts.scripts_of(pa.array([], pa.string())))[0].any()
