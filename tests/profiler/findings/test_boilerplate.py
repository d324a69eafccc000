"""Openings and closings that many responses share."""

from __future__ import annotations

import pyarrow as pa
import pytest

from traitcast.profiler.findings import boilerplate


def texts(count: int, *, opening: str = "", closing: str = "") -> list[str]:
    return [f"{opening}{n} one {n} two {n} three {n} four {n} five{closing}" for n in range(count)]


def test_several_openings_are_one_finding() -> None:
    many = (
        texts(100) + texts(40, opening="Sure, here is your answer: ") + texts(30, opening="That is a great question! ")
    )
    finding = boilerplate.finding("shared_opening", boilerplate.openings(pa.array(many)))
    assert finding is not None
    assert finding.rows.tolist() == list(range(101, 171))
    assert finding.detail == "40 as in row 101, 30 as in row 141"
    assert boilerplate.finding("shared_closing", boilerplate.closings(pa.array(many))) is None


def test_a_closing_is_found_whatever_its_case_and_marks() -> None:
    many = (
        texts(60) + texts(20, closing=". Let me know your thoughts!") + texts(10, closing=" let me know your thoughts.")
    )
    finding = boilerplate.finding("shared_closing", boilerplate.closings(pa.array(many)))
    assert finding is not None
    assert finding.rows.tolist() == list(range(61, 91))


def test_a_response_that_is_all_closing_is_an_opening() -> None:
    many = pa.array([*texts(80), *["I do not know that"] * 40])
    assert boilerplate.finding("shared_closing", boilerplate.closings(many)) is None
    opening = boilerplate.finding("shared_opening", boilerplate.openings(many))
    assert opening is not None
    assert opening.count == 40


@pytest.mark.parametrize("share", [4, 9])
def test_what_few_share_is_no_boilerplate(share: int) -> None:
    many = texts(1000 - 10 * share) + texts(10 * share, opening="Sure, here is your answer: ")
    assert boilerplate.finding("shared_opening", boilerplate.openings(pa.array(many))) is None


def test_nulls_and_short_texts_are_left_out() -> None:
    some = pa.array([None, "", "#", "one word", "😀", *["Yes, that is so."] * 60], pa.string())
    assert boilerplate.openings(some).tolist() == [0] * 65
    assert boilerplate.finding("shared_opening", boilerplate.openings(some)) is None
