"""Bad input: every message names the file, the place, what was expected, and what to do next."""

from __future__ import annotations

import gzip
import json
import os
import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traitcast.profiler.reading.formats import text_lines as lines
from traitcast.profiler.reading.reader import read
from traitcast.profiler.reading.tally import too_many_classes
from traitcast.profiler.roles.spec import DatasetSpec
from traitcast.warehouse.errors import InputError

GOOD = b'{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n'
TEXT_LABEL = DatasetSpec("classification", text_fields=("text",), label_field="label")
QUESTION_ANSWER = DatasetSpec("generation", text_fields=("q",), answer_field="a")


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet(table: pa.Table) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(table, out)
    return bytes(out.getvalue())


def refused(path: Path, message: str, **options: Any) -> str:
    with pytest.raises(InputError, match=message) as caught:
        read(path, **options)
    assert caught.value.exit_code == 2
    return str(caught.value)


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


BAD_FILES: list[tuple[str, bytes, str]] = [
    ("a.jsonl", b"", r"a\.jsonl is empty; expected a JSON object a line"),
    ("a.csv", b"", r"a\.csv is empty; expected a line with the names of the columns, then a line for each row"),
    ("a.jsonl", b"\n\n", r"a\.jsonl holds no rows; expected at least one row"),
    ("a.csv", b"text,label\n", r"a\.csv holds no rows; expected at least one row of data below any header"),
    ("a.json", b"[]", r"a\.json holds no rows"),
    ("a.txt", b"text", r"a\.txt: the name does not say which format it is; accepted: \.jsonl, .*\.parquet.*\.gz"),
    ("a.jsonl", GOOD + b'{"text": \n', r"a\.jsonl: line 3, column 9: broken JSON: Expecting value"),
    (
        "my rows.jsonl",
        GOOD + b'{"text": "a\tb"}\n' + GOOD,
        r"column 12: broken JSON: Invalid control character\. Each line .* sed -n 3p '\S*/my rows\.jsonl'\. "
        r"To go on without it: sed 3d '\S*/my rows\.jsonl' > 'my rows_without_3\.jsonl'$",
    ),
    ("a.jsonl", GOOD + b'{"text": "a\\x"}\n', r"column 12: broken JSON: Invalid \\escape\. Each"),
    ("a.json", b'[{"text": "a\tb"}]', r"column 13: broken JSON: Invalid control character$"),
    ("a.json", b'[{"text": "a', r"broken JSON: Unterminated string\. The file ends here"),
    ("a.jsonl", GOOD + b"[1]\n", r"a\.jsonl: line 3 is a list, not an object such as"),
    ("a.jsonl", GOOD + b"null\n", r"line 3 is null, not an object"),
    ("a.jsonl", GOOD + b'{"text": "a", "text": "b"}\n', r"line 3: duplicate column name 'text'"),
    ("a.jsonl", b'{"a":' + b"[" * 100_000, r"line 1: JSON is nested too deeply to be a row of text"),
    ("a.jsonl", b'{"a": ' + b"9" * 5000 + b"}", r"line 1: a number of thousands of digits; write it as a text"),
    (
        "a.jsonl",
        GOOD + b'{"text": "caf\xe9"}\n',
        r"line 3 is not UTF-8: byte 0xe9 at byte 14 .*\(byte 70 of the file\)",
    ),
    ("a.csv", b"text,label\ncaf\xe9,1\n", r"a\.csv: line 2 is not UTF-8: byte 0xe9.*iconv -f WINDOWS-1252"),
    ("a.json", b'[{"text": "caf\xe9"}]', r"a\.json: not UTF-8 at byte 15 \(0xe9\)"),
    ("a.jsonl", GOOD.decode().encode("utf-16"), r"this is UTF-16 text; convert it: iconv -f UTF-16"),
    ("a.jsonl", GOOD + b'{"text": "a\x00b"}\n', r"line 3 holds a NUL byte"),
    ("a.csv", b"text,label\na\x00b,1\n", r"a\.csv: line 2 holds a NUL byte"),
    ("a.json", b'[{"text": "a\x00b"}]', r"a\.json: holds a NUL byte"),
    ("a.json", b"7", r"a\.json: the document is a number; expected a list of rows or an object of columns"),
    ("a.json", b'"text"', r"the document is a text; expected a list of rows"),
    ("a.json", b'[{"text": "a"}, 7]', r"a\.json: row 2 of the array is a number, not an object"),
    ("a.json", b'[{"text": "a"} {"text": "b"}]', r"line 1, column 16: broken JSON: '{' is there after row 1"),
    ("a.json", b'[\n{"text": "a"},\n{"text": "b"}', r"line 3, column 14: broken JSON: the file ends after row 2"),
    ("a.json", b'[\n{"text": "a"},\n{"text" "b"}]', r"a\.json: line 3, column 9: broken JSON: Expecting ':'"),
    ("a.json", b'[{"text": "a"}] x', r"text after the end of the array: 'x'"),
    ("a.json", b'{"text": ["a"], "label": ["x", "y"]}', r"is not a table\. Lists of different lengths: .*'label': 2"),
    ("a.json", b'{\n"text": "a", "label": 1}', r"one JSON object with the keys text, label is not a table"),
    ("a.json", b'{"text": ["a"]', r"broken JSON: Expecting ',' delimiter"),
    ("a.csv", b"text,label\na,1\nb,2,3\n", r"a\.csv: line 3 has 3 cells, but the header has 2 \(text, label\)"),
    ("a.csv", b'text,label\n"a\nb",1\nb\n', r"a\.csv: line 4 has 1 cells"),
    (
        "a.csv",
        b"text,label\na,1\nb,2,3\nc,1\nd\ne,2\nf,1\ng,1,2\n",
        r"without it and lines 5, 8, which do not fit either: sed '3d;5d;8d' \S+/a\.csv > a_new\.csv\.",
    ),
    ("a.csv", b"text,label\na,1\nb,2,3\nc,1\n", r"To go on without it: sed 3d \S+/a\.csv > a_new\.csv\."),
    (
        "a.csv",
        b"text,label\na,1\nb,2,3\nc\nd\ne,1\n",
        r"has 2 \(text, label\)\. A cell that .* quoted\. If the separator",
    ),
    ("a.csv", b"text,label,text\na,1,b\n", r"the header has the duplicate column name 'text'"),
    ("a.csv", b'text,label\n"x","y"\n"never closed,1\n', r"a\.csv: line 3: broken CSV: a quote is never closed"),
    ("a.csv", b'"text","label"\n"a" b,1\n', r"a\.csv: line 2: broken CSV: ',' expected after '\"'"),
    ("a.csv", b",".join(b"c%d" % i for i in range(5000)) + b"\n", r"the header has 5,000 columns; .* at most 4,096"),
    (
        "a.csv",
        b"text,label\rx,1\ry,0\r",
        r"line 1: .*a carriage return without a line feed.* tr '\\r' '\\n' < \S+/a\.csv > a_new\.csv",
    ),
    (
        "a.jsonl",
        GOOD.replace(b"\n", b"\r"),
        r"line 1, column 29: broken JSON: Extra data\. Lines end in a carriage return",
    ),
    ("a.csv", b"text,label,\nx,1\n", r"line 2 has 2 cells, .*\(text, label, column_3\)\. The last column has no name"),
    ("a.csv", b"text,label\nx\n", r"line 2 has 1 cells, .*Write empty cells too, with their ','"),
    ("a.csv", GOOD, r"a\.csv: line 1 is JSON, not a header; name the file \.jsonl or \.json"),
    ("a.tsv", b"text,label\nx,1\n", r"no tab in the header 'text,label'; a file with other separators is named \.csv"),
    (
        "a.jsonl",
        b"text,label\nx,1\n",
        r"broken JSON: Expecting value\. Each line must be one JSON object; see it: sed -n 1p",
    ),
    ("a.jsonl", b'[\n{"text": "a"}\n]\n', r"line 1, .*Write it so: jq -c '\.\[\]' \S+/a\.jsonl > a_rows\.jsonl"),
    ("a.jsonl", GOOD + b'{"text": "a', r"line 3, .*It is the last line: the file may be cut off"),
    ("a.jsonl", b'{"text": "a', r"line 1, .*It is the last line: the file may be cut off"),
    ("a.jsonl", b"{}\n{}\n", r"line 1: the rows have no columns; expected for example a text and a label"),
    ("a.jsonl", gzip.compress(GOOD, mtime=0), r"by its first bytes this is compressed by gzip; add \.gz to its name"),
    (
        "a.jsonl",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        r"a\.jsonl is not a text file \(it looks like a PNG image\)\. Formats read: JSON Lines, .*\.parquet",
    ),
    ("a.csv", b"%PDF-1.4\n%\xe2\xe3\n", r"a\.csv is not a text file \(it looks like a PDF document\)"),
    ("a.json", b"\xff\xd8\xff\xe0\0\x10JFIF", r"a\.json is not a text file \(it looks like a JPEG image\)"),
    ("a.jsonl", b"a\xfe\xff\n\0\0", r"a\.jsonl is not a text file \(its beginning holds NUL bytes\)"),
    ("a.json", b"[\xfe\xff\0\0", r"a\.json is not a text file \(its beginning holds NUL bytes\)"),
    ("a.csv", b"PAR1\x15\x04", r"by its first bytes this is a Parquet file; name it \.parquet"),
    ("a.csv", b"PK\x03\x04\x14", r"a zip archive or an Excel file; unpack it, or save the sheet as CSV"),
    ("a.json", b"<!DOCTYPE html>\n<html>", r"this is a web page, not data; download the file itself"),
    ("a.parquet", b"version https://git-lfs.github.com/spec/v1\noid", r"Git LFS pointer, .* git lfs pull"),
    (
        "a.json",
        b'{"train": [{"a": 1}], "test": [{"a": 1}]}',
        r"one level down, under train, test\..*jq -c '\.\[\"train\"\]\[\]'",
    ),
    ("a.json", b"{}", r"one JSON object with no keys is not a table"),
    (
        "a.jsonl",
        b'{"\\ud800": "a", "label": "b"}\n' * 3,
        r"'\\ud800' names a column or class, but holds half of a surr",
    ),
    ("a.parquet", b"not parquet", r"a\.parquet: damaged, truncated or no parquet file \("),
    ("a.arrow", b"not arrow at all", r"a\.arrow: damaged, truncated or no arrow file \("),
    (
        "a.jsonl.gz",
        gzip.compress(GOOD * 500, mtime=0)[:60],
        r"a\.jsonl\.gz: truncated or damaged gzip data .*end-of-stream",
    ),
    ("a.jsonl.gz", b"plain text", r"truncated or damaged gzip data \(Not a gzipped file"),
    ("a.jsonl.zst", b"plain text", r"truncated or damaged zstd data"),
    ("a.jsonl.bz2", b"plain text", r"truncated or damaged bzip2 data"),
    ("a.jsonl.xz", b"plain text", r"truncated or damaged xz data"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES)
def test_bad_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    assert str(tmp_path) in refused(write(tmp_path, name, content), message)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_truncated_binary_files(tmp_path: Path, kind: str) -> None:
    table = pa.table({"text": ["some text"] * 5000, "label": ["x", "y"] * 2500})
    if kind == "parquet":
        whole = parquet(table)
    else:
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, table.schema) as writer:
            writer.write_table(table, max_chunksize=100)
        whole = bytes(out.getvalue())
    for keep in (1, 4, 100, len(whole) // 2, len(whole) - 20):
        refused(write(tmp_path, f"a.{kind}", whole[:keep]), rf"a\.{kind}: damaged, truncated or no {kind} file")


def test_duplicate_columns_in_a_schema(tmp_path: Path) -> None:
    table = pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    refused(write(tmp_path, "a.parquet", parquet(table)), r"the schema has the duplicate column name 'text'")


def test_a_moment_that_python_has_no_type_for(tmp_path: Path) -> None:
    table = pa.table({"text": ["a"], "label": ["x"], "seen": pa.array([2**62], pa.timestamp("us"))})
    path = write(tmp_path, "a.parquet", parquet(table))
    refused(
        path,
        r"a\.parquet: rows 1 to 1: column 'seen' \(timestamp\[us\]\) holds what cannot be read: .*Remove the column",
    )


def test_a_label_column_without_a_value(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", jsonl([{"text": "a", "label": None}] * 3))
    refused(
        path, r"roles of the columns: 'label' is empty in all 3 rows; if another split has labels, choose it by --split"
    )


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    assert "did you mean" not in refused(
        tmp_path / "loop.jsonl", r"cannot read .*loop\.jsonl: its links lead in a circle"
    )
    (tmp_path / "gone.jsonl").symlink_to("nowhere.jsonl")
    refused(tmp_path / "gone.jsonl", r"gone\.jsonl is a link to 'nowhere\.jsonl', which is not there")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into every folder")
def test_a_folder_that_may_not_be_entered(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", GOOD)
    tmp_path.chmod(0o400)
    try:
        assert "did you mean" not in refused(path, r"cannot read .*a\.jsonl: Permission denied")
    finally:
        tmp_path.chmod(0o700)


def test_a_line_of_50_mb_is_refused_without_loading_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as out:
        out.write(GOOD)
        out.write(b'{"text": "')
        out.seek(50 << 20, os.SEEK_CUR)
        out.write(b'"}\n')
    refused(path, r"a\.jsonl: line 3 is longer than 32 MB\. A row must fit in one line")


def test_a_line_just_under_the_limit_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 100)
    line = b'{"text": "' + b"x" * 62 + b'", "label": "some class"}\n'
    assert len(line) == 98
    assert read(write(tmp_path, "a.jsonl", line + b" " + line)).rows == 2
    refused(write(tmp_path, "b.jsonl", line + b"   " + line), "line 2 is longer than")


def test_a_huge_cell_of_a_binary_file(tmp_path: Path) -> None:
    table = pa.table({"text": ["a", "x" * (33 << 20)], "label": ["x", "y"]})
    refused(write(tmp_path, "a.parquet", parquet(table)), r"row 2: column 'text' holds a text of 34,603,008 characters")


def test_a_million_columns_of_json(tmp_path: Path) -> None:
    row = {f"c{i}": 1 for i in range(5000)}
    refused(write(tmp_path, "a.jsonl", jsonl([row])), r"line 1: 5,000 columns so far; a text dataset has at most 4,096")


# Sources


def test_missing_sources(tmp_path: Path) -> None:
    write(tmp_path, "reviews.jsonl", GOOD)
    refused(tmp_path / "review.jsonl", r"neither a file or folder here nor a hub id .*did you mean 'reviews\.jsonl'")
    refused(tmp_path / "reviews", r"hub id \(org/name\); did you mean '\S*/reviews\.jsonl'\? See what is there")
    refused(tmp_path / "no" / "where.csv", rf"where\.csv' is neither .*`ls {tmp_path}`\. Files")
    refused(tmp_path / ("x" * 300), "is neither a file or folder here")
    with pytest.raises(InputError, match=r"'sst2' is neither a file or folder here nor a hub id \(org/name\)"):
        read("sst2")


def test_folders_without_clear_data(tmp_path: Path) -> None:
    refused(tmp_path, r"holds no data file; expected train\.jsonl, test\.csv")
    write(tmp_path, "notes.txt", b"hello")
    refused(tmp_path, r"holds no data file")
    write(tmp_path, "train.jsonl", b"")
    refused(tmp_path, r"every data file is empty \(train\.jsonl\)")
    write(tmp_path, "one.jsonl", GOOD)
    write(tmp_path, "two.jsonl", GOOD)
    refused(tmp_path, r"files that name no split: one\.jsonl, two\.jsonl\. Name them train, validation or test")


def test_a_split_in_two_formats(tmp_path: Path) -> None:
    write(tmp_path, "train.jsonl", GOOD)
    write(tmp_path, "train.csv", b"text,label\na,x\n")
    refused(tmp_path, r"split 'train' is there in several formats \(train\.csv, train\.jsonl\); pass one")


def test_unknown_splits_are_listed(tmp_path: Path) -> None:
    write(tmp_path, "train.jsonl", GOOD)
    write(tmp_path, "test.jsonl", GOOD)
    refused(tmp_path, r"no split 'tets'; did you mean 'test'\? Its splits: train, test \(or all\)", split="tets")
    refused(tmp_path, r"no split 'dev'\. Its splits: train, test \(or all\)", split="dev")
    assert refused(tmp_path / "test.jsonl", r"no split 'dev'\.", split="dev").endswith("Its splits: test (or all)")
    lone = write(tmp_path, "lone.jsonl", GOOD)
    assert refused(lone, r"no split 'dev'\.", split="dev").endswith("Its splits: all")
    lone.unlink()
    (tmp_path / "train.jsonl").rename(tmp_path / "validation.jsonl")
    refused(tmp_path, r"has no train split; choose one with --split: validation, test \(or all\)")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", GOOD)
    path.chmod(0)
    refused(path, r"cannot read .*a\.jsonl: .*Permission denied")


def test_a_pipe_is_no_dataset(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    refused(tmp_path / "a.jsonl", r"is neither a file nor a folder; save its rows to a file first")


def test_hub_options_of_local_files(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", GOOD)
    refused(path, r"a\.jsonl is a file; --config, --revision and --stream are for hub datasets", config="x")
    refused(tmp_path, r"is a local folder; --revision is for hub datasets", revision="main")


# Roles against data


def test_a_field_that_does_not_exist(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", GOOD)
    spec = write(tmp_path, "roles.yaml", b"text_fields: [txt]\nlabel_field: label\n")
    refused(
        path,
        r"a\.jsonl: the spec \(.*roles\.yaml\) names the field 'txt', but there is no such column; "
        r"did you mean 'text'\? Columns: text, label",
        spec=spec,
    )


def test_a_misspelt_key_in_the_spec_beside_the_data(tmp_path: Path) -> None:
    write(tmp_path, "train.jsonl", GOOD)
    write(tmp_path, "dataset.yaml", b"text_field: [text]\nlabel_field: label\n")
    refused(tmp_path, r"dataset\.yaml: unknown key 'text_field'; did you mean 'text_fields'\?")


def test_one_row_is_allowed_with_a_warning(tmp_path: Path) -> None:
    examples = read(write(tmp_path, "a.jsonl", b'{"text": "a", "label": "x"}'))
    assert examples.rows == 1
    assert "only one row: spreads and standard errors are undefined" in examples.warnings


BAD_LABELS: list[tuple[list[Any], str]] = [
    ([None, None], r"the label column 'label' is empty in all 2 rows\. Choose a split with labels by --split"),
    (["", "  "], r"the label column 'label' is empty in all 2 rows"),
    ([-1, -1], r"label '-1' in column 'label' is not in label_names|is empty in all 2 rows"),
    (["x", 1], r"'label' mixes types: 'x' \(text\) at .*a\.jsonl: line 1, but 1 \(integer\) at .*a\.jsonl: line 2"),
    ([True, 1], r"mixes types: True \(boolean\) at .*line 1, but 1 \(integer\) at .*line 2"),
    ([2.5, 3.0], r"line 1: label column 'label' holds the number 2\.5, which is a score and no class.*answer_field"),
    ([["x"], ["y"]], r"line 1: label column 'label' holds a list: \['x'\]; .*--roles labels=label"),
    ([{"a": 1}] * 2, r"line 1: label column 'label' holds a nested object: \{'a': 1\}"),
]


@pytest.mark.parametrize(("values", "message"), BAD_LABELS)
def test_bad_labels(tmp_path: Path, values: list[Any], message: str) -> None:
    rows = [{"text": "a", "label": value} for value in values]
    spec = DatasetSpec("classification", text_fields=("text",), label_field="label", label_names=())
    if values == [-1, -1]:
        spec = DatasetSpec("classification", text_fields=("text",), label_field="label", label_names=("neg", "pos"))
    refused(write(tmp_path, "a.jsonl", jsonl(rows)), message, spec=spec)


def test_labels_outside_of_label_names(tmp_path: Path) -> None:
    spec = DatasetSpec("classification", ("text",), label_field="label", label_names=("positive", "negative"))
    rows = [{"text": "a", "label": "positive"}, {"text": "b", "label": "positve"}]
    refused(
        write(tmp_path, "a.jsonl", jsonl(rows)),
        r"a\.jsonl: line 2: label 'positve' in column 'label' is not in label_names; did you mean 'positive'\? "
        r"Allowed: positive, negative",
        spec=spec,
    )
    numbered = [{"text": "a", "label": 0}, {"text": "b", "label": 2}]
    refused(
        write(tmp_path, "b.jsonl", jsonl(numbered)),
        r"b\.jsonl: line 2: label '2' .* not in label_names\. Allowed: 0 to 1, positive, negative",
        spec=spec,
    )


def test_rows_without_a_label_are_dropped_and_said(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"text": "a", "label": "x"},
        {"text": "b", "label": None},
        {"text": "c", "label": "y"},
    ]
    examples = read(write(tmp_path, "a.jsonl", jsonl(rows)))
    assert examples.rows == 2
    assert examples.warnings == ("1 of 3 rows dropped: no value in 'label'",)


def test_too_many_classes() -> None:
    assert not too_many_classes(1000, 1000)
    assert too_many_classes(1001, 5000)
    assert not too_many_classes(1001, 5005)
    assert too_many_classes(1_000_000, 1_000_000)


def test_a_label_that_is_an_identifier(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", jsonl([{"text": "a", "label": f"id-{i}"} for i in range(1100)]))
    refused(
        path,
        r"the label column 'label' has 1,100 distinct values in 1,100 rows, which are not classes\. "
        r"Pass --spec FILE with task_type: generation and answer_field: label",
        spec=TEXT_LABEL,
    )


def test_all_responses_missing(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"q": "a", "a": ""}, {"q": "b", "a": None}]
    path = write(tmp_path, "a.jsonl", jsonl(rows))
    refused(path, r"the response column 'a' is empty in all 2 rows", spec=QUESTION_ANSWER)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"text": "x"}, r"line 2: column 'a' holds a nested object, not text: .*--spec FILE .* path such as a\.text"),
        (["x"], r"line 2: column 'a' holds a list, not text: \['x'\]\..*path such as a\[0\]"),
    ],
)
def test_nested_text(tmp_path: Path, value: Any, message: str) -> None:
    rows: list[dict[str, Any]] = [{"q": "a", "a": "b"}, {"q": "a", "a": value}]
    refused(write(tmp_path, "a.jsonl", jsonl(rows)), message, spec=QUESTION_ANSWER)


