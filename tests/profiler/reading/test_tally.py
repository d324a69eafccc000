"""Tallies of consecutive rows add up to that of all, wherever the rows were read."""

from __future__ import annotations

import pytest

from traitcast.profiler.reading.examples import Converter
from traitcast.profiler.roles.spec import DatasetSpec

SPEC = DatasetSpec("generation", messages_field="messages")
EMPTY = [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}]


def chat(*speakers: str) -> list[dict[str, str]]:
    return [{"role": speaker, "content": "hello"} for speaker in speakers]


ROWS = [
    chat("user", "assistant"),
    chat("user", "user", "assistant"),
    EMPTY,
    chat("assistant"),
    chat("user", "assistant"),
]


@pytest.mark.parametrize("border", range(len(ROWS) + 1))
def test_rows_with_faults_keep_their_numbers(border: int) -> None:
    first, second = Converter(SPEC), Converter(SPEC)
    for number, row in enumerate(ROWS):
        (first if number < border else second).convert({"messages": row}, f"line {number + 1}")
    first.tally.merge(second.tally)
    assert (first.tally.read, first.tally.kept) == (5, 4)
    assert {fault: list(rows) for fault, rows in first.tally.faults.items()} == {"turn_order": [2, 3]}
    assert {why: list(rows) for why, rows in first.tally.dropped.items()} == {"empty_row": [3]}
