"""`read` on real files: every format, layout and task gives the same examples; the fingerprint sees content only."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traitcast.profiler.reading.files import FilePart
from traitcast.profiler.reading.folder import slug
from traitcast.profiler.reading.locate import name_of
from traitcast.profiler.reading.reader import Examples, read
from traitcast.profiler.request import Request
from traitcast.profiler.roles.spec import DatasetSpec, load_spec
from traitcast.warehouse.errors import InputError
from traitcast.warehouse.names import check_name

ROWS = [
    {"text": 'a film, "quoted"\tand tabbed', "label": "pos"},
    {"text": "two\nlines", "label": "neg"},
    {"text": "naïve café 😀 \u2028 done", "label": "pos"},
]
SPEC = DatasetSpec("classification", text_fields=("text",), label_field="label")


def jsonl(rows: list[dict[str, Any]], **options: Any) -> bytes:
    return "".join(json.dumps(row, **options) + "\n" for row in rows).encode()


def separated(rows: list[dict[str, Any]], mark: str = ",") -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=mark)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return bytes(out.getvalue())


def arrow(rows: list[dict[str, Any]], new: Callable[..., Any] = pa.ipc.new_file) -> bytes:
    table = pa.Table.from_pylist(rows)
    out = pa.BufferOutputStream()
    with new(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return bytes(out.getvalue())


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


WRITTEN = {
    "rows.jsonl": jsonl(ROWS),
    "raw.ndjson": b"\xef\xbb\xbf\n" + jsonl(ROWS, ensure_ascii=False).replace(b"\n", b"\r\n\n"),
    "list.json": json.dumps(ROWS, indent=2).encode(),
    "columns.json": json.dumps(columns(ROWS)).encode(),
    "pandas.json": json.dumps({name: dict(enumerate(values)) for name, values in columns(ROWS).items()}).encode(),
    "data.json": json.dumps({"version": 1, "data": ROWS}).encode(),
    "lines.json": jsonl(ROWS),
    "rows.csv": separated(ROWS),
    "semicolon.csv": separated(ROWS, ";"),
    "rows.tsv": separated(ROWS, "\t"),
    "rows.parquet": parquet(ROWS),
    "rows.arrow": arrow(ROWS),
    "stream.arrow": arrow(ROWS, pa.ipc.new_stream),
}


def zstd(raw: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(raw)
    return bytes(out.getvalue())


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd,
}


def write(path: Path, content: bytes | list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else jsonl(content))
    return path


def kept(examples: Examples) -> list[dict[str, Any]]:
    return examples.table.to_pylist()


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("suffix", PACKED)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, suffix: str) -> None:
    examples = read(write(tmp_path / (name + suffix), PACKED[suffix](WRITTEN[name])))
    assert kept(examples) == [
        {"fields": [row["text"]], "options": None, "response": row["label"], "label": row["label"]} for row in ROWS
    ]
    # The same for all files: it depends on rows and roles, never on names or formats.
    assert examples.fingerprint == "v1:594b015ffa50ef08a400c235a3f499f2"
    assert (examples.name, examples.split, examples.splits) == (name.split(".")[0], "all", {"all": 3})
    assert examples.origin == str(tmp_path / (name + suffix))
    assert examples.revision is None
    assert examples.spec == SPEC
    assert examples.warnings == ()


def test_the_table_has_the_promised_columns(tmp_path: Path) -> None:
    schema = read(write(tmp_path / "a.jsonl", ROWS)).table.schema
    texts = pa.list_(pa.string())
    assert schema == pa.schema(
        [("fields", texts), ("options", texts), ("response", pa.string()), ("label", pa.string())]
    )


def test_the_fingerprint_is_what_it_says(tmp_path: Path) -> None:
    """blake2b-128 over compact JSON: the roles, then every row followed by a comma."""
    from hashlib import blake2b

    def compact(value: Any) -> str:
        return json.dumps(value, separators=(",", ":"))

    rows = [{"text": f"row {i}", "label": "ab"[i % 2]} for i in range(10_000)]
    content = compact({"task_type": "classification", "text_fields": ["text"], "label_field": "label"})
    content += "".join(compact([[row["text"]], None, row["label"], row["label"]]) + "," for row in rows)
    expected = blake2b(content.encode(), digest_size=16).hexdigest()
    assert read(write(tmp_path / "a.jsonl", rows)).fingerprint == f"v1:{expected}"


def test_importing_the_reader_is_cheap() -> None:
    heavy = "(m for m in ('pyarrow', 'datasets', 'numpy') if m in sys.modules)"
    code = f"import sys, traitcast.profiler.reading.reader; print(*{heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_the_fingerprint_sees_order_text_and_roles_but_not_other_columns(tmp_path: Path) -> None:
    base = read(write(tmp_path / "a.jsonl", ROWS), spec=SPEC).fingerprint
    extra = [row | {"id": i} for i, row in enumerate(ROWS)]
    assert read(write(tmp_path / "b.jsonl", extra), spec=SPEC).fingerprint == base
    changed = [
        ROWS[::-1],
        ROWS[:2],
        [*ROWS[:2], ROWS[2] | {"text": "other"}],
        [*ROWS[:2], ROWS[2] | {"label": "neg"}],
    ]
    prints = {read(write(tmp_path / "c.jsonl", rows), spec=SPEC).fingerprint for rows in changed}
    swapped = DatasetSpec("generation", text_fields=("text",), answer_field="label")
    prints.add(read(tmp_path / "a.jsonl", spec=swapped).fingerprint)
    assert len(prints | {base}) == 6


@given(rows=st.lists(st.tuples(st.text(), st.text(min_size=1)), min_size=1, max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_any_text_survives_json_csv_and_parquet(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    """hypothesis gives no lone surrogates here; a NUL can be escaped in JSON only."""
    spec = DatasetSpec("generation", text_fields=("q",), answer_field="a")
    records = [{"q": q, "a": a} for q, a in rows]
    if not any(a.strip() for _, a in rows):
        return
    files = {"r.jsonl": jsonl(records), "r.json": json.dumps(records).encode(), "r.parquet": parquet(records)}
    # The csv module reads a bare carriage return inside quotes as it is, but cannot hold a NUL in a text file.
    if not any("\0" in q + a for q, a in rows):
        files["r.csv"] = separated(records)
    expected = [([q], a) for q, a in rows if q.strip() or a.strip()]
    for name, content in files.items():
        found = kept(read(write(tmp_path / name, content), spec=spec))
        assert [(row["fields"], row["response"]) for row in found] == expected, name


def test_a_tsv_without_quoting_keeps_its_quotes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", b'text\tlabel\n"stray quote\t1\nplain "inside" text\t0\n')
    assert [row["fields"] for row in kept(read(path))] == [['"stray quote'], ['plain "inside" text']]


def test_the_separator_that_excel_writes_above_the_header(tmp_path: Path) -> None:
    examples = read(write(tmp_path / "a.csv", b"sep=;\r\ntext;label\r\nx, y;1\r\nz;0\r\n"))
    assert [row["fields"] for row in kept(examples)] == [["x, y"], ["z"]]


def test_rows_as_the_viewer_of_the_hub_wraps_them(tmp_path: Path) -> None:
    wrapped = [{"row_idx": i, "row": row, "truncated_cells": []} for i, row in enumerate(ROWS)]
    document = json.dumps({"features": [], "rows": wrapped, "num_rows_total": 3})
    assert read(write(tmp_path / "a.json", document.encode())).table == read(write(tmp_path / "b.jsonl", ROWS)).table


def test_chats_as_json_lines_under_the_suffix_json(tmp_path: Path) -> None:
    """Every value of such a line is a list, as in an object of columns."""
    rows = [{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": f"a{i}"}]} for i in "12"]
    assert [row["response"] for row in kept(read(write(tmp_path / "a.json", rows)))] == ["a1", "a2"]


def test_a_long_table_on_one_line(tmp_path: Path) -> None:
    """As pandas writes it by default; a line of JSON Lines may not be that long, a document may."""
    table = {
        "text": {str(i): f"{i} " + "x" * 35_000 for i in range(1000)},
        "label": {str(i): i % 2 for i in range(1000)},
    }
    assert read(write(tmp_path / "a.json", json.dumps(table).encode())).rows == 1000


def test_one_chat_alone_under_the_suffix_json(tmp_path: Path) -> None:
    row = {"id": 7, "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    for indent in (None, 2):
        assert kept(read(write(tmp_path / "a.json", json.dumps(row, indent=indent).encode())))[0]["response"] == "a"


def test_numbers_of_single_precision_are_as_short_as_they_were(tmp_path: Path) -> None:
    import numpy as np

    values = [3.8, 0.1, 2.0, 1e-7, 123456.7, float("inf")]
    table = pa.table({"text": ["x"] * 6, "score": pa.array(np.array(values, dtype=np.float32))})
    pq.write_table(table, tmp_path / "a.parquet")
    spec = DatasetSpec("generation", ("text",), answer_field="score")
    assert [row["response"] for row in kept(read(tmp_path / "a.parquet", spec=spec))] == [str(v) for v in values]
    double = [0.1 + 0.2, 1e300, 3.799999952316284]
    pq.write_table(pa.table({"text": ["x"] * 3, "score": double}), tmp_path / "b.parquet")
    assert [row["response"] for row in kept(read(tmp_path / "b.parquet", spec=spec))] == [
        str(0.1 + 0.2),
        "1e+300",
        "3.8",
    ]


def test_one_mark_for_each_option(tmp_path: Path) -> None:
    rows = [{"q": f"q{i}", "mc": {"choices": ["x", "y", "z"], "labels": [0, 1, 0]}} for i in range(3)]
    found = kept(read(write(tmp_path / "a.jsonl", rows), roles=["text=q options=mc.choices answer=mc.labels"]))
    assert [(row["options"], row["response"], row["label"]) for row in found] == [(["x", "y", "z"], "y", "1")] * 3


def test_what_is_read_is_counted_for_a_progress_line(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    rows = [{"text": f"row {i}", "label": "ab"[i % 2]} for i in range(10_000)]
    read(write(tmp_path / "a.jsonl", rows), on_rows=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == [4096, 8192]
    assert all(total == pytest.approx(10_000, rel=0.05) for _, total in seen)


def test_labels_that_are_classes_by_accident(tmp_path: Path) -> None:
    examples = read(write(tmp_path / "a.csv", b"text,label\na,True\nb,true\nc,NaN\nd,none\ne,no\n"))
    assert examples.warnings == (
        "1 of 5 rows have the label 'NaN'; if that means no label, leave the cell empty",
        "labels that differ only in case, spaces or how they are written count as different classes: 'True' and "
        "'true'. Write them alike",
    )


def test_a_label_of_its_own_in_every_row_is_a_warning(tmp_path: Path) -> None:
    rows = [{"text": f"text {i}", "label": f"2024-01-{i + 1:02}"} for i in range(12)]
    alone = read(write(tmp_path / "a.jsonl", rows))
    assert alone.warnings == ("each of the 12 rows has a label of its own, so these are hardly classes",)
    assert read(write(tmp_path / "b.jsonl", rows[:9])).warnings == ()
    assert read(write(tmp_path / "c.jsonl", [*rows, rows[0]])).warnings == ()


def test_decimal_labels_and_missing_numbers(tmp_path: Path) -> None:
    table = pa.table({"text": ["a", "b"], "label": pa.array([1, 0], pa.decimal128(5, 0))})
    pq.write_table(table, tmp_path / "decimal.parquet")
    assert [row["label"] for row in kept(read(tmp_path / "decimal.parquet"))] == ["1", "0"]
    table = pa.table({"text": ["a", "b", "c"], "label": [0.0, float("nan"), 1.0]})
    pq.write_table(table, tmp_path / "gaps.parquet")
    assert [row["label"] for row in kept(read(tmp_path / "gaps.parquet"))] == ["0", "1"]


def test_another_separator_is_said(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", b"text;label\nx;1\ny;0\n")).notes[0] == "a.csv: columns are separated by ';'"


def test_a_pandas_index_column_has_no_name(tmp_path: Path) -> None:
    examples = read(write(tmp_path / "a.csv", b",text,label\n0,x,1\n1,y,0\n"))
    assert [row["label"] for row in kept(examples)] == ["1", "0"]
    assert "columns not used: column_1" in examples.notes


def test_a_long_json_array_is_read_in_blocks(tmp_path: Path) -> None:
    rows = [{"text": f"{i} " + "é" * 700_000, "label": i % 2} for i in range(5)]
    examples = read(write(tmp_path / "a.json", json.dumps(rows, ensure_ascii=False).encode()))
    assert [row["fields"][0] for row in kept(examples)] == [row["text"] for row in rows]


# Folders and splits


def test_folders_with_the_same_splits_are_several_datasets(tmp_path: Path) -> None:
    for name in ("en/train.jsonl", "en/test.jsonl", "fr/train.jsonl"):
        write(tmp_path / "both" / name, ROWS)
    with pytest.raises(
        InputError, match=r"both holds several datasets: train is there in en, fr\. Pass one .*both/en$"
    ):
        read(tmp_path / "both")
    assert read(tmp_path / "both" / "en").splits == {"train": 3, "test": None}
    # Shards may lie below a split, and a split may be a folder or a word of the name.
    more = [{**row, "text": row["text"].upper()} for row in ROWS]
    for name, rows in (("train/a/0.jsonl", ROWS), ("train/b/0.jsonl", more), ("test-0.jsonl", ROWS)):
        write(tmp_path / "one" / name, rows)
    assert read(tmp_path / "one").splits == {"train": 6, "test": None}
    for name, rows in (("data/train/0.jsonl", ROWS), ("data/train-1.jsonl", more)):
        write(tmp_path / "flat" / name, rows)
    assert read(tmp_path / "flat").rows == 6


def test_a_folder_of_splits(tmp_path: Path) -> None:
    for name, count in [("train.jsonl", 3), ("dev.jsonl", 2), ("test.jsonl", 1)]:
        write(tmp_path / "mine" / name, ROWS[:count])
    examples = read(tmp_path / "mine")
    assert (examples.name, examples.split, examples.rows) == ("mine", "train", 3)
    assert examples.splits == {"train": 3, "validation": None, "test": None}
    assert read(tmp_path / "mine", split="validation").rows == 2
    assert read(tmp_path / "mine", split="dev").split == "validation"
    everything = read(tmp_path / "mine", split="all")
    assert (everything.rows, everything.split) == (6, "all")


LAYOUTS = {
    "shards": ["train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl", "test-00000-of-00001.jsonl"],
    "data folder": ["data/train_1.jsonl", "data/train_2.jsonl", "data/test.jsonl.gz"],
    "split folders": ["train/part-0.jsonl", "train/part-1.jsonl", "test/part-0.jsonl"],
    "save_to_disk": ["train/data-0.jsonl", "train/data-1.jsonl", "test/data-0.jsonl"],
    "common words": ["squad_train_1.jsonl", "squad_train_2.jsonl", "squad_test.jsonl"],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_split_layouts(tmp_path: Path, layout: str) -> None:
    for name, row in zip(LAYOUTS[layout], ROWS, strict=True):
        content = jsonl([row])
        write(tmp_path / name, gzip.compress(content) if name.endswith(".gz") else content)
    write(tmp_path / "README.md", b"# readme")
    write(tmp_path / "dataset_info.json", b"{}")
    write(tmp_path / ".hidden.jsonl", b"")
    assert [row["fields"][0] for row in kept(read(tmp_path))] == [row["text"] for row in ROWS[:2]]
    assert list(read(tmp_path, split="test").splits) == ["train", "test"]


def test_two_validation_sets_stay_apart(tmp_path: Path) -> None:
    for name in ("train.jsonl", "validation_matched.jsonl", "validation_mismatched.jsonl"):
        write(tmp_path / name, ROWS)
    assert list(read(tmp_path).splits) == ["train", "validation_matched", "validation_mismatched"]


def test_parquet_splits_are_counted_without_reading(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", parquet(ROWS))
    write(tmp_path / "test.parquet", parquet(ROWS[:2]))
    assert read(tmp_path).splits == {"train": 3, "test": 2}


def test_one_file_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "mine" / "test.jsonl", ROWS)
    write(tmp_path / "mine" / "train.jsonl", ROWS)
    assert (read(tmp_path / "mine" / "train.jsonl").name, read(tmp_path / "mine" / "train.jsonl").split) == (
        "mine",
        "train",
    )
    assert read(tmp_path / "mine" / "test.jsonl").name == "mine_test"


def test_names_are_given_stated_or_derived(tmp_path: Path) -> None:
    path = write(tmp_path / "my data (v2).jsonl", ROWS)
    assert read(path).name == "my_data_v2"
    assert read(path, name="mine").name == name_of(Request(path, name="mine")) == "mine"
    write(tmp_path / "dataset.yaml", b"name: stated\ntext_fields: [text]\nlabel_field: label\n")
    assert read(path).name == name_of(Request(path)) == name_of(Request(tmp_path)) == "stated"
    other = write(tmp_path / "roles.yaml", b"text_fields: [text]\nlabel_field: label\n")
    assert read(path, spec=other).name == name_of(Request(path, spec=other)) == "my_data_v2"


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("данные", "данные"),
        ("データ", "データ"),
        ("डेटा सेट", "डेटा_सेट"),
        ("Cafe\u0301 (\ufb01nal)", "Café_final"),
        ("da\u200bta\u202egnp", "da_ta_gnp"),
        ("\u200bdata\u200b", "data"),
        ("--force", "force"),
        ("😀", "dataset"),
        ("\u0301x", "dataset"),
        ("x\x1b[31m", "x_31m"),
        ("x" * 150, "x" * 100),
    ],
)
def test_names_keep_the_letters_of_any_script(tmp_path: Path, stem: str, name: str) -> None:
    path = write(tmp_path / f"{stem}.jsonl", ROWS)
    assert read(path).name == name_of(Request(path)) == name


@given(text=st.text())
def test_a_derived_name_may_always_be_given(text: str) -> None:
    assert check_name(slug(text), "name") == slug(text) == slug(slug(text))


# Specs


def test_the_spec_beside_the_data_is_used_and_overridden(tmp_path: Path) -> None:
    rows = [{"a": "x", "b": "y", "c": "z"}] * 2
    write(tmp_path / "train.jsonl", rows)
    write(tmp_path / "dataset.yaml", b"text_fields: [a]\nanswer_field: b\n")
    examples = read(tmp_path)
    assert examples.spec.answer_field == "b"
    assert examples.notes == (f"roles stated in {tmp_path / 'dataset.yaml'}",)
    other = write(tmp_path / "other.yaml", b"text_fields: [c, a]\nanswer_field: b\n")
    assert kept(read(tmp_path, spec=other))[0]["fields"] == ["z", "x"]
    assert read(tmp_path / "train.jsonl").spec.answer_field == "b"


@pytest.mark.parametrize(
    ("values", "names", "expected"),
    [
        ([0, 1, 1], ["neg", "pos"], ["neg", "pos", "pos"]),
        ([0.0, 1.0, 1.0], ["neg", "pos"], ["neg", "pos", "pos"]),
        ([False, True, True], ["neg", "pos"], ["neg", "pos", "pos"]),
        (["0", "1", "1"], ["neg", "pos"], ["neg", "pos", "pos"]),
        (["0.0", "1.0", "1.0"], ["neg", "pos"], ["neg", "pos", "pos"]),
        (["0.0", "1.0", "1.0"], ["1.0", "0.0"], ["0.0", "1.0", "1.0"]),
        (["1", "2", "2"], ["2", "1"], ["1", "2", "2"]),
        ([3, 4, 4], {3: "neg", 4: "pos"}, ["neg", "pos", "pos"]),
        ([3, 4, 4], None, ["3", "4", "4"]),
        ([True, False, True], None, ["true", "false", "true"]),
        (["pos", "neg", "neg"], ["neg", "pos"], ["pos", "neg", "neg"]),
        # Names that spell the values go by their text, wherever they stand.
        ([True, False, True], ["True", "False"], ["True", "False", "True"]),
        ([True, False, True], ["unknown", "FALSE", "TRUE"], ["TRUE", "FALSE", "TRUE"]),
        ([True, False, True], ["yes", "no"], ["yes", "no", "yes"]),
        ([True, False, True], ["1", "0"], ["1", "0", "1"]),
        ([1, 5, 2], ["1", "2", "3", "4", "5"], ["1", "5", "2"]),
        (["1.0", "2.0", "2.0"], ["1", "2"], ["1", "2", "2"]),
        (["1", "0", "0"], ["1.0", "0.0"], ["1.0", "0.0", "0.0"]),
        ([1, 0, 1], ["1", "0"], ["1", "0", "1"]),
    ],
)
def test_labels_become_names(tmp_path: Path, values: list[Any], names: Any, expected: list[str]) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": f"t{i}", "label": value} for i, value in enumerate(values)])
    document = {"text_fields": ["text"], "label_field": "label", "label_names": names}
    spec = write(tmp_path / "roles.yaml", json.dumps(document).encode() if not isinstance(names, dict) else b"")
    if isinstance(names, dict):
        spec.write_text("text_fields: [text]\nlabel_field: label\nlabel_names: {3: neg, 4: pos}\n")
    found = kept(read(path, spec=spec))
    assert [row["label"] for row in found] == [row["response"] for row in found] == expected


def test_names_that_may_be_places_or_values_are_refused_where_they_do_not_fit(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": f"t{i}", "label": i} for i in range(5)])
    spec = DatasetSpec("classification", ("text",), label_field="label", label_names=tuple("12345"))
    with pytest.raises(InputError, match=r"label '0' in column 'label' is not in label_names"):
        read(path, spec=spec)


def test_booleans_by_place_are_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": f"t{i}", "label": i % 2 > 0} for i in range(5)])
    spec = DatasetSpec("classification", ("text",), label_field="label", label_names=("pos", "neg"))
    assert "by their places in label_names: false is 'pos', true is 'neg'; " in read(path, spec=spec).notes[-1]


def test_names_of_a_schema_go_by_place_although_they_are_numbers(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, Sequence, Value

    names = ClassLabel(names=["1", "2", "3"])
    for column, values in (("label", [0, 1, 2, -1]), ("labels", [[0, 1], [1], [2, 0]])):
        kind = names if column == "label" else Sequence(names)
        rows = {"text": ["a", "b", "c", "d"][: len(values)], column: values}
        data = Dataset.from_dict(rows, features=Features({"text": Value("string"), column: kind}))
        data.to_parquet(str(tmp_path / "a.parquet"))
        found = [row["label"] for row in kept(read(tmp_path / "a.parquet"))]
        assert found == (["1", "2", "3"] if column == "label" else ["1, 2", "2", "1, 3"])


def test_class_names_come_from_the_schema(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    data = Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features=features)
    data.to_parquet(str(tmp_path / "a.parquet"))
    data.save_to_disk(str(tmp_path / "saved"))
    for source in (tmp_path / "a.parquet", tmp_path / "saved"):
        examples = read(source)
        assert [row["label"] for row in kept(examples)] == ["pos", "neg"]
        assert examples.warnings == ("1 of 3 rows dropped: no value in 'label'",)
        assert "label names from the schema of the file: neg, pos" in examples.notes
    stated = read(tmp_path / "a.parquet", spec=SPEC)
    assert stated.spec.label_names == ("neg", "pos")
    assert stated.notes[-1] == "label names of 'label' come from the schema of the file"


# Tasks


OPTIONS = ["red", "green", "blue"]


@pytest.mark.parametrize(
    "rows",
    [
        [{"question": "q", "options": OPTIONS, "answer": i} for i in (0, 2)],
        [{"question": "q", "options": OPTIONS, "answer": i} for i in ("A", "C")],
        [{"question": "q", "options": OPTIONS, "answer": i} for i in ("red", "blue")],
        [{"question": "q", "options": OPTIONS, "answer": i} for i in (1, 3)],
        [{"question": "q", "options": json.dumps(OPTIONS), "answer": str(i)} for i in (0, 2)],
        [{"question": "q", "options": {"text": OPTIONS, "label": ["1", "2", "3"]}, "answer": i} for i in ("1", "3")],
    ],
)
def test_multiple_choice_answers_in_every_form(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = write(tmp_path / "a.jsonl", rows)
    spec = DatasetSpec("multiple_choice", text_fields=("question",), options_field="options", answer_field="answer")
    assert kept(read(path, spec=spec)) == [
        {"fields": ["q"], "options": OPTIONS, "response": "red", "label": "0"},
        {"fields": ["q"], "options": OPTIONS, "response": "blue", "label": "2"},
    ]


def test_options_in_columns_may_differ_in_number(tmp_path: Path) -> None:
    content = b"question,A,B,C,answer\nq1,x,y,z,C\nq2,x,y,,B\n"
    found = kept(read(write(tmp_path / "a.csv", content)))
    assert [row["options"] for row in found] == [["x", "y", "z"], ["x", "y"]]
    assert [row["response"] for row in found] == ["z", "y"]


def test_chat(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": [{"type": "text", "text": "bye"}]},
        {"role": "assistant", "content": "so long"},
    ]
    shared = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]
    rows = [{"messages": turns}, {"messages": turns[:4]}, {"messages": turns[:2]}]
    examples = read(write(tmp_path / "a.jsonl", rows))
    found = kept(examples)
    assert found[0]["fields"] == ["be brief", "hi", "hello", "bye"]
    assert found[0]["response"] == "so long"
    # Nobody answers the last question, so the answer before it is the response.
    assert (found[1]["fields"], found[1]["response"]) == (["be brief", "hi"], "hello")
    assert (found[2]["fields"], found[2]["response"]) == (["be brief", "hi"], None)
    assert examples.warnings == (
        "1 of 3 rows have no response in 'messages' (no turn of an assistant)",
        "1 of 3 rows go on after the last turn of the assistant: what follows it is left out",
    )
    assert found[0]["label"] is None
    assert kept(read(write(tmp_path / "b.jsonl", [{"conversations": shared}] * 2)))[0]["response"] == "hello"


def test_nested_answers_by_path(tmp_path: Path) -> None:
    rows = [
        {"context": "c", "question": "q", "answers": {"text": ["first", "second"], "answer_start": [0, 1]}},
        {"context": "c", "question": "r", "answers": {"text": [], "answer_start": []}},
    ]
    for path in (write(tmp_path / "a.jsonl", rows), write(tmp_path / "a.parquet", parquet(rows))):
        examples = read(path)
        assert [row["response"] for row in kept(examples)] == ["first", None]
        assert examples.warnings == ("1 of 2 rows have no response in 'answers.text[0]' (null)",)


def test_a_column_whose_name_has_a_dot_is_no_path(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"a.b,c[0]\nx,y\n")
    spec = DatasetSpec("generation", text_fields=("a.b",), answer_field="c[0]")
    assert kept(read(path, spec=spec))[0] == {"fields": ["x"], "options": None, "response": "y", "label": None}


def test_numbers_and_dates_become_text(tmp_path: Path) -> None:
    import datetime
    from decimal import Decimal

    rows = [{"q": 3, "d": datetime.date(2026, 1, 2), "a": 2.5}, {"q": 40, "d": datetime.date(2026, 1, 3), "a": -1.0}]
    spec = DatasetSpec("generation", text_fields=("q", "d"), answer_field="a")
    found = kept(read(write(tmp_path / "a.parquet", parquet(rows)), spec=spec))
    assert [(row["fields"], row["response"]) for row in found] == [
        (["3", "2026-01-02"], "2.5"),
        (["40", "2026-01-03"], "-1.0"),
    ]
    money = write(tmp_path / "b.parquet", parquet([{"q": "x", "a": Decimal("1.50")}]))
    assert kept(read(money, spec=DatasetSpec("generation", ("q",), answer_field="a")))[0]["response"] == "1.50"


def test_responses_alone_may_be_profiled(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": "x"}, {"text": "y"}])
    examples = read(path, spec=DatasetSpec("generation", answer_field="text"))
    assert [(row["fields"], row["response"]) for row in kept(examples)] == [([], "x"), ([], "y")]
    assert examples.warnings == ()


# What is dropped or doubtful is counted


def test_missing_values_are_counted(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "p1", "completion": "c1"},
        {"prompt": "p2", "completion": None},
        {"prompt": "p3", "completion": "  "},
        {"prompt": "", "completion": ""},
        {"prompt": None, "completion": "c5"},
        {"completion": float("nan")},
    ]
    examples = read(write(tmp_path / "a.jsonl", rows))
    assert [row["response"] for row in kept(examples)] == ["c1", None, "  ", "c5"]
    assert examples.warnings == (
        "2 of 6 rows dropped: neither prompt nor response",
        "1 of 4 rows have no response in 'completion' (null)",
        "1 of 4 rows have an empty response in 'completion'",
        "3 of 6 rows have nothing in the prompt field 'prompt'",
    )


def test_half_surrogates_are_replaced_and_counted(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl", b'{"text": "a \\ud800 b \\ud83d\\ude00", "label": "x"}\n{"text": "c", "label": "y"}\n'
    )
    examples = read(path)
    assert kept(examples)[0]["fields"] == ["a \ufffd b 😀"]
    assert examples.warnings == ("1 text held half of a surrogate pair, replaced by U+FFFD: encoding damage",)


def test_python_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Arrow columns live outside of what tracemalloc sees; what it does see must stay one chunk."""
    path = tmp_path / "big.jsonl"
    with path.open("w") as out:
        for number in range(40_000):
            out.write(json.dumps({"text": f"{number} " + "word " * 40, "label": number % 3}) + "\n")
    read(write(tmp_path / "warm.jsonl", ROWS))
    tracemalloc.start()
    try:
        examples = read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert examples.rows == 40_000
    # The text is 8 MB; as Python rows it would be some 30 MB.
    assert peak < 6_000_000


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_all_shared_datasets_read_as_documented(split: str, shared: Path) -> None:
    folders = sorted(path.parent for path in shared.glob("datasets/*/dataset.yaml"))
    assert len(folders) == 84
    for folder in folders:
        spec = load_spec(folder / "dataset.yaml")
        examples = read(folder, split=split)
        assert examples.rows == spec.provenance["rows"][split], folder.name
        # Some tweets were collected cut off, with an ellipsis; some texts were decoded wrongly.
        known = {
            ("tweet_sentiment", "test"): "end in a mark of truncation",
            ("tweet_hate", "train"): "'ðŸ˜¡'",
            ("scicite", "train"): "'Hach√©'",
            ("scicite", "validation"): "'M√ºllerova'",
        }
        expected = known.get((folder.name, split))
        assert all(expected and expected in warning for warning in examples.warnings), folder.name
        assert examples.name == folder.name
        labels = set(examples.table["label"].to_pylist())
        if spec.task_type == "classification":
            assert labels <= set(spec.label_names), folder.name
        else:
            assert (labels == {None}) == (spec.task_type == "generation"), folder.name