def test_binary_text(tmp_path: Path) -> None:
    path = write(tmp_path, "a.parquet", parquet(pa.table({"q": ["a"], "a": [b"\xff"]})))
    refused(path, r"row 1: column 'a' holds a binary value, not text", spec=QUESTION_ANSWER)


COLOURS = ["red", "green"]
BAD_CHOICES: list[tuple[Any, Any, str | None, str]] = [
    (COLOURS, 2, "index", r"line 2: answer 2 in column 'answer' .* expected a position 0 to 1\. Options: \['red'"),
    (COLOURS, 3, "number", r"answer 3 .* expected a number 1 to 2"),
    (COLOURS, "C", "letter", r"answer 'C' .* expected a letter A to B"),
    (COLOURS, "blue", "text", r"answer 'blue' .* expected exactly one of the options"),
    (["red", "red"], "red", "text", r"answer 'red' .* does not name one of the 2 options"),
    (COLOURS, [1, 1], "index", r"answer \[1, 1\] .* does not name one"),
    (COLOURS, [0, 1, 0], "index", r"answer \[0, 1, 0\] .* does not name one"),
    (COLOURS, True, "index", r"answer True .* does not name one"),
    ({"text": COLOURS, "label": ["A", "B"]}, "C", None, r"answer 'C' .* expected exactly one of the keys A, B"),
    (COLOURS, "9" * 5000, "index", r"answer '9999.* does not name one"),
    ({"text": COLOURS, "label": ["A"]}, "A", None, r"options column 'options' holds 2 texts but 1 labels"),
    (["red"], 0, "index", r"line 2: 1 option\(s\) in options; a multiple choice row needs at least 2"),
    ("red, green", 0, "index", r"options column 'options' holds a text: 'red, green'; expected a list of texts"),
    (None, 0, "index", r"options column 'options' holds a null: None; expected a list of texts"),
]


