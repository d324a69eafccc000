"""Output: tables that line up, JSON that parses, nothing that steers a terminal."""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
from decimal import Decimal

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from traitcast.warehouse.console import (
    Progress,
    as_csv,
    command,
    count,
    number,
    printable,
    quoted,
    report_errors,
    say,
    table,
    warehouse_option,
    warn,
)
from traitcast.warehouse.errors import InputError, TraitcastError, nearest
from traitcast.warehouse.layout import filled, finite, shortened, width


def test_table_aligns_numbers_right_and_text_left() -> None:
    rows = [{"name": "a", "n": 1, "x": 0.5}, {"name": "long name", "n": 1000, "x": None}]
    assert table(rows) == (
        "name          n    x\n"
        "---------  ----  ---\n"
        "a             1  0.5\n"
        "long name  1000"
    )  # fmt: skip


def test_table_of_nothing_and_of_chosen_columns() -> None:
    assert table([], ["a", "b"]) == "a  b\n-  -"
    assert table([{"a": 1, "b": True, "c": "x\ny"}], ["c", "b"]) == "c     b\n----  ---\nx\\ny  yes"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (3.0, "3"), (0.123456, "0.1235"), (123456.7, "123,456.7"), (1e-7, "1.00e-07"), (math.nan, "")],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_escapes_cannot_reach_the_terminal() -> None:
    assert printable("\x1b[31mred\x07 \u202eabc\nnext") == "\\x1b[31mred\\x07 \\u202eabc\nnext"


@given(
    st.recursive(
        st.floats() | st.text() | st.none() | st.integers(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_finite_values_are_json(value: object) -> None:
    assert json.loads(json.dumps(finite(value), allow_nan=False)) is not Ellipsis


@pytest.mark.parametrize(("error", "code"), [(InputError("bad \x1b"), 2), (TraitcastError("failed"), 1)])
def test_errors_become_one_message_and_a_code(error: TraitcastError, code: int) -> None:
    @click.command()
    @report_errors
    def failing() -> None:
        raise error

    result = CliRunner().invoke(failing)
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr == f"Error: {printable(str(error))}\n"


def test_progress_prints_plain_lines_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Progress("parsing", 10, every_s=0.0)
    bar.advance(4)
    bar.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "parsing: 4/10\n"


def test_nearest() -> None:
    assert nearest("gsm8", ["gsm8k", "sst2"]) == "; did you mean 'gsm8k'?"
    assert nearest("lwa", ["law"]) == "; did you mean 'law'?"
    assert nearest("zzz", ["gsm8k", "sst2"]) == "."
    assert nearest("mnli", ["gsm8k", "nl2bash", "cola"]) == "."


@pytest.mark.parametrize(("no_color", "coloured"), [("1", False), ("", True)])
def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)

    @click.command()
    def careful() -> None:
        warn("careful")

    result = CliRunner().invoke(careful, color=True)
    assert ("\x1b[33m" in result.stderr) is coloured
    assert "warning: careful" in result.stderr


def test_headings_and_nested_cells() -> None:
    rows = [{"a": {"k": [1, None]}, "b": Decimal("0.0000000001")}]
    assert table(rows, headings={"b": "x"}) == (
        'a                             x\n----------------  ------------\n{"k": [1, null]}  0.0000000001'
    ).replace("a                             x", "a                            x")


def test_wide_letters_take_two_columns() -> None:
    rows = [{"name": "データ", "n": 1}, {"name": "cafe\u0301", "n": 20}, {"name": "plain", "n": 3}]
    lines = table(rows).splitlines()
    assert lines == ["name     n", "------  --", "データ   1", "cafe\u0301    20", "plain    3"]
    assert {width(line) for line in lines} == {10}


@given(st.text(max_size=80), st.integers(1, 70))
def test_a_shortened_text_fits(text: str, columns: int) -> None:
    short = shortened(text, columns)
    assert width(short) <= columns
    assert short == text or (short.endswith("\u2026") and text.startswith(short[:-1]))


def test_progress_tells_rate_and_time_left(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # A minute of loading before the first report is no part of the rate.
    clock = iter([0.0, 60.0, 70.0, 80.0])
    monkeypatch.setattr("traitcast.warehouse.console.time.monotonic", lambda: next(clock))
    bar = Progress("parsing", 0, every_s=0.0)
    bar.advance(1000)
    bar.total = 10_000
    bar.advance(1000)
    bar.total = 2_000_000
    bar.advance(1000)
    assert capsys.readouterr().err.splitlines() == [
        "parsing: 1,000",
        "parsing: 2,000/10,000, 100/s, 80 s left",
        "parsing: 3,000/2,000,000, 100/s, 5.5 h left",
    ]


def test_a_slow_rate_is_told_by_the_minute(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 8.0])
    monkeypatch.setattr("traitcast.warehouse.console.time.monotonic", lambda: next(clock))
    bar = Progress("parsing", 5, every_s=0.0)
    bar.advance(1)
    bar.advance(2)
    assert capsys.readouterr().err.splitlines()[-1] == "parsing: 3/5, 15.0/min, 8 s left"


def test_ctrl_c_ends_with_130_and_one_line() -> None:
    @click.command()
    @report_errors
    def long() -> None:
        raise KeyboardInterrupt

    result = CliRunner().invoke(long)
    assert result.exit_code == 130
    assert result.stdout == ""
    assert result.stderr == "Stopped. Finished work is kept, and nothing is half written.\n"


@pytest.mark.parametrize(
    ("variable", "given", "expected"),
    [
        (None, None, ""),
        (None, "traitcast.duckdb", ""),
        (None, "my file.duckdb", " --warehouse 'my file.duckdb'"),
        ("env.duckdb", None, ""),
        ("env.duckdb", "other.duckdb", " --warehouse other.duckdb"),
        ("env.duckdb", "traitcast.duckdb", " --warehouse traitcast.duckdb"),
        ("", "traitcast.duckdb", ""),
    ],
)
def test_the_next_command_finds_the_same_warehouse(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, given: str | None, expected: str
) -> None:
    if variable is None:
        monkeypatch.delenv("TRAITCAST_WAREHOUSE", raising=False)
    else:
        monkeypatch.setenv("TRAITCAST_WAREHOUSE", variable)

    @click.command()
    @warehouse_option
    def look(warehouse_path: str) -> None:
        click.echo(command("show", "sst2"))

    result = CliRunner().invoke(look, ["--warehouse", given] if given else [])
    assert result.stdout == f"traitcast show sst2{expected}\n"
    # A library call has no running command and says the file itself.
    assert command("show", "sst2", warehouse=given) == f"traitcast show sst2{expected}"
    assert command("show", "sst2") == "traitcast show sst2"


# tests/reliability/test_terminal.py has the characters that are shown as escapes.
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]), max_size=12), max_size=4))
def test_a_command_is_read_back_word_by_word(words: list[str]) -> None:
    assert shlex.split(command(*words)) == ["traitcast", *words]