def test_a_name_must_be_plain(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"name 'a/b' is not allowed: up to 100 letters"):
        read(write(tmp_path / "a.jsonl", ROWS), name="a/b")


def test_a_label_of_minus_one_is_asked_about(tmp_path: Path) -> None:
    file = tmp_path / "nli.jsonl"
    rows = [{"premise": f"a premise {i}", "hypothesis": f"one {i}", "label": i % 4 - 1} for i in range(40)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert any("10 of 40 rows have the label -1, which often means no label" in w for w in read(str(file)).warnings)


def test_of_many_files_a_few_are_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    real = FilePart.estimate

    def estimate(self: FilePart) -> int | None:
        looked.append(self.path.suffix)
        return real(self)

    monkeypatch.setattr(FilePart, "estimate", estimate)
    monkeypatch.setattr("traitcast.profiler.reading.reader._ROWS_A_REPORT", 10)
    for suffix, form in ((".jsonl", jsonl), (".parquet", parquet)):
        folder, told = tmp_path / suffix[1:], list[int | None]()
        folder.mkdir()
        for number in range(40):
            # From 10 to 49 rows of one length each.
            (folder / f"train-{number:02}{suffix}").write_bytes(form(ROWS[:1] * (10 + number)))
        found = read(folder, spec=SPEC, on_rows=lambda _, of, told=told: told.append(of))
        assert found.splits == {"train": sum(range(10, 50))}
        assert told[0] is not None
        # The files of a size; a Parquet file is the larger part schema here.
        assert told[0] == found.rows if suffix == ".jsonl" else 0.5 < told[0] / found.rows < 2
    assert looked == [".jsonl"] * 8 + [".parquet"] * 8
    monkeypatch.setattr(FilePart, "count", lambda _: pytest.fail("a footer of what was read"))
    monkeypatch.setattr(FilePart, "estimate", lambda _: None)
    assert read(folder, spec=SPEC, on_rows=lambda *_: None).splits == {"train": found.rows}


def test_responses_that_are_flattened_lists_are_warned_of(tmp_path: Path) -> None:
    rows = [{"question": f"what is {i}?", "reply": f"['a {i}' 'b']" if i % 5 else "one"} for i in range(20)]
    path = write(tmp_path / "a.jsonl", jsonl(rows))
    assert read(path, roles=["text=question answer=reply"]).warnings == (
        "16 of 20 rows have a list, written as text, as their response in 'reply'; to take its first item: --roles "
        "answer=reply[0]",
    )
    some = [row | {"reply": "one"} if i % 3 else row for i, row in enumerate(rows)]
    path = write(tmp_path / "b.jsonl", jsonl(some))
    assert read(path, roles=["text=question answer=reply"]).warnings == ()