@pytest.mark.parametrize(("options", "answer", "form", "message"), BAD_CHOICES)
def test_bad_choices(tmp_path: Path, options: Any, answer: Any, form: str | None, message: str) -> None:
    first = {"index": 0, "number": 1, "letter": "A", "text": "red", None: 0}[form]
    rows = [
        {"question": "q", "options": COLOURS, "answer": first},
        {"question": "q", "options": options, "answer": answer},
    ]
    spec = DatasetSpec(
        "multiple_choice", ("question",), options_field="options", answer_field="answer", answer_form=form
    )
    refused(write(tmp_path, "a.jsonl", jsonl(rows)), message, spec=spec)


DAMAGED = [
    ("a.jsonl", GOOD + b'{"text": "a', 2),
    ("a.jsonl", GOOD + b'{"text": {"of": 1},', 2),
    ("a.jsonl", GOOD + '{"text": "caf\u00e9'.encode()[:-1], 2),
    ("my a.jsonl.gz", gzip.compress(GOOD + b'{"text": "a', mtime=0), 2),
    ("a.jsonl", GOOD.replace(b"\n", b"\r"), 2),
    ("a.jsonl.gz", gzip.compress(GOOD.replace(b"}\n", b"},\n"), mtime=0), 2),
    ("a.csv", b"text,label\rx,1\ry,0\r", 2),
    ("a.csv", b"made by hand\ntext,label\nx,1\ny,0\n", 2),
    ("a.csv.gz", gzip.compress(b"text,label\nx,1\ntext,label\ny,0\n", mtime=0), 2),
    ("a.csv", "text,label\ncaf\u00e9,1\ny,0\n".encode("latin-1"), 2),
    ("a.csv", "text,label\nx,1\ny,0\n".encode("utf-16"), 2),
]