def test_words_with_quotes_stay_readable() -> None:
    assert quoted("'text=Row #' label=a") == "\"'text=Row #' label=a\""
    assert shlex.split(quoted("it's $HOME")) == ["it's $HOME"]
    assert quoted("it's $HOME").startswith("'")


def test_counts() -> None:
    assert [count(n, "row") for n in (0, 1, 2, 2000)] == ["0 rows", "1 row", "2 rows", "2,000 rows"]


@pytest.mark.parametrize(("value", "silent"), [("1", True), ("0", False), ("", False)])
def test_quiet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, value: str, silent: bool) -> None:
    monkeypatch.setenv("TRAITCAST_QUIET", value)
    say("what was found")
    bar = Progress("parsing", 2, every_s=0.0)
    bar.advance()
    warn("careful")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["warning: careful"] if silent else ["what was found", "parsing: 1/2", "warning: careful"]


@given(st.lists(st.fixed_dictionaries({"a": st.none() | st.integers(), "b": st.text("x,\"'é ")}), max_size=5))
def test_csv_reads_back(rows: list[dict[str, object]]) -> None:
    read = list(csv.DictReader(io.StringIO(as_csv(rows, ["a", "b"]))))
    assert read == [{"a": "" if row["a"] is None else str(row["a"]), "b": row["b"]} for row in rows]


@pytest.mark.parametrize(
    "told",
    [
        "jq -c '.. | objects | select(has(\"story\")) | {story, more: [.b[] | .c]}' a.json > a_rows.jsonl",
        "python -c 'import duckdb; duckdb.sql(\"COPY (FROM '\"'\"'x.parquet'\"'\"') TO '\"'\"'y'\"'\"'\")'",
        "(printf '%s\\n' a_rather_long_name,another_one; cat a_file_without_a_header.csv) > with_header.csv",
        "awk 'NR==1 {h=$0} NR==1 || $0!=h' a_file_that_was_joined_of_several_others.csv > new-file",
    ],
)
def test_a_command_of_another_program_stays_whole(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    shown = filled(f"The rows are one level down, so take them out of there: {told}. Then go on with the new file.")
    assert told in shown
    assert any(len(line) <= 60 for line in shown.splitlines())
