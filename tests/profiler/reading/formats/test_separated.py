"""CSV and TSV in every dialect: the same rows, or a refusal that says what to do."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traitcast.profiler.reading.formats.separated import DELIMITERS, Dialect, dialect_of, separated_rows
from traitcast.profiler.reading.reader import read
from traitcast.profiler.request import Request
from traitcast.profiler.service import as_before
from traitcast.warehouse.errors import InputError

WORDS = ("the", "chain", "of", "my", "bike", "fell", "off", "on", "way", "to", "work", "shop", "sold", "was", "closed")
in_a_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


def sentence(number: int, words: int = 8) -> str:
    return " ".join(WORDS[(number * 7 + i * 3 + i * number) % len(WORDS)] for i in range(words))


def rows_of(path: Path, kind: str = "csv", **options: Any) -> list[tuple[str, ...]]:
    rows = separated_rows(path, kind, dialect_of(path, kind, **options))
    return [tuple(row.values()) for _, row in rows]


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_a_quoted_header_says_that_quotes_are_no_plain_characters(tmp_path: Path) -> None:
    """Every line has two cells also where the quotes are plain characters."""
    path = write(tmp_path / "a.tsv", '"text"\t"label"\n' + '"x"\t"\n\ty"\n' * 3)
    assert rows_of(path) == [("x", "\n\ty")] * 3


@given(
    rows=st.lists(st.tuples(st.text(max_size=12), st.text("ab,;\t|\"'\n x", max_size=8)), min_size=1, max_size=12),
    mark=st.sampled_from([",", ";", "\t", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@in_a_file
def test_what_the_csv_module_writes_is_read_back(
    tmp_path: Path, rows: list[tuple[str, str]], mark: str, quoting: Any
) -> None:
    rows = [(a.replace("\0", "").replace("\r", ""), b) for a, b in rows]
    out = io.StringIO()
    writer = csv.writer(out, delimiter=mark, quoting=quoting, lineterminator="\n")
    writer.writerows([("text one", "label two"), *((f"{a}x", f"{b}y") for a, b in rows)])
    path = write(tmp_path / "a.csv", out.getvalue())
    expected = [(f"{a}x", f"{b}y") for a, b in rows]
    if ("text one", "label two") in expected:
        return
    try:
        assert rows_of(path, delimiter=mark, quote='"') == expected
        found = rows_of(path)
    except InputError:
        return
    # With every cell quoted there is nothing to guess.
    if quoting == csv.QUOTE_ALL:
        assert found == expected


@given(
    odd=st.lists(
        st.tuples(st.integers(0, 59), st.sampled_from(['"{}', '{}"', 'a 15" {}', '"{}" he said', '""{}'])),
        min_size=1,
        max_size=6,
        unique_by=lambda pair: pair[0],
    ),
    kind=st.sampled_from(["csv", "tsv"]),
)
@in_a_file
def test_lone_quotes_swallow_no_rows(tmp_path: Path, odd: list[tuple[int, str]], kind: str) -> None:
    mark = "\t" if kind == "tsv" else ","
    rows = [(sentence(i), ("neg", "pos")[i % 2]) for i in range(60)]
    for place, form in odd:
        rows[place] = (form.format(rows[place][0]), rows[place][1])
    path = write(tmp_path / f"a.{kind}", "".join(f"{a}{mark}{b}\n" for a, b in [("text", "label"), *rows]))
    found = rows_of(path, kind)
    assert len(found) == 60
    assert [label for _, label in found] == [label for _, label in rows]
    assert rows_of(path, kind, quote="") == rows


def test_a_late_quote_is_seen_too(tmp_path: Path) -> None:
    rows = [f"{sentence(i)}\t{i % 2}" for i in range(1500)]
    rows[1203] = '"' + rows[1203]
    path = write(tmp_path / "a.tsv", "text\tlabel\n" + "\n".join(rows) + "\n")
    assert len(rows_of(path, "tsv")) == 1500
    assert "quotes are read as plain characters" in dialect_of(path, "tsv").notes[0]


def test_cells_of_several_lines_are_kept(tmp_path: Path) -> None:
    body = "".join(f'"Dear all, I write\nto you, again\n\nyours {i}",{"ab"[i % 2]}\n' for i in range(20))
    path = write(tmp_path / "a.csv", f"text,label\n{body}")
    assert len(rows_of(path)) == 20
    assert dialect_of(path, "csv").warnings == ()
    one = write(tmp_path / "b.csv", 'text,label\n"Hello, there\nworld",x\n' + "short text,y\n" * 8)
    assert rows_of(one)[0] == ("Hello, there\nworld", "x")


def test_a_cell_that_swallows_rows_is_warned_of(tmp_path: Path) -> None:
    lines = [f"{sentence(i)},{'ab'[i % 2]}" for i in range(30)]
    lines[3] = f'"{lines[3]}'
    lines[11] = f'{sentence(11)}",b'
    lines[20] = '"one, two",a'
    path = write(tmp_path / "a.csv", "text,label\n" + "\n".join(lines) + "\n")
    assert dialect_of(path, "csv").warnings == (
        "a.csv: the cell that begins in line 5 spans 9 lines, most of which look like rows (1 such cell in all). If "
        'its quote is a plain character, pass --quote none, or write it as "" inside of "..."',
    )


def test_quotes_behind_a_backslash(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n"he said \\"no, never\\" twice",a\n"so, what",b\n')
    assert rows_of(path) == [('he said "no, never" twice', "a"), ("so, what", "b")]
    assert 'a quote inside a cell is written \\"' in dialect_of(path, "csv").notes[0]


def test_a_space_behind_every_separator_is_no_part_of_a_cell(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text, label\nso it is, pos\n"a, b", neg\n')
    assert rows_of(path) == [("so it is", "pos"), ("a, b", "neg")]
    some = write(tmp_path / "b.csv", "text,label\n" + "so it is, pos\nand so on,neg\n" * 5)
    assert any("5 of 10 rows have a label that begins or ends with a space" in w for w in read(some).warnings)


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_quoted_comma_in_the_header_decides_nothing(tmp_path: Path, mark: str) -> None:
    body = "".join(f"{sentence(i)}{mark}{'ab'[i % 2]}\n" for i in range(8))
    path = write(tmp_path / "a.csv", f'"Text, full"{mark}Label\n{body}')
    assert dialect_of(path, "csv").delimiter == mark
    assert read(path).spec.text_fields == ("Text, full",)


@given(
    labels=st.lists(st.sampled_from(["neg", "pos", "3", "1"]), min_size=12, max_size=30).filter(
        lambda found: found.count(found[0]) > 2
    ),
    mark=st.sampled_from([",", ";", "\t"]),
    label_first=st.booleans(),
)
@in_a_file
def test_a_first_line_of_data_is_no_header(tmp_path: Path, labels: list[str], mark: str, label_first: bool) -> None:
    rows = [(label, sentence(i)) if label_first else (sentence(i), label) for i, label in enumerate(labels)]
    path = write(tmp_path / "a.csv", "".join(f"{mark.join(row)}\n" for row in rows))
    header = mark.join(("label", "text") if label_first else ("text", "label"))
    with pytest.raises(InputError, match="line 1 looks like data, not like a header") as caught:
        rows_of(path)
    assert header in str(caught.value)
    write(path, f"{header}\n" + path.read_text())
    assert rows_of(path) == rows


@pytest.mark.parametrize(
    "header", ["text,label", "Kommentar,toxisch", "0,1", "Was denken Sie?,q", "sentence,spam", ",label"]
)
def test_a_header_is_no_data(tmp_path: Path, header: str) -> None:
    label = header.rsplit(",", maxsplit=1)[-1]
    rows = [(sentence(i, 12), label if i % 2 and label != "1" else "other") for i in range(20)]
    path = write(tmp_path / "a.csv", "".join(f"{a},{b}\n" for a, b in [tuple(header.split(",")), *rows] if a or b))
    found = [row for row in rows if row != tuple(header.split(","))]
    assert rows_of(path) == found


def test_a_header_in_the_middle_is_refused_with_the_command_that_removes_it(tmp_path: Path) -> None:
    part = "text,label\n" + "".join(f"{sentence(i)},{'ab'[i % 2]}\n" for i in range(6))
    with pytest.raises(InputError, match=r"line 8 is the header again, .*awk .* \S+/a\.csv > a_new\.csv"):
        rows_of(write(tmp_path / "a.csv", part * 2))


@pytest.mark.parametrize(("stated", "mark"), [*DELIMITERS.items(), ("~", "~")])
def test_a_stated_separator_is_taken(tmp_path: Path, stated: str, mark: str) -> None:
    body = "".join(f"{sentence(i).replace(' ', '_')}{mark}{'ab'[i % 2]}\n" for i in range(8))
    path = write(tmp_path / "a.csv", f"text{mark}label\n{body}")
    assert read(path, delimiter=stated).rows == 8


def test_stated_quotes_are_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\n'so, it is',a\n'not, this',b\n")
    assert read(path, quote="'").table["fields"].to_pylist() == [["so, it is"], ["not, this"]]
    plain = write(tmp_path / "b.csv", 'text,label\n"so",a\n"no",b\n')
    assert read(plain, quote="none").table["fields"].to_pylist() == [['"so"'], ['"no"']]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": ";;"}, r"--delimiter ';;' is not one character; for example ';', or tab"),
        ({"quote": "x"}, r"--quote 'x' is not one of: none"),
    ],
)
def test_bad_marks(tmp_path: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(write(tmp_path / "a.csv", "text,label\na,b\n"), **options)


def test_marks_are_for_tables_of_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no CSV or TSV file; --delimiter and --quote are for those"):
        read(write(tmp_path / "a.jsonl", '{"text": "a", "label": "b"}\n'), delimiter=";")


def test_the_dialect_is_one_object() -> None:
    assert Dialect(",") == Dialect(",", '"')
    assert as_before("x", None) == Request("x")


def test_a_row_with_an_empty_cell_is_no_header(tmp_path: Path) -> None:
    """As CoLA is published: source, label, mark of the author, sentence."""
    rows = [f"gj04\t{i % 2}\t{'*' if i % 2 else ''}\tthe sailors rode the breeze number {i}\n" for i in range(20)]
    path = tmp_path / "in_domain_train.tsv"
    path.write_text("".join(rows))
    with pytest.raises(InputError, match="line 1 looks like data, not like a header: 'gj04' comes up again below it"):
        list(separated_rows(path, "tsv", dialect_of(path, "tsv")))
    path.write_text("\ttext\tlabel\n" + "".join(f"{i}\tsome words {i}\t{i % 2}\n" for i in range(20)))
    assert len(list(separated_rows(path, "tsv", dialect_of(path, "tsv")))) == 20