@pytest.mark.parametrize(("name", "content", "rows"), DAMAGED)
def test_the_command_that_is_advised_makes_a_file_that_can_be_read(
    tmp_path: Path, name: str, content: bytes, rows: int
) -> None:
    (tmp_path / "in").mkdir()
    said = refused(write(tmp_path / "in", name, content), re.escape(name))
    (command,) = re.findall(r"(?:: |^)((?:sed|tr|awk|tail|iconv|gzip) .* > (?:'.*'|\S+?))(?:\. If|$)", said)
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    (made,) = (path for path in tmp_path.iterdir() if path.is_file())
    assert read(made, roles=("text=text", "label=label")).rows == rows


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_last_character_of_another_encoding_is_no_cut_file(tmp_path: Path, name: str) -> None:
    content = "label,text\n1,un th\n0,un caf\u00e9".encode("latin-1")
    written = write(tmp_path, name, gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    said = refused(written, r"line 3 ends within a character\. If the file is not UTF-8, convert it: .*\. Else: It is")
    subprocess.run(said.partition("convert it: ")[2].partition(". Else")[0], shell=True, cwd=tmp_path, check=True)
    assert (tmp_path / "a_new.csv").read_text().endswith("0,un caf\u00e9")


BAD_CHATS: list[tuple[Any, str]] = [
    ("hi", r"line 1: chat column 'messages' holds a text; expected a list of turns"),
    ([{"who": "me"}], r"holds a turn that is neither \{role, content\} nor \{from, value\}"),
    ([{"role": "user", "content": 5}], r"a turn in column 'messages' holds no plain text"),
]


@pytest.mark.parametrize(("value", "message"), BAD_CHATS)
def test_bad_chats(tmp_path: Path, value: Any, message: str) -> None:
    path = write(tmp_path, "a.jsonl", jsonl([{"messages": value}]))
    refused(path, message, spec=DatasetSpec("generation", messages_field="messages"))


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("hello", r"holds a text; expected a list of turns\. Mend the row or remove it"),
        ({"role": "user"}, r"holds a nested object; expected a list of turns\. Mend the row or remove it"),
        ([{"who": "me"}], r"neither \{role, content\} nor \{from, value\}: .* Mend the row or remove it"),
        ([None], r"neither \{role, content\} nor \{from, value\}: None\. Mend the row or remove it"),
    ],
)
def test_one_bad_chat_is_named_by_its_line_and_hides_no_layout(
    tmp_path: Path, bad: Any, message: str, form: str
) -> None:
    chats: list[Any] = [
        [{"role": "user", "content": f"why {n}?"}, {"role": "assistant", "content": f"since {n}"}] for n in range(5)
    ]
    chats[2] = bad
    if form == "jsonl":
        refused(write(tmp_path, "a.jsonl", jsonl([{"messages": chat} for chat in chats])), f"line 3: .*{message}")
        return
    cells = (chat if isinstance(chat, str) else json.dumps(chat) for chat in chats)
    quoted = "".join('"{}"\n'.format(cell.replace('"', '""')) for cell in cells)
    refused(write(tmp_path, "a.csv", f"messages\n{quoted}".encode()), f"line 4: .*{message}")


@pytest.mark.parametrize("empty", [None, []])
def test_empty_chats_are_left_out_by_their_number(tmp_path: Path, empty: Any) -> None:
    chat = [{"role": "user", "content": "why?"}, {"role": "assistant", "content": "since"}]
    examples = read(write(tmp_path, "a.jsonl", jsonl([{"messages": m} for m in (chat, empty, chat)])))
    assert examples.spec.messages_field == "messages"
    assert {why: list(rows) for why, rows in examples.dropped.items()} == {"empty_row": [2]}


@given(content=st.binary(max_size=60), name=st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.tsv", "a.jsonl.gz"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes, name: str) -> None:
    message = str(tmp_path)
    try:
        read(write(tmp_path, name, content))
    except InputError as error:
        message = str(error)
    assert str(tmp_path) in message


@given(text=st.text(st.sampled_from('[]{}",:\\ \n1atextlabel\u00e9'), max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_json_documents_are_judged_as_the_standard_library_judges_them(tmp_path: Path, text: str) -> None:
    """Arrays of objects are read in blocks by our scanner; json.loads is the reference."""
    from traitcast.profiler.reading.formats.json_rows import document_rows

    path = write(tmp_path, "a.json", ("[" + text).encode())
    try:
        expected = json.loads("[" + text)
    except ValueError:
        expected = None
    if isinstance(expected, list) and all(isinstance(row, dict) for row in expected):
        assert [row for _, row in document_rows(path)] == expected
    else:
        with pytest.raises(InputError, match=r"a\.json"):
            list(document_rows(path))


def test_a_pipe_among_the_files_of_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train.jsonl")
    refused(tmp_path, r"train\.jsonl is neither a file nor a folder; move it out of the data")
    write(tmp_path, "test.jsonl", GOOD)
    refused(tmp_path, r"train\.jsonl is neither a file nor a folder")


@pytest.mark.slow
def test_sizes_that_no_text_has(tmp_path: Path) -> None:
    """A cell over 32 MB and a million columns are refused in each format; what is behind the limit is not read."""
    wide = [f"c{i}" for i in range(1_000_000)]
    refused(write(tmp_path, "wide.csv", ",".join(wide).encode() + b"\n"), r"has 1,000,000 columns; .* at most 4,096")
    row = json.dumps(dict.fromkeys(wide[:50_000], 1)).encode()
    refused(write(tmp_path, "wide.jsonl", row), r"wide\.jsonl: line 1: 50,000 columns so far; .* at most 4,096")
    refused(write(tmp_path, "wide.json", b"[" + row + b"]"), r"row 1: 50,000 columns so far")
    cell = b"x" * (40 << 20)
    refused(write(tmp_path, "cell.jsonl", b'{"text": "' + cell + b'"}'), r"line 1 is longer than 32 MB")
    refused(write(tmp_path, "cell.json", b'[{"text": "' + cell + b'"}]'), r"row 1 \(line 1\) is longer than 32 MB")
    refused(write(tmp_path, "cell.csv", b"text,label\n" + cell + b",a\n"), r"line 2 is longer than 32 MB")
    lines = b'text,label\n"' + (b"x" * (1 << 20) + b"\n") * 40 + b'",a\n'
    refused(write(tmp_path, "lines.csv", lines), r"line 2: broken CSV: field larger than field limit")


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def test_what_unpacks_to_far_more_than_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    rows = GOOD * 40_000
    if name.endswith("parquet"):
        column = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 40_000, pa.int32()), ["x" * 200, "y"])
        content = parquet(pa.table({"text": column, "label": column}))
    else:
        content = gzip.compress(rows, mtime=0) if name.endswith("gz") else pa.compress(rows, "zstd", asbytes=True)
    path = write(tmp_path, name, content)
    assert len(content) * 200 < len(rows)
    monkeypatch.setattr(lines, "_UNPACK_FREELY", 1 << 20)
    refused(
        path, r"unpacks to more than 200 times its size of [0-9,]+ bytes, .*lift the limit: TRAITCAST_UNPACK_RATIO=0"
    )
    monkeypatch.setenv("TRAITCAST_UNPACK_RATIO", "many")
    refused(path, r"TRAITCAST_UNPACK_RATIO is 'many'; it must be a number such as 200, or 0 for no limit")
    monkeypatch.setenv("TRAITCAST_UNPACK_RATIO", "0")
    assert read(path, roles=("text=text label=label",)).rows == 80_000


def test_rows_of_nothing_count_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes of Arrow can state 2^40 rows of a column without values."""
    monkeypatch.setattr(lines, "_UNPACK_FREELY", 1 << 20)
    out = pa.BufferOutputStream()
    table = pa.table({"text": pa.nulls(10_000_000), "label": pa.nulls(10_000_000)})
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    refused(write(tmp_path, "a.arrow", bytes(out.getvalue())), "unpacks to more than 200 times", spec=TEXT_LABEL)


def test_arrow_offsets_are_checked(tmp_path: Path) -> None:
    """Unchecked they lead anywhere in memory."""
    table = pa.table({"text": ["aaaa", "bbbb"], "label": ["x", "y"]})
    out = pa.BufferOutputStream()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    whole = bytearray(out.getvalue())
    place = bytes(whole).index(struct.pack("<3i", 0, 4, 8))
    whole[place : place + 12] = struct.pack("<3i", 0, 1 << 30, 1 << 20)
    refused(write(tmp_path, "a.arrow", bytes(whole)), "damaged, truncated or no arrow file")


def test_many_equal_keys_are_found_in_one_pass(tmp_path: Path) -> None:
    keys = json.dumps({f"c{i}": 1 for i in range(100_000)}).encode()[:-1] + b', "c99999": 1}'
    refused(write(tmp_path, "a.json", b"[" + keys + b"]"), "duplicate column name 'c99999'")


def test_where_to_look_is_not_the_parent_folder_by_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(Path("missing.jsonl"), r"See what is there with `ls \.`\. Files read: \.jsonl")


WRAPPED = [{"text": f"Bike {i} is flat.", "label": "ab"[i % 2]} for i in range(12)]


@pytest.mark.parametrize("indent", [None, 1])
def test_rows_under_a_key_of_their_own_are_named(tmp_path: Path, indent: int | None) -> None:
    """On one line such a document looks like JSON Lines of a single row."""
    text = json.dumps({"meta": 1, "rows_x": WRAPPED}, indent=indent)
    refused(
        write(tmp_path, "a.json", text.encode()),
        r"one level down, under rows_x\. .*jq -c '\.\[\"rows_x\"\]\[\]' \S+/a\.json",
    )


@pytest.mark.parametrize("key", ["data", "rows", "examples", "instances"])
@pytest.mark.parametrize("indent", [None, 1])
def test_rows_under_a_usual_key_are_read(tmp_path: Path, key: str, indent: int | None) -> None:
    text = json.dumps({"meta": 1, key: WRAPPED}, indent=indent)
    assert read(write(tmp_path, "a.json", text.encode())).rows == 12


@pytest.mark.parametrize(
    "cell",
    [
        {"entities": [{"start": 0, "end": 4, "label": "ITEM"}]},
        {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]},
        {"choices": [{"label": "A", "text": "red"}, {"label": "B", "text": "blue"}], "answerKey": "A"},
    ],
)
def test_a_lone_row_with_a_list_of_objects_is_a_row(tmp_path: Path, cell: dict[str, Any]) -> None:
    row = {"question": "Which?", **cell} if "choices" in cell else {"text": "Bike is flat.", **cell}
    assert read(write(tmp_path, "a.json", json.dumps(row).encode())).rows == 1


def test_chat_without_an_assistant(tmp_path: Path) -> None:
    row = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "My bike is flat."}]}
    path = write(tmp_path, "chat.jsonl", (json.dumps(row) + "\n").encode() * 5)
    message = refused(path, r"no turn of an assistant in 'messages' in any of 5 rows")
    assert "The speakers are system, user." in message
    assert "--roles 'messages=messages answer=COLUMN'" in message
    assert "answer_field" not in message
